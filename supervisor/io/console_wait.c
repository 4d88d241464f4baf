/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/io/console.h"

#include "journal/base/cleanup.h"

#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#define NAME_BYTES 4096 /* the terminal's name has less */
#define FDS_MAX    8    /* seen and closed; what is more, the kernel drops */

struct console_wait {
	struct event_base *base;
	char *path;
	int fd;         /* listening; then the connection */
	bool connected;
	bool ended;     /* the runtime */
	int ms;
	struct event *ready, *timer;
	console_fn *done;
	void *arg;
};

struct console_wait *console_wait_free(struct console_wait *w)
{
	if (!w)
		return NULL;
	if (w->ready)
		event_free(w->ready);
	if (w->timer)
		event_free(w->timer);
	if (w->fd >= 0)
		(void)close(w->fd);
	free(w->path);
	free(w);
	return NULL;
}

static void finish(struct console_wait *w, int master, const struct err *why)
{
	console_fn *done = w->done;
	void *arg = w->arg;

	console_wait_free(w);
	done(arg, master, why);
}

/* ---- the message ------------------------------------------------------------------- */

/* All descriptors of a message; the first FDS_MAX are kept in @fds. */
static size_t take_fds(struct msghdr *msg, int *fds)
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (n < FDS_MAX)
				fds[n++] = fd;
			else
				(void)close(fd);
		}
	}
	return n;
}

static int not_a_terminal(int fd, struct err *err)
{
	char link[32], what[256] = "unknown";
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, what, sizeof(what) - 1);
	if (n > 0)
		what[n] = '\0';
	return err_say(err, EPROTO, "the runtime sent a descriptor that is no terminal: %s", what);
}

static int judge(ssize_t bytes, const struct msghdr *msg, const int *fds, size_t n,
		 struct err *err)
{
	if (msg->msg_flags & MSG_CTRUNC)
		return err_say(err, EPROTO, "the runtime sent more than %d descriptors, not one",
			       FDS_MAX);
	if (n != 1)
		return err_say(err, EPROTO, "the runtime sent %zd bytes with %zu descriptors, "
			       "not with one", bytes, n);
	if (bytes >= NAME_BYTES)
		return err_say(err, EPROTO, "the runtime sent a terminal's name of %d or more "
			       "bytes", NAME_BYTES);
	return isatty(fds[0]) ? 0 : not_a_terminal(fds[0], err);
}

/* 0 and *ret; -EAGAIN: nothing yet; another code: what came, or did not, is wrong. */
static int receive(int fd, int *ret, struct err *err)
{
	union {
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	char name[NAME_BYTES];
	struct iovec iov = { .iov_base = name, .iov_len = sizeof(name) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	int fds[FDS_MAX];
	ssize_t bytes = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	size_t n;
	int rc;

	if (bytes < 0)
		return errno == EAGAIN || errno == EINTR
			       ? -EAGAIN
			       : err_set(err, EPROTO, "receive a terminal");
	if (bytes == 0)
		return err_say(err, EPROTO, "the runtime hung up before it sent a terminal");
	n = take_fds(&msg, fds);
	rc = judge(bytes, &msg, fds, n, err);
	if (rc == 0)
		*ret = fds[--n];
	while (n > 0)
		(void)close(fds[--n]);
	return rc;
}

/* ---- the loop ------------------------------------------------------------------------ */

static void fail(struct console_wait *w, struct err *err)
{
	err_wrap(err, "console socket %s", w->path);
	finish(w, -1, err);
}

static void on_ready(evutil_socket_t fd, short what, void *arg);

/* Wait for the message instead; whatever it is, the next turn looks. */
static int use_connection(struct console_wait *w, int fd, struct err *err)
{
	struct event *ready = event_new(w->base, fd, EV_READ | EV_PERSIST, on_ready, w);

	if (!ready || event_add(ready, NULL) < 0) {
		if (ready)
			event_free(ready);
		(void)close(fd);
		return err_set(err, ENOMEM, "accept");
	}
	event_free(w->ready);
	(void)close(w->fd);
	w->ready = ready;
	w->fd = fd;
	w->connected = true;
	return 0;
}

static bool is_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static void on_connect(struct console_wait *w)
{
	struct err err = ERR_INIT;
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0 && !is_allowed(fd)) {
		(void)close(fd); /* a stranger; the runtime may still come */
		return;
	}
	if (fd >= 0) {
		if (use_connection(w, fd, &err) < 0)
			fail(w, &err);
		return;
	}
	if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		err_set(&err, errno, "accept");
	else if (w->ended)
		err_say(&err, EPROTO, "the runtime has ended without sending a terminal; does its "
			"config.json say \"terminal\": true?");
	else
		return;
	fail(w, &err);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct console_wait *w = arg;
	struct err err = ERR_INIT;
	int master = -1, rc;

	(void)what;
	if (!w->connected) {
		on_connect(w);
		return;
	}
	rc = receive(fd, &master, &err);
	if (rc == 0)
		finish(w, master, NULL);
	else if (rc != -EAGAIN)
		fail(w, &err);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct console_wait *w = arg;
	struct err err = ERR_INIT;

	(void)fd;
	(void)what;
	err_say(&err, ETIMEDOUT, "the runtime has %s in %d ms", w->connected
		? "connected, and not sent a terminal" : "not connected", w->ms);
	fail(w, &err);
}

void console_runtime_ended(struct console_wait *w)
{
	w->ended = true;
	event_active(w->ready, EV_READ, 0);
}

int console_wait_new(struct console_wait **ret, struct event_base *base, const char *path,
		     int fd, int ms, console_fn *done, void *arg, struct err *err)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	struct console_wait *w = calloc(1, sizeof(*w));

	if (!w) {
		(void)close(fd);
		return err_set(err, ENOMEM, "console socket %s", path);
	}
	*w = (struct console_wait){ .base = base, .path = strdup(path), .fd = fd, .ms = ms,
				    .done = done, .arg = arg };
	w->ready = event_new(base, fd, EV_READ | EV_PERSIST, on_ready, w);
	w->timer = evtimer_new(base, on_deadline, w);
	if (!w->path || !w->ready || !w->timer || event_add(w->ready, NULL) < 0 ||
	    event_add(w->timer, &tv) < 0) {
		console_wait_free(w);
		return err_set(err, ENOMEM, "console socket %s", path);
	}
	*ret = w;
	return 0;
}
