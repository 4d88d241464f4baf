/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lives of a task with the real steps on a simulated machine. At every call of the seam
 * one life dies, and in another that call fails; then recovery comes, and may die too.
 */
#include "supervisor/engine/doctor.h"
#include "test/lib/sim_life.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define OLD_MS (RECOVER_YOUNG_MS + 1000) /* nobody is young any more */

static void must_hold_nothing(struct stage *s, const char *what, int at, int then)
{
	char left[8192];

	if (*stage_left(s, left, sizeof(left)))
		fail_msg("%s %d, %d: left:\n%s", what, at, then, left);
}

static int calls_of_a_life(int until)
{
	struct stage s = { .until = until };
	int calls;

	stage_open(&s);
	assert_int_equal(stage_life(&s), PART_OK);
	calls = s.sim->calls;
	stage_close(&s);
	return calls;
}

static void a_whole_life_leaves_nothing(void **state)
{
	struct stage s = { .until = UNTIL_GONE };

	(void)state;
	stage_open(&s);
	assert_int_equal(stage_life(&s), PART_OK);
	must_hold_nothing(&s, "life", 0, 0);
	stage_close(&s);
}

static void a_life_that_ends_anywhere_is_recovered(void **state)
{
	(void)state;
	for (int until = UNTIL_SERVED; until < UNTIL_GONE; until++) {
		struct stage s = { .until = until };

		stage_open(&s);
		assert_int_equal(stage_life(&s), PART_OK);
		sim_pass(s.sim, OLD_MS);
		assert_int_equal(stage_recover(&s), PART_OK);
		must_hold_nothing(&s, "until", until, 0);
		stage_close(&s);
	}
}

/* Die at one call; recover. */
static void a_death_at_any_call_is_recovered(void **state)
{
	int calls = calls_of_a_life(UNTIL_GONE);

	(void)state;
	for (int at = 1; at <= calls; at++) {
		struct stage s = { .until = UNTIL_GONE };

		stage_open(&s);
		s.sim->die_at = at;
		assert_int_equal(stage_life(&s), PART_DIED);
		sim_pass(s.sim, OLD_MS);
		if (stage_recover(&s) != PART_OK)
			fail_msg("dead at call %d: recovery did not do it", at);
		must_hold_nothing(&s, "dead at call", at, 0);
		stage_close(&s);
	}
	print_message("# %d deaths\n", calls);
}

static int recovery_dies(int at, int then)
{
	struct stage s = { .until = UNTIL_GONE };
	enum part p;

	stage_open(&s);
	s.sim->die_at = at;
	assert_int_equal(stage_life(&s), PART_DIED);
	sim_pass(s.sim, OLD_MS);
	s.sim->die_at = then;
	p = stage_recover(&s);
	if (p == PART_DIED && stage_recover(&s) != PART_OK)
		fail_msg("dead at call %d, recovery at %d: not done", at, then);
	must_hold_nothing(&s, "dead at calls", at, then);
	stage_close(&s);
	return p == PART_DIED;
}

/* Coprime strides, so that all kinds of pairs come together; SIM_ALL=1 takes every pair. */
static void a_recovery_that_dies_is_recovered(void **state)
{
	int calls = calls_of_a_life(UNTIL_GONE);
	bool all = getenv("SIM_ALL") != NULL;
	int n = 0;

	(void)state;
	for (int at = 1; at <= calls; at += all ? 1 : 7)
		for (int then = 1 + (all ? 0 : at % 11);; then += all ? 1 : 11) {
			n++;
			if (!recovery_dies(at, then))
				break;
		}
	print_message("# %d pairs\n", n);
}

/* A call fails. A create that failed holds nothing, as soon as it has answered, unless
 * it says that it could not; and recovery then can. */
static void a_failure_at_any_call_is_taken_back(void **state)
{
	int calls = calls_of_a_life(UNTIL_GONE);

	(void)state;
	for (int at = 1; at <= calls; at++) {
		struct stage s = { .until = UNTIL_GONE };
		enum part p;

		stage_open(&s);
		s.sim->fail_at = at;
		s.sim->fail_code = EIO;
		p = stage_life(&s);
		if (p == PART_DIED || p == PART_BROKEN)
			fail_msg("failed at call %d: ended %d", at, p);
		sim_pass(s.sim, OLD_MS);
		if (stage_recover(&s) != PART_OK)
			fail_msg("failed at call %d: recovery did not do it", at);
		must_hold_nothing(&s, "failed at call", at, 0);
		stage_close(&s);
	}
}

static void a_failed_create_leaves_no_living_task(void **state)
{
	struct stage s = { .until = UNTIL_CREATED };
	char left[8192];

	(void)state;
	stage_open(&s);
	(void)snprintf(s.sim->runtime_fails, sizeof(s.sim->runtime_fails), "create");
	assert_int_equal(stage_life(&s), PART_FAILED);
	stage_left(&s, left, sizeof(left));
	assert_null(strstr(left, "process init"));
	assert_null(strstr(left, "mount"));
	assert_null(strstr(left, "/run/containerd/runc"));
	assert_null(strstr(left, "cgroup"));
	sim_pass(s.sim, OLD_MS);
	assert_int_equal(stage_recover(&s), PART_OK);
	must_hold_nothing(&s, "failed create", 0, 0);
	stage_close(&s);
}

static void what_stood_there_before_is_left_alone(void **state)
{
	struct stage s = { .until = UNTIL_CREATED };
	struct sim_proc *other;

	(void)state;
	stage_open(&s);
	sim_make(s.sim, "/run/containerd/runc/default/t1", S_IFDIR | 0711);
	sim_make(s.sim, "/sys/fs/cgroup/default", S_IFDIR | 0755);
	sim_make(s.sim, "/sys/fs/cgroup/default/t1", S_IFDIR | 0755);
	other = sim_proc_new(s.sim, "other", 1);
	(void)snprintf(other->cgroup, sizeof(other->cgroup), "/sys/fs/cgroup/default/t1");
	(void)snprintf(other->cwd, sizeof(other->cwd), "/b");
	*s.before = *s.sim;
	assert_int_equal(stage_life(&s), PART_FAILED);
	sim_pass(s.sim, OLD_MS);
	assert_int_equal(stage_recover(&s), PART_OK);
	must_hold_nothing(&s, "foreign", 0, 0);
	assert_non_null(sim_find(s.sim, other->ident.pid));
	stage_close(&s);
}

static void a_reboot_leaves_only_rows(void **state)
{
	struct stage s = { .until = UNTIL_STARTED, .flags = RECOVER_BOOT };

	(void)state;
	stage_open(&s);
	assert_int_equal(stage_life(&s), PART_OK);
	sim_reboot(s.sim);
	*s.before = *s.sim;
	assert_int_equal(stage_recover(&s), PART_OK);
	must_hold_nothing(&s, "reboot", 0, 0);
	stage_close(&s);
}

static void the_boot_hook_leaves_this_boot_alone(void **state)
{
	struct stage s = { .until = UNTIL_STARTED, .flags = RECOVER_BOOT };

	(void)state;
	stage_open(&s);
	assert_int_equal(stage_life(&s), PART_OK);
	assert_int_equal(stage_recover(&s), PART_HEALTHY);
	stage_close(&s);
}

static void a_dry_run_touches_nothing(void **state)
{
	struct stage s = { .until = UNTIL_STARTED, .flags = RECOVER_DRY };
	char left[8192], again[8192];

	(void)state;
	stage_open(&s);
	assert_int_equal(stage_life(&s), PART_OK);
	sim_pass(s.sim, OLD_MS);
	stage_left(&s, left, sizeof(left));
	assert_int_equal(stage_recover(&s), PART_OK);
	assert_string_equal(stage_left(&s, again, sizeof(again)), left);
	stage_close(&s);
}

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
	must_hold_nothing(&s, "forgotten", 0, 0);
	stage_close(&s);
}

static void an_operator_may_answer_for_a_daemon_that_is_down(void **state)
{
	struct stage s = { .until = 0 };

	(void)state;
	stage_open(&s);
	s.sim->containerd_down = true;
	assert_int_equal(with_a_living_shim(&s, RECOVER_FORGOTTEN), PART_OK);
	must_hold_nothing(&s, "forgotten", 0, 0);
	stage_close(&s);
}

static void containerds_verdict_ends_a_living_shim(void **state)
{
	struct stage s = { .until = 0 };

	(void)state;
	stage_open(&s);
	assert_int_equal(with_a_living_shim(&s, RECOVER_DELETE), PART_OK);
	must_hold_nothing(&s, "delete", 0, 0);
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

/* ---- doctor ------------------------------------------------------------------------------------ */

static void collect(void *arg, const struct finding *f)
{
	char *text = arg;

	(void)snprintf(text + strlen(text), 200, "%s %s: %.100s\n", f->code, f->key.id, f->text);
}

static int doctor_says(struct stage *s, char *text)
{
	struct err err = ERR_INIT;
	struct sim_node node;
	struct engine e = { .node = &node.node, .config = &s->config };
	int n;

	*text = '\0';
	sim_node_init(&node, s->sim);
	sim_play(s->sim, "uruncctl");
	n = doctor(&e, &s->place, collect, text, &err);
	sim_dead(s->sim);
	return n;
}

static void the_doctor_finds_what_is_wrong_and_nothing_else(void **state)
{
	struct stage s = { .until = UNTIL_STARTED };
	char text[8192], left[8192], again[8192];
	pid_t real;

	(void)state;
	stage_open(&s);
	assert_int_equal(doctor_says(&s, text), 0);
	real = stage_shim(&s);
	sim_pass(s.sim, OLD_MS);
	stage_left(&s, left, sizeof(left));
	assert_int_equal(doctor_says(&s, text), 0);
	sim_make(s.sim, "/run/runc/t1", S_IFDIR | 0711);
	for (int i = 0; i < SIM_MOUNTS; i++)
		if (strcmp(s.sim->mounts[i].target, "/b/t1/rootfs") == 0)
			s.sim->mounts[i].id = 0;
	assert_int_equal(doctor_says(&s, text), 2);
	assert_non_null(strstr(text, "UR011 t1: runtime state /run/runc/t1"));
	assert_non_null(strstr(text, "UR002 t1: mount"));
	stage_end(&s, real);
	sim_kill(s.sim, sim_find(s.sim, real), 9);
	assert_true(doctor_says(&s, text) > 0);
	assert_non_null(strstr(text, "UR001 t1"));
	stage_left(&s, again, sizeof(again));
	assert_non_null(strstr(left, "process init"));
	stage_close(&s);
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_whole_life_leaves_nothing),
		TEST(a_life_that_ends_anywhere_is_recovered),
		TEST(a_death_at_any_call_is_recovered),
		TEST(a_recovery_that_dies_is_recovered),
		TEST(a_failure_at_any_call_is_taken_back),
		TEST(a_failed_create_leaves_no_living_task),
		TEST(what_stood_there_before_is_left_alone),
		TEST(a_reboot_leaves_only_rows),
		TEST(the_boot_hook_leaves_this_boot_alone),
		TEST(a_dry_run_touches_nothing),
		TEST(a_known_task_of_a_living_shim_is_left_alone),
		TEST(a_daemon_that_is_down_forgets_nothing),
		TEST(a_client_keeps_a_shim),
		TEST(a_forgotten_task_of_a_living_shim_is_taken_down),
		TEST(an_operator_may_answer_for_a_daemon_that_is_down),
		TEST(containerds_verdict_ends_a_living_shim),
		TEST(an_operator_in_the_bundle_is_no_stray),
		TEST(a_pid_that_is_another_process_now_is_left_alone),
		TEST(the_doctor_finds_what_is_wrong_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
