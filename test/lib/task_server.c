/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/task_server.h"

#include "journal/base/cleanup.h"
#include "proto/api/task.pb-c.h"
#include "proto/api/ttrpc.pb-c.h"
#include "proto/ttrpc/client.h"
#include "proto/ttrpc/status.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

/* ---- handlers -------------------------------------------------------------------- */

static void on_connect(struct call *call, const void *in)
{
	const Containerd__Task__V2__ConnectRequest *req = in;
	Containerd__Task__V2__ConnectResponse out = CONTAINERD__TASK__V2__CONNECT_RESPONSE__INIT;
	struct task_server *f = call_user(call);

	f->n_started++;
	assert_string_equal(req->id, "c1");
	out.shim_pid = 4242;
	out.task_pid = 4300;
	call_answer(call, &out.base);
}

static void on_pause(struct call *call, const void *in)
{
	Google__Protobuf__Empty out = GOOGLE__PROTOBUF__EMPTY__INIT;

	(void)in;
	call_answer(call, &out.base);
}

static void on_start(struct call *call, const void *in)
{
	struct err err = ERR_INIT;

	(void)in;
	(void)err_say(&err, ENOENT, "container not created");
	call_fail(call, &err);
}

static void on_kill(struct call *call, const void *in)
{
	(void)in;
	call_fail_code(call, STATUS_UNKNOWN, "a byte \xff that Go would not take");
}

static void on_gone(struct call *call, void *arg)
{
	struct task_server *f = arg;

	f->n_gone++;
	assert_true(call_gone(call));
	for (size_t i = 0; i < f->n_kept; i++)
		if (f->kept[i] == call)
			f->kept[i] = NULL;
	call_drop(call);
}

static void on_wait(struct call *call, const void *in)
{
	struct task_server *f = call_user(call);

	(void)in;
	assert_string_equal(call_method(call)->name, "Wait");
	f->kept[f->n_kept++] = call;
	call_when_gone(call, on_gone, f);
}

/* As Wait, but does not care whether anybody waits. */
static void on_delete(struct call *call, const void *in)
{
	struct task_server *f = call_user(call);

	(void)in;
	f->n_started++;
	f->kept[f->n_kept++] = call;
}

static void on_pids(struct call *call, const void *in)
{
	struct task_server *f = call_user(call);
	Containerd__Task__V2__PidsResponse out = CONTAINERD__TASK__V2__PIDS_RESPONSE__INIT;
	Containerd__V1__Types__ProcessInfo info = CONTAINERD__V1__TYPES__PROCESS_INFO__INIT;
	Containerd__V1__Types__ProcessInfo *infos[] = { &info };
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	auto_free uint8_t *bytes = calloc(1, f->answer_size + 1);

	(void)in;
	f->n_started++;
	any.value.data = bytes;
	any.value.len = f->answer_size;
	info.info = &any;
	out.processes = infos;
	out.n_processes = 1;
	call_answer(call, &out.base);
}

static void on_state(struct call *call, const void *in)
{
	Google__Protobuf__Empty wrong = GOOGLE__PROTOBUF__EMPTY__INIT;

	(void)in;
	call_answer(call, &wrong.base);
}

static void on_shutdown(struct call *call, const void *in)
{
	Google__Protobuf__Empty out = GOOGLE__PROTOBUF__EMPTY__INIT;
	struct task_server *f = call_user(call);

	(void)in;
	call_answer(call, &out.base);
	server_stop(f->server, WIRE_PATIENCE_MS);
	server_stop(f->server, 0); /* changes nothing */
}

#define T(name) (&containerd__task__v2__##name##__descriptor)
#define EMPTY   (&google__protobuf__empty__descriptor)
static const struct method methods[] = {
	{ "Connect", T(connect_request), T(connect_response), on_connect },
	{ "Pause", T(pause_request), EMPTY, on_pause },
	{ "Start", T(start_request), T(start_response), on_start },
	{ "Kill", T(kill_request), EMPTY, on_kill },
	{ "Wait", T(wait_request), T(wait_response), on_wait },
	{ "Delete", T(delete_request), T(delete_response), on_delete },
	{ "Pids", T(pids_request), T(pids_response), on_pids },
	{ "State", T(state_request), T(state_response), on_state },
	{ "Shutdown", T(shutdown_request), EMPTY, on_shutdown },
	{ .name = NULL },
};

/* ---- the fixture ------------------------------------------------------------------ */

static void hook_opened(void *arg, size_t n)
{
	struct task_server *f = arg;

	f->opened++;
	assert_int_equal(n, server_peers(f->server));
}

static void hook_closed(void *arg, size_t n)
{
	struct task_server *f = arg;

	f->closed++;
	assert_int_equal(n, server_peers(f->server));
}

static void hook_stopped(void *arg)
{
	struct task_server *f = arg;

	f->stopped = true;
}

static const struct server_hooks hooks = {
	.opened = hook_opened,
	.closed = hook_closed,
	.stopped = hook_stopped,
};

int ts_connect(struct task_server *f)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(server_adopt(f->server, sv[0], NULL), 0);
	return sv[1];
}

int task_server_setup(void **state)
{
	struct task_server *f = calloc(1, sizeof(*f));
	struct err err = ERR_INIT;

	assert_non_null(f);
	f->base = event_base_new();
	assert_int_equal(server_new(&f->server, f->base, &hooks, f, &err), 0);
	assert_int_equal(server_register(f->server, TASK_SERVICE, methods, f, &err), 0);
	assert_int_equal(server_register(f->server, TASK_SERVICE, methods, f, &err), -EEXIST);
	f->peer = ts_connect(f);
	*state = f;
	return 0;
}

int task_server_teardown(void **state)
{
	struct task_server *f = *state;

	(void)server_free(f->server);
	for (size_t i = 0; i < f->n_kept; i++)
		if (f->kept[i])
			call_drop(f->kept[i]);
	if (f->peer >= 0)
		(void)close(f->peer);
	event_base_free(f->base);
	free(f);
	return 0;
}

void ts_send_hex(struct task_server *f, const char *hex)
{
	size_t len;
	auto_free uint8_t *data = wire_hex(hex, &len);

	wire_send(f->base, f->peer, data, len);
}

void ts_expect_hex(struct task_server *f, const char *hex)
{
	struct wire_frame got;
	uint8_t head[FRAME_HEAD];
	size_t len;
	auto_free uint8_t *want = wire_hex(hex, &len);

	assert_true(wire_receive(f->base, f->peer, &got));
	frame_encode(head, &got.head);
	assert_int_equal(got.head.len + FRAME_HEAD, len);
	assert_memory_equal(head, want, FRAME_HEAD);
	assert_memory_equal(got.payload, want + FRAME_HEAD, got.head.len);
	free(got.payload);
}

char *ts_expect_status(struct task_server *f, uint32_t id, int code)
{
	struct wire_frame got;
	Ttrpc__Response *r;
	char *text;

	assert_true(wire_receive(f->base, f->peer, &got));
	assert_int_equal(got.head.id, id);
	assert_int_equal(got.head.type, FRAME_RESPONSE);
	assert_int_equal(got.head.flags, 0);
	r = ttrpc__response__unpack(NULL, got.head.len, got.payload);
	assert_non_null(r);
	assert_int_equal(r->status ? r->status->code : 0, code);
	if (code)
		assert_int_equal(r->payload.len, 0);
	text = strdup(r->status ? r->status->message : "");
	ttrpc__response__free_unpacked(r, NULL);
	free(got.payload);
	return text;
}

void ts_expect(struct task_server *f, uint32_t id, int code)
{
	free(ts_expect_status(f, id, code));
}

void ts_send_frame(struct task_server *f, uint32_t id, int type, const void *data, size_t len)
{
	uint8_t head[FRAME_HEAD];

	frame_encode(head, &(struct frame){ .len = (uint32_t)len, .id = id, .type = (uint8_t)type });
	wire_send(f->base, f->peer, head, sizeof(head));
	wire_send(f->base, f->peer, data, len);
}

void ts_send_call(struct task_server *f, uint32_t id, const char *method, int timeout_ms)
{
	Containerd__Task__V2__WaitRequest in = CONTAINERD__TASK__V2__WAIT_REQUEST__INIT;
	const struct client_request req = {
		.service = TASK_SERVICE, .method = method, .ns = "default", .in = &in.base,
		.timeout_ms = timeout_ms,
	};
	auto_free uint8_t *data = NULL;
	size_t len;

	in.id = (char *)"c1";
	assert_int_equal(client_encode(&req, id, &data, &len, NULL), 0);
	wire_send(f->base, f->peer, data, len);
}

void ts_still_good(struct task_server *f, uint32_t id)
{
	ts_send_call(f, id, "Connect", 0);
	ts_expect(f, id, 0);
}

void ts_answer_wait(struct task_server *f, size_t i, uint32_t status)
{
	Containerd__Task__V2__WaitResponse out = CONTAINERD__TASK__V2__WAIT_RESPONSE__INIT;
	struct call *call = f->kept[i];

	out.exit_status = status;
	f->kept[i] = NULL;
	call_answer(call, &out.base);
}

void ts_until_kept(struct task_server *f, size_t n)
{
	for (int i = 0; i < 1000 && f->n_kept < n; i++)
		wire_turn(f->base, 10);
	assert_int_equal(f->n_kept, n);
}
