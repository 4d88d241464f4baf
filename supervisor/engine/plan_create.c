/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a create: of a container, of a unikernel, of a sandbox. */
#include "supervisor/engine/plan.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/hooks.h"
#include "supervisor/bundle/json.h"
#include "supervisor/oci/runtime.h"
#include "supervisor/step/step.h"

#include <string.h>

static bool climbs(const char *path)
{
	for (const char *p = path; (p = strstr(p, "..")); p += 2)
		if ((p == path || p[-1] == '/') && (p[2] == '\0' || p[2] == '/'))
			return true;
	return false;
}

/* Types with a slash (format/, mkfs/) and words of containerd's mount manager ask for
 * work before the mount that it does itself unless a shim claims it. */
static int check_mount(json_object *mount, size_t at, struct err *err)
{
	const char *type = json_text(mount, "type", "");
	const char *target = json_text(mount, "target", "");
	json_object *options = json_list(mount, "options");
	size_t n = options ? json_object_array_length(options) : 0;

	if (type[0] == '\0')
		return err_say(err, EINVAL, "rootfs mount %zu has no type", at);
	if (strchr(type, '/'))
		return err_say(err, ENOTSUP, "rootfs mount %zu: type \"%s\" is containerd's mount "
			       "manager's to resolve", at, type);
	if (climbs(target))
		return err_say(err, EINVAL, "rootfs mount %zu: target \"%s\" leaves the rootfs", at,
			       target);
	for (size_t i = 0; i < n; i++) {
		const char *word = json_object_get_string(json_object_array_get_idx(options, i));

		if (word && strncmp(word, "X-containerd.", 13) == 0)
			return err_say(err, ENOTSUP, "rootfs mount %zu: option \"%s\" is "
				       "containerd's mount manager's to resolve", at, word);
	}
	return 0;
}

static int plan_mounts(struct plan_list *list, const struct task_row *task,
		       json_object *request, struct err *err)
{
	json_object *mounts = json_list(request, "rootfs");
	size_t n = mounts ? json_object_array_length(mounts) : 0;
	auto_free char *root = NULL;

	if (asprintf(&root, "%s/rootfs", task->bundle) < 0) {
		root = NULL;
		return err_set(err, ENOMEM, "plan the mount steps");
	}
	for (size_t i = 0; i < n; i++) {
		json_object *mount = json_object_array_get_idx(mounts, i);
		json_object *want;
		int rc = check_mount(mount, i + 1, err);

		if (rc < 0)
			return rc;
		want = json_object_new_object();
		if (want) {
			json_put_text(want, "type", json_text(mount, "type", ""));
			json_put_text(want, "source", json_text(mount, "source", ""));
			json_put_text(want, "target", json_text(mount, "target", ""));
			plan_copy(want, mount, "options", "options");
			json_put_text(want, "root", root);
		}
		rc = plan_add(list, "mount", want, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static json_object *cgroup_want(const struct task_row *task, json_object *request)
{
	json_object *want = plan_call(task, request);
	bool unikernel = plan_member(request, "unikernel");

	if (want) {
		plan_copy(want, request, "cgroups_path", "cgroups_path");
		json_put(want, "unikernel", json_object_new_boolean(unikernel));
	}
	return want;
}

static json_object *choice_want(json_object *request)
{
	json_object *want = json_object_new_object();

	json_put_text(want, "policy", json_text(request, "rootfs_choice", "best-effort"));
	plan_copy(want, request, "path", "path");
	plan_copy(want, request, "unikernel", "unikernel");
	if (plan_member(request, "unikernel"))
		plan_copy(want, request, "rootfs", "rootfs");
	return want;
}

/* What is launched @holds before it makes its root, for hooks inside. */
static json_object *holding_want(const struct task_row *task, json_object *request, bool holds)
{
	json_object *want = plan_launch_want(task, request);

	if (want && holds)
		json_put(want, "holds", json_object_new_boolean(true));
	return want;
}

/* A namespace that has a name outlives init, and is found by that. */
static json_object *network_want(json_object *request)
{
	json_object *want = json_object_new_object();

	json_put(want, "init", json_object_new_boolean(true));
	plan_copy(want, request, "netns", "netns");
	plan_copy(want, plan_member(request, "unikernel"), "type", "guest");
	plan_copy(want, plan_member(request, "unikernel"), "version", "version");
	plan_copy(want, plan_member(request, "unikernel"), "network", "mode");
	plan_copy(want, request, "uid", "uid");
	plan_copy(want, request, "gid", "gid");
	return want;
}

/* Without an OCI runtime; the choice comes first, as part of what is launched. */
static int plan_launch(struct plan_list *list, const struct task_row *task,
		       json_object *request, struct err *err)
{
	static const char *const first[] = { "prestart", "createRuntime", "createContainer" };
	bool mount = json_true(plan_member(request, "unikernel"), "mount_rootfs");
	bool holds = hooks_any(request, "createContainer");
	int rc = plan_add(list, "limits", plan_launch_want(task, request), err);

	if (rc == 0 && plan_member(request, "sandbox")) /* it has no rootfs, and makes no network */
		return plan_add(list, "launch", plan_launch_want(task, request), err);
	if (rc == 0)
		rc = plan_add(list, "rootfs-choice", choice_want(request), err);
	if (rc == 0)
		rc = plan_add_hooks(list, task, request, "poststop", err);
	if (rc == 0 && mount)
		rc = plan_add(list, "virtiofsd", plan_launch_want(task, request), err);
	if (rc == 0)
		rc = plan_add(list, "launch", holding_want(task, request, holds), err);
	for (size_t i = 0; i < ARRAY_SIZE(first) && rc == 0; i++)
		rc = plan_add_hooks(list, task, request, first[i], err);
	if (rc == 0 && holds)
		rc = plan_add(list, "root", plan_launch_want(task, request), err);
	if (rc == 0 && mount)
		rc = plan_add(list, "release", plan_launch_want(task, request), err);
	return rc < 0 ? rc : plan_add(list, "network", network_want(request), err);
}

int plan_create(struct plan_list *list, const struct task_row *task, json_object *request,
		struct err *err)
{
	bool native = runtime_kind_of(task->runtime) == RUNTIME_NATIVE;
	json_object *decide = plan_member(request, "decide");
	json_object *bundle;
	int rc;

	if (plan_restored(request) && plan_lacks(task, "restore", err) < 0)
		return -ENOTSUP;
	bundle = json_object_new_object();
	if (bundle)
		json_put_text(bundle, "path", task->bundle);
	if (bundle && plan_member(request, "sandbox"))
		json_put(bundle, "sandbox", json_object_new_boolean(true));
	rc = plan_add(list, "bundle", bundle, err);
	if (rc == 0)
		rc = plan_mounts(list, task, request, err);
	if (rc == 0 && decide)
		rc = plan_add(list, "unikernel", json_object_get(decide), err);
	if (rc == 0 && native && !plan_member(request, "unikernel")) /* nobody else could run it */
		return 0;
	if (rc == 0)
		rc = plan_add(list, "cgroup", cgroup_want(task, request), err);
	if (rc == 0 && runtime_is_none(runtime_kind_of(task->runtime)))
		return plan_launch(list, task, request, err);
	if (rc == 0)
		rc = plan_add(list, "state", plan_call(task, request), err);
	if (rc < 0 || plan_restored(request)) /* its init comes with the start */
		return rc;
	rc = plan_add(list, "init", plan_init_want(task, request), err);
	return rc < 0 ? rc : plan_add(list, "rootfs-choice", choice_want(request), err);
}
