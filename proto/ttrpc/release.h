/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TTRPC_RELEASE_H
#define URUNC_TTRPC_RELEASE_H

/*
 * release.h - ask a living shim to end one of its tasks, take it back and let go of it.
 * The other tasks it serves are not touched. Blocks.
 */

#include "journal/base/err.h"

#include <stdint.h>
#include <sys/types.h>

/* All lent. */
struct release {
	const char *socket; /* the shim's */
	const char *ns;
	const char *id;
	int timeout_ms;     /* > 0 */
};

/* How the task ended; pid 0: it had not begun, or nobody says. */
struct release_end {
	pid_t pid;
	uint32_t status;
	int64_t at_ns;
};

/* 0: what the task held is gone, but for what `start` made, which the shim takes back
 * next. Else as client_ask(): -ENOENT no shim, or no such task; -ETIMEDOUT: it goes on. */
int release_ask(const struct release *r, struct release_end *ret, struct err *err);

#endif
