/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rootfs_choice.c - can the guest be given what it boots from?
 *
 * want: { "policy": "best-effort" | "required", "path": value of PATH,
 *         "unikernel": { "type", "monitor", "monitor_path", ... } }
 * have: { "choice": text, "monitor": path, "reason" } or { "deferred": reason }
 *
 * It holds nothing on the host. A choice that can't be made must not orphan a task
 * that exists: by policy it is put off until the start, or undoes the whole create.
 */
#include "supervisor/oci/runtime.h"
#include "supervisor/step/step.h"
#include "supervisor/unikernel/monitors.h"

#include "journal/base/cleanup.h"

#include <string.h>

extern const struct step_ops step_rootfs_choice;

static int check_pair(const struct monitor *monitor, const char *name, const char *type,
		      struct err *err)
{
	char names[256];

	if (!monitor) {
		monitor_names("", names, sizeof(names));
		return err_say(err, ENOTSUP, "monitor \"%s\" is not known; use one of %s", name,
			       names);
	}
	if (!monitor_type_known(type))
		return err_say(err, ENOTSUP, "unikernel type \"%s\" is not known; correct the "
			       "annotation com.urunc.unikernel.unikernelType", type);
	if (!monitor_runs(monitor, type)) {
		monitor_names(type, names, sizeof(names));
		return err_say(err, ENOTSUP, "monitor \"%s\" can't run type \"%s\"; use one of %s",
			       name, type, names);
	}
	return 0;
}

/* The monitor's binary: where it was said to be, or in PATH. */
static int find_monitor(struct step *step, struct step_env *env, json_object *unikernel,
			char **ret, struct err *err)
{
	const char *name = json_text(unikernel, "monitor", "");
	const char *given = json_text(unikernel, "monitor_path", "");
	const struct monitor *monitor = monitor_find(name);
	int rc = check_pair(monitor, name, json_text(unikernel, "type", ""), err);

	if (rc < 0)
		return rc;
	rc = runtime_search(env->node, given[0] ? given : monitor->binary,
			    json_text(step->want, "path", ""), ret, err);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (given[0])
		return err_say(err, ENOENT, "monitor \"%s\": there is no executable %s; install it "
			       "or correct its path", name, given);
	return err_say(err, ENOENT, "monitor \"%s\": %s is not in $PATH; install it", name,
		       monitor->binary);
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

static int choice_apply(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	auto_free char *path = NULL;
	struct err why = ERR_INIT;
	json_object *unikernel = NULL;

	(void)wake;
	(void)next;
	if (!json_object_object_get_ex(step->want, "unikernel", &unikernel)) {
		json_put_text(step->have, "choice", "none");
		json_put_text(step->have, "reason", "not a unikernel");
		return step_save(step, env, err);
	}
	if (find_monitor(step, env, unikernel, &path, &why) < 0)
		return decide(step, env, &why, err);
	json_put_text(step->have, "choice", "monitor");
	json_put_text(step->have, "monitor", path);
	json_put_text(step->have, "reason", "the monitor runs this type and is installed");
	return step_save(step, env, err);
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
