/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unikernel.c - is it a unikernel? Asked of the rootfs, where the annotations do not say,
 * and if the operator wants that, of containerd before.
 *
 * want: { "no_runtime": why there is no OCI runtime that could run it, if there is none }
 * have: { "unikernel": see annotations.h } or { "none": why it is none };
 *       "origin": { "type": "label", ... } of what was not said by the rootfs; "trouble":
 *       why containerd gave no whole answer
 *
 * One that we launch ourselves needs other steps than a container, so this comes before
 * all of those: with what it has found, the task becomes one without an OCI runtime, in
 * the commit of its have, and the engine plans the rest anew.
 *
 * It holds nothing on the host, and changes nothing. A child looks, for a file system may
 * hang; and no trouble with looking makes an ordinary container fail.
 */
#include "supervisor/bundle/request.h"
#include "supervisor/bundle/spec.h"
#include "supervisor/oci/runtime.h"
#include "supervisor/step/step.h"
#include "supervisor/unikernel/facts.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/bundle/json.h"

#include <errno.h>

extern const struct step_ops step_unikernel;

#define LOOK "look into the rootfs for a unikernel"

static int put_none(struct step *step, struct step_env *env, const struct err *why,
		    struct err *err)
{
	const char *missing = json_text(step->want, "no_runtime", "");

	if (missing[0])
		return err_say(err, ENOEXEC, "%s", missing);
	json_put_text(step->have, "none", why->text);
	return step_save(step, env, err);
}

/* What Create would have asked for, had the annotations said it. */
static int put_request(struct step *step, struct step_env *env, json_object *unikernel,
		       struct err *err)
{
	auto_json json_object *request = NULL;
	struct spec spec = SPEC_INIT;
	int rc = json_read_row(&request, step->task->request, "the request of the task", err);

	if (rc == 0)
		rc = spec_load(&spec, env->node, step->task->bundle, err);
	if (rc == 0)
		rc = request_unikernel(request, &spec, unikernel, err);
	spec_clear(&spec);
	return rc < 0 ? rc : journal_set_text(env->journal, TASK_REQUEST, json_write(request), err);
}

static int put_unikernel(struct step *step, struct step_env *env, json_object *unikernel,
			 struct err *err)
{
	int rc = journal_begin(env->journal, err);

	if (rc < 0)
		return rc;
	json_put(step->have, "unikernel", json_object_get(unikernel));
	rc = step_save(step, env, err);
	if (rc == 0)
		rc = put_request(step, env, unikernel, err);
	if (rc == 0)
		rc = journal_set_text(env->journal, TASK_RUNTIME, RUNTIME_NATIVE_NAME, err);
	if (rc == 0)
		return journal_commit(env->journal, err);
	journal_rollback(env->journal);
	return rc;
}

/* Who said what, and what containerd did not. */
static void keep_answers(struct step *step, struct step_env *env, json_object *found)
{
	const char *trouble = json_text(found, "trouble", NULL);
	json_object *origin = NULL;

	if (json_object_object_get_ex(found, "origin", &origin))
		json_put(step->have, "origin", json_object_get(origin));
	if (!trouble)
		return;
	json_put_text(step->have, "trouble", trouble);
	step_note(step, env, "containerd was asked for annotations: %s", trouble);
}

static int looked(struct step *step, struct step_env *env, const struct wake *wake,
		  struct err *err)
{
	auto_free char *text = NULL;
	auto_json json_object *found = NULL;
	json_object *unikernel = NULL;
	struct err why = ERR_INIT;
	int rc = step_job_answer(env, wake, LOOK, &text, &why);

	if (rc == 0)
		found = text ? json_read(text) : NULL;
	keep_answers(step, env, found);
	if (found && json_object_object_get_ex(found, "unikernel", &unikernel))
		rc = put_unikernel(step, env, unikernel, err);
	else if (rc == 0)
		(void)err_say(&why, EIO, "%s", json_text(found, "none", LOOK ": no answer came"));
	if (!unikernel)
		rc = put_none(step, env, &why, err);
	crash_point("decided");
	return rc;
}

static void put_question(const struct task_row *task, json_object *look)
{
	json_object *ask = json_object_new_object();

	if (!ask)
		return;
	json_put_text(ask, "address", task->address);
	json_put_text(ask, "ns", task->key.ns);
	json_put_text(ask, "id", task->key.id);
	json_put(look, "ask", ask);
}

static int begin(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	json_object *look = json_object_new_object();
	auto_free char *root = NULL;
	struct spec spec = SPEC_INIT;
	struct err why = ERR_INIT;
	int rc = spec_load(&spec, env->node, step->task->bundle, &why);

	if (rc == 0)
		rc = facts_root(&root, &spec, step->task->bundle, &why);
	if (rc == 0 && look) {
		json_put_text(look, "root", root);
		if (spec.annotations)
			json_put(look, "annotations", json_object_get(spec.annotations));
		if (env->config->ask_containerd)
			put_question(step->task, look);
	}
	spec_clear(&spec);
	if (rc == 0)
		return step_job(step, env, JOB_LOOK, look, LOOK, next, err);
	json_object_put(look);
	return put_none(step, env, &why, err);
}

static int unikernel_apply(struct step *step, struct step_env *env, const struct wake *wake,
			   struct wait *next, struct err *err)
{
	if (wake->why == WAKE_CHILD || wake->why == WAKE_DEADLINE)
		return looked(step, env, wake, err);
	return begin(step, env, next, err);
}

const struct step_ops step_unikernel = {
	.kind = "unikernel",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 5000,
	.undo_ms = 1000,
	.replans = "unikernel",
	.apply = unikernel_apply,
	.undo = step_nothing,
};
