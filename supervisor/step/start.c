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

#include "journal/base/crash.h"

#include <errno.h>

#define PREFIX "OCI runtime start failed"

extern const struct step_ops step_start;

static int start_apply(struct step *step, struct step_env *env, const struct wake *wake,
		       struct wait *next, struct err *err)
{
	const char *const words[] = { "start", json_text(step->want, "id", ""), NULL };
	int rc;

	if (wake->why == WAKE_BEGIN) {
		rc = oci_call(step, env, words, SPAWN_NULL, next, err);
		return rc < 0 ? err_wrap(err, PREFIX) : rc;
	}
	if (wake->why == WAKE_RESUME)
		return err_say(err, EINTR, PREFIX ": it was interrupted, and may have happened");
	rc = oci_call_result(step, env, wake, PREFIX, err);
	if (rc == 0)
		crash_point("started");
	return rc;
}

const struct step_ops step_start = {
	.kind = "start",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 10000,
	.undo_ms = 1000,
	.runtime = true,
	.apply = start_apply,
	.undo = step_nothing,
};
