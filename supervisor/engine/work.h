/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_ENGINE_WORK_H
#define URUNC_ENGINE_WORK_H

/*
 * work.h - the recovery of one task, for recover.c and others.c.
 */

#include "supervisor/engine/drive.h"
#include "supervisor/engine/recover.h"
#include "supervisor/engine/report.h"

struct work {
	struct engine *engine;
	struct node *node;
	const struct journal_place *place;
	unsigned flags;
	int64_t deadline_ms;
	struct recover_report *ret; /* .key is the task */

	struct journal *j;    /* once it is ours */
	struct task_row task;
	struct picture before;
	bool now;             /* the row speaks of the pids of now    */
	bool shim_alive, init_alive;
	bool shared;          /* its shim serves other tasks too      */
	bool forgotten;
	bool rebuilt;         /* its rows said nothing: these were made from the host */
	bool earlier;         /* the file is of an earlier boot, for sure */
	bool damaged;         /* and was not to be read; below: where it is kept, or ""  */
	char torn[ERR_TEXT_MAX];
	char unclear[ERR_TEXT_MAX]; /* what could not be told to be this task's       */
	bool did;             /* something was taken back             */
	char why_forgotten[ERR_TEXT_MAX]; /* or why not */
};

/* Did it begin less than RECOVER_YOUNG_MS ago? By its start time: no clock that can be set
 * is asked. */
bool shim_is_young(struct node *node, const struct ident *shim);

/* Is the time over? */
bool work_late(const struct work *w);

/* Is its shim the owner of another live task? */
bool work_shim_serves_others(struct work *w);

/* A living owner: is its task proved forgotten? .why_forgotten says it either way.
 * Asks containerd, blocks for some seconds. */
bool work_forgotten(struct work *w);

/* Are all tasks of its shim forgotten? Then the shim may go, and they with it. */
bool work_all_forgotten(struct work *w);

/* RECOVER_DELETE of a task without a live file: its exit, from the history. -ENOENT. */
int work_history(struct work *w, struct err *err);

/* What the host has under this task's name, as text; of what can't be looked at, why. */
void work_search_host(struct work *w, char *text, size_t size);

/* Rows for a file that says nothing (no epoch): of what is proved to be this task's
 * (supervisor/rebuild), as if a create had made it. One commit. What only has its name
 * goes to .unclear. */
int work_rebuild(struct work *w, struct err *err);

#endif
