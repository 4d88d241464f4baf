/* SPDX-License-Identifier: Apache-2.0 */
/* What the doctor says of a journal that can't be read, or believed, or written. */
#include "test/lib/doctor_bench.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void let_go(struct bench *b)
{
	b->j = journal_close(b->j);
}

/* There are @n findings, one of them with this code and command; its words are SQLite's. */
static void expect_unread(struct bench *b, int n, const char *code, const char *verb)
{
	struct engine e = { .node = &b->node.node, .kinds = doctor_kinds };
	struct doctor_told told = { "" };
	char fix[64];
	const char *line;

	assert_int_equal(doctor(&e, &b->place, doctor_tell, &told, NULL), n);
	line = strstr(told.text, code);
	assert_non_null(line);
	(void)snprintf(fix, sizeof(fix), " -> uruncctl %s default/t1\n", verb);
	assert_non_null(strstr(line, fix));
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
	expect_unread(b, 1, "UR007", "recover");
}

/* Somebody else has written this into the task's file, which is let go of. */
static void tamper(struct bench *b, const char *sql)
{
	char file[256];
	sqlite3 *db;

	(void)snprintf(file, sizeof(file), "%s", journal_file(b->j));
	let_go(b);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void a_newer_journal_is_told_and_left(void **state)
{
	struct bench *b = *state;

	tamper(b, "PRAGMA user_version=9999");
	expect_unread(b, 1, "UR008", "show");
}

static void a_journal_with_two_tables_on_one_page_is_damaged(void **state)
{
	struct bench *b = *state;

	tamper(b, "PRAGMA writable_schema=1; UPDATE sqlite_schema SET rootpage=(SELECT rootpage "
		  "FROM sqlite_schema WHERE name='outbox') WHERE name='note'");
	expect_unread(b, 1, "UR007", "recover");
}

static void a_journal_without_the_tasks_row_is_damaged(void **state)
{
	struct bench *b = *state;

	tamper(b, "DELETE FROM task");
	expect_unread(b, 1, "UR007", "recover");
}

/* What its task's row says is told all the same. */
static void a_journal_without_a_table_is_damaged(void **state)
{
	struct bench *b = *state;

	tamper(b, "DROP TABLE run");
	expect_unread(b, 2, "UR007", "recover");
}

static void a_journal_without_events_is_damaged(void **state)
{
	struct bench *b = *state;

	tamper(b, "DROP TABLE outbox");
	expect_unread(b, 2, "UR007", "recover");
}

static void expect_no_json(struct bench *b, const char *column)
{
	struct engine e = { .node = &b->node.node, .kinds = doctor_kinds };
	struct doctor_told told = { "" };
	char sql[64];

	(void)snprintf(sql, sizeof(sql), "UPDATE step SET %s='{'", column);
	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\"}]}", NULL),
			 RUN_DONE);
	tamper(b, sql);
	assert_int_equal(journal_open(&b->j, &b->place, &b->key, JOURNAL_OWN, NULL), 0);
	assert_int_equal(doctor(&e, &b->place, doctor_tell, &told, NULL), 1);
	assert_non_null(strstr(told.text, "UR005 default/t1 step file: the host can't tell"));
	assert_non_null(strstr(told.text, column));
	assert_non_null(strstr(told.text, "is not a JSON object"));
}

static void a_want_that_is_no_json_is_unsure_not_held(void **state)
{
	expect_no_json(*state, "want");
}

static void a_have_that_is_no_json_is_unsure_not_held(void **state)
{
	expect_no_json(*state, "have");
}

/* What is mounted where the journal is, in the order of mountinfo. */
static struct {
	const char *target, *options, *super; /* target "+x": the journal's folder and x */
} mounted[4];
static const char *journal_root;

static int these_mounts(struct node *n, struct mount_list *ret, struct err *err)
{
	(void)n;
	(void)err;
	*ret = (struct mount_list){ .at = calloc(4, sizeof(*ret->at)) };
	for (size_t i = 0; i < 4 && mounted[i].target; i++) {
		char target[256];

		(void)snprintf(target, sizeof(target), "%s%s",
			       *mounted[i].target == '+' ? journal_root : "",
			       mounted[i].target + (*mounted[i].target == '+'));
		ret->at[ret->n++] = (struct mount_info){
			.root = strdup("/"), .target = strdup(target), .type = strdup("ext4"),
			.source = strdup("/dev/sda"), .super = strdup(mounted[i].super),
			.options = strdup(mounted[i].options),
		};
	}
	return 0;
}

/* @where NULL: it can be written; else what is said to be read-only. */
static void expect_place(struct bench *b, const char *where)
{
	char line[512];

	journal_root = b->root;
	b->node.node.mounts = these_mounts;
	(void)snprintf(line, sizeof(line), "UR012 / %s is on %s, which is mounted read-only: no task "
		       "can be created -> mount -o remount,rw\n", b->root, where ? where : "");
	doctor_expect(b, where ? line : "");
	memset(mounted, 0, sizeof(mounted));
}

#define MOUNTED(i, ...) memcpy(&mounted[i], (const char *[]){ __VA_ARGS__ }, sizeof(mounted[i]))

static void a_journal_below_a_read_only_mount_is_told(void **state)
{
	struct bench *b = *state;
	const char *ro[][2] = { { "ro,relatime", "rw" }, { "ro", "rw" }, { "rw", "ro,errors=panic" },
				{ "rw", "ro" } };

	for (size_t i = 0; i < sizeof(ro) / sizeof(ro[0]); i++) {
		MOUNTED(0, "/", "rw", "rw");
		MOUNTED(1, "/", ro[i][0], ro[i][1]);
		expect_place(b, "/");
	}
	MOUNTED(0, "+", "ro", "rw");
	MOUNTED(1, "/", "rw", "rw");
	expect_place(b, b->root);
	MOUNTED(0, b->folder, "ro", "rw");
	expect_place(b, b->folder);
}

static void a_read_only_mount_elsewhere_is_not_the_journals(void **state)
{
	struct bench *b = *state;
	char beside[128];

	expect_place(b, NULL); /* a root that is no mount, as in a chroot */
	(void)snprintf(beside, sizeof(beside), "%.*s", (int)strlen(b->root) - 1, b->root);
	MOUNTED(0, "/", "rw", "rw");
	MOUNTED(1, beside, "ro", "rw");
	MOUNTED(2, "+x", "ro", "rw");
	expect_place(b, NULL);
	MOUNTED(0, "/", "ro", "rw");
	MOUNTED(1, "+", "rodent,rw", "rw,rotor");
	expect_place(b, NULL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_damaged_journal_is_told_and_recover_is_what_to_type),
		T(a_newer_journal_is_told_and_left),
		T(a_journal_with_two_tables_on_one_page_is_damaged),
		T(a_journal_without_the_tasks_row_is_damaged),
		T(a_journal_without_a_table_is_damaged),
		T(a_journal_without_events_is_damaged),
		T(a_want_that_is_no_json_is_unsure_not_held),
		T(a_have_that_is_no_json_is_unsure_not_held),
		T(a_journal_below_a_read_only_mount_is_told),
		T(a_read_only_mount_elsewhere_is_not_the_journals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
