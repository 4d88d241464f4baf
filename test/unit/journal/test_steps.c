/* SPDX-License-Identifier: Apache-2.0 */
/* Runs and steps: what the journal lets happen to a row, and what it refuses. */
#include "journal/journal.h"
#include "test/lib/journal_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bring a new step into state @s, by arrows of the drawing. */
static int64_t step_in(struct test_world *w, enum row_state s)
{
	static const enum row_state way[ROW_N][4] = {
		[ROW_DONE] = { ROW_DONE },
		[ROW_FAILED] = { ROW_FAILED },
		[ROW_FOREIGN] = { ROW_FOREIGN },
		[ROW_UNDOING] = { ROW_DONE, ROW_UNDOING },
		[ROW_UNDONE] = { ROW_DONE, ROW_UNDOING, ROW_UNDONE },
		[ROW_STUCK] = { ROW_DONE, ROW_UNDOING, ROW_STUCK },
		[ROW_SKIPPED] = { ROW_SKIPPED },
	};
	int64_t seq = test_plan(w->j, 1);

	if (s != ROW_PLANNED && s != ROW_SKIPPED)
		assert_int_equal(journal_intend(w->j, seq, "e", false, 1, &w->err), 0);
	for (int i = 0; i < 4 && way[s][i]; i++)
		assert_int_equal(journal_settle(w->j, seq, way[s][i], NULL, 2, &w->err), 0);
	assert_int_equal(test_state(w->j, seq), s);
	return seq;
}

/* The drawing in journal.h, arrow by arrow. */
static bool drawn(enum row_state from, enum row_state to)
{
	static const enum row_state arrow[][2] = {
		{ ROW_PLANNED, ROW_SKIPPED }, { ROW_INTENT, ROW_DONE },
		{ ROW_INTENT, ROW_FAILED },   { ROW_INTENT, ROW_FOREIGN },
		{ ROW_DONE, ROW_UNDOING },    { ROW_FAILED, ROW_UNDOING },
		{ ROW_UNDOING, ROW_UNDONE },  { ROW_UNDOING, ROW_STUCK },
		{ ROW_STUCK, ROW_UNDOING },
	};

	for (size_t i = 0; i < sizeof(arrow) / sizeof(arrow[0]); i++)
		if (arrow[i][0] == from && arrow[i][1] == to)
			return true;
	return false;
}

static void a_row_follows_the_drawing_and_nothing_else(void **state)
{
	struct test_world *w = *state;

	for (enum row_state from = ROW_PLANNED; from < ROW_N; from++) {
		for (enum row_state to = ROW_PLANNED; to < ROW_N; to++) {
			int64_t seq = step_in(w, from);
			int r = journal_settle(w->j, seq, to, "why", 3, &w->err);

			assert_int_equal(r, drawn(from, to) ? 0 : -EPROTO);
			assert_int_equal(test_state(w->j, seq), drawn(from, to) ? to : from);
		}
	}
}

static void only_what_is_planned_can_be_intended(void **state)
{
	struct test_world *w = *state;

	for (enum row_state from = ROW_PLANNED; from < ROW_N; from++) {
		int64_t seq = step_in(w, from);
		int r = journal_intend(w->j, seq, "e", false, 3, &w->err);

		assert_int_equal(r, from == ROW_PLANNED ? 0 : -EPROTO);
	}
}

static void a_refusal_says_what_the_row_is(void **state)
{
	struct test_world *w = *state;
	int64_t seq = step_in(w, ROW_SKIPPED);

	assert_int_equal(journal_settle(w->j, seq, ROW_DONE, NULL, 3, &w->err), -EPROTO);
	assert_non_null(strstr(w->err.text, "task default/c1: step"));
	assert_non_null(strstr(w->err.text, "(kind) is skipped, so it can't become done"));
	assert_int_equal(journal_error(w->j), EPROTO);
}

static void a_step_that_is_not_there_is_enoent(void **state)
{
	struct test_world *w = *state;
	struct step_row row;

	assert_int_equal(journal_step(w->j, 99, &row, &w->err), -ENOENT);
	assert_int_equal(journal_intend(w->j, 99, "e", false, 1, &w->err), -ENOENT);
	assert_int_equal(journal_have(w->j, 99, "{}", &w->err), -ENOENT);
	assert_int_equal(journal_settle(w->j, 99, ROW_DONE, NULL, 1, &w->err), -ENOENT);
	assert_int_equal(journal_close_run(w->j, 99, RUN_DONE_ROW, NULL, 1, &w->err), -ENOENT);
}

static void a_row_says_what_was_written(void **state)
{
	struct test_world *w = *state;
	int64_t seq = test_plan(w->j, 1);
	struct step_row row;

	journal_intend(w->j, seq, "boot 1 2", false, 11, &w->err);
	journal_have(w->j, seq, "{\"id\":7}", &w->err);
	journal_settle(w->j, seq, ROW_FAILED, "no such device", 12, &w->err);
	journal_settle(w->j, seq, ROW_UNDOING, NULL, 13, &w->err);
	journal_settle(w->j, seq, ROW_UNDONE, NULL, 14, &w->err);
	assert_int_equal(journal_step(w->j, seq, &row, &w->err), 0);
	assert_int_equal(row.seq, seq);
	assert_int_equal(row.run, 1);
	assert_string_equal(row.kind, "kind");
	assert_string_equal(row.want, "{\"path\":\"/x\"}");
	assert_string_equal(row.have, "{\"id\":7}");
	assert_string_equal(row.epoch, "boot 1 2");
	assert_string_equal(row.error, "no such device");
	assert_int_equal(row.lease, journal_lease(w->j));
	assert_int_equal(row.intent_ms, 11);
	assert_int_equal(row.settled_ms, 12);
	assert_int_equal(row.undone_ms, 14);
	step_row_clear(&row);
}

static int see_run(void *arg, const struct run_row *row, struct err *err)
{
	(void)err;
	assert_int_equal(row->seq, 1);
	assert_string_equal(row->plan, "create");
	assert_int_equal(row->outcome, RUN_FAILED_ROW);
	assert_int_equal(row->opened_ms, 1000);
	assert_int_equal(row->closed_ms, 2000);
	assert_string_equal(row->error, "it broke");
	return *(int *)arg;
}

static void a_run_says_how_it_ended(void **state)
{
	struct test_world *w = *state;
	int stop = 5;

	test_plan(w->j, 2);
	assert_int_equal(journal_close_run(w->j, 1, RUN_FAILED_ROW, "it broke", 2000, &w->err), 0);
	assert_int_equal(journal_each_run(w->j, OLDEST_FIRST, see_run, &stop, &w->err), 5);
}

struct seen {
	struct journal *j;
	int64_t seq[16];
	int n;
	bool grow;
};

static int see_step(void *arg, const struct step_row *row, struct err *err)
{
	struct seen *s = arg;

	(void)err;
	s->seq[s->n++] = row->seq;
	if (s->grow) {
		test_plan(s->j, 1);
		assert_int_equal(journal_intend(s->j, row->seq, "e", false, 1, err), 0);
	}
	return 0;
}

static void steps_are_visited_in_order_and_by_run(void **state)
{
	struct test_world *w = *state;
	struct seen up = { .j = w->j }, down = { .j = w->j }, second = { .j = w->j };

	test_plan(w->j, 3);
	test_plan(w->j, 2);
	assert_int_equal(journal_each_step(w->j, 0, OLDEST_FIRST, see_step, &up, &w->err), 0);
	assert_int_equal(journal_each_step(w->j, 0, NEWEST_FIRST, see_step, &down, &w->err), 0);
	assert_int_equal(journal_each_step(w->j, 2, NEWEST_FIRST, see_step, &second, &w->err), 0);
	assert_int_equal(up.n, 5);
	assert_int_equal(down.n, 5);
	assert_int_equal(second.n, 2);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(up.seq[i], i + 1);
		assert_int_equal(down.seq[i], 5 - i);
	}
	assert_int_equal(second.seq[0], 5);
	assert_int_equal(second.seq[1], 4);
}

static void a_visitor_may_write_and_visit(void **state)
{
	struct test_world *w = *state;
	struct seen up = { .j = w->j, .grow = true };
	struct seen down = { .j = w->j };

	test_plan(w->j, 3);
	assert_int_equal(journal_each_step(w->j, 0, OLDEST_FIRST, see_step, &up, &w->err), 0);
	assert_int_equal(up.n, 3);
	assert_int_equal(journal_each_step(w->j, 0, NEWEST_FIRST, see_step, &down, &w->err), 0);
	assert_int_equal(down.n, 6);
}

static void a_plan_is_all_or_nothing(void **state)
{
	struct test_world *w = *state;
	char *big = malloc(JOURNAL_TEXT_MAX + 2);
	struct planned steps[2] = { { "a", "{}" }, { "b", big } };
	struct seen seen = { .j = w->j };
	int64_t run = -1;

	memset(big, 'x', JOURNAL_TEXT_MAX + 1);
	big[JOURNAL_TEXT_MAX + 1] = '\0';
	assert_int_equal(journal_plan(w->j, "create", steps, 2, 1, &run, &w->err), -E2BIG);
	assert_int_equal(run, -1);
	journal_each_step(w->j, 0, OLDEST_FIRST, see_step, &seen, &w->err);
	assert_int_equal(seen.n, 0);
	big[JOURNAL_TEXT_MAX] = '\0';
	assert_int_equal(journal_plan(w->j, "create", steps, 2, 1, &run, &w->err), 0);
	assert_int_equal(run, 1);
	free(big);
}

static void what_is_rolled_back_never_was(void **state)
{
	struct test_world *w = *state;
	int64_t seq = test_plan(w->j, 1);

	assert_int_equal(journal_begin(w->j, &w->err), 0);
	assert_int_equal(journal_begin(w->j, &w->err), -EPROTO);
	assert_int_equal(journal_intend(w->j, seq, "e", true, 1, &w->err), 0);
	journal_rollback(w->j);
	assert_int_equal(test_state(w->j, seq), ROW_PLANNED);
	assert_int_equal(journal_commit(w->j, &w->err), -EPROTO);
}

static void a_durable_intent_is_committed_alone_and_in_a_transaction(void **state)
{
	struct test_world *w = *state;
	int64_t seq = test_plan(w->j, 2);

	assert_int_equal(journal_intend(w->j, seq, "e", true, 1, &w->err), 0);
	assert_int_equal(journal_begin(w->j, &w->err), 0);
	assert_int_equal(journal_intend(w->j, seq + 1, "e", true, 1, &w->err), 0);
	assert_int_equal(journal_commit(w->j, &w->err), 0);
	w->j = journal_close(w->j);
	w->j = test_open(&w->p, "c1", JOURNAL_OWN);
	assert_int_equal(test_state(w->j, seq), ROW_INTENT);
	assert_int_equal(test_state(w->j, seq + 1), ROW_INTENT);
}

static int count_step(void *arg, const struct step_row *row, struct err *err)
{
	(void)row;
	(void)err;
	*(int *)arg += 1;
	return 0;
}

static void a_dropped_run_is_gone_with_its_steps_and_no_number_comes_back(void **state)
{
	struct test_world *w = *state;
	struct planned two[] = { { "a", "{}" }, { "b", "{}" } };
	int64_t first = 0, second = 0, third = 0, left = test_plan(w->j, 1);
	int n = 0;

	assert_int_equal(journal_plan(w->j, "p", two, 2, 1, &first, &w->err), 0);
	assert_int_equal(journal_plan(w->j, "p", two, 2, 1, &second, &w->err), 0);
	assert_int_equal(journal_drop_run(w->j, first, &w->err), 0);
	assert_int_equal(journal_each_step(w->j, first, OLDEST_FIRST, count_step, &n, &w->err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(journal_each_step(w->j, 0, OLDEST_FIRST, count_step, &n, &w->err), 0);
	assert_int_equal(n, 3);
	assert_int_equal(test_state(w->j, left), ROW_PLANNED);
	assert_int_equal(journal_drop_run(w->j, first, &w->err), 0);
	assert_int_equal(journal_plan(w->j, "p", two, 1, 1, &third, &w->err), 0);
	assert_true(third > second);
}

static void names_of_states_are_what_is_on_disk(void **state)
{
	(void)state;
	assert_string_equal(row_state_name(ROW_PLANNED), "planned");
	assert_string_equal(row_state_name(ROW_STUCK), "stuck");
	assert_null(row_state_name(ROW_NONE_));
	assert_null(row_state_name(ROW_N));
}

static void what_no_row_can_take_is_refused(void **state)
{
	struct test_world *w = *state;
	char *big = calloc(1, JOURNAL_TEXT_MAX + 2);
	int64_t step = test_plan(w->j, 1);

	assert_non_null(big);
	memset(big, 'x', JOURNAL_TEXT_MAX + 1);
	assert_int_equal(journal_settle(w->j, step, ROW_SKIPPED, big, 1, &w->err), -E2BIG);
	assert_int_equal(journal_settle(w->j, step, ROW_N, NULL, 1, &w->err), -EINVAL);
	assert_int_equal(journal_close_run(w->j, 1, RUN_FAILED_ROW, big, 1, &w->err), -E2BIG);
	assert_int_equal(test_state(w->j, step), ROW_PLANNED);
	free(big);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, test_world_make, test_world_end)
	const struct CMUnitTest tests[] = {
		T(a_row_follows_the_drawing_and_nothing_else),
		T(only_what_is_planned_can_be_intended),
		T(a_refusal_says_what_the_row_is),
		T(a_step_that_is_not_there_is_enoent),
		T(a_row_says_what_was_written),
		T(a_run_says_how_it_ended),
		T(steps_are_visited_in_order_and_by_run),
		T(a_visitor_may_write_and_visit),
		T(a_plan_is_all_or_nothing),
		T(what_is_rolled_back_never_was),
		T(a_durable_intent_is_committed_alone_and_in_a_transaction),
		T(a_dropped_run_is_gone_with_its_steps_and_no_number_comes_back),
		T(what_no_row_can_take_is_refused),
		cmocka_unit_test(names_of_states_are_what_is_on_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
