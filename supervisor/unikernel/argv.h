/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_UNIKERNEL_ARGV_H
#define URUNC_UNIKERNEL_ARGV_H

/*
 * argv.h - the command line of a monitor, as an array. Pure.
 *
 * Nothing passes through a shell and nothing is split at blanks: a path with a blank
 * in it is one word. A monitor that reads lists of its own out of a word gets what its
 * own quoting can carry, and a path that it can't carry is an error.
 *
 * Run for real by the tests: qemu. The others are checked as text.
 */

#include "journal/base/err.h"
#include "supervisor/unikernel/guests.h"
#include "supervisor/unikernel/monitors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DRIVES_MAX 16
#define ARGV_MAX   128 /* words: all devices and as many disks fit */

#define LAUNCH_SHARE_TAG "fs0"

struct launch_drive {
	const char *id; /* "rootfs", "annot_vol", "vol3" */
	const char *path;
};

struct launch_net {
	const char *tap, *mac;
	unsigned int mtu; /* 0: the monitor's own default */
	bool vhost;
};

/* All that a monitor is told. Everything is lent; paths are those that the monitor
 * will see. */
struct launch {
	const struct monitor *monitor;
	const struct guest *guest;
	const char *program;   /* the monitor's binary                           */
	const char *data;      /* qemu: folder of its firmware; NULL: its default */
	const char *kernel;
	const char *initrd;    /* NULL: none                                     */
	const char *cmdline;   /* of guest_cmdline()                             */
	int64_t memory;        /* bytes                                          */
	unsigned int vcpus;
	bool kvm;              /* false: software emulation, or none is needed    */
	bool seccomp;          /* the monitor's own filter                       */
	bool arm64;
	const struct launch_net *net; /* NULL: none                              */
	const struct launch_drive *drives;
	size_t n_drives;
	const char *share_9p;     /* folder to be shared by 9pfs; NULL: none       */
	const char *share_socket; /* of virtiofsd; NULL: none                      */
	uint32_t cid;             /* vsock; 0: none                                */
	int cid_fd;               /* qemu: where that number is held               */
	const char *cid_socket;   /* firecracker, cloud-hypervisor: its other end  */
	int control;              /* qemu: descriptor it has, to be asked by; 0: none */
	const char *config;       /* firecracker: where launch_config() will lie   */
};

struct argv {
	char *at[ARGV_MAX + 1]; /* NULL-terminated */
	size_t n;
};
void argv_clear(struct argv *argv);

/* Whole MiB of a limit in bytes. -EINVAL: less than one. */
int launch_mib(int64_t bytes, int64_t *ret, struct err *err);

/**
 * launch_argv() - the monitor's words
 * @ret:	the caller's to argv_clear(); untouched on failure
 *
 * Return: 0; -EINVAL a path that this monitor can't be told, or too little memory;
 * -ENOTSUP the monitor has no such device, or can't do without KVM; -E2BIG; -ENOMEM.
 */
int launch_argv(struct argv *ret, const struct launch *launch, struct err *err);

/* Firecracker's file. @ret: the caller's to free(). As launch_argv(). */
int launch_config(char **ret, const struct launch *launch, struct err *err);

#endif
