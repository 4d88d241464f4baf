/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start.c - let the created init go.
 *
 * want: { "runtime", "root", "id", "bundle", "systemd" }
 * have: { "log_from" }
 *
 * There is nothing to take back: what runs is the init of the create plan.
 */
#include "supervisor/oci/cli.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"

#define PREFIX "OCI runtime start failed"

extern const struct step_ops step_start;

static int begin(struct step *step, struct step_env *env, const char *log, struct wait *next,
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
	int rc;

	json_put_int(step->have, "log_from", oci_log_size(env->node, log));
	rc = step_save(step, env, err);
	if (rc < 0)
		return rc;
	oci_args_begin(&args, step->want, log);
	oci_arg(&args, "start");
	oci_arg(&args, json_text(step->want, "id", ""));
	spawn.argv = args.at;
	return step_spawn(step, env, &spawn, "runtime start", next, err);
}

static int start_apply(struct step *step, struct step_env *env, const struct wake *wake,
		       struct wait *next, struct err *err)
{
	auto_free char *log = oci_bundle_path(step->want, "log.json");
	int rc;

	if (!log)
		return err_set(err, ENOMEM, PREFIX);
	if (wake->why == WAKE_BEGIN) {
		rc = begin(step, env, log, next, err);
		return rc < 0 ? err_wrap(err, PREFIX) : rc;
	}
	if (wake->why == WAKE_RESUME)
		return err_say(err, EINTR, PREFIX ": it was interrupted, and may have happened");
	rc = oci_result(step, env, wake, PREFIX, log, json_int(step->have, "log_from", 0), err);
	if (rc == 0)
		crash_point("started");
	return rc;
}

static int start_undo(struct step *step, struct step_env *env, const struct wake *wake,
		      struct wait *next, struct err *err)
{
	(void)step;
	(void)env;
	(void)wake;
	(void)next;
	(void)err;
	return STEP_DONE;
}

const struct step_ops step_start = {
	.kind = "start",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 10000,
	.undo_ms = 1000,
	.runtime = true,
	.apply = start_apply,
	.undo = start_undo,
};
