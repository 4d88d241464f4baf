/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/io/pty.h"
#include "test/lib/loop.h"
#include "test/lib/term_rig.h"

#include <event2/event.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- output ------------------------------------------------------------------------- */

static void ten_megabytes(struct term *t)
{
	(void)t;
	child_raw();
	child_put_many(10 * MEGA);
}

static void ten_megabytes_arrive_whole_though_the_process_exits_at_once(void **state)
{
	struct term *t = *state;
	struct timespec a, b;
	double s;

	term_begin(t, ten_megabytes);
	term_copy(t);
	term_reads(t);
	clock_gettime(CLOCK_MONOTONIC, &a);
	loop_until(t->base, &t->eof);
	clock_gettime(CLOCK_MONOTONIC, &b);
	term_ends_well(t);
	assert_int_equal(t->bytes, 10 * MEGA);
	assert_int_equal(t->sum, term_sum_of(10 * MEGA));
	s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	print_message("# %.0f MB/s through a terminal\n", 10 / s);
}

static void one_megabyte(struct term *t)
{
	(void)t;
	child_raw();
	child_put_many(MEGA);
}

static void a_client_that_does_not_read_stops_the_process_and_costs_nothing(void **state)
{
	struct term *t = *state;

	term_begin(t, one_megabyte);
	term_copy(t);
	loop_for(t->base, 200); /* until everything is full */
	assert_int_equal(t->exited, 0);
	assert_in_range(loop_for(t->base, 200), 1, 3);
	term_reads(t);
	loop_until(t->base, &t->eof);
	term_ends_well(t);
	assert_int_equal(t->bytes, MEGA);
	assert_int_equal(t->sum, term_sum_of(MEGA));
}

static void a_reader_in_small_bites_gets_all(void **state)
{
	struct term *t = *state;
	char bite[100];
	size_t got = 0;
	ssize_t n;

	term_begin(t, one_megabyte);
	term_copy(t);
	while ((n = read(t->reader, bite, sizeof(bite))) != 0 && !t->eof) {
		if (n > 0) {
			t->sum = term_add(t->sum, (unsigned char *)bite, (size_t)n);
			got += (size_t)n;
		}
		event_base_loop(t->base, EVLOOP_NONBLOCK);
	}
	term_ends_well(t);
	assert_int_equal(got, MEGA);
	assert_int_equal(t->sum, term_sum_of(MEGA));
}

static void talks_twice(struct term *t)
{
	child_put("first\n");
	child_wait(t);
	child_put("late\n");
}

static void what_is_written_while_the_client_is_away_waits_for_it(void **state)
{
	struct term *t = *state;

	term_begin(t, talks_twice);
	term_copy(t);
	term_reads(t);
	term_until_read(t, "\n");
	assert_string_equal(t->first, "first\r\n");
	term_detach(t);
	term_let_go(t);
	term_ends_well(t);
	term_attach(t); /* even after the end, until Delete */
	assert_int_equal(read(t->reader, t->first, sizeof(t->first)), 6);
	assert_string_equal(t->first, "late\r\n");
	assert_int_equal(read(t->reader, t->first, sizeof(t->first)), 0);
}

static void a_terminal_without_stdout_is_discarded(void **state)
{
	struct term *t = *state;

	t->names.name[0] = t->names.name[1] = "";
	term_begin(t, one_megabyte);
	term_copy(t);
	term_ends_well(t);
}

static void output_that_can_not_be_written_is_told_once_and_stops_nobody(void **state)
{
	struct term *t = *state;

	t->names.name[1] = "/dev/full";
	term_begin(t, one_megabyte);
	term_copy(t);
	term_ends_well(t);
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
	term_begin(t, one_megabyte);
	term_copy(t);
	term_ends_well(t);
	assert_int_equal(stat(log, &st), 0);
	assert_int_equal(st.st_size, MEGA);
	unlink(log);
}

static void leaves_a_child(struct term *t)
{
	signal(SIGHUP, SIG_IGN);
	if (fork() == 0) {
		child_wait(t); /* it holds the terminal until the test ends */
		_exit(0);
	}
	child_put("bye\n");
}

static void a_background_process_does_not_keep_the_client_waiting(void **state)
{
	struct term *t = *state;

	term_begin(t, leaves_a_child);
	term_copy(t);
	term_reads(t);
	loop_until(t->base, &t->eof);
	term_ends_well(t);
	assert_string_equal(t->first, "bye\r\n");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, term_up, term_down)
	const struct CMUnitTest tests[] = {
		TEST(ten_megabytes_arrive_whole_though_the_process_exits_at_once),
		TEST(a_client_that_does_not_read_stops_the_process_and_costs_nothing),
		TEST(a_reader_in_small_bites_gets_all),
		TEST(what_is_written_while_the_client_is_away_waits_for_it),
		TEST(a_terminal_without_stdout_is_discarded),
		TEST(output_that_can_not_be_written_is_told_once_and_stops_nobody),
		TEST(a_file_takes_the_output_of_a_terminal_too),
		TEST(a_background_process_does_not_keep_the_client_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
