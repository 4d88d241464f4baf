/* SPDX-License-Identifier: Apache-2.0 */
/* The other direction, and what is not copied: size, hang-up, a closed terminal. */
#include "supervisor/io/pty.h"
#include "test/lib/loop.h"
#include "test/lib/node_rig.h"
#include "test/lib/term_rig.h"

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
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- input --------------------------------------------------------------------------- */

static void echoes_a_line(struct term *t)
{
	char line[64];
	ssize_t n = read(0, line, sizeof(line) - 1);

	(void)t;
	line[n > 0 ? n : 0] = '\0';
	child_put("got ");
	child_put(line);
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

	term_begin(t, echoes_a_line);
	term_copy(t);
	term_reads(t);
	close(client_of(t));
	assert_in_range(loop_for(t->base, 50), 1, 5);
	assert_int_equal(t->exited, 0);
	t->writer = client_of(t);
	assert_int_equal(write(t->writer, "hello\n", 6), 6);
	loop_until(t->base, &t->eof);
	term_ends_well(t);
	assert_string_equal(t->first, "hello\r\ngot hello\r\n");
	/* Closed, though the client still has it open. */
	assert_int_equal(write(t->writer, "x", 1), -1);
	assert_int_equal(errno, EPIPE);
}

static void waits_for_ever(struct term *t)
{
	child_say(t);
	for (;;)
		pause();
}

static void the_end_of_stdin_after_close_io_hangs_the_terminal_up(void **state)
{
	struct term *t = *state;

	term_begin(t, waits_for_ever);
	term_copy(t);
	term_reads(t);
	t->writer = client_of(t);
	term_until_said(t);
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

	child_raw();
	child_say(t);
	child_wait(t);
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

	term_begin(t, reads_late);
	term_until_said(t);
	term_copy(t);
	term_reads(t);
	t->writer = client_of(t);
	s.ev = event_new(t->base, t->writer, EV_WRITE | EV_PERSIST, on_writable, &s);
	event_add(s.ev, NULL);
	loop_for(t->base, 100);
	assert_in_range(s.left, 1, MEGA);
	assert_in_range(loop_for(t->base, 200), 1, 3);
	term_let_go(t);
	term_ends_well(t);
	assert_int_equal(s.left, 0);
	event_free(s.ev);
}

/* ---- a terminal that nobody has open ------------------------------------------------------ */

static void closes_its_terminal(struct term *t)
{
	int fd;

	close(0);
	close(1);
	close(2);
	child_say(t);
	child_wait(t);
	fd = open("/dev/tty", O_RDWR);
	if (fd != 0 || dup(0) != 1)
		_exit(97);
	child_put("again\n");
	child_wait(t);
}

static void a_process_may_close_its_terminal_and_open_it_again(void **state)
{
	struct term *t = *state;
	int turns;

	term_begin(t, closes_its_terminal);
	term_copy(t);
	term_reads(t);
	term_until_said(t);
	loop_for(t->base, 50); /* so that it is seen */
	turns = loop_for(t->base, 200);
	assert_in_range(turns, 1, 3);
	assert_int_equal(t->drained + t->eof, 0);
	term_let_go(t);
	term_until_read(t, "\n");
	assert_string_equal(t->first, "again\r\n");
	term_let_go(t);
	term_ends_well(t);
}

static void input_for_a_closed_terminal_waits_without_turning(void **state)
{
	struct term *t = *state;

	term_begin(t, closes_its_terminal);
	term_copy(t);
	term_reads(t);
	term_until_said(t);
	t->writer = client_of(t);
	assert_int_equal(write(t->writer, "typed\n", 6), 6);
	loop_for(t->base, 50);
	assert_in_range(loop_for(t->base, 400), 1, 8);
	term_let_go(t);
	term_until_read(t, "again");
	term_until_read(t, "typed");
	term_let_go(t);
	term_ends_well(t);
}

/* ---- the rest -------------------------------------------------------------------------- */

static void shows_its_size(struct term *t)
{
	struct winsize size;
	char text[32];

	child_wait(t);
	if (ioctl(0, TIOCGWINSZ, &size) < 0)
		_exit(99);
	snprintf(text, sizeof(text), "%d %d\n", size.ws_row, size.ws_col);
	child_put(text);
}

static void a_terminal_is_resized_before_the_process_looks_and_not_after_its_end(void **state)
{
	struct term *t = *state;

	term_begin(t, shows_its_size);
	term_copy(t);
	term_reads(t);
	assert_int_equal(pty_resize(t->pty, 12, 34, NULL), 0);
	term_let_go(t);
	loop_until(t->base, &t->eof);
	term_ends_well(t);
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
		term_copy(t);
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
#define TEST(f) cmocka_unit_test_setup_teardown(f, term_up, term_down)
	const struct CMUnitTest tests[] = {
		TEST(stdin_reaches_the_process_whoever_came_and_left_before),
		TEST(the_end_of_stdin_after_close_io_hangs_the_terminal_up),
		TEST(a_process_that_reads_late_gets_a_megabyte_of_input),
		TEST(a_process_may_close_its_terminal_and_open_it_again),
		TEST(input_for_a_closed_terminal_waits_without_turning),
		TEST(a_terminal_is_resized_before_the_process_looks_and_not_after_its_end),
		TEST(a_thousand_terminals_leave_no_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
