/* SPDX-License-Identifier: Apache-2.0 */
/* Both clients against our server, and against peers that behave badly. */
#include "proto/ttrpc/client.h"

#include "journal/base/cleanup.h"
#include "proto/api/task.pb-c.h"
#include "proto/ttrpc/frame.h"
#include "proto/ttrpc/status.h"
#include "test/lib/task_server.h"

#include <event2/event.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

struct place {
	char dir[64], path[80];
	int fd; /* listening */
};

static void listen_at(struct place *p, int queue)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(p->dir, sizeof(p->dir), "%.40s/ttrpc.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->path, sizeof(p->path), "%s/s", p->dir);
	strcpy(to.sun_path, p->path);
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(p->fd >= 0);
	assert_int_equal(bind(p->fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(listen(p->fd, queue), 0);
}

static void remove_place(const struct place *p)
{
	(void)unlink(p->path);
	(void)rmdir(p->dir);
}

static Containerd__Task__V2__ConnectRequest c1 = CONTAINERD__TASK__V2__CONNECT_REQUEST__INIT;

static struct client_request call_to(const char *method, int timeout_ms)
{
	c1.id = (char *)"c1";
	return (struct client_request){
		.service = TASK_SERVICE,
		.method = method,
		.ns = "default",
		.in = &c1.base,
		.out = &containerd__task__v2__connect_response__descriptor,
		.timeout_ms = timeout_ms,
	};
}

/* What a call came to. */
struct result {
	bool done;
	int code;
	uint32_t pid;
	char text[ERR_TEXT_MAX];
	struct client **close_me;
};

static void on_done(void *arg, const ProtobufCMessage *out, const struct err *err)
{
	struct result *r = arg;

	assert_false(r->done);
	assert_true(!out != !err);
	r->done = true;
	if (err) {
		r->code = err->code;
		(void)snprintf(r->text, sizeof(r->text), "%s", err->text);
	} else {
		r->pid = ((const Containerd__Task__V2__ConnectResponse *)out)->task_pid;
	}
	if (r->close_me)
		*r->close_me = client_close(*r->close_me);
}

static void on_closed(void *arg, const struct err *why)
{
	bool *closed = arg;

	assert_int_equal(why->code, ECONNRESET);
	*closed = true;
}

static void calls_over_one_connection_are_told_apart(void **state)
{
	struct task_server *f = *state;
	struct client_request good = call_to("Connect", 5000), late = call_to("Wait", 30),
			      bad = call_to("Start", 5000), none = call_to("Nothing", 5000);
	struct result a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
	struct client *client;
	struct place p;

	listen_at(&p, 8);
	assert_int_equal(server_listen(f->server, p.fd, NULL), 0);
	assert_int_equal(client_open(&client, f->base, p.path, NULL, NULL, NULL), 0);
	assert_int_equal(client_call(client, &late, on_done, &a, NULL), 0);
	assert_int_equal(client_call(client, &good, on_done, &b, NULL), 0);
	assert_int_equal(client_call(client, &bad, on_done, &c, NULL), 0);
	assert_int_equal(client_call(client, &none, on_done, &d, NULL), 0);
	assert_int_equal(client_pending(client), 4);
	wire_until(f->base, &a.done);
	assert_true(b.done && c.done && d.done);
	assert_int_equal(a.code, ETIMEDOUT);
	assert_int_equal(b.pid, 4300);
	assert_int_equal(c.code, ENOENT);
	assert_string_equal(c.text, "container not created: not found");
	assert_int_equal(d.code, ENOSYS);
	assert_int_equal(client_pending(client), 0);
	(void)client_close(client);
	remove_place(&p);
}

static void a_lost_connection_fails_all_calls_then_says_so(void **state)
{
	struct task_server *f = *state;
	struct client_request wait = call_to("Wait", 5000);
	struct result a = { 0 }, b = { 0 };
	struct client *client;
	bool closed = false;
	struct place p;

	listen_at(&p, 8);
	assert_int_equal(server_listen(f->server, p.fd, NULL), 0);
	assert_int_equal(client_open(&client, f->base, p.path, on_closed, &closed, NULL), 0);
	assert_int_equal(client_call(client, &wait, on_done, &a, NULL), 0);
	assert_int_equal(client_call(client, &wait, on_done, &b, NULL), 0);
	ts_until_kept(f, 2);
	server_stop(f->server, 0);
	wire_until(f->base, &closed);
	assert_int_equal(a.code, ECONNRESET);
	assert_int_equal(b.code, ECONNRESET);
	assert_int_equal(client_call(client, &wait, on_done, &a, NULL), -ECONNRESET);
	(void)client_close(client);
	remove_place(&p);
}

static void a_client_may_be_closed_in_any_callback(void **state)
{
	struct task_server *f = *state;
	struct client_request good = call_to("Connect", 5000), wait = call_to("Wait", 20);
	struct place p;

	listen_at(&p, 8);
	assert_int_equal(server_listen(f->server, p.fd, NULL), 0);
	for (int i = 0; i < 2; i++) {
		struct client *client;
		struct result a = { .close_me = &client }, never = { 0 };

		assert_int_equal(client_open(&client, f->base, p.path, NULL, NULL, NULL), 0);
		assert_int_equal(client_call(client, i ? &wait : &good, on_done, &a, NULL), 0);
		wait.timeout_ms = 5000;
		assert_int_equal(client_call(client, &wait, on_done, &never, NULL), 0);
		wait.timeout_ms = 20;
		wire_until(f->base, &a.done);
		assert_null(client);
		wire_turn(f->base, 10);
		assert_false(never.done);
	}
	remove_place(&p);
}

static void what_can_not_be_connected_to_is_said(void **state)
{
	struct client *client = NULL;
	struct task_server *f = *state;
	struct err err = ERR_INIT;
	struct place p;
	char path[200];

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[108] = '\0';
	assert_int_equal(client_open(&client, f->base, path, NULL, NULL, &err), -ENAMETOOLONG);
	assert_non_null(strstr(err.text, "108 bytes"));
	path[107] = '\0';
	assert_int_equal(client_open(&client, f->base, path, NULL, NULL, NULL), -ENOENT);
	listen_at(&p, 0);
	(void)close(p.fd);
	assert_int_equal(client_open(&client, f->base, p.path, NULL, NULL, NULL), -ECONNREFUSED);
	remove_place(&p);
}

static void a_full_queue_is_not_waited_for_or_only_so_long(void **state)
{
	struct task_server *f = *state;
	struct client *client = NULL;
	struct place p;
	int fd;

	listen_at(&p, 0);
	fd = client_connect(p.path, 0, NULL);
	assert_true(fd >= 0);
	assert_int_equal(client_open(&client, f->base, p.path, NULL, NULL, NULL), -EAGAIN);
	assert_int_equal(client_connect(p.path, 30, NULL), -ETIMEDOUT);
	(void)close(fd);
	(void)close(p.fd);
	remove_place(&p);
}

static void a_request_over_the_limit_is_not_sent(void **state)
{
	struct task_server *f = *state;
	struct client_request big = call_to("Connect", 1000);
	struct result a = { 0 };
	struct client *client;
	struct place p;

	listen_at(&p, 8);
	assert_int_equal(server_listen(f->server, p.fd, NULL), 0);
	assert_int_equal(client_open(&client, f->base, p.path, NULL, NULL, NULL), 0);
	c1.id = malloc(FRAME_MAX + 1);
	memset(c1.id, 'x', FRAME_MAX);
	c1.id[FRAME_MAX] = '\0';
	assert_int_equal(client_call(client, &big, on_done, &a, NULL), -EMSGSIZE);
	free(c1.id);
	assert_int_equal(client_pending(client), 0);
	(void)client_close(client);
	remove_place(&p);
}

static void a_server_that_does_not_read_is_not_written_to_for_ever(void **state)
{
	struct task_server *f = *state;
	struct client_request req = call_to("Connect", 5000);
	struct result never = { 0 };
	struct client *client;
	struct place p;
	int rc = 0, n = 0;

	listen_at(&p, 8);
	assert_int_equal(client_open(&client, f->base, p.path, NULL, NULL, NULL), 0);
	c1.id = calloc(1, 65536);
	memset(c1.id, 'x', 65535);
	while (rc == 0 && n++ < 1000)
		rc = client_call(client, &req, on_done, &never, NULL);
	assert_int_equal(rc, -EAGAIN);
	free(c1.id);
	(void)client_close(client);
	(void)close(p.fd);
	remove_place(&p);
}

/* ---- without a loop ------------------------------------------------------------------ */

/* A child that accepts once, reads a little, and writes these bytes. */
static pid_t be_a_server(const struct place *p, const void *data, size_t len, bool stay)
{
	char buf[256];
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	fd = accept(p->fd, NULL, NULL);
	(void)!read(fd, buf, sizeof(buf));
	(void)!write(fd, data, len);
	if (stay)
		(void)pause();
	_exit(0);
}

struct row {
	const char *hex;
	bool stay;
	int rc, code;
};

static const struct row rows[] = {
	/* another id and a data frame first, in pieces or not, then the answer */
	{ "00000000 00000003 02 00 00000000 00000005 03 00 00000008 00000001 02 00"
	  "120608922110cc21", true, 0, 0 },
	{ "00000026 00000001 02 00 0a2408051220636f6e7461696e6572206e6f7420637265617465643a206e"
	  "6f7420666f756e64", true, -ENOENT, STATUS_NOT_FOUND },
	{ "00000008 00000001 02 00 1206", false, -ECONNRESET, 0 },
	{ "", false, -ECONNRESET, 0 },
	{ "", true, -ETIMEDOUT, 0 },
	{ "00000000 00000001 03 00", true, -EBADMSG, 0 },  /* our id, not a response */
	{ "00000001 00000001 02 00 ff", true, -EBADMSG, 0 }, /* not a Response */
	{ "00000003 00000001 02 00 1201ff", true, -EBADMSG, 0 }, /* not the message */
};

static void the_blocking_client_knows_every_end(void **state)
{
	struct client_request req = call_to("Connect", 300);
	struct place p;

	(void)state;
	listen_at(&p, 8);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ProtobufCMessage *out = NULL;
		struct err err = ERR_INIT;
		int code = -1, rc;
		size_t len;
		auto_free uint8_t *data = wire_hex(rows[i].hex, &len);
		pid_t child = be_a_server(&p, data, len, rows[i].stay);

		assert_true(child > 0);
		req.timeout_ms = rows[i].rc == -ETIMEDOUT ? 100 : WIRE_PATIENCE_MS;
		rc = client_ask(p.path, &req, &out, &code, &err);
		assert_int_equal(rc, rows[i].rc);
		assert_int_equal(code, rows[i].code);
		assert_true((rc == 0) == (out != NULL));
		protobuf_c_message_free_unpacked(out, NULL);
		(void)kill(child, SIGKILL);
		(void)waitpid(child, NULL, 0);
	}
	(void)close(p.fd);
	assert_int_equal(client_ask(p.path, &req, NULL, NULL, NULL), -ECONNREFUSED);
	remove_place(&p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, task_server_setup, task_server_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(calls_over_one_connection_are_told_apart),
		TEST(a_lost_connection_fails_all_calls_then_says_so),
		TEST(a_client_may_be_closed_in_any_callback),
		TEST(what_can_not_be_connected_to_is_said),
		TEST(a_full_queue_is_not_waited_for_or_only_so_long),
		TEST(a_request_over_the_limit_is_not_sent),
		TEST(a_server_that_does_not_read_is_not_written_to_for_ever),
		TEST(the_blocking_client_knows_every_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
