/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lives of a task whose journal is torn afterwards: what the host proves to be its is
 * taken back, and what is not is told.
 */
#include "test/lib/sim_life.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* Who made an empty cgroup above the task's nobody can tell: one that stood there. */
static void stage_with_cgroup(struct stage *s)
{
	stage_open(s);
	sim_make(s->sim, "/sys/fs/cgroup/default", S_IFDIR | 0755);
	*s->before = *s->sim;
}

static void a_torn_journal_is_rebuilt_from_the_host(void **state)
{
	(void)state;
	for (int until = UNTIL_SERVED; until < UNTIL_GONE; until++) {
		struct stage s = { .until = until, .flags = RECOVER_DELETE };

		stage_with_cgroup(&s);
		assert_int_equal(stage_life(&s), PART_OK);
		stage_tear(&s);
		sim_pass(s.sim, OLD_MS);
		assert_int_equal(stage_recover(&s), PART_OK);
		stage_holds_nothing(&s, "torn, until", until, 0);
		stage_close(&s);
	}
}

/* A server that was forked and has no lock yet answers on the socket. */
static bool somebody_answers(struct stage *s)
{
	for (size_t i = 0; i < SIM_FILES; i++)
		if (strncmp(s->sim->files[i].path, "/run/containerd/s/", 18) == 0 &&
		    sim_find(s->sim, s->sim->files[i].owner))
			return true;
	return false;
}

/* Half way through a create not all can be proved: then it is left, and said so. */
static void a_torn_journal_after_any_death_is_rebuilt_or_told(void **state)
{
	int at, told = 0;

	(void)state;
	for (at = 1;; at++) {
		struct stage s = { .until = UNTIL_GONE, .flags = RECOVER_DELETE };
		char left[8192];
		enum part p;

		stage_with_cgroup(&s);
		s.sim->die_at = at;
		p = stage_life(&s);
		if (p != PART_DIED) {
			assert_int_equal(p, PART_OK);
			stage_close(&s);
			break;
		}
		stage_tear(&s);
		sim_pass(s.sim, OLD_MS);
		p = stage_recover(&s);
		assert_true(p == PART_OK || p == PART_LEFT || somebody_answers(&s));
		if (p == PART_OK)
			stage_holds_nothing(&s, "torn, dead at call", at, 0);
		told += p != PART_OK;
		stage_left(&s, left, sizeof(left));
		if (p == PART_FAILED)
			assert_non_null(strstr(left, "live journal"));
		else if (strstr(left, "mount") || strstr(left, "/run/containerd/s/") || strstr(left, "live"))
			fail_msg("torn, dead at call %d: left:\n%s", at, left);
		stage_close(&s);
	}
	print_message("# %d deaths, %d where something could not be proved\n", at - 1, told);
}

static void kill_all_of(struct stage *s, const char *comm)
{
	for (int i = 0; i < SIM_PROCS; i++)
		if (s->sim->procs[i].ident.pid > 2 && strcmp(s->sim->procs[i].comm, comm) == 0)
			sim_kill(s->sim, &s->sim->procs[i], 9);
}

/* A stray in state D stops the undo; and who is in the cgroup nobody can tell. */
static void what_is_stuck_and_what_is_unclear_stay_both(void **state)
{
	struct stage s = { .until = UNTIL_STARTED, .flags = RECOVER_DELETE };
	struct sim_proc *stray, *foreign;
	pid_t pid;

	(void)state;
	stage_with_cgroup(&s);
	assert_int_equal(stage_life(&s), PART_OK);
	kill_all_of(&s, "init");
	stage_tear(&s);
	stray = sim_proc_new(s.sim, "hook", 1);
	(void)snprintf(stray->cwd, sizeof(stray->cwd), "/b/t1");
	stray->immortal = true;
	foreign = sim_proc_new(s.sim, "sh", 1);
	pid = foreign->ident.pid;
	(void)snprintf(foreign->cgroup, sizeof(foreign->cgroup), "/sys/fs/cgroup/default/t1");
	sim_pass(s.sim, OLD_MS);
	assert_int_equal(stage_recover(&s), PART_LEFT);
	stray->immortal = false;
	assert_int_equal(stage_recover(&s), PART_OK);
	assert_non_null(sim_find(s.sim, pid));
	stage_close(&s);
}

static void a_rebuilding_that_dies_is_gone_on_with(void **state)
{
	enum part p = PART_DIED;

	(void)state;
	for (int at = 1; p == PART_DIED; at++) {
		struct stage s = { .until = UNTIL_STARTED, .flags = RECOVER_DELETE };

		stage_with_cgroup(&s);
		assert_int_equal(stage_life(&s), PART_OK);
		stage_tear(&s);
		sim_pass(s.sim, OLD_MS);
		s.sim->die_at = at;
		p = stage_recover(&s);
		if (p == PART_DIED && stage_recover(&s) != PART_OK)
			fail_msg("rebuilding dead at %d: not done", at);
		stage_holds_nothing(&s, "rebuilding dead at", at, 0);
		stage_close(&s);
	}
}

/* What can't be looked at proves nothing: it is not the same as what is not there. */
static void a_rebuilding_whose_call_fails_is_gone_on_with(void **state)
{
	bool failed = true;

	(void)state;
	for (int at = 1; failed; at++) {
		struct stage s = { .until = UNTIL_STARTED, .flags = RECOVER_DELETE };

		stage_with_cgroup(&s);
		assert_int_equal(stage_life(&s), PART_OK);
		stage_tear(&s);
		sim_pass(s.sim, OLD_MS);
		s.sim->calls = 0;
		s.sim->fail_at = at;
		s.sim->fail_code = ENOMEM;
		if (stage_recover(&s) != PART_OK && stage_recover(&s) != PART_OK)
			fail_msg("rebuilding, call %d failed: not done", at);
		failed = s.sim->calls >= at;
		stage_holds_nothing(&s, "rebuilding, call failed", at, 0);
		stage_close(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_torn_journal_is_rebuilt_from_the_host),
		cmocka_unit_test(a_torn_journal_after_any_death_is_rebuilt_or_told),
		cmocka_unit_test(what_is_stuck_and_what_is_unclear_stay_both),
		cmocka_unit_test(a_rebuilding_that_dies_is_gone_on_with),
		cmocka_unit_test(a_rebuilding_whose_call_fails_is_gone_on_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
