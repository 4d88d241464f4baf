/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a task's file: who may bring it about, and what is left of one that died. */
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
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whatever of it is alone. */
static void each_thing_that_a_dead_finish_left_is_swept(void **state)
{
	static const struct {
		bool run;
		const char *folder, *name;
	} left[] = {
		{ false, "live", "gone.db-wal" }, { false, "live", "gone.db-shm" },
		{ true, "rescue", "gone.db" },	  { true, "rescue", "gone.db-wal" },
		{ true, "rescue", "gone.db-shm" }, { true, "lock", "gone" },
	};
	struct test_world *w = *state;
	struct task_key gone = test_key("gone");

	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		char path[PATH_MAX];

		(void)snprintf(path, sizeof(path), "%s/%s/%s/%s/%s", left[i].run ? w->p.run : w->p.root,
			       left[i].folder, gone.daemon, gone.ns, left[i].name);
		assert_int_equal(file_mkparents(path, 0700, &w->err), 0);
		assert_int_equal(file_replace(path, "x", 1, 0600, &w->err), 0);
		assert_int_equal(journal_sweep(&w->p.place, &gone, &w->err), 0);
		assert_int_equal(access(path, F_OK), -1);
	}
}

static void what_was_not_begun_can_not_be_committed(void **state)
{
	struct test_world *w = *state;

	assert_int_equal(journal_commit(w->j, &w->err), -EPROTO);
	assert_non_null(strstr(w->err.text, "the transaction was given up before"));
}

/* Who made it died before it was claimed, and who reads it has no claim either. */
static void what_nobody_claimed_is_not_finished(void **state)
{
	struct test_world *w = *state;
	struct task_key key = test_key("c1");
	struct journal *j;
	char path[PATH_MAX];
	sqlite3 *db;

	test_live_path(&w->p, "c1", "", path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE task SET lease=0", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(journal_open(&j, &w->p.place, &key, JOURNAL_READ, &w->err), 0);
	assert_int_equal(journal_finish(&j, &w->err), -ESTALE);
	assert_int_equal(sqlite3_exec(db, "DELETE FROM task", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(journal_open(&j, &w->p.place, &key, JOURNAL_READ, &w->err), 0);
	assert_int_equal(journal_finish(&j, &w->err), -ESTALE);
	sqlite3_close(db);
	assert_int_equal(access(path, F_OK), 0);
}

/* No journal, in done/: the end of @id, @ms after the epoch. */
static void put_torn(struct test_world *w, const char *id, int64_t ms, char path[PATH_MAX])
{
	struct task_key key = test_key(id);

	(void)snprintf(path, PATH_MAX, "%s/done/%s/%s/%s.%lld.db", w->p.root, key.daemon, key.ns, key.id,
		       (long long)ms);
	assert_int_equal(file_mkparents(path, 0700, &w->err), 0);
	assert_int_equal(file_replace(path, "x", 1, 0600, &w->err), 0);
}

/* What ended long before the last end that is known was on the disk when the power went: it
 * was damaged by something else, and is kept for who looks for that. */
static void only_what_ended_within_minutes_of_the_newest_is_dropped_as_torn(void **state)
{
	const int64_t newest = 1700000000000, minutes = 5 * 60 * 1000;
	struct test_world *w = *state;
	char last[PATH_MAX], young[PATH_MAX], old[PATH_MAX];

	put_torn(w, "last", newest, last);
	put_torn(w, "young", newest - minutes + 1, young);
	put_torn(w, "old", newest - minutes, old);
	assert_int_equal(journal_drop_torn(&w->p.place, &w->err), 0);
	assert_int_equal(access(last, F_OK), -1);
	assert_int_equal(access(young, F_OK), -1);
	assert_int_equal(access(old, F_OK), 0);
}

/* An hour old, too, but not of the kind that a copier makes. */
static void what_only_has_the_name_of_a_copy_is_not_removed(void **state)
{
	static const char *const name[] = { "root/torn/.c1.new", "run/read.abcdef" };
	const struct timespec old[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
	struct test_world *w = *state;
	char path[2][PATH_MAX];

	for (int i = 0; i < 2; i++) {
		(void)snprintf(path[i], PATH_MAX, "%s/%s", w->p.top, name[i]);
		assert_int_equal(file_mkparents(path[i], 0700, &w->err), 0);
	}
	assert_int_equal(file_mkdirs(path[0], 0700, &w->err), 0);
	assert_int_equal(file_replace(path[1], "x", 1, 0600, &w->err), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(utimensat(AT_FDCWD, path[i], old, 0), 0);
	assert_int_equal(journal_prune(&w->p.place, 3600, 10, &w->err), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(access(path[i], F_OK), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, test_world_make, test_world_end)
	const struct CMUnitTest tests[] = {
		T(each_thing_that_a_dead_finish_left_is_swept),
		T(what_was_not_begun_can_not_be_committed),
		T(what_nobody_claimed_is_not_finished),
		T(only_what_ended_within_minutes_of_the_newest_is_dropped_as_torn),
		T(what_only_has_the_name_of_a_copy_is_not_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
