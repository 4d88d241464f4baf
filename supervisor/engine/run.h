/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_ENGINE_RUN_H
#define URUNC_ENGINE_RUN_H

/*
 * run.h - the inside of a run, for the files of this folder alone.
 *
 * All of it can be read again from the rows, but for three facts that no row can
 * hold: an outcome not written yet (pending), that the journal can't be written
 * (mute, with below: how far the undo got), and that the run is over.
 */

#include "supervisor/engine/engine.h"

#include <json-c/json.h>

#define FENCE_KIND   "fence" /* the one row of an undoing run                      */
#define FENCE_MS     10000   /* then what can't be killed makes the run stuck      */
#define KILL_MS      5000    /* after a deadline: how long a killed child may take */
#define BUSY_AGAIN_MS 20
#define BUSY_TRIES   200

/* The step a run is at. seq 0: none. */
struct cursor {
	struct step_row row;
	const struct step_ops *ops; /* NULL: no step can be called, see bad */
	struct err bad;
	json_object *want, *have;
	int64_t deadline_ms; /* node->now_ms() time, 0: none */
};

struct run {
	struct engine *engine;
	struct journal *j;
	struct step_env env;
	struct task_row task;
	int64_t seq;
	enum plan plan;
	enum life_state life;
	int64_t opened_ms; /* wall clock */
	struct cursor at;
	char *exec;        /* the id of its process: EXEC, EXEC_UNDO, never NULL; else NULL */
	char *input;       /* see step_env                        */
	bool fenced;       /* the fence of this run is done       */
	bool failed;       /* undoing because an apply failed     */
	struct err why;    /* what went wrong first               */

	enum row_state pending; /* an outcome to be written, ROW_NONE_: none */
	struct err pending_err;
	int busy;               /* how often it was too busy                 */
	bool mute;
	struct err mute_err;
	int64_t below;          /* mute: rows from here on were dealt with   */
	int left;               /* mute: how many could not be undone        */
	enum run_state over;    /* RUN_NONE_: it goes on                     */
};

/* ---- cursor.c: rows, one at a time ------------------------------------------ */

/* A kind by its on-disk name, of @e's table; NULL: unknown. */
const struct step_ops *engine_kind(const struct engine *e, const char *kind);

/* Put the cursor on @row: copies it, parses want and have, finds the kind. -ENOMEM. */
int cursor_set(struct run *run, const struct step_row *row, struct err *err);
void cursor_clear(struct run *run);

/* The oldest row of this run still to be applied. 1: it is at the cursor; 0: none. */
int cursor_next_apply(struct run *run, struct err *err);
/* The newest row of the plan's scope still to be undone. 1, 0. */
int cursor_next_undo(struct run *run, struct err *err);
/* Does this undoing run undo the rows of @row: is it in the plan's scope, and its
 * process the one that an EXEC_UNDO is about? 1, 0, < 0. */
int run_undoes(struct run *run, const struct run_row *row, struct err *err);
/* Is the step one of the exec that the run is about? Pure. */
int run_has_exec(const struct run *run, const struct step_row *row, struct err *err);

/* The newest living child of the step at the cursor: 1 and *ret (caller clears), 0. */
int cursor_child(struct run *run, struct child_row *ret, struct err *err);

/* How long the step at the cursor may take; 0: for ever. */
int64_t run_limit_ms(const struct run *run);

/* Call @fn of the step at the cursor, minding the deadline and its child.
 * Return: as the step. */
int cursor_call(struct run *run, step_fn *fn, const struct wake *wake, struct wait *next,
		struct err *err);

/* ---- fence.c ------------------------------------------------------------------ */

/* 0: nothing of the task can make things any more; STEP_WAIT; < 0: it can't be done. */
int fence_turn(struct run *run, struct wait *next, struct err *err);

/* ---- open.c --------------------------------------------------------------------- */

/* The rows of a new undoing run: closes nothing, moves nothing; within a transaction. */
int run_plan_undo(struct run *run, enum plan plan, struct err *err);

/* The rows of this run that were not begun are closed; within a transaction. */
int run_skip_rest(struct run *run, struct err *err);

/* What was planned to come after the step at the cursor is skipped, and planned anew from
 * the task's row; within a transaction. */
int run_replan(struct run *run, struct err *err);

/* ---- run.c ---------------------------------------------------------------------- */

/* A cursor on no run yet. */
int run_new(struct run **ret, struct engine *e, struct journal *j,
	    const struct run_options *options, struct err *err);
/* .exec, from member @name of @of; "" or absent: NULL. -ENOMEM. */
int run_set_exec(struct run *run, json_object *of, const char *name, struct err *err);

/* Read the task's row again: steps write to it. */
int run_load_task(struct run *run, struct err *err);
int64_t run_wall_ms(const struct run *run);
/* Wake again in @ms: fills *next, returns STEP_WAIT. */
int run_again(const struct run *run, int ms, struct wait *next);

/* ---- apply.c, undo.c: one turn. RUN_NONE_: go on with the other ------------------ */

enum run_state apply_turn(struct run *run, const struct wake *wake, struct wait *next);
enum run_state undo_turn(struct run *run, const struct wake *wake, struct wait *next);

/* A write failed. RUN_WAITING: busy, *next is filled; RUN_STUCK: fenced, over;
 * RUN_NONE_: it can't be written now, *err says why. */
enum run_state run_unwritten(struct run *run, struct wait *next, const struct err *err);

#endif
