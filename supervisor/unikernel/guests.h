/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_UNIKERNEL_GUESTS_H
#define URUNC_UNIKERNEL_GUESTS_H

/*
 * guests.h - the types of unikernel: what each can boot from, and how its kernel
 * command line is written. Pure.
 */

#include "journal/base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* What a guest has as its root, see choice.h for which. */
enum guest_rootfs {
	ROOTFS_NONE,      /* the kernel alone                              */
	ROOTFS_INITRD,    /* a file that is loaded into memory             */
	ROOTFS_BLOCK,     /* a disk image that lies in the container       */
	ROOTFS_CONTAINER, /* the block device that holds the container's rootfs */
	ROOTFS_VIRTIOFS,  /* the container's rootfs, shared                */
	ROOTFS_9PFS,
};
const char *guest_rootfs_name(enum guest_rootfs rootfs); /* "none", "rootfs-block", ... */

/* Strings are lent. */
struct guest_net {
	const char *ip, *gateway;   /* IPv4, dotted; NULL: it has none            */
	unsigned int prefix;        /* of the subnet, 0 to 32                     */
	const char *ip6, *gateway6; /* NULL: it has none, and there is none       */
	unsigned int prefix6;       /* 0 to 128                                   */
};

/* A disk besides the root. */
struct guest_volume {
	const char *id;
	const char *mount_point;
};

/* What a command line is made of. Everything is lent; lists end with a NULL. */
struct guest_in {
	const char *const *args;     /* process.args; may be NULL             */
	const char *const *env;      /* process.env; may be NULL              */
	const struct guest_net *net; /* NULL: no network                      */
	enum guest_rootfs rootfs;
	const char *version;         /* of the unikernel; "": unknown         */
	const char *monitor;
	bool arm64;
};

struct guest_conf {
	const struct guest_in *in;
	unsigned int uid, gid;
	const char *cwd;
	const struct guest_volume *volumes;
	size_t n_volumes;
};

#define GUEST_FS_MAX    5
#define GUEST_EXTRA_MAX 4

struct guest {
	const char *name;               /* as in the annotation "unikernelType" */
	bool block;                     /* it has a driver for disks            */
	const char *fs[GUEST_FS_MAX + 1]; /* file systems it can have as its root */
	const char *net_name, *block_name; /* of its devices, for Solo5         */
	bool ipv6;                      /* it can be told an IPv6 address       */
	bool both;                      /* and that beside an IPv4 one,         */
	int both_since;                 /* from this major version on           */
	bool no_scope;                  /* its gateway can't be link-local      */
	bool power;                     /* it can hear a power button           */
	const char *qemu[GUEST_EXTRA_MAX + 1]; /* words that QEMU needs for it   */
	int (*cmdline)(const struct guest_in *in, char **ret, struct err *err);
};

/* Ended by an entry without a name. */
extern const struct guest guests[];

const struct guest *guest_find(const char *name); /* NULL: unknown */
bool guest_mounts(const struct guest *guest, const char *fs);

/**
 * guest_cmdline() - the kernel command line
 * @ret:	the caller's to free(); "" if the guest takes none
 *
 * An IPv6 address is left out if the guest can't be told it beside its IPv4 one. Linux
 * takes none from its command line: init finds it in its environment, as URUNC_IPV6 and
 * URUNC_IPV6_GATEWAY. Where the network is not known yet, Linux's has room for it.
 *
 * Return: 0; -EINVAL an argument, a variable or an address that its format can't
 * express; -E2BIG longer than Linux reads; -ENOTSUP no format is known for this guest, or see guest_net_check(); -ENOMEM.
 */
int guest_cmdline(const struct guest *guest, const struct guest_in *in, char **ret,
		  struct err *err);

/* Is there a place for variables on its command line? @version: as in guest_in. */
bool guest_has_env(const struct guest *guest, const char *version);

/* Does Linux run urunit as its init? Then guest_conf() is handed over to it. */
bool guest_has_urunit(const struct guest *guest, const struct guest_in *in);

/* The text of urunit's file. As guest_cmdline(). */
int guest_conf(const struct guest_conf *conf, char **ret, struct err *err);

#endif
