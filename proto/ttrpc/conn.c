/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading: one read() a turn into the stack, so that no connection starves the
 * others and none owns a buffer. Frames are handed on until the bytes are used up,
 * or until answering them has filled the queue: then the rest of the bytes is kept
 * and the read event taken out, until the write event has emptied half the queue.
 *
 * Callbacks may free the connection. While one runs, "busy" is set, conn_free()
 * only marks it, and the outermost function does it.
 */
#include "proto/ttrpc/conn.h"

#include "journal/base/cleanup.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define READ_SIZE  8192
#define WRITE_VECS 16

struct chunk {
	STAILQ_ENTRY(chunk) link;
	uint8_t *data;
	size_t len, at;
};

struct conn {
	struct event readable, writable;
	const struct conn_ops *ops;
	void *arg;
	int fd;
	int error; /* found while sending, to be told from the loop */
	bool busy, freed, paused, deaf, over;
	struct frame_reader reader;
	uint8_t *rest; /* read, but not handed on yet */
	size_t rest_len;
	STAILQ_HEAD(chunk_queue, chunk) queue;
	size_t unsent, max_unsent;
};

static void destroy(struct conn *c)
{
	struct chunk *k;

	(void)event_del(&c->readable);
	(void)event_del(&c->writable);
	(void)close(c->fd);
	frame_reader_clear(&c->reader);
	free(c->rest);
	while ((k = STAILQ_FIRST(&c->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&c->queue, link);
		free(k->data);
		free(k);
	}
	free(c);
}

struct conn *conn_free(struct conn *c)
{
	if (!c)
		return NULL;
	if (c->busy)
		c->freed = true;
	else
		destroy(c);
	return NULL;
}

static void enter(struct conn *c)
{
	c->busy = true;
}

static void leave(struct conn *c)
{
	c->busy = false;
	if (c->freed)
		destroy(c);
}

/* Tell it once, and have nothing more to do with the socket. */
static void lose(struct conn *c, int code)
{
	struct err why = ERR_INIT;

	if (c->over)
		return;
	c->over = true;
	(void)event_del(&c->readable);
	(void)event_del(&c->writable);
	if (code)
		(void)err_set(&why, code, "connection");
	else
		(void)err_say(&why, ECONNRESET, "connection: closed by the other side");
	c->ops->lost(c->arg, &why);
}

static void fail_later(struct conn *c, int code)
{
	c->error = code;
	event_active(&c->readable, EV_READ, 0);
}

static bool may_hand_on(const struct conn *c)
{
	return !c->freed && !c->over && !c->paused && !c->deaf && !c->error;
}

/* Hand on frames; returns what is left because of back-pressure, or a < 0 errno. */
static ssize_t hand_on(struct conn *c, const uint8_t *data, size_t len)
{
	const uint8_t *payload;
	struct frame f;
	int rc;

	while (len && may_hand_on(c)) {
		rc = frame_read(&c->reader, &data, &len, &f, &payload);
		if (rc < 0)
			return rc;
		if (rc == FRAME_READY)
			c->ops->frame(c->arg, &f, payload);
	}
	return (ssize_t)len;
}

static int keep_rest(struct conn *c, const uint8_t *end, size_t left)
{
	uint8_t *rest = NULL;

	if (left) {
		rest = malloc(left);
		if (!rest)
			return -ENOMEM;
		memcpy(rest, end - left, left);
	}
	free(c->rest);
	c->rest = rest;
	c->rest_len = left;
	return 0;
}

static void feed(struct conn *c, const uint8_t *data, size_t len)
{
	ssize_t left = hand_on(c, data, len);

	if (c->freed || c->over || c->deaf)
		return;
	if (left >= 0)
		left = keep_rest(c, data + len, (size_t)left);
	if (left < 0)
		lose(c, (int)-left);
}

static void read_once(struct conn *c)
{
	uint8_t buf[READ_SIZE];
	ssize_t n = read(c->fd, buf, sizeof(buf));

	if (n > 0)
		feed(c, buf, (size_t)n);
	else if (n == 0)
		lose(c, 0);
	else if (errno != EAGAIN && errno != EINTR)
		lose(c, errno);
}

static void on_readable(int fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd, (void)what;
	enter(c);
	if (c->error)
		lose(c, c->error);
	else if (c->rest_len && !c->paused)
		feed(c, c->rest, c->rest_len);
	else if (!c->paused && !c->deaf)
		read_once(c);
	if (c->rest_len && may_hand_on(c))
		event_active(&c->readable, EV_READ, 0);
	leave(c);
}

static void sent(struct conn *c, size_t n)
{
	struct chunk *k;

	c->unsent -= n;
	while (n && (k = STAILQ_FIRST(&c->queue)) != NULL) {
		if (n < k->len - k->at) {
			k->at += n;
			return;
		}
		n -= k->len - k->at;
		STAILQ_REMOVE_HEAD(&c->queue, link);
		free(k->data);
		free(k);
	}
}

/* Write once. Returns 0 or an errno value; EAGAIN is 0. */
static int flush(struct conn *c)
{
	struct iovec v[WRITE_VECS];
	struct msghdr msg = { .msg_iov = v };
	struct chunk *k;
	ssize_t n;

	STAILQ_FOREACH(k, &c->queue, link) {
		v[msg.msg_iovlen].iov_base = k->data + k->at;
		v[msg.msg_iovlen].iov_len = k->len - k->at;
		if (++msg.msg_iovlen == WRITE_VECS)
			break;
	}
	if (!msg.msg_iovlen)
		return 0;
	n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : errno;
	sent(c, (size_t)n);
	return 0;
}

static void resume(struct conn *c)
{
	if (!c->paused || c->unsent > c->max_unsent / 2)
		return;
	c->paused = false;
	if (c->deaf)
		return;
	(void)event_add(&c->readable, NULL);
	if (c->rest_len)
		event_active(&c->readable, EV_READ, 0);
}

static void on_writable(int fd, short what, void *arg)
{
	struct conn *c = arg;
	int code;

	(void)fd, (void)what;
	enter(c);
	code = c->error ? c->error : flush(c);
	if (code) {
		lose(c, code);
	} else {
		resume(c);
		if (!c->unsent) {
			(void)event_del(&c->writable);
			c->ops->drained(c->arg);
		}
	}
	leave(c);
}

/* Queue what the kernel did not take. Owns @data. */
static int enqueue(struct conn *c, uint8_t *data, size_t len, size_t at)
{
	struct chunk *k = malloc(sizeof(*k));

	if (!k) {
		free(data);
		return ENOMEM;
	}
	*k = (struct chunk){ .data = data, .len = len, .at = at };
	STAILQ_INSERT_TAIL(&c->queue, k, link);
	c->unsent += len - at;
	return event_add(&c->writable, NULL) < 0 ? ENOMEM : 0;
}

static void send_rest(struct conn *c, const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len);
	int code = ENOMEM;

	if (copy) {
		memcpy(copy, data, len);
		code = enqueue(c, copy, len, 0);
	}
	if (code)
		fail_later(c, code);
}

void conn_send(struct conn *c, uint8_t *data, size_t len)
{
	ssize_t n = 0;
	int code;

	if (c->over || c->freed || c->error) {
		free(data);
		return;
	}
	if (STAILQ_EMPTY(&c->queue)) {
		n = send(c->fd, data, len, MSG_NOSIGNAL);
		if (n == (ssize_t)len) {
			free(data);
			return;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			fail_later(c, errno);
			free(data);
			return;
		}
	}
	code = enqueue(c, data, len, n > 0 ? (size_t)n : 0);
	if (code)
		fail_later(c, code);
	if (c->max_unsent && c->unsent >= c->max_unsent && !c->paused) {
		c->paused = true;
		(void)event_del(&c->readable);
	}
}

bool conn_send_now(struct conn *c, const uint8_t *data, size_t len)
{
	ssize_t n;

	if (c->over || c->freed || c->error || !STAILQ_EMPTY(&c->queue))
		return false;
	n = send(c->fd, data, len, MSG_NOSIGNAL);
	if (n <= 0)
		return false; /* and what is wrong the next one will see */
	if ((size_t)n < len)
		send_rest(c, data + n, len - (size_t)n);
	return true;
}

size_t conn_unsent(const struct conn *c)
{
	return c->unsent;
}

void conn_stop_reading(struct conn *c)
{
	c->deaf = true;
	(void)event_del(&c->readable);
}

int conn_new(struct conn **ret, struct event_base *base, int fd, const struct conn_ops *ops,
	     void *arg, size_t max_unsent, struct err *err)
{
	auto_fd int own = fd;
	auto_free struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(err, ENOMEM, "connection");
	if (evutil_make_socket_nonblocking(own) < 0 || evutil_make_socket_closeonexec(own) < 0)
		return err_set(err, errno, "connection: set flags");
	c->ops = ops;
	c->arg = arg;
	c->fd = own;
	c->max_unsent = max_unsent;
	STAILQ_INIT(&c->queue);
	if (event_assign(&c->readable, base, own, EV_READ | EV_PERSIST, on_readable, c) < 0 ||
	    event_assign(&c->writable, base, own, EV_WRITE | EV_PERSIST, on_writable, c) < 0 ||
	    event_add(&c->readable, NULL) < 0)
		return err_set(err, ENOMEM, "connection: watch it");
	(void)TAKE_FD(own);
	*ret = TAKE_PTR(c);
	return 0;
}
