/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_SERVICE_FIRST_H
#define URUNC_SERVICE_FIRST_H

/*
 * first.h - the first rows of a task: written by `start`, or by the shim that it joins.
 */

#include "journal/journal.h"
#include "supervisor/node/node.h"

struct first {
	const char *address, *ttrpc_address; /* containerd's */
	const char *epoch, *group;
	const char *socket;           /* of the shim: a path */
	const char *bundle;
	const struct path_ident *dir; /* which the bundle is */
	bool join;                    /* the shim serves there already */
};

/* One commit. The journal's errors. */
int first_write(struct journal *j, const struct first *first, struct err *err);

/* The serve plan's arguments, see plan.h; the caller frees. NULL without memory. */
char *first_args(const struct first *first);

#endif
