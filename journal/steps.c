/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steps.c - runs and their steps.
 *
 * A visit asks for one row at a time by its number, so that no statement is open while
 * the visitor runs: it may write, and visit other rows itself. Rows that it adds are
 * not visited.
 */
#include "journal/base/cleanup.h"
#include "journal/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_name[ROW_N] = {
	[ROW_PLANNED] = "planned", [ROW_INTENT] = "intent",   [ROW_DONE] = "done",
	[ROW_FAILED] = "failed",   [ROW_FOREIGN] = "foreign", [ROW_UNDOING] = "undoing",
	[ROW_UNDONE] = "undone",   [ROW_STUCK] = "stuck",     [ROW_SKIPPED] = "skipped",
};

static const char *const outcome_name[] = {
	[RUN_OPEN_ROW] = "open",
	[RUN_DONE_ROW] = "done",
	[RUN_FAILED_ROW] = "failed",
};

const char *row_state_name(enum row_state s)
{
	return s > ROW_NONE_ && s < ROW_N ? state_name[s] : NULL;
}

void run_row_clear(struct run_row *row)
{
	free(row->plan);
	free(row->error);
	memset(row, 0, sizeof(*row));
}

void step_row_clear(struct step_row *row)
{
	free(row->kind);
	free(row->want);
	free(row->have);
	free(row->epoch);
	free(row->error);
	memset(row, 0, sizeof(*row));
}

/* ---- writing ----------------------------------------------------------------- */

static int add_run(struct journal *j, const char *plan, int64_t now_ms, int64_t *ret,
		   struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_RUN_ADD);

	sql_bind_text(s, 1, plan);
	sqlite3_bind_int64(s, 2, now_ms);
	sqlite3_bind_int64(s, 3, j->lease);
	return journal_insert(j, s, "open a run", ret, err);
}

static int add_step(struct journal *j, int64_t run, const struct planned *step, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_STEP_ADD);
	int r = step->want ? journal_fits(j, step->want, "what a step wants", err)
			   : journal_say(j, ENOMEM, err, "no memory for what a step wants");

	if (r < 0)
		return r;
	sqlite3_bind_int64(s, 1, run);
	sql_bind_text(s, 2, step->kind);
	sql_bind_text(s, 3, step->want);
	sqlite3_bind_int64(s, 4, j->lease);
	return journal_insert(j, s, "plan a step", NULL, err);
}

int journal_plan(struct journal *j, const char *plan, const struct planned *steps, size_t n,
		 int64_t now_ms, int64_t *ret, struct err *err)
{
	int64_t run = 0;
	bool began;
	int r = journal_join(j, &began, err);

	if (r < 0)
		return r;
	r = add_run(j, plan, now_ms, &run, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_step(j, run, &steps[i], err);
	r = journal_leave(j, began, r, err);
	if (r == 0)
		*ret = run;
	return r;
}

int journal_plan_more(struct journal *j, int64_t run, const struct planned *steps, size_t n,
		      struct err *err)
{
	bool began;
	int r = journal_join(j, &began, err);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_step(j, run, &steps[i], err);
	return journal_leave(j, began, r, err);
}

int journal_close_run(struct journal *j, int64_t run, enum run_outcome outcome,
		      const char *error, int64_t now_ms, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_RUN_CLOSE);
	int r = journal_fits(j, error, "the error of a run", err);

	if (r < 0)
		return r;
	sql_bind_text(s, 1, outcome_name[outcome]);
	sql_bind_text(s, 2, error);
	sqlite3_bind_int64(s, 3, now_ms);
	sqlite3_bind_int64(s, 4, run);
	sqlite3_bind_int64(s, 5, j->lease);
	return journal_must(j, s, "close a run", err);
}

int journal_drop_run(struct journal *j, int64_t run, struct err *err)
{
	static const enum sql_id which[] = { SQL_STEPS_DROP, SQL_RUN_DROP };
	bool began;
	int r = journal_join(j, &began, err);

	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(which); i++) {
		auto_stmt sqlite3_stmt *s = sql_get(&j->sql, which[i]);

		sqlite3_bind_int64(s, 1, run);
		sqlite3_bind_int64(s, 2, j->lease);
		r = journal_write(j, s, "drop a run", err);
	}
	return journal_leave(j, began, r < 0 ? r : 0, err);
}

/* Why a step's row did not change, though the lease is ours. */
static int refuse(struct journal *j, int64_t step, enum row_state to, struct err *err)
{
	struct step_row row;
	int r = journal_step(j, step, &row, err);

	if (r < 0)
		return r;
	r = journal_say(j, EPROTO, err, "step %lld (%s) is %s, so it can't become %s",
			(long long)step, row.kind, state_name[row.state], state_name[to]);
	step_row_clear(&row);
	return r;
}

static int intend_row(struct journal *j, int64_t step, const char *epoch, int64_t now_ms,
		      struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_INTEND);
	int r;

	sql_bind_text(s, 1, epoch);
	sqlite3_bind_int64(s, 2, now_ms);
	sqlite3_bind_int64(s, 3, step);
	sqlite3_bind_int64(s, 4, j->lease);
	r = journal_write(j, s, "intend a step", err);
	if (r < 0)
		return r;
	return r > 0 ? 0 : refuse(j, step, ROW_INTENT, err);
}

int journal_intend(struct journal *j, int64_t step, const char *epoch, bool durable,
		   int64_t now_ms, struct err *err)
{
	int r = intend_row(j, step, epoch, now_ms, err);

	if (r < 0 || !durable)
		return r;
	if (sqlite3_get_autocommit(j->sql.db))
		return journal_flush(j, err);
	j->flush_due = true;
	return 0;
}

int journal_have(struct journal *j, int64_t step, const char *have, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_HAVE);
	int r = have ? journal_fits(j, have, "what a step has", err)
		     : journal_say(j, ENOMEM, err, "no memory for what a step has");

	if (r < 0)
		return r;
	sql_bind_text(s, 1, have);
	sqlite3_bind_int64(s, 2, step);
	sqlite3_bind_int64(s, 3, j->lease);
	return journal_must(j, s, "write down what a step has", err);
}

int journal_settle(struct journal *j, int64_t step, enum row_state to, const char *error,
		   int64_t now_ms, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_SETTLE);
	int r = journal_fits(j, error, "the error of a step", err);

	if (r < 0)
		return r;
	if (!row_state_name(to))
		return journal_say(j, EINVAL, err, "a step has no state %d", (int)to);
	sql_bind_text(s, 1, state_name[to]);
	if (error) /* without one, what is there stays */
		sql_bind_text(s, 2, error);
	sqlite3_bind_int64(s, 3, now_ms);
	sqlite3_bind_int64(s, 4, step);
	sqlite3_bind_int64(s, 5, j->lease);
	r = journal_write(j, s, "settle a step", err);
	if (r < 0)
		return r;
	return r > 0 ? 0 : refuse(j, step, to, err);
}

/* ---- reading ----------------------------------------------------------------- */

static int fill_run(struct journal *j, sqlite3_stmt *s, struct run_row *ret, struct err *err)
{
	const struct sql_copy texts[] = { { &ret->plan, 1 }, { &ret->error, 5 } };
	int outcome = journal_word(j, s, 2, outcome_name, ARRAY_SIZE(outcome_name), err);
	int r;

	if (outcome < 0)
		return outcome;
	*ret = (struct run_row){
		.seq = sqlite3_column_int64(s, 0),
		.outcome = (enum run_outcome)outcome,
		.opened_ms = sqlite3_column_int64(s, 3),
		.closed_ms = sqlite3_column_int64(s, 4),
	};
	r = sql_words(&j->sql, s, texts, ARRAY_SIZE(texts), err);
	return r < 0 ? r : 1;
}

static int fill_step(struct journal *j, sqlite3_stmt *s, struct step_row *ret, struct err *err)
{
	const struct sql_copy texts[] = {
		{ &ret->kind, 2 },  { &ret->want, 4 },  { &ret->have, 5 },
		{ &ret->epoch, 6 }, { &ret->error, 7 },
	};
	int state = journal_word(j, s, 3, state_name, ROW_N, err);
	int r;

	if (state < 0)
		return state;
	*ret = (struct step_row){
		.seq = sqlite3_column_int64(s, 0),
		.run = sqlite3_column_int64(s, 1),
		.state = (enum row_state)state,
		.lease = sqlite3_column_int64(s, 8),
		.intent_ms = sqlite3_column_int64(s, 9),
		.settled_ms = sqlite3_column_int64(s, 10),
		.undone_ms = sqlite3_column_int64(s, 11),
	};
	r = sql_words(&j->sql, s, texts, ARRAY_SIZE(texts), err);
	return r < 0 ? r : 1;
}

/* The row next to @at: 1 and *ret, 0: none. */
static int near_run(struct journal *j, enum order order, int64_t at, struct run_row *ret,
		    struct err *err)
{
	auto_stmt sqlite3_stmt *s =
		sql_get(&j->sql, order == OLDEST_FIRST ? SQL_RUN_NEXT : SQL_RUN_PREV);
	int r;

	sqlite3_bind_int64(s, 1, at);
	r = sql_step(&j->sql, s, "read the runs", err);
	return r == 1 ? fill_run(j, s, ret, err) : r;
}

static int near_step(struct journal *j, enum order order, int64_t run, int64_t at,
		     struct step_row *ret, struct err *err)
{
	auto_stmt sqlite3_stmt *s =
		sql_get(&j->sql, order == OLDEST_FIRST ? SQL_STEP_NEXT : SQL_STEP_PREV);
	int r;

	sqlite3_bind_int64(s, 1, at);
	sqlite3_bind_int64(s, 2, run);
	r = sql_step(&j->sql, s, "read the steps", err);
	return r == 1 ? fill_step(j, s, ret, err) : r;
}

static int last_run(struct journal *j, int64_t *ret, struct err *err)
{
	struct run_row row = { .seq = 0 };
	int r = near_run(j, NEWEST_FIRST, INT64_MAX, &row, err);

	*ret = row.seq;
	run_row_clear(&row);
	return r;
}

static int last_step(struct journal *j, int64_t run, int64_t *ret, struct err *err)
{
	struct step_row row = { .seq = 0 };
	int r = near_step(j, NEWEST_FIRST, run, INT64_MAX, &row, err);

	*ret = row.seq;
	step_row_clear(&row);
	return r;
}

int journal_each_run(struct journal *j, enum order order,
		     int (*visit)(void *arg, const struct run_row *row, struct err *err),
		     void *arg, struct err *err)
{
	int64_t last, at = order == OLDEST_FIRST ? 0 : INT64_MAX;
	int r = last_run(j, &last, err);

	while (r == 1) {
		struct run_row row;

		r = near_run(j, order, at, &row, err);
		if (r != 1)
			break;
		at = row.seq;
		r = at > last ? 0 : visit(arg, &row, err);
		run_row_clear(&row);
		if (r != 0 || at > last)
			return r;
		r = 1;
	}
	return r;
}

int journal_each_step(struct journal *j, int64_t run, enum order order,
		      int (*visit)(void *arg, const struct step_row *row, struct err *err),
		      void *arg, struct err *err)
{
	int64_t last, at = order == OLDEST_FIRST ? 0 : INT64_MAX;
	int r = last_step(j, run, &last, err);

	while (r == 1) {
		struct step_row row;

		r = near_step(j, order, run, at, &row, err);
		if (r != 1)
			break;
		at = row.seq;
		r = at > last ? 0 : visit(arg, &row, err);
		step_row_clear(&row);
		if (r != 0 || at > last)
			return r;
		r = 1;
	}
	return r;
}

int journal_step(struct journal *j, int64_t seq, struct step_row *ret, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_STEP_GET);
	int r;

	sqlite3_bind_int64(s, 1, seq);
	r = sql_step(&j->sql, s, "read a step", err);
	if (r == 0)
		return journal_say(j, ENOENT, err, "there is no step %lld in its journal",
				   (long long)seq);
	if (r > 0)
		r = fill_step(j, s, ret, err);
	return r < 0 ? r : 0;
}
