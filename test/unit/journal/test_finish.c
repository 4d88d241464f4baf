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
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
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

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, test_world_make, test_world_end)
	const struct CMUnitTest tests[] = {
		T(each_thing_that_a_dead_finish_left_is_swept),
		T(what_was_not_begun_can_not_be_committed),
		T(what_nobody_claimed_is_not_finished),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
