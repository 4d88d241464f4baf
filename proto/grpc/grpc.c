/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nghttp2 does the frames, in memory; we move bytes between it and the socket until
 * the one stream is closed. An answer is a 5 byte prefix (not compressed, length)
 * and the message; how it went is in the trailers.
 */
#include "proto/grpc/grpc.h"

#include "journal/base/cleanup.h"
#include "proto/ttrpc/client.h"
#include "proto/ttrpc/status.h"

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PREFIX    5
#define READ_SIZE 16384
#define TEXT_MAX  512

struct exchange {
	nghttp2_session *session;
	int fd;
	int64_t deadline;
	uint8_t *out; /* prefix and request */
	size_t out_len, out_at;
	uint8_t *in; /* prefix and answer */
	size_t in_len, in_room;
	bool too_large, closed;
	int http_status, grpc_status; /* 0, -1: not heard of */
	uint32_t reset;               /* HTTP/2 error of the stream */
	char text[TEXT_MAX];
};

static int get_digit(uint8_t c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* grpc-message is percent-encoded. */
static void decode_text(char *ret, size_t size, const uint8_t *value, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++) {
		if (value[i] == '%' && i + 2 < len && get_digit(value[i + 1]) >= 0 &&
		    get_digit(value[i + 2]) >= 0) {
			ret[n++] = (char)(get_digit(value[i + 1]) * 16 + get_digit(value[i + 2]));
			i += 2;
		} else {
			ret[n++] = (char)value[i];
		}
	}
	ret[n] = '\0';
}

static int number(const uint8_t *value, size_t len)
{
	int n = 0;

	for (size_t i = 0; i < len; i++) {
		if (value[i] < '0' || value[i] > '9' || n > 9999)
			return -1;
		n = n * 10 + (value[i] - '0');
	}
	return len ? n : -1;
}

static bool named(const uint8_t *name, size_t len, const char *want)
{
	return len == strlen(want) && memcmp(name, want, len) == 0;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *arg)
{
	struct exchange *x = arg;

	(void)s, (void)f, (void)flags;
	if (named(name, name_len, ":status"))
		x->http_status = number(value, len);
	else if (named(name, name_len, "grpc-status"))
		x->grpc_status = number(value, len);
	else if (named(name, name_len, "grpc-message"))
		decode_text(x->text, sizeof(x->text), value, len);
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
		   void *arg)
{
	struct exchange *x = arg;
	size_t room = x->in_room ? x->in_room : 4096;
	uint8_t *in;

	(void)s, (void)flags, (void)id;
	if (len > GRPC_ANSWER_MAX + PREFIX - x->in_len) {
		x->too_large = true;
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	while (room < x->in_len + len)
		room *= 2;
	if (room != x->in_room) {
		in = realloc(x->in, room);
		if (!in)
			return NGHTTP2_ERR_CALLBACK_FAILURE;
		x->in = in;
		x->in_room = room;
	}
	memcpy(x->in + x->in_len, data, len);
	x->in_len += len;
	return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *arg)
{
	struct exchange *x = arg;

	(void)s, (void)id;
	x->closed = true;
	x->reset = code;
	return 0;
}

static ssize_t give_data(nghttp2_session *s, int32_t id, uint8_t *buf, size_t size,
			 uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct exchange *x = arg;
	size_t n = x->out_len - x->out_at;

	(void)s, (void)id, (void)source;
	if (n > size)
		n = size;
	memcpy(buf, x->out + x->out_at, n);
	x->out_at += n;
	if (x->out_at == x->out_len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int pack_request(struct exchange *x, const ProtobufCMessage *in, struct err *err)
{
	size_t n = protobuf_c_message_get_packed_size(in);

	x->out = malloc(PREFIX + n);
	if (!x->out)
		return err_set(err, ENOMEM, "encode the request");
	x->out[0] = 0;
	for (int i = 0; i < 4; i++)
		x->out[1 + i] = (uint8_t)(n >> (24 - 8 * i));
	(void)protobuf_c_message_pack(in, x->out + PREFIX);
	x->out_len = PREFIX + n;
	return 0;
}

static int open_session(struct exchange *x, struct err *err)
{
	nghttp2_session_callbacks *cb;
	int rc;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		return err_set(err, ENOMEM, "start HTTP/2");
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	rc = nghttp2_session_client_new(&x->session, cb, x);
	nghttp2_session_callbacks_del(cb);
	return rc == 0 ? 0 : err_set(err, ENOMEM, "start HTTP/2");
}

static nghttp2_nv header(const char *name, const char *value)
{
	/* nghttp2 copies both; it knows no const. */
	return (nghttp2_nv){ .name = (uint8_t *)name,
			     .value = (uint8_t *)value,
			     .namelen = strlen(name),
			     .valuelen = strlen(value) };
}

static int submit(struct exchange *x, const struct grpc_request *req, struct err *err)
{
	const nghttp2_nv headers[] = {
		header(":method", "POST"),
		header(":scheme", "http"),
		header(":path", req->path),
		header(":authority", "localhost"),
		header("content-type", "application/grpc"),
		header("te", "trailers"),
		header("user-agent", "urunc"),
		header("containerd-namespace", req->ns ? req->ns : ""),
	};
	const nghttp2_data_provider body = { .read_callback = give_data };
	size_t n = ARRAY_SIZE(headers) - (req->ns ? 0 : 1);

	if (nghttp2_submit_settings(x->session, NGHTTP2_FLAG_NONE, NULL, 0) != 0 ||
	    nghttp2_submit_request(x->session, NULL, headers, n, &body, NULL) < 0)
		return err_set(err, ENOMEM, "make the request");
	return 0;
}

static int send_pending(struct exchange *x, struct err *err)
{
	const uint8_t *data;
	ssize_t n;
	int rc;

	while ((n = nghttp2_session_mem_send(x->session, &data)) > 0) {
		rc = client_send(x->fd, data, (size_t)n, x->deadline, err);
		if (rc < 0)
			return rc;
	}
	return n < 0 ? err_say(err, EPROTO, "HTTP/2: %s", nghttp2_strerror((int)n)) : 0;
}

static int run(struct exchange *x, struct err *err)
{
	uint8_t buf[READ_SIZE];
	ssize_t n, used;
	int rc;

	while (!x->closed) {
		rc = send_pending(x, err);
		if (rc < 0)
			return rc;
		if (!nghttp2_session_want_read(x->session))
			return err_say(err, EPROTO, "not the HTTP/2 of a gRPC server");
		n = client_receive(x->fd, buf, sizeof(buf), x->deadline, err);
		if (n < 0)
			return (int)n;
		used = nghttp2_session_mem_recv(x->session, buf, (size_t)n);
		if (x->too_large)
			return err_say(err, EFBIG, "the answer has more than %u bytes",
				       GRPC_ANSWER_MAX);
		if (used < 0)
			return err_say(err, EPROTO, "HTTP/2: %s", nghttp2_strerror((int)used));
	}
	return 0;
}

static int judge(const struct exchange *x, struct err *err)
{
	if (x->grpc_status > 0)
		return err_say(err, status_to_errno(x->grpc_status), "%s",
			       *x->text ? x->text : status_name(x->grpc_status));
	if (x->reset)
		return err_say(err, ECONNRESET, "the server gave up the call: %s",
			       nghttp2_http2_strerror(x->reset));
	if (x->http_status != 200 || x->grpc_status < 0)
		return err_say(err, EPROTO, "HTTP status %d and no gRPC status in the answer",
			       x->http_status);
	return 0;
}

static int unpack(const struct exchange *x, const ProtobufCMessageDescriptor *out,
		  ProtobufCMessage **ret, struct err *err)
{
	const uint8_t *p = x->in;
	size_t n;

	if (x->in_len < PREFIX || p[0] != 0)
		return err_say(err, EBADMSG, "the answer is empty or compressed");
	n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
	if (n != x->in_len - PREFIX)
		return err_say(err, EBADMSG, "the answer is not one whole message");
	*ret = protobuf_c_message_unpack(out, NULL, n, p + PREFIX);
	return *ret ? 0 : err_say(err, EBADMSG, "the answer is not a %s", out->name);
}

static int exchange(struct exchange *x, const struct grpc_request *req, ProtobufCMessage **ret,
		    struct err *err)
{
	int rc = pack_request(x, req->in, err);

	if (rc == 0)
		rc = open_session(x, err);
	if (rc == 0)
		rc = submit(x, req, err);
	if (rc == 0)
		rc = run(x, err);
	if (rc == 0)
		rc = judge(x, err);
	if (rc == 0)
		rc = unpack(x, req->out, ret, err);
	return rc;
}

int grpc_call(const struct grpc_request *req, ProtobufCMessage **ret, int *ret_code,
	      struct err *err)
{
	struct exchange x = { .grpc_status = -1, .deadline = client_deadline(req->timeout_ms) };
	auto_fd int fd = client_connect(req->socket, req->timeout_ms, err);
	int rc;

	if (ret_code)
		*ret_code = -1;
	if (fd < 0)
		return fd;
	x.fd = fd;
	rc = exchange(&x, req, ret, err);
	if (ret_code)
		*ret_code = x.grpc_status;
	nghttp2_session_del(x.session);
	free(x.out);
	free(x.in);
	return rc < 0 ? err_wrap(err, "%s on %s", req->path, req->socket) : 0;
}
