/* SPDX-License-Identifier: Apache-2.0 */
/* What the doctor finds on a simulated machine, what it says, and what it names to type. */
#include "supervisor/engine/doctor.h"
#include "test/lib/engine_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define ONE "{\"create\":[{\"path\":\"/a\"}]}"
#define LONG_AGO_MS 3600000

/* All findings, a line each: code, task, step or not, text, what to type. */
struct told {
	char text[8192];
};

static void tell(void *arg, const struct finding *f)
{
	struct told *t = arg;
	size_t len = strlen(t->text);

	(void)snprintf(t->text + len, sizeof(t->text) - len, "%s %s/%s%s %s -> %s\n", f->code,
		       f->key.ns, f->key.id, f->step ? " step" : "", f->text, f->fix);
}

/* The kind of the bench's files, with the fact that the want asks for. */
static int as_wanted(struct step *step, struct step_env *env, struct err *err)
{
	(void)env;
	if (json_text(step->want, "says", NULL))
		(void)err_say(err, EIO, "%s", json_text(step->want, "says", NULL));
	return (int)json_int(step->want, "fact", FACT_PRESENT);
}

static const struct step_ops seen_kind = { .kind = "file", .verify = as_wanted };
static const struct step_ops *const seen_kinds[] = { &seen_kind, NULL };

/* The doctor's answer must be the number of these lines. */
static void expect(struct bench *b, const char *lines)
{
	struct engine e = { .node = &b->node.node, .kinds = seen_kinds };
	struct told told = { "" };
	struct err err = ERR_INIT;
	int n = doctor(&e, &b->place, tell, &told, &err);
	int wanted = 0;

	if (n < 0)
		fail_msg("%s", err.text);
	assert_string_equal(told.text, lines);
	for (const char *at = lines; *at; at++)
		wanted += *at == '\n';
	assert_int_equal(n, wanted);
}

static void let_go(struct bench *b)
{
	b->j = journal_close(b->j);
}

static void a_task_that_holds_what_its_rows_say_is_not_mentioned(void **state)
{
	struct bench *b = *state;

	assert_int_equal(bench_happens(b, EV_CREATE, ONE, NULL), RUN_DONE);
	expect(b, "");
}

static void each_row_is_held_against_the_host(void **state)
{
	struct bench *b = *state;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":["
		"{\"path\":\"/a\",\"fact\":1},{\"path\":\"/b1\",\"fact\":2},{\"path\":\"/c\"},"
		"{\"path\":\"/d\",\"fact\":4,\"says\":\"it is a door\"},"
		"{\"path\":\"/e\",\"fact\":5}]}", NULL), RUN_DONE);
	expect(b, "UR002 default/t1 step file: a row says that something is held, and the host "
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
	expect(b, "UR001 default/t1 created, its shim 0 is dead -> uruncctl recover default/t1\n");
}

static void a_dead_owners_init_that_lives_is_told(void **state)
{
	struct bench *b = *state;
	struct sim_proc *init = sim_proc_new(b->sim, "init", 1);

	assert_int_equal(bench_happens(b, EV_CREATE, ONE, NULL), RUN_DONE);
	assert_int_equal(journal_set_init(b->j, &init->ident, NULL), 0);
	let_go(b);
	expect(b, "UR001 default/t1 created, its shim 0 is dead, its init lives -> "
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
	expect(b, "");
	sim_pass(b->sim, LONG_AGO_MS);
	(void)snprintf(line, sizeof(line), "UR006 default/t1 shim %d lives without the task's lock "
		       "-> uruncctl recover default/t1\n", (int)shim->ident.pid);
	expect(b, line);
}

static void an_init_that_is_gone_without_an_exit_is_found(void **state)
{
	struct bench *b = *state;
	struct sim_proc *init = sim_proc_new(b->sim, "init", 1);
	struct ident gone = init->ident;
	char line[160];

	assert_int_equal(bench_happens(b, EV_CREATE, ONE, NULL), RUN_DONE);
	assert_int_equal(journal_set_init(b->j, &gone, NULL), 0);
	expect(b, "");
	gone.start++; /* another process has its number now */
	assert_int_equal(journal_set_init(b->j, &gone, NULL), 0);
	(void)snprintf(line, sizeof(line), "UR015 default/t1 created, but init %d is gone -> "
		       "uruncctl show default/t1\n", (int)gone.pid);
	expect(b, line);
}

static void what_is_stuck_is_told_with_its_own_words(void **state)
{
	struct bench *b = *state;

	assert_int_equal(bench_happens(b, EV_CREATE,
				       "{\"create\":[{\"path\":\"/c\",\"stuck\":true}]}", NULL),
			 RUN_DONE);
	assert_int_equal(bench_happens(b, EV_DELETE, NULL, NULL), RUN_STUCK);
	expect(b, "UR009 default/t1 it could not all be taken back: file: /c is frozen -> "
		  "uruncctl recover default/t1\n"
		  "UR009 default/t1 step file: /c is frozen -> uruncctl recover default/t1\n");
}

static void a_socket_that_nobody_answers_on_is_stale(void **state)
{
	struct bench *b = *state;

	assert_int_equal(journal_set_text(b->j, TASK_SOCKET, "/run/s", NULL), 0);
	expect(b, "UR010 default/t1 nobody answers on /run/s -> uruncctl show default/t1\n");
	sim_make(b->sim, "/run/s", S_IFSOCK)->owner = 1;
	expect(b, "");
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
	expect(b, "UR011 default/t1 mount /y/default/t1 is in no row of the journal -> "
		  "uruncctl show default/t1\n"
		  "UR011 default/t1 runtime state /run/runc/t1 is in no row of the journal -> "
		  "uruncctl show default/t1\n");
}

static void what_a_finished_task_left_is_found_until_its_id_lives_anew(void **state)
{
	struct bench *b = *state;

	assert_int_equal(journal_finish(&b->j, NULL), 0);
	expect(b, "");
	sim_mount_new(b->sim, "tmpfs", "none", "/y/default/t1");
	expect(b, "UR011 default/t1 mount /y/default/t1 is in no row of the journal -> "
		  "uruncctl show default/t1\n");
	assert_int_equal(journal_open(&b->j, &b->place, &b->key, JOURNAL_CREATE, NULL), 0);
	/* The live task's own, told once. */
	expect(b, "UR011 default/t1 mount /y/default/t1 is in no row of the journal -> "
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
	expect(b, "UR020 / a tmpfs is mounted on /b/monRootfs, which should be seen by a monitor "
		  "alone -> umount /b/monRootfs\n");
}

static void the_event_that_a_dead_task_has_not_told_is_named(void **state)
{
	struct bench *b = *state;

	assert_int_equal(journal_tell(b->j, "/tasks/exit", "TaskExit", "x", 1, 0, NULL), 0);
	expect(b, "");
	let_go(b);
	expect(b, "UR001 default/t1 new, its shim 0 is dead -> uruncctl recover default/t1\n"
		  "UR014 default/t1 /tasks/exit waits to be told -> uruncctl recover default/t1\n");
}

/* The code and the command of the only finding; its words are SQLite's. */
static void expect_unread(struct bench *b, const char *code, const char *verb)
{
	struct engine e = { .node = &b->node.node, .kinds = seen_kinds };
	struct told told = { "" };
	char fix[64];

	(void)snprintf(fix, sizeof(fix), " -> uruncctl %s default/t1\n", verb);
	assert_int_equal(doctor(&e, &b->place, tell, &told, NULL), 1);
	assert_memory_equal(told.text, code, strlen(code));
	assert_non_null(strstr(told.text, fix));
}

static void a_damaged_journal_is_told_and_recover_is_what_to_type(void **state)
{
	struct bench *b = *state;
	char file[256];
	FILE *f;

	(void)snprintf(file, sizeof(file), "%s", journal_file(b->j));
	let_go(b);
	f = fopen(file, "r+");
	assert_non_null(f);
	assert_int_equal(fwrite("this was a database", 1, 19, f), 19);
	assert_int_equal(fclose(f), 0);
	expect_unread(b, "UR007", "recover");
}

static void a_newer_journal_is_told_and_left(void **state)
{
	struct bench *b = *state;
	char file[256];
	sqlite3 *db;

	(void)snprintf(file, sizeof(file), "%s", journal_file(b->j));
	let_go(b);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=9999", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	expect_unread(b, "UR008", "show");
}

static int read_only(struct node *n, struct mount_list *ret, struct err *err)
{
	(void)n;
	(void)err;
	*ret = (struct mount_list){ .at = calloc(2, sizeof(*ret->at)), .n = 2 };
	for (size_t i = 0; i < 2; i++)
		ret->at[i] = (struct mount_info){
			.root = strdup("/"), .target = strdup("/"), .type = strdup("ext4"),
			.source = strdup("/dev/sda"), .super = strdup("rw"),
			.options = strdup(i ? "ro,relatime" : "rw"),
		};
	return 0;
}

static void a_journal_below_a_read_only_mount_is_told(void **state)
{
	struct bench *b = *state;
	char line[256];

	b->node.node.mounts = read_only;
	(void)snprintf(line, sizeof(line), "UR012 / %s is on /, which is mounted read-only: no task "
		       "can be created -> mount -o remount,rw\n", b->root);
	expect(b, line);
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
	struct engine e = { .node = &b->node.node, .kinds = seen_kinds };
	struct told told = { "" };
	struct err err = ERR_INIT;

	b->node.node.mounts = no_mounts;
	assert_int_equal(doctor(&e, &b->place, tell, &told, &err), -EACCES);
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
		T(what_is_stuck_is_told_with_its_own_words),
		T(a_socket_that_nobody_answers_on_is_stale),
		T(what_has_the_tasks_name_and_no_row_is_found),
		T(what_a_finished_task_left_is_found_until_its_id_lives_anew),
		T(a_long_history_does_not_hide_what_urunc_left),
		T(the_event_that_a_dead_task_has_not_told_is_named),
		T(a_damaged_journal_is_told_and_recover_is_what_to_type),
		T(a_newer_journal_is_told_and_left),
		T(a_journal_below_a_read_only_mount_is_told),
		T(a_host_that_cannot_be_read_is_an_error_not_a_clean_bill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
