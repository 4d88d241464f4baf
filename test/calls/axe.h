/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_CALLS_AXE_H
#define URUNC_CALLS_AXE_H

/*
 * axe.h - at the Nth system call of one process, exactly: SIGKILL, or an error.
 *
 * The axe is a process of its own that traces the target (ptrace, x86-64) and all
 * that it forks from then on. It counts the calls that the target enters; at the Nth
 * it falls, before the call is carried out. The target need not be our child.
 */

#include "test/calls/famine.h"

#include <stddef.h>

enum axe_who {
	AXE_SELF, /* the target alone                                            */
	AXE_CLI,  /* and whom it has forked itself: a runtime's CLI, a job       */
	AXE_ALL,  /* and everybody else but the spared: a death of all at once   */
	AXE_WHO_N,
};

/* What calls are made to fail with. */
struct axe_error {
	int code;
	const char *name;
};

#define AXE_ERRORS 7
extern const struct axe_error axe_errors[AXE_ERRORS];

struct axe_order {
	pid_t target;
	long n;            /* 0: count only                                      */
	enum axe_who who;
	int error;         /* an errno: nobody dies, the Nth call that may so
			    * fail does; only such calls are counted, and none of
			    * the dynamic loader's                               */
	struct famine *famine; /* not NULL: allocations instead of calls; lent   */
	bool from_exec;    /* count from the target's next exec, not from now    */
	const pid_t *spared; /* lent during axe_raise()                          */
	size_t n_spared;
};

struct axe_result {
	bool fell;
	long seen;   /* calls, or allocations, counted */
	long number; /* of the last one of them */
	long each[AXE_ERRORS]; /* n was 0: how many may fail so */
};

struct axe;

/* It traces when this returns. NULL, and errno: ptrace is not to be had. */
struct axe *axe_raise(const struct axe_order *order);

/* What it has counted so far. */
long axe_seen(const struct axe *axe);

/* Let go of all that is traced, and free. */
struct axe_result axe_lower(struct axe *axe);

#endif
