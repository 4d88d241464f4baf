/* SPDX-License-Identifier: Apache-2.0 */
/* exec_api.c - what containerd asks about the processes beside init. */
#include "supervisor/service/task.h"

#include "journal/base/cleanup.h"
#include "proto/api/task.pb-c.h"
#include "supervisor/engine/execs.h"

#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

/* ---- Exec ---------------------------------------------------------------------------- */

/* The process as JSON, with the request's word on the terminal. */
static int read_process(struct exec *e, const Containerd__Task__V2__ExecProcessRequest *in,
			struct err *err)
{
	auto_free char *text = in->spec ? strndup((const char *)in->spec->value.data,
						  in->spec->value.len) : strdup("");
	auto_json json_object *process = NULL;
	const char *out;

	if (!text)
		return err_set(err, ENOMEM, "exec %s", in->exec_id);
	process = json_tokener_parse(text);
	if (!json_object_is_type(process, json_type_object))
		return err_say(err, EPROTO, "exec %s: its process is no JSON object", in->exec_id);
	json_object_object_add(process, "terminal", json_object_new_boolean(in->terminal));
	out = json_object_to_json_string_ext(process, JSON_C_TO_STRING_PLAIN);
	e->process = out ? strdup(out) : NULL;
	return e->process ? 0 : err_set(err, ENOMEM, "exec %s", in->exec_id);
}

static int read_exec(struct exec *e, const Containerd__Task__V2__ExecProcessRequest *in,
		     struct err *err)
{
	const char *const names[3] = { in->stdin, in->stdout, in->stderr };

	e->state = EXEC_ADDED;
	e->stdio = (struct stdio)STDIO_INIT;
	e->terminal = in->terminal;
	e->id = strdup(in->exec_id);
	for (int i = 0; i < 3; i++) {
		e->name[i] = strdup(names[i]);
		if (!e->name[i] || !e->id)
			return err_set(err, ENOMEM, "exec %s", in->exec_id);
	}
	return read_process(e, in, err);
}

static int may_add(const struct task *t, const char *id, struct err *err)
{
	const struct arrow *arrow = life_arrow(t->life, EV_EXEC);

	if (arrow->to == LIFE_NONE_)
		return err_say(err, arrow->code, "%s", arrow->why);
	if (!t->row.init.pid) /* a checkpoint, to be restored at start */
		return err_say(err, EPROTO, "cannot exec in a created state");
	if (!*id)
		return err_say(err, EINVAL, "an exec without an id");
	if (exec_of(t, id))
		return err_say(err, EEXIST, "id %s", id);
	return task_may_change(t, err);
}

void exec_add(struct task *t, struct call *call, const void *in)
{
	const Containerd__Task__V2__ExecProcessRequest *req = in;
	struct exec *e = NULL;
	struct err err = ERR_INIT;
	int rc = may_add(t, req->exec_id, &err);

	if (rc == 0) {
		e = calloc(1, sizeof(*e));
		rc = e ? 0 : err_set(&err, ENOMEM, "exec %s", req->exec_id);
	}
	if (rc == 0) {
		*e = (struct exec){ .task = t, .next = t->execs };
		t->execs = e;
		rc = read_exec(e, req, &err);
	}
	if (rc == 0)
		rc = tell_exec_added(t->journal, e->id, task_wall_ns(t), &err);
	if (rc < 0) {
		if (e)
			exec_free(e);
		call_fail(call, &err);
		return;
	}
	outbox_kick(t->outbox);
	answer_empty(call);
}

/* ---- Start --------------------------------------------------------------------------- */

static void start_failed(struct exec *e)
{
	static const struct told_exit never = { .at_ns = 0 };

	e->state = EXEC_ADDED;
	stdio_close(&e->stdio);
	wait_tell(&e->waiters, &never);
	exit_go_on(e->task);
	delete_go_on(e->task);
}

static int learn_process(struct exec *e, struct err *err)
{
	struct task *t = e->task;
	struct exec_row row;
	int rc = exec_find(t->journal, e->id, &row, err);

	if (rc == 0)
		rc = err_say(err, EPROTO, "exec %s has no row", e->id);
	if (rc < 0)
		return rc;
	e->process_id = row.process;
	e->exit.pid = row.process.pid;
	return 0;
}

static void on_started(struct op *op, const struct run_end *end)
{
	Containerd__Task__V2__StartResponse out = CONTAINERD__TASK__V2__START_RESPONSE__INIT;
	struct task *t = op->task;
	struct exec *e = op->exec;
	struct err err = ERR_INIT;

	stdio_given(&e->stdio);
	if (end->state != RUN_DONE) {
		answer_failure(op->call, end);
		start_failed(e);
		return;
	}
	if (learn_process(e, &err) < 0) {
		task_break(t, &err);
		call_fail(op->call, &err);
		start_failed(e);
		return;
	}
	e->state = EXEC_RUNNING;
	if (tell_exec_started(t->journal, e->id, e->process_id.pid, task_wall_ns(t), &err) < 0)
		log_say(t->service->o->log, LOG_LEVEL_ERROR, "event lost: %s", err.text);
	outbox_kick(t->outbox);
	out.pid = (uint32_t)e->process_id.pid;
	call_answer(op->call, &out.base);
	exec_watch(e);
}

static int begin(struct exec *e, enum life_event ev, struct call *call,
		 void (*end)(struct op *, const struct run_end *), struct err *err)
{
	auto_json json_object *args = json_object_new_object();
	struct run_options options = RUN_OPTIONS_INIT;
	int rc;

	if (!args || json_object_object_add(args, "exec_id", json_object_new_string(e->id)) < 0)
		return err_set(err, ENOMEM, "exec %s", e->id);
	memcpy(options.stdio, e->stdio.fd, sizeof(options.stdio));
	options.args = json_object_to_json_string_ext(args, JSON_C_TO_STRING_PLAIN);
	options.input = ev == EV_EXEC ? e->process : NULL;
	rc = op_begin(e->task, ev, &options, call, end, err);
	if (rc == 0)
		e->task->ops->exec = e;
	return rc;
}

static void start_go_on(struct exec *e);

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	start_go_on(arg);
}

static int wait_for_client(struct exec *e, const struct stdio_names *names, struct err *err)
{
	struct service *s = e->task->service;
	struct timeval tv = { .tv_usec = STDIO_AGAIN_MS * 1000 };

	if (s->o->node->now_ms(s->o->node) >= e->until_ms)
		return err_say(err, ETIMEDOUT, "nobody has opened %s for reading in %d s",
			       stdio_missing(&e->stdio, names), STDIO_MAX_MS / 1000);
	if (!e->timer)
		e->timer = evtimer_new(s->base, on_timer, e);
	if (!e->timer || event_add(e->timer, &tv) < 0)
		return err_set(err, ENOMEM, "exec %s", e->id);
	return 0;
}

/* Init's end has been seen: nothing may be begun behind it. */
static int may_start(const struct exec *e, struct err *err)
{
	if (e->task->exit.at_ns)
		return err_say(err, EBADFD, "container %s init process is not running",
			       e->task->row.key.id);
	if (e->task->deleting || e->task->release)
		return err_say(err, EBUSY, "the task is being deleted");
	return task_may_change(e->task, err);
}

/* STDIO_WAIT: not yet. */
static int open_stdio(struct exec *e, struct err *err)
{
	const struct stdio_names names = { .name = { e->name[0], e->name[1], e->name[2] },
					   .terminal = e->terminal };
	int rc;

	if (names.terminal)
		rc = err_say(err, ENOTSUP, "a terminal is not supported yet; run without it");
	else if (stdio_wants_logger(&names))
		rc = err_say(err, ENOTSUP, "logging binary %s is not supported yet", names.name[1]);
	else
		rc = stdio_open(&e->stdio, &names, err);
	if (rc == STDIO_WAIT && wait_for_client(e, &names, err) < 0)
		rc = -err->code;
	return rc < 0 ? err_wrap(err, "failed to create init process I/O") : rc;
}

static void start_go_on(struct exec *e)
{
	struct call *call = e->starting;
	struct err err = ERR_INIT;
	int rc = may_start(e, &err);

	if (rc == 0)
		rc = open_stdio(e, &err);
	if (rc == STDIO_WAIT)
		return;
	e->starting = NULL;
	if (rc == 0)
		rc = begin(e, EV_EXEC, call, on_started, &err);
	if (rc < 0) {
		call_fail(call, &err);
		start_failed(e);
	}
}

void exec_start(struct exec *e, struct call *call)
{
	static const char *const words[] = {
		[EXEC_STARTING] = "cannot start a running process",
		[EXEC_RUNNING] = "cannot start a running process",
		[EXEC_STOPPED] = "cannot start a stopped process",
		[EXEC_DELETING] = "cannot start a deleted process",
	};
	struct node *n = e->task->service->o->node;
	struct err err = ERR_INIT;

	if (e->state != EXEC_ADDED) {
		err_say(&err, EPROTO, "%s", words[e->state]);
		call_fail(call, &err);
		return;
	}
	e->state = EXEC_STARTING;
	e->starting = call;
	e->until_ms = n->now_ms(n) + STDIO_MAX_MS;
	start_go_on(e);
}

/* ---- Delete -------------------------------------------------------------------------- */

static void answer_deleted(struct exec *e, struct call *call)
{
	Containerd__Task__V2__DeleteResponse out = CONTAINERD__TASK__V2__DELETE_RESPONSE__INIT;
	Google__Protobuf__Timestamp at;

	told_time(&at, e->exit.at_ns);
	out.pid = (uint32_t)e->exit.pid;
	out.exit_status = e->exit.status;
	out.exited_at = &at;
	call_answer(call, &out.base);
	exec_free(e);
}

static void on_deleted(struct op *op, const struct run_end *end)
{
	struct exec *e = op->exec;
	struct err err = ERR_INIT;

	if (end->state == RUN_DONE) {
		answer_deleted(e, op->call);
		return;
	}
	e->state = EXEC_STOPPED;
	err_say(&err, end->err.code, "failed to delete exec %s: %s", e->id, end->err.text);
	call_fail(op->call, &err);
}

void exec_delete(struct exec *e, struct call *call)
{
	struct err err = ERR_INIT;
	int rc = 0;

	switch (e->state) {
	case EXEC_ADDED: /* nothing was made, or all of it was taken back */
		answer_deleted(e, call);
		return;
	case EXEC_STOPPED:
		rc = begin(e, EV_EXEC_DELETE, call, on_deleted, &err);
		if (rc == 0)
			e->state = EXEC_DELETING;
		break;
	case EXEC_DELETING:
		rc = err_say(&err, ENOENT, "cannot delete a deleted process");
		break;
	case EXEC_STARTING:
	case EXEC_RUNNING:
	case EXEC_NONE_:
		rc = err_say(&err, EPROTO, "cannot delete a running process");
		break;
	}
	if (rc < 0)
		call_fail(call, &err);
}

/* ---- Kill, State ---------------------------------------------------------------------- */

void exec_kill(struct exec *e, struct call *call, int signal)
{
	struct node *n = e->task->service->o->node;
	struct err err = ERR_INIT;
	int rc;

	if (e->state == EXEC_ADDED || e->state == EXEC_STARTING)
		rc = err_say(&err, EBADFD, "process not created");
	else if (e->state != EXEC_RUNNING || e->exit.at_ns)
		rc = err_say(&err, ESRCH, "process already finished");
	else if (signal < 0 || signal > 64)
		rc = err_say(&err, EINVAL, "there is no signal %d", signal);
	else
		rc = n->signal(n, &e->process_id, signal, &err);
	if (rc == -ESRCH)
		err_say(&err, ESRCH, "process already finished");
	if (rc == 0)
		answer_empty(call);
	else
		call_fail(call, &err);
}

static Containerd__V1__Types__Status status_of(const struct exec *e)
{
	if (e->state == EXEC_ADDED || e->state == EXEC_STARTING)
		return CONTAINERD__V1__TYPES__STATUS__CREATED;
	if (e->state != EXEC_RUNNING)
		return CONTAINERD__V1__TYPES__STATUS__STOPPED;
	if (e->task->life == LIFE_PAUSING)
		return CONTAINERD__V1__TYPES__STATUS__PAUSING;
	if (e->task->life == LIFE_PAUSED || e->task->life == LIFE_RESUMING)
		return CONTAINERD__V1__TYPES__STATUS__PAUSED;
	return CONTAINERD__V1__TYPES__STATUS__RUNNING;
}

void exec_state(struct exec *e, struct call *call)
{
	Containerd__Task__V2__StateResponse out = CONTAINERD__TASK__V2__STATE_RESPONSE__INIT;
	Google__Protobuf__Timestamp at;
	bool told = e->state == EXEC_STOPPED || e->state == EXEC_DELETING;

	told_time(&at, told ? e->exit.at_ns : 0);
	out.id = e->id;
	out.bundle = e->task->row.bundle;
	out.pid = (uint32_t)e->exit.pid;
	out.status = status_of(e);
	out.stdin = e->name[0];
	out.stdout = e->name[1];
	out.stderr = e->name[2];
	out.terminal = e->terminal;
	out.exit_status = told ? e->exit.status : 0;
	out.exited_at = &at;
	call_answer(call, &out.base);
}
