/* SPDX-License-Identifier: Apache-2.0 */
/* A gRPC server in a child answers in every way, right and wrong. */
#include "proto/grpc/grpc.h"

#include "journal/base/cleanup.h"
#include "proto/api/queries.pb-c.h"
#include "proto/grpc/ask.h"
#include "proto/ttrpc/status.h"

#include <nghttp2/nghttp2.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

enum mode { ANSWER, EMPTY, NOT_FOUND, FOREVER, GARBAGE, HANG_UP, RESET, TOO_LARGE, NO_GRPC,
	    NO_TRAILERS, TRUNCATED, COMPRESSED };

/* ---- the server, in a child -------------------------------------------------------- */

struct peer {
	enum mode mode;
	int fd;
	const uint8_t *body;
	size_t len, at, total; /* total: bytes to say in all, TOO_LARGE repeats the body */
	int right; /* headers that were as they should be */
	nghttp2_session *session;
};

static nghttp2_nv nv(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0 };
}

static ssize_t give(nghttp2_session *s, int32_t id, uint8_t *buf, size_t size, uint32_t *flags,
		    nghttp2_data_source *src, void *arg)
{
	struct peer *p = arg;
	const nghttp2_nv trailers[] = { nv("grpc-status", "0") };
	size_t n = p->total - p->at;

	(void)src;
	n = n < size ? n : size;
	if (p->at + n <= p->len)
		memcpy(buf, p->body + p->at, n);
	else
		memset(buf, 0, n);
	p->at += n;
	if (p->at == p->total) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (p->mode != NO_TRAILERS) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			(void)nghttp2_submit_trailer(s, id, trailers, 1);
		}
	}
	return (ssize_t)n;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t nlen,
		     const uint8_t *value, size_t vlen, uint8_t flags, void *arg)
{
	static const char *const want[][2] = {
		{ ":method", "POST" },
		{ ":path", "/containerd.services.tasks.v1.Tasks/Get" },
		{ ":path", "/containerd.services.images.v1.Images/Get" },
		{ "content-type", "application/grpc" },
		{ "te", "trailers" },
		{ "containerd-namespace", "t1" },
	};
	struct peer *p = arg;

	(void)s, (void)f, (void)flags;
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		if (nlen == strlen(want[i][0]) && memcmp(name, want[i][0], nlen) == 0 &&
		    vlen == strlen(want[i][1]) && memcmp(value, want[i][1], vlen) == 0)
			p->right++;
	return 0;
}

static int refuse(struct peer *p, int32_t id, const char *http, const char *code, const char *text)
{
	const nghttp2_nv h[] = { nv(":status", http), nv("grpc-status", code),
				 nv("grpc-message", text) };

	return nghttp2_submit_response(p->session, id, h, *code ? 3 : 1, NULL);
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *arg)
{
	struct peer *p = arg;
	const nghttp2_nv ok[] = { nv(":status", "200"), nv("content-type", "application/grpc") };
	const nghttp2_data_provider body = { .read_callback = give };
	int32_t id = f->hd.stream_id;

	if (!id || !(f->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	if (p->right != 5)
		return refuse(p, id, "200", "3", "not the headers we want");
	if (p->mode == NOT_FOUND)
		return refuse(p, id, "200", "5", "no task%3a %zz100%25: not found");
	if (p->mode == NO_GRPC)
		return refuse(p, id, "503", "", "");
	if (p->mode == RESET)
		return nghttp2_submit_rst_stream(s, 0, id, NGHTTP2_REFUSED_STREAM);
	if (p->mode == FOREVER)
		return 0;
	return nghttp2_submit_response(s, id, ok, 2, &body);
}

static int send_all(struct peer *p)
{
	const uint8_t *data;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(p->session, &data)) > 0)
		if (send(p->fd, data, (size_t)n, MSG_NOSIGNAL) != n)
			return -1;
	return (int)n;
}

static void serve(struct peer *p)
{
	nghttp2_session_callbacks *cb;
	uint8_t buf[16384];
	ssize_t n;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		return;
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	(void)nghttp2_session_server_new(&p->session, cb, p);
	nghttp2_session_callbacks_del(cb);
	(void)nghttp2_submit_settings(p->session, 0, NULL, 0);
	while (send_all(p) == 0) {
		n = read(p->fd, buf, sizeof(buf));
		if (n <= 0 || nghttp2_session_mem_recv(p->session, buf, (size_t)n) < 0)
			break;
	}
	nghttp2_session_del(p->session);
}

static void be_the_server(int fd, enum mode mode, const uint8_t *body, size_t len)
{
	struct peer p = { .mode = mode, .body = body, .len = len, .total = len };

	p.fd = accept(fd, NULL, NULL);
	if (mode == TOO_LARGE)
		p.total = GRPC_ANSWER_MAX + 100;
	if (mode == GARBAGE)
		(void)!write(p.fd, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", 47);
	if (mode == GARBAGE)
		(void)pause();
	if (mode != HANG_UP)
		serve(&p);
	(void)close(p.fd);
}

/* ---- the fixture --------------------------------------------------------------------- */

struct fixture {
	char dir[64], path[80];
	int fd;
	pid_t child;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *tmp = getenv("TMPDIR");

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "%.40s/grpc.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
	strcpy(to.sun_path, f->path);
	f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(listen(f->fd, 8), 0);
	*state = f;
	return 0;
}

static void end_child(struct fixture *f)
{
	if (f->child > 0) {
		(void)kill(f->child, SIGKILL);
		(void)waitpid(f->child, NULL, 0);
	}
	f->child = 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	end_child(f);
	(void)close(f->fd);
	(void)unlink(f->path);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

static int answer(uint8_t *buf, enum mode mode)
{
	Containerd__V1__Types__Process process = CONTAINERD__V1__TYPES__PROCESS__INIT;
	Containerd__Services__GetTaskResponse r = CONTAINERD__SERVICES__GET_TASK_RESPONSE__INIT;
	size_t n;

	process.pid = 4300;
	process.status = CONTAINERD__V1__TYPES__STATUS__RUNNING;
	if (mode != EMPTY)
		r.process = &process;
	n = containerd__services__get_task_response__pack(&r, buf + 5);
	memset(buf, 0, 5);
	buf[0] = mode == COMPRESSED;
	buf[4] = (uint8_t)(n + (mode == TRUNCATED));
	return (int)n + 5;
}

/* A server that behaves like this. */
static void begin_child(struct fixture *f, enum mode mode, const uint8_t *body, int len)
{
	f->child = fork();
	assert_true(f->child >= 0);
	if (f->child == 0) {
		be_the_server(f->fd, mode, body, (size_t)len);
		_exit(0);
	}
}

static int ask(struct fixture *f, enum mode mode, struct ask_task *ret, struct err *err)
{
	const struct ask who = { f->path, "t1", "c1", mode == FOREVER ? 100 : 10000 };
	uint8_t buf[64];
	int len = answer(buf, mode), rc;

	begin_child(f, mode, buf, len);
	rc = ask_task(&who, ret, err);
	end_child(f);
	return rc;
}

static void a_task_is_known_with_pid_and_status(void **state)
{
	struct ask_task t = { 0 };
	struct err err = ERR_INIT;

	assert_int_equal(ask(*state, ANSWER, &t, &err), 0);
	assert_string_equal(err.text, "");
	assert_true(t.known);
	assert_int_equal(t.pid, 4300);
	assert_int_equal(t.status, CONTAINERD__V1__TYPES__STATUS__RUNNING);
}

static void not_found_means_not_known(void **state)
{
	struct ask_task t = { .known = true, .pid = 1 };

	assert_int_equal(ask(*state, NOT_FOUND, &t, NULL), 0);
	assert_false(t.known);
	assert_int_equal(t.pid, 0);
}

static void everything_else_is_an_error_and_tells_nothing(void **state)
{
	static const struct {
		enum mode mode;
		int rc;
	} rows[] = {
		{ EMPTY, -EBADMSG },	  { FOREVER, -ETIMEDOUT },   { GARBAGE, -EPROTO },
		{ HANG_UP, -ECONNRESET }, { RESET, -ECONNRESET },    { TOO_LARGE, -EFBIG },
		{ NO_GRPC, -EPROTO },	  { NO_TRAILERS, -EPROTO },  { TRUNCATED, -EBADMSG },
		{ COMPRESSED, -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ask_task t = { .pid = 77 };
		struct err err = ERR_INIT;

		assert_int_equal(ask(*state, rows[i].mode, &t, &err), rows[i].rc);
		assert_int_equal(t.pid, 77);
		assert_int_equal(err.code, -rows[i].rc);
	}
}

static void a_daemon_that_is_down_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct ask who = { f->path, "t1", "c1", 1000 };
	struct ask_task t = { .pid = 77 };
	char gone[100];

	(void)close(f->fd);
	f->fd = -1;
	assert_int_equal(ask_task(&who, &t, NULL), -ECONNREFUSED);
	(void)snprintf(gone, sizeof(gone), "%s.gone", f->path);
	who.address = gone;
	assert_int_equal(ask_task(&who, &t, NULL), -ENOENT);
	assert_int_equal(t.pid, 77);
}

static void the_text_of_a_failure_is_decoded(void **state)
{
	struct fixture *f = *state;
	Containerd__Services__GetTaskRequest in = CONTAINERD__SERVICES__GET_TASK_REQUEST__INIT;
	const struct grpc_request req = {
		.socket = f->path, .ns = "t1", .path = "/containerd.services.tasks.v1.Tasks/Get",
		.in = &in.base, .out = &containerd__services__get_task_response__descriptor,
		.timeout_ms = 10000,
	};
	ProtobufCMessage *out = NULL;
	struct err err = ERR_INIT;
	int code = 0;

	begin_child(f, NOT_FOUND, NULL, 0);
	assert_int_equal(grpc_call(&req, &out, &code, &err), -ENOENT);
	assert_int_equal(code, STATUS_NOT_FOUND);
	assert_non_null(strstr(err.text, "no task: %zz100%: not found"));
}

/* Of an image of this type and size. */
static int ask_of(struct fixture *f, enum mode mode, const char *type, int64_t size)
{
	const struct ask who = { .address = f->path, .ns = "t1", .timeout_ms = 10000 };
	Containerd__Services__Descriptor target = CONTAINERD__SERVICES__DESCRIPTOR__INIT;
	Containerd__Services__Image image = CONTAINERD__SERVICES__IMAGE__INIT;
	Containerd__Services__GetImageResponse r = CONTAINERD__SERVICES__GET_IMAGE_RESPONSE__INIT;
	uint8_t buf[256] = { 0 };
	char *text = NULL;
	size_t len;
	int rc;

	target.media_type = (char *)type;
	target.digest = (char *)"sha256:0";
	target.size = size;
	image.target = &target;
	r.image = &image;
	buf[4] = (uint8_t)containerd__services__get_image_response__pack(&r, buf + 5);
	begin_child(f, mode, buf, buf[4] + 5);
	rc = ask_manifest(&who, "test/image:1", &text, &len, NULL);
	end_child(f);
	assert_null(text);
	return rc;
}

static void an_index_is_not_followed(void **state)
{
	assert_int_equal(ask_of(*state, ANSWER, "application/vnd.oci.image.index.v1+json", 9),
			 -ENODATA);
	assert_int_equal(ask_of(*state, NOT_FOUND, "", 9), -ENODATA);
}

static void a_manifest_that_is_too_long_is_not_read(void **state)
{
	assert_int_equal(ask_of(*state, ANSWER, "application/vnd.oci.image.manifest.v1+json",
				ASK_MANIFEST_MAX + 1), -EFBIG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_task_is_known_with_pid_and_status),
		TEST(not_found_means_not_known),
		TEST(everything_else_is_an_error_and_tells_nothing),
		TEST(a_daemon_that_is_down_is_an_error),
		TEST(the_text_of_a_failure_is_decoded),
		TEST(an_index_is_not_followed),
		TEST(a_manifest_that_is_too_long_is_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
