/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lives of a task with the real steps on a simulated machine. At every call of the seam
 * one life dies, and in another that call fails; then recovery comes, and may die too.
 *
 *   SIM_ALL=1        everything (default: pairs and writes are sampled)
 *   SIM_TEST=*disk*  those tests alone
 */
#include "supervisor/engine/doctor.h"
#include "supervisor/oci/runtime.h"
#include "test/lib/sim_player.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(URUNC_AMNESIA)
#define SPARSE 7 /* of what other builds do whole, in this slower one */
#else
#define SPARSE 1
#endif

/* What was freed would be kept, to be copied by thousands of forks: three quarters of the
 * time. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=1";
}

static int stride(bool sampled, int by)
{
	return getenv("SIM_ALL") ? 1 : sampled ? by * SPARSE : by;
}

/* Of a container; of a unikernel; of one that only its rootfs knows to be one. */
static struct stage stage_of(void *const *state)
{
	const bool *late = *state;

	return (struct stage){ .until = UNTIL_GONE, .native = late, .late = late && *late };
}

static void a_whole_life_leaves_nothing(void **state)
{
	struct stage s = stage_of(state);

	stage_open(&s);
	assert_int_equal(stage_life(&s), PART_OK);
	stage_holds_nothing(&s, "life", 0, 0);
	stage_close(&s);
}

static int add_kind(void *arg, const struct step_row *row, struct err *err)
{
	char *text = arg;

	(void)err;
	if (row->state == ROW_DONE)
		(void)snprintf(text + strlen(text), 64, "%.60s ", row->kind);
	return 0;
}

static void what_its_rootfs_says_is_a_unikernel_is_launched_as_one(void **state)
{
	struct stage s = { .until = UNTIL_CREATED, .native = true, .late = true };
	char done[2048] = "";
	struct task_row task;
	struct task_key key;
	struct journal *j;

	(void)state;
	stage_open(&s);
	assert_int_equal(stage_life(&s), PART_OK);
	assert_int_equal(task_key_make(&key, "/run/c.sock", "default", s.id, NULL), 0);
	assert_int_equal(journal_open(&j, &s.place, &key, JOURNAL_READ, NULL), 0);
	assert_int_equal(journal_task(j, &task, NULL), 0);
	assert_string_equal(task.runtime, RUNTIME_NATIVE_NAME);
	assert_int_equal(journal_each_step(j, 0, OLDEST_FIRST, add_kind, done, NULL), 0);
	assert_string_equal(done, "socket address server bundle mount unikernel cgroup limits "
			    "rootfs-choice launch network ");
	task_row_clear(&task);
	journal_close(j);
	stage_close(&s);
}

static void a_life_that_ends_anywhere_is_recovered(void **state)
{
	for (int until = UNTIL_SERVED; until < UNTIL_GONE; until++) {
		struct stage s = { .until = until, .native = *state != NULL };

		stage_open(&s);
		assert_int_equal(stage_life(&s), PART_OK);
		sim_pass(s.sim, OLD_MS);
		assert_int_equal(stage_recover(&s), PART_OK);
		stage_holds_nothing(&s, "until", until, 0);
		stage_close(&s);
	}
}

/* Dead at one call; recover. */
static void is_recovered(struct stage *left, int at, void *arg)
{
	const int *before = arg; /* the death of who was recovering; NULL: nobody's */

	sim_pass(left->sim, OLD_MS);
	if (stage_recover(left) != PART_OK)
		fail_msg("dead at call %d, %d: recovery did not do it", before ? *before : 0, at);
	stage_holds_nothing(left, "dead at call", before ? *before : 0, at);
}

static void a_death_at_any_call_is_recovered(void **state)
{
	struct stage s = stage_of(state);
	int step = s.late ? stride(true, 5) : 1;

	stage_open(&s);
	print_message("# %d deaths\n", stage_deaths(&s, play_life, 1, step, is_recovered, NULL));
	stage_holds_nothing(&s, "life", 0, 0);
	stage_close(&s);
}

/* Its recovery dies, too, at one call after another. */
static void is_recovered_in_the_end(struct stage *left, int at, void *arg)
{
	int step = stride(false, 11);
	int *pairs = arg;

	sim_pass(left->sim, OLD_MS);
	*pairs += stage_deaths(left, player_recover, 1 + at % step, step, is_recovered, &at);
	stage_holds_nothing(left, "dead at call", at, 0);
}

/* Coprime strides, so that all kinds of pairs come together; SIM_ALL=1 takes every pair. */
static void a_recovery_that_dies_is_recovered(void **state)
{
	struct stage s = { .until = UNTIL_GONE, .native = *state != NULL };
	int pairs = 0;

	stage_open(&s);
	(void)stage_deaths(&s, play_life, 1, stride(s.native, 7), is_recovered_in_the_end, &pairs);
	print_message("# pairs of %d calls\n", pairs);
	stage_close(&s);
}

/* A call fails. A create that failed holds nothing, as soon as it has answered, unless
 * it says that it could not; and recovery then can. */
static void a_failure_at_any_call_is_taken_back(void **state)
{
	int calls = stage_calls(UNTIL_GONE, *state != NULL);

	for (int at = 1; at <= calls; at += stride(*state != NULL, 1)) {
		struct stage s = { .until = UNTIL_GONE, .native = *state != NULL };
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
		stage_holds_nothing(&s, "failed at call", at, 0);
		stage_close(&s);
	}
}

/* One write of SQLite is refused, and all others are not. */
static void a_disk_that_fails_at_any_write_is_survived(void **state)
{
	int step = stride(true, 3), at = 1;
	bool failed = true;

	for (; failed; at += step) {
		struct stage s = { .until = UNTIL_GONE, .native = *state != NULL };
		enum part p;

		stage_open(&s);
		s.sim->write_fails = at;
		p = stage_life(&s);
		failed = s.sim->writes >= at;
		s.sim->write_fails = 0;
		if (p == PART_DIED || p == PART_BROKEN)
			fail_msg("write %d failed: ended %d", at, p);
		sim_pass(s.sim, OLD_MS);
		if (stage_recover(&s) != PART_OK)
			fail_msg("write %d failed: recovery did not do it", at);
		stage_holds_nothing(&s, "write failed", at, 0);
		stage_close(&s);
	}
	print_message("# %d writes\n", at / step);
	assert_true(at > 100);
}

static int read_exit(void *arg, const struct task_key *key, const char *file)
{
	struct journal *j = NULL;
	struct task_row task;

	(void)key;
	if (journal_open_file(&j, file, NULL) < 0)
		return 0;
	if (journal_task(j, &task, NULL) == 0) {
		*(enum exit_how *)arg = task.exit_how;
		task_row_clear(&task);
	}
	journal_close(j);
	return 0;
}

/* A recovery that died after all was done has told nobody: the history has. */
static enum exit_how exit_in_history(struct stage *s)
{
	enum exit_how how = EXIT_NONE_;

	assert_int_equal(journal_list(&s->place, JOURNAL_DONE, read_exit, &how, NULL), 0);
	return how;
}

/* Its journal is copied to /run then; that dies too, also between two writes. */
static void a_recovery_on_a_full_disk_may_die_anywhere(void **state)
{
	int step = stride(*state != NULL, 3), at = 1;
	enum part p = PART_DIED;

	for (; p == PART_DIED; at += step) {
		struct stage s = { .until = UNTIL_STARTED, .native = *state != NULL };

		stage_open(&s);
		assert_int_equal(stage_life(&s), PART_OK);
		sim_pass(s.sim, OLD_MS);
		s.sim->disk_full = s.sim->disk_counts = true;
		s.sim->die_at = at;
		p = stage_recover(&s);
		if (p == PART_DIED && stage_recover(&s) != PART_OK)
			fail_msg("on a full disk, dead at call %d: recovery did not do it", at);
		stage_holds_nothing(&s, "full disk, dead at call", at, 0);
		if (s.sim->exit_how != EXIT_KILLED)
			assert_int_equal(exit_in_history(&s), EXIT_KILLED);
		stage_close(&s);
	}
	print_message("# %d deaths on a full disk\n", at / step);
	assert_true(at > 100);
}

/* The copy's disk may fail as well, once. */
static void a_copy_that_fails_at_any_write_is_gone_on_with(void **state)
{
	int step = stride(*state != NULL, 3), at = 1;
	bool failed = true;

	for (; failed; at += step) {
		struct stage s = { .until = UNTIL_STARTED, .native = *state != NULL };
		enum part p;

		stage_open(&s);
		assert_int_equal(stage_life(&s), PART_OK);
		sim_pass(s.sim, OLD_MS);
		s.sim->disk_full = true;
		s.sim->writes = 0;
		s.sim->write_fails = at;
		p = stage_recover(&s);
		if (p == PART_DIED || p == PART_BROKEN)
			fail_msg("full, and write %d failed: ended %d", at, p);
		failed = s.sim->writes >= at;
		s.sim->write_fails = 0;
		if (stage_recover(&s) != PART_OK)
			fail_msg("full, and write %d failed: recovery did not do it", at);
		stage_holds_nothing(&s, "full, write failed", at, 0);
		stage_close(&s);
	}
	print_message("# %d writes\n", at / step);
	assert_true(at > 10);
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
	stage_holds_nothing(&s, "failed create", 0, 0);
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
	stage_holds_nothing(&s, "foreign", 0, 0);
	assert_non_null(sim_find(s.sim, other->ident.pid));
	stage_close(&s);
}

static void a_reboot_leaves_only_rows(void **state)
{
	struct stage s = { .until = UNTIL_STARTED, .flags = RECOVER_BOOT, .native = *state != NULL };

	stage_open(&s);
	assert_int_equal(stage_life(&s), PART_OK);
	sim_reboot(s.sim);
	*s.before = *s.sim;
	assert_int_equal(stage_recover(&s), PART_OK);
	stage_holds_nothing(&s, "reboot", 0, 0);
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
/* The same with a unikernel that no OCI runtime makes. */
#define UNIKERNEL(f) { #f "_unikernel", f, NULL, NULL, &unikernel }
/* The same with one that nobody but its rootfs knows to be one. */
#define LATE(f) { #f "_late_unikernel", f, NULL, NULL, &late }

int main(void)
{
	bool unikernel = false, late = true; /* see stage_of() */
	const struct CMUnitTest tests[] = {
		TEST(a_whole_life_leaves_nothing),
		UNIKERNEL(a_whole_life_leaves_nothing),
		LATE(a_whole_life_leaves_nothing),
		TEST(what_its_rootfs_says_is_a_unikernel_is_launched_as_one),
		TEST(a_life_that_ends_anywhere_is_recovered),
		UNIKERNEL(a_life_that_ends_anywhere_is_recovered),
		TEST(a_death_at_any_call_is_recovered),
		UNIKERNEL(a_death_at_any_call_is_recovered),
		LATE(a_death_at_any_call_is_recovered),
		TEST(a_recovery_that_dies_is_recovered),
		UNIKERNEL(a_recovery_that_dies_is_recovered),
		TEST(a_failure_at_any_call_is_taken_back),
		UNIKERNEL(a_failure_at_any_call_is_taken_back),
		TEST(a_disk_that_fails_at_any_write_is_survived),
		UNIKERNEL(a_disk_that_fails_at_any_write_is_survived),
		TEST(a_recovery_on_a_full_disk_may_die_anywhere),
		UNIKERNEL(a_recovery_on_a_full_disk_may_die_anywhere),
		TEST(a_copy_that_fails_at_any_write_is_gone_on_with),
		UNIKERNEL(a_copy_that_fails_at_any_write_is_gone_on_with),
		TEST(a_failed_create_leaves_no_living_task),
		TEST(what_stood_there_before_is_left_alone),
		TEST(a_reboot_leaves_only_rows),
		UNIKERNEL(a_reboot_leaves_only_rows),
		TEST(the_boot_hook_leaves_this_boot_alone),
		TEST(a_dry_run_touches_nothing),
		TEST(the_doctor_finds_what_is_wrong_and_nothing_else),
	};

	cmocka_set_test_filter(getenv("SIM_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
