/* SPDX-License-Identifier: Apache-2.0 */
/* Two connections to one task's file: what one of them has to wait for, or does without. */
#include "journal/journal.h"
#include "test/lib/refused.h"

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

REFUSED_FLUSHES

static void make(struct world *w)
{
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);

	assert_int_equal(journal_set_text(j, TASK_GROUP, "g", &w->err), 0);
	journal_close(j);
}

/* The reader keeps the WAL from being folded, so that is moved, too. What could not be is
 * no task's any more. */
static int a_finish_beside_a_reader(struct world *w)
{
	struct task_key key = test_key("c1");
	struct journal *j = NULL, *reader = NULL;
	struct task_row row = { 0 };
	int r = refused_open_task(w, &reader, JOURNAL_READ);

	if (r == -ENOENT && w->ending)
		return journal_sweep(&w->p.place, &key, &w->err);
	if (r < 0)
		return r;
	journal_hold(reader);
	r = journal_task(reader, &row, &w->err);
	task_row_clear(&row);
	if (r == 0)
		r = refused_open_task(w, &j, JOURNAL_OWN);
	if (r == 0) {
		w->ending = true;
		r = journal_finish(&j, &w->err);
	}
	journal_let(reader);
	journal_close(reader);
	return r;
}

static void who_finds_it_taken_is_told_to_come_again(void **state)
{
	struct world w = { .err = ERR_INIT };
	struct journal *j = NULL;
	char path[PATH_MAX];
	sqlite3 *db = NULL;

	(void)state;
	test_place_make(&w.p, NULL);
	make(&w);
	test_live_path(&w.p, "c1", "", path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE", NULL,
				      NULL, NULL), SQLITE_OK);
	assert_int_equal(refused_open_task(&w, &j, JOURNAL_READ), -EBUSY);
	assert_non_null(strstr(w.err.text, path));
	assert_int_equal(refused_open_task(&w, &j, JOURNAL_OWN), -EBUSY);
	assert_null(j);
	sqlite3_close(db);
	assert_int_equal(refused_open_task(&w, &j, JOURNAL_READ), 0);
	journal_close(j);
	test_place_remove(&w.p);
}

int main(int argc, char **argv)
{
	struct errand finish = { make, a_finish_beside_a_reader, .waits = true };
	const struct CMUnitTest tests[] = {
		{ "a_finish_beside_a_reader", refused_each, NULL, NULL, &finish },
		cmocka_unit_test(who_finds_it_taken_is_told_to_come_again),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, refused_setup, NULL);
}
