/* SPDX-License-Identifier: Apache-2.0 */
/* What a task holds, in words, however much that is. */
#include "supervisor/engine/report.h"
#include "test/lib/journal_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A row of the plan that is held, and could not be given back. */
static void holds(struct test_world *w, const char *kind, const char *error)
{
	struct planned step = { kind, "{}" };
	struct step_row row;
	int64_t run;

	assert_int_equal(journal_plan(w->j, "create", &step, 1, 1, &run, &w->err), 0);
	for (int64_t seq = 1; journal_step(w->j, seq, &row, NULL) == 0; seq++) {
		bool ours = row.run == run;

		step_row_clear(&row);
		if (!ours)
			continue;
		assert_int_equal(journal_intend(w->j, seq, "e", false, 1, &w->err), 0);
		assert_int_equal(journal_settle(w->j, seq, ROW_FAILED, error, 2, &w->err), 0);
	}
}

static void what_is_held_is_counted_by_kind(void **state)
{
	struct test_world *w = *state;
	struct picture p, less;
	char text[128];

	holds(w, "mount", "");
	assert_int_equal(picture_take(&less, w->j, &w->err), 0);
	holds(w, "mount", "target is busy");
	holds(w, "mount", "");
	holds(w, "init", "");
	assert_int_equal(picture_take(&p, w->j, &w->err), 0);
	assert_int_equal(p.total, 4);
	assert_string_equal(picture_words(&p, NULL, text, sizeof(text)), "3 mounts, 1 init");
	assert_string_equal(picture_words(&p, &less, text, sizeof(text)), "2 mounts, 1 init");
	assert_string_equal(p.rows, "init; mount; mount: target is busy; mount");
	assert_string_equal(p.killed, "");
}

static void more_kinds_than_it_names_are_in_the_total(void **state)
{
	struct test_world *w = *state;
	struct picture p;
	char kind[16];

	for (int i = 0; i <= PICTURE_KINDS; i++) {
		(void)snprintf(kind, sizeof(kind), "kind%d", i);
		holds(w, kind, "");
	}
	assert_int_equal(picture_take(&p, w->j, &w->err), 0);
	assert_int_equal(p.n, PICTURE_KINDS);
	assert_int_equal(p.total, PICTURE_KINDS + 1);
}

static void words_that_do_not_fit_are_cut(void **state)
{
	char text[16], error[ERR_TEXT_MAX];
	struct test_world *w = *state;
	struct picture p;

	memset(error, 'e', sizeof(error));
	for (size_t len = sizeof(error) - 16; len < sizeof(error); len++) {
		error[sizeof(error) - 1] = '\0';
		holds(w, "mount", &error[sizeof(error) - 1 - len]);
	}
	holds(w, "init", "");
	holds(w, "cgroup", "");
	assert_int_equal(picture_take(&p, w->j, &w->err), 0);
	assert_int_equal(strlen(p.rows), sizeof(p.rows) - 1);
	assert_int_equal(p.total, 18);
	assert_string_equal(picture_words(&p, NULL, text, sizeof(text)), "16 mounts, 1 in");
	assert_string_equal(picture_words(&p, NULL, text, 8), "16 moun");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, test_world_make, test_world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_held_is_counted_by_kind),
		TEST(more_kinds_than_it_names_are_in_the_total),
		TEST(words_that_do_not_fit_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
