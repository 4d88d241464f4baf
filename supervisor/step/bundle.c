/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle.c - the folder that containerd made: recorded, and looked over.
 *
 * want: { "path", "sandbox": true if it is a sandbox's, which has no config.json }
 * have: { "dir": identity }
 *
 * It is containerd's to remove, so undo leaves it; but when containerd has forgotten
 * the task nobody else would.
 */
#include "supervisor/step/step.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/spec.h"

#include <sys/stat.h>

extern const struct step_ops step_bundle;

/* Read and parse once, before anything is made: a bundle that can't work fails here. */
static int look_over(struct node *node, const char *bundle, struct err *err)
{
	struct spec spec = SPEC_INIT;
	int rc = spec_load(&spec, node, bundle, err);

	spec_clear(&spec);
	return rc;
}

static int remember(struct step *step, struct step_env *env, const char *path,
		    const struct path_ident *what, struct err *err)
{
	int rc = journal_begin(env->journal, err);

	if (rc < 0)
		return rc;
	json_put_path(step->have, "dir", what);
	rc = step_save(step, env, err);
	if (rc == 0)
		rc = journal_set_bundle(env->journal, path, what->dev, what->ino, err);
	if (rc == 0)
		return journal_commit(env->journal, err);
	journal_rollback(env->journal);
	return rc;
}

static int bundle_apply(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	const char *path = json_text(step->want, "path", "");
	struct path_ident what;
	int rc;

	(void)wake;
	(void)next;
	rc = env->node->path(env->node, path, &what, err);
	if (rc < 0)
		return rc;
	if (rc == 0 || !S_ISDIR(what.mode))
		return err_say(err, EINVAL, "bundle %s: there is no such folder", path);
	rc = remember(step, env, path, &what, err);
	return rc < 0 || json_true(step->want, "sandbox") ? rc : look_over(env->node, path, err);
}

static int bundle_undo(struct step *step, struct step_env *env, const struct wake *wake,
		       struct wait *next, struct err *err)
{
	const char *path = json_text(step->want, "path", "");
	struct path_ident mine;
	struct path_ident what;
	json_object *args;
	int rc;

	if (!env->forgotten || !json_path(step->have, "dir", &mine))
		return STEP_DONE;
	if (wake->why == WAKE_CHILD || wake->why == WAKE_DEADLINE) {
		rc = step_job_result(env, wake, "remove the bundle", err);
		if (rc != -ENOENT && rc != -ESTALE)
			return rc;
	}
	rc = env->node->path(env->node, path, &what, err);
	if (rc <= 0)
		return rc;
	if (what.dev != mine.dev || what.ino != mine.ino) {
		step_note(step, env, "left alone: %s is another folder now", path);
		return STEP_DONE;
	}
	args = json_object_new_object();
	if (!args)
		return err_set(err, ENOMEM, "remove the bundle");
	json_put_text(args, "path", path);
	json_put_uint(args, "dev", mine.dev);
	json_put_uint(args, "ino", mine.ino);
	return step_job(step, env, JOB_REMOVE_TREE, args, "remove the bundle", next, err);
}

static int bundle_verify(struct step *step, struct step_env *env, struct err *err)
{
	struct path_ident mine;
	struct path_ident what;
	int rc = env->node->path(env->node, json_text(step->want, "path", ""), &what, err);

	if (rc <= 0)
		return rc < 0 ? rc : FACT_ABSENT;
	if (!json_path(step->have, "dir", &mine))
		return FACT_UNSURE;
	return what.dev == mine.dev && what.ino == mine.ino ? FACT_PRESENT : FACT_FOREIGN;
}

const struct step_ops step_bundle = {
	.kind = "bundle",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 10000,
	.undo_ms = 60000,
	.apply = bundle_apply,
	.undo = bundle_undo,
	.verify = bundle_verify,
};
