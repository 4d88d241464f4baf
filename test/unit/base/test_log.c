/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pipe {
	int fd[2];
	struct log log;
	char text[70000];
};

static int setup(void **state)
{
	struct pipe *p = calloc(1, sizeof(*p));

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe2(p->fd, O_CLOEXEC), 0);
	p->log = (struct log){ .fd = p->fd[1], .level = LOG_INFO };
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pipe *p = *state;

	close(p->fd[0]);
	close(p->fd[1]);
	free(p);
	return 0;
}

/* What was logged so far. The read end is ours alone, so it may be non-blocking. */
static const char *logged(struct pipe *p)
{
	ssize_t n;

	fcntl(p->fd[0], F_SETFL, O_NONBLOCK);
	n = read(p->fd[0], p->text, sizeof(p->text) - 1);
	p->text[n > 0 ? n : 0] = '\0';
	return p->text;
}

static void an_event_is_one_line(void **state)
{
	struct pipe *p = *state;
	const char *at;

	log_line(&p->log, LOG_WARNING, "it went wrong", "task", "default/c1", "why", "no such file",
		 "none", NULL, "empty", "", NULL);
	at = logged(p);
	assert_memory_equal(at, "time=\"2", 7);
	at = strchr(at + 6, ' ');
	assert_non_null(at);
	assert_string_equal(at, " level=warning msg=\"it went wrong\" task=default/c1 "
				"why=\"no such file\" empty=\"\"\n");
}

static void what_is_in_a_value_does_not_break_the_line(void **state)
{
	struct pipe *p = *state;

	log_line(&p->log, LOG_INFO, "m\"\n", "k", "a\\b\nc\td\x7f", NULL);
	assert_non_null(strstr(logged(p), "msg=\"m\\\"\\n\" k=\"a\\\\b\\nc\\x09d\\x7f\"\n"));
	assert_int_equal(strcspn(p->text, "\n"), strlen(p->text) - 1);
}

static void what_is_below_the_level_is_not_written(void **state)
{
	struct pipe *p = *state;
	const struct log none = { .fd = -1 };

	log_line(&p->log, LOG_DEBUG, "quiet", NULL);
	log_line(&none, LOG_ERROR, "nowhere", NULL);
	assert_string_equal(logged(p), "");
	p->log.level = LOG_DEBUG;
	log_line(&p->log, LOG_DEBUG, "loud", NULL);
	assert_non_null(strstr(logged(p), "level=debug msg=\"loud\"\n"));
}

static void a_long_line_loses_its_tail_and_stays_a_line(void **state)
{
	struct pipe *p = *state;
	char big[10000];

	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	log_line(&p->log, LOG_INFO, "m", "k", big, "l", "lost", NULL);
	assert_int_equal(strlen(logged(p)), LOG_LINE_MAX);
	assert_int_equal(p->text[LOG_LINE_MAX - 1], '\n');
}

static void a_full_pipe_holds_nobody_up(void **state)
{
	struct pipe *p = *state;
	int lines = 0;

	for (int i = 0; i < 10000; i++)
		log_line(&p->log, LOG_INFO, "again and again", NULL);
	for (const char *at = logged(p); (at = strchr(at, '\n')); at++)
		lines++;
	assert_in_range(lines, 100, 9999);
}

static void a_reader_that_left_ends_nobody(void **state)
{
	struct pipe *p = *state;

	close(p->fd[0]);
	errno = 4711;
	log_line(&p->log, LOG_ERROR, "to nobody", NULL);
	assert_int_equal(errno, 4711);
	p->fd[0] = -1;
}

/* poll(2) then has an error to tell, and no room. */
static void a_full_pipe_whose_reader_left_is_not_written(void **state)
{
	struct pipe *p = *state;
	char line[4096] = "";

	fcntl(p->fd[1], F_SETFL, O_NONBLOCK);
	while (write(p->fd[1], line, sizeof(line)) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	fcntl(p->fd[1], F_SETFL, 0);
	a_reader_that_left_ends_nobody(state);
}

static void levels_have_names(void **state)
{
	enum log_level l = LOG_INFO;

	(void)state;
	assert_int_equal(log_level_parse("error", &l), 0);
	assert_int_equal(l, LOG_ERROR);
	assert_int_equal(log_level_parse("warn", &l), 0);
	assert_int_equal(l, LOG_WARNING);
	assert_int_equal(log_level_parse("Debug", &l), -EINVAL);
	assert_int_equal(l, LOG_WARNING);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(an_event_is_one_line),
		T(what_is_in_a_value_does_not_break_the_line),
		T(what_is_below_the_level_is_not_written),
		T(a_long_line_loses_its_tail_and_stays_a_line),
		T(a_full_pipe_holds_nobody_up),
		T(a_reader_that_left_ends_nobody),
		T(a_full_pipe_whose_reader_left_is_not_written),
		cmocka_unit_test(levels_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
