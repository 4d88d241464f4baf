/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/service/task.h"

#include "journal/base/cleanup.h"
#include "proto/api/task.pb-c.h"
#include "proto/ttrpc/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void answer_empty(struct call *call)
{
	const ProtobufCMessage out = PROTOBUF_C_MESSAGE_INIT(call_method(call)->out);

	call_answer(call, &out);
}

void answer_failure(struct call *call, const struct run_end *end)
{
	switch (end->err.code) {
	case EEXIST:
	case EINVAL:
	case ENOTSUP:
	case ESRCH:
		call_fail(call, &end->err);
		break;
	default:
		call_fail_code(call, STATUS_UNKNOWN, end->err.text);
	}
}

/* The task that a request is about, and its exec, NULL if about none. NULL: the caller
 * has his answer. */
static struct task *task_of(struct call *call, const char *id, const char *exec_id,
			    struct exec **exec)
{
	struct service *s = call_user(call);
	struct task *t = task_find(s, id);
	struct err err = ERR_INIT;

	*exec = NULL;
	if (!t || !task_exists(t) || task_is_sandbox(t))
		err_say(&err, ENOENT, "container not created");
	else if (*exec_id && !(*exec = exec_of(t, exec_id)))
		err_say(&err, ENOENT, "process does not exist %s", exec_id);
	else
		return t;
	call_fail(call, &err);
	return NULL;
}

static Containerd__V1__Types__Status status_of(const struct task *t)
{
	if (t->exit_journalled)
		return CONTAINERD__V1__TYPES__STATUS__STOPPED;
	if (t->life == LIFE_CREATED || t->life == LIFE_STARTING)
		return CONTAINERD__V1__TYPES__STATUS__CREATED;
	if (t->life == LIFE_RUNNING)
		return CONTAINERD__V1__TYPES__STATUS__RUNNING;
	if (t->life == LIFE_PAUSING)
		return CONTAINERD__V1__TYPES__STATUS__PAUSING;
	if (t->life == LIFE_PAUSED || t->life == LIFE_RESUMING)
		return CONTAINERD__V1__TYPES__STATUS__PAUSED;
	return CONTAINERD__V1__TYPES__STATUS__STOPPED;
}

static void on_state(struct call *call, const void *in)
{
	const Containerd__Task__V2__StateRequest *req = in;
	Containerd__Task__V2__StateResponse out = CONTAINERD__TASK__V2__STATE_RESPONSE__INIT;
	struct exec *e;
	struct task *t = task_of(call, req->id, req->exec_id, &e);
	Google__Protobuf__Timestamp at;

	if (!t)
		return;
	if (e) {
		exec_state(e, call);
		return;
	}
	told_time(&at, t->exit_journalled ? t->exit.at_ns : 0);
	out.id = t->row.key.id;
	out.bundle = t->row.bundle;
	out.pid = (uint32_t)t->row.init.pid;
	out.status = status_of(t);
	out.stdin = t->name[0];
	out.stdout = t->name[1];
	out.stderr = t->name[2];
	out.terminal = t->terminal;
	out.exit_status = t->exit_journalled ? t->exit.status : 0;
	out.exited_at = &at;
	call_answer(call, &out.base);
}

static void on_create(struct call *call, const void *in)
{
	const Containerd__Task__V2__CreateTaskRequest *req = in;
	struct service *s = call_user(call);
	struct err err = ERR_INIT;
	struct task *t = create_task(s, req, &err);

	if (t)
		create_begin(t, call, in);
	else
		call_fail(call, &err);
}

static void on_started(struct op *op, const struct run_end *end)
{
	Containerd__Task__V2__StartResponse out = CONTAINERD__TASK__V2__START_RESPONSE__INIT;
	struct task *t = op->task;
	struct err err = ERR_INIT;

	if (end->state != RUN_DONE) {
		answer_failure(op->call, end);
		return;
	}
	if (!t->row.init.pid) { /* a checkpoint was restored */
		stdio_given(&t->stdio);
		if (task_refresh(t, &err) < 0)
			task_break(t, &err);
	}
	if (tell_start(t->journal, t->row.init.pid, task_wall_ns(t), &err) < 0)
		log_say(t->service->o->log, LOG_LEVEL_ERROR, "event lost: %s", err.text);
	outbox_kick(t->outbox);
	out.pid = (uint32_t)t->row.init.pid;
	call_answer(op->call, &out.base);
	usage_begin(t); /* a restored one has its init only now */
}

static void on_start(struct call *call, const void *in)
{
	const Containerd__Task__V2__StartRequest *req = in;
	struct run_options options = RUN_OPTIONS_INIT;
	struct exec *e;
	struct task *t = task_of(call, req->id, req->exec_id, &e);
	struct err err = ERR_INIT;

	if (!t)
		return;
	if (e) {
		exec_start(e, call);
		return;
	}
	memcpy(options.stdio, t->stdio.fd, sizeof(options.stdio)); /* for a restore */
	if (op_begin(t, EV_START, &options, call, on_started, &err) < 0)
		call_fail(call, &err);
}

static void on_killed(struct op *op, const struct run_end *end)
{
	if (end->state == RUN_DONE)
		answer_empty(op->call);
	else
		answer_failure(op->call, end);
}

/* SIGTERM was sent. */
static void on_asked(struct op *op, const struct run_end *end)
{
	on_killed(op, end);
	if (end->state == RUN_DONE)
		grace_begin(op->task);
}

static void on_kill(struct call *call, const void *in)
{
	const Containerd__Task__V2__KillRequest *req = in;
	struct exec *e;
	struct task *t = task_of(call, req->id, req->exec_id, &e);
	struct run_options options = RUN_OPTIONS_INIT;
	struct err err = ERR_INIT;
	int rc;

	if (!t)
		return;
	if (e) {
		exec_kill(e, call, (int)req->signal);
		return;
	}
	options.signal = req->signal;
	options.all = req->all;
	rc = t->exit_journalled ? err_say(&err, ENOENT, "process already finished")
				: op_begin(t, EV_KILL, &options, call,
					   req->signal == SIGTERM ? on_asked : on_killed, &err);
	if (rc < 0)
		call_fail(call, &err);
}

void exit_for_delete(struct task *t)
{
	if (t->exit_journalled)
		return;
	t->row.exit_how = EXIT_KILLED;
	t->row.exit_status = 137;
	t->row.exit_at_ns = task_wall_ns(t);
	exit_from_row(t);
}

static void on_deleted(struct op *op, const struct run_end *end)
{
	Containerd__Task__V2__DeleteResponse out = CONTAINERD__TASK__V2__DELETE_RESPONSE__INIT;
	Google__Protobuf__Timestamp at;
	struct task *t = op->task;
	struct err err = ERR_INIT;

	if (end->state != RUN_DONE) {
		err_say(&err, end->err.code, "failed to delete task: %s", end->err.text);
		call_fail_code(op->call, STATUS_UNKNOWN, err.text);
		execs_watch(t);
		return;
	}
	if (task_refresh(t, &err) < 0)
		task_break(t, &err);
	exit_from_row(t);
	execs_gone(t);
	exit_for_delete(t);
	if (tell_delete(t->journal, &t->exit, task_wall_ns(t), &err) < 0)
		log_say(t->service->o->log, LOG_LEVEL_ERROR, "event lost: %s", err.text);
	outbox_kick(t->outbox);
	t->streams = streams_free(t->streams);
	usage_end(t);
	told_time(&at, t->exit.at_ns);
	out.pid = (uint32_t)t->exit.pid;
	out.exit_status = t->exit.status;
	out.exited_at = &at;
	call_answer(op->call, &out.base);
}

/* What undoes the container ends every plan; so those under way end first, and what it
 * has written is with the client. */
void delete_go_on(struct task *t)
{
	struct call *call = t->deleting;
	struct err err = ERR_INIT;

	if (!call || t->ops || execs_starting(t) || !streams_quiet(t->streams))
		return;
	t->deleting = NULL;
	if (op_begin(t, EV_DELETE, NULL, call, on_deleted, &err) < 0)
		call_fail(call, &err);
	else
		execs_unwatch(t);
}

static void on_delete(struct call *call, const void *in)
{
	const Containerd__Task__V2__DeleteRequest *req = in;
	struct exec *e;
	struct task *t = task_of(call, req->id, req->exec_id, &e);
	const struct arrow *arrow;
	struct err err = ERR_INIT;

	if (!t)
		return;
	if (e) {
		exec_delete(e, call);
		return;
	}
	arrow = life_arrow(t->life, EV_DELETE);
	if (arrow->to == LIFE_NONE_)
		err_say(&err, arrow->code, "%s", arrow->why);
	else if (t->deleting)
		err_say(&err, EBUSY, "the task is being deleted");
	if (err.code) {
		call_fail(call, &err);
		return;
	}
	t->deleting = call;
	delete_go_on(t);
}

static void on_pids(struct call *call, const void *in)
{
	const Containerd__Task__V2__PidsRequest *req = in;
	struct exec *e;
	struct task *t = task_of(call, req->id, "", &e);

	if (t)
		pids_answer(t, call);
}

static void on_stats(struct call *call, const void *in)
{
	const Containerd__Task__V2__StatsRequest *req = in;
	struct exec *e;
	struct task *t = task_of(call, req->id, "", &e);

	if (t)
		usage_stats(t, call);
}

static void on_wait(struct call *call, const void *in)
{
	const Containerd__Task__V2__WaitRequest *req = in;
	struct exec *e;
	struct task *t = task_of(call, req->id, req->exec_id, &e);

	if (!t)
		return;
	if (e && (e->state == EXEC_STOPPED || e->state == EXEC_DELETING))
		wait_answer(call, &e->exit);
	else if (!e && t->exit_journalled)
		wait_answer(call, &t->exit);
	else
		wait_add(e ? &e->waiters : &t->waiters, call);
}

static void on_connect(struct call *call, const void *in)
{
	const Containerd__Task__V2__ConnectRequest *req = in;
	Containerd__Task__V2__ConnectResponse out = CONTAINERD__TASK__V2__CONNECT_RESPONSE__INIT;
	struct service *s = call_user(call);
	const struct task *t = task_find(s, req->id);
	struct err err = ERR_INIT;

	/* Before a Create only a restarted containerd asks: it calls `delete` then, where
	 * else it would hold on to a shim that nobody can take down by its task. */
	if (!t || !task_is_busy(t)) {
		err_say(&err, ENOENT, "container not created");
		call_fail(call, &err);
		return;
	}
	out.shim_pid = (uint32_t)getpid();
	if (task_exists(t))
		out.task_pid = (uint32_t)t->row.init.pid;
	call_answer(call, &out.base);
}

static void on_close_io(struct call *call, const void *in)
{
	const Containerd__Task__V2__CloseIORequest *req = in;
	struct exec *e;
	struct task *t = task_of(call, req->id, req->exec_id, &e);

	if (!t)
		return;
	streams_close_in(e ? e->streams : t->streams);
	answer_empty(call);
}

static void on_resize(struct call *call, const void *in)
{
	const Containerd__Task__V2__ResizePtyRequest *req = in;
	struct exec *e;
	struct task *t = task_of(call, req->id, req->exec_id, &e);
	struct err err = ERR_INIT;
	int rc;

	if (!t)
		return;
	if (e && (e->state == EXEC_STOPPED || e->state == EXEC_DELETING))
		rc = err_say(&err, EPROTO, "cannot resize a stopped container");
	else
		rc = streams_resize(e ? e->streams : t->streams, req->width, req->height, &err);
	if (rc < 0)
		call_fail(call, &err);
	else
		answer_empty(call);
}

static void on_exec(struct call *call, const void *in)
{
	const Containerd__Task__V2__ExecProcessRequest *req = in;
	struct exec *e;
	struct task *t = task_of(call, req->id, "", &e);

	if (t)
		exec_add(t, call, in);
}

static void on_pause(struct call *call, const void *in)
{
	const Containerd__Task__V2__PauseRequest *req = in;
	struct exec *e;
	struct task *t = task_of(call, req->id, "", &e);

	if (t)
		control_pause(t, call);
}

static void on_resume(struct call *call, const void *in)
{
	const Containerd__Task__V2__ResumeRequest *req = in;
	struct exec *e;
	struct task *t = task_of(call, req->id, "", &e);

	if (t)
		control_resume(t, call);
}

static void on_update(struct call *call, const void *in)
{
	const Containerd__Task__V2__UpdateTaskRequest *req = in;
	struct exec *e;
	struct task *t = task_of(call, req->id, "", &e);

	if (t)
		control_update(t, call, in);
}

static void on_checkpoint(struct call *call, const void *in)
{
	const Containerd__Task__V2__CheckpointTaskRequest *req = in;
	struct exec *e;
	struct task *t = task_of(call, req->id, "", &e);

	if (t)
		control_checkpoint(t, call, in);
}

/* It is asked after each Delete. A task of that name leaves; a name that nobody has
 * means the shim, where no task is and none is expected. */
static void on_shutdown(struct call *call, const void *in)
{
	const Containerd__Task__V2__ShutdownRequest *req = in;
	struct service *s = call_user(call);
	struct task *t = task_find(s, req->id);

	if (!t && !service_is_busy(s) && !s->tasks->next)
		t = s->tasks;
	if (!t || t->going || task_is_busy(t)) {
		answer_empty(call);
		return;
	}
	/* The answer follows once its socket is gone: who starts the next shim of this id
	 * then must not be given the address of one that ends. */
	t->shutdown = call;
	member_finish(t);
}

#define ROW(name, in, out, fn)                               \
	{ name, &containerd__task__v2__##in##__descriptor,    \
	  &containerd__task__v2__##out##__descriptor, fn }
#define ROW_EMPTY(name, in, fn)                              \
	{ name, &containerd__task__v2__##in##__descriptor,    \
	  &google__protobuf__empty__descriptor, fn }

const struct method task_methods[] = {
	ROW("State", state_request, state_response, on_state),
	ROW("Create", create_task_request, create_task_response, on_create),
	ROW("Start", start_request, start_response, on_start),
	ROW("Delete", delete_request, delete_response, on_delete),
	ROW("Pids", pids_request, pids_response, on_pids),
	ROW_EMPTY("Kill", kill_request, on_kill),
	ROW("Stats", stats_request, stats_response, on_stats),
	ROW("Wait", wait_request, wait_response, on_wait),
	ROW("Connect", connect_request, connect_response, on_connect),
	ROW_EMPTY("Exec", exec_process_request, on_exec),
	ROW_EMPTY("Pause", pause_request, on_pause),
	ROW_EMPTY("Resume", resume_request, on_resume),
	ROW_EMPTY("Update", update_task_request, on_update),
	ROW_EMPTY("Checkpoint", checkpoint_task_request, on_checkpoint),
	ROW_EMPTY("ResizePty", resize_pty_request, on_resize),
	ROW_EMPTY("CloseIO", close_iorequest, on_close_io),
	ROW_EMPTY("Shutdown", shutdown_request, on_shutdown),
	{ .name = NULL },
};
