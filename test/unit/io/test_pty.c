/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real terminal with a process on it, and a client's FIFOs.
 */
#include "supervisor/io/pty.h"
#include "test/lib/loop.h"
#include "test/lib/node_rig.h"

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
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#include <cmocka.h>

#define MEGA (1024 * 1024)

struct term {
	struct event_base *base;
	char dir[64], in[80], out[80];
	struct stdio_names names;
	struct pty *pty;
	int master;
	pid_t child;
	int go, said;        /* to and from the child              */
	int child_go, child_said;
	int pidfd, status;
	struct event *exit;
	int exited, drained, lost;
	/* the client */
	int reader, writer;
	struct event *read;
	size_t bytes;
	uint32_t sum;
	int eof;
	char first[256];     /* the beginning of what it read */
	const char *want;    /* in that; then */
	int found;
};

/* ---- the process on the terminal ------------------------------------------------ */

static void wait_go(struct term *t)
{
	char byte;

	if (read(t->child_go, &byte, 1) != 1)
		_exit(90);
}

static void say(struct term *t)
{
	if (write(t->child_said, "", 1) != 1)
		_exit(91);
}

static void put(const char *text)
{
	if (write(1, text, strlen(text)) != (ssize_t)strlen(text))
		_exit(92);
}

static uint32_t add(uint32_t sum, const unsigned char *data, size_t n)
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

static uint32_t sum_of(size_t total)
{
	unsigned char buf[8192];
	uint32_t sum = 0;

	for (size_t done = 0; done < total; done += sizeof(buf)) {
		fill(buf, sizeof(buf), done);
		sum = add(sum, buf, sizeof(buf));
	}
	return sum;
}

static void put_many(size_t total)
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

static void raw(void)
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
	t->sum = add(t->sum, buf, (size_t)n);
}

static void attach(struct term *t)
{
	t->reader = open(t->out, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(t->reader >= 0);
	t->read = event_new(t->base, t->reader, EV_READ | EV_PERSIST, on_output, t);
	t->bytes = t->sum = 0;
	memset(t->first, 0, sizeof(t->first));
	t->eof = 0;
}

/* Read, from now on. */
static void reads(struct term *t)
{
	assert_int_equal(event_add(t->read, NULL), 0);
}

static void until_read(struct term *t, const char *text)
{
	t->want = text;
	t->found = strstr(t->first, text) != NULL;
	loop_until(t->base, &t->found);
}

static void detach(struct term *t)
{
	if (t->read)
		event_free(t->read);
	if (t->reader >= 0)
		close(t->reader);
	t->read = NULL;
	t->reader = -1;
}

/* A process that runs @life on a terminal of its own; copying has not begun. */
static void begin(struct term *t, void (*life)(struct term *))
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

static void copy(struct term *t)
{
	struct stdio io = STDIO_INIT;
	struct err err = ERR_INIT;

	if (stdio_open(&io, &t->names, &err) != STDIO_READY)
		fail_msg("%s", err.text);
	if (pty_new(&t->pty, t->base, t->master, &io, on_told, t, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(io.fd[0] & io.fd[1] & io.keep[0] & io.keep[1], -1);
}

static void let_go(struct term *t)
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

static void until_said(struct term *t)
{
	int heard = 0;
	struct event *ev = event_new(t->base, t->said, EV_READ, on_said, &heard);

	assert_int_equal(event_add(ev, NULL), 0);
	loop_until(t->base, &heard);
	event_free(ev);
}

static int set_up(void **state)
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
	attach(t);
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct term *t = *state;

	if (t->child > 0 && !t->exited) {
		kill(t->child, SIGKILL);
		waitpid(t->child, NULL, 0);
	}
	pty_free(t->pty);
	detach(t);
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

static void assert_ends_well(struct term *t)
{
	loop_until(t->base, &t->drained);
	assert_int_equal(t->drained, 1);
	assert_true(WIFEXITED(t->status));
	assert_int_equal(WEXITSTATUS(t->status), 0);
}

/* ---- output ------------------------------------------------------------------------- */

static void ten_megabytes(struct term *t)
{
	(void)t;
	raw();
	put_many(10 * MEGA);
}

static void ten_megabytes_arrive_whole_though_the_process_exits_at_once(void **state)
{
	struct term *t = *state;
	struct timespec a, b;
	double s;

	begin(t, ten_megabytes);
	copy(t);
	reads(t);
	clock_gettime(CLOCK_MONOTONIC, &a);
	loop_until(t->base, &t->eof);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_ends_well(t);
	assert_int_equal(t->bytes, 10 * MEGA);
	assert_int_equal(t->sum, sum_of(10 * MEGA));
	s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	print_message("# %.0f MB/s through a terminal\n", 10 / s);
}

static void one_megabyte(struct term *t)
{
	(void)t;
	raw();
	put_many(MEGA);
}

static void a_client_that_does_not_read_stops_the_process_and_costs_nothing(void **state)
{
	struct term *t = *state;

	begin(t, one_megabyte);
	copy(t);
	loop_for(t->base, 200); /* until everything is full */
	assert_int_equal(t->exited, 0);
	assert_in_range(loop_for(t->base, 200), 1, 3);
	reads(t);
	loop_until(t->base, &t->eof);
	assert_ends_well(t);
	assert_int_equal(t->bytes, MEGA);
	assert_int_equal(t->sum, sum_of(MEGA));
}

static void a_reader_in_small_bites_gets_all(void **state)
{
	struct term *t = *state;
	char bite[100];
	size_t got = 0;
	ssize_t n;

	begin(t, one_megabyte);
	copy(t);
	while ((n = read(t->reader, bite, sizeof(bite))) != 0 && !t->eof) {
		if (n > 0) {
			t->sum = add(t->sum, (unsigned char *)bite, (size_t)n);
			got += (size_t)n;
		}
		event_base_loop(t->base, EVLOOP_NONBLOCK);
	}
	assert_ends_well(t);
	assert_int_equal(got, MEGA);
	assert_int_equal(t->sum, sum_of(MEGA));
}

static void talks_twice(struct term *t)
{
	put("first\n");
	wait_go(t);
	put("late\n");
}

static void what_is_written_while_the_client_is_away_waits_for_it(void **state)
{
	struct term *t = *state;

	begin(t, talks_twice);
	copy(t);
	reads(t);
	until_read(t, "\n");
	assert_string_equal(t->first, "first\r\n");
	detach(t);
	let_go(t);
	assert_ends_well(t);
	attach(t); /* even after the end, until Delete */
	assert_int_equal(read(t->reader, t->first, sizeof(t->first)), 6);
	assert_string_equal(t->first, "late\r\n");
	assert_int_equal(read(t->reader, t->first, sizeof(t->first)), 0);
}

static void a_terminal_without_stdout_is_discarded(void **state)
{
	struct term *t = *state;

	t->names.name[0] = t->names.name[1] = "";
	begin(t, one_megabyte);
	copy(t);
	assert_ends_well(t);
}

static void output_that_can_not_be_written_is_told_once_and_stops_nobody(void **state)
{
	struct term *t = *state;

	t->names.name[1] = "/dev/full";
	begin(t, one_megabyte);
	copy(t);
	assert_ends_well(t);
	assert_int_equal(t->lost, 1);
}

static void a_file_takes_the_output_of_a_terminal_too(void **state)
{
	struct term *t = *state;
	char uri[128], log[96];
	struct stat st;

	snprintf(log, sizeof(log), "%s/log", t->dir);
	snprintf(uri, sizeof(uri), "file://%s", log);
	t->names.name[1] = uri;
	begin(t, one_megabyte);
	copy(t);
	assert_ends_well(t);
	assert_int_equal(stat(log, &st), 0);
	assert_int_equal(st.st_size, MEGA);
	unlink(log);
}

static void leaves_a_child(struct term *t)
{
	signal(SIGHUP, SIG_IGN);
	if (fork() == 0) {
		wait_go(t); /* it holds the terminal until the test ends */
		_exit(0);
	}
	put("bye\n");
}

static void a_background_process_does_not_keep_the_client_waiting(void **state)
{
	struct term *t = *state;

	begin(t, leaves_a_child);
	copy(t);
	reads(t);
	loop_until(t->base, &t->eof);
	assert_ends_well(t);
	assert_string_equal(t->first, "bye\r\n");
}

static void closes_its_terminal(struct term *t)
{
	int fd;

	close(0);
	close(1);
	close(2);
	say(t);
	wait_go(t);
	fd = open("/dev/tty", O_RDWR);
	if (fd != 0 || dup(0) != 1)
		_exit(97);
	put("again\n");
	wait_go(t);
}

static void a_process_may_close_its_terminal_and_open_it_again(void **state)
{
	struct term *t = *state;
	int turns;

	begin(t, closes_its_terminal);
	copy(t);
	reads(t);
	until_said(t);
	loop_for(t->base, 50); /* so that it is seen */
	turns = loop_for(t->base, 200);
	assert_in_range(turns, 1, 3);
	assert_int_equal(t->drained + t->eof, 0);
	let_go(t);
	until_read(t, "\n");
	assert_string_equal(t->first, "again\r\n");
	let_go(t);
	assert_ends_well(t);
}

/* ---- input --------------------------------------------------------------------------- */

static void echoes_a_line(struct term *t)
{
	char line[64];
	ssize_t n = read(0, line, sizeof(line) - 1);

	(void)t;
	line[n > 0 ? n : 0] = '\0';
	put("got ");
	put(line);
}

static int client_of(struct term *t)
{
	int fd = open(t->in, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void stdin_reaches_the_process_whoever_came_and_left_before(void **state)
{
	struct term *t = *state;

	begin(t, echoes_a_line);
	copy(t);
	reads(t);
	close(client_of(t));
	assert_in_range(loop_for(t->base, 50), 1, 5);
	assert_int_equal(t->exited, 0);
	t->writer = client_of(t);
	assert_int_equal(write(t->writer, "hello\n", 6), 6);
	loop_until(t->base, &t->eof);
	assert_ends_well(t);
	assert_string_equal(t->first, "hello\r\ngot hello\r\n");
	/* Closed, though the client still has it open. */
	assert_int_equal(write(t->writer, "x", 1), -1);
	assert_int_equal(errno, EPIPE);
}

static void waits_for_ever(struct term *t)
{
	say(t);
	for (;;)
		pause();
}

static void the_end_of_stdin_after_close_io_hangs_the_terminal_up(void **state)
{
	struct term *t = *state;

	begin(t, waits_for_ever);
	copy(t);
	reads(t);
	t->writer = client_of(t);
	until_said(t);
	pty_close_in(t->pty);
	pty_close_in(t->pty);
	loop_for(t->base, 50);
	assert_int_equal(t->exited, 0); /* a client is there */
	close(t->writer);
	t->writer = -1;
	loop_until(t->base, &t->drained);
	assert_int_equal(t->eof, 1);
	assert_true(WIFSIGNALED(t->status));
	assert_int_equal(WTERMSIG(t->status), SIGHUP);
}

static void reads_late(struct term *t)
{
	char buf[4096];
	size_t total = 0;

	raw();
	say(t);
	wait_go(t);
	while (total < MEGA) {
		ssize_t n = read(0, buf, sizeof(buf));

		if (n <= 0)
			_exit(98);
		total += (size_t)n;
	}
}

struct source {
	struct event *ev;
	size_t left;
};

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct source *s = arg;
	char zeros[4096] = { 0 };
	ssize_t n = write(fd, zeros, s->left < sizeof(zeros) ? s->left : sizeof(zeros));

	(void)what;
	s->left -= n > 0 ? (size_t)n : 0;
	if (s->left == 0)
		event_del(s->ev);
}

static void a_process_that_reads_late_gets_a_megabyte_of_input(void **state)
{
	struct term *t = *state;
	struct source s = { .left = MEGA };

	begin(t, reads_late);
	until_said(t);
	copy(t);
	reads(t);
	t->writer = client_of(t);
	s.ev = event_new(t->base, t->writer, EV_WRITE | EV_PERSIST, on_writable, &s);
	event_add(s.ev, NULL);
	loop_for(t->base, 100);
	assert_in_range(s.left, 1, MEGA);
	assert_in_range(loop_for(t->base, 200), 1, 3);
	let_go(t);
	assert_ends_well(t);
	assert_int_equal(s.left, 0);
	event_free(s.ev);
}

static void input_for_a_closed_terminal_waits_without_turning(void **state)
{
	struct term *t = *state;

	begin(t, closes_its_terminal);
	copy(t);
	reads(t);
	until_said(t);
	t->writer = client_of(t);
	assert_int_equal(write(t->writer, "typed\n", 6), 6);
	loop_for(t->base, 50);
	assert_in_range(loop_for(t->base, 400), 1, 8);
	let_go(t);
	until_read(t, "again");
	until_read(t, "typed");
	let_go(t);
	assert_ends_well(t);
}

/* ---- the rest -------------------------------------------------------------------------- */

static void shows_its_size(struct term *t)
{
	struct winsize size;
	char text[32];

	wait_go(t);
	if (ioctl(0, TIOCGWINSZ, &size) < 0)
		_exit(99);
	snprintf(text, sizeof(text), "%d %d\n", size.ws_row, size.ws_col);
	put(text);
}

static void a_terminal_is_resized_before_the_process_looks_and_not_after_its_end(void **state)
{
	struct term *t = *state;

	begin(t, shows_its_size);
	copy(t);
	reads(t);
	assert_int_equal(pty_resize(t->pty, 12, 34, NULL), 0);
	let_go(t);
	loop_until(t->base, &t->eof);
	assert_ends_well(t);
	assert_string_equal(t->first, "34 12\r\n");
	assert_int_equal(pty_resize(t->pty, 80, 25, NULL), 0);
}

static void a_thousand_terminals_leave_no_descriptor(void **state)
{
	struct term *t = *state;
	int before = node_rig_descriptors();
	int slave;

	for (int i = 0; i < 1000; i++) {
		assert_int_equal(openpty(&t->master, &slave, NULL, NULL, NULL), 0);
		copy(t);
		if (i % 2) {
			pty_close_in(t->pty);
			assert_int_equal(write(slave, "x", 1), 1);
			event_base_loop(t->base, EVLOOP_NONBLOCK);
		} else if (i % 4) {
			t->drained = 0;
			pty_exited(t->pty);
			loop_until(t->base, &t->drained);
		}
		t->pty = pty_free(t->pty);
		close(slave);
	}
	assert_int_equal(node_rig_descriptors(), before);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(ten_megabytes_arrive_whole_though_the_process_exits_at_once),
		TEST(a_client_that_does_not_read_stops_the_process_and_costs_nothing),
		TEST(a_reader_in_small_bites_gets_all),
		TEST(what_is_written_while_the_client_is_away_waits_for_it),
		TEST(a_terminal_without_stdout_is_discarded),
		TEST(output_that_can_not_be_written_is_told_once_and_stops_nobody),
		TEST(a_file_takes_the_output_of_a_terminal_too),
		TEST(a_background_process_does_not_keep_the_client_waiting),
		TEST(a_process_may_close_its_terminal_and_open_it_again),
		TEST(stdin_reaches_the_process_whoever_came_and_left_before),
		TEST(the_end_of_stdin_after_close_io_hangs_the_terminal_up),
		TEST(a_process_that_reads_late_gets_a_megabyte_of_input),
		TEST(input_for_a_closed_terminal_waits_without_turning),
		TEST(a_terminal_is_resized_before_the_process_looks_and_not_after_its_end),
		TEST(a_thousand_terminals_leave_no_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
