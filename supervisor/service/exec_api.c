/* SPDX-License-Identifier: Apache-2.0 */
/* exec_api.c - what containerd asks about the processes beside init. */
#include "supervisor/service/task.h"

#include "journal/base/cleanup.h"
#include "proto/api/task.pb-c.h"
#include "proto/ttrpc/status.h"
#include "supervisor/bundle/config.h"
#include "supervisor/bundle/json.h"
#include "supervisor/engine/execs.h"
#include "supervisor/io/console.h"

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
	process = json_read(text);
	if (!process && errno == ENOMEM)
		return err_set(err, ENOMEM, "exec %s", in->exec_id);
	if (!json_object_is_type(process, json_type_object))
		return err_say(err, EPROTO, "exec %s: its process is no JSON object", in->exec_id);
	json_object_object_add(process, "terminal", json_object_new_boolean(in->terminal));
	out = json_write(process);
	e->process = out ? strdup(out) : NULL;
	return e->process ? 0 : err_set(err, ENOMEM, "exec %s", in->exec_id);
}

static int read_exec(struct exec *e, const Containerd__Task__V2__ExecProcessRequest *in,
		     struct err *err)
{
	const char *const names[3] = { in->stdin, in->stdout, in->stderr };

	e->state = EXEC_ADDED;
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

	if (rc == 0)
		rc = exec_new(&e, t, &err);
	if (rc == 0)
		rc = read_exec(e, req, &err);
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
	e->streams = streams_drop(e->streams);
	wait_tell(&e->waiters, &never);
	exit_go_on(e->task);
	delete_go_on(e->task);
}

static int learn_process(struct exec *e, struct err *err)
{
	struct task *t = e->task;
	struct exec_row row;
	int rc, tries = 0;

	do {
		*err = (struct err)ERR_INIT;
		rc = exec_find(t->journal, e->id, &row, err);
	} while (task_passes(rc) && ++tries < READ_TRIES);
	if (rc == 0)
		rc = err_say(err, EPROTO, "exec %s has no row", e->id);
	if (rc < 0)
		return rc;
	e->process_id = row.process;
	e->exit.pid = row.process.pid;
	return 0;
}

/* Its journal's words: a process that runs, or ran. */
static void started(struct exec *e, struct call *call)
{
	Containerd__Task__V2__StartResponse out = CONTAINERD__TASK__V2__START_RESPONSE__INIT;
	struct task *t = e->task;
	struct err err = ERR_INIT;

	e->state = EXEC_RUNNING;
	if (task_has_journal(t, &err) < 0 ||
	    tell_exec_started(t->journal, e->id, e->process_id.pid, task_wall_ns(t), &err) < 0)
		log_say(t->service->o->log, LOG_LEVEL_ERROR, "event lost: %s", err.text);
	outbox_kick(t->outbox);
	out.pid = (uint32_t)e->process_id.pid;
	call_answer(call, &out.base);
	exec_watch(e);
}

static int begin(struct exec *e, enum life_event ev, struct call *call,
		 void (*end)(struct op *, const struct run_end *), struct err *err);

static void on_taken_back(struct op *op, const struct run_end *end)
{
	struct exec *e = op->exec;

	if (end->state != RUN_DONE)
		err_wrap(&e->why, "not all of it was taken back (%.300s)", end->err.text);
	call_fail_code(TAKE_PTR(e->starting), STATUS_UNKNOWN, e->why.text);
	start_failed(e);
}

/* There is a process, and it has no terminal. */
static void take_back(struct exec *e, const struct err *why)
{
	struct err err = ERR_INIT;

	e->why = *why;
	err_wrap(&e->why, "OCI runtime exec failed");
	if (begin(e, EV_EXEC_DELETE, NULL, on_taken_back, &err) == 0)
		return;
	err_wrap(&e->why, "it was not taken back (%.300s)", err.text);
	call_fail_code(TAKE_PTR(e->starting), STATUS_UNKNOWN, e->why.text);
	start_failed(e);
}

static void on_terminal(void *arg, const struct err *why)
{
	struct exec *e = arg;

	if (why)
		take_back(e, why);
	else
		started(e, TAKE_PTR(e->starting));
}

static void on_started(struct op *op, const struct run_end *end)
{
	struct task *t = op->task;
	struct exec *e = op->exec;
	struct err err = ERR_INIT;
	int rc;

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
	e->starting = op->call;
	rc = streams_made(e->streams, on_terminal, e, &err);
	if (rc == 0)
		started(e, TAKE_PTR(e->starting));
	else if (rc < 0)
		take_back(e, &err);
}

static int begin(struct exec *e, enum life_event ev, struct call *call,
		 void (*end)(struct op *, const struct run_end *), struct err *err)
{
	auto_json json_object *args = json_object_new_object();
	struct run_options options = RUN_OPTIONS_INIT;
	int rc;

	if (!args || json_object_object_add(args, "exec_id", json_object_new_string(e->id)) < 0)
		return err_set(err, ENOMEM, "exec %s", e->id);
	if (ev == EV_EXEC && e->console &&
	    json_object_object_add(args, "console", json_object_new_string(e->console)) < 0)
		return err_set(err, ENOMEM, "exec %s", e->id);
	if (ev == EV_EXEC)
		streams_give(e->streams, &options);
	options.args = json_write(args);
	options.input = ev == EV_EXEC ? e->process : NULL;
	rc = op_begin(e->task, ev, &options, call, end, err);
	if (rc < 0)
		return rc;
	e->task->ops->exec = e;
	if (ev == EV_EXEC)
		streams_watch(e->streams, e->task->ops->driver);
	return 0;
}

/* Init's end has been seen: nothing may be begun behind it. */
static int may_start(void *arg, struct err *err)
{
	const struct exec *e = arg;

	if (e->task->exit.at_ns)
		return err_say(err, EBADFD, "container %s init process is not running",
			       e->task->row.key.id);
	if (e->task->deleting || e->task->release)
		return err_say(err, EBUSY, "the task is being deleted");
	return task_may_change(e->task, err);
}

static void on_streams(void *arg, const struct err *why)
{
	struct exec *e = arg;
	struct call *call = TAKE_PTR(e->starting);
	struct err err = ERR_INIT;

	if (why)
		err = *why;
	else if (may_start(e, &err) == 0)
		(void)begin(e, EV_EXEC, call, on_started, &err);
	if (!err.code)
		return;
	call_fail(call, &err);
	start_failed(e);
}

static void on_quiet(void *arg)
{
	struct exec *e = arg;

	if (e->deleting)
		exec_delete(e, TAKE_PTR(e->deleting));
}

/* A new one for each try: its name is journalled before it is made. */
static int name_console(struct exec *e, struct err *err)
{
	const struct service_options *o = e->task->service->o;

	free(TAKE_PTR(e->console));
	if (!e->terminal)
		return 0;
	return console_path(&e->console, o->config->run, o->node->random(o->node), err);
}

static int make_streams(struct exec *e, struct err *err)
{
	const struct streams_options options = {
		.task = e->task, .io = &e->stdio, .id = e->id,
		.names = { .name = { e->name[0], e->name[1], e->name[2] },
			   .terminal = e->terminal,
			   .uid = e->task->io_uid, .gid = e->task->io_gid },
		.console = e->console ? e->console : "", .may = may_start, .quiet = on_quiet, .arg = e,
	};

	return streams_new(&e->streams, &options, err);
}

void exec_start(struct exec *e, struct call *call)
{
	static const char *const words[] = {
		[EXEC_STARTING] = "cannot start a running process",
		[EXEC_RUNNING] = "cannot start a running process",
		[EXEC_STOPPED] = "cannot start a stopped process",
		[EXEC_DELETING] = "cannot start a deleted process",
	};
	struct err err = ERR_INIT;

	if (e->state != EXEC_ADDED) {
		err_say(&err, EPROTO, "%s", words[e->state]);
		call_fail(call, &err);
		return;
	}
	e->state = EXEC_STARTING;
	e->starting = call;
	if (name_console(e, &err) == 0 && make_streams(e, &err) == 0) {
		streams_open(e->streams, on_streams, e);
		return;
	}
	call_fail(TAKE_PTR(e->starting), &err);
	start_failed(e);
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
		if (e->deleting) {
			rc = err_say(&err, EBUSY, "exec %s is being deleted", e->id);
			break;
		}
		if (!streams_quiet(e->streams)) {
			e->deleting = call;
			return;
		}
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
