/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hook.c - hooks of the spec, for a unikernel that no OCI runtime makes: one after
 * another, each with the state of the container on its standard input.
 *
 * want: { "id", "bundle", "when": text, "status": text, "oci": version,
 *         "list": [ { "path", "args", "env", "timeout" } ], "annotations" }
 * have: { "done": how many have ended }
 *
 * Two kinds. "hook" runs them when it is applied, and has nothing to take back: that is
 * what the other one is for. "poststop" does nothing then, and runs them when it is
 * undone, from what is in the journal: the bundle may be gone. One that fails fails a
 * Create; of poststart and poststop it is noted, and the next one runs, unless the time
 * of them all is over.
 *
 * A hook that was under way when we died is run again.
 */
#include "supervisor/step/step.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"

#include <errno.h>
#include <string.h>

extern const struct step_ops step_hook, step_poststop;

static json_object *member(json_object *o, const char *name)
{
	json_object *value = NULL;

	return o && json_object_object_get_ex(o, name, &value) ? value : NULL;
}

/* As of the OCI runtime specification. */
static json_object *state_of(struct step *step)
{
	json_object *o = json_object_new_object();
	json_object *annotations = member(step->want, "annotations");

	if (!o)
		return NULL;
	json_put_text(o, "ociVersion", json_text(step->want, "oci", ""));
	json_put_text(o, "id", json_text(step->want, "id", ""));
	json_put_text(o, "status", json_text(step->want, "status", ""));
	if (strcmp(json_text(step->want, "status", ""), "stopped") != 0)
		json_put_int(o, "pid", step->task->init.pid);
	json_put_text(o, "bundle", json_text(step->want, "bundle", ""));
	if (annotations)
		json_put(o, "annotations", json_object_get(annotations));
	return o;
}

static const char *name_of(struct step *step, char *text, size_t size)
{
	json_object *one = json_object_array_get_idx(json_list(step->want, "list"),
						     (size_t)json_int(step->have, "done", 0));

	(void)snprintf(text, size, "%s hook %s", json_text(step->want, "when", ""),
		       json_text(one, "path", ""));
	return text;
}

/* The next one, if there is one. */
static int go_on(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	json_object *list = json_list(step->want, "list");
	size_t done = (size_t)json_int(step->have, "done", 0);
	json_object *one;
	json_object *args;
	char name[256];

	if (!list || done >= json_object_array_length(list))
		return STEP_DONE;
	one = json_object_array_get_idx(list, done);
	args = json_object_new_object();
	if (args) {
		json_put(args, "hook", json_object_get(one));
		json_put(args, "state", state_of(step));
	}
	return step_job(step, env, JOB_HOOK, args, name_of(step, name, sizeof(name)), next, err);
}

/* Nobody would wait for the next one, nor end it. */
static int give_up(struct step *step, struct step_env *env)
{
	json_object *list = json_list(step->want, "list");

	if (list && (size_t)json_int(step->have, "done", 0) < json_object_array_length(list))
		step_note(step, env, "the time of the %s hooks is over: those after this one are "
			  "not run", json_text(step->want, "when", ""));
	return STEP_DONE;
}

/* One has ended; @must: its failure is ours. */
static int ended(struct step *step, struct step_env *env, const struct wake *wake, bool must,
		 struct wait *next, struct err *err)
{
	struct err why = ERR_INIT;
	char name[256];
	int rc = step_job_result(env, wake, name_of(step, name, sizeof(name)), &why);

	crash_point("hook-ended");
	if (rc < 0 && must) {
		*err = why;
		return err_say(err, EIO, "%s", why.text);
	}
	if (rc < 0)
		step_note(step, env, "%s", why.text);
	json_put_int(step->have, "done", json_int(step->have, "done", 0) + 1);
	rc = step_save(step, env, err);
	if (rc < 0)
		return rc;
	return wake->why == WAKE_DEADLINE ? give_up(step, env) : go_on(step, env, next, err);
}

static int run(struct step *step, struct step_env *env, const struct wake *wake, bool must,
	       struct wait *next, struct err *err)
{
	if (wake->why == WAKE_CHILD || wake->why == WAKE_DEADLINE)
		return ended(step, env, wake, must, next, err);
	return go_on(step, env, next, err);
}

static int hook_apply(struct step *step, struct step_env *env, const struct wake *wake,
		      struct wait *next, struct err *err)
{
	bool must = strcmp(json_text(step->want, "when", ""), "poststart") != 0;

	return run(step, env, wake, must, next, err);
}

static int poststop_undo(struct step *step, struct step_env *env, const struct wake *wake,
			 struct wait *next, struct err *err)
{
	return run(step, env, wake, false, next, err);
}

const struct step_ops step_hook = {
	.kind = "hook",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 30000,
	.undo_ms = 1000,
	.runtime = true,
	.apply = hook_apply,
	.undo = step_nothing,
};

const struct step_ops step_poststop = {
	.kind = "poststop",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 1000,
	.undo_ms = 30000,
	.runtime = true,
	.apply = step_nothing,
	.undo = poststop_undo,
};
