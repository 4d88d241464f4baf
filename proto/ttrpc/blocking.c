/* SPDX-License-Identifier: Apache-2.0 */
/* The half of client.h that needs no loop. */
#include "proto/ttrpc/client.h"

#include "journal/base/cleanup.h"
#include "proto/ttrpc/frame.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#define READ_SIZE 8192
#define OUR_ID    1

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t client_deadline(int timeout_ms)
{
	return now_ms() + timeout_ms;
}

int client_left(int64_t deadline)
{
	int64_t left = deadline - now_ms();

	return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

static int wait_for(int fd, short events, int64_t deadline, struct err *err)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n;

	do {
		n = poll(&p, 1, client_left(deadline));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_set(err, errno, "wait for the other side");
	if (n == 0)
		return err_say(err, ETIMEDOUT, "no answer in time");
	return 0;
}

/* A full queue is waited for by connect() itself, if the socket has a send timeout. */
static int connect_within(int fd, const struct sockaddr_un *to, int timeout_ms)
{
	struct timeval tv = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };
	int rc;

	if (timeout_ms > 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
		return -errno;
	if (timeout_ms <= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	do {
		rc = connect(fd, (const struct sockaddr *)to, sizeof(*to));
	} while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return errno == EAGAIN && timeout_ms > 0 ? -ETIMEDOUT : -errno;
	return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

int client_connect(const char *path, int timeout_ms, struct err *err)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	auto_fd int fd = -1;
	int rc;

	if (strncmp(path, "unix://", 7) == 0)
		path += 7;
	if (strlen(path) >= sizeof(to.sun_path))
		return err_say(err, ENAMETOOLONG,
			       "connect to %s: the path has %zu bytes, a socket's may have %zu", path,
			       strlen(path), sizeof(to.sun_path) - 1);
	strcpy(to.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, errno, "connect to %s: make a socket", path);
	rc = connect_within(fd, &to, timeout_ms);
	if (rc < 0)
		return err_set(err, -rc, "connect to %s", path);
	return TAKE_FD(fd);
}

int client_send(int fd, const uint8_t *data, size_t len, int64_t deadline, struct err *err)
{
	ssize_t n;
	int rc;

	while (len) {
		n = send(fd, data, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			rc = wait_for(fd, POLLOUT, deadline, err);
			if (rc < 0)
				return rc;
		} else if (n < 0 && errno != EINTR) {
			return err_say(err, ECONNRESET, "the other side closed the connection");
		} else if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

ssize_t client_receive(int fd, uint8_t *buf, size_t size, int64_t deadline, struct err *err)
{
	ssize_t n;
	int rc;

	for (;;) {
		rc = wait_for(fd, POLLIN, deadline, err);
		if (rc < 0)
			return rc;
		n = read(fd, buf, size);
		if (n > 0)
			return n;
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return err_say(err, ECONNRESET, "the other side closed the connection");
	}
}

/* 1: it was our answer, and was decoded; 0: it was something else. */
static int look_at(const struct frame *f, const uint8_t *payload,
		   const struct client_request *req, ProtobufCMessage **ret, int *ret_code,
		   struct err *err)
{
	int rc;

	if (f->id != OUR_ID)
		return 0;
	if (f->type != FRAME_RESPONSE || f->len > FRAME_MAX)
		return err_say(err, EBADMSG, "the answer is not a response of up to %u bytes",
			       FRAME_MAX);
	rc = client_decode(req->out, payload, f->len, ret, ret_code, err);
	return rc < 0 ? rc : 1;
}

static int await(int fd, const struct client_request *req, int64_t deadline,
		 ProtobufCMessage **ret, int *ret_code, struct err *err)
{
	struct frame_reader r = FRAME_READER_INIT;
	uint8_t buf[READ_SIZE];
	const uint8_t *data, *payload;
	struct frame f;
	size_t len;
	ssize_t n;
	int rc = 0;

	while (rc == 0) {
		n = client_receive(fd, buf, sizeof(buf), deadline, err);
		if (n < 0) {
			rc = (int)n;
			break;
		}
		data = buf;
		len = (size_t)n;
		while (len && rc == 0) {
			rc = frame_read(&r, &data, &len, &f, &payload);
			if (rc == FRAME_READY)
				rc = look_at(&f, payload, req, ret, ret_code, err);
			else if (rc < 0)
				rc = err_set(err, ENOMEM, "keep the answer");
		}
	}
	frame_reader_clear(&r);
	return rc < 0 ? rc : 0;
}

int client_ask(const char *path, const struct client_request *req, ProtobufCMessage **ret,
	       int *ret_code, struct err *err)
{
	int64_t deadline = client_deadline(req->timeout_ms);
	auto_free uint8_t *data = NULL;
	auto_fd int fd = -1;
	size_t len;
	int rc;

	if (ret_code)
		*ret_code = 0;
	rc = client_encode(req, OUR_ID, &data, &len, err);
	if (rc < 0)
		return rc;
	fd = client_connect(path, req->timeout_ms, err);
	if (fd < 0)
		return fd;
	rc = client_send(fd, data, len, deadline, err);
	if (rc < 0)
		return rc;
	return await(fd, req, deadline, ret, ret_code, err);
}
