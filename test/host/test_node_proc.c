/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes on this kernel: never by number alone, and how their end is learnt.
 */
#include "test/lib/node_rig.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DEATHS 1500

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

static void test_an_identity_that_is_not_the_process_is_gone(void **state)
{
	struct node_rig *rig = *state;
	struct spawn what = SH("exit 4");
	struct ident who = spawn(rig, &what);
	struct ident other = { .pid = who.pid, .start = who.start + 1 };
	char *text = NULL;
	int status = 0;

	assert_int_equal(rig->n->alive(rig->n, &who, NULL), 1);
	assert_int_equal(rig->n->alive(rig->n, &other, NULL), 0);
	assert_int_equal(rig->n->signal(rig->n, &other, SIGKILL, NULL), -ESRCH);
	assert_int_equal(rig->n->watch(rig->n, &other, NULL), -ESRCH);
	assert_int_equal(rig->n->cgroups_of(rig->n, &other, &text, NULL), -ESRCH);
	assert_int_equal(rig->n->reap(rig->n, &other, &status, NULL), 1);
	assert_int_equal(status, -1);
	/* None of that has touched the one that has the number. */
	assert_int_equal(rig->n->spawn_go(rig->n, &who, NULL), 0);
	assert_int_equal(WEXITSTATUS(node_rig_end(rig, &who)), 4);
}

static void test_a_zombie_is_not_alive_and_its_status_is_kept_for_reap(void **state)
{
	struct node_rig *rig = *state;
	struct spawn what = SH("exit 4");
	struct ident who = spawn(rig, &what);
	struct pollfd p = { .fd = rig->n->watch(rig->n, &who, NULL), .events = POLLIN };
	int status = 0;

	assert_int_equal(rig->n->reap(rig->n, &who, &status, NULL), 0);
	assert_int_equal(rig->n->spawn_go(rig->n, &who, NULL), 0);
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(rig->n->alive(rig->n, &who, NULL), 0);
	assert_int_equal(rig->n->signal(rig->n, &who, SIGKILL, NULL), -ESRCH);
	assert_int_equal(rig->n->reap(rig->n, &who, &status, NULL), 1);
	assert_int_equal(WEXITSTATUS(status), 4);
	assert_int_equal(rig->n->reap(rig->n, &who, &status, NULL), 1);
	assert_int_equal(WEXITSTATUS(status), 4);
}

static void test_somebody_elses_process_can_be_watched_and_not_reaped(void **state)
{
	struct node_rig *rig = *state;
	struct ident parent = node_rig_ident(rig, getppid());
	int status = 0;
	int fd = rig->n->watch(rig->n, &parent, NULL);

	assert_true(fd >= 0);
	assert_int_equal(poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 0), 0);
	assert_int_equal(rig->n->reap(rig->n, &parent, &status, NULL), 0);
	rig->n->forget(rig->n, &parent);
}

static void test_signal_ends_a_child(void **state)
{
	struct node_rig *rig = *state;
	struct spawn what = SH("exec sleep 60");
	struct ident who = spawn(rig, &what);

	assert_int_equal(rig->n->spawn_go(rig->n, &who, NULL), 0);
	assert_int_equal(rig->n->signal(rig->n, &who, SIGTERM, NULL), 0);
	assert_int_equal(WTERMSIG(node_rig_end(rig, &who)), SIGTERM);
}

static void test_a_scan_shows_our_child_as_it_is(void **state)
{
	struct node_rig *rig = *state;
	struct spawn what = SH("exec sleep 60");
	struct ident who = spawn(rig, &what);
	struct proc_info *list;
	struct stat dir;
	bool found = false;
	size_t n;

	assert_int_equal(stat("/", &dir), 0);
	assert_int_equal(rig->n->scan(rig->n, &list, &n, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		if (list[i].ident.pid != who.pid)
			continue;
		found = true;
		assert_int_equal(list[i].ident.start, who.start);
		assert_int_equal(list[i].ppid, getpid());
		assert_int_equal(list[i].root_ino, dir.st_ino);
		assert_int_equal(list[i].root_dev, dir.st_dev);
		assert_true(list[i].mntns && list[i].netns && list[i].pidns);
	}
	assert_true(found);
	free(list);
	rig->n->forget(rig->n, &who);
	(void)node_rig_end(rig, &who);
}

/* Make processes, say which, and reap them. */
static _Noreturn void let_die(int fd, int n)
{
	char next;
	pid_t pid;

	while (n-- > 0) {
		pid = fork();
		if (pid == 0) {
			pause();
			_exit(0);
		}
		if (write(fd, &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		if (read(fd, &next, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

/* Whose end was awaited is asked for at the very moment its parent reaps it. */
static void test_one_who_is_just_being_reaped_is_gone_and_no_error(void **state)
{
	struct node_rig *rig = *state;
	struct err err = ERR_INIT;
	struct proc_info p = { 0 };
	int pair[2], rc;
	pid_t pid, maker;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	maker = fork();
	if (maker == 0) {
		(void)close(pair[0]);
		let_die(pair[1], DEATHS);
	}
	(void)close(pair[1]);
	for (int i = 0; i < DEATHS; i++) {
		assert_int_equal(read(pair[0], &pid, sizeof(pid)), sizeof(pid));
		rc = rig->n->look(rig->n, pid, &p, &err);
		while (rc >= 0 && kill(pid, 0) == 0) /* a zombie has its number still */
			rc = rig->n->alive(rig->n, &p.ident, &err);
		if (rc < 0)
			fail_msg("death %d: %s", i, err.text);
		assert_int_equal(write(pair[0], "", 1), 1);
	}
	(void)close(pair[0]);
	assert_int_equal(waitpid(maker, NULL, 0), maker);
}

#define T(name) cmocka_unit_test_setup_teardown(name, node_rig_up, node_rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_an_identity_that_is_not_the_process_is_gone),
		T(test_a_zombie_is_not_alive_and_its_status_is_kept_for_reap),
		T(test_somebody_elses_process_can_be_watched_and_not_reaped),
		T(test_signal_ends_a_child),
		T(test_a_scan_shows_our_child_as_it_is),
		T(test_one_who_is_just_being_reaped_is_gone_and_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
