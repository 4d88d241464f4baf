/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount.c - one mount of the rootfs.
 *
 * want: { "type", "source", "target", "options": [text], "root": <bundle>/rootfs }
 * have: { "below": [ids], "dir": identity, "mount": { "id", "type", "source",
 *         "target" }, "tries" }
 *
 * A mount has no name but its id, and ids are used again at once. So "below" holds,
 * before we mount, the ids of everything at and under the root: none of that is ours.
 * What is found there later, and is not in "below", is ours if it also is what we
 * asked for; once "mount" is known, only that one is.
 *
 * Failures: the mount fails: nothing is there, or (killed after mount(2)) it is there
 * and undo finds it. Undo is busy: tried again for 2.5 s, then the row stays, and
 * says who holds it. The mount namespace is gone: so is the mount.
 */
#include "supervisor/step/step.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"

#include <string.h>
#include <sys/sysmacros.h>

#define BUSY_MS    50
#define BUSY_TRIES 50
#define HOLDERS    4 /* named in a failure */

extern const struct step_ops step_mount;

/* <root>/<target>, without slashes at its ends; the caller frees. */
static char *full_target(json_object *want)
{
	const char *root = json_text(want, "root", "");
	const char *target = json_text(want, "target", "");
	size_t len = strlen(target);
	char *path = NULL;

	while (*target == '/') {
		target++;
		len--;
	}
	while (len > 0 && target[len - 1] == '/')
		len--;
	if (asprintf(&path, "%s%s%.*s", root, len ? "/" : "", (int)len, target) < 0)
		return NULL;
	return path;
}

/* The last two components: <id>/rootfs. */
static const char *tail(const char *path)
{
	int slashes = 0;

	for (const char *p = path + strlen(path); p > path; p--)
		if (p[-1] == '/' && ++slashes == 2)
			return p;
	return path;
}

/* The root as mountinfo spells it: the same words, or the same folder reached through
 * a symbolic link (/var/run), which only the host can tell. */
static bool is_root(struct node *node, const char *spelt, const char *root)
{
	struct path_ident a;
	struct path_ident b;

	if (strcmp(spelt, root) == 0)
		return true;
	return strcmp(tail(spelt), tail(root)) == 0 && node->path(node, spelt, &a, NULL) > 0 &&
	       node->path(node, root, &b, NULL) > 0 && a.dev == b.dev && a.ino == b.ino;
}

static bool at_or_under(struct node *node, const struct mount_info *m, const char *root)
{
	size_t len = strlen(root);
	const char *base = tail(root);
	const char *at;

	if (strncmp(m->target, root, len) == 0)
		return m->target[len] == '\0' || m->target[len] == '/';
	/* Spelt otherwise: cut it where the root's own last words end. */
	at = strstr(m->target, base);
	if (at && at > m->target && at[-1] == '/') {
		size_t cut = (size_t)(at - m->target) + strlen(base);
		auto_free char *spelt = strndup(m->target, cut);

		return spelt && (m->target[cut] == '\0' || m->target[cut] == '/') &&
		       is_root(node, spelt, root);
	}
	return false;
}

static bool in_below(json_object *have, int64_t id)
{
	json_object *below = json_list(have, "below");
	size_t n = below ? json_object_array_length(below) : 0;

	for (size_t i = 0; i < n; i++)
		if (json_object_get_int64(json_object_array_get_idx(below, i)) == id)
			return true;
	return false;
}

static bool same_text(json_object *o, const char *name, const char *is)
{
	return strcmp(json_text(o, name, ""), is) == 0;
}

static bool is_ours(struct step *step, struct node *node, const struct mount_info *m)
{
	json_object *known = NULL;

	if (in_below(step->have, m->id))
		return false;
	if (json_object_object_get_ex(step->have, "mount", &known))
		return json_int(known, "id", -1) == m->id && same_text(known, "type", m->type) &&
		       same_text(known, "source", m->source) &&
		       same_text(known, "target", m->target);
	if (!json_list(step->have, "below") ||
	    !at_or_under(node, m, json_text(step->want, "root", "")))
		return false;
	/* fuse.x and a loop device may be spelt otherwise, and a bind mount shows what it
	 * binds: then by the place alone. */
	return json_is_bind(step->want) || same_text(step->want, "type", m->type) ||
	       strncmp(m->type, "fuse", 4) == 0;
}

/* The uppermost of ours, or NULL: nothing of ours is its child. */
static const struct mount_info *find_ours(struct step *step, struct node *node,
					  const struct mount_list *list)
{
	const struct mount_info *found = NULL;

	for (size_t i = 0; i < list->n; i++) {
		const struct mount_info *m = &list->at[i];

		if (is_ours(step, node, m) && (!found || m->parent == found->id))
			found = m;
	}
	return found;
}

/* ---- make it ----------------------------------------------------------------- */

static int mount_probe(struct step *step, struct step_env *env, struct err *err)
{
	const char *root = json_text(step->want, "root", "");
	json_object *below = json_object_new_array();
	struct mount_list list = { 0 };
	int rc;

	if (!below)
		return err_set(err, ENOMEM, "look at the mounts of %s", root);
	rc = env->node->mounts(env->node, &list, err);
	for (size_t i = 0; rc >= 0 && i < list.n; i++)
		if (at_or_under(env->node, &list.at[i], root) &&
		    json_object_array_add(below, json_object_new_int64(list.at[i].id)) < 0)
			rc = err_set(err, ENOMEM, "look at the mounts of %s", root);
	mount_list_clear(&list);
	json_put(step->have, "below", below);
	return rc < 0 ? rc : FACT_ABSENT;
}

static int make_root(struct step *step, struct step_env *env, struct err *err)
{
	const char *root = json_text(step->want, "root", "");
	struct path_ident what;
	int rc = env->node->make_dir(env->node, root, 0711, err);

	if (rc <= 0)
		return rc;
	crash_point("rootfs-made");
	rc = env->node->path(env->node, root, &what, err);
	if (rc <= 0)
		return rc < 0 ? rc : err_say(err, EIO, "%s: somebody removed it", root);
	json_put_path(step->have, "dir", &what);
	return step_save(step, env, err);
}

/* The words that containerd's clients know, around the reason. */
static int refused(struct step *step, const struct err *why, struct err *err)
{
	auto_free char *target = full_target(step->want);

	return err_say(err, why->code == ETIMEDOUT ? ETIMEDOUT : EIO,
		       "failed to mount rootfs component: %s from \"%s\" on %s: %s",
		       json_text(step->want, "type", ""), json_text(step->want, "source", ""),
		       target ? target : "?", why->text);
}

static int begin(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	struct err why = ERR_INIT;
	int rc = make_root(step, env, &why);

	if (rc == 0)
		rc = step_job(step, env, JOB_MOUNT, json_object_get(step->want),
			      "mount", next, &why);
	return rc < 0 ? refused(step, &why, err) : rc;
}

/* Find what was mounted, and commit its identity. 1: there is nothing. */
static int identify(struct step *step, struct step_env *env, struct err *err)
{
	struct mount_list list = { 0 };
	const struct mount_info *m;
	int rc = env->node->mounts(env->node, &list, err);

	if (rc < 0)
		return rc;
	m = find_ours(step, env->node, &list);
	if (m) {
		json_object *known = json_object_new_object();

		if (known) {
			json_put_int(known, "id", m->id);
			json_put_text(known, "type", m->type);
			json_put_text(known, "source", m->source);
			json_put_text(known, "target", m->target);
		}
		json_put(step->have, "mount", known);
	}
	rc = m ? step_save(step, env, err) : 1;
	mount_list_clear(&list);
	return rc;
}

static int mount_apply(struct step *step, struct step_env *env, const struct wake *wake,
		       struct wait *next, struct err *err)
{
	struct err why = ERR_INIT;
	int rc;

	if (wake->why == WAKE_BEGIN)
		return begin(step, env, next, err);
	if (wake->why == WAKE_CHILD || wake->why == WAKE_DEADLINE) {
		if (step_job_result(env, wake, "mount", &why) < 0)
			return refused(step, &why, err);
		crash_point("mounted");
	}
	rc = identify(step, env, err);
	if (rc != 1)
		return rc;
	if (wake->why == WAKE_RESUME)
		return begin(step, env, next, err);
	(void)err_say(&why, ENOENT, "it was made, and mountinfo does not show it");
	return refused(step, &why, err);
}

/* ---- take it back ------------------------------------------------------------ */

/* " held by pid 7 (bash), ...": best effort, cheap, and only where a device is the
 * mount's own: on a bind everybody would be named. */
static void name_holders(struct step *step, struct step_env *env, const struct mount_info *m,
			 char *text, size_t size)
{
	uint64_t dev = makedev(m->major, m->minor);
	struct proc_info *procs = NULL;
	size_t count = 0;
	size_t used = 0;
	int named = 0;

	text[0] = '\0';
	if (json_is_bind(step->want) || env->node->scan(env->node, &procs, &count, NULL) < 0)
		return;
	for (size_t i = 0; i < count && named < HOLDERS && used < size; i++) {
		if (procs[i].cwd_dev != dev && procs[i].root_dev != dev)
			continue;
		used += (size_t)snprintf(text + used, size - used, "%s pid %d (%s)",
					 named++ ? "," : "; held by",
					 (int)procs[i].ident.pid, procs[i].comm);
	}
	free(procs);
}

/* Another mount stands on it: an unmount by name would hit that one. */
static const struct mount_info *covered_by(const struct mount_list *list,
					   const struct mount_info *m)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->at[i].parent == m->id && list->at[i].id != m->id)
			return &list->at[i];
	return NULL;
}

static int give_up(struct step *step, struct step_env *env, const struct mount_list *list,
		   const struct mount_info *m, struct err *err)
{
	const struct mount_info *over = covered_by(list, m);
	char holders[256];

	if (over)
		return err_say(err, EBUSY, "unmount %s: a %s from \"%s\" is mounted on %s, and "
			       "is not this step's", m->target, over->type, over->source,
			       over->target);
	name_holders(step, env, m, holders, sizeof(holders));
	return err_say(err, EBUSY, "unmount %s: busy for %d ms%s", m->target,
		       BUSY_MS * BUSY_TRIES, holders);
}

static int unmount(struct step *step, struct step_env *env, const struct mount_info *m,
		   struct wait *next, struct err *err)
{
	json_object *args = json_object_new_object();

	if (!args)
		return err_set(err, ENOMEM, "unmount %s", m->target);
	json_put_text(args, "target", m->target);
	json_put_int(args, "id", m->id);
	return step_job(step, env, JOB_UNMOUNT, args, "unmount", next, err);
}

/* Look at the host and do the next thing; @may_act is false while busy is waited out. */
static int next_one(struct step *step, struct step_env *env, bool failed, struct wait *next,
		    struct err *err)
{
	int64_t tries = json_int(step->have, "tries", 0);
	struct mount_list list = { 0 };
	const struct mount_info *m;
	int rc = env->node->mounts(env->node, &list, err);

	if (rc < 0)
		return rc;
	m = find_ours(step, env->node, &list);
	if (!m) {
		rc = 1;
	} else if (tries >= BUSY_TRIES) {
		rc = give_up(step, env, &list, m, err);
	} else if (failed) {
		json_put_int(step->have, "tries", tries + 1);
		rc = step_save(step, env, err);
		if (rc == 0)
			rc = step_again(env, BUSY_MS, next);
	} else {
		rc = unmount(step, env, m, next, err);
	}
	mount_list_clear(&list);
	return rc == 1 && !m ? STEP_DONE : rc;
}

/* The folder that we made for it, once nothing is on it any more. */
static void remove_root(struct step *step, struct step_env *env)
{
	struct path_ident what;

	if (json_path(step->have, "dir", &what))
		(void)env->node->remove_dir(env->node, json_text(step->want, "root", ""), &what,
					    NULL);
}

static int mount_undo(struct step *step, struct step_env *env, const struct wake *wake,
		      struct wait *next, struct err *err)
{
	const char *epoch = env->node->epoch(env->node);
	bool failed = false;
	int rc;

	if (!epoch_same_mounts(step->task->epoch, epoch)) {
		if (epoch_same_boot(step->task->epoch, epoch))
			step_note(step, env, "nothing to unmount: it was mounted in another mount "
				  "namespace than this one");
		return STEP_DONE;
	}
	if (wake->why == WAKE_BEGIN || wake->why == WAKE_RESUME)
		json_put_int(step->have, "tries", 0);
	if (wake->why == WAKE_DEADLINE)
		return step_late(step, "the unmount of rootfs", err);
	/* Whatever the child says, the host says what is left. */
	if (wake->why == WAKE_CHILD)
		failed = step_job_result(env, wake, "unmount", NULL) < 0;
	rc = next_one(step, env, failed, next, err);
	if (rc == STEP_DONE)
		remove_root(step, env);
	return rc;
}

/* Its device is a guest's disk now. */
static bool is_released(struct step_env *env)
{
	auto_json json_object *have = step_have_of(env, "release");

	return json_true(have, "released");
}

static int mount_verify(struct step *step, struct step_env *env, struct err *err)
{
	struct mount_list list = { 0 };
	int rc;

	if (!epoch_same_mounts(step->task->epoch, env->node->epoch(env->node)))
		return FACT_ABSENT;
	rc = env->node->mounts(env->node, &list, err);
	if (rc < 0)
		return rc;
	rc = find_ours(step, env->node, &list) || is_released(env) ? FACT_PRESENT : FACT_ABSENT;
	mount_list_clear(&list);
	return rc;
}

const struct step_ops step_mount = {
	.kind = "mount",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 60000,
	.undo_ms = 180000, /* a slow disk is written back by it: minutes have been seen */
	.probe = mount_probe,
	.apply = mount_apply,
	.undo = mount_undo,
	.verify = mount_verify,
};
