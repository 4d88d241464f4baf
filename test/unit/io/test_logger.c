/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging binaries, as small scripts that do well, or badly in all the ways there are.
 */
#include "supervisor/io/logger.h"
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
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SAYS_READY "printf x >&5; exec 5>&-; "
#define CLOSES     "exec 5>&-; "
#define WAITS      "exec /bin/sleep 1000"
#define COPIES     "/bin/cat <&4 >\"$2.err\"; /bin/cat <&3 >\"$2.out\""

struct rig {
	struct node_rig *node;
	struct event_base *base;
	struct logger *logger;
	struct ident child;
	char uri[256], log[128];
	int io[3];
	int ready, failed, died, ended, any;
	struct err why;
};

static void on_told(void *arg, enum logger_told what, const struct err *why)
{
	struct rig *r = arg;

	r->any = 1;
	r->ready += what == LOGGER_READY;
	r->failed += what == LOGGER_FAILED;
	r->died += what == LOGGER_DIED;
	r->ended += what == LOGGER_ENDED;
	assert_true(!why == (what == LOGGER_READY || what == LOGGER_ENDED));
	if (why)
		r->why = *why;
}

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	void *node = NULL;

	if (node_rig_up(&node) < 0)
		return -1;
	r->node = node;
	r->base = event_base_new();
	r->io[0] = r->io[1] = r->io[2] = -1;
	snprintf(r->log, sizeof(r->log), "%s/log", r->node->dir);
	signal(SIGPIPE, SIG_IGN);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *r = *state;
	void *node = r->node;

	if (r->logger && !r->ended) {
		logger_end(r->logger);
		loop_until(r->base, &r->ended);
	}
	logger_free(r->logger);
	for (int i = 1; i < 3; i++)
		if (r->io[i] >= 0)
			close(r->io[i]);
	event_base_free(r->base);
	free(r);
	return node_rig_down(&node);
}

static void write_script(struct rig *r, const char *first, const char *script)
{
	const char *path = node_rig_path(r->node, "logger");
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fprintf(f, "%s\n%s\n", first, script);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0700), 0);
}

static int spawn(struct rig *r, const char *scheme, int ready_ms, struct err *err)
{
	struct logger_options o = { .base = r->base, .node = r->node->n, .uri = r->uri,
				    .id = "c1", .ns = "k8s.io", .ready_ms = ready_ms,
				    .end_ms = 200, .uid = 1234, .gid = 5678,
				    .told = on_told, .arg = r };

	snprintf(r->uri, sizeof(r->uri), "%s://%s/logger?log=%s", scheme, r->node->dir, r->log);
	return logger_spawn(&r->logger, &o, &r->child, err);
}

static void go(struct rig *r, const char *scheme, const char *script, int ready_ms)
{
	struct err err = ERR_INIT;

	write_script(r, "#!/bin/sh", script);
	if (spawn(r, scheme, ready_ms, &err) < 0 || logger_go(r->logger, &err) < 0)
		fail_msg("%s", err.text);
	logger_take(r->logger, r->io);
}

static void until_ended(struct rig *r)
{
	logger_end(r->logger);
	assert_int_equal(r->ended, 0); /* not from within our own call */
	loop_until(r->base, &r->ended);
	r->logger = logger_free(r->logger);
}

static void assert_text(struct rig *r, const char *name, const char *want)
{
	char *text = NULL;
	struct err err = ERR_INIT;

	if (r->node->n->read_file(r->node->n, node_rig_path(r->node, name), 65536, &text, NULL,
				  &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(text, want);
	free(text);
}

static void assert_why(struct rig *r, const char *text)
{
	if (!strstr(r->why.text, text))
		fail_msg("%s", r->why.text);
	assert_non_null(strstr(r->why.text, r->uri));
}

static void say(struct rig *r, int i, const char *text)
{
	assert_int_equal(write(r->io[i], text, strlen(text)), strlen(text));
}

static void hang_up(struct rig *r)
{
	for (int i = 1; i < 3; i++) {
		close(r->io[i]);
		r->io[i] = -1;
	}
}

/* ---- well ------------------------------------------------------------------------------ */

static void it_takes_both_outputs_to_their_end_and_leaves_by_itself(void **state)
{
	struct rig *r = *state;

	go(r, "binary", SAYS_READY COPIES, 20000);
	loop_until(r->base, &r->ready);
	say(r, 1, "one\n");
	say(r, 2, "two\n");
	hang_up(r);
	loop_until(r->base, &r->died);
	assert_why(r, "ended with exit code 0");
	assert_text(r, "log.out", "one\n");
	assert_text(r, "log.err", "two\n");
	until_ended(r);
	assert_int_equal(r->ready + r->failed + r->died + r->ended, 3);
}

static void its_arguments_environment_and_descriptors_are_these_alone(void **state)
{
	struct rig *r = *state;
	char want[256];

	go(r, "binary-v2",
	   "for a; do echo \"$a\"; done >\"$2.args\"; "
	   "/usr/bin/tr '\\0' '\\n' </proc/$$/environ >\"$2.env\"; "
	   "for i in 0 1 2 3 4 5 6 7 8 9; do [ ! -e /proc/$$/fd/$i ] || echo $i; done >\"$2.fds\"; "
	   "null=$(/usr/bin/readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); "
	   "echo \"$null\" >\"$2.null\"; "
	   SAYS_READY WAITS, 20000);
	loop_until(r->base, &r->ready);
	snprintf(want, sizeof(want), "log\n%s\n", r->log);
	assert_text(r, "log.args", want);
	assert_text(r, "log.env", "CONTAINER_ID=c1\nCONTAINER_NAMESPACE=k8s.io\n");
	assert_text(r, "log.null", "/dev/null\n/dev/null\n/dev/null\n");
	/* The shell's own are from 10 on. */
	assert_text(r, "log.fds", "0\n1\n2\n3\n4\n5\n");
}

static void closing_the_pipe_counts_as_ready_but_for_v2(void **state)
{
	struct rig *r = *state;

	go(r, "binary", CLOSES WAITS, 20000);
	loop_until(r->base, &r->any);
	assert_int_equal(r->ready, 1);
	until_ended(r);
	hang_up(r);
	r->any = r->ended = 0;
	go(r, "binary-v2", CLOSES WAITS, 20000);
	loop_until(r->base, &r->any);
	assert_int_equal(r->failed, 1);
	assert_why(r, "logging binary did not call ready (it may have crashed or exited "
		      "prematurely)");
}

static void the_container_s_ends_belong_to_its_user(void **state)
{
	struct rig *r = *state;
	struct stat st;

	go(r, "binary", SAYS_READY WAITS, 20000);
	for (int i = 1; i < 3; i++) {
		assert_int_equal(fstat(r->io[i], &st), 0);
		assert_int_equal(st.st_uid, 1234);
		assert_int_equal(st.st_gid, 5678);
		assert_int_equal(fcntl(r->io[i], F_GETFL) & O_NONBLOCK, 0);
		assert_int_equal(fcntl(r->io[i], F_GETFD), FD_CLOEXEC);
	}
	loop_until(r->base, &r->ready);
}

static void on_pty(void *arg, enum pty_told what, const struct err *why)
{
	(void)why;
	assert_int_equal(what, PTY_DRAINED);
	++*(int *)arg;
}

static void a_terminal_s_output_goes_to_it_too(void **state)
{
	struct rig *r = *state;
	struct stdio io = STDIO_INIT;
	struct pty *pty = NULL;
	int master, slave, drained = 0;

	go(r, "binary", SAYS_READY COPIES, 20000);
	loop_until(r->base, &r->ready);
	memcpy(&io.fd[1], &r->io[1], 2 * sizeof(int));
	r->io[1] = r->io[2] = -1;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(pty_new(&pty, r->base, master, &io, on_pty, &drained, NULL), 0);
	assert_int_equal(write(slave, "hi\n", 3), 3);
	close(slave);
	pty_exited(pty);
	loop_until(r->base, &r->died); /* it reads end of file */
	assert_int_equal(drained, 1);
	assert_text(r, "log.out", "hi\r\n");
	assert_text(r, "log.err", "");
	pty_free(pty);
}

/* ---- badly ----------------------------------------------------------------------------- */

static void one_that_is_never_ready_ends_at_its_deadline(void **state)
{
	struct rig *r = *state;

	go(r, "binary-v2", WAITS, 50);
	loop_until(r->base, &r->any);
	assert_int_equal(r->failed, 1);
	assert_int_equal(r->why.code, ETIMEDOUT);
	assert_why(r, "the logging binary did not call ready in 50 ms");
	until_ended(r);
	assert_int_equal(r->node->n->alive(r->node->n, &r->child, NULL), 0);
}

static void a_crash_before_ready_is_an_error_of_both_kinds(void **state)
{
	struct rig *r = *state;

	go(r, "binary", "exit 3", 20000);
	loop_until(r->base, &r->any);
	assert_int_equal(r->failed, 1);
	assert_why(r, "the logging binary ended with exit code 3");
	until_ended(r);
	hang_up(r);
	r->any = r->ended = 0;
	go(r, "binary-v2", "kill -9 $$", 20000);
	loop_until(r->base, &r->any);
	assert_int_equal(r->failed, 2);
	assert_why(r, "did not call ready");
	assert_int_equal(r->ready, 0);
}

static void one_that_ends_well_at_once_was_ready(void **state)
{
	struct rig *r = *state;

	go(r, "binary", "exit 0", 20000);
	loop_until(r->base, &r->died);
	assert_int_equal(r->ready, 1);
	assert_int_equal(r->failed, 0);
	until_ended(r);
	hang_up(r);
	r->died = r->ended = 0;
	go(r, "binary-v2", SAYS_READY "exit 0", 20000);
	loop_until(r->base, &r->died);
	assert_int_equal(r->ready, 2);
	assert_int_equal(r->failed, 0);
}

static void after_a_crash_the_container_neither_blocks_nor_dies(void **state)
{
	struct rig *r = *state;
	char zeros[4096] = { 0 };
	size_t sent = 0;

	go(r, "binary", SAYS_READY WAITS, 20000);
	loop_until(r->base, &r->ready);
	assert_int_equal(r->node->n->signal(r->node->n, &r->child, SIGSEGV, NULL), 0);
	loop_until(r->base, &r->died);
	assert_why(r, "the logging binary was killed by signal 11");
	assert_int_equal(fcntl(r->io[1], F_SETFL, O_NONBLOCK), 0);
	for (int turns = 0; sent < 1 << 20 && turns < 100000; turns++) {
		ssize_t n = write(r->io[1], zeros, sizeof(zeros));

		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		sent += n > 0 ? (size_t)n : 0;
		event_base_loop(r->base, EVLOOP_NONBLOCK);
	}
	assert_in_range(sent, 1 << 20, (1 << 20) + 4096);
	hang_up(r);
	loop_for(r->base, 20);
	assert_in_range(loop_for(r->base, 100), 1, 3);
}

static void one_that_ignores_sigterm_is_killed(void **state)
{
	struct rig *r = *state;

	go(r, "binary", "trap '' TERM; " SAYS_READY WAITS, 20000);
	loop_until(r->base, &r->ready);
	until_ended(r);
	assert_int_equal(r->died, 0);
	assert_int_equal(r->node->n->alive(r->node->n, &r->child, NULL), 0);
}

static void a_program_that_can_not_be_run_is_named(void **state)
{
	struct rig *r = *state;
	struct err err = ERR_INIT;
	int before = node_rig_descriptors();

	assert_int_equal(spawn(r, "binary", 1000, &err), -ENOENT);
	assert_non_null(strstr(err.text, r->uri));
	assert_non_null(strstr(err.text, "/logger\": No such file or directory"));
	write_script(r, "#!/bin/sh", "");
	chmod(node_rig_path(r->node, "logger"), 0600);
	assert_int_equal(spawn(r, "binary", 1000, &err), -EACCES);
	assert_null(r->logger);
	assert_int_equal(node_rig_descriptors(), before);
	write_script(r, "#!/no/such/shell", "");
	assert_int_equal(spawn(r, "binary", 20000, &err), 0);
	assert_int_equal(logger_go(r->logger, &err), 0);
	loop_until(r->base, &r->any);
	assert_int_equal(r->failed, 1);
	assert_why(r, "the logging binary could not be executed (exit 126)");
}

static void one_that_is_forgotten_at_its_gate_never_runs(void **state)
{
	struct rig *r = *state;
	struct err err = ERR_INIT;
	int status;

	write_script(r, "#!/bin/sh", "echo ran >\"$2.ran\"");
	assert_int_equal(spawn(r, "binary", 20000, &err), 0);
	r->logger = logger_free(r->logger);
	status = node_rig_end(r->node, &r->child);
	assert_true(status == -1 || status != 0);
	assert_int_equal(access(node_rig_path(r->node, "log.ran"), F_OK), -1);
}

static void one_killed_at_its_gate_is_an_error_and_ends(void **state)
{
	struct rig *r = *state;
	struct err err = ERR_INIT;
	struct proc_info info = { .state = 'R' };

	write_script(r, "#!/bin/sh", WAITS);
	assert_int_equal(spawn(r, "binary", 20000, &err), 0);
	assert_int_equal(r->node->n->signal(r->node->n, &r->child, SIGKILL, NULL), 0);
	while (r->node->n->look(r->node->n, r->child.pid, &info, NULL) == 1 && info.state != 'Z')
		;
	assert_int_equal(logger_go(r->logger, &err), -ESRCH);
	assert_non_null(strstr(err.text, r->uri));
	until_ended(r);
	assert_int_equal(r->ready + r->failed + r->died, 0);
}

static void hundreds_leave_no_descriptor_and_no_process(void **state)
{
	struct rig *r = *state;
	int before = 0;

	for (int i = 0; i < 200; i++) {
		go(r, "binary", i % 3 ? SAYS_READY WAITS : "exit 1", 20000);
		r->any = 0;
		if (i % 2)
			loop_until(r->base, &r->any);
		until_ended(r);
		hang_up(r);
		r->ended = 0;
		before = i == 0 ? node_rig_descriptors() : before;
	}
	assert_int_equal(node_rig_descriptors(), before);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(it_takes_both_outputs_to_their_end_and_leaves_by_itself),
		TEST(its_arguments_environment_and_descriptors_are_these_alone),
		TEST(closing_the_pipe_counts_as_ready_but_for_v2),
		TEST(the_container_s_ends_belong_to_its_user),
		TEST(a_terminal_s_output_goes_to_it_too),
		TEST(one_that_is_never_ready_ends_at_its_deadline),
		TEST(a_crash_before_ready_is_an_error_of_both_kinds),
		TEST(one_that_ends_well_at_once_was_ready),
		TEST(after_a_crash_the_container_neither_blocks_nor_dies),
		TEST(one_that_ignores_sigterm_is_killed),
		TEST(a_program_that_can_not_be_run_is_named),
		TEST(one_that_is_forgotten_at_its_gate_never_runs),
		TEST(one_killed_at_its_gate_is_an_error_and_ends),
		TEST(hundreds_leave_no_descriptor_and_no_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
