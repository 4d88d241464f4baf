/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_ENGINE_EXECS_H
#define URUNC_ENGINE_EXECS_H

/*
 * execs.h - the processes that exec plans have started, as their rows know them.
 *
 * A process's end is kept in its step's have: "exit": { "status", "at_ns" }.
 */

#include "journal/journal.h"

struct exec_row {
	int64_t step;
	struct ident process;
	bool exited;
	uint32_t status;  /* as task_row.exit_status */
	int64_t at_ns;
};

/* The newest process of this id that was started and not taken back: 1 and *ret, or 0. */
int exec_find(struct journal *j, const char *exec_id, struct exec_row *ret, struct err *err);

/* Its end; one write, or part of the caller's transaction. -ENOENT: no such process. */
int exec_set_exit(struct journal *j, const char *exec_id, uint32_t status, int64_t at_ns,
		  struct err *err);

#endif
