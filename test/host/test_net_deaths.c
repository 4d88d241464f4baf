/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever makes a guest's network dies half way, everywhere: it is taken back. Root.
 */
#include "journal/base/cleanup.h"
#include "supervisor/net/net.h"
#include "test/lib/net_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

/* The calls that change anything, or end it; between two of them a death is as one at the
 * next. NET_ALL=1 counts every call. */
static bool counts(pid_t pid)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return false;
	return getenv("NET_ALL") || info.entry.nr == SYS_ioctl || info.entry.nr == SYS_sendto ||
	       info.entry.nr == SYS_exit_group;
}

typedef int child_fn(const struct pod *p, void *arg);

/* It waits to be run, and ends with what @run returns. */
static pid_t start_traced(const struct pod *p, child_fn *run, void *arg)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void)raise(SIGSTOP);
		_exit(run(p, arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL,
				PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD), 0);
	return pid;
}

/* 0, or an errno. */
static int attach(const struct pod *p, void *arg)
{
	const struct guest *g = arg;
	auto_free char *args = NULL;
	struct err err = ERR_INIT;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)dup2(null, 1);
	(void)close(null);
	if (asprintf(&args, SHAPE, p->path, g->have) < 0)
		return ENOMEM;
	return -net_attach(json_tokener_parse(args), &err);
}

/* Run net_attach() in a child that dies as it enters its Nth call that counts; false: it
 * makes no more than that. */
static bool dies_at(const struct pod *p, struct guest *g, int n)
{
	pid_t pid = start_traced(p, attach, g);
	int status;

	for (;;) {
		(void)ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
		if (counts(pid) && n-- == 0)
			break;
	}
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return true;
}

/* What happens after the death, besides taking back. */
typedef void after_fn(struct pod *p, struct guest *dead);

static void take_back(struct pod *p, struct guest *dead)
{
	net_rig_unmake(p, dead);
}

/* Another guest comes; it, or what is left of the dead one, goes first: in turns, if not
 * all is to be done. */
static void outlive(struct pod *p, struct guest *dead)
{
	struct guest b;

	net_rig_make(p, &b, 8);
	assert_int_equal(net_rig_detach(p, dead, NULL), 0);
	net_rig_unmake(p, &b);
}

static void be_outlived(struct pod *p, struct guest *dead)
{
	struct guest b;

	net_rig_make(p, &b, 8);
	net_rig_unmake(p, &b);
	net_rig_unmake(p, dead);
}

static void come_and_go(struct pod *p, struct guest *dead)
{
	p->turn++;
	if (getenv("NET_ALL") || p->turn % 2 == 0)
		outlive(p, dead);
	if (getenv("NET_ALL") || p->turn % 2)
		be_outlived(p, dead);
}

static bool has_clsact(const struct pod *p)
{
	char now[4096];

	net_rig_snapshot(p, now, sizeof(now));
	return strstr(now, "qdisc clsact") != NULL;
}

/* Somebody else makes an empty qdisc where ours is not yet. */
static void add_foreign(struct pod *p, struct guest *dead)
{
	bool ours = has_clsact(p);

	if (!ours)
		net_rig_run(IN_POD "tc qdisc add dev eth0 clsact", p->path);
	assert_int_equal(net_rig_detach(p, dead, NULL), 0);
	if (has_clsact(p) == ours)
		fail_msg("%s", ours ? "our qdisc stays" : "somebody else's qdisc is gone");
	if (!ours)
		net_rig_run(IN_POD "tc qdisc del dev eth0 clsact", p->path);
}

/* At every @stride'th effect; NET_ALL=1: at each. */
static void kill_at(struct pod *p, int digit, int stride, after_fn *after)
{
	char had[4096];
	char now[4096];
	struct guest g;
	int deaths = 0;
	bool died = true;

	if (getenv("NET_ALL"))
		stride = 1;
	net_rig_snapshot(p, had, sizeof(had));
	for (int n = 0; died; n += stride) {
		net_rig_look(p, &g, digit);
		died = dies_at(p, &g, n);
		deaths += died;
		after(p, &g);
		net_rig_snapshot(p, now, sizeof(now));
		if (strcmp(now, had) != 0)
			fail_msg("killed at call %d, and this is left:\n%s", n, now);
	}
	print_message("# %d deaths\n", deaths);
	assert_true(deaths > 15 / stride);
}

static void test_killed_at_every_effect_it_is_taken_back(void **state)
{
	kill_at(*state, 1, 1, take_back);
}

static void test_killed_at_every_effect_beside_another_guest_too(void **state)
{
	struct pod *p = *state;
	struct guest a;

	net_rig_make(p, &a, 1);
	kill_at(p, 2, 1, take_back);
	net_rig_unmake(p, &a);
	net_rig_as_before(p);
}

static void test_what_a_dead_one_left_stops_no_other_guest(void **state)
{
	kill_at(*state, 1, 3, come_and_go);
}

static void test_what_a_dead_one_behind_nat_left_stops_no_other_guest(void **state)
{
	struct pod *p = *state;

	p->nat = true;
	kill_at(p, 1, 2, come_and_go);
}

static void test_killed_at_every_effect_beside_another_guest_behind_nat(void **state)
{
	struct pod *p = *state;
	struct guest a;

	p->nat = true;
	net_rig_make(p, &a, 1);
	kill_at(p, 2, 4, take_back);
	net_rig_unmake(p, &a);
	net_rig_as_before(p);
}

static void test_a_qdisc_that_somebody_adds_after_the_death_stays(void **state)
{
	kill_at(*state, 1, 2, add_foreign);
}

/* ---- many at once ------------------------------------------------------------------ */

#define CROWD 5
#define TRIES 50

struct member {
	struct guest g;
	int digit;
	int rows[2]; /* what it writes down before it makes anything; each begins with a comma */
	pid_t pid;   /* 0: it has ended       */
	int left;    /* calls until it dies; -1: it doesn't */
	bool lives;  /* it has made all of it */
};

/* What net_look() prints goes to a file without a name. */
static int look(const struct pod *p, struct member *m)
{
	auto_free char *args = NULL;
	auto_fd int fd = memfd_create("look", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	char text[1024] = "";
	int rc;

	if (fd < 0 || dup2(fd, 1) < 0 || asprintf(&args, SHAPE, p->path, p->nat ? STATIC : "") < 0)
		return -ENOMEM;
	rc = net_look(json_tokener_parse(args), &err);
	if (rc < 0 || setns(p->own, CLONE_NEWNET) < 0)
		return rc < 0 ? rc : -errno;
	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return -EIO;
	return net_rig_name(&m->g, text, m->digit, p->nat);
}

/* As the step: look, write down, make; and look again if somebody was faster. */
static int join(const struct pod *p, void *arg)
{
	struct member *m = arg;
	int rc = EAGAIN;

	for (int i = 0; rc == EAGAIN && i < TRIES; i++) {
		if (look(p, m) < 0 ||
		    dprintf(m->rows[1], "%s", m->g.have) != (int)strlen(m->g.have))
			return EIO;
		rc = attach(p, &m->g);
		if (setns(p->own, CLONE_NEWNET) < 0)
			return errno;
	}
	return rc;
}

static struct member *find(struct member *all, pid_t pid)
{
	for (int i = 0; i < CROWD; i++)
		if (all[i].pid == pid)
			return &all[i];
	return NULL;
}

/* All run until they have ended, or died where they are to. */
static void run_crowd(struct member *all)
{
	int status;
	int running = CROWD;

	for (int i = 0; i < CROWD; i++)
		(void)ptrace(PTRACE_SYSCALL, all[i].pid, NULL, NULL);
	while (running > 0) {
		pid_t pid = waitpid(-1, &status, __WALL);
		struct member *m = find(all, pid);

		if (!m)
			continue; /* the pod's, or another job's */
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (WIFEXITED(status))
				assert_int_equal(WEXITSTATUS(status), 0);
			m->lives = WIFEXITED(status);
			m->pid = 0;
			running--;
		} else if (counts(pid) && m->left-- == 0) {
			(void)kill(pid, SIGKILL);
		} else {
			(void)ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
		}
	}
}

/* The last row; the ones before it came to nothing, and said so. */
static void read_row(const struct pod *p, struct member *m)
{
	const char *begin = p->nat ? STATIC : ",\"netns\"";
	char text[65536];
	ssize_t n;
	char *last = NULL;

	m->g.have[0] = '\0';
	n = read(m->rows[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	for (char *at = text; (at = strstr(at, begin)); at++)
		last = at;
	if (last)
		(void)snprintf(m->g.have, sizeof(m->g.have), "%s", last);
}

static void one_crowd(struct pod *p, unsigned int *seed)
{
	struct member all[CROWD] = { 0 };
	int first = rand_r(seed) % CROWD;

	for (int i = 0; i < CROWD; i++) {
		all[i].digit = i + 1;
		/* Every second one dies, before it can have made all. */
		all[i].left = i % 2 ? rand_r(seed) % (getenv("NET_ALL") ? 60 : 20) : -1;
		assert_int_equal(pipe2(all[i].rows, O_CLOEXEC | O_NONBLOCK), 0);
		all[i].pid = start_traced(p, join, &all[i]);
	}
	run_crowd(all);
	for (int i = 0; i < CROWD; i++) {
		struct member *m = &all[(first + i) % CROWD];

		assert_int_equal(m->lives, m->digit % 2);
		read_row(p, m);
		if (m->g.have[0])
			assert_int_equal(net_rig_detach(p, &m->g, NULL), 0);
		else
			assert_false(m->lives);
		(void)close(m->rows[0]);
		(void)close(m->rows[1]);
	}
	net_rig_as_before(p);
}

static void test_many_come_at_once_and_some_die(void **state)
{
	struct pod *p = *state;
	int rounds = getenv("NET_ALL") ? 200 : 2;
	unsigned int seed = 1;

	for (int i = 0; i < rounds; i++) {
		p->nat = i % 2;
		one_crowd(p, &seed);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, net_rig_up, net_rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_killed_at_every_effect_it_is_taken_back),
		TEST(test_killed_at_every_effect_beside_another_guest_too),
		TEST(test_what_a_dead_one_left_stops_no_other_guest),
		TEST(test_what_a_dead_one_behind_nat_left_stops_no_other_guest),
		TEST(test_killed_at_every_effect_beside_another_guest_behind_nat),
		TEST(test_a_qdisc_that_somebody_adds_after_the_death_stays),
		TEST(test_many_come_at_once_and_some_die),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
