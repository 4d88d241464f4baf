/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children on this kernel: the gate, what they inherit, what they say, and that
 * nothing of them stays in our tables.
 */
#include "supervisor/node/node_linux.h"
#include "test/lib/node_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SH(script)                                                                        \
	{                                                                                 \
		.job = JOB_EXEC, .argv = (const char *const[]){ "/bin/sh", "-c", script, NULL }, \
		.in = SPAWN_NULL, .out = SPAWN_CAPTURE, .err = SPAWN_CAPTURE              \
	}

static struct ident spawn(struct node_rig *rig, const struct spawn *what)
{
	struct err err = ERR_INIT;
	struct ident who;

	if (rig->n->spawn(rig->n, what, &who, &err) < 0)
		fail_msg("%s", err.text);
	return who;
}

static void test_a_child_acts_only_after_its_gate_is_open(void **state)
{
	struct node_rig *rig = *state;
	const char *file = node_rig_path(rig, "made");
	struct spawn what = { .job = JOB_EXEC,
			      .argv = (const char *const[]){ "/bin/mkdir", file, NULL },
			      .in = SPAWN_NULL, .out = SPAWN_NULL, .err = SPAWN_NULL };
	struct ident who = spawn(rig, &what);
	struct proc_info info;

	/* It has done all it may once it sleeps at the gate. */
	do
		assert_int_equal(rig->n->look(rig->n, who.pid, &info, NULL), 1);
	while (info.state != 'S');
	assert_int_equal(access(file, F_OK), -1);
	assert_int_equal(rig->n->spawn_go(rig->n, &who, NULL), 0);
	assert_int_equal(node_rig_end(rig, &who), 0);
	assert_int_equal(access(file, F_OK), 0);
}

static void test_a_gate_opens_once(void **state)
{
	struct node_rig *rig = *state;
	struct spawn what = SH(":");
	struct ident who = spawn(rig, &what);

	assert_int_equal(rig->n->spawn_go(rig->n, &who, NULL), 0);
	assert_int_equal(rig->n->spawn_go(rig->n, &who, NULL), -ESRCH);
	assert_int_equal(node_rig_end(rig, &who), 0);
}

static void test_forgetting_a_held_child_ends_it_without_acting(void **state)
{
	struct node_rig *rig = *state;
	const char *file = node_rig_path(rig, "made");
	struct spawn what = { .job = JOB_EXEC,
			      .argv = (const char *const[]){ "/bin/mkdir", file, NULL },
			      .in = SPAWN_NULL, .out = SPAWN_NULL, .err = SPAWN_NULL };
	struct ident who = spawn(rig, &what);

	rig->n->forget(rig->n, &who);
	assert_int_equal(WEXITSTATUS(node_rig_end(rig, &who)), 125);
	assert_int_equal(access(file, F_OK), -1);
}

/* The first child is killed while the second, forked after it, still waits: the second
 * must not hold the first one's gate open, nor the parent's death be hidden from it. */
static void test_when_we_are_killed_no_held_child_acts(void **state)
{
	struct node_rig *rig = *state;
	char script[PATH_MAX + 32];
	struct ident who[2];
	int pipefd[2];
	pid_t parent;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	snprintf(script, sizeof(script), "mkdir %s", node_rig_path(rig, "made"));
	parent = fork();
	if (parent == 0) {
		struct spawn what = SH(script);

		what.out = what.err = SPAWN_NULL;
		for (int i = 0; i < 2; i++)
			(void)rig->n->spawn(rig->n, &what, &who[i], NULL);
		(void)!write(pipefd[1], who, sizeof(who));
		for (;;)
			pause();
	}
	assert_int_equal(read(pipefd[0], who, sizeof(who)), sizeof(who));
	assert_int_equal(kill(parent, SIGKILL), 0);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	for (int i = 0; i < 2; i++)
		assert_int_equal(WEXITSTATUS(node_rig_end(rig, &who[i])), 125);
	assert_int_equal(access(node_rig_path(rig, "made"), F_OK), -1);
	close(pipefd[0]);
	close(pipefd[1]);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static void test_a_child_that_dies_with_us_is_killed_after_its_gate_too(void **state)
{
	struct node_rig *rig = *state;
	struct ident who;
	char text[8] = "";
	int ready[2];
	int born[2];
	pid_t parent;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(born, O_CLOEXEC), 0);
	parent = fork();
	if (parent == 0) {
		struct spawn what = SH("echo ready; exec sleep 60");

		what.out = ready[1];
		what.die_with_us = true;
		(void)rig->n->spawn(rig->n, &what, &who, NULL);
		(void)rig->n->spawn_go(rig->n, &who, NULL);
		(void)!write(born[1], &who, sizeof(who));
		for (;;)
			pause();
	}
	assert_int_equal(read(born[0], &who, sizeof(who)), sizeof(who));
	assert_int_equal(read(ready[0], text, sizeof(text)), 6);
	assert_int_equal(kill(parent, SIGKILL), 0);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	assert_int_equal(WTERMSIG(node_rig_end(rig, &who)), SIGKILL);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(born[i]);
	}
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static void test_output_is_captured_from_both_and_in_order(void **state)
{
	struct spawn what = SH("echo one; echo two >&2; echo three; exit 7");
	char *text;

	assert_int_equal(node_rig_run(*state, &what, &text), 7);
	assert_string_equal(text, "one\ntwo\nthree\n");
	free(text);
}

static void test_output_over_64_kib_is_cut_and_the_writer_is_not_stopped(void **state)
{
	struct spawn what = SH("i=0; while [ $i -lt 2000 ]; do echo "
			       "'0123456789012345678901234567890123456789012345678901234567890123456789'"
			       " || exit 9; i=$((i+1)); done; exit 5");
	char *text;

	assert_int_equal(node_rig_run(*state, &what, &text), 5);
	assert_int_equal(strlen(text), 65536);
	free(text);
}

static void test_a_missing_program_is_named_in_quotes(void **state)
{
	struct spawn what = SH("");
	char *text;

	what.argv = (const char *const[]){ "no-such-runtime", NULL };
	assert_int_equal(node_rig_run(*state, &what, &text), 127);
	assert_string_equal(text, "exec: \"no-such-runtime\": executable file not found in $PATH");
	free(text);
	what.argv = (const char *const[]){ "/no/such/runtime", NULL };
	assert_int_equal(node_rig_run(*state, &what, &text), 127);
	assert_non_null(strstr(text, "exec: \"/no/such/runtime\": executable file not found"));
	free(text);
}

static void test_a_program_that_can_not_be_executed_says_why(void **state)
{
	struct node_rig *rig = *state;
	const char *file = node_rig_path(rig, "script");
	struct spawn what = SH("");
	struct err err = ERR_INIT;
	char *text;

	what.argv = (const char *const[]){ file, NULL };
	assert_int_equal(rig->n->write_file(rig->n, file, "#!/no/such\n", 11, 0600, &err), 0);
	assert_int_equal(node_rig_run(rig, &what, &text), 126);
	assert_non_null(strstr(text, "Permission denied"));
	free(text);
	assert_int_equal(chmod(file, 0700), 0);
	assert_int_equal(node_rig_run(rig, &what, &text), 126);
	assert_non_null(strstr(text, "its interpreter or loader is missing"));
	free(text);
}

static void test_a_missing_working_directory_is_named(void **state)
{
	struct spawn what = SH("exit 0");
	char *text;

	what.cwd = "/no/such/folder";
	assert_int_equal(node_rig_run(*state, &what, &text), 126);
	assert_string_equal(text, "chdir to /no/such/folder: No such file or directory");
	free(text);
}

static void test_a_child_has_no_descriptors_but_its_three_and_those_to_keep(void **state)
{
	struct node_rig *rig = *state;
	struct spawn what = SH("i=0; while [ $i -lt 64 ]; do "
			       "[ -e /proc/$$/fd/$i ] && printf '%s ' $i; i=$((i+1)); done; exit 0");
	int keep[2] = { open("/dev/zero", O_RDONLY | O_CLOEXEC), -1 };
	int other = open("/dev/zero", O_RDONLY); /* not even close-on-exec */
	char want[64];
	char *text;

	assert_int_equal(node_rig_run(rig, &what, &text), 0);
	assert_string_equal(text, "0 1 2 ");
	free(text);
	what.keep = keep;
	what.nkeep = 2;
	assert_int_equal(node_rig_run(rig, &what, &text), 0);
	snprintf(want, sizeof(want), "0 1 2 %d ", keep[0]);
	assert_string_equal(text, want);
	free(text);
	close(keep[0]);
	close(other);
}

static void test_what_is_passed_becomes_three_four_and_five_whatever_it_was(void **state)
{
	struct node_rig *rig = *state;
	struct spawn what = SH("for i in 3 4 5; do readlink /proc/$$/fd/$i; done; "
			       "i=6; while [ $i -lt 64 ]; do "
			       "[ -e /proc/$$/fd/$i ] && echo $i; i=$((i+1)); done; exit 0");
	int pass[3];
	char *text;

	/* Backwards, so that each stands where another is to go. */
	pass[2] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	pass[1] = open("/dev/full", O_RDONLY | O_CLOEXEC);
	pass[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	what.pass = pass;
	what.npass = 3;
	assert_int_equal(node_rig_run(rig, &what, &text), 0);
	assert_string_equal(text, "/dev/null\n/dev/full\n/dev/zero\n");
	free(text);
	for (int i = 0; i < 3; i++)
		close(pass[i]);
}

static void test_a_child_leads_a_session_with_default_signals(void **state)
{
	struct spawn what = SH("read -r x; cut -d' ' -f6 /proc/$$/stat; echo $$; "
			       "exec grep -E 'Sig(Blk|Ign)' /proc/self/status");
	const char *ignored;
	sigset_t usr1;
	char *text;
	int sid;
	int pid;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	assert_int_equal(node_rig_run(*state, &what, &text), 0);
	assert_int_equal(sscanf(text, "%d\n%d", &sid, &pid), 2);
	assert_int_equal(sid, pid);
	assert_non_null(strstr(text, "SigBlk:\t0000000000000000"));
	assert_non_null(ignored = strstr(text, "SigIgn:\t"));
	/* 32 and 33 are the C library's own: after its posix_spawn() they stay ignored. */
	assert_int_equal(strtoull(ignored + 8, NULL, 16) & ~(3ULL << 31), 0);
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	signal(SIGPIPE, SIG_DFL);
	free(text);
}

static void test_the_environment_has_no_notify_socket(void **state)
{
	struct spawn what = SH("echo \"[$NOTIFY_SOCKET][$KEPT]\"");
	char *text;

	setenv("NOTIFY_SOCKET", "/x", 1);
	setenv("KEPT", "yes", 1);
	assert_int_equal(node_rig_run(*state, &what, &text), 0);
	assert_string_equal(text, "[][yes]\n");
	free(text);
	what.envp = (const char *const[]){ "KEPT=given", NULL };
	assert_int_equal(node_rig_run(*state, &what, &text), 0);
	assert_string_equal(text, "[][given]\n");
	free(text);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("KEPT");
}

struct called {
	struct node *n;
	int fd;
};

static int call(void *arg)
{
	struct called *c = arg;
	struct ident self;
	struct spawn what = SH("exit 9");
	struct ident who;
	int status;

	/* The node works on in the child, with tables of its own. */
	if (c->n->self(c->n, &self, NULL) < 0 || self.pid != getpid() || getsid(0) != getpid())
		return 1;
	if (c->n->spawn(c->n, &what, &who, NULL) < 0 || c->n->spawn_go(c->n, &who, NULL) < 0)
		return 2;
	while (c->n->reap(c->n, &who, &status, NULL) == 0)
		(void)poll(&(struct pollfd){ c->n->watch(c->n, &who, NULL), POLLIN, 0 }, 1, 1000);
	if (WEXITSTATUS(status) != 9)
		return 3;
	return write(c->fd, "served", 6) == 6 ? 42 : 4;
}

static void test_a_call_runs_ours_with_the_descriptor_it_keeps(void **state)
{
	struct node_rig *rig = *state;
	struct called called = { .n = rig->n };
	struct spawn other = SH(":");
	struct ident held = spawn(rig, &other);
	char text[16] = "";
	int pipefd[2];

	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	called.fd = pipefd[1];
	assert_int_equal(node_rig_run(rig,
				      &(struct spawn){ .job = JOB_CALL, .call = call,
						       .call_arg = &called, .in = SPAWN_NULL,
						       .out = SPAWN_NULL, .err = SPAWN_NULL,
						       .keep = &pipefd[1], .nkeep = 1 },
				      NULL),
			 42);
	assert_int_equal(read(pipefd[0], text, sizeof(text)), 6);
	assert_string_equal(text, "served");
	/* The child had the first one's gate, and has left it shut. */
	assert_int_equal(rig->n->spawn_go(rig->n, &held, NULL), 0);
	assert_int_equal(node_rig_end(rig, &held), 0);
	close(pipefd[0]);
	close(pipefd[1]);
}

static void test_nothing_leaks_over_many_children(void **state)
{
	struct node_rig *rig = *state;
	struct spawn what = SH(":");
	int before = node_rig_descriptors();

	for (int i = 0; i < 20; i++)
		assert_int_equal(node_rig_run(rig, &what, NULL), 0);
	what.out = what.err = SPAWN_NULL;
	for (int i = 0; i < 20; i++)
		assert_int_equal(node_rig_run(rig, &what, NULL), 0);
	assert_int_equal(node_rig_descriptors(), before);
}

static void test_an_incomplete_order_is_refused(void **state)
{
	struct node_rig *rig = *state;
	struct spawn what = SH(":");
	struct ident who;
	int zero = 0;

	what.keep = &zero;
	what.nkeep = 1;
	assert_int_equal(rig->n->spawn(rig->n, &what, &who, NULL), -EINVAL);
	zero = 5;
	what.pass = &zero;
	what.npass = 1; /* and one to keep */
	assert_int_equal(rig->n->spawn(rig->n, &what, &who, NULL), -EINVAL);
	what = (struct spawn){ .job = JOB_CALL };
	assert_int_equal(rig->n->spawn(rig->n, &what, &who, NULL), -EINVAL);
	what = (struct spawn){ .job = JOB_MOUNT };
	assert_int_equal(rig->n->spawn(rig->n, &what, &who, NULL), -EINVAL);
}

/* Not a bench; a guard against something slow creeping in between fork and exec. */
static void test_a_spawn_costs_little(void **state)
{
	struct node_rig *rig = *state;
	struct spawn what = { .job = JOB_EXEC, .in = SPAWN_NULL, .out = SPAWN_NULL,
			      .err = SPAWN_NULL,
			      .argv = (const char *const[]){ "/bin/true", NULL } };
	int64_t begin = rig->n->wall_ns(rig->n);
	int64_t each;

	for (int i = 0; i < 100; i++)
		assert_int_equal(node_rig_run(rig, &what, NULL), 0);
	each = (rig->n->wall_ns(rig->n) - begin) / 100000;
	print_message("# spawn, gate, exec, exit, reap: %lld us\n", (long long)each);
	assert_true(each < 50000);
}

#define T(name) cmocka_unit_test_setup_teardown(name, node_rig_up, node_rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_child_acts_only_after_its_gate_is_open),
		T(test_a_gate_opens_once),
		T(test_forgetting_a_held_child_ends_it_without_acting),
		T(test_when_we_are_killed_no_held_child_acts),
		T(test_a_child_that_dies_with_us_is_killed_after_its_gate_too),
		T(test_output_is_captured_from_both_and_in_order),
		T(test_output_over_64_kib_is_cut_and_the_writer_is_not_stopped),
		T(test_a_missing_program_is_named_in_quotes),
		T(test_a_program_that_can_not_be_executed_says_why),
		T(test_a_missing_working_directory_is_named),
		T(test_a_child_has_no_descriptors_but_its_three_and_those_to_keep),
		T(test_what_is_passed_becomes_three_four_and_five_whatever_it_was),
		T(test_a_child_leads_a_session_with_default_signals),
		T(test_the_environment_has_no_notify_socket),
		T(test_a_call_runs_ours_with_the_descriptor_it_keeps),
		T(test_nothing_leaks_over_many_children),
		T(test_an_incomplete_order_is_refused),
		T(test_a_spawn_costs_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
