/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/service/task.h"

#include "journal/base/cleanup.h"
#include "proto/api/task.pb-c.h"
#include "supervisor/bundle/config.h"
#include "supervisor/bundle/options.h"
#include "supervisor/bundle/request.h"
#include "supervisor/oci/runtime.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

/* A Create before its plan is opened: its stdio waits for the client's. */
struct create {
	struct task *task;
	struct call *call;
	struct event *timer;
	int64_t until_ms;
	json_object *request;
	char *bundle;
	char *runtime, *root;
	uid_t uid;
	gid_t gid;
};

static void create_free(struct create *c)
{
	if (c->timer)
		event_free(c->timer);
	json_object_put(c->request);
	free(c->bundle);
	free(c->runtime);
	free(c->root);
	free(c);
}

void create_drop(struct task *t)
{
	if (!t->creating)
		return;
	call_drop(t->creating->call);
	create_free(t->creating);
	t->creating = NULL;
}

/* It ends before anything was done. */
static void create_fail(struct create *c, const struct err *err)
{
	struct task *t = c->task;

	stdio_close(&t->stdio);
	call_fail(c->call, err);
	t->creating = NULL;
	create_free(c);
	service_look_idle(t->service);
}

/* ---- what is asked ------------------------------------------------------------------- */

static int check(const struct task *t, const Containerd__Task__V2__CreateTaskRequest *in,
		 struct err *err)
{
	if (strcmp(in->id, t->row.key.id) != 0)
		return err_say(err, EINVAL, "this shim is for task %s, not for %s", t->row.key.id,
			       in->id);
	if (task_exists(t) || t->creating)
		return err_say(err, EEXIST, "task %s", in->id);
	if (in->bundle[0] != '/')
		return err_say(err, EINVAL, "bundle \"%s\" is no absolute path", in->bundle);
	return task_may_change(t, err);
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

static int make_request(struct create *c, const Containerd__Task__V2__CreateTaskRequest *in,
			json_object *options, struct err *err)
{
	const struct config *config = c->task->service->o->config;
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
	rc = spec_load(&spec, c->task->service->o->node, in->bundle, err);
	if (rc == 0)
		rc = request_make(&c->request, &asked, err);
	spec_clear(&spec);
	return rc;
}

static int read_request(struct create *c, const Containerd__Task__V2__CreateTaskRequest *in,
			struct err *err)
{
	const struct service_options *o = c->task->service->o;
	const Google__Protobuf__Any *any = in->options;
	auto_json json_object *options = NULL;
	const char *dirs = getenv("PATH");
	int rc = options_decode(&options, any ? any->type_url : "", any ? any->value.data : NULL,
				any ? any->value.len : 0, err);

	if (rc == 0)
		rc = make_request(c, in, options, err);
	if (rc == 0)
		rc = request_root(&c->root, options, c->task->row.key.ns, err);
	if (rc == 0)
		rc = runtime_find(o->node, request_runtime(options, o->config), dirs ? dirs : "",
				  &c->runtime, err);
	if (rc < 0)
		return rc;
	c->uid = (uid_t)json_uint(options, "io_uid", 0);
	c->gid = (gid_t)json_uint(options, "io_gid", 0);
	c->bundle = strdup(in->bundle);
	return c->bundle ? 0 : err_set(err, ENOMEM, "create");
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

static void on_created(struct op *op, const struct run_end *end)
{
	Containerd__Task__V2__CreateTaskResponse out =
		CONTAINERD__TASK__V2__CREATE_TASK_RESPONSE__INIT;
	struct task *t = op->task;
	auto_json json_object *request = NULL;
	struct err err = ERR_INIT;

	if (task_refresh(t, &err) < 0)
		task_break(t, &err);
	if (t->row.init.pid) /* else it comes with the start, from a checkpoint */
		stdio_given(&t->stdio);
	if (end->state != RUN_DONE) {
		stdio_close(&t->stdio);
		answer_failure(op->call, end);
		return;
	}
	request = json_tokener_parse(t->row.request);
	if (tell(t, request, &err) < 0)
		log_say(t->service->o->log, LOG_LEVEL_ERROR, "event lost: %s", err.text);
	outbox_kick(t->outbox);
	out.pid = (uint32_t)t->row.init.pid;
	call_answer(op->call, &out.base);
	usage_begin(t);
}

static int write_row(struct create *c, struct err *err)
{
	struct task *t = c->task;
	int rc = journal_begin(t->journal, err);

	if (rc < 0)
		return rc;
	rc = journal_set_text(t->journal, TASK_RUNTIME, c->runtime, err);
	if (rc == 0)
		rc = journal_set_text(t->journal, TASK_RUNTIME_ROOT, c->root, err);
	return task_commit(t, rc, err);
}

/* The memory of an earlier life of the task ends here. */
static int remember(struct create *c, struct err *err)
{
	struct task *t = c->task;

	for (int i = 0; i < 3; i++)
		free(TAKE_PTR(t->name[i]));
	t->exit = (struct told_exit){ .at_ns = 0 };
	t->exit_waits = t->exit_journalled = false;
	t->released = t->thawed = false;
	return task_read_request(t, c->request, err);
}

static int open_plan(struct create *c, struct err *err)
{
	struct task *t = c->task;
	struct run_options options = RUN_OPTIONS_INIT;
	int rc = write_row(c, err);

	if (rc == 0)
		rc = remember(c, err);
	if (rc < 0)
		return rc;
	memcpy(options.stdio, t->stdio.fd, sizeof(options.stdio));
	options.request = json_object_to_json_string_ext(c->request, JSON_C_TO_STRING_PLAIN);
	return op_begin(t, EV_CREATE, &options, c->call, on_created, err);
}

static void go_on(struct create *c);

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	go_on(arg);
}

static int wait_for_client(struct create *c, const struct stdio_names *names, struct err *err)
{
	struct service *s = c->task->service;
	struct timeval tv = { .tv_usec = STDIO_AGAIN_MS * 1000 };

	if (s->o->node->now_ms(s->o->node) >= c->until_ms)
		return err_say(err, ETIMEDOUT, "failed to create init process I/O: nobody has opened "
			       "%s for reading in %d s",
			       stdio_missing(&c->task->stdio, names), STDIO_MAX_MS / 1000);
	if (!c->timer)
		c->timer = evtimer_new(s->base, on_timer, c);
	if (!c->timer || event_add(c->timer, &tv) < 0)
		return err_set(err, ENOMEM, "create");
	return 0;
}

static void go_on(struct create *c)
{
	struct task *t = c->task;
	const struct stdio_names names = {
		.name = { json_text(c->request, "stdin", ""), json_text(c->request, "stdout", ""),
			  json_text(c->request, "stderr", "") },
		.terminal = json_true(c->request, "terminal"),
		.uid = c->uid, .gid = c->gid,
	};
	struct err err = ERR_INIT;
	int rc;

	if (names.terminal)
		rc = err_say(&err, ENOTSUP, "a terminal is not supported yet; run without it");
	else if (stdio_wants_logger(&names))
		rc = err_say(&err, ENOTSUP, "logging binary %s is not supported yet", names.name[1]);
	else
		rc = stdio_open(&t->stdio, &names, &err);
	if (rc == STDIO_WAIT) {
		rc = wait_for_client(c, &names, &err);
		if (rc == 0)
			return;
	} else if (rc < 0) {
		err_wrap(&err, "failed to create init process I/O");
	}
	if (rc == 0)
		rc = open_plan(c, &err);
	if (rc < 0) {
		create_fail(c, &err);
		return;
	}
	t->creating = NULL;
	create_free(c);
}

void create_begin(struct task *t, struct call *call, const void *in)
{
	const Containerd__Task__V2__CreateTaskRequest *req = in;
	struct node *n = t->service->o->node;
	struct err err = ERR_INIT;
	struct create *c = NULL;
	int rc = check(t, req, &err);

	if (rc == 0) {
		c = calloc(1, sizeof(*c));
		rc = c ? 0 : err_set(&err, ENOMEM, "create");
	}
	if (rc < 0) {
		call_fail(call, &err);
		return;
	}
	c->task = t;
	c->call = call;
	c->until_ms = n->now_ms(n) + STDIO_MAX_MS;
	t->creating = c;
	rc = read_request(c, req, &err);
	if (rc < 0) {
		create_fail(c, &err);
		return;
	}
	go_on(c);
}
