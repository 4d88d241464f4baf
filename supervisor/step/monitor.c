/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor.c - let the launched process become its monitor, or hold its sandbox.
 *
 * want: { "id", "bundle", "unikernel" or "sandbox" }
 * have: { "exec": true }  once it has said that it will
 *
 * Its words are made of what the steps of Create have found; they are told to it, and
 * not written down: a guest's command line may hold secrets. Done is when its end of
 * the talk was closed by the exec. One that holds a sandbox is told {"pause":true}, and
 * closes it itself. There is nothing to take back: what runs is the process of the
 * launch step.
 */
#include "supervisor/step/step.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/bundle/json.h"
#include "supervisor/bundle/spec.h"
#include "supervisor/unikernel/order.h"

#include <errno.h>

#define PREFIX "start failed"

extern const struct step_ops step_monitor;

static json_object *member(json_object *o, const char *name)
{
	json_object *value = NULL;

	return o && json_object_object_get_ex(o, name, &value) ? value : NULL;
}

static int order_pause(struct step *step, struct step_env *env, struct err *err)
{
	crash_point("ordering");
	return env->node->tell(env->node, &step->task->init, "{\"pause\":true}", err);
}

static int order(struct step *step, struct step_env *env, struct err *err)
{
	auto_json json_object *choice = step_have_of(env, "rootfs-choice");
	auto_json json_object *launch = step_have_of(env, "launch");
	auto_json json_object *net = step_have_of(env, "network");
	struct spec spec = SPEC_INIT;
	struct order_in in = { .unikernel = member(step->want, "unikernel"), .choice = choice,
			       .launch = launch, .net = net, .spec = &spec };
	auto_free char *task = NULL;
	auto_free char *text = NULL;
	int rc;

	/* None of it would be a guest without a disk, or a network. */
	if (!choice || !launch || !net)
		return err_say(err, EIO, "what Create has found can't be read from the journal");
	if (asprintf(&task, "%s/%s/%s", step->task->key.daemon, step->task->key.ns,
		     step->task->key.id) < 0) {
		task = NULL;
		return err_set(err, ENOMEM, "order the start");
	}
	in.task = task;
	rc = spec_load(&spec, env->node, json_text(step->want, "bundle", ""), err);
	if (rc == 0)
		rc = order_make(&text, &in, err);
	spec_clear(&spec);
	if (rc < 0)
		return rc;
	crash_point("ordering");
	return env->node->tell(env->node, &step->task->init, text, err);
}

static int wait_on(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	int fd = env->node->talk_fd(env->node, &step->task->init, err);

	if (fd < 0)
		return fd;
	next->fd = fd;
	return STEP_WAIT;
}

static int heard(struct step *step, struct step_env *env, const char *text, struct err *err)
{
	auto_json json_object *said = json_read(text);
	const char *error = json_text(said, "error", "");

	if (error[0])
		return err_say(err, EIO, "%s", error);
	if (!json_true(said, "exec"))
		return err_say(err, EPROTO, "it said what nobody understands");
	json_put(step->have, "exec", json_object_new_boolean(true));
	return step_save(step, env, err);
}

static int listen_to(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	struct err silent = ERR_INIT;

	for (;;) {
		auto_free char *text = NULL;
		int rc = env->node->hear(env->node, &step->task->init, &text, &silent);

		if (rc == 0)
			return wait_on(step, env, next, err);
		if (rc < 0 && json_true(step->have, "exec"))
			return STEP_DONE;
		if (rc < 0)
			return err_say(err, EIO, "it ended before it became the monitor");
		rc = heard(step, env, text, err);
		if (rc < 0)
			return rc;
	}
}

static int monitor_apply(struct step *step, struct step_env *env, const struct wake *wake,
			 struct wait *next, struct err *err)
{
	int rc = 0;

	if (wake->why == WAKE_RESUME)
		return err_say(err, EINTR, PREFIX ": it was interrupted, and may have happened");
	if (wake->why == WAKE_DEADLINE)
		return step_late(step, "the start", err);
	if (wake->why == WAKE_BEGIN)
		rc = member(step->want, "sandbox") ? order_pause(step, env, err)
						   : order(step, env, err);
	if (rc == 0)
		rc = listen_to(step, env, next, err);
	if (rc == STEP_DONE)
		crash_point("started");
	return rc < 0 ? err_wrap(err, PREFIX) : rc;
}

const struct step_ops step_monitor = {
	.kind = "monitor",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 10000,
	.undo_ms = 1000,
	.apply = monitor_apply,
	.undo = step_nothing,
};
