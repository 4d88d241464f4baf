/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.c - the sandbox service: a pod's namespaces, held by a process of ours.
 *
 * A sandbox is the task that `start` was called for, with no container: its journal, its
 * life and its end are a task's, and its init is the process that holds the namespaces
 * (supervisor/launch/pause.c). CreateSandbox launches that, and it waits; StartSandbox
 * lets it go. Containers come as members, with journals of their own: see members.c. Its
 * exit is asked for by WaitSandbox, so there are no events of it.
 */
#include "supervisor/service/task.h"

#include "journal/base/cleanup.h"
#include "proto/api/sandbox.pb-c.h"
#include "supervisor/bundle/json.h"
#include "supervisor/bundle/pod.h"
#include "supervisor/metrics/metrics.h"
#include "supervisor/oci/runtime.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define STOP_S     10   /* where the caller gives no time, as a container's             */
#define STOP_MAX_S 3600 /* nobody waits for longer                                      */
#define KILLED_S   10   /* after a SIGKILL: then who waits is told that it does not end */

#define MESSAGE(name) containerd__runtime__sandbox__v1__##name##__descriptor

bool service_has_sandbox(const struct service *s)
{
	for (const struct task *t = s->tasks; t; t = t->next)
		if (task_is_sandbox(t) && task_exists(t))
			return true;
	return false;
}

static void no_sandbox(struct call *call, const char *id)
{
	struct err err = ERR_INIT;

	err_say(&err, ENOENT, "sandbox \"%s\" not created", id);
	call_fail(call, &err);
}

/* NULL: the caller has his answer. */
static struct task *sandbox_of(struct call *call, const char *id)
{
	struct task *t = task_find(call_user(call), id);

	if (t && task_is_sandbox(t) && task_exists(t))
		return t;
	no_sandbox(call, id);
	return NULL;
}

/* ---- CreateSandbox ---------------------------------------------------------------------- */

static void on_created(struct op *op, const struct run_end *end)
{
	struct task *t = op->task;
	struct err err = ERR_INIT;

	if (task_refresh(t, &err) < 0)
		task_break(t, &err);
	if (end->state != RUN_DONE) {
		answer_failure(op->call, end);
		return;
	}
	answer_empty(op->call);
	usage_begin(t);
}

static int read_request(const struct task *t,
			const Containerd__Runtime__Sandbox__V1__CreateSandboxRequest *in,
			json_object **ret, struct err *err)
{
	const struct pod_in pod = {
		.id = in->sandbox_id, .netns = in->netns_path,
		.type = in->options ? in->options->type_url : "",
		.value = in->options ? in->options->value.data : NULL,
		.len = in->options ? in->options->value.len : 0,
		.at_ns = task_wall_ns(t),
	};

	if (in->n_rootfs)
		return err_say(err, ENOTSUP, "sandbox %s: it runs no program, and takes no rootfs",
			       in->sandbox_id);
	if (in->netns_path[0] && in->netns_path[0] != '/')
		return err_say(err, EINVAL, "network namespace \"%s\" is no absolute path",
			       in->netns_path);
	return pod_request(ret, &pod, err);
}

static int create(struct task *t, struct call *call,
		  const Containerd__Runtime__Sandbox__V1__CreateSandboxRequest *in,
		  struct err *err)
{
	struct run_options options = RUN_OPTIONS_INIT;
	auto_json json_object *request = NULL;
	int rc = create_check(t, in->bundle_path, err);

	if (rc == 0)
		rc = read_request(t, in, &request, err);
	if (rc == 0)
		rc = create_write(t, RUNTIME_SANDBOX_NAME, "", request, err);
	if (rc < 0)
		return rc;
	t->unused = false;
	options.request = json_write(request);
	return op_begin(t, EV_CREATE, &options, call, on_created, err);
}

/* Only the task that `start` was called for: a shim is one sandbox's. */
static void on_create(struct call *call, const void *in)
{
	const Containerd__Runtime__Sandbox__V1__CreateSandboxRequest *req = in;
	struct service *s = call_user(call);
	struct task *t = task_find(s, req->sandbox_id);
	struct err err = ERR_INIT;

	if (!t || strcmp(req->sandbox_id, s->group.key.id) != 0) {
		err_say(&err, ENOENT, "this shim is for sandbox %s, not for \"%s\"", s->group.key.id,
			req->sandbox_id);
		call_fail(call, &err);
	} else if (create(t, call, req, &err) < 0) {
		call_fail(call, &err);
	}
}

/* ---- StartSandbox ------------------------------------------------------------------------- */

static void on_started(struct op *op, const struct run_end *end)
{
	Containerd__Runtime__Sandbox__V1__StartSandboxResponse out =
		CONTAINERD__RUNTIME__SANDBOX__V1__START_SANDBOX_RESPONSE__INIT;
	Google__Protobuf__Timestamp at;

	if (end->state != RUN_DONE) {
		answer_failure(op->call, end);
		return;
	}
	told_time(&at, op->task->created_ns);
	out.pid = (uint32_t)op->task->row.init.pid;
	out.created_at = &at;
	call_answer(op->call, &out.base);
}

static void on_start(struct call *call, const void *in)
{
	const Containerd__Runtime__Sandbox__V1__StartSandboxRequest *req = in;
	struct task *t = sandbox_of(call, req->sandbox_id);
	struct err err = ERR_INIT;

	if (t && op_begin(t, EV_START, NULL, call, on_started, &err) < 0)
		call_fail(call, &err);
}

/* ---- StopSandbox: its process ends by itself when it is asked to --------------------------- */

/* Who waits is told, and may ask again. */
static void stop_failed(struct task *t, const struct err *err)
{
	log_say(t->service->o->log, LOG_LEVEL_WARNING, "sandbox %s: %s", t->row.key.id, err->text);
	t->stop_killed = false;
	evtimer_del(t->stop);
	wait_fail_of(&t->waiters, &MESSAGE(stop_sandbox_response), err);
}

static void on_signalled(struct op *op, const struct run_end *end)
{
	if (end->err.code && end->err.code != ESRCH) /* what counts is its exit */
		stop_failed(op->task, &end->err);
}

static int send_signal(struct task *t, uint32_t signal, struct err *err)
{
	struct run_options options = RUN_OPTIONS_INIT;

	options.signal = signal;
	return op_begin(t, EV_KILL, &options, NULL, on_signalled, err);
}

/* Who asks a second time may give it less time, and no more. */
static int stop_in(struct task *t, uint32_t seconds, struct err *err)
{
	int64_t at = t->service->o->node->now_ms(t->service->o->node) + INT64_C(1000) * seconds;
	const struct timeval tv = { .tv_sec = seconds };

	if (evtimer_pending(t->stop, NULL) && t->stop_at_ms <= at)
		return 0;
	if (event_add(t->stop, &tv) < 0)
		return err_set(err, ENOMEM, "stop sandbox %s", t->row.key.id);
	t->stop_at_ms = at;
	return 0;
}

static void stop_late(struct task *t)
{
	struct err err = ERR_INIT;

	err_say(&err, ETIMEDOUT, "sandbox %s: process %d does not end, %d s after a SIGKILL",
		t->row.key.id, (int)t->row.init.pid, KILLED_S);
	wait_fail_of(&t->waiters, &MESSAGE(stop_sandbox_response), &err);
}

static void on_stop_time(evutil_socket_t fd, short what, void *arg)
{
	struct task *t = arg;
	struct err err = ERR_INIT;

	(void)fd;
	(void)what;
	if (t->exit_journalled)
		return;
	if (t->stop_killed) {
		stop_late(t);
		return;
	}
	if (send_signal(t, SIGKILL, &err) < 0 || stop_in(t, KILLED_S, &err) < 0)
		stop_failed(t, &err);
	else
		t->stop_killed = true;
}

static int stop(struct task *t, uint32_t seconds, struct err *err)
{
	int rc = 0;

	if (!t->stop)
		t->stop = evtimer_new(t->service->base, on_stop_time, t);
	if (!t->stop)
		return err_set(err, ENOMEM, "stop sandbox %s", t->row.key.id);
	if (t->stop_killed)
		return stop_in(t, KILLED_S, err);
	if (!t->exit.at_ns) /* else it was seen, and is soon to be written */
		rc = send_signal(t, SIGTERM, err);
	if (rc < 0)
		return rc;
	return stop_in(t, seconds == 0 ? STOP_S : seconds < STOP_MAX_S ? seconds : STOP_MAX_S, err);
}

static void on_stop(struct call *call, const void *in)
{
	const Containerd__Runtime__Sandbox__V1__StopSandboxRequest *req = in;
	struct task *t = sandbox_of(call, req->sandbox_id);
	struct err err = ERR_INIT;

	if (!t)
		return;
	if (t->exit_journalled)
		answer_empty(call);
	else if (stop(t, req->timeout_secs, &err) < 0)
		call_fail(call, &err);
	else
		wait_add(&t->waiters, call);
}

static void on_wait(struct call *call, const void *in)
{
	const Containerd__Runtime__Sandbox__V1__WaitSandboxRequest *req = in;
	struct task *t = sandbox_of(call, req->sandbox_id);

	if (!t)
		return;
	if (t->exit_journalled)
		wait_answer(call, &t->exit);
	else
		wait_add(&t->waiters, call);
}

/* ---- SandboxStatus, PingSandbox, Platform, SandboxMetrics ------------------------------------ */

static bool is_ready(const struct task *t)
{
	return t->life == LIFE_RUNNING && !t->exit_journalled;
}

/* The words that CRI shows for a pod, one member of "info". */
static char *info_of(const struct task *t)
{
	char *text = NULL;

	if (asprintf(&text, "{\"pid\":%d,\"processStatus\":\"%s\",\"runtimeType\":"
		     "\"io.containerd.urunc.v2\"}", (int)t->row.init.pid,
		     t->exit_journalled ? "stopped" : is_ready(t) ? "running" : "created") < 0)
		return NULL;
	return text;
}

static void on_status(struct call *call, const void *in)
{
	static char ready[] = "SANDBOX_READY", not_ready[] = "SANDBOX_NOTREADY", key[] = "info";
	const Containerd__Runtime__Sandbox__V1__SandboxStatusRequest *req = in;
	Containerd__Runtime__Sandbox__V1__SandboxStatusResponse out =
		CONTAINERD__RUNTIME__SANDBOX__V1__SANDBOX_STATUS_RESPONSE__INIT;
	Containerd__Runtime__Sandbox__V1__SandboxStatusResponse__InfoEntry info =
		CONTAINERD__RUNTIME__SANDBOX__V1__SANDBOX_STATUS_RESPONSE__INFO_ENTRY__INIT;
	Containerd__Runtime__Sandbox__V1__SandboxStatusResponse__InfoEntry *list = &info;
	struct task *t = sandbox_of(call, req->sandbox_id);
	Google__Protobuf__Timestamp created, exited;
	auto_free char *text = NULL;

	if (!t)
		return;
	told_time(&created, t->created_ns);
	told_time(&exited, t->exit_journalled ? t->exit.at_ns : 0);
	out.sandbox_id = t->row.key.id;
	out.pid = (uint32_t)t->row.init.pid;
	out.state = is_ready(t) ? ready : not_ready;
	out.created_at = &created;
	if (t->exit_journalled)
		out.exited_at = &exited;
	text = req->verbose ? info_of(t) : NULL;
	if (text) {
		info.key = key;
		info.value = text;
		out.info = &list;
		out.n_info = 1;
	}
	call_answer(call, &out.base);
}

static void on_ping(struct call *call, const void *in)
{
	const Containerd__Runtime__Sandbox__V1__PingRequest *req = in;

	if (sandbox_of(call, req->sandbox_id))
		answer_empty(call);
}

/* The machine as Go calls it, which for most is as the kernel does. */
static void name_machine(Containerd__Types__Platform *platform, struct utsname *machine)
{
	static char amd64[] = "amd64", arm64[] = "arm64", v8[] = "v8";

	if (uname(machine) < 0)
		return;
	platform->architecture = machine->machine;
	if (strcmp(machine->machine, "x86_64") == 0) {
		platform->architecture = amd64;
	} else if (strcmp(machine->machine, "aarch64") == 0) {
		platform->architecture = arm64;
		platform->variant = v8;
	}
}

static void on_platform(struct call *call, const void *in)
{
	static char os[] = "linux";
	const Containerd__Runtime__Sandbox__V1__PlatformRequest *req = in;
	Containerd__Runtime__Sandbox__V1__PlatformResponse out =
		CONTAINERD__RUNTIME__SANDBOX__V1__PLATFORM_RESPONSE__INIT;
	Containerd__Types__Platform platform = CONTAINERD__TYPES__PLATFORM__INIT;
	struct utsname machine;

	if (!sandbox_of(call, req->sandbox_id))
		return;
	platform.os = os;
	name_machine(&platform, &machine);
	out.platform = &platform;
	call_answer(call, &out.base);
}

static void on_metrics(struct call *call, const void *in)
{
	const Containerd__Runtime__Sandbox__V1__SandboxMetricsRequest *req = in;
	Containerd__Runtime__Sandbox__V1__SandboxMetricsResponse out =
		CONTAINERD__RUNTIME__SANDBOX__V1__SANDBOX_METRICS_RESPONSE__INIT;
	Containerd__Types__Metric metric = CONTAINERD__TYPES__METRIC__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	struct task *t = sandbox_of(call, req->sandbox_id);
	struct metrics m = { .data = NULL };
	Google__Protobuf__Timestamp at;
	struct err err = ERR_INIT;

	if (!t)
		return;
	if (usage_read(t, &m, &err) < 0) {
		call_fail(call, &err);
	} else {
		told_time(&at, task_wall_ns(t));
		any.type_url = (char *)m.type;
		any.value.data = m.data;
		any.value.len = m.len;
		metric.timestamp = &at;
		metric.id = t->row.key.id;
		metric.data = &any;
		out.metrics = &metric;
		call_answer(call, &out.base);
	}
	metrics_clear(&m);
}

/* ---- ShutdownSandbox --------------------------------------------------------------------------- */

/* Nobody shuts down containers of a sandbox: those that were deleted leave with it, and with
 * the last of all ends the shim. */
static void finish_others(struct task *t)
{
	for (struct task *u = t->service->tasks; u; u = u->next)
		if (u != t && !u->going && !task_is_busy(u))
			member_finish(u);
}

static int shut_down(struct task *t, struct call *call, struct err *err)
{
	int rc = task_may_change(t, err);

	if (rc == 0 && t->release)
		rc = err_say(err, EBUSY, "sandbox %s is being shut down", t->row.key.id);
	if (rc < 0)
		return rc;
	finish_others(t);
	t->release = call;
	release_go_on(t);
	return 0;
}

/* Also of one that could not be created: then it is only the shim that goes. */
static void on_shutdown(struct call *call, const void *in)
{
	const Containerd__Runtime__Sandbox__V1__ShutdownSandboxRequest *req = in;
	struct task *t = task_find(call_user(call), req->sandbox_id);
	struct err err = ERR_INIT;

	if (!t || t->going || (task_exists(t) && !task_is_sandbox(t)))
		no_sandbox(call, req->sandbox_id);
	else if (shut_down(t, call, &err) < 0)
		call_fail(call, &err);
}

#define ROW(name, in, out, fn) { name, &MESSAGE(in##_request), &MESSAGE(out##_response), fn }

const struct method sandbox_methods[] = {
	ROW("CreateSandbox", create_sandbox, create_sandbox, on_create),
	ROW("StartSandbox", start_sandbox, start_sandbox, on_start),
	ROW("Platform", platform, platform, on_platform),
	ROW("StopSandbox", stop_sandbox, stop_sandbox, on_stop),
	ROW("WaitSandbox", wait_sandbox, wait_sandbox, on_wait),
	ROW("SandboxStatus", sandbox_status, sandbox_status, on_status),
	ROW("PingSandbox", ping, ping, on_ping),
	ROW("ShutdownSandbox", shutdown_sandbox, shutdown_sandbox, on_shutdown),
	ROW("SandboxMetrics", sandbox_metrics, sandbox_metrics, on_metrics),
	{ .name = NULL },
};
