/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freeze.c - pause: freeze the container's processes; resume: let them go on.
 *
 * want: { "runtime", "root", "id", "bundle", "systemd" }
 * have: { "log_from" }
 *
 * There is nothing to take back: what is frozen can be killed, and the cgroup step
 * thaws what it empties.
 */
#include "supervisor/oci/cli.h"

#include <errno.h>
#include <string.h>

extern const struct step_ops step_pause, step_resume;

static int freeze_apply(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	const char *const words[] = { step->ops->kind, json_text(step->want, "id", ""), NULL };
	const char *prefix = strcmp(words[0], "pause") == 0 ? "OCI runtime pause failed"
							    : "OCI runtime resume failed";
	int rc;

	if (wake->why == WAKE_RESUME)
		return err_say(err, EINTR, "%s: it was interrupted, and may have happened", prefix);
	if (wake->why != WAKE_BEGIN)
		return oci_call_result(step, env, wake, prefix, err);
	rc = oci_call(step, env, words, SPAWN_NULL, next, err);
	return rc < 0 ? err_wrap(err, "%s", prefix) : rc;
}

const struct step_ops step_pause = {
	.kind = "pause",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 10000,
	.undo_ms = 1000,
	.runtime = true,
	.apply = freeze_apply,
	.undo = step_undo_nothing,
};

const struct step_ops step_resume = {
	.kind = "resume",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 10000,
	.undo_ms = 1000,
	.runtime = true,
	.apply = freeze_apply,
	.undo = step_undo_nothing,
};
