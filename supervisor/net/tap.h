/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_NET_TAP_H
#define URUNC_NET_TAP_H

/*
 * tap.h - a tap in the namespace that the process is in.
 */

#include "journal/base/err.h"

#include <stdint.h>

/* It lives as long as *ret_fd, the caller's. -EAGAIN: there is an interface of that name;
 * -ENODEV: there is no /dev/net/tun. */
int tap_make(int *ret_fd, int *ret_index, const char *name, uint32_t uid, uint32_t gid,
	     struct err *err);
/* From now on it stays. */
int tap_keep(int fd, const char *name, struct err *err);

#endif
