/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that no version of this wrote, and writes that are not allowed. */
#include "journal/base/cleanup.h"
#include "journal/journal.h"
#include "test/lib/journal_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void change(const struct test_world *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void change(const struct test_world *w, const char *fmt, ...)
{
	char file[PATH_MAX], *sql, *why = NULL;
	sqlite3 *db;
	va_list ap;

	va_start(ap, fmt);
	sql = sqlite3_vmprintf(fmt, ap);
	va_end(ap);
	test_live_path(&w->p, "c1", "", file);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
	sqlite3_free(sql);
	sqlite3_close(db);
}

/* ---- reading --------------------------------------------------------------------- */

static int any_run(void *arg, const struct run_row *row, struct err *err)
{
	(void)arg;
	(void)row;
	(void)err;
	return 0;
}

static int any_step(void *arg, const struct step_row *row, struct err *err)
{
	(void)arg;
	(void)row;
	(void)err;
	return 0;
}

static int any_child(void *arg, const struct child_row *row, struct err *err)
{
	(void)arg;
	(void)row;
	(void)err;
	return 0;
}

static int any_note(void *arg, const struct note_row *row, struct err *err)
{
	(void)arg;
	(void)row;
	(void)err;
	return 0;
}

/* Everything there is; the first failure ends it. */
static int read_all(struct test_world *w, struct journal *j)
{
	struct task_row task = { .lease = 0 };
	struct event_row event = { .seq = 0 };
	int r = journal_task(j, &task, &w->err);

	task_row_clear(&task);
	if (r == 0)
		r = journal_each_run(j, OLDEST_FIRST, any_run, NULL, &w->err);
	if (r == 0)
		r = journal_each_step(j, 0, OLDEST_FIRST, any_step, NULL, &w->err);
	if (r == 0)
		r = journal_each_child(j, false, any_child, NULL, &w->err);
	if (r == 0)
		r = journal_each_note(j, any_note, NULL, &w->err);
	if (r == 0)
		r = journal_untold(j, &event, &w->err);
	event_row_clear(&event);
	return r < 0 ? r : 0;
}

static int read_file(struct test_world *w)
{
	struct journal *j = test_open(&w->p, "c1", JOURNAL_READ);
	int r = read_all(w, j);

	assert_int_equal(journal_error(j), -r);
	journal_close(j);
	return r;
}

/* A task with a row in each table, whose columns take anything. */
static void write_loose(struct test_world *w)
{
	const struct ident who = { 7, 8 };
	int64_t child;

	test_plan(w->j, 1);
	assert_int_equal(journal_child(w->j, 1, &who, "what", "e", 1, 0, &child, &w->err), 0);
	assert_int_equal(journal_tell(w->j, "/t", "T", "x", 1, 5, &w->err), 0);
	assert_int_equal(journal_note(w->j, "what", "text", &w->err), 0);
	w->j = journal_close(w->j);
	change(w, "PRAGMA writable_schema=1; UPDATE sqlite_schema SET "
		  "sql=replace(replace(sql,' NOT NULL',''),')STRICT',')') WHERE type='table'");
}

/* SQLite asks what a column may have when it writes, and not when it reads. */
static void a_word_that_a_row_has_not_is_damage(void **state)
{
	static const char *const wrong[] = { "NULL", "iif(typeof(%s)='text',x'41','A')" };
	struct test_world *w = *state;
	char file[PATH_MAX];
	sqlite3_stmt *s;
	sqlite3 *db;
	int n = 0;

	write_loose(w);
	assert_int_equal(read_file(w), 0);
	test_live_path(&w->p, "c1", "", file);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db,
		"SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c"
		" WHERE c.type IN('TEXT','BLOB') AND NOT(t.name='task' AND c.name IN("
		"'daemon','ns','id'))" /* what the file's name says, too */, -1, &s, NULL),
		SQLITE_OK);
	while (sqlite3_step(s) == SQLITE_ROW) {
		const char *table = (const char *)sqlite3_column_text(s, 0);
		const char *column = (const char *)sqlite3_column_text(s, 1);

		for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
			char *to = sqlite3_mprintf(wrong[i], column);

			change(w, "CREATE TABLE kept AS SELECT * FROM %s; UPDATE %s SET %s=%s",
			       table, table, column, to);
			if (read_file(w) != -EUCLEAN)
				fail_msg("%s.%s=%s: %s", table, column, to, w->err.text);
			assert_non_null(strstr(w->err.text, "a row lacks a word that all have"));
			change(w, "UPDATE %s SET %s=kept.%s FROM kept; DROP TABLE kept", table,
			       column, column);
			sqlite3_free(to);
			n++;
		}
	}
	sqlite3_finalize(s);
	sqlite3_close(db);
	assert_int_equal(read_file(w), 0);
	assert_in_range(n, 50, 100);
}

static int add_run(void *arg, const struct run_row *row, struct err *err)
{
	struct test_world *w = arg;
	int64_t run;

	assert_in_range(row->seq, 1, 3);
	return journal_plan(w->j, "more", NULL, 0, 1, &run, err);
}

static void a_run_that_the_visitor_adds_is_not_visited(void **state)
{
	struct test_world *w = *state;
	int64_t run;

	for (int i = 0; i < 3; i++)
		test_plan(w->j, 1);
	assert_int_equal(journal_each_run(w->j, OLDEST_FIRST, add_run, w, &w->err), 0);
	assert_int_equal(journal_plan(w->j, "last", NULL, 0, 1, &run, &w->err), 0);
	assert_int_equal(run, 7);
}

/* ---- writing --------------------------------------------------------------------- */

static const struct planned steps[] = { { "mount", "{}" } };

static int do_plan(struct journal *j, struct err *err)
{
	int64_t run;

	return journal_plan(j, "p", steps, 1, 1, &run, err);
}

static int do_plan_more(struct journal *j, struct err *err)
{
	return journal_plan_more(j, 1, steps, 1, err);
}

static int do_drop_run(struct journal *j, struct err *err)
{
	return journal_drop_run(j, 1, err);
}

static int do_close_run(struct journal *j, struct err *err)
{
	return journal_close_run(j, 1, RUN_DONE_ROW, NULL, 1, err);
}

static int do_intend(struct journal *j, struct err *err)
{
	return journal_intend(j, 1, "e", false, 1, err);
}

static int do_settle(struct journal *j, struct err *err)
{
	return journal_settle(j, 1, ROW_SKIPPED, NULL, 1, err);
}

static int do_have(struct journal *j, struct err *err)
{
	return journal_have(j, 1, "{}", err);
}

static int do_move(struct journal *j, struct err *err)
{
	return journal_move(j, "new", "creating", "create", err);
}

static int do_exit(struct journal *j, struct err *err)
{
	return journal_set_exit(j, EXIT_REAPED, 0, 1, err);
}

static int do_child(struct journal *j, struct err *err)
{
	const struct ident who = { 7, 8 };
	int64_t child;

	return journal_child(j, 1, &who, "what", "e", 1, 0, &child, err);
}

static int do_note(struct journal *j, struct err *err)
{
	return journal_note(j, "what", "", err);
}

static int do_tell(struct journal *j, struct err *err)
{
	return journal_tell(j, "/t", "T", NULL, 0, 1, err);
}

static void who_only_reads_can_write_nothing(void **state)
{
	static int (*const writes[])(struct journal *j, struct err *err) = {
		do_plan, do_plan_more, do_drop_run, do_close_run, do_intend, do_settle,
		do_have, do_move,      do_exit,	    do_child,	  do_note,   do_tell,
	};
	struct test_world *w = *state;
	struct journal *j;

	test_plan(w->j, 1);
	w->j = journal_close(w->j);
	j = test_open(&w->p, "c1", JOURNAL_READ);
	for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
		w->err = (struct err)ERR_INIT;
		assert_int_equal(writes[i](j, &w->err), -EROFS);
		assert_int_equal(w->err.code, EROFS);
		assert_int_equal(journal_error(j), EROFS);
	}
	assert_int_equal(test_state(j, 1), ROW_PLANNED);
	journal_close(j);
}

static void an_exit_that_nobody_learnt_is_not_written(void **state)
{
	struct test_world *w = *state;
	struct task_row task;

	assert_int_equal(journal_set_exit(w->j, EXIT_NONE_, 0, 1, &w->err), -EINVAL);
	assert_int_equal(journal_set_exit(w->j, EXIT_UNKNOWN + 1, 0, 1, &w->err), -EINVAL);
	assert_int_equal(journal_task(w->j, &task, &w->err), 0);
	assert_int_equal(task.exit_how, EXIT_NONE_);
	task_row_clear(&task);
}

static void what_was_not_begun_is_not_committed(void **state)
{
	struct test_world *w = *state;

	assert_int_equal(journal_commit(w->j, &w->err), -EPROTO);
	assert_non_null(strstr(w->err.text, "given up before"));
}

/* As a shim's child does, which will serve: see serve.c. */
static void a_child_that_forgot_a_journal_can_open_it(void **state)
{
	struct test_world *w = *state;
	int status = -1;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct task_key key = test_key("c1");
		struct journal *j = NULL;
		int r;

		(void)close_range(3, ~0U, 0);
		journal_forget(w->j);
		w->j = NULL;
		r = journal_open(&j, &w->p.place, &key, JOURNAL_OWN, &w->err);
		if (r == -EAGAIN) /* the parent's, still */
			r = journal_open(&j, &w->p.place, &key, JOURNAL_READ, &w->err);
		else
			r = -1;
		if (r == 0)
			r = read_all(w, j);
		journal_close(j);
		exit(-r);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(journal_note(w->j, "still", "here", &w->err), 0);
}

static void no_journal_is_forgotten_and_closed(void **state)
{
	(void)state;
	journal_forget(NULL);
	assert_null(journal_close(NULL));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, test_world_make, test_world_end)
	const struct CMUnitTest tests[] = {
		T(a_word_that_a_row_has_not_is_damage),
		T(a_run_that_the_visitor_adds_is_not_visited),
		T(who_only_reads_can_write_nothing),
		T(an_exit_that_nobody_learnt_is_not_written),
		T(what_was_not_begun_is_not_committed),
		T(a_child_that_forgot_a_journal_can_open_it),
		cmocka_unit_test(no_journal_is_forgotten_and_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
