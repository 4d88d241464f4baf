/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rootfs_choice.c - what does the guest boot from, and is its monitor here?
 *
 * want: { "policy": "best-effort" | "required", "path": value of PATH,
 *         "unikernel": { "type", "monitor", "monitor_path", ... },  see annotations.h
 *         "rootfs": [ { "type", "source" } ]  what Create mounted }
 * have: { "choice": see guest_rootfs_name(), "reason",
 *         "path": the file in the rootfs, device or folder; "mounted": where that is,
 *         "extra_block": bool, "monitor": its binary,
 *         "unikernel": as in want, if the rootfs's own file says so }
 *       or { "deferred": reason }
 *
 * It holds nothing on the host, and changes nothing: it reads. A choice that can't be
 * made must not orphan a task that exists: by policy it is put off until the start, or
 * undoes the whole create.
 */
#include "supervisor/oci/runtime.h"
#include "supervisor/step/step.h"
#include "supervisor/unikernel/facts.h"

#include "journal/base/cleanup.h"

#include <string.h>

extern const struct step_ops step_rootfs_choice;

struct facts {
	struct spec spec;
	struct choice_in in;
	struct mount_list mounts;
	json_object *unikernel; /* lent by want, or by have */
	char *root;
	char *monitor;
};

static void facts_clear(struct facts *f)
{
	spec_clear(&f->spec);
	mount_list_clear(&f->mounts);
	free(f->root);
	free(f->monitor);
}

/* The monitor's binary: where it was said to be, or in PATH. */
static int find_monitor(struct step *step, struct step_env *env, struct facts *f,
			struct err *err)
{
	const struct monitor *monitor = f->in.monitor;
	const char *given = json_text(f->unikernel, "monitor_path", "");
	int rc = runtime_search(env->node, given[0] ? given : monitor->binary,
				json_text(step->want, "path", ""), &f->monitor, err);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (given[0])
		return err_say(err, ENOENT, "monitor \"%s\": there is no executable %s; install it "
			       "or correct its path", monitor->name, given);
	return err_say(err, ENOENT, "monitor \"%s\": %s is not in $PATH; install it",
		       monitor->name, monitor->binary);
}

/* The rootfs as Create mounted it: of several mounts, the last. */
static void recall_mount(struct step *step, struct choice_in *in)
{
	json_object *list = json_list(step->want, "rootfs");
	size_t n = list ? json_object_array_length(list) : 0;
	json_object *last = n ? json_object_array_get_idx(list, n - 1) : NULL;

	if (!last || json_text(last, "target", "")[0])
		return;
	in->made_type = json_text(last, "type", "");
	in->made_source = json_text(last, "source", "");
}

/* A runtime that prepares guests itself may by now have moved the kernel out of the
 * rootfs, and unmounted that: what is not there proves nothing then. */
static void look_at_rootfs(struct step *step, struct step_env *env, struct facts *f)
{
	struct node *node = env->node;
	json_object *u = f->unikernel;

	if (runtime_kind_of(step->task->runtime) == RUNTIME_URUNC) {
		recall_mount(step, &f->in);
		return;
	}
	f->in.binary = facts_file(node, f->root, json_text(u, "binary", ""));
	f->in.initrd = facts_file(node, f->root, json_text(u, "initrd", ""));
	f->in.block = facts_file(node, f->root, json_text(u, "block", ""));
}

static int find_root(struct step *step, struct step_env *env, struct facts *f, struct err *err)
{
	int rc = spec_load(&f->spec, env->node, step->task->bundle, err);

	return rc < 0 ? rc : facts_root(&f->root, &f->spec, step->task->bundle, err);
}

static int gather(struct step *step, struct step_env *env, struct facts *f, struct err *err)
{
	const char *type = json_text(f->unikernel, "type", "");
	const char *monitor = json_text(f->unikernel, "monitor", "");
	int rc = choice_pair(type, monitor, err);

	if (rc < 0)
		return rc;
	f->in.unikernel = f->unikernel;
	f->in.guest = guest_find(type);
	f->in.monitor = monitor_find(monitor);
	rc = find_monitor(step, env, f, err);
	if (rc == 0 && !f->root)
		rc = find_root(step, env, f, err);
	if (rc < 0)
		return rc;
	f->in.root = f->root;
	if (env->node->mounts(env->node, &f->mounts, NULL) == 0)
		f->in.mounts = &f->mounts;
	rc = runtime_executable(env->node, CHOICE_VIRTIOFSD, err);
	if (rc < 0)
		return rc;
	f->in.virtiofsd = rc > 0;
	look_at_rootfs(step, env, f);
	return 0;
}

/* 1 with f->unikernel, 0 with why it is none. What says nothing of itself is an
 * ordinary container, and no trouble with looking makes it fail. */
static int is_unikernel(struct step *step, struct step_env *env, struct facts *f,
			struct err *why)
{
	json_object *found = NULL;

	if (json_object_object_get_ex(step->want, "unikernel", &f->unikernel))
		return 1;
	if (find_root(step, env, f, why) < 0 ||
	    facts_unikernel(env->node, f->root, f->spec.annotations, &found, why) <= 0)
		return 0;
	json_put(step->have, "unikernel", found);
	f->unikernel = found;
	return 1;
}

static int decide(struct step *step, struct step_env *env, const struct err *why,
		  struct err *err)
{
	const char *ns = step->task->key.ns;
	const char *id = step->task->key.id;

	if (strcmp(json_text(step->want, "policy", ""), "required") == 0)
		return err_say(err, EIO, "guest rootfs of %s/%s can't be chosen: %s; or set "
			       "rootfs_choice = \"best-effort\"", ns, id, why->text);
	step_note(step, env, "guest rootfs of %s/%s is chosen at start: %s", ns, id, why->text);
	json_put_text(step->have, "deferred", why->text);
	return step_save(step, env, err);
}

static int put_none(struct step *step, struct step_env *env, const struct err *why,
		    struct err *err)
{
	auto_free char *reason = NULL;

	if (asprintf(&reason, "not a unikernel: %s", why->text) < 0) {
		reason = NULL;
		return err_set(err, ENOMEM, "note the choice");
	}
	json_put_text(step->have, "choice", guest_rootfs_name(ROOTFS_NONE));
	json_put_text(step->have, "reason", reason);
	return step_save(step, env, err);
}

static int put_choice(struct step *step, struct step_env *env, const struct facts *f,
		      const struct choice *c, struct err *err)
{
	json_put_text(step->have, "choice", guest_rootfs_name(c->rootfs));
	json_put_text(step->have, "reason", c->reason);
	if (c->path)
		json_put_text(step->have, "path", c->path);
	if (c->mounted)
		json_put_text(step->have, "mounted", c->mounted);
	if (c->extra_block)
		json_put(step->have, "extra_block", json_object_new_boolean(true));
	json_put_text(step->have, "monitor", f->monitor);
	return step_save(step, env, err);
}

static int choose(struct step *step, struct step_env *env, struct facts *f, struct err *err)
{
	struct choice choice;
	struct err why = ERR_INIT;
	int rc = is_unikernel(step, env, f, &why);

	if (rc == 0)
		return put_none(step, env, &why, err);
	rc = gather(step, env, f, &why);
	if (rc == 0)
		rc = choice_make(&choice, &f->in, &why);
	return rc < 0 ? decide(step, env, &why, err) : put_choice(step, env, f, &choice, err);
}

static int choice_apply(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	struct facts f = { .spec = SPEC_INIT };
	int rc;

	(void)wake;
	(void)next;
	rc = choose(step, env, &f, err);
	facts_clear(&f);
	return rc;
}

static int choice_undo(struct step *step, struct step_env *env, const struct wake *wake,
		       struct wait *next, struct err *err)
{
	(void)step;
	(void)env;
	(void)wake;
	(void)next;
	(void)err;
	return STEP_DONE;
}

const struct step_ops step_rootfs_choice = {
	.kind = "rootfs-choice",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 5000,
	.undo_ms = 1000,
	.apply = choice_apply,
	.undo = choice_undo,
};
