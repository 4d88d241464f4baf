/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/engine/plan.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/hooks.h"
#include "supervisor/bundle/json.h"
#include "supervisor/oci/runtime.h"
#include "supervisor/step/step.h"

#include <string.h>

void plan_clear(struct plan_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free((char *)list->at[i].want);
	list->n = 0;
}

/* Add a step; @want is consumed. */
static int add(struct plan_list *list, const char *kind, json_object *want, struct err *err)
{
	auto_json json_object *mine = want;
	const char *text;
	char *copy;

	if (list->n == PLAN_STEPS_MAX)
		return err_say(err, E2BIG, "more than %d steps: too many rootfs mounts",
			       PLAN_STEPS_MAX);
	text = mine && !json_object_get_userdata(mine) ? json_write(mine) : NULL;
	if (text && strlen(text) > JOURNAL_TEXT_MAX)
		return err_say(err, E2BIG, "what the %s step wants is %zu bytes long and the "
			       "journal keeps %d", kind, strlen(text), JOURNAL_TEXT_MAX);
	copy = text ? strdup(text) : NULL;
	if (!copy)
		return err_set(err, ENOMEM, "plan the %s step", kind);
	list->at[list->n++] = (struct planned){ .kind = kind, .want = copy };
	return 0;
}

static json_object *member(json_object *o, const char *name)
{
	json_object *value = NULL;

	return o && json_object_object_get_ex(o, name, &value) ? value : NULL;
}

/* Copy a member as it is, if it is there. */
static void copy(json_object *to, json_object *from, const char *name, const char *as)
{
	json_object *value = member(from, name);

	if (value)
		json_put(to, as, json_object_get(value));
}

/* What every call of the runtime needs: see supervisor/oci/cli.h. */
static json_object *call(const struct task_row *task, json_object *request)
{
	json_object *o = json_object_new_object();

	json_put_text(o, "runtime", task->runtime);
	json_put_text(o, "root", task->runtime_root);
	json_put_text(o, "id", task->key.id);
	json_put_text(o, "bundle", task->bundle);
	copy(o, member(request, "options"), "systemd_cgroup", "systemd");
	return o;
}

static int check_task(const struct task_row *task, struct err *err)
{
	if (task->bundle[0] != '/')
		return err_say(err, EINVAL, "bundle \"%s\" is no absolute path", task->bundle);
	if (runtime_is_none(runtime_kind_of(task->runtime)))
		return 0;
	if (task->runtime[0] != '/')
		return err_say(err, EINVAL, "runtime \"%s\" is no absolute path", task->runtime);
	if (task->runtime_root[0] != '/')
		return err_say(err, EINVAL, "runtime root \"%s\" is no absolute path",
			       task->runtime_root);
	return 0;
}

/* ---- serve --------------------------------------------------------------------- */

static int plan_serve(struct plan_list *list, const struct task_row *task, json_object *args,
		      struct err *err)
{
	const char *socket = json_text(args, "socket", "");
	auto_free char *file = NULL;
	json_object *want;
	int rc;

	if (socket[0] != '/')
		return err_say(err, EINVAL, "socket \"%s\" is no absolute path", socket);
	want = json_object_new_object();
	if (want)
		json_put_text(want, "path", socket);
	copy(want, args, "join", "join");
	rc = add(list, "socket", want, err);
	if (rc < 0)
		return rc;
	if (asprintf(&file, "%s/address", task->bundle) < 0) {
		file = NULL;
		return err_set(err, ENOMEM, "plan the address step");
	}
	want = json_object_new_object();
	json_put_text(want, "path", file);
	json_put_text(want, "text", json_text(args, "address", ""));
	rc = add(list, "address", want, err);
	if (rc < 0)
		return rc;
	want = json_object_new_object();
	copy(want, args, "join", "join");
	return add(list, "server", want, err);
}

/* ---- create -------------------------------------------------------------------- */

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
			copy(want, mount, "options", "options");
			json_put_text(want, "root", root);
		}
		rc = add(list, "mount", want, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static json_object *cgroup_want(const struct task_row *task, json_object *request)
{
	json_object *want = call(task, request);

	if (want) {
		copy(want, request, "cgroups_path", "cgroups_path");
		json_put(want, "unikernel", json_object_new_boolean(!!member(request, "unikernel")));
	}
	return want;
}

static json_object *init_want(const struct task_row *task, json_object *request)
{
	json_object *options = member(request, "options");
	json_object *want = call(task, request);

	if (want) {
		copy(want, options, "no_pivot_root", "no_pivot");
		copy(want, options, "no_new_keyring", "no_new_keyring");
		copy(want, request, "console", "console");
	}
	return want;
}

static json_object *choice_want(json_object *request)
{
	json_object *want = json_object_new_object();

	json_put_text(want, "policy", json_text(request, "rootfs_choice", "best-effort"));
	copy(want, request, "path", "path");
	copy(want, request, "unikernel", "unikernel");
	if (member(request, "unikernel"))
		copy(want, request, "rootfs", "rootfs");
	return want;
}

static json_object *launch_want(const struct task_row *task, json_object *request)
{
	json_object *want = json_object_new_object();

	json_put_text(want, "id", task->key.id);
	json_put_text(want, "bundle", task->bundle);
	copy(want, request, "unikernel", "unikernel");
	copy(want, request, "console", "console");
	copy(want, request, "sandbox", "sandbox");
	return want;
}

/* What the runtime can't do, and would say less well. */
static int lacks(const struct task_row *task, const char *command, struct err *err)
{
	if (runtime_kind_of(task->runtime) == RUNTIME_NATIVE)
		return err_say(err, ENOTSUP, "a unikernel has no %s: it is one program, without "
			       "processes that could be reached from outside", command);
	if (runtime_kind_of(task->runtime) == RUNTIME_SANDBOX)
		return err_say(err, ENOTSUP, "a sandbox has no %s: its containers have", command);
	return runtime_kind_of(task->runtime) != RUNTIME_URUNC ? 0
		: err_say(err, ENOTSUP, "runtime %s has no command %s", task->runtime, command);
}

static bool restored(json_object *request)
{
	return json_text(request, "checkpoint", "")[0];
}

/* What is launched @holds before it makes its root, for hooks inside. */
static json_object *holding_want(const struct task_row *task, json_object *request, bool holds)
{
	json_object *want = launch_want(task, request);

	if (want && holds)
		json_put(want, "holds", json_object_new_boolean(true));
	return want;
}

static int add_hooks(struct plan_list *list, const struct task_row *task, json_object *request,
		     const char *when, struct err *err)
{
	const char *kind = strcmp(when, "poststop") == 0 ? "poststop" : "hook";

	return hooks_any(request, when)
		       ? add(list, kind, hooks_want(task, request, when), err)
		       : 0;
}

/* A namespace that has a name outlives init, and is found by that. */
static json_object *network_want(json_object *request)
{
	json_object *want = json_object_new_object();

	json_put(want, "init", json_object_new_boolean(true));
	copy(want, request, "netns", "netns");
	copy(want, member(request, "unikernel"), "type", "guest");
	copy(want, member(request, "unikernel"), "version", "version");
	copy(want, member(request, "unikernel"), "network", "mode");
	copy(want, request, "uid", "uid");
	copy(want, request, "gid", "gid");
	return want;
}

/* Without an OCI runtime; the choice comes first, as part of what is launched. */
static int plan_launch(struct plan_list *list, const struct task_row *task,
		       json_object *request, struct err *err)
{
	static const char *const first[] = { "prestart", "createRuntime", "createContainer" };
	bool mount = json_true(member(request, "unikernel"), "mount_rootfs");
	bool holds = hooks_any(request, "createContainer");
	int rc = add(list, "limits", launch_want(task, request), err);

	if (rc == 0 && member(request, "sandbox")) /* it has no rootfs, and makes no network */
		return add(list, "launch", launch_want(task, request), err);
	if (rc == 0)
		rc = add(list, "rootfs-choice", choice_want(request), err);
	if (rc == 0)
		rc = add_hooks(list, task, request, "poststop", err);
	if (rc == 0 && mount)
		rc = add(list, "virtiofsd", launch_want(task, request), err);
	if (rc == 0)
		rc = add(list, "launch", holding_want(task, request, holds), err);
	for (size_t i = 0; i < ARRAY_SIZE(first) && rc == 0; i++)
		rc = add_hooks(list, task, request, first[i], err);
	if (rc == 0 && holds)
		rc = add(list, "root", launch_want(task, request), err);
	if (rc == 0 && mount)
		rc = add(list, "release", launch_want(task, request), err);
	return rc < 0 ? rc : add(list, "network", network_want(request), err);
}

static int plan_create(struct plan_list *list, const struct task_row *task,
		       json_object *request, struct err *err)
{
	bool native = runtime_kind_of(task->runtime) == RUNTIME_NATIVE;
	json_object *bundle;
	int rc;

	if (restored(request) && lacks(task, "restore", err) < 0)
		return -ENOTSUP;
	bundle = json_object_new_object();
	if (bundle)
		json_put_text(bundle, "path", task->bundle);
	if (bundle && member(request, "sandbox"))
		json_put(bundle, "sandbox", json_object_new_boolean(true));
	rc = add(list, "bundle", bundle, err);
	if (rc == 0)
		rc = plan_mounts(list, task, request, err);
	if (rc == 0 && member(request, "decide"))
		rc = add(list, "unikernel", json_object_get(member(request, "decide")), err);
	if (rc == 0 && native && !member(request, "unikernel")) /* nobody else could run it */
		return 0;
	if (rc == 0)
		rc = add(list, "cgroup", cgroup_want(task, request), err);
	if (rc == 0 && runtime_is_none(runtime_kind_of(task->runtime)))
		return plan_launch(list, task, request, err);
	if (rc == 0)
		rc = add(list, "state", call(task, request), err);
	if (rc < 0 || restored(request)) /* its init comes with the start */
		return rc;
	rc = add(list, "init", init_want(task, request), err);
	return rc < 0 ? rc : add(list, "rootfs-choice", choice_want(request), err);
}

/* ---- start, kill --------------------------------------------------------------- */

static int put_bundle_path(json_object *want, const char *member, const struct task_row *task,
			   const char *name, struct err *err)
{
	auto_free char *path = NULL;

	if (asprintf(&path, "%s/%s", task->bundle, name) < 0)
		return err_set(err, ENOMEM, "plan");
	json_put_text(want, member, path);
	return 0;
}

static int plan_start(struct plan_list *list, const struct task_row *task,
		      json_object *request, struct err *err)
{
	json_object *options = member(request, "options");
	json_object *want;
	int rc = 0;

	if (runtime_is_none(runtime_kind_of(task->runtime))) {
		rc = add_hooks(list, task, request, "startContainer", err);
		if (rc == 0)
			rc = add(list, "monitor", launch_want(task, request), err);
		return rc < 0 ? rc : add_hooks(list, task, request, "poststart", err);
	}
	if (!restored(request))
		return add(list, "start", call(task, request), err);
	want = init_want(task, request);
	if (want) {
		copy(want, request, "checkpoint", "checkpoint");
		copy(want, request, "parent_checkpoint", "parent_checkpoint");
		if (json_text(options, "criu_work_path", "")[0])
			copy(want, options, "criu_work_path", "work");
		else
			rc = put_bundle_path(want, "work", task, "work", err);
	}
	if (rc < 0) {
		json_object_put(want);
		return rc;
	}
	return add(list, "init", want, err);
}

static int plan_kill(struct plan_list *list, const struct task_row *task, json_object *request,
		     json_object *args, struct err *err)
{
	int64_t signal = json_int(args, "signal", -1);
	json_object *want;

	if (signal < 0 || signal > 64)
		return err_say(err, EINVAL, "there is no signal %lld", (long long)signal);
	want = call(task, request);
	if (want) {
		json_put_int(want, "signal", signal);
		copy(want, args, "all", "all");
		copy(want, args, "paused", "paused");
	}
	return add(list, "signal", want, err);
}

/* ---- pause, resume, update, checkpoint, exec ------------------------------------------ */

static int plan_exec(struct plan_list *list, const struct task_row *task, json_object *request,
		     json_object *args, struct err *err)
{
	json_object *want = call(task, request);

	if (want) {
		copy(want, args, "exec_id", "exec_id");
		copy(want, args, "console", "console");
	}
	return add(list, "exec", want, err);
}

static int plan_checkpoint(struct plan_list *list, const struct task_row *task,
			   json_object *request, json_object *args, struct err *err)
{
	static const char *const members[] = {
		"path", "work", "parent", "exit", "open_tcp", "external_unix_sockets", "terminal",
		"file_locks", "empty_namespaces",
	};
	json_object *want;
	int rc = 0;

	if (json_text(args, "path", "")[0] != '/')
		return err_say(err, EINVAL, "image path \"%s\" is no absolute path",
			       json_text(args, "path", ""));
	want = call(task, request);
	for (size_t i = 0; want && i < ARRAY_SIZE(members); i++)
		copy(want, args, members[i], members[i]);
	if (want && !json_text(args, "work", "")[0]) {
		json_put(want, "own_work", json_object_new_boolean(true));
		rc = put_bundle_path(want, "work", task, "work/criu-work", err);
	}
	if (rc < 0) {
		json_object_put(want);
		return rc;
	}
	return add(list, "checkpoint", want, err);
}

/* What not every runtime can do. */
static int plan_more(struct plan_list *list, enum plan plan, const struct task_row *task,
		     json_object *request, json_object *args, struct err *err)
{
	bool freezes = plan == PLAN_PAUSE || plan == PLAN_RESUME;

	if ((!freezes || runtime_kind_of(task->runtime) != RUNTIME_NATIVE) &&
	    lacks(task, plan_name(plan), err) < 0)
		return -ENOTSUP;
	if (plan == PLAN_EXEC)
		return plan_exec(list, task, request, args, err);
	if (plan == PLAN_CHECKPOINT)
		return plan_checkpoint(list, task, request, args, err);
	return add(list, plan_name(plan), call(task, request), err);
}

static int make(struct plan_list *list, enum plan plan, const struct task_row *task,
		json_object *request, json_object *args, struct err *err)
{
	int rc;

	if (plan == PLAN_SERVE)
		return plan_serve(list, task, args, err);
	rc = check_task(task, err);
	if (rc < 0)
		return rc;
	if (plan == PLAN_CREATE)
		return plan_create(list, task, request, err);
	if (plan == PLAN_START)
		return plan_start(list, task, request, err);
	if (plan == PLAN_KILL)
		return plan_kill(list, task, request, args, err);
	if (plan == PLAN_PAUSE || plan == PLAN_RESUME || plan == PLAN_UPDATE ||
	    plan == PLAN_CHECKPOINT || plan == PLAN_EXEC)
		return plan_more(list, plan, task, request, args, err);
	return err_say(err, EINVAL, "plan %s applies no steps",
		       plan_name(plan) ? plan_name(plan) : "?");
}

int plan_make(struct plan_list *ret, enum plan plan, const struct task_row *task,
	      json_object *request, json_object *args, struct err *err)
{
	int rc;

	ret->n = 0;
	rc = make(ret, plan, task, request, args, err);
	if (rc < 0)
		plan_clear(ret);
	return rc;
}
