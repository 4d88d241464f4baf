/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real kills for lack of memory, in the version of cgroups that this machine has in
 * use: how they are learnt, and what is not one.
 */
#include "supervisor/metrics/oom.h"

#include "journal/base/cleanup.h"
#include "test/lib/cgroup_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct oom *watch(struct cgroup_rig *r)
{
	struct err err = ERR_INIT;
	struct oom *oom;

	if (oom_open(&oom, &r->folders, &err) < 0)
		fail_msg("%s", err.text);
	return oom;
}

/* 1: there was a kill within the time; else what the last read said. */
static int wait_kill(struct oom *oom, int ms)
{
	struct pollfd p = { .fd = oom_fd(oom), .events = POLLIN };
	int rc = 0;

	while (rc == 0 && poll(&p, 1, ms) > 0)
		rc = oom_read(oom);
	return rc;
}

static void test_a_kill_wakes_us_and_is_told_once(void **state)
{
	struct cgroup_rig *r = *state;
	pid_t keeper = cgroup_rig_child(r, act_nothing, true);
	struct oom *oom;
	int status;
	pid_t pid;

	cgroup_rig_find(r, keeper);
	oom = watch(r);
	pid = cgroup_rig_child(r, act_eat, false);
	assert_int_equal(wait_kill(oom, 10000), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(oom_read(oom), 0);
	/* And the next one. */
	pid = cgroup_rig_child(r, act_eat, false);
	assert_int_equal(wait_kill(oom, 10000), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	oom_close(oom);
	cgroup_rig_end(keeper);
}

static void test_a_kill_is_seen_while_init_lives_on(void **state)
{
	struct cgroup_rig *r = *state;
	pid_t pid = cgroup_rig_child(r, act_nothing, true);
	struct oom *oom;

	cgroup_rig_find(r, pid);
	oom = watch(r);
	cgroup_rig_end(pid);
	pid = cgroup_rig_child(r, act_feed, false);
	assert_int_equal(wait_kill(oom, 10000), 1);
	assert_int_equal(kill(pid, 0), 0);
	cgroup_rig_end(pid);
	oom_close(oom);
}

static void test_a_kill_in_a_cgroup_below_counts(void **state)
{
	struct cgroup_rig *r = *state;
	pid_t keeper = cgroup_rig_child(r, act_nothing, true);
	struct oom *oom;
	pid_t pid;

	cgroup_rig_find(r, keeper);
	oom = watch(r);
	pid = cgroup_rig_child(r, act_eat_below, true);
	assert_int_equal(wait_kill(oom, 10000), 1);
	cgroup_rig_end(pid);
	cgroup_rig_end(keeper);
	oom_close(oom);
}

/* The shim hears of the end first: one look is enough, whatever was heard. */
static void test_the_last_look_finds_a_kill(void **state)
{
	struct cgroup_rig *r = *state;
	pid_t pid = cgroup_rig_child(r, act_nothing, true);

	cgroup_rig_find(r, pid);
	for (int i = 0; i < 10; i++) {
		struct oom *oom = watch(r);
		int status;
		pid_t victim = cgroup_rig_child(r, act_eat, false);

		assert_int_equal(waitpid(victim, &status, 0), victim);
		assert_int_equal(WTERMSIG(status), SIGKILL);
		assert_int_equal(oom_read(oom), 1);
		oom_close(oom);
	}
	cgroup_rig_end(pid);
}

static void test_a_kill_before_the_watch_is_told(void **state)
{
	struct cgroup_rig *r = *state;
	pid_t keeper = cgroup_rig_child(r, act_nothing, true);
	pid_t victim = cgroup_rig_child(r, act_eat, false);
	struct oom *oom;

	cgroup_rig_find(r, keeper);
	assert_int_equal(waitpid(victim, NULL, 0), victim);
	oom = watch(r);
	assert_int_equal(wait_kill(oom, 10000), 1);
	oom_close(oom);
	cgroup_rig_end(keeper);
}

/* A second eventfd for version 1, told of the removal after the one of the watch. */
static int removal_fd(const char *folder)
{
	auto_fd int control = -1;
	char path[256], text[64];
	int fd = eventfd(0, EFD_CLOEXEC);

	snprintf(path, sizeof(path), "%s/memory.oom_control", folder);
	control = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(text, sizeof(text), "%d %d ", fd, control);
	assert_int_equal(cgroup_rig_put(folder, "cgroup.event_control", text), 0);
	return fd;
}

/* Nobody looks between the kill and the removal. */
static void test_a_kill_is_told_though_the_cgroup_is_gone_at_once(void **state)
{
	struct cgroup_rig *r = *state;
	pid_t victim = cgroup_rig_child(r, act_nothing, true);
	char above[128];
	struct oom *oom;
	int late = -1, status;
	uint64_t told = 0, n;

	cgroup_rig_find(r, victim);
	cgroup_rig_end(victim);
	if (r->unified) {
		/* Below the root there is a cgroup above that counts. */
		snprintf(above, sizeof(above), "%s", r->memory);
		assert_int_equal(cgroup_rig_put(above, "cgroup.subtree_control", "+memory"), 0);
		free(r->folders.unified);
		assert_true(asprintf(&r->folders.unified, "%s/below", above) > 0);
		assert_int_equal(mkdir(r->folders.unified, 0755), 0);
		oom = watch(r);
		victim = fork();
		if (victim == 0) {
			(void)cgroup_rig_put(r->folders.unified, "cgroup.procs", "0");
			act_eat(r);
			_exit(0);
		}
	} else {
		late = removal_fd(r->memory);
		oom = watch(r);
		victim = cgroup_rig_child(r, act_eat, false);
	}
	assert_int_equal(waitpid(victim, &status, 0), victim);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	while (r->unified && rmdir(r->folders.unified) < 0 && errno == EBUSY)
		usleep(1000);
	if (!r->unified)
		cgroup_rig_remove(r);
	while (late >= 0 && told < 2) {
		assert_int_equal(read(late, &n, sizeof(n)), sizeof(n));
		told += n;
	}
	assert_int_equal(wait_kill(oom, 10000), 1);
	assert_int_equal(oom_read(oom), -ENODEV);
	oom_close(oom);
	if (late >= 0)
		close(late);
}

static void test_an_ordinary_end_is_no_kill_and_then_it_is_quiet(void **state)
{
	struct cgroup_rig *r = *state;
	pid_t pid = cgroup_rig_child(r, act_nothing, true);
	struct pollfd p = { .events = POLLIN };
	struct oom *oom;

	cgroup_rig_find(r, pid);
	oom = watch(r);
	assert_int_equal(oom_read(oom), 0);
	cgroup_rig_end(pid);
	assert_int_equal(oom_read(oom), 0);
	cgroup_rig_remove(r);
	assert_int_equal(oom_read(oom), -ENODEV);
	/* Whatever the removal says, says so again, and ends. */
	p.fd = oom_fd(oom);
	for (int i = 0; i < 10 && poll(&p, 1, 200) > 0; i++)
		assert_int_equal(oom_read(oom), -ENODEV);
	assert_int_equal(poll(&p, 1, 0), 0);
	oom_close(oom);
}

static void test_where_there_is_nothing_to_watch_it_says_so(void **state)
{
	struct cgroup_rig *r = *state;
	struct cgroup_folders none = { .unified = NULL };
	struct err err = ERR_INIT;
	struct oom *oom;
	int before = node_rig_descriptors();

	assert_int_equal(oom_open(&oom, &none, &err), -ENOENT);
	none.of[CGROUP_MEMORY] = (char[]){ "/sys/fs/cgroup/no-such-cgroup" };
	assert_int_equal(oom_open(&oom, &none, &err), -ENOENT);
	none.unified = none.of[CGROUP_MEMORY];
	assert_int_equal(oom_open(&oom, &none, &err), -ENOENT);
	assert_int_equal(node_rig_descriptors(), before);
	(void)r;
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, cgroup_rig_up, cgroup_rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_kill_wakes_us_and_is_told_once),
		TEST(test_a_kill_is_seen_while_init_lives_on),
		TEST(test_a_kill_in_a_cgroup_below_counts),
		TEST(test_the_last_look_finds_a_kill),
		TEST(test_a_kill_before_the_watch_is_told),
		TEST(test_a_kill_is_told_though_the_cgroup_is_gone_at_once),
		TEST(test_an_ordinary_end_is_no_kill_and_then_it_is_quiet),
		TEST(test_where_there_is_nothing_to_watch_it_says_so),
	};

	if (!cgroup_rig_possible()) {
		puts("needs root and a memory controller");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
