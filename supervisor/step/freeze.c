/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freeze.c - pause: freeze the container's processes; resume: let them go on.
 *
 * want: { "runtime", "root", "id", "bundle", "systemd" }
 * have: { "log_from" }
 *
 * There is nothing to take back: what is frozen can be killed, and the cgroup step
 * thaws what it empties. But a pause that fails for its time is no pause: a monitor goes on.
 */
#include "supervisor/oci/cli.h"
#include "supervisor/step/ending.h"

#include "journal/base/cleanup.h"

#include <errno.h>
#include <string.h>

extern const struct step_ops step_pause, step_resume;

/* ---- a monitor: by its cgroups, which are in the journal ----------------------------- */

#define LOOK_MS 20

/* One folder, of either version. 1: it can freeze, and *there says whether it has. */
static int freeze_one(struct node *node, const char *folder, bool freeze, bool *there)
{
	bool v2 = node->cgroup_write(node, folder, "cgroup.freeze", freeze ? "1" : "0", NULL) == 0;
	auto_free char *path = NULL;
	auto_free char *text = NULL;
	size_t len = 0;

	if (!v2 && node->cgroup_write(node, folder, "freezer.state", freeze ? "FROZEN" : "THAWED",
				      NULL) < 0)
		return 0;
	if (asprintf(&path, "%s/%s", folder, v2 ? "cgroup.events" : "freezer.state") < 0) {
		path = NULL;
		return 0;
	}
	*there = node->read_file(node, path, 4096, &text, &len, NULL) == 0 &&
		 strstr(text, v2 ? (freeze ? "frozen 1" : "frozen 0") : (freeze ? "FROZEN" : "THAWED"));
	return 1;
}

void step_thaw_monitor(struct step_env *env)
{
	auto_json json_object *have = step_have_of(env, "cgroup");
	json_object *folders = json_list(have, "folders");
	size_t n = folders ? json_object_array_length(folders) : 0;
	bool there;

	for (size_t i = 0; i < n; i++) {
		json_object *one = json_object_array_get_idx(folders, i);

		if (!json_true(one, "plain"))
			(void)freeze_one(env->node, json_text(one, "path", ""), false, &there);
	}
}

static int too_late(struct step *step, struct step_env *env, bool freeze, struct err *err)
{
	if (freeze)
		step_thaw_monitor(env);
	return step_late(step, step->ops->kind, err);
}

/* Where both versions are mounted, the first that freezes is enough. */
static int freeze_monitor(struct step *step, struct step_env *env, const struct wake *wake,
			  struct wait *next, struct err *err)
{
	auto_json json_object *have = step_have_of(env, "cgroup");
	json_object *folders = json_list(have, "folders");
	size_t n = folders ? json_object_array_length(folders) : 0;
	bool freeze = strcmp(step->ops->kind, "pause") == 0;
	bool there = false;

	if (wake->why == WAKE_DEADLINE)
		return too_late(step, env, freeze, err);
	for (size_t i = 0; i < n; i++) {
		json_object *one = json_object_array_get_idx(folders, i);

		if (!json_true(one, "plain") &&
		    freeze_one(env->node, json_text(one, "path", ""), freeze, &there))
			return there ? STEP_DONE : step_again(env, LOOK_MS, next);
	}
	return err_say(err, ENOTSUP, "%s: no cgroup of the monitor can be frozen", step->ops->kind);
}

static int freeze_apply(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	const char *const words[] = { step->ops->kind, json_text(step->want, "id", ""), NULL };
	const char *prefix = strcmp(words[0], "pause") == 0 ? "OCI runtime pause failed"
							    : "OCI runtime resume failed";
	int rc;

	if (runtime_kind_of(json_text(step->want, "runtime", "")) == RUNTIME_NATIVE)
		return freeze_monitor(step, env, wake, next, err);
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
	.undo = step_nothing,
};

const struct step_ops step_resume = {
	.kind = "resume",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 10000,
	.undo_ms = 1000,
	.runtime = true,
	.apply = freeze_apply,
	.undo = step_nothing,
};
