/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pty.c - each direction has a small buffer. While it holds something the source is
 * not listened to; it is pushed at once, and again when the other side takes more.
 *
 * The master answers EIO while nobody has the terminal's other side open, and poll
 * says "hung up" all the time. Before the exit that is not the end: a process may
 * close its terminal and open it again. So the master is then listened to by edges,
 * and input that it refuses is tried again by a timer.
 */
#include "supervisor/io/pty.h"

#include "journal/base/cleanup.h"

#include <event2/event.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#define TURN_READS 16        /* per turn of the loop: others want theirs too        */
#define AGAIN_MS   200       /* for input that nobody is there to take              */
#define REST_MAX   (1 << 20) /* after the end; the kernel holds far less, so who has
                                this much was written by somebody who goes on       */

struct pty {
	struct event_base *base;
	int master;        /* -1: closed, all is done */
	int in, in_keep;   /* -1: no input (any more) */
	int out, out_twin; /* out -1: discard         */
	bool hung;         /* EIO; listened to by edges */
	bool ending;       /* copy the rest, then close */
	bool exited;
	bool done;         /* and told */
	size_t rest;       /* bytes copied while ending */
	size_t out_at, out_len, in_at, in_len;
	struct event *master_in, *master_out, *in_ready, *out_ready, *again;
	pty_fn *told;
	void *arg;
	char out_buf[4096], in_buf[1024];
};

static void drop_event(struct event **ev)
{
	if (*ev)
		event_free(TAKE_PTR(*ev));
}

static void drop_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(TAKE_FD(*fd));
}

static void look_again(struct pty *p)
{
	struct timeval tv = { .tv_usec = AGAIN_MS * 1000 };

	(void)event_add(p->again, &tv);
}

static void listen_to(struct pty *p, struct event *ev)
{
	if (event_add(ev, NULL) < 0)
		look_again(p);
}

static ssize_t read_some(int fd, char *buf, size_t size)
{
	ssize_t n;

	do
		n = read(fd, buf, size);
	while (n < 0 && errno == EINTR);
	return n;
}

/* 0: all is out; or errno. */
static int push(int fd, const char *buf, size_t *at, size_t *len)
{
	while (*len > 0) {
		ssize_t n = write(fd, buf + *at, *len);

		if (n < 0 && errno != EINTR)
			return errno;
		if (n > 0) {
			*at += (size_t)n;
			*len -= (size_t)n;
		}
	}
	*at = 0;
	return 0;
}

static void drop_in(struct pty *p)
{
	drop_event(&p->in_ready);
	drop_fd(&p->in);
	drop_fd(&p->in_keep);
	p->in_len = 0;
	if (p->master_out)
		event_del(p->master_out);
}

/* ---- the end ------------------------------------------------------------------------- */

/* The last thing of a turn: @p may be gone. */
static void tell_end(struct pty *p)
{
	if (p->exited && !p->done) {
		p->done = true;
		p->told(p->arg, PTY_DRAINED, NULL);
	}
}

/* Closing the master hangs up who still has the terminal. The twin stays, and with
 * it what the client has not read yet. */
static void finish(struct pty *p)
{
	drop_in(p);
	drop_event(&p->master_in);
	drop_event(&p->master_out);
	drop_event(&p->out_ready);
	event_del(p->again);
	drop_fd(&p->master);
	drop_fd(&p->out);
	tell_end(p);
}

/* ---- input ----------------------------------------------------------------------------- */

static void in_turn(struct pty *p)
{
	int rc = push(p->master, p->in_buf, &p->in_at, &p->in_len);

	if (rc == EAGAIN && !p->hung) {
		event_del(p->in_ready);
		listen_to(p, p->master_out);
	} else if (rc) {
		event_del(p->in_ready);
		look_again(p);
	} else {
		listen_to(p, p->in_ready);
	}
}

static void out_turn(struct pty *p);

static void on_in(evutil_socket_t fd, short what, void *arg)
{
	struct pty *p = arg;
	ssize_t n = read_some(p->in, p->in_buf, sizeof(p->in_buf));

	(void)fd;
	(void)what;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0) {
		p->in_len = (size_t)n;
		in_turn(p);
		return;
	}
	/* CloseIO was asked for, and the last client has left. */
	drop_in(p);
	p->ending = true;
	out_turn(p);
}

static void on_master_out(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	in_turn(arg);
}

/* ---- output ---------------------------------------------------------------------------- */

static void on_master_in(evutil_socket_t fd, short what, void *arg);

static void set_hung(struct pty *p, bool hung)
{
	if (p->hung == hung)
		return;
	p->hung = hung;
	/* Edges and levels can't be mixed on one descriptor. */
	event_del(p->master_in);
	event_del(p->master_out);
	event_assign(p->master_in, p->base, p->master,
		     (short)(EV_READ | EV_PERSIST | (hung ? EV_ET : 0)), on_master_in, p);
	listen_to(p, p->master_in);
	if (p->in_len > 0)
		look_again(p);
}

static void lose(struct pty *p, int code)
{
	struct err err = ERR_INIT;

	drop_event(&p->out_ready);
	drop_fd(&p->out);
	p->out_len = 0;
	err_set(&err, code, "the terminal's output can't be written, and is discarded");
	p->told(p->arg, PTY_LOST, &err);
}

/* True: the buffer is empty, the master may be read. */
static bool out_push(struct pty *p)
{
	int rc;

	if (p->out < 0)
		p->out_len = 0;
	rc = push(p->out, p->out_buf, &p->out_at, &p->out_len);
	if (rc == EAGAIN) {
		event_del(p->master_in);
		listen_to(p, p->out_ready);
		return false;
	}
	if (rc)
		lose(p, rc);
	return true;
}

/* The master has nothing to read: later, or at its end. */
static void out_pause(struct pty *p, int code)
{
	if (p->ending)
		finish(p);
	else if (code != EAGAIN)
		set_hung(p, true);
}

static void out_turn(struct pty *p)
{
	if (!out_push(p))
		return;
	for (int i = 0; i < TURN_READS; i++) {
		ssize_t n = read_some(p->master, p->out_buf, sizeof(p->out_buf));

		if (n <= 0) {
			out_pause(p, n == 0 ? EIO : errno);
			return;
		}
		set_hung(p, false);
		p->out_len = (size_t)n;
		p->rest += p->ending ? (size_t)n : 0;
		if (!out_push(p))
			return;
		if (p->rest > REST_MAX) {
			finish(p);
			return;
		}
	}
}

static void on_master_in(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	out_turn(arg);
}

static void on_out(evutil_socket_t fd, short what, void *arg)
{
	struct pty *p = arg;

	(void)fd;
	(void)what;
	listen_to(p, p->master_in);
	out_turn(p);
}

/* What could not be waited for otherwise; and pty_exited(). */
static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct pty *p = arg;

	(void)fd;
	(void)what;
	if (p->master < 0) {
		tell_end(p);
		return;
	}
	if (p->in >= 0)
		in_turn(p);
	listen_to(p, p->master_in);
	out_turn(p);
}

/* ---- the outside ------------------------------------------------------------------------- */

static int make_events(struct pty *p)
{
	p->master_in = event_new(p->base, p->master, EV_READ | EV_PERSIST, on_master_in, p);
	p->master_out = event_new(p->base, p->master, EV_WRITE, on_master_out, p);
	p->again = evtimer_new(p->base, on_again, p);
	if (p->in >= 0)
		p->in_ready = event_new(p->base, p->in, EV_READ | EV_PERSIST, on_in, p);
	if (p->out >= 0)
		p->out_ready = event_new(p->base, p->out, EV_WRITE, on_out, p);
	if (!p->master_in || !p->master_out || !p->again || (p->in >= 0 && !p->in_ready) ||
	    (p->out >= 0 && !p->out_ready))
		return -ENOMEM;
	if (event_add(p->master_in, NULL) < 0 || (p->in >= 0 && event_add(p->in_ready, NULL) < 0))
		return -ENOMEM;
	return 0;
}

static int unblock(int fd)
{
	int flags = fd < 0 ? 0 : fcntl(fd, F_GETFL);

	if (flags < 0 || (fd >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
		return -errno;
	return 0;
}

/* Only what is read through a FIFO is input; /dev/null stands for none. */
static void take(struct pty *p, struct stdio *io)
{
	io->keep[0] = io->keep[1] = io->fd[1] = -1;
	if (p->in >= 0)
		io->fd[0] = -1;
	stdio_close(io);
}

int pty_new(struct pty **ret, struct event_base *base, int master, struct stdio *io,
	    pty_fn *told, void *arg, struct err *err)
{
	struct pty *p;
	int rc = unblock(master);

	if (rc == 0)
		rc = unblock(io->fd[0]);
	if (rc == 0)
		rc = unblock(io->fd[1]);
	if (rc < 0)
		return err_set(err, -rc, "a terminal");
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, ENOMEM, "a terminal");
	*p = (struct pty){ .base = base, .master = master, .in_keep = io->keep[0],
			   .in = io->keep[0] < 0 ? -1 : io->fd[0], .out = io->fd[1],
			   .out_twin = io->keep[1], .told = told, .arg = arg };
	rc = make_events(p);
	if (rc < 0) {
		p->master = p->in = p->in_keep = p->out = p->out_twin = -1;
		pty_free(p);
		return err_set(err, -rc, "a terminal");
	}
	take(p, io);
	*ret = p;
	return 0;
}

int pty_resize(struct pty *p, unsigned width, unsigned height, struct err *err)
{
	const struct winsize size = { .ws_col = (unsigned short)width,
				      .ws_row = (unsigned short)height };

	if (p->master >= 0 && ioctl(p->master, TIOCSWINSZ, &size) < 0)
		return err_set(err, errno, "resize the terminal to %u x %u", width, height);
	return 0;
}

void pty_close_in(struct pty *p)
{
	drop_fd(&p->in_keep);
}

void pty_exited(struct pty *p)
{
	p->exited = p->ending = true;
	drop_in(p);
	event_active(p->again, EV_TIMEOUT, 0);
}

struct pty *pty_free(struct pty *p)
{
	if (!p)
		return NULL;
	drop_in(p);
	drop_event(&p->master_in);
	drop_event(&p->master_out);
	drop_event(&p->out_ready);
	drop_event(&p->again);
	drop_fd(&p->master);
	drop_fd(&p->out);
	drop_fd(&p->out_twin);
	free(p);
	return NULL;
}
