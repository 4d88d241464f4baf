/* SPDX-License-Identifier: Apache-2.0 */
/*
 * update.c - other resources for the container.
 *
 * want: { "runtime", "root", "id", "bundle", "systemd" }
 * have: { "log_from" }
 *
 * The resources, JSON, are what can be read from env.stdio[0]. There is nothing to take
 * back: the cgroups go with the cgroup step.
 */
#include "supervisor/oci/cli.h"

#include <errno.h>

#define PREFIX "OCI runtime update failed"

extern const struct step_ops step_update;

static int update_apply(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	const char *const words[] = { "update", "--resources", "-",
				      json_text(step->want, "id", ""), NULL };
	int rc;

	if (wake->why == WAKE_RESUME)
		return err_say(err, EINTR, PREFIX ": it was interrupted, and may have happened");
	if (wake->why != WAKE_BEGIN)
		return oci_call_result(step, env, wake, PREFIX, err);
	if (env->stdio[0] < 0)
		return err_say(err, EINVAL, PREFIX ": no resources are given");
	rc = oci_call(step, env, words, env->stdio[0], next, err);
	return rc < 0 ? err_wrap(err, PREFIX) : rc;
}

const struct step_ops step_update = {
	.kind = "update",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 10000,
	.undo_ms = 1000,
	.runtime = true,
	.apply = update_apply,
	.undo = step_nothing,
};
