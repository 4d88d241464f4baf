/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_NODE_MOUNT_WORDS_H
#define URUNC_NODE_MOUNT_WORDS_H

/*
 * mount_words.h - option words, as mount(8) takes them, sorted into what mount(2)
 * wants. Pure.
 *
 * Known words become flags, in order: a later "rw" takes an earlier "ro" back.
 * "shared", "private", "slave", "unbindable" and their r-forms are kept apart, for a
 * call of their own. "defaults" is nothing. "loop" and "direct-io" ask for a loop
 * device. All others are the file system's, joined by commas.
 */

#include "journal/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct mount_words {
	unsigned long flags;       /* MS_*                                  */
	unsigned long propagation; /* 0, or one of MS_SHARED..., may be MS_REC */
	bool loop, direct_io;
	char *data; /* "" if there is none; free() it                       */
};

/* @type "bind" and "rbind" count as the words do.
 *
 * Return: 0; -ENOTSUP: a word that can't be honoured, named: uidmap=, gidmap=,
 * X-containerd.*; -ENOMEM. */
int mount_words_sort(const char *type, const char *const *words, size_t n,
		     struct mount_words *ret, struct err *err);

/**
 * overlay_shorten() - make overlay options fit by relative lowerdirs
 * @data:	options with a lowerdir= of absolute paths
 * @ret_dir:	the common parent; the mount must be made with this as the current
 *		folder. NULL if nothing can be shortened, then *ret_data is NULL too.
 * @ret_data:	the options; both are the caller's to free
 *
 * Return: 0; -ENOMEM.
 */
int overlay_shorten(const char *data, char **ret_dir, char **ret_data);

#endif
