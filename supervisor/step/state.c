/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.c - the folder where the OCI runtime keeps what it knows of this id.
 *
 * want: { "runtime", "root", "id", "bundle", "systemd" }   see oci/cli.h
 * have: { "foreign": 1 }                                   if it is another's after all
 *
 * The runtime makes the folder itself, in the init step; this step claims the name. A
 * folder that is there already is another container's: a second create of its id
 * would fail, and the natural undo, delete --force, would destroy the first one. The
 * lock keeps every other shim off the id from the intent until the folder is gone.
 */
#include "supervisor/oci/cli.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/config.h"

#include <sys/stat.h>

extern const struct step_ops step_state;

/* FNV-1a: lock files need short names, and a collision only makes two ids take turns. */
static uint64_t hash(const char *text)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return h;
}

static char *lock_path(struct step_env *env, const char *folder)
{
	char *path = NULL;

	return asprintf(&path, "%s/lock/state/%016llx", env->config->run,
			(unsigned long long)hash(folder)) < 0
		       ? NULL
		       : path;
}

static int probe_folder(struct step *step, struct node *node, const char *folder,
			struct err *err)
{
	struct path_ident what;
	int rc = node->path(node, folder, &what, err);

	if (rc < 0)
		return rc;
	if (rc == 0)
		return FACT_ABSENT;
	(void)err_say(err, EEXIST, "container %s: %s already exists: another container has this "
		      "id there; to remove it: %s --root %s delete %s",
		      json_text(step->want, "id", ""), folder,
		      json_text(step->want, "runtime", ""), json_text(step->want, "root", ""),
		      json_text(step->want, "id", ""));
	return FACT_FOREIGN;
}

/* Without the lock, which is a file and so has to wait for the intent. */
static int state_probe(struct step *step, struct step_env *env, struct err *err)
{
	auto_free char *folder = oci_state_path(step->want);

	if (!folder)
		return err_set(err, ENOMEM, "look for the runtime's state");
	return probe_folder(step, env->node, folder, err);
}

/* Somebody made the folder between our probe and our lock: it is not ours to undo. */
static int refuse(struct step *step, struct step_env *env, const char *lock, struct err *err)
{
	struct err other = ERR_INIT;
	int rc;

	json_put_int(step->have, "foreign", 1);
	rc = step_save(step, env, &other);
	if (rc < 0)
		*err = other;
	(void)env->node->unlock(env->node, lock, NULL);
	return rc < 0 ? rc : -EEXIST;
}

/* A process that comes later takes the lock again. */
static int state_apply(struct step *step, struct step_env *env, const struct wake *wake,
		       struct wait *next, struct err *err)
{
	auto_free char *folder = oci_state_path(step->want);
	auto_free char *lock = folder ? lock_path(env, folder) : NULL;
	int rc;

	(void)wake;
	(void)next;
	if (!lock)
		return err_set(err, ENOMEM, "lock the runtime's state");
	rc = env->node->lock(env->node, lock, err);
	if (rc == 0)
		return err_say(err, EEXIST, "container %s already exists: another shim holds this "
			       "id in %s", json_text(step->want, "id", ""),
			       json_text(step->want, "root", ""));
	if (rc > 0)
		rc = probe_folder(step, env->node, folder, err);
	if (rc == FACT_FOREIGN)
		return refuse(step, env, lock, err);
	return rc < 0 ? rc : STEP_DONE;
}

/* init's own undo has asked the runtime to delete it; this is what it left. */
static int remove_folder(struct step *step, struct step_env *env, const char *folder,
			 struct wait *next, struct err *err)
{
	struct path_ident what;
	json_object *args;
	int rc = env->node->path(env->node, folder, &what, err);

	if (rc <= 0)
		return rc == -ENOTDIR ? STEP_DONE : rc;
	if (!S_ISDIR(what.mode)) {
		step_note(step, env, "left alone: %s is no folder", folder);
		return STEP_DONE;
	}
	args = json_object_new_object();
	if (!args)
		return err_set(err, ENOMEM, "remove %s", folder);
	json_put_text(args, "path", folder);
	json_put_uint(args, "dev", what.dev);
	json_put_uint(args, "ino", what.ino);
	return step_job(step, env, JOB_REMOVE_TREE, args, "remove the runtime's state", next, err);
}

static int state_undo(struct step *step, struct step_env *env, const struct wake *wake,
		      struct wait *next, struct err *err)
{
	auto_free char *folder = oci_state_path(step->want);
	auto_free char *lock = folder ? lock_path(env, folder) : NULL;
	int rc;

	if (!lock)
		return err_set(err, ENOMEM, "remove the runtime's state");
	rc = env->node->lock(env->node, lock, err);
	if (rc < 0)
		return rc;
	if (rc == 0) {
		step_note(step, env, "left alone: %s, another shim has taken the id", folder);
		return STEP_DONE;
	}
	if (json_int(step->have, "foreign", 0)) {
		step_note(step, env, "left alone: %s is another container's", folder);
		rc = STEP_DONE;
	} else if (wake->why == WAKE_CHILD || wake->why == WAKE_DEADLINE) {
		rc = step_job_result(env, wake, "remove the runtime's state", err);
		if (rc < 0 && rc != -ENOENT)
			return rc;
		rc = STEP_DONE;
	} else {
		rc = remove_folder(step, env, folder, next, err);
	}
	if (rc == STEP_DONE)
		rc = env->node->unlock(env->node, lock, err);
	return rc;
}

static int state_verify(struct step *step, struct step_env *env, struct err *err)
{
	auto_free char *folder = oci_state_path(step->want);
	struct path_ident what;
	int rc;

	if (!folder)
		return err_set(err, ENOMEM, "look for the runtime's state");
	rc = env->node->path(env->node, folder, &what, err);
	return rc < 0 ? rc : rc ? FACT_PRESENT : FACT_ABSENT;
}

const struct step_ops step_state = {
	.kind = "state",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 5000,
	.undo_ms = 30000,
	.probe = state_probe,
	.apply = state_apply,
	.undo = state_undo,
	.verify = state_verify,
};
