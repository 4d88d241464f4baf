/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signal.c - send a signal to init, or to everything in the container.
 *
 * want: { "runtime", "root", "id", "bundle", "systemd", "signal": n, "all": bool,
 *         "paused": bool }
 * have: { "until_ms": until when a power button's answer is waited for }
 *
 * By pidfd where init takes signals like any process; by the runtime's kill where it
 * must do more: all processes, a frozen cgroup, a monitor with its own way to stop.
 * SIGTERM to a monitor of ours is the press of its guest's power button, where that can be
 * heard; if that fails, the signal is sent after all.
 * -ESRCH is what the caller reads as "not found"; ENOENT may be any missing file.
 */
#include "supervisor/guest/power.h"
#include "supervisor/oci/cli.h"
#include "supervisor/step/ending.h"

#include "journal/base/cleanup.h"

#include <signal.h>
#include <string.h>

extern const struct step_ops step_signal;

static int finished(struct err *err)
{
	return err_say(err, ESRCH, "process already finished");
}

static int by_pidfd(struct step *step, struct step_env *env, bool again, struct err *err)
{
	int rc = env->node->signal(env->node, &step->task->init,
				   (int)json_int(step->want, "signal", 0), err);

	if (rc == -ESRCH)
		return again ? STEP_DONE : finished(err);
	return rc;
}

static bool asks_guest(struct step *step, struct step_env *env)
{
	return json_int(step->want, "signal", 0) == SIGTERM && !json_true(step->want, "paused") &&
	       power_can_be_asked(env);
}

/* A monitor is one process; frozen, it takes a SIGKILL when it goes on. */
static int to_monitor(struct step *step, struct step_env *env, const struct wake *wake,
		      struct wait *next, struct err *err)
{
	struct err why = ERR_INIT;
	bool asks = asks_guest(step, env);
	int rc = asks ? power_ask(step, env, wake, next, &why) : -ENOTSUP;

	if (rc >= 0)
		return rc;
	if (rc == -ESTALE) { /* the task is another's */
		*err = why;
		return rc;
	}
	rc = by_pidfd(step, env, wake->why == WAKE_RESUME, err);
	if (rc == 0 && asks)
		step_note(step, env, "its guest could not be asked to power off (%s): its monitor got "
			  "SIGTERM", why.text);
	if (rc == 0 && json_true(step->want, "paused") && json_int(step->want, "signal", 0) == SIGKILL)
		step_thaw_monitor(env);
	return rc;
}

static int call_kill(struct step *step, struct step_env *env, struct wait *next,
		     struct err *err)
{
	struct oci_args args = { .n = 0 };
	struct spawn spawn = {
		.job = JOB_EXEC,
		.in = SPAWN_NULL,
		.out = SPAWN_CAPTURE,
		.err = SPAWN_CAPTURE,
		.die_with_us = true,
	};
	char number[16];

	(void)snprintf(number, sizeof(number), "%d", (int)json_int(step->want, "signal", 0));
	oci_args_begin(&args, step->want, NULL);
	oci_arg(&args, "kill");
	if (json_true(step->want, "all"))
		oci_arg(&args, "--all");
	oci_arg(&args, json_text(step->want, "id", ""));
	oci_arg(&args, number);
	spawn.argv = args.at;
	return step_spawn(step, env, &spawn, "runtime kill", next, err);
}

/* The words of the runtimes, and the two answers that clients tell apart. */
static int explain(struct err *why, struct err *err)
{
	if (strstr(why->text, "os: process already finished") ||
	    strstr(why->text, "container not running") ||
	    strcasestr(why->text, "no such process"))
		return finished(err);
	if (strstr(why->text, "does not exist"))
		return err_say(err, ESRCH, "no such container");
	return err_say(err, why->code, "unknown error after kill: %s", why->text);
}

static int signal_apply(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	enum runtime_kind kind = runtime_kind_of(json_text(step->want, "runtime", ""));
	/* A SIGKILL may be sent twice; of others nobody knows whether they were. */
	bool again = wake->why == WAKE_RESUME;
	struct err why = ERR_INIT;

	if (again && json_int(step->want, "signal", 0) != SIGKILL)
		return err_say(err, EINTR, "unknown error after kill: it was interrupted, and may "
			       "have happened");
	if (runtime_is_none(kind))
		return to_monitor(step, env, wake, next, err);
	if (again || wake->why == WAKE_BEGIN) {
		if (runtime_takes_pidfd(kind) && !json_true(step->want, "all") &&
		    !json_true(step->want, "paused") && step->task->init.pid > 0)
			return by_pidfd(step, env, again, err);
		return call_kill(step, env, next, err);
	}
	if (oci_result(step, env, wake, json_text(step->want, "runtime", ""), NULL, 0, &why) < 0)
		return explain(&why, err);
	if (json_true(step->want, "paused") && json_int(step->want, "signal", 0) == SIGKILL)
		oci_thaw(env->node, &step->task->init, json_text(step->want, "id", ""));
	return STEP_DONE;
}

const struct step_ops step_signal = {
	.kind = "signal",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 10000,
	.undo_ms = 1000,
	.runtime = true,
	.apply = signal_apply,
	.undo = step_nothing,
};
