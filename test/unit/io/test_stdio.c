/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/io/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct place {
	char dir[64];
	char *path[3];
	struct stdio_names names;
};

static int set_up(void **state)
{
	static const char *const names[3] = { "in", "out", "err" };
	struct place *p = calloc(1, sizeof(*p));
	const char *tmp = getenv("TMPDIR");

	snprintf(p->dir, sizeof(p->dir), "%s/stdio.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(p->dir))
		return -1;
	for (int i = 0; i < 3; i++) {
		if (asprintf(&p->path[i], "%s/%s", p->dir, names[i]) < 0)
			return -1;
		p->names.name[i] = p->path[i];
		if (mkfifo(p->path[i], 0700) < 0)
			return -1;
	}
	signal(SIGPIPE, SIG_IGN);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	for (int i = 0; i < 3; i++) {
		unlink(p->path[i]);
		free(p->path[i]);
	}
	rmdir(p->dir);
	free(p);
	return 0;
}

static int reader(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void assert_closed(const struct stdio *s)
{
	for (int i = 0; i < 3; i++) {
		assert_int_equal(s->fd[i], -1);
		assert_int_equal(s->keep[i], -1);
		assert_int_equal(s->path[i], -1);
	}
}

static void outputs_wait_until_both_are_read(void **state)
{
	struct place *p = *state;
	struct stdio s = STDIO_INIT;
	struct err err = ERR_INIT;
	int out, errs;

	assert_int_equal(stdio_open(&s, &p->names, &err), STDIO_WAIT);
	assert_string_equal(stdio_missing(&s, &p->names), p->path[1]);
	out = reader(p->path[1]);
	assert_int_equal(stdio_open(&s, &p->names, &err), STDIO_WAIT);
	assert_string_equal(stdio_missing(&s, &p->names), p->path[2]);
	errs = reader(p->path[2]);
	assert_int_equal(stdio_open(&s, &p->names, &err), STDIO_READY);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fcntl(s.fd[i], F_GETFL) & O_NONBLOCK, 0);
		assert_int_equal(fcntl(s.fd[i], F_GETFD), FD_CLOEXEC);
		assert_int_equal(fcntl(s.keep[i], F_GETFD), FD_CLOEXEC);
		assert_int_equal(s.path[i], -1);
	}
	stdio_close(&s);
	assert_closed(&s);
	close(out);
	close(errs);
}

static void a_client_that_leaves_kills_nobody(void **state)
{
	struct place *p = *state;
	struct stdio s = STDIO_INIT;
	struct err err = ERR_INIT;
	int out = reader(p->path[1]), errs = reader(p->path[2]);
	char got[8];

	assert_int_equal(stdio_open(&s, &p->names, &err), STDIO_READY);
	close(out);
	assert_int_equal(write(s.fd[1], "late", 4), 4);
	out = reader(p->path[1]); /* attaches again */
	assert_int_equal(read(out, got, sizeof(got)), 4);
	stdio_given(&s);
	assert_int_equal(read(out, got, sizeof(got)), 0); /* all writers are gone */
	stdio_close(&s);
	close(out);
	close(errs);
}

static void stdin_ends_only_after_close_io_and_the_last_client(void **state)
{
	struct place *p = *state;
	struct stdio s = STDIO_INIT;
	struct err err = ERR_INIT;
	int out = reader(p->path[1]), errs = reader(p->path[2]), client;
	char got[8];

	assert_int_equal(stdio_open(&s, &p->names, &err), STDIO_READY);
	client = open(p->path[0], O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(write(client, "hi", 2), 2);
	assert_int_equal(read(s.fd[0], got, sizeof(got)), 2);
	assert_int_equal(fcntl(s.fd[0], F_SETFL, O_NONBLOCK), 0);
	close(client);
	assert_int_equal(read(s.fd[0], got, sizeof(got)), -1);
	assert_int_equal(errno, EAGAIN);
	stdio_close_in(&s);
	stdio_close_in(&s);
	assert_int_equal(read(s.fd[0], got, sizeof(got)), 0);
	stdio_close(&s);
	close(out);
	close(errs);
}

static void no_name_is_dev_null_in_both_directions(void **state)
{
	struct stdio_names names = { .name = { "", "", "" } };
	struct stdio s = STDIO_INIT;
	struct err err = ERR_INIT;
	char got[8];

	(void)state;
	assert_int_equal(stdio_open(&s, &names, &err), STDIO_READY);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fcntl(s.fd[i], F_GETFL) & O_ACCMODE, O_RDWR);
		assert_int_equal(write(s.fd[i], "x", 1), 1);
		assert_int_equal(read(s.fd[i], got, sizeof(got)), 0);
	}
	stdio_close(&s);
	assert_closed(&s);
}

static void a_file_is_appended_to(void **state)
{
	struct place *p = *state;
	struct stdio_names names = { .name = { "", p->path[1], "" } };
	struct stdio s = STDIO_INIT;
	struct err err = ERR_INIT;
	struct stat st;

	unlink(p->path[1]);
	assert_int_equal(stdio_open(&s, &names, &err), -ENOENT);
	assert_closed(&s);
	close(open(p->path[1], O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(stdio_open(&s, &names, &err), STDIO_READY);
		assert_int_equal(write(s.fd[1], "line\n", 5), 5);
		stdio_close(&s);
	}
	assert_int_equal(stat(p->path[1], &st), 0);
	assert_int_equal(st.st_size, 10);
}

static void a_file_uri_makes_the_file_for_both_outputs(void **state)
{
	struct place *p = *state;
	char uri[128], dir[128], path[160];
	struct stdio_names names = { .name = { "", uri, "" } };
	struct stdio s = STDIO_INIT;
	struct err err = ERR_INIT;
	struct stat st;

	snprintf(uri, sizeof(uri), "file://%s/a%%20b/log?x=y", p->dir);
	snprintf(dir, sizeof(dir), "%s/a b", p->dir);
	snprintf(path, sizeof(path), "%s/log", dir);
	assert_int_equal(stdio_open(&s, &names, &err), STDIO_READY);
	assert_int_equal(write(s.fd[1], "1", 1), 1);
	assert_int_equal(write(s.fd[2], "2", 1), 1);
	stdio_close(&s);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 2);
	unlink(path);
	rmdir(dir);
	names.name[1] = "file://relative";
	assert_int_equal(stdio_open(&s, &names, &err), -EINVAL);
	assert_closed(&s);
}

static void an_unknown_scheme_is_refused_by_name(void **state)
{
	struct stdio_names names = { .name = { "", "ttrpc+unix:///x?streaming_id=1", "" } };
	struct stdio s = STDIO_INIT;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(stdio_open(&s, &names, &err), -EINVAL);
	assert_string_equal(err.text, "unknown STDIO scheme ttrpc+unix");
	assert_closed(&s);
}

static void a_terminal_has_no_stderr_and_reads_a_fifo(void **state)
{
	struct place *p = *state;
	struct stdio s = STDIO_INIT;
	struct err err = ERR_INIT;
	int out;

	p->names.terminal = true;
	assert_int_equal(stdio_open(&s, &p->names, &err), STDIO_WAIT);
	assert_string_equal(stdio_missing(&s, &p->names), p->path[1]);
	out = reader(p->path[1]);
	assert_int_equal(stdio_open(&s, &p->names, &err), STDIO_READY);
	assert_int_equal(s.fd[2] & s.keep[2] & s.path[2], -1);
	stdio_close(&s);
	close(out);
	p->names.name[0] = "/dev/zero";
	assert_int_equal(stdio_open(&s, &p->names, &err), -EINVAL);
	assert_non_null(strstr(err.text, "/dev/zero of a terminal is not a FIFO"));
	assert_closed(&s);
}

static void the_outputs_of_a_logging_binary_are_left_to_it(void **state)
{
	struct place *p = *state;
	struct stdio s = STDIO_INIT;
	struct err err = ERR_INIT;

	assert_false(stdio_wants_logger(&p->names));
	for (int i = 0; i < 2; i++) {
		p->names.name[1] = i ? "binary-v2:///bin/x" : "binary:///bin/x?a=b";
		assert_true(stdio_wants_logger(&p->names));
		assert_int_equal(stdio_open(&s, &p->names, &err), STDIO_READY);
		assert_true(s.fd[0] >= 0 && s.keep[0] >= 0);
		assert_int_equal(s.fd[1] & s.fd[2] & s.keep[1] & s.keep[2], -1);
		stdio_close(&s);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(outputs_wait_until_both_are_read),
		TEST(a_client_that_leaves_kills_nobody),
		TEST(stdin_ends_only_after_close_io_and_the_last_client),
		TEST(no_name_is_dev_null_in_both_directions),
		TEST(a_file_is_appended_to),
		TEST(a_file_uri_makes_the_file_for_both_outputs),
		TEST(an_unknown_scheme_is_refused_by_name),
		TEST(a_terminal_has_no_stderr_and_reads_a_fifo),
		TEST(the_outputs_of_a_logging_binary_are_left_to_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
