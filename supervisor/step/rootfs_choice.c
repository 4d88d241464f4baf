/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rootfs_choice.c - what does the guest boot from, and is its monitor here?
 *
 * want: { "policy": "best-effort" | "required", "path": value of PATH,
 *         "unikernel": { "type", "monitor", ... },  see annotations.h
 *         "rootfs": [ { "type", "source" } ]  what Create mounted }
 * have: { "choice": see guest_rootfs_name(), "reason",
 *         "path": the file in the rootfs, device or folder; "mounted": where that is,
 *         "major", "minor": of the device, if it is one that is mounted,
 *         "extra_block": bool, "monitor": its binary, "virtiofsd": its, for that choice,
 *         "unikernel": as in want, if the rootfs's own file says so }
 *       or { "deferred": reason }
 *
 * It holds nothing on the host, and changes nothing: it reads. A choice that can't be
 * made must not orphan a task that exists: by policy it is put off until the start, or
 * undoes the whole create. A child looks into the rootfs, whose file system may hang.
 */
#include "supervisor/oci/runtime.h"
#include "supervisor/bundle/json.h"
#include "supervisor/step/step.h"
#include "supervisor/unikernel/facts.h"

#include "journal/base/cleanup.h"

#include <string.h>

extern const struct step_ops step_rootfs_choice;

struct facts {
	struct choice_in in;
	struct mount_list mounts;
	json_object *unikernel; /* lent by want, or by have */
	json_object *found;     /* of JOB_LOOK; NULL: nobody looked */
	char *root;
	char *monitor;
	char *virtiofsd; /* NULL: it is not installed */
};

static void facts_clear(struct facts *f)
{
	json_object_put(f->found);
	mount_list_clear(&f->mounts);
	free(f->root);
	free(f->monitor);
	free(f->virtiofsd);
}

/* The monitor's binary, in PATH. */
static int find_monitor(struct step *step, struct step_env *env, struct facts *f,
			struct err *err)
{
	const struct monitor *monitor = f->in.monitor;
	int rc = runtime_search(env->node, monitor->binary, json_text(step->want, "path", ""),
				&f->monitor, err);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	return err_say(err, ENOENT, "monitor \"%s\": %s is not in $PATH; install it",
		       monitor->name, monitor->binary);
}

/* urunc knows one place, unless its own settings name another. */
static int find_virtiofsd(struct step *step, struct step_env *env, struct facts *f,
			  struct err *err)
{
	static const char *const places[] = { "virtiofsd", CHOICE_VIRTIOFSD, "/usr/lib/qemu/virtiofsd" };
	bool native = runtime_kind_of(step->task->runtime) == RUNTIME_NATIVE;
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(places) && rc == 0; i++)
		if (native || strcmp(places[i], CHOICE_VIRTIOFSD) == 0)
			rc = runtime_search(env->node, places[i], json_text(step->want, "path", ""),
					    &f->virtiofsd, err);
	f->in.virtiofsd = rc > 0;
	return rc < 0 ? rc : 0;
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
static bool prepares_guests(const struct step *step)
{
	return runtime_kind_of(step->task->runtime) == RUNTIME_URUNC;
}

static enum choice_file file_of(const struct facts *f, const char *name)
{
	return (enum choice_file)json_int(f->found, name, FILE_UNSURE);
}

static void take_files(struct step *step, struct facts *f)
{
	json_object *list = json_list(step->want, "rootfs");

	f->in.native = runtime_kind_of(step->task->runtime) == RUNTIME_NATIVE;
	if (prepares_guests(step) ||
	    (f->in.native && list && json_object_array_length(list) == 1))
		recall_mount(step, &f->in);
	if (prepares_guests(step))
		return;
	f->in.binary = file_of(f, "binary");
	f->in.initrd = file_of(f, "initrd");
	f->in.block = file_of(f, "block");
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
	if (rc < 0)
		return rc;
	f->in.root = f->root;
	if (env->node->mounts(env->node, &f->mounts, NULL) == 0)
		f->in.mounts = &f->mounts;
	rc = find_virtiofsd(step, env, f, err);
	if (rc < 0)
		return rc;
	take_files(step, f);
	return 0;
}

static int decide(struct step *step, struct step_env *env, const struct err *why,
		  struct err *err)
{
	const char *ns = step->task->key.ns;
	const char *id = step->task->key.id;

	/* Without it there is nothing that could be launched. */
	if (runtime_kind_of(step->task->runtime) == RUNTIME_NATIVE)
		return err_say(err, why->code ? why->code : EIO, "unikernel %s/%s can't be launched: %s",
			       ns, id, why->text);
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
	if (c->mount) {
		json_put_int(step->have, "major", c->mount->major);
		json_put_int(step->have, "minor", c->mount->minor);
	}
	if (c->extra_block)
		json_put(step->have, "extra_block", json_object_new_boolean(true));
	json_put_text(step->have, "monitor", f->monitor);
	if (c->rootfs == ROOTFS_VIRTIOFS)
		json_put_text(step->have, "virtiofsd", f->virtiofsd);
	return step_save(step, env, err);
}

/* Its root, and of what is no unikernel by its annotations what the rootfs says. */
static int find_root(struct step *step, struct step_env *env, struct facts *f,
		     json_object *look, struct err *err)
{
	struct spec spec = SPEC_INIT;
	int rc = spec_load(&spec, env->node, step->task->bundle, err);

	if (rc == 0)
		rc = facts_root(&f->root, &spec, step->task->bundle, err);
	if (rc == 0 && look) {
		json_put_text(look, "root", f->root);
		if (f->unikernel)
			json_put(look, "unikernel", json_object_get(f->unikernel));
		else if (spec.annotations)
			json_put(look, "annotations", json_object_get(spec.annotations));
	}
	spec_clear(&spec);
	return rc;
}

/* What is no unikernel by its annotations is an ordinary container, and no trouble with
 * looking makes it fail. */
static int refuse(struct step *step, struct step_env *env, const struct facts *f,
		  const struct err *why, struct err *err)
{
	return f->unikernel ? decide(step, env, why, err) : put_none(step, env, why, err);
}

static int choose(struct step *step, struct step_env *env, struct facts *f, struct err *err)
{
	struct choice choice;
	struct err why = ERR_INIT;
	int rc = gather(step, env, f, &why);

	if (rc == 0)
		rc = choice_make(&choice, &f->in, &why);
	return rc < 0 ? decide(step, env, &why, err) : put_choice(step, env, f, &choice, err);
}

/* The child's answer. */
static int take_look(struct step *step, struct step_env *env, const struct wake *wake,
		     struct facts *f, struct err *why)
{
	auto_free char *text = NULL;
	int rc = step_job_answer(env, wake, "look into the rootfs", &text, why);

	if (rc < 0)
		return rc;
	f->found = text ? json_read(text) : NULL;
	if (!f->found)
		return err_say(why, EIO, "look into the rootfs: no answer came");
	if (!f->unikernel && json_object_object_get_ex(f->found, "unikernel", &f->unikernel))
		json_put(step->have, "unikernel", json_object_get(f->unikernel));
	return f->unikernel ? 0 : err_say(why, EINVAL, "%s", json_text(f->found, "none", ""));
}

static int looked(struct step *step, struct step_env *env, const struct wake *wake,
		  struct facts *f, struct err *err)
{
	struct err why = ERR_INIT;
	int rc = take_look(step, env, wake, f, &why);

	if (rc == 0)
		rc = find_root(step, env, f, NULL, &why);
	return rc < 0 ? refuse(step, env, f, &why, err) : choose(step, env, f, err);
}

static int begin(struct step *step, struct step_env *env, struct facts *f, struct wait *next,
		 struct err *err)
{
	auto_json json_object *decided = step_have_of(env, "unikernel");
	json_object *look = json_object_new_object();
	struct err why = ERR_INIT;
	int rc;

	if (!f->unikernel && json_text(decided, "none", "")[0])
		rc = err_say(&why, EINVAL, "%s", json_text(decided, "none", ""));
	else
		rc = find_root(step, env, f, look, &why);

	if (rc == 0 && !(f->unikernel && prepares_guests(step)))
		return step_job(step, env, JOB_LOOK, look, "look into the rootfs", next, err);
	json_object_put(look);
	return rc < 0 ? refuse(step, env, f, &why, err) : choose(step, env, f, err);
}

static int choice_apply(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	struct facts f = { .root = NULL };
	int rc;

	(void)json_object_object_get_ex(step->want, "unikernel", &f.unikernel);
	if (wake->why == WAKE_CHILD || wake->why == WAKE_DEADLINE)
		rc = looked(step, env, wake, &f, err);
	else
		rc = begin(step, env, &f, next, err);
	facts_clear(&f);
	return rc;
}

const struct step_ops step_rootfs_choice = {
	.kind = "rootfs-choice",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 5000,
	.undo_ms = 1000,
	.apply = choice_apply,
	.undo = step_nothing,
};
