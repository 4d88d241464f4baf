/* SPDX-License-Identifier: Apache-2.0 */
/*
 * release.c - the node lets go of the block device under the rootfs, which is to be the
 * guest's disk, if that is the choice.
 *
 * want: { "id", "bundle", "unikernel" }
 * have: { "tries", "asked": true, "released": true }
 *       or { }: another choice
 *
 *   1 unmount the rootfs that Create has mounted, and that alone    (named in the mount row)
 *   2 the launched process, which holds the device since before, claims it for itself
 *     (committed). From then on, to the monitor's end, this node can't mount it again
 *
 * Both are tried again for 2.5 s while somebody is in the way. There is nothing to take back:
 * the mount is the mount step's, which finds it gone; the claim goes with the process.
 */
#include "supervisor/step/ending.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/unikernel/guests.h"

#include <errno.h>
#include <string.h>

#define PREFIX     "the device under the rootfs can't be given to the guest"
#define BUSY_MS    50
#define BUSY_TRIES 50

extern const struct step_ops step_release;

/* ---- 1: unmount ------------------------------------------------------------------------ */

static bool is_it(json_object *known, const struct mount_info *m)
{
	return json_int(known, "id", -1) == m->id && strcmp(json_text(known, "type", ""), m->type) == 0 &&
	       strcmp(json_text(known, "source", ""), m->source) == 0 &&
	       strcmp(json_text(known, "target", ""), m->target) == 0;
}

/* 1: the mount that Create made is there; 0: it is gone. */
static int is_mounted(struct step_env *env, json_object *known, struct err *err)
{
	struct mount_list list = { 0 };
	int rc = env->node->mounts(env->node, &list, err);

	for (size_t i = 0; rc == 0 && i < list.n; i++)
		if (is_it(known, &list.at[i]))
			rc = 1;
	mount_list_clear(&list);
	return rc;
}

static int unmount(struct step *step, struct step_env *env, json_object *known, struct wait *next,
		   struct err *err)
{
	json_object *args = json_object_new_object();

	json_put_text(args, "target", json_text(known, "target", ""));
	json_put_int(args, "id", json_int(known, "id", -1));
	return step_job(step, env, JOB_UNMOUNT, args, "unmount", next, err);
}

/* Somebody is in the way. */
static int wait_a_bit(struct step *step, struct step_env *env, const char *what, struct wait *next,
		      struct err *err)
{
	int64_t tries = json_int(step->have, "tries", 0);
	int rc;

	if (tries >= BUSY_TRIES)
		return err_say(err, EBUSY, "%s for %d ms; end what uses it, or take mountRootfs out of "
			       "the annotations", what, BUSY_MS * BUSY_TRIES);
	json_put_int(step->have, "tries", tries + 1);
	rc = step_save(step, env, err);
	return rc < 0 ? rc : step_again(env, BUSY_MS, next);
}

/* ---- 2: claim ---------------------------------------------------------------------------- */

static int listen_to(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	auto_json json_object *said = NULL;
	int rc = step_hear_init(step, env, &said, next, err);

	if (rc != STEP_DONE)
		return rc;
	json_put(step->have, "asked", json_object_new_boolean(false));
	if (json_true(said, "busy"))
		return wait_a_bit(step, env, "it is mounted elsewhere on this node", next, err);
	if (!json_true(said, "claimed"))
		return err_say(err, EPROTO, "the launched process said what nobody understands");
	json_put(step->have, "released", json_object_new_boolean(true));
	rc = step_save(step, env, err);
	crash_point("released");
	return rc;
}

static int claim(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	int rc;

	json_put(step->have, "asked", json_object_new_boolean(true));
	rc = step_save(step, env, err);
	if (rc == 0)
		rc = env->node->tell(env->node, &step->task->init, "{\"claim\":true}", err);
	return rc < 0 ? rc : listen_to(step, env, next, err);
}

/* ---- both ----------------------------------------------------------------------------------- */

/* Look at the host, and do the next thing. */
static int go_on(struct step *step, struct step_env *env, bool failed, json_object *choice,
		 struct wait *next, struct err *err)
{
	auto_json json_object *mount = step_have_of(env, "mount");
	json_object *known = NULL;
	int rc;

	if (!json_object_object_get_ex(mount, "mount", &known) ||
	    strcmp(json_text(known, "target", ""), json_text(choice, "mounted", "")) != 0)
		return err_say(err, EIO, "what Create has mounted as the rootfs can't be read from the "
			       "journal");
	rc = is_mounted(env, known, err);
	if (rc <= 0)
		return rc < 0 ? rc : claim(step, env, next, err);
	return failed ? wait_a_bit(step, env, "the rootfs can't be unmounted: it was busy", next, err)
		      : unmount(step, env, known, next, err);
}

static int release_apply(struct step *step, struct step_env *env, const struct wake *wake,
			 struct wait *next, struct err *err)
{
	auto_json json_object *choice = step_have_of(env, "rootfs-choice");
	bool failed = false;
	int rc;

	if (!choice)
		return err_say(err, EIO, PREFIX ": the choice can't be read from the journal");
	if (strcmp(json_text(choice, "choice", ""), guest_rootfs_name(ROOTFS_CONTAINER)) != 0)
		return STEP_DONE;
	if (wake->why == WAKE_RESUME)
		return err_say(err, EINTR, PREFIX ": it was interrupted; create the task again");
	if (wake->why == WAKE_DEADLINE)
		return step_late(step, "the unmount of the rootfs", err);
	/* Whatever the child says, the host says what is left. */
	if (wake->why == WAKE_CHILD) {
		failed = step_job_result(env, wake, "unmount", NULL) < 0;
		crash_point("unmounted");
	}
	rc = json_true(step->have, "asked") ? listen_to(step, env, next, err)
					    : go_on(step, env, failed, choice, next, err);
	return rc < 0 ? err_wrap(err, PREFIX) : rc;
}

const struct step_ops step_release = {
	.kind = "release",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 60000, /* an unmount writes back what a slow disk was not given yet */
	.undo_ms = 1000,
	.apply = release_apply,
	.undo = step_nothing,
};
