/* SPDX-License-Identifier: Apache-2.0 */
/*
 * root.c - the launched process, which has waited for the createContainer hooks before that,
 * makes its root and stands in it.
 *
 * want: { "id", "bundle", "unikernel" }
 * have: { }
 *
 * There is nothing to take back: the root is the process's own, and goes with it.
 */
#include "supervisor/step/ending.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"

#include <errno.h>

#define PREFIX "launch failed"

extern const struct step_ops step_root;

static int listen_to(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	auto_json json_object *said = NULL;
	int rc = step_hear_init(step, env, &said, next, err);

	if (rc != STEP_DONE)
		return rc;
	if (!json_true(said, "built"))
		return err_say(err, EPROTO, "it said what nobody understands");
	crash_point("built");
	return STEP_DONE;
}

static int root_apply(struct step *step, struct step_env *env, const struct wake *wake,
		      struct wait *next, struct err *err)
{
	int rc = 0;

	if (wake->why == WAKE_RESUME)
		return err_say(err, EINTR, PREFIX ": it was interrupted; create the task again");
	if (wake->why == WAKE_DEADLINE)
		return step_late(step, "the launch", err);
	if (wake->why == WAKE_BEGIN)
		rc = env->node->tell(env->node, &step->task->init, "{\"build\":true}", err);
	if (rc == 0)
		rc = listen_to(step, env, next, err);
	return rc < 0 ? err_wrap(err, PREFIX) : rc;
}

const struct step_ops step_root = {
	.kind = "root",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 20000,
	.undo_ms = 1000,
	.apply = root_apply,
	.undo = step_nothing,
};
