/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/cleanup.h"
#include "journal/handle.h"

#include <stdlib.h>
#include <string.h>

/* A task that lives for months may spawn a child every ten seconds (probes): of those
 * that ended the last ones are kept, and the others removed now and then. */
#define CHILD_KEEP 256
#define CHILD_TRIM 64

void child_row_clear(struct child_row *row)
{
	free(row->what);
	free(row->epoch);
	memset(row, 0, sizeof(*row));
}

static int add_child(struct journal *j, const struct child_row *row, int64_t *ret,
		     struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_CHILD_ADD);

	sqlite3_bind_int64(s, 1, row->step);
	sqlite3_bind_int64(s, 2, row->ident.pid);
	sqlite3_bind_int64(s, 3, (int64_t)row->ident.start);
	sql_bind_text(s, 4, row->what);
	sql_bind_text(s, 5, row->epoch);
	sqlite3_bind_int64(s, 6, row->since_ms);
	sqlite3_bind_int64(s, 7, row->deadline_ms);
	sqlite3_bind_int64(s, 8, j->lease);
	return journal_insert(j, s, "write down a child", ret, err);
}

static int trim(struct journal *j, int64_t newest, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_CHILD_TRIM);
	int r;

	sqlite3_bind_int64(s, 1, newest - CHILD_KEEP);
	sqlite3_bind_int64(s, 2, j->lease);
	r = journal_write(j, s, "forget old children", err);
	return r < 0 ? r : 0;
}

int journal_child(struct journal *j, int64_t step, const struct ident *ident, const char *what,
		  const char *epoch, int64_t now_ms, int64_t deadline_ms, int64_t *ret,
		  struct err *err)
{
	const struct child_row row = {
		.step = step,
		.ident = *ident,
		.what = (char *)what,
		.epoch = (char *)epoch,
		.since_ms = now_ms,
		.deadline_ms = deadline_ms,
	};
	int64_t seq;
	bool began;
	int r = journal_fits(j, what, "what a child is for", err);

	if (r == 0)
		r = journal_join(j, &began, err);
	if (r < 0)
		return r;
	r = add_child(j, &row, &seq, err);
	if (r == 0 && seq % CHILD_TRIM == 0)
		r = trim(j, seq, err);
	r = journal_leave(j, began, r, err);
	if (r == 0)
		*ret = seq;
	return r;
}

int journal_child_ended(struct journal *j, int64_t child, int status, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_CHILD_ENDED);

	sqlite3_bind_int64(s, 1, status);
	sqlite3_bind_int64(s, 2, child);
	sqlite3_bind_int64(s, 3, j->lease);
	return journal_must(j, s, "write down the end of a child", err);
}

/* The child after @seq: 1 and *ret; 0: none. */
static int next_child(struct journal *j, bool living_only, int64_t seq, struct child_row *ret,
		      struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_CHILD_NEXT);
	const struct sql_copy texts[] = { { &ret->what, 4 }, { &ret->epoch, 5 } };
	int r;

	sqlite3_bind_int64(s, 1, seq);
	sqlite3_bind_int64(s, 2, living_only ? 0 : 1);
	r = sql_step(&j->sql, s, "read the children", err);
	if (r <= 0)
		return r;
	*ret = (struct child_row){
		.seq = sqlite3_column_int64(s, 0),
		.step = sqlite3_column_int64(s, 1),
		.ident = { .pid = (pid_t)sqlite3_column_int64(s, 2),
			   .start = (uint64_t)sqlite3_column_int64(s, 3) },
		.ended = sqlite3_column_int(s, 6) != 0,
		.status = sqlite3_column_int(s, 7),
		.since_ms = sqlite3_column_int64(s, 8),
		.deadline_ms = sqlite3_column_int64(s, 9),
	};
	r = sql_words(&j->sql, s, texts, ARRAY_SIZE(texts), err);
	return r < 0 ? r : 1;
}

int journal_each_child(struct journal *j, bool living_only,
		       int (*visit)(void *arg, const struct child_row *row, struct err *err),
		       void *arg, struct err *err)
{
	struct child_row row;
	int64_t at = 0;
	int r;

	while ((r = next_child(j, living_only, at, &row, err)) == 1) {
		at = row.seq;
		r = visit(arg, &row, err);
		child_row_clear(&row);
		if (r != 0)
			return r;
	}
	return r;
}
