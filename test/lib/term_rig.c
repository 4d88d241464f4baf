/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/term_rig.h"

#include "test/lib/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#include <cmocka.h>

/* ---- the process on the terminal ------------------------------------------------ */

void child_wait(struct term *t)
{
	char byte;

	if (read(t->child_go, &byte, 1) != 1)
		_exit(90);
}

void child_say(struct term *t)
{
	if (write(t->child_said, "", 1) != 1)
		_exit(91);
}

void child_put(const char *text)
{
	if (write(1, text, strlen(text)) != (ssize_t)strlen(text))
		_exit(92);
}

uint32_t term_add(uint32_t sum, const unsigned char *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum = sum * 16777619U ^ data[i];
	return sum;
}

static void fill(unsigned char *buf, size_t n, size_t from)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = (unsigned char)((from + i) * 2654435761U >> 13);
}

uint32_t term_sum_of(size_t total)
{
	unsigned char buf[8192];
	uint32_t sum = 0;

	for (size_t done = 0; done < total; done += sizeof(buf)) {
		fill(buf, sizeof(buf), done);
		sum = term_add(sum, buf, sizeof(buf));
	}
	return sum;
}

void child_put_many(size_t total)
{
	unsigned char buf[8192];

	for (size_t done = 0; done < total; done += sizeof(buf)) {
		fill(buf, sizeof(buf), done);
		for (size_t at = 0; at < sizeof(buf);) {
			ssize_t n = write(1, buf + at, sizeof(buf) - at);

			if (n <= 0)
				_exit(93);
			at += (size_t)n;
		}
	}
}

void child_raw(void)
{
	struct termios tio;

	if (tcgetattr(0, &tio) < 0)
		_exit(94);
	cfmakeraw(&tio);
	if (tcsetattr(0, TCSANOW, &tio) < 0)
		_exit(95);
}

/* ---- the rig ---------------------------------------------------------------------- */

static void on_told(void *arg, enum pty_told what, const struct err *why)
{
	struct term *t = arg;

	if (what == PTY_DRAINED) {
		t->drained++;
	} else {
		t->lost++;
		assert_int_equal(why->code, ENOSPC);
	}
}

static void on_exit_seen(evutil_socket_t fd, short what, void *arg)
{
	struct term *t = arg;

	(void)fd;
	(void)what;
	assert_int_equal(waitpid(t->child, &t->status, 0), t->child);
	t->exited = 1;
	if (t->pty)
		pty_exited(t->pty);
}

static void on_output(evutil_socket_t fd, short what, void *arg)
{
	struct term *t = arg;
	unsigned char buf[65536];
	ssize_t n = read(fd, buf, sizeof(buf));

	(void)what;
	if (n <= 0) {
		t->eof = 1;
		event_del(t->read);
		return;
	}
	for (ssize_t i = 0; i < n && t->bytes + (size_t)i < sizeof(t->first) - 1; i++)
		t->first[t->bytes + (size_t)i] = (char)buf[i];
	t->found = t->want && strstr(t->first, t->want);
	t->bytes += (size_t)n;
	t->sum = term_add(t->sum, buf, (size_t)n);
}

void term_attach(struct term *t)
{
	t->reader = open(t->out, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(t->reader >= 0);
	t->read = event_new(t->base, t->reader, EV_READ | EV_PERSIST, on_output, t);
	t->bytes = t->sum = 0;
	memset(t->first, 0, sizeof(t->first));
	t->eof = 0;
}

/* Read, from now on. */
void term_reads(struct term *t)
{
	assert_int_equal(event_add(t->read, NULL), 0);
}

void term_until_read(struct term *t, const char *text)
{
	t->want = text;
	t->found = strstr(t->first, text) != NULL;
	loop_until(t->base, &t->found);
}

void term_detach(struct term *t)
{
	if (t->read)
		event_free(t->read);
	if (t->reader >= 0)
		close(t->reader);
	t->read = NULL;
	t->reader = -1;
}

/* A process that runs @life on a terminal of its own; copying has not begun. */
void term_begin(struct term *t, void (*life)(struct term *))
{
	int slave, go[2], said[2];

	assert_int_equal(openpty(&t->master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(said, O_CLOEXEC), 0);
	fcntl(t->master, F_SETFD, FD_CLOEXEC);
	t->go = go[1];
	t->said = said[0];
	t->child_go = go[0];
	t->child_said = said[1];
	t->child = fork();
	if (t->child == 0) {
		close(t->master);
		close(t->go);
		close(t->said);
		if (t->reader >= 0)
			close(t->reader);
		if (login_tty(slave) < 0)
			_exit(96);
		life(t);
		_exit(0);
	}
	close(slave);
	close(go[0]);
	close(said[1]);
	t->pidfd = pidfd_open(t->child, 0);
	t->exit = event_new(t->base, t->pidfd, EV_READ, on_exit_seen, t);
	assert_int_equal(event_add(t->exit, NULL), 0);
}

void term_copy(struct term *t)
{
	struct stdio io = STDIO_INIT;
	struct err err = ERR_INIT;

	if (stdio_open(&io, &t->names, &err) != STDIO_READY)
		fail_msg("%s", err.text);
	if (pty_new(&t->pty, t->base, t->master, &io, on_told, t, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(io.fd[0] & io.fd[1] & io.keep[0] & io.keep[1], -1);
}

void term_let_go(struct term *t)
{
	assert_int_equal(write(t->go, "", 1), 1);
}

static void on_said(evutil_socket_t fd, short what, void *arg)
{
	char byte;

	(void)what;
	assert_int_equal(read(fd, &byte, 1), 1);
	*(int *)arg = 1;
}

void term_until_said(struct term *t)
{
	int heard = 0;
	struct event *ev = event_new(t->base, t->said, EV_READ, on_said, &heard);

	assert_int_equal(event_add(ev, NULL), 0);
	loop_until(t->base, &heard);
	event_free(ev);
}

int term_up(void **state)
{
	struct term *t = calloc(1, sizeof(*t));
	const char *tmp = getenv("TMPDIR");

	t->base = event_base_new();
	snprintf(t->dir, sizeof(t->dir), "%s/pty.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(t->dir))
		return -1;
	snprintf(t->in, sizeof(t->in), "%s/in", t->dir);
	snprintf(t->out, sizeof(t->out), "%s/out", t->dir);
	if (mkfifo(t->in, 0700) < 0 || mkfifo(t->out, 0700) < 0)
		return -1;
	t->names = (struct stdio_names){ .name = { t->in, t->out, "" }, .terminal = true };
	t->master = t->go = t->said = t->pidfd = t->reader = t->writer = -1;
	signal(SIGPIPE, SIG_IGN);
	term_attach(t);
	*state = t;
	return 0;
}

int term_down(void **state)
{
	struct term *t = *state;

	if (t->child > 0 && !t->exited) {
		kill(t->child, SIGKILL);
		waitpid(t->child, NULL, 0);
	}
	pty_free(t->pty);
	term_detach(t);
	if (t->exit)
		event_free(t->exit);
	event_base_free(t->base);
	for (int *fd = (int[]){ t->go, t->said, t->pidfd, t->writer, -2 }; *fd != -2; fd++)
		if (*fd >= 0)
			close(*fd);
	unlink(t->in);
	unlink(t->out);
	rmdir(t->dir);
	free(t);
	return 0;
}

void term_ends_well(struct term *t)
{
	loop_until(t->base, &t->drained);
	assert_int_equal(t->drained, 1);
	assert_true(WIFEXITED(t->status));
	assert_int_equal(WEXITSTATUS(t->status), 0);
}
