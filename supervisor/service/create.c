/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/service/task.h"

#include "journal/base/cleanup.h"
#include "proto/api/task.pb-c.h"
#include "proto/ttrpc/status.h"
#include "supervisor/bundle/config.h"
#include "supervisor/bundle/json.h"
#include "supervisor/bundle/options.h"
#include "supervisor/bundle/request.h"
#include "supervisor/io/console.h"
#include "supervisor/oci/runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A Create from its request to its answer. */
struct create {
	struct task *task;
	struct call *call; /* NULL: its plan has it */
	struct err why;    /* no terminal came      */
	json_object *request;
	char *runtime, *root;
	uid_t uid;
	gid_t gid;
};

static void create_free(struct create *c)
{
	json_object_put(c->request);
	free(c->runtime);
	free(c->root);
	free(c);
}

static void create_end(struct create *c)
{
	c->task->creating = NULL;
	create_free(c);
}

void create_drop(struct task *t)
{
	if (!t->creating)
		return;
	if (t->creating->call)
		call_drop(t->creating->call);
	create_end(t->creating);
}

/* Nothing is left of it, as far as that could be done. */
static void create_undone(struct create *c)
{
	struct task *t = c->task;

	t->streams = streams_drop(t->streams);
	create_end(c);
	release_go_on(t);
	service_look_idle(t->service);
}

/* It ends before anything was done. */
static void create_fail(struct create *c, const struct err *err)
{
	call_fail(c->call, err);
	create_undone(c);
}

/* ---- what is asked ------------------------------------------------------------------- */

/* The journal names the one that `start` was given: who comes after us removes it. */
static int check_bundle(const struct task *t, const char *path, struct err *err)
{
	struct node *n = t->service->o->node;
	struct path_ident found;
	int rc;

	if (path[0] != '/')
		return err_say(err, EINVAL, "bundle \"%s\" is no absolute path", path);
	rc = n->path(n, path, &found, err);
	if (rc <= 0 || (found.dev == t->row.bundle_dev && found.ino == t->row.bundle_ino))
		return rc < 0 ? rc : 0; /* one that is gone: its config is missed */
	return err_say(err, EINVAL, "bundle %s of task %s is not the one that start was given, %s",
		       path, t->row.key.id, t->row.bundle);
}

int create_check(const struct task *t, const char *bundle, struct err *err)
{
	int rc;

	if (task_exists(t) || t->creating || t->life == LIFE_CREATING || t->life == LIFE_UNDOING)
		return err_say(err, EEXIST, "task %s", t->row.key.id);
	if (t->going || t->release)
		return err_say(err, ESHUTDOWN, "task %s is going", t->row.key.id);
	rc = check_bundle(t, bundle, err);
	return rc < 0 ? rc : task_may_change(t, err);
}

static struct request_mount *mounts_of(const Containerd__Task__V2__CreateTaskRequest *in)
{
	struct request_mount *list = calloc(in->n_rootfs + 1, sizeof(*list));

	for (size_t i = 0; list && i < in->n_rootfs; i++) {
		const Containerd__Types__Mount *m = in->rootfs[i];

		list[i] = (struct request_mount){ .type = m->type, .source = m->source,
						  .target = m->target,
						  .options = (const char *const *)m->options,
						  .n_options = m->n_options };
	}
	return list;
}

/* Its name, which is journalled before it is made; *ret is NULL without a terminal. */
static int name_console(const struct create *c, bool terminal, char **ret, struct err *err)
{
	const struct service_options *o = c->task->service->o;

	return terminal ? console_path(ret, o->config->run, o->node->random(o->node), err) : 0;
}

static int make_request(struct create *c, const Containerd__Task__V2__CreateTaskRequest *in,
			json_object *options, struct err *err)
{
	const struct config *config = c->task->service->o->config;
	auto_free char *console = NULL;
	auto_free struct request_mount *mounts = mounts_of(in);
	struct spec spec = SPEC_INIT;
	struct request_in asked = {
		.in = in->stdin, .out = in->stdout, .err = in->stderr,
		.terminal = in->terminal, .checkpoint = in->checkpoint,
		.parent_checkpoint = in->parent_checkpoint,
		.search = getenv("PATH"), .rootfs = mounts, .n_rootfs = in->n_rootfs,
		.options = options, .spec = &spec, .config = config,
	};
	int rc;

	if (!mounts)
		return err_set(err, ENOMEM, "create");
	rc = name_console(c, in->terminal, &console, err);
	asked.console = console;
	if (rc == 0)
		rc = spec_load(&spec, c->task->service->o->node, in->bundle, err);
	if (rc == 0)
		rc = request_make(&c->request, &asked, err);
	spec_clear(&spec);
	return rc;
}

/* Its rootfs says whether it is a unikernel; else there must be a runtime. */
static int decide_later(struct create *c, const char *missing, struct err *err)
{
	json_object *decide = json_object_new_object();

	if (!decide)
		return err_set(err, ENOMEM, "create");
	if (!c->runtime)
		json_put_text(decide, "no_runtime", missing);
	json_put(c->request, "decide", decide);
	return 0;
}

static int run_ourselves(struct create *c, struct err *err)
{
	free(c->runtime);
	c->runtime = strdup(RUNTIME_NATIVE_NAME);
	return c->runtime ? 0 : err_set(err, ENOMEM, "create");
}

/* Who is going to run it. Without an OCI runtime on the node a unikernel still can be. */
static int find_runtime(struct create *c, json_object *options, struct err *err)
{
	const struct service_options *o = c->task->service->o;
	const char *dirs = getenv("PATH");
	bool ours = o->config->unikernel != LAUNCH_RUNTIME;
	bool unikernel = ours && json_object_object_get_ex(c->request, "unikernel", NULL);
	struct err why = ERR_INIT;
	int rc = 0;

	if (!unikernel || o->config->unikernel == LAUNCH_AUTO)
		rc = runtime_find(o->node, request_runtime(options, o->config), dirs ? dirs : "",
				  &c->runtime, &why);
	if (c->runtime && runtime_kind_of(c->runtime) == RUNTIME_URUNC)
		return 0;
	if (unikernel)
		return run_ourselves(c, err);
	if (!ours || json_text(c->request, "checkpoint", "")[0] || (rc < 0 && rc != -ENOEXEC)) {
		*err = why;
		return rc;
	}
	rc = decide_later(c, why.text, err);
	return rc < 0 || c->runtime ? rc : run_ourselves(c, err);
}

static int read_request(struct create *c, const Containerd__Task__V2__CreateTaskRequest *in,
			struct err *err)
{
	const Google__Protobuf__Any *any = in->options;
	auto_json json_object *options = NULL;
	int rc = options_decode(&options, any ? any->type_url : "", any ? any->value.data : NULL,
				any ? any->value.len : 0, err);

	if (rc == 0)
		rc = options_follow(options, c->task->service->o->node, err);
	if (rc == 0)
		rc = make_request(c, in, options, err);
	if (rc == 0)
		rc = request_root(&c->root, options, c->task->row.key.ns, err);
	if (rc == 0)
		rc = find_runtime(c, options, err);
	if (rc < 0)
		return rc;
	c->uid = (uid_t)json_uint(options, "io_uid", 0);
	c->gid = (gid_t)json_uint(options, "io_gid", 0);
	return 0;
}

/* ---- the plan -------------------------------------------------------------------------- */

static int tell(struct task *t, json_object *request, struct err *err)
{
	json_object *mounts = json_list(request, "rootfs");
	struct told_create what = { .id = t->row.key.id, .bundle = t->row.bundle,
				    .stdio = { t->name[0], t->name[1], t->name[2] },
				    .terminal = t->terminal,
				    .checkpoint = json_text(request, "checkpoint", "") };

	return tell_create(t->journal, &what, mounts, t->row.init.pid, task_wall_ns(t), err);
}

static void created(struct create *c)
{
	Containerd__Task__V2__CreateTaskResponse out =
		CONTAINERD__TASK__V2__CREATE_TASK_RESPONSE__INIT;
	struct task *t = c->task;
	struct err err = ERR_INIT;

	if (task_has_journal(t, &err) < 0 || tell(t, c->request, &err) < 0)
		log_say(t->service->o->log, LOG_LEVEL_ERROR, "event lost: %s", err.text);
	outbox_kick(t->outbox);
	out.pid = (uint32_t)t->row.init.pid;
	call_answer(c->call, &out.base);
	create_end(c);
	usage_begin(t);
	release_go_on(t);
}

static void on_taken_back(struct op *op, const struct run_end *end)
{
	struct create *c = op->task->creating;
	struct err err = ERR_INIT;

	if (task_refresh(op->task, &err) < 0)
		task_break(op->task, &err);
	if (end->state != RUN_DONE)
		err_wrap(&c->why, "not all of it was taken back (%.300s)", end->err.text);
	call_fail_code(c->call, STATUS_UNKNOWN, c->why.text);
	create_undone(c);
}

/* There is a container, and it has no terminal. */
static void take_back(struct create *c, const struct err *why)
{
	struct err err = ERR_INIT;

	c->why = *why;
	err_wrap(&c->why, "OCI runtime create failed");
	if (op_begin(c->task, EV_DELETE, NULL, NULL, on_taken_back, &err) == 0)
		return;
	err_wrap(&c->why, "it was not taken back (%.300s)", err.text);
	call_fail_code(c->call, STATUS_UNKNOWN, c->why.text);
	create_undone(c);
}

static void on_terminal(void *arg, const struct err *why)
{
	if (why)
		take_back(arg, why);
	else
		created(arg);
}

static void on_created(struct op *op, const struct run_end *end)
{
	struct task *t = op->task;
	struct create *c = t->creating;
	struct err err = ERR_INIT;
	int rc = 0;

	c->call = op->call;
	if (task_refresh(t, &err) < 0)
		task_break(t, &err);
	if (end->state != RUN_DONE) {
		answer_failure(c->call, end);
		create_undone(c);
		return;
	}
	if (t->row.init.pid) /* else it comes with the start, from a checkpoint */
		rc = streams_made(t->streams, on_terminal, c, &err);
	if (rc == 0)
		created(c);
	else if (rc < 0)
		take_back(c, &err);
}

static int write_row(struct task *t, const char *runtime, const char *root, struct err *err)
{
	int rc = journal_begin(t->journal, err);

	if (rc < 0)
		return rc;
	rc = journal_set_text(t->journal, TASK_RUNTIME, runtime, err);
	if (rc == 0)
		rc = journal_set_text(t->journal, TASK_RUNTIME_ROOT, root, err);
	return task_commit(t, rc, err);
}

int create_write(struct task *t, const char *runtime, const char *root, json_object *request,
		 struct err *err)
{
	int rc = write_row(t, runtime, root, err);

	if (rc < 0)
		return rc;
	for (int i = 0; i < 3; i++)
		free(TAKE_PTR(t->name[i]));
	t->exit = (struct told_exit){ .at_ns = 0 };
	t->exit_waits = t->exit_journalled = false;
	t->released = t->thawed = t->stop_killed = t->share_over = false;
	grace_end(t);
	return task_read_request(t, request, err);
}

static int open_plan(struct create *c, struct err *err)
{
	struct task *t = c->task;
	struct run_options options = RUN_OPTIONS_INIT;
	int rc = create_write(t, c->runtime, c->root, c->request, err);

	if (rc < 0)
		return rc;
	streams_give(t->streams, &options);
	options.request = json_write(c->request);
	rc = op_begin(t, EV_CREATE, &options, c->call, on_created, err);
	if (rc < 0)
		return rc;
	c->call = NULL; /* the plan's */
	streams_watch(t->streams, t->ops->driver);
	return 0;
}

static void on_streams(void *arg, const struct err *why)
{
	struct create *c = arg;
	struct err err = ERR_INIT;
	int rc = 0;

	if (why)
		create_fail(c, why);
	else
		rc = open_plan(c, &err);
	if (rc < 0)
		create_fail(c, &err);
}

/* Somebody wants it released: no client is waited for any more. */
static int may_wait(void *arg, struct err *err)
{
	const struct task *t = arg;

	return t->release ? err_say(err, ESHUTDOWN, "task %s is being released", t->row.key.id) : 0;
}

static void on_quiet(void *arg)
{
	delete_go_on(arg);
}

static int make_streams(struct create *c, struct err *err)
{
	struct task *t = c->task;
	const struct streams_options options = {
		.task = t, .io = &t->stdio, .id = t->row.key.id, .may = may_wait, .quiet = on_quiet,
		.arg = t,
		.names = {
			.name = { json_text(c->request, "stdin", ""),
				  json_text(c->request, "stdout", ""),
				  json_text(c->request, "stderr", "") },
			.terminal = json_true(c->request, "terminal"),
			.uid = c->uid, .gid = c->gid,
		},
		.console = json_text(c->request, "console", ""),
	};

	return streams_new(&t->streams, &options, err);
}

struct task *create_task(struct service *s, const void *in, struct err *err)
{
	const Containerd__Task__V2__CreateTaskRequest *req = in;
	const struct join join = { .id = req->id, .bundle = req->bundle, .group = s->group.name,
				   .ttrpc_address = "" };
	struct task *t = task_find(s, req->id);

	if (t)
		return t;
	if (s->o->config->group != GROUP_BY_POD && !service_has_sandbox(s)) {
		err_say(err, EINVAL, "this shim is for task %s, not for %s", s->group.key.id,
			req->id);
		return NULL;
	}
	return member_join(s, &join, err) == 0 ? task_find(s, req->id) : NULL;
}

void create_begin(struct task *t, struct call *call, const void *in)
{
	const Containerd__Task__V2__CreateTaskRequest *req = in;
	struct err err = ERR_INIT;
	struct create *c = NULL;
	int rc = create_check(t, req->bundle, &err);

	if (rc == 0) {
		c = calloc(1, sizeof(*c));
		rc = c ? 0 : err_set(&err, ENOMEM, "create");
	}
	if (rc < 0) {
		call_fail(call, &err);
		return;
	}
	t->unused = false;
	c->task = t;
	c->call = call;
	t->creating = c;
	rc = read_request(c, req, &err);
	if (rc == 0)
		rc = make_streams(c, &err);
	if (rc < 0)
		create_fail(c, &err);
	else
		streams_open(t->streams, on_streams, c);
}
