/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_ENGINE_RECOVER_H
#define URUNC_ENGINE_RECOVER_H

/*
 * recover.h - take back what dead owners left: the one path.
 *
 * A new `start` over old rows, the shim's `delete`, `uruncctl recover` and the boot
 * hook all come here. Killing any of them is just another crash: whoever comes next
 * goes on.
 *
 * For one task:
 *   1 The owner's lock is held: it lives. Left alone, unless the caller holds
 *     containerd's verdict (DELETE) or the task is proved forgotten (see below).
 *   2 The lock is free but the recorded shim lives and the task is young: it is
 *     between fork and lock; left alone for RECOVER_YOUNG_MS.
 *   3 The lease is taken; what runs is fenced; all rows are undone newest first; the
 *     exit is recorded; the file moves to the history.
 *
 * A damaged file is kept in torn/, and one that says nothing, as it then does, is filled
 * with what the host proves to be the task's (supervisor/rebuild) before 3.
 *
 * Forgotten (DESIGN 2.11): a living shim is taken down only if its own containerd,
 * asked twice some seconds apart, does not know the task (same id, same init), and no
 * connection to its socket is open; or if its bundle was proved another. A daemon that
 * is down, silent, or knows none of several living tasks is never a reason, unless
 * RECOVER_FORGOTTEN was asked for.
 */

#include "supervisor/engine/engine.h"

#define RECOVER_YOUNG_MS 10000 /* a shim that lives and has no lock yet */

enum recover_flags {
	RECOVER_DRY = 1 << 0,       /* say what would be done; touch nothing, raise no lease */
	RECOVER_BOOT = 1 << 1,      /* before containerd: tasks of other boots, no questions */
	RECOVER_FORGOTTEN = 1 << 2, /* the operator answers for a daemon that is down        */
	RECOVER_DELETE = 1 << 3,    /* containerd's verdict on this one task                 */
};

enum recover_result {
	RECOVER_NONE_,
	RECOVER_HEALTHY, /* a living owner; left alone                     */
	RECOVER_CLEAN,   /* there was nothing to take back but the rows    */
	RECOVER_DONE,    /* all was taken back                             */
	RECOVER_LEFT,    /* something is left, see .left and .why          */
	RECOVER_WOULD,   /* RECOVER_DRY: it would be taken back            */
	RECOVER_FAILED,  /* it could not be looked at: .why                */
};

/* What was found, done and left, for one task. Texts are owned. */
struct recover_report {
	struct task_key key;
	enum recover_result result;
	char *found; /* "created; shim 4242 dead; 2 mounts, init 4300 alive" */
	char *done;  /* "killed init 4300; unmounted 2; removed 9 cgroups"   */
	char *left;  /* what, and who holds it                               */
	char *why;   /* why it was left, or why it is healthy                */
	enum exit_how exit_how;
	uint32_t exit_status;
	int64_t exit_at_ns;
	pid_t init_pid;
	int64_t took_ms;
};
void recover_report_clear(struct recover_report *report);

/**
 * recover_task() - one task
 * @deadline_ms:	node->now_ms() time; then what is left stays for the next. 0: none
 *
 * Return: 0 with *ret filled (the caller clears); -ENOENT no such task (with
 * RECOVER_DELETE the history is looked at first: 0, CLEAN, and the exit it holds);
 * < 0 nothing could be done at all.
 */
int recover_task(struct engine *e, const struct journal_place *place,
		 const struct task_key *key, unsigned flags, int64_t deadline_ms,
		 struct recover_report *ret, struct err *err);

/* All live tasks, one after another; each() gets every report (lent) and how far
 * it is, and returns nonzero to stop. Torn files are set aside, rebuilt and reported. */
int recover_all(struct engine *e, const struct journal_place *place, unsigned flags,
		int64_t deadline_ms,
		int (*each)(void *arg, const struct recover_report *report, int at, int of),
		void *arg, struct err *err);

#endif
