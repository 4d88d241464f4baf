/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hook.c - hooks of the spec, for a unikernel that no OCI runtime makes: one after
 * another, each with the state of the container on its standard input.
 *
 * want: { "id", "bundle", "when": text, "status": text, "oci": version,
 *         "list": [ { "path", "args", "env", "timeout" } ], "annotations",
 *         "inside": true for those that the launched process runs }
 * have: { "done": how many have ended }
 *
 * Two kinds. "hook" runs them when it is applied, and has nothing to take back: that is
 * what the other one is for. "poststop" does nothing then, and runs them when it is
 * undone, from what is in the journal: the bundle may be gone. One that fails fails a
 * Create; of poststart and poststop it is noted, and the next one runs, unless the time
 * of them all is over.
 *
 * Those inside are run by the launched process, and die with it. createContainer hooks have
 * the node's root, as that process has then; startContainer hooks the monitor's, its user and
 * its capabilities, and one of these that fails ends the task.
 *
 * A hook that was under way when we died is run again.
 */
#include "supervisor/step/ending.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/bundle/json.h"

#include <errno.h>
#include <signal.h>
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

static bool is_when(struct step *step, const char *when)
{
	return strcmp(json_text(step->want, "when", ""), when) == 0;
}

static bool is_inside(struct step *step)
{
	return json_true(step->want, "inside");
}

static int wait_on(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	int fd = env->node->talk_fd(env->node, &step->task->init, err);

	next->fd = fd;
	return fd < 0 ? fd : STEP_WAIT;
}

/* The launched process runs it. */
static int order(struct step *step, struct step_env *env, json_object *args, struct wait *next,
		 struct err *err)
{
	const char *text;
	int rc;

	json_put(args, "user", json_object_new_boolean(is_when(step, "startContainer")));
	text = json_object_get_userdata(args) ? NULL : json_write(args);
	if (!text)
		return err_set(err, ENOMEM, "run a hook");
	crash_point("ordering");
	rc = env->node->tell(env->node, &step->task->init, text, err);
	return rc < 0 ? rc : wait_on(step, env, next, err);
}

/* The next one, if there is one. */
static int go_on(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	json_object *list = json_list(step->want, "list");
	size_t done = (size_t)json_int(step->have, "done", 0);
	json_object *args;
	char name[256];
	int rc;

	if (!list || done >= json_object_array_length(list))
		return STEP_DONE;
	args = json_object_new_object();
	if (args) {
		json_put(args, "hook", json_object_get(json_object_array_get_idx(list, done)));
		json_put(args, "state", state_of(step));
	}
	(void)name_of(step, name, sizeof(name));
	if (!is_inside(step) || !args)
		return step_job(step, env, JOB_HOOK, args, name, next, err);
	rc = order(step, env, args, next, err);
	json_object_put(args);
	return rc < 0 ? err_wrap(err, "%s", name) : rc;
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

/* How one has ended: 0, STEP_WAIT: not yet, or < 0. */
static int result(struct step *step, struct step_env *env, const struct wake *wake,
		  struct wait *next, struct err *err)
{
	auto_json json_object *said = NULL;
	char name[256];
	int rc;

	(void)name_of(step, name, sizeof(name));
	if (!is_inside(step))
		return step_job_result(env, wake, name, err);
	if (wake->why == WAKE_DEADLINE)
		return err_say(err, ETIMEDOUT, "%s: it took too long", name);
	rc = step_hear_init(step, env, &said, next, err);
	if (rc != STEP_DONE)
		return rc < 0 ? err_wrap(err, "%s", name) : rc;
	return json_true(said, "hooked")
		       ? 0
		       : err_say(err, EIO, "%s: %s", name, json_text(said, "text", "it failed"));
}

/* One has ended; @must: its failure is ours. */
static int ended(struct step *step, struct step_env *env, const struct wake *wake, bool must,
		 struct wait *next, struct err *err)
{
	struct err why = ERR_INIT;
	int rc = result(step, env, wake, next, &why);

	if (rc == STEP_WAIT)
		return rc;
	crash_point("hook-ended");
	if (rc < 0 && must) {
		*err = why;
		/* Who fails to start is stopped. */
		if (is_when(step, "startContainer"))
			(void)env->node->signal(env->node, &step->task->init, SIGKILL, NULL);
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
	if (wake->why == WAKE_CHILD || wake->why == WAKE_DEADLINE ||
	    (is_inside(step) && wake->why == WAKE_READY))
		return ended(step, env, wake, must, next, err);
	return go_on(step, env, next, err);
}

static int hook_apply(struct step *step, struct step_env *env, const struct wake *wake,
		      struct wait *next, struct err *err)
{
	bool must = !is_when(step, "poststart");

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
