/* SPDX-License-Identifier: Apache-2.0 */
/* What the doctor finds on a simulated machine, what it says, and what it names to type. */
#include "test/lib/doctor_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define ONE "{\"create\":[{\"path\":\"/a\"}]}"
#define LONG_AGO_MS 3600000

static void let_go(struct bench *b)
{
	b->j = journal_close(b->j);
}

static void a_task_that_holds_what_its_rows_say_is_not_mentioned(void **state)
{
	struct bench *b = *state;

	assert_int_equal(bench_happens(b, EV_CREATE, ONE, NULL), RUN_DONE);
	doctor_expect(b, "");
}

static void each_row_is_held_against_the_host(void **state)
{
	struct bench *b = *state;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":["
		"{\"path\":\"/a\",\"fact\":1},{\"path\":\"/b1\",\"fact\":2},{\"path\":\"/c\"},"
		"{\"path\":\"/d\",\"fact\":4,\"says\":\"it is a door\"},"
		"{\"path\":\"/e\",\"fact\":5}]}", NULL), RUN_DONE);
	doctor_expect(b, "UR002 default/t1 step file: a row says that something is held, and the host "
		  "does not have it -> uruncctl show default/t1\n"
		  "UR003 default/t1 step file: the host has only a part of what a row says is "
		  "held -> uruncctl show default/t1\n"
		  "UR004 default/t1 step file: under the name in a row stands something that is "
		  "not the task's: it is a door -> uruncctl show default/t1\n"
		  "UR005 default/t1 step file: the host can't tell whether what a row names is "
		  "there -> uruncctl show default/t1\n");
}

static void a_dead_owner_is_one_finding_not_one_a_row(void **state)
{
	struct bench *b = *state;

	assert_int_equal(bench_happens(b, EV_CREATE,
				       "{\"create\":[{\"path\":\"/a\",\"fact\":1}]}", NULL),
			 RUN_DONE);
	let_go(b);
	doctor_expect(b, "UR001 default/t1 created, its shim 0 is dead -> uruncctl recover default/t1\n");
}

static void a_dead_owners_init_that_lives_is_told(void **state)
{
	struct bench *b = *state;
	struct sim_proc *init = sim_proc_new(b->sim, "init", 1);

	assert_int_equal(bench_happens(b, EV_CREATE, ONE, NULL), RUN_DONE);
	assert_int_equal(journal_set_init(b->j, &init->ident, NULL), 0);
	let_go(b);
	doctor_expect(b, "UR001 default/t1 created, its shim 0 is dead, its init lives -> "
		  "uruncctl recover default/t1\n");
}

static void a_shim_without_its_lock_is_found_when_it_is_not_young(void **state)
{
	struct bench *b = *state;
	struct sim_proc *shim = sim_proc_new(b->sim, "shim", 1);
	char line[160];

	shim->ident.start = (uint64_t)b->sim->now_ms / 10;
	assert_int_equal(journal_set_shim(b->j, &shim->ident, NULL), 0);
	let_go(b);
	doctor_expect(b, "");
	sim_pass(b->sim, LONG_AGO_MS);
	(void)snprintf(line, sizeof(line), "UR006 default/t1 shim %d lives without the task's lock "
		       "-> uruncctl recover default/t1\n", (int)shim->ident.pid);
	doctor_expect(b, line);
}

static void an_init_that_is_gone_without_an_exit_is_found(void **state)
{
	struct bench *b = *state;
	struct sim_proc *init = sim_proc_new(b->sim, "init", 1);
	struct ident gone = init->ident;
	char line[160];

	assert_int_equal(bench_happens(b, EV_CREATE, ONE, NULL), RUN_DONE);
	assert_int_equal(journal_set_init(b->j, &gone, NULL), 0);
	doctor_expect(b, "");
	gone.start++; /* another process has its number now */
	assert_int_equal(journal_set_init(b->j, &gone, NULL), 0);
	(void)snprintf(line, sizeof(line), "UR015 default/t1 created, but init %d is gone -> "
		       "uruncctl show default/t1\n", (int)gone.pid);
	doctor_expect(b, line);
}

static void a_gone_init_is_told_only_while_it_should_live(void **state)
{
	struct bench *b = *state;
	struct ident gone = { .pid = 4000, .start = 7 };

	assert_int_equal(bench_happens(b, EV_CREATE, ONE, NULL), RUN_DONE);
	assert_int_equal(journal_set_init(b->j, &gone, NULL), 0);
	let_go(b);
	doctor_expect(b, "UR001 default/t1 created, its shim 0 is dead -> uruncctl recover default/t1\n");
	assert_int_equal(journal_open(&b->j, &b->place, &b->key, JOURNAL_OWN, NULL), 0);
	assert_int_equal(bench_happens(b, EV_START, NULL, NULL), RUN_DONE);
	doctor_expect(b, "UR015 default/t1 running, but init 4000 is gone -> uruncctl show default/t1\n");
	assert_int_equal(engine_fire(b->j, EV_EXIT, NULL, NULL), 0);
	doctor_expect(b, "");
}

static void a_gone_task_has_no_dead_owner(void **state)
{
	struct bench *b = *state;

	assert_int_equal(bench_happens(b, EV_CREATE, ONE, NULL), RUN_DONE);
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_int_equal(bench_life(b), LIFE_GONE);
	let_go(b);
	doctor_expect(b, "");
}

static void what_is_stuck_is_told_with_its_own_words(void **state)
{
	struct bench *b = *state;

	assert_int_equal(bench_happens(b, EV_CREATE,
				       "{\"create\":[{\"path\":\"/c\",\"stuck\":true}]}", NULL),
			 RUN_DONE);
	assert_int_equal(bench_happens(b, EV_DELETE, NULL, NULL), RUN_STUCK);
	doctor_expect(b, "UR009 default/t1 it could not all be taken back: file: /c is frozen -> "
		  "uruncctl recover default/t1\n"
		  "UR009 default/t1 step file: /c is frozen -> uruncctl recover default/t1\n");
}

static void rows_of_a_create_that_failed_are_not_held(void **state)
{
	struct bench *b = *state;

	sim_make(b->sim, "/b", S_IFREG);
	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\",\"fact\":1},"
				 "{\"path\":\"/b\",\"fact\":1},{\"path\":\"/c\",\"fact\":1}]}", NULL),
			 RUN_UNDONE);
	doctor_expect(b, "");
}

static void kinds_that_this_version_cannot_verify_are_not_judged(void **state)
{
	static const struct step_ops blind = { .kind = "file" };
	static const struct step_ops *const tables[][2] = { { NULL }, { &blind, NULL } };
	struct bench *b = *state;
	struct step_row row = { .seq = 1, .kind = (char *)"file", .want = (char *)"{}",
				.have = (char *)"{}" };

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\",\"fact\":1}]}",
				       NULL), RUN_DONE);
	for (size_t i = 0; i < 2; i++) {
		struct engine e = { .node = &b->node.node, .kinds = tables[i] };
		struct doctor_told told = { "" };
		struct task_row task;

		assert_int_equal(doctor(&e, &b->place, doctor_tell, &told, NULL), 0);
		assert_int_equal(journal_task(b->j, &task, NULL), 0);
		assert_int_equal(doctor_step(&e, b->j, &task, &row, NULL), FACT_UNSURE);
		task_row_clear(&task);
	}
}

static void a_socket_that_nobody_answers_on_is_stale(void **state)
{
	struct bench *b = *state;

	assert_int_equal(journal_set_text(b->j, TASK_SOCKET, "/run/s", NULL), 0);
	doctor_expect(b, "UR010 default/t1 nobody answers on /run/s -> uruncctl show default/t1\n");
	sim_make(b->sim, "/run/s", S_IFSOCK)->owner = 1;
	doctor_expect(b, "");
}

static void what_has_the_tasks_name_and_no_row_is_found(void **state)
{
	struct bench *b = *state;

	assert_int_equal(bench_happens(b, EV_CREATE,
				       "{\"create\":[{\"path\":\"/x/default/t1/rootfs\"}]}", NULL),
			 RUN_DONE);
	sim_mount_new(b->sim, "tmpfs", "none", "/x/default/t1/rootfs");
	sim_mount_new(b->sim, "tmpfs", "none", "/y/default/t1");
	sim_mount_new(b->sim, "tmpfs", "none", "/y/default/t11");
	sim_make(b->sim, "/run/runc/t1", S_IFDIR);
	doctor_expect(b, "UR011 default/t1 mount /y/default/t1 is in no row of the journal -> "
		  "uruncctl show default/t1\n"
		  "UR011 default/t1 runtime state /run/runc/t1 is in no row of the journal -> "
		  "uruncctl show default/t1\n");
}

static void what_a_finished_task_left_is_found_until_its_id_lives_anew(void **state)
{
	struct bench *b = *state;

	assert_int_equal(journal_finish(&b->j, NULL), 0);
	doctor_expect(b, "");
	sim_mount_new(b->sim, "tmpfs", "none", "/y/default/t1");
	doctor_expect(b, "UR011 default/t1 mount /y/default/t1 is in no row of the journal -> "
		  "uruncctl show default/t1\n");
	assert_int_equal(journal_open(&b->j, &b->place, &b->key, JOURNAL_CREATE, NULL), 0);
	/* The live task's own, told once. */
	doctor_expect(b, "UR011 default/t1 mount /y/default/t1 is in no row of the journal -> "
		  "uruncctl show default/t1\n");
}

static void a_long_history_does_not_hide_what_urunc_left(void **state)
{
	struct bench *b = *state;
	struct task_key key;
	char id[16];

	assert_int_equal(journal_finish(&b->j, NULL), 0);
	for (int i = 0; i < 200; i++) {
		(void)snprintf(id, sizeof(id), "old%d", i);
		assert_int_equal(task_key_make(&key, "/run/c.sock", "default", id, NULL), 0);
		assert_int_equal(journal_open(&b->j, &b->place, &key, JOURNAL_CREATE, NULL), 0);
		assert_int_equal(journal_finish(&b->j, NULL), 0);
	}
	sim_mount_new(b->sim, "tmpfs", "none", "/b/monRootfs");
	doctor_expect(b, "UR020 / a tmpfs is mounted on /b/monRootfs, which should be seen by a monitor "
		  "alone -> umount /b/monRootfs\n");
}

/* Which of the two journals is still there when its turn comes. */
struct ending {
	struct bench *b;
	struct journal *t2;
	int n;
};

static void end_the_other(void *arg, const struct finding *f)
{
	struct ending *e = arg;

	e->n++;
	assert_int_equal(journal_finish(strcmp(f->key.id, "t2") == 0 ? &e->b->j : &e->t2, NULL), 0);
}

static void a_task_that_ends_meanwhile_is_no_finding(void **state)
{
	struct bench *b = *state;
	struct engine e = { .node = &b->node.node, .kinds = doctor_kinds };
	struct ending ending = { .b = b };
	struct task_key key;

	assert_int_equal(task_key_make(&key, "/run/c.sock", "default", "t2", NULL), 0);
	assert_int_equal(journal_open(&ending.t2, &b->place, &key, JOURNAL_CREATE, NULL), 0);
	assert_int_equal(journal_set_text(b->j, TASK_SOCKET, "/run/s1", NULL), 0);
	assert_int_equal(journal_set_text(ending.t2, TASK_SOCKET, "/run/s2", NULL), 0);
	assert_int_equal(doctor(&e, &b->place, end_the_other, &ending, NULL), 1);
	assert_int_equal(ending.n, 1);
	journal_close(ending.t2);
}

static void note_safe(void *arg, const struct finding *f)
{
	*(enum finding_safe *)arg = f->safe;
}

static void what_urunc_left_is_safe_to_remove_or_to_be_looked_at(void **state)
{
	struct bench *b = *state;
	struct engine e = { .node = &b->node.node, .kinds = doctor_kinds };
	enum finding_safe safe = SAFE_NONE;

	assert_int_equal(journal_finish(&b->j, NULL), 0);
	sim_mount_new(b->sim, "tmpfs", "none", "/b/monRootfs");
	assert_int_equal(doctor(&e, &b->place, note_safe, &safe, NULL), 1);
	assert_int_equal(safe, SAFE_YES);
	sim_mount_new(b->sim, "tmpfs", "none", "/b/rootfs-view-mount");
	assert_int_equal(doctor(&e, &b->place, note_safe, &safe, NULL), 2);
	assert_int_equal(safe, SAFE_LOOK);
}

static void the_event_that_a_dead_task_has_not_told_is_named(void **state)
{
	struct bench *b = *state;

	assert_int_equal(journal_tell(b->j, "/tasks/exit", "TaskExit", "x", 1, 0, NULL), 0);
	doctor_expect(b, "");
	let_go(b);
	doctor_expect(b, "UR001 default/t1 new, its shim 0 is dead -> uruncctl recover default/t1\n"
		  "UR014 default/t1 /tasks/exit waits to be told -> uruncctl recover default/t1\n");
}

/* The bench's machine, but for one folder. */
static int denied_below_runc(struct node *n, const char *path, struct path_ident *ret,
			     struct err *err)
{
	struct sim_node plain;

	if (strncmp(path, "/run/runc/", strlen("/run/runc/")) == 0)
		return err_set(err, EACCES, "%s", path);
	sim_node_init(&plain, ((struct sim_node *)n)->sim);
	return plain.node.path(n, path, ret, err);
}

static void what_can_not_be_looked_at_is_not_called_clean(void **state)
{
	static const char told[] = "UR005 default/t1 what else the host has under its name can't be "
		"told: /run/runc/default/t1: Permission denied -> uruncctl show default/t1\n";
	struct bench *b = *state;

	b->node.node.path = denied_below_runc;
	doctor_expect(b, told);
	assert_int_equal(journal_finish(&b->j, NULL), 0);
	doctor_expect(b, told);
}

static int no_proc(struct node *n, const struct ident *who, struct err *err)
{
	(void)n;
	return err_set(err, EACCES, "/proc/%d", (int)who->pid);
}

static void who_may_live_is_not_called_gone(void **state)
{
	static const char told[] = "UR005 default/t1 whether its shim 4000 lives can't be told: "
		"/proc/4000: Permission denied -> uruncctl show default/t1\n"
		"UR005 default/t1 whether its init 4001 lives can't be told: "
		"/proc/4001: Permission denied -> uruncctl show default/t1\n";
	struct ident shim = { .pid = 4000, .start = 7 }, init = { .pid = 4001, .start = 7 };
	struct bench *b = *state;

	assert_int_equal(bench_happens(b, EV_CREATE, ONE, NULL), RUN_DONE);
	assert_int_equal(journal_set_shim(b->j, &shim, NULL), 0);
	assert_int_equal(journal_set_init(b->j, &init, NULL), 0);
	b->node.node.alive = no_proc;
	doctor_expect(b, told);
	let_go(b);
	doctor_expect(b, told);
	/* Of an earlier boot nobody lives. */
	assert_int_equal(journal_open(&b->j, &b->place, &b->key, JOURNAL_OWN, NULL), 0);
	assert_int_equal(journal_set_text(b->j, TASK_EPOCH, "another boot", NULL), 0);
	let_go(b);
	doctor_expect(b, "UR001 default/t1 created, its shim 4000 is dead -> uruncctl recover default/t1\n");
}

static int no_mounts(struct node *n, struct mount_list *ret, struct err *err)
{
	(void)n;
	(void)ret;
	return err_say(err, EACCES, "the mounts can't be listed");
}

static void a_host_that_cannot_be_read_is_an_error_not_a_clean_bill(void **state)
{
	struct bench *b = *state;
	struct engine e = { .node = &b->node.node, .kinds = doctor_kinds };
	struct doctor_told told = { "" };
	struct err err = ERR_INIT;

	b->node.node.mounts = no_mounts;
	assert_int_equal(doctor(&e, &b->place, doctor_tell, &told, &err), -EACCES);
	assert_string_equal(err.text, "the mounts can't be listed");
	assert_string_equal(told.text, "");
}

#define T(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_task_that_holds_what_its_rows_say_is_not_mentioned),
		T(each_row_is_held_against_the_host),
		T(a_dead_owner_is_one_finding_not_one_a_row),
		T(a_dead_owners_init_that_lives_is_told),
		T(a_shim_without_its_lock_is_found_when_it_is_not_young),
		T(an_init_that_is_gone_without_an_exit_is_found),
		T(a_gone_init_is_told_only_while_it_should_live),
		T(a_gone_task_has_no_dead_owner),
		T(what_is_stuck_is_told_with_its_own_words),
		T(rows_of_a_create_that_failed_are_not_held),
		T(kinds_that_this_version_cannot_verify_are_not_judged),
		T(a_socket_that_nobody_answers_on_is_stale),
		T(what_has_the_tasks_name_and_no_row_is_found),
		T(what_a_finished_task_left_is_found_until_its_id_lives_anew),
		T(a_long_history_does_not_hide_what_urunc_left),
		T(a_task_that_ends_meanwhile_is_no_finding),
		T(what_urunc_left_is_safe_to_remove_or_to_be_looked_at),
		T(the_event_that_a_dead_task_has_not_told_is_named),
		T(what_can_not_be_looked_at_is_not_called_clean),
		T(who_may_live_is_not_called_gone),
		T(a_host_that_cannot_be_read_is_an_error_not_a_clean_bill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
