/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_NODE_MOUNTINFO_H
#define URUNC_NODE_MOUNTINFO_H

/*
 * mountinfo.h - the lines of /proc/PID/mountinfo. Pure.
 */

#include "supervisor/node/node.h"

#define MOUNTINFO_MAX (64u << 20) /* bytes of text that are read at most */

/**
 * mountinfo_parse() - all lines, in the kernel's order: the upper of two at one target
 * comes later
 * @text:	@len bytes; need not be terminated
 * @ret:	the caller's to mount_list_clear(); set only on success
 *
 * Octal escapes are decoded, optional fields passed over (but for "shared:"). A type
 * or a source may be empty.
 *
 * Return: 0; -EINVAL with the number of the line; -ENOMEM.
 */
int mountinfo_parse(const char *text, size_t len, struct mount_list *ret, struct err *err);

#endif
