/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_ENGINE_ENGINE_H
#define URUNC_ENGINE_ENGINE_H

/*
 * engine.h - carries out the plans of one task's life, resumably.
 *
 * A run is a cursor over rows. It holds nothing that the rows do not: it may be
 * closed and reopened at any wake, by any later process. It never waits: run_wake()
 * does what can be done now and says what to wait for. Who waits is a driver: the
 * shim's loop (supervisor/service/loop.h), drive() here (poll), or the simulator.
 *
 * What a run does:
 *   - applying (serve, create, start, ...): probe, intend, apply, settle, step by step.
 *     A failed create or serve turns into undo by itself (the arrow of FAIL), a failed
 *     exec into the undo of that exec alone.
 *   - undoing (undo, exec_undo, finish, takedown): first the fence: every recorded child that
 *     may still make things is killed and waited for; when somebody else's rows are
 *     undone (env.recovering), also what it left: processes whose session, working
 *     folder or root is this task's, then the predicted cgroups. Then the scope's
 *     rows, newest first. An undo that fails is recorded (stuck) and the others go
 *     on; then the run ends STUCK.
 *
 * Several runs that lie beside others (plan_beside()) may be open at once. What undoes
 * them (undo, takedown) must not be begun while this process still drives one.
 *
 * All writes of a task's state are made here, from life.h's table.
 */

#include "supervisor/life/life.h"
#include "supervisor/step/step.h"

struct plan_list;
typedef int plan_fn(struct plan_list *ret, enum plan plan, const struct task_row *task,
		    json_object *request, json_object *args, struct err *err);

/* What all runs of a process share. Lent to them. */
struct engine {
	struct node *node;
	const struct config *config;
	/* What containerd said when it called us: its address and the bundle. NULL, or "":
	 * it did not. */
	const char *address, *bundle;
	/* NULL: the real ones, step_kinds and plan_make(). Tests bring their own. */
	const struct step_ops *const *kinds;
	plan_fn *make;
};

enum run_state {
	RUN_NONE_,
	RUN_WAITING, /* see *next                                                */
	RUN_DONE,    /* the plan was carried out                                 */
	RUN_UNDONE,  /* it failed and all of it was taken back; run_error() why   */
	RUN_FAILED,  /* start, pause, kill, ...: it failed, the task stays; run_error()
	                why                                                       */
	RUN_STUCK,   /* something could not be taken back; run_error() what. The code is
	                that of the first failure                              */
};

struct run;

/* What a run needs besides the rows; copied. */
struct run_options {
	int stdio[3];    /* see step_env; -1: none   */
	bool recovering; /* see step_env             */
	bool forgotten;  /* see step_env             */
	bool shared;     /* see step_env             */
	int *ret_console_fd; /* see step_env       */
	/* The serve plan's; see step_env */
	int *ret_listen_fd;
	int (*serve)(void *);
	void *serve_arg;
	/* EV_KILL */
	uint32_t signal;
	bool all;
	/* EV_CREATE: committed as the task row's request (plan.h) with the plan. */
	const char *request;
	/* EV_EXEC, EV_EXEC_DELETE, EV_UPDATE, EV_CHECKPOINT: JSON, see plan.h */
	const char *args;
	const char *input; /* EV_EXEC: see step_env */
};
#define RUN_OPTIONS_INIT { .stdio = { -1, -1, -1 } }

/**
 * run_open() - let an event happen to a task, and open the run of its plan
 * @j:		its journal, owned (OWN or CREATE); lent until run_close()
 * @ev:		an event whose arrow has a plan
 *
 * The move and the planned rows are one commit. Nothing was done yet: call
 * run_wake() with WAKE_BEGIN.
 *
 * Return: 0; the arrow's refusal (its .code, its words); -ENOSPC and the like: the
 * plan can't be written and nothing may be done.
 */
int run_open(struct run **ret, struct engine *e, struct journal *j, enum life_event ev,
	     const struct run_options *options, struct err *err);

/* The same for the serve plan, which no event but `start` begins: the task is NEW, and
 * stays NEW when it is done. @args: JSON, see plan.h. */
int run_serve(struct run **ret, struct engine *e, struct journal *j, const char *args,
	      const struct run_options *options, struct err *err);

/* Reopen the newest run that is not closed. 1: there is one; 0: none. Wake it with
 * WAKE_RESUME. */
int run_resume(struct run **ret, struct engine *e, struct journal *j,
	       const struct run_options *options, struct err *err);

/**
 * run_wake() - go on as far as possible
 * @wake:	why; .child is filled here, a caller leaves it NULL
 * @next:	filled when RUN_WAITING is returned: the first of them that happens is
 *		the next wake. at_ms already knows the step's deadline.
 *
 * Never blocks. After any other answer than RUN_WAITING the run is over: the same
 * answer is given again and nothing happens. A run that was fenced (-ESTALE in
 * run_error()) ends RUN_STUCK with no further step called.
 *
 * A journal that can't be written: an apply is not begun; what is being undone is
 * undone all the same, then RUN_STUCK with words that say it is not recorded.
 */
enum run_state run_wake(struct run *run, const struct wake *wake, struct wait *next);

/* The child in wait.child_seq, to watch and reap it: node->watch(), and when that is
 * readable node->reap(), then run_wake() with WAKE_CHILD and the status. -ENOENT: the
 * run waits for none. */
int run_child(struct run *run, struct ident *ret);

/* Close the cursor. Rows stay. NULL is fine; returns NULL. */
struct run *run_close(struct run *run);

enum plan run_plan(const struct run *run);
/* The sentence of what went wrong first; code 0 and "" if nothing did. Lent. */
const struct err *run_error(const struct run *run);
/* The task's state now, as journalled. */
enum life_state run_life(const struct run *run);

/* An event without a plan (EXIT). One commit; *now: the state after. */
int engine_fire(struct journal *j, enum life_event ev, enum life_state *now, struct err *err);

/**
 * drive() - the poll driver: wake a run until it ends
 * @deadline_ms:	node->now_ms() time to stop at, 0: none
 * @tick:	called about every 100 ms while waiting, and after every wake; nonzero
 *		stops; may be NULL
 *
 * Return: how the run ended; RUN_WAITING if stopped (rows stay, to be resumed).
 */
enum run_state drive(struct run *run, struct node *node, int64_t deadline_ms,
		     int (*tick)(void *arg), void *arg);

#endif
