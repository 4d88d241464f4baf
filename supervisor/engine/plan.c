/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/engine/plan.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/hooks.h"
#include "supervisor/bundle/json.h"
#include "supervisor/oci/runtime.h"
#include "supervisor/step/step.h"

#include <string.h>

/* ---- parts -------------------------------------------------------------------- */

void plan_clear(struct plan_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free((char *)list->at[i].want);
	list->n = 0;
}

int plan_add(struct plan_list *list, const char *kind, json_object *want, struct err *err)
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

json_object *plan_member(json_object *o, const char *name)
{
	json_object *value = NULL;

	return o && json_object_object_get_ex(o, name, &value) ? value : NULL;
}

void plan_copy(json_object *to, json_object *from, const char *name, const char *as)
{
	json_object *value = plan_member(from, name);

	if (value)
		json_put(to, as, json_object_get(value));
}

json_object *plan_call(const struct task_row *task, json_object *request)
{
	json_object *o = json_object_new_object();

	json_put_text(o, "runtime", task->runtime);
	json_put_text(o, "root", task->runtime_root);
	json_put_text(o, "id", task->key.id);
	json_put_text(o, "bundle", task->bundle);
	plan_copy(o, plan_member(request, "options"), "systemd_cgroup", "systemd");
	return o;
}

json_object *plan_init_want(const struct task_row *task, json_object *request)
{
	json_object *options = plan_member(request, "options");
	json_object *want = plan_call(task, request);

	if (want) {
		plan_copy(want, options, "no_pivot_root", "no_pivot");
		plan_copy(want, options, "no_new_keyring", "no_new_keyring");
		plan_copy(want, request, "console", "console");
	}
	return want;
}

json_object *plan_launch_want(const struct task_row *task, json_object *request)
{
	json_object *want = json_object_new_object();

	json_put_text(want, "id", task->key.id);
	json_put_text(want, "bundle", task->bundle);
	plan_copy(want, request, "unikernel", "unikernel");
	plan_copy(want, request, "console", "console");
	plan_copy(want, request, "sandbox", "sandbox");
	return want;
}

int plan_add_hooks(struct plan_list *list, const struct task_row *task, json_object *request,
		   const char *when, struct err *err)
{
	const char *kind = strcmp(when, "poststop") == 0 ? "poststop" : "hook";

	return hooks_any(request, when)
		       ? plan_add(list, kind, hooks_want(task, request, when), err)
		       : 0;
}

bool plan_restored(json_object *request)
{
	return json_text(request, "checkpoint", "")[0];
}

int plan_lacks(const struct task_row *task, const char *command, struct err *err)
{
	if (runtime_kind_of(task->runtime) == RUNTIME_NATIVE)
		return err_say(err, ENOTSUP, "a unikernel has no %s: it is one program, without "
			       "processes that could be reached from outside", command);
	if (runtime_kind_of(task->runtime) == RUNTIME_SANDBOX)
		return err_say(err, ENOTSUP, "a sandbox has no %s: its containers have", command);
	return runtime_kind_of(task->runtime) != RUNTIME_URUNC ? 0
		: err_say(err, ENOTSUP, "runtime %s has no command %s", task->runtime, command);
}

/* ---- a task that a plan can be made for ------------------------------------------ */

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
	plan_copy(want, args, "join", "join");
	rc = plan_add(list, "socket", want, err);
	if (rc < 0)
		return rc;
	if (asprintf(&file, "%s/address", task->bundle) < 0) {
		file = NULL;
		return err_set(err, ENOMEM, "plan the address step");
	}
	want = json_object_new_object();
	json_put_text(want, "path", file);
	json_put_text(want, "text", json_text(args, "address", ""));
	rc = plan_add(list, "address", want, err);
	if (rc < 0)
		return rc;
	want = json_object_new_object();
	plan_copy(want, args, "join", "join");
	return plan_add(list, "server", want, err);
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
	json_object *options = plan_member(request, "options");
	json_object *want;
	int rc = 0;

	if (runtime_is_none(runtime_kind_of(task->runtime))) {
		rc = plan_add_hooks(list, task, request, "startContainer", err);
		if (rc == 0)
			rc = plan_add(list, "monitor", plan_launch_want(task, request), err);
		return rc < 0 ? rc : plan_add_hooks(list, task, request, "poststart", err);
	}
	if (!plan_restored(request))
		return plan_add(list, "start", plan_call(task, request), err);
	want = plan_init_want(task, request);
	if (want) {
		plan_copy(want, request, "checkpoint", "checkpoint");
		plan_copy(want, request, "parent_checkpoint", "parent_checkpoint");
		if (json_text(options, "criu_work_path", "")[0])
			plan_copy(want, options, "criu_work_path", "work");
		else
			rc = put_bundle_path(want, "work", task, "work", err);
	}
	if (rc < 0) {
		json_object_put(want);
		return rc;
	}
	return plan_add(list, "init", want, err);
}

static int plan_kill(struct plan_list *list, const struct task_row *task, json_object *request,
		     json_object *args, struct err *err)
{
	int64_t signal = json_int(args, "signal", -1);
	json_object *want;

	if (signal < 0 || signal > 64)
		return err_say(err, EINVAL, "there is no signal %lld", (long long)signal);
	want = plan_call(task, request);
	if (want) {
		json_put_int(want, "signal", signal);
		plan_copy(want, args, "all", "all");
		plan_copy(want, args, "paused", "paused");
	}
	return plan_add(list, "signal", want, err);
}

/* ---- pause, resume, update, checkpoint, exec ------------------------------------------ */

static int plan_exec(struct plan_list *list, const struct task_row *task, json_object *request,
		     json_object *args, struct err *err)
{
	json_object *want = plan_call(task, request);

	if (want) {
		plan_copy(want, args, "exec_id", "exec_id");
		plan_copy(want, args, "console", "console");
	}
	return plan_add(list, "exec", want, err);
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
	want = plan_call(task, request);
	for (size_t i = 0; want && i < ARRAY_SIZE(members); i++)
		plan_copy(want, args, members[i], members[i]);
	if (want && !json_text(args, "work", "")[0]) {
		json_put(want, "own_work", json_object_new_boolean(true));
		rc = put_bundle_path(want, "work", task, "work/criu-work", err);
	}
	if (rc < 0) {
		json_object_put(want);
		return rc;
	}
	return plan_add(list, "checkpoint", want, err);
}

/* What not every runtime can do. */
static int plan_more(struct plan_list *list, enum plan plan, const struct task_row *task,
		     json_object *request, json_object *args, struct err *err)
{
	bool freezes = plan == PLAN_PAUSE || plan == PLAN_RESUME;

	if ((!freezes || runtime_kind_of(task->runtime) != RUNTIME_NATIVE) &&
	    plan_lacks(task, plan_name(plan), err) < 0)
		return -ENOTSUP;
	if (plan == PLAN_EXEC)
		return plan_exec(list, task, request, args, err);
	if (plan == PLAN_CHECKPOINT)
		return plan_checkpoint(list, task, request, args, err);
	return plan_add(list, plan_name(plan), plan_call(task, request), err);
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
