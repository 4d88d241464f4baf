/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom a recovery leaves alone: shims that live, tasks that are known, processes that only
 * have the number, or stand where ours stood.
 */
#include "test/lib/sim_life.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- a shim that lives -------------------------------------------------------------------- */

static enum part with_a_living_shim(struct stage *s, unsigned flags)
{
	pid_t real;
	enum part p;

	s->until = UNTIL_STARTED;
	s->flags = flags;
	real = stage_shim(s);
	sim_pass(s->sim, OLD_MS);
	p = stage_recover(s);
	stage_end(s, real);
	return p;
}

static void a_known_task_of_a_living_shim_is_left_alone(void **state)
{
	struct stage s = { .until = 0 };

	(void)state;
	stage_open(&s);
	assert_int_equal(with_a_living_shim(&s, 0), PART_HEALTHY);
	stage_close(&s);
}

static void a_daemon_that_is_down_forgets_nothing(void **state)
{
	struct stage s = { .until = 0 };

	(void)state;
	stage_open(&s);
	s.sim->containerd_down = true;
	assert_int_equal(with_a_living_shim(&s, 0), PART_HEALTHY);
	stage_close(&s);
}

static void a_daemon_that_is_down_is_asked_once(void **state)
{
	struct stage s = { .until = 0, .shared = true };

	(void)state;
	stage_open(&s);
	s.sim->containerd_down = true;
	assert_int_equal(with_a_living_shim(&s, 0), PART_HEALTHY);
	assert_int_equal(s.sim->asked, 1);
	stage_close(&s);
}

static void what_containerd_knows_a_second_later_is_left_alone(void **state)
{
	struct stage s = { .until = 0 };

	(void)state;
	stage_open(&s);
	s.sim->containerd_knows = false;
	s.sim->learns_at = 3; /* it has just come up, and is still reading its tasks */
	assert_int_equal(with_a_living_shim(&s, 0), PART_HEALTHY);
	stage_close(&s);
}

static void a_shim_of_other_tasks_is_not_killed_for_one(void **state)
{
	struct stage s = { .until = 0, .shared = true };
	int shims = 0;

	(void)state;
	stage_open(&s);
	assert_int_equal(with_a_living_shim(&s, RECOVER_DELETE), PART_LEFT);
	for (int i = 0; i < SIM_PROCS; i++)
		shims += strcmp(s.sim->procs[i].comm, "shim") == 0 && !s.sim->procs[i].zombie;
	assert_int_equal(shims, 1);
	stage_close(&s);
}

static void a_client_keeps_a_shim(void **state)
{
	struct stage s = { .until = 0 };

	(void)state;
	stage_open(&s);
	s.sim->containerd_knows = false;
	s.sim->peers = 1;
	assert_int_equal(with_a_living_shim(&s, 0), PART_HEALTHY);
	stage_close(&s);
}

static void a_forgotten_task_of_a_living_shim_is_taken_down(void **state)
{
	struct stage s = { .until = 0 };

	(void)state;
	stage_open(&s);
	s.sim->containerd_knows = false;
	assert_int_equal(with_a_living_shim(&s, 0), PART_OK);
	stage_holds_nothing(&s, "forgotten", 0, 0);
	stage_close(&s);
}

static void an_operator_may_answer_for_a_daemon_that_is_down(void **state)
{
	struct stage s = { .until = 0 };

	(void)state;
	stage_open(&s);
	s.sim->containerd_down = true;
	assert_int_equal(with_a_living_shim(&s, RECOVER_FORGOTTEN), PART_OK);
	stage_holds_nothing(&s, "forgotten", 0, 0);
	stage_close(&s);
}

static void containerds_verdict_ends_a_living_shim(void **state)
{
	struct stage s = { .until = 0 };

	(void)state;
	stage_open(&s);
	assert_int_equal(with_a_living_shim(&s, RECOVER_DELETE), PART_OK);
	stage_holds_nothing(&s, "delete", 0, 0);
	/* Asked again, the history answers. */
	assert_int_equal(stage_recover(&s), PART_OK);
	stage_close(&s);
}

/* ---- whom a recovery must not kill ---------------------------------------------------------- */

static void an_operator_in_the_bundle_is_no_stray(void **state)
{
	struct stage s = { .until = UNTIL_STARTED };
	struct sim_proc *shell, *stray;
	pid_t pid, lost;

	(void)state;
	stage_open(&s);
	assert_int_equal(stage_life(&s), PART_OK);
	shell = sim_proc_new(s.sim, "bash", 2);
	pid = shell->ident.pid;
	(void)snprintf(shell->cwd, sizeof(shell->cwd), "/b/t1");
	stray = sim_proc_new(s.sim, "hook", 1);
	lost = stray->ident.pid;
	(void)snprintf(stray->cwd, sizeof(stray->cwd), "/b/t1");
	sim_pass(s.sim, OLD_MS);
	assert_int_equal(stage_recover(&s), PART_OK);
	assert_non_null(sim_find(s.sim, pid));
	assert_null(sim_find(s.sim, lost));
	stage_close(&s);
}

/* A boot later the same number may have begun at the same tick. */
static void a_process_of_now_is_none_of_an_earlier_epoch(const char *epoch)
{
	int calls = stage_calls(UNTIL_GONE, false);

	for (int at = 1; at <= calls; at += 7) {
		struct stage s = { .until = UNTIL_GONE, .flags = RECOVER_BOOT };
		struct ident was[SIM_PROCS];
		int n = 0;

		stage_open(&s);
		s.sim->die_at = at;
		s.keep = true;
		assert_int_equal(stage_life(&s), PART_DIED);
		for (int i = 0; i < SIM_PROCS; i++)
			if (s.sim->procs[i].ident.pid > 2)
				was[n++] = s.sim->procs[i].ident;
		sim_dead(s.sim);
		sim_reboot(s.sim);
		if (epoch)
			(void)snprintf(s.sim->epoch, sizeof(s.sim->epoch), "%s", epoch);
		for (int i = 0; i < n; i++)
			sim_proc_new(s.sim, "innocent", 1)->ident = was[i];
		*s.before = *s.sim;
		assert_int_equal(stage_recover(&s), PART_OK);
		stage_holds_nothing(&s, "dead, rebooted, at call", at, 0);
		stage_close(&s);
	}
}

static void a_process_of_this_boot_is_none_of_an_earlier_one(void **state)
{
	(void)state;
	a_process_of_now_is_none_of_an_earlier_epoch(NULL);
}

/* A node that is a container begins again within one boot of the machine. */
static void a_process_of_this_pid_namespace_is_none_of_another(void **state)
{
	(void)state;
	a_process_of_now_is_none_of_an_earlier_epoch("boot-1 4026539001 4026539002");
}

/* Forked, let go by `start`, which is dead, and not yet at its lock. */
static void a_shim_that_is_just_starting_is_left_alone(void **state)
{
	int seen = 0;

	(void)state;
	for (int at = 1; at <= stage_calls(UNTIL_SERVED, false); at++) {
		struct stage s = { .until = UNTIL_SERVED };
		const struct sim_proc *shim = NULL;

		stage_open(&s);
		s.sim->die_at = at;
		assert_int_equal(stage_life(&s), PART_DIED);
		for (int i = 0; i < SIM_PROCS; i++)
			if (strcmp(s.sim->procs[i].comm, "shim") == 0)
				shim = &s.sim->procs[i];
		if (shim) {
			pid_t pid = shim->ident.pid;

			seen++;
			assert_int_equal(stage_recover(&s), PART_HEALTHY);
			assert_non_null(sim_find(s.sim, pid));
		}
		sim_pass(s.sim, OLD_MS);
		assert_int_equal(stage_recover(&s), PART_OK);
		stage_holds_nothing(&s, "starting, dead at call", at, 0);
		stage_close(&s);
	}
	assert_true(seen > 0);
}

static enum exit_how exit_of(int until, bool init_dies, bool native)
{
	struct stage s = { .until = until, .native = native };
	enum exit_how how;

	stage_open(&s);
	assert_int_equal(stage_life(&s), PART_OK);
	for (int i = 0; init_dies && i < SIM_PROCS; i++)
		if (s.sim->procs[i].ident.pid > 1 && strcmp(s.sim->procs[i].comm, "init") == 0)
			sim_kill(s.sim, &s.sim->procs[i], 9);
	sim_pass(s.sim, OLD_MS);
	assert_int_equal(stage_recover(&s), PART_OK);
	how = (enum exit_how)s.sim->exit_how;
	stage_close(&s);
	return how;
}

static void an_exit_is_known_as_what_it_was(void **state)
{
	(void)state;
	for (int native = 0; native <= 1; native++) {
		assert_int_equal(exit_of(UNTIL_STARTED, false, native), EXIT_KILLED);
		assert_int_equal(exit_of(UNTIL_STARTED, true, native), EXIT_UNKNOWN);
		assert_int_equal(exit_of(UNTIL_KILLED, false, native), EXIT_REAPED);
		assert_int_equal(exit_of(UNTIL_SERVED, false, native), EXIT_NONE_);
	}
}

static void a_pid_that_is_another_process_now_is_left_alone(void **state)
{
	struct stage s = { .until = UNTIL_STARTED };
	struct sim_proc *other = NULL;
	struct ident was;

	(void)state;
	stage_open(&s);
	assert_int_equal(stage_life(&s), PART_OK);
	for (int i = 0; i < SIM_PROCS; i++)
		if (strcmp(s.sim->procs[i].root, "/b/t1/rootfs") == 0)
			other = &s.sim->procs[i];
	assert_non_null(other);
	was = other->ident;
	sim_kill(s.sim, other, 9);
	sim_pass(s.sim, OLD_MS);
	other = sim_proc_new(s.sim, "innocent", 1);
	other->ident.pid = was.pid;
	assert_int_equal(stage_recover(&s), PART_OK);
	assert_non_null(sim_find(s.sim, was.pid));
	stage_close(&s);
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_known_task_of_a_living_shim_is_left_alone),
		TEST(a_daemon_that_is_down_forgets_nothing),
		TEST(a_daemon_that_is_down_is_asked_once),
		TEST(what_containerd_knows_a_second_later_is_left_alone),
		TEST(a_shim_of_other_tasks_is_not_killed_for_one),
		TEST(a_client_keeps_a_shim),
		TEST(a_forgotten_task_of_a_living_shim_is_taken_down),
		TEST(an_operator_may_answer_for_a_daemon_that_is_down),
		TEST(containerds_verdict_ends_a_living_shim),
		TEST(an_operator_in_the_bundle_is_no_stray),
		TEST(a_process_of_this_boot_is_none_of_an_earlier_one),
		TEST(a_process_of_this_pid_namespace_is_none_of_another),
		TEST(a_shim_that_is_just_starting_is_left_alone),
		TEST(an_exit_is_known_as_what_it_was),
		TEST(a_pid_that_is_another_process_now_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
