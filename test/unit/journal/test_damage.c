/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are not what they should be: found, told apart, and set aside. */
#include "journal/base/file.h"
#include "journal/journal.h"
#include "test/lib/journal_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
	struct test_place p;
	char live[PATH_MAX];
	struct err err;
};

/* A finished-and-brought-back file: everything is in the database, no WAL. */
static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct journal *j;
	sqlite3 *db;

	test_place_make(&w->p, NULL);
	j = test_open(&w->p, "c1", JOURNAL_CREATE);
	for (int i = 0; i < 20; i++)
		test_plan(j, 5);
	journal_close(j);
	test_live_path(&w->p, "c1", "", w->live);
	assert_int_equal(sqlite3_open(w->live, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "SELECT * FROM task; PRAGMA wal_checkpoint(TRUNCATE)",
				      NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	test_place_remove(&w->p);
	free(w);
	return 0;
}

static int try_open(struct world *w, enum journal_open how)
{
	struct task_key key = test_key("c1");
	struct journal *j = NULL;
	int r;

	w->err = (struct err)ERR_INIT;
	r = journal_open(&j, &w->p.place, &key, how, &w->err);
	journal_close(j);
	return r;
}

static void change(struct world *w, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(w->live, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void both_find(struct world *w, int code)
{
	assert_int_equal(try_open(w, JOURNAL_READ), code);
	assert_int_equal(try_open(w, JOURNAL_OWN), code);
	assert_non_null(strstr(w->err.text, w->live));
}

static void an_empty_file_is_damaged(void **state)
{
	struct world *w = *state;

	assert_int_equal(truncate(w->live, 0), 0);
	both_find(w, -EUCLEAN);
	assert_non_null(strstr(w->err.text, "it is empty"));
}

static void a_file_that_is_no_database_is_damaged(void **state)
{
	struct world *w = *state;
	char text[4096];

	memset(text, 'x', sizeof(text));
	assert_int_equal(file_replace(w->live, text, sizeof(text), 0600, &w->err), 0);
	both_find(w, -EUCLEAN);
}

static void a_database_that_is_no_journal_is_damaged(void **state)
{
	struct world *w = *state;

	change(w, "PRAGMA application_id=1");
	both_find(w, -EUCLEAN);
	assert_non_null(strstr(w->err.text, "not a journal"));
}

static void a_short_file_is_damaged(void **state)
{
	struct world *w = *state;
	struct stat st;

	assert_int_equal(stat(w->live, &st), 0);
	for (off_t size = st.st_size - 1; size > 0; size -= 1024) {
		assert_int_equal(truncate(w->live, size), 0);
		both_find(w, -EUCLEAN);
	}
}

static void a_newer_file_is_left_alone(void **state)
{
	struct world *w = *state;
	struct stat before, after;

	change(w, "PRAGMA user_version=2");
	assert_int_equal(stat(w->live, &before), 0);
	both_find(w, -EPROTO);
	assert_non_null(strstr(w->err.text, "written by a newer version"));
	assert_int_equal(stat(w->live, &after), 0);
	assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(after.st_mtim));
	assert_int_equal(before.st_size, after.st_size);
}

static void a_missing_table_is_damage(void **state)
{
	struct world *w = *state;

	change(w, "DROP TABLE task");
	assert_int_equal(try_open(w, JOURNAL_OWN), -EUCLEAN);
}

static void another_tasks_file_is_damage(void **state)
{
	struct world *w = *state;

	change(w, "UPDATE task SET id='c2'");
	assert_int_equal(try_open(w, JOURNAL_OWN), -EUCLEAN);
	assert_non_null(strstr(w->err.text, "is another task's"));
}

static int any(void *arg, const struct step_row *row, struct err *err)
{
	(void)arg;
	(void)row;
	(void)err;
	return 0;
}

static void a_version_or_a_kind_that_is_unknown_is_damage(void **state)
{
	struct world *w = *state;

	change(w, "PRAGMA user_version=0");
	both_find(w, -EUCLEAN);
	assert_non_null(strstr(w->err.text, "its version is unknown"));
	change(w, "PRAGMA user_version=1; PRAGMA application_id=0");
	both_find(w, -EUCLEAN);
	assert_non_null(strstr(w->err.text, "not a journal"));
}

static void a_task_without_its_row_is_damaged(void **state)
{
	struct world *w = *state;
	struct task_row task;
	struct journal *j = test_open(&w->p, "c1", JOURNAL_OWN);

	change(w, "DELETE FROM task");
	assert_int_equal(journal_task(j, &task, &w->err), -EUCLEAN);
	assert_non_null(strstr(w->err.text, "has lost the task's row"));
	/* Whose it is, it can't be told either. */
	assert_int_equal(journal_move(j, "new", "creating", "e", &w->err), -ESTALE);
	journal_close(j);
}

static int any_run(void *arg, const struct run_row *row, struct err *err)
{
	(void)arg;
	(void)row;
	(void)err;
	return 0;
}

static void a_run_or_an_exit_of_a_newer_version_is_not_guessed(void **state)
{
	struct world *w = *state;
	struct task_row task;
	struct journal *j;

	change(w, "UPDATE run SET outcome='later' WHERE seq=3; UPDATE task SET exit_how='eaten'");
	j = test_open(&w->p, "c1", JOURNAL_OWN);
	assert_int_equal(journal_each_run(j, OLDEST_FIRST, any_run, NULL, &w->err), -EPROTO);
	assert_non_null(strstr(w->err.text, "\"later\", unknown here, in outcome"));
	assert_int_equal(journal_task(j, &task, &w->err), -EPROTO);
	assert_non_null(strstr(w->err.text, "\"eaten\", unknown here, in exit_how"));
	assert_int_equal(journal_move(j, "made", "creating", "e", &w->err), -EPROTO);
	journal_close(j);
}

/* SQLite asks when it writes whether a column may be NULL, and not when it reads. */
static void a_word_that_is_not_there_is_damage(void **state)
{
	struct world *w = *state;
	struct task_row task;
	struct journal *j;

	change(w, "PRAGMA writable_schema=1; UPDATE sqlite_master SET sql=replace(replace(sql,"
		  "'exit_how TEXT NOT NULL','exit_how TEXT'),'state TEXT NOT NULL','state TEXT')");
	change(w, "UPDATE task SET exit_how=NULL; UPDATE step SET state=NULL WHERE seq=7");
	j = test_open(&w->p, "c1", JOURNAL_READ);
	assert_int_equal(journal_task(j, &task, &w->err), -EUCLEAN);
	assert_non_null(strstr(w->err.text, "a row lacks a word that all have"));
	assert_int_equal(journal_each_step(j, 0, OLDEST_FIRST, any, NULL, &w->err), -EUCLEAN);
	journal_close(j);
}

/* What has a meaning in the URI that SQLite is given. */
static void a_place_may_have_any_name(void **state)
{
	struct world *w = *state;
	char root[PATH_MAX / 2], run[PATH_MAX / 2], file[PATH_MAX];
	struct journal_place place;
	struct task_key key = test_key("c1");
	struct journal *j;

	(void)snprintf(root, sizeof(root), "%s/100%%41?immutable=1#x", w->p.root);
	(void)snprintf(run, sizeof(run), "%s/a?b#c%%20d", w->p.run);
	assert_int_equal(journal_place_make(&place, root, run, &w->err), 0);
	assert_int_equal(journal_open(&j, &place, &key, JOURNAL_CREATE, &w->err), 0);
	journal_close(j);
	(void)snprintf(file, sizeof(file), "%s/live/%s/%s/c1.db", root, key.daemon, key.ns);
	assert_int_equal(access(file, F_OK), 0);
	assert_int_equal(journal_open(&j, &place, &key, JOURNAL_OWN, &w->err), 0);
	assert_int_equal(journal_finish(&j, &w->err), 0);
	assert_int_equal(access(file, F_OK), -1);
}

static void a_word_of_a_newer_version_is_not_guessed(void **state)
{
	struct world *w = *state;
	struct journal *j;

	change(w, "UPDATE step SET state='paused' WHERE seq=7");
	j = test_open(&w->p, "c1", JOURNAL_READ);
	assert_int_equal(journal_each_step(j, 0, OLDEST_FIRST, any, NULL, &w->err), -EPROTO);
	assert_non_null(strstr(w->err.text, "\"paused\", unknown here, in state"));
	journal_close(j);
}

/* Every page in turn is overwritten: whatever is read, it never crashes, and what is
 * whole is not called damaged. */
static void the_check_finds_a_page_that_was_overwritten(void **state)
{
	struct world *w = *state;
	char junk[1024];
	struct stat st;
	int found = 0, pages;

	memset(junk, 0xa5, sizeof(junk));
	assert_int_equal(stat(w->live, &st), 0);
	pages = (int)(st.st_size / 1024);
	for (int i = 1; i < pages; i++) {
		char whole[1024];
		int fd = open(w->live, O_RDWR | O_CLOEXEC);
		struct journal *j = NULL;
		struct task_key key = test_key("c1");
		int r;

		assert_int_equal(pread(fd, whole, 1024, i * 1024), 1024);
		assert_int_equal(pwrite(fd, junk, 1024, i * 1024), 1024);
		close(fd);
		r = journal_open(&j, &w->p.place, &key, JOURNAL_READ, &w->err);
		if (r == 0)
			r = journal_check(j, &w->err);
		assert_int_equal(r, -EUCLEAN);
		found++;
		journal_close(j);
		fd = open(w->live, O_RDWR | O_CLOEXEC);
		assert_int_equal(pwrite(fd, whole, 1024, i * 1024), 1024);
		close(fd);
	}
	assert_true(found > 10);
	struct journal *j = test_open(&w->p, "c1", JOURNAL_READ);

	assert_int_equal(journal_check(j, &w->err), 0);
	journal_close(j);
}

static void what_is_set_aside_is_kept_and_an_empty_file_stands_there(void **state)
{
	struct world *w = *state;
	struct task_key key = test_key("c1");
	char path[ERR_TEXT_MAX];
	struct journal *j = NULL;
	struct task_row row;
	struct stat st;

	assert_int_equal(truncate(w->live, 1500), 0);
	both_find(w, -EUCLEAN);
	assert_int_equal(journal_set_aside(&j, &w->p.place, &key, path, &w->err), 0);
	assert_non_null(strstr(path, "/torn/"));
	assert_non_null(strstr(path, ".default.c1."));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 1500);
	assert_int_equal(test_count(&w->p, JOURNAL_LIVE), 1);
	assert_int_equal(journal_task(j, &row, &w->err), 0);
	assert_string_equal(row.epoch, "");
	assert_true(row.lease > 0);
	task_row_clear(&row);
	assert_int_equal(journal_finish(&j, &w->err), 0);
	assert_int_equal(journal_set_aside(&j, &w->p.place, &key, path, &w->err), -ENOENT);
	assert_int_equal(try_open(w, JOURNAL_CREATE), 0);
}

static void of_a_file_without_bytes_nothing_is_kept(void **state)
{
	struct world *w = *state;
	struct task_key key = test_key("c1");
	char path[ERR_TEXT_MAX];
	struct journal *j = NULL;
	struct task_row row;

	assert_int_equal(truncate(w->live, 0), 0);
	both_find(w, -EUCLEAN);
	assert_int_equal(journal_set_aside(&j, &w->p.place, &key, path, &w->err), 0);
	assert_string_equal(path, "");
	assert_int_equal(journal_task(j, &row, &w->err), 0);
	assert_string_equal(row.epoch, "");
	task_row_clear(&row);
	assert_int_equal(journal_finish(&j, &w->err), 0);
}

/* What a power cut may leave: a WAL has reached the disk, and its database has not. */
static void of_a_wal_alone_all_is_kept(void **state)
{
	struct world *w = *state;
	struct task_key key = test_key("c1");
	char path[ERR_TEXT_MAX];
	struct journal *j = NULL;
	char wal[PATH_MAX];

	test_live_path(&w->p, "c1", "-wal", wal);
	for (int full = 0; full < 2; full++) {
		assert_int_equal(truncate(w->live, 0), 0);
		assert_int_equal(file_replace(wal, "x", (size_t)full, 0600, &w->err), 0);
		assert_int_equal(journal_set_aside(&j, &w->p.place, &key, path, &w->err), 0);
		assert_int_equal(path[0] != '\0', full);
		journal_close(j);
	}
}

static void a_lock_file_lasts_from_before_the_file_to_after_it(void **state)
{
	struct world *w = *state;
	struct task_key key = test_key("c1");
	struct journal *j;

	assert_true(journal_has_lock(&w->p.place, &key));
	j = test_open(&w->p, "c1", JOURNAL_OWN);
	assert_int_equal(journal_finish(&j, &w->err), 0);
	assert_false(journal_has_lock(&w->p.place, &key));
}

static void what_an_owner_has_is_not_set_aside(void **state)
{
	struct world *w = *state;
	struct task_key key = test_key("c1");
	struct journal *j = test_open(&w->p, "c1", JOURNAL_OWN);
	struct journal *other = NULL;
	char path[ERR_TEXT_MAX];

	assert_int_equal(journal_set_aside(&other, &w->p.place, &key, path, &w->err), -EAGAIN);
	assert_int_equal(journal_note(j, "still", "here", &w->err), 0);
	journal_close(j);
}

/* A kill in the middle of a commit leaves a WAL cut anywhere: all commits before the
 * cut are there, none after. */
static void a_wal_cut_anywhere_is_a_shorter_history(void **state)
{
	struct world *w = *state;
	char wal[PATH_MAX];
	struct stat st;
	struct journal *j = test_open(&w->p, "c1", JOURNAL_OWN);
	int64_t last = 0;

	for (int i = 0; i < 10; i++)
		journal_note(j, "n", "text", &w->err);
	journal_close(j);
	test_live_path(&w->p, "c1", "-wal", wal);
	assert_int_equal(stat(wal, &st), 0);
	for (off_t size = 0; size <= st.st_size; size += 131) {
		char copy[PATH_MAX], copy_wal[PATH_MAX];
		struct journal *c;
		struct task_row t;

		test_live_path(&w->p, "copy", "", copy);
		test_live_path(&w->p, "copy", "-wal", copy_wal);
		assert_int_equal(file_copy(wal, copy_wal, 0600, &w->err), 0);
		assert_int_equal(file_copy(w->live, copy, 0600, &w->err), 0);
		assert_int_equal(truncate(copy_wal, size), 0);
		c = test_open(&w->p, "copy", JOURNAL_READ);
		assert_int_equal(journal_task(c, &t, &w->err), 0);
		assert_true(t.lease >= last);
		last = t.lease;
		task_row_clear(&t);
		assert_int_equal(journal_check(c, &w->err), 0);
		journal_close(c);
		unlink(copy);
		unlink(copy_wal);
		test_live_path(&w->p, "copy", "-shm", copy_wal);
		unlink(copy_wal);
	}
	assert_int_equal(last, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(an_empty_file_is_damaged),
		T(a_file_that_is_no_database_is_damaged),
		T(a_database_that_is_no_journal_is_damaged),
		T(a_short_file_is_damaged),
		T(a_newer_file_is_left_alone),
		T(a_missing_table_is_damage),
		T(another_tasks_file_is_damage),
		T(a_word_of_a_newer_version_is_not_guessed),
		T(a_version_or_a_kind_that_is_unknown_is_damage),
		T(a_task_without_its_row_is_damaged),
		T(a_run_or_an_exit_of_a_newer_version_is_not_guessed),
		T(a_word_that_is_not_there_is_damage),
		T(a_place_may_have_any_name),
		T(the_check_finds_a_page_that_was_overwritten),
		T(what_is_set_aside_is_kept_and_an_empty_file_stands_there),
		T(of_a_file_without_bytes_nothing_is_kept),
		T(of_a_wal_alone_all_is_kept),
		T(a_lock_file_lasts_from_before_the_file_to_after_it),
		T(what_an_owner_has_is_not_set_aside),
		T(a_wal_cut_anywhere_is_a_shorter_history),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
