/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_UNIKERNEL_CHOICE_H
#define URUNC_UNIKERNEL_CHOICE_H

/*
 * choice.h - what a guest gets as its root, and why. Pure: facts in, a choice out.
 *
 *   1 the annotation initrd         the file
 *   2 block, mounted at /           the image, if guest and monitor have disks
 *   3 mountRootfs                   the block device under the container's rootfs, if
 *                                   it is a whole file system that the guest mounts,
 *                                   and nobody else has it mounted
 *   4 mountRootfs                   the rootfs shared: virtiofs, then 9pfs
 *   5 otherwise                     none; but mountRootfs without 3 and 4 is an error
 */

#include "journal/base/err.h"
#include "supervisor/node/node.h" /* struct mount_list */
#include "supervisor/unikernel/guests.h"
#include "supervisor/unikernel/monitors.h"

#include <json-c/json.h>

#define CHOICE_VIRTIOFSD "/usr/libexec/virtiofsd"

/* Is a file in the container's rootfs there? */
enum choice_file {
	FILE_UNSURE, /* nobody looked, or a symbolic link is on the way */
	FILE_THERE,
	FILE_MISSING,
};

/* Everything is lent. */
struct choice_in {
	json_object *unikernel; /* of annotations.h */
	const struct guest *guest;
	const struct monitor *monitor;
	const char *root;                /* the container's rootfs, absolute           */
	const struct mount_list *mounts; /* of this node; NULL: they could not be read */
	/* What Create mounted at the rootfs, for when an OCI runtime has taken it away
	 * since; what it did not mount itself is not ours to unmount. NULL: nothing. */
	const char *made_type, *made_source;
	bool virtiofsd;                  /* it is installed */
	bool native; /* no OCI runtime prepares the guest: we do */
	enum choice_file binary, initrd, block;
};

struct choice {
	enum guest_rootfs rootfs;
	const char *path;    /* the file, device or folder; lent by the facts; NULL */
	const char *mounted; /* where that is mounted on this node; NULL            */
	const struct mount_info *mount; /* of ROOTFS_CONTAINER, if it is; lent      */
	bool extra_block;    /* the image of "block" is one more disk               */
	char reason[ERR_TEXT_MAX];
};

/* Are both known, and does the one run the other? -ENOTSUP, with what would do. */
int choice_pair(const char *type, const char *monitor, struct err *err);

/**
 * choice_make() - decide
 *
 * Return: 0; -EINVAL an annotation that can't be followed, by name; -ENOENT a file that
 * is not in the rootfs; -ENOTSUP mountRootfs and no way to do it, with all the reasons.
 */
int choice_make(struct choice *ret, const struct choice_in *in, struct err *err);

#endif
