/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c - the process that serves: `start` forks it and goes.
 *
 * want: { "join": true if we are the server already, and this is one more task }
 * have: { "shim": identity }
 *
 * It is no child row: children are work that a fence ends, and this is the one that
 * stays. It waits at its gate until its identity is committed, here and in the task's
 * row. `start` dies right after opening the gate: the server itself goes on with the
 * plan, and is what it asks for.
 */
#include "supervisor/step/step.h"

#include "journal/base/crash.h"

#include <errno.h>
#include <signal.h>

extern const struct step_ops step_server;

static int remember(struct step *step, struct step_env *env, const struct ident *who,
		    struct err *err)
{
	int rc = journal_begin(env->journal, err);

	if (rc < 0)
		return rc;
	json_put_ident(step->have, "shim", who);
	rc = step_save(step, env, err);
	if (rc == 0)
		rc = journal_set_shim(env->journal, who, err);
	if (rc == 0)
		return journal_commit(env->journal, err);
	journal_rollback(env->journal);
	return rc;
}

/* 1: we are the server that the row names; 0. */
static int is_self(struct step *step, struct node *node, struct err *err)
{
	struct ident self;
	struct ident who;
	int rc;

	if (!json_ident(step->have, "shim", &who) ||
	    !epoch_same_pids(step->task->epoch, node->epoch(node)))
		return 0;
	rc = node->self(node, &self, err);
	return rc < 0 ? rc : self.pid == who.pid && self.start == who.start;
}

static int server_apply(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	struct node *node = env->node;
	struct spawn spawn = {
		.job = JOB_CALL,
		.call = env->serve,
		.call_arg = env->serve_arg,
		.in = SPAWN_NULL,
		.out = SPAWN_NULL,
		.err = SPAWN_NULL,
		.keep = env->ret_listen_fd, /* what it serves on */
		.nkeep = env->ret_listen_fd ? 1 : 0,
	};
	struct ident who;
	int rc;

	(void)next;
	rc = is_self(step, node, err);
	if (rc)
		return rc < 0 ? rc : STEP_DONE;
	if (json_true(step->want, "join")) {
		rc = node->self(node, &who, err);
		return rc < 0 ? rc : remember(step, env, &who, err);
	}
	/* Begun by another process: its child has read end of file and is gone. */
	if (wake->why != WAKE_BEGIN || !env->serve)
		return err_say(err, EINTR, "the start of the shim was interrupted; start it again");
	rc = node->spawn(node, &spawn, &who, err);
	if (rc < 0)
		return err_wrap(err, "fork the shim");
	crash_point("server-held");
	rc = remember(step, env, &who, err);
	if (rc == 0) {
		crash_point("server-known");
		rc = node->spawn_go(node, &who, err);
	}
	if (rc < 0)
		(void)node->signal(node, &who, SIGKILL, NULL);
	/* It outlives us: nobody here waits for it. */
	node->forget(node, &who);
	return rc < 0 ? err_wrap(err, "fork the shim") : STEP_DONE;
}

static int server_undo(struct step *step, struct step_env *env, const struct wake *wake,
		       struct wait *next, struct err *err)
{
	struct node *node = env->node;
	struct ident who;
	int rc;

	if (wake->why == WAKE_DEADLINE)
		return step_late(step, "the end of the shim", err);
	if (!json_ident(step->have, "shim", &who) ||
	    !epoch_same_pids(step->task->epoch, node->epoch(node)))
		return STEP_DONE;
	/* The shim that takes itself down ends by itself, after the last row. */
	rc = is_self(step, node, err);
	if (rc)
		return rc < 0 ? rc : STEP_DONE;
	if (env->shared) {
		step_note(step, env, "left to its other tasks: shim %d", (int)who.pid);
		return STEP_DONE;
	}
	rc = step_kill(env, &who, next, err);
	if (rc == STEP_DONE)
		node->forget(node, &who);
	return rc;
}

static int server_verify(struct step *step, struct step_env *env, struct err *err)
{
	struct ident who;
	int rc;

	if (!json_ident(step->have, "shim", &who) ||
	    !epoch_same_pids(step->task->epoch, env->node->epoch(env->node)))
		return FACT_ABSENT;
	rc = env->node->alive(env->node, &who, err);
	return rc < 0 ? rc : rc ? FACT_PRESENT : FACT_ABSENT;
}

const struct step_ops step_server = {
	.kind = "server",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 5000,
	.undo_ms = 5000,
	.apply = server_apply,
	.undo = server_undo,
	.verify = server_verify,
};
