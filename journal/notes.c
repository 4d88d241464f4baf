/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

int64_t journal_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int journal_note(struct journal *j, const char *what, const char *text, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_NOTE_ADD);
	int r = journal_fits(j, text, "a note", err);

	if (r < 0)
		return r;
	sqlite3_bind_int64(s, 1, journal_now_ms());
	sql_bind_text(s, 2, what);
	sql_bind_text(s, 3, text);
	sqlite3_bind_int64(s, 4, j->lease);
	return journal_insert(j, s, "note", NULL, err);
}

/* The note after @seq: 1 and *ret, whose texts are the caller's to free; 0: none. */
static int next_note(struct journal *j, int64_t seq, struct note_row *ret, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_NOTE_NEXT);
	int r;

	sqlite3_bind_int64(s, 1, seq);
	r = sql_step(&j->sql, s, "read the notes", err);
	if (r <= 0)
		return r;
	ret->seq = sqlite3_column_int64(s, 0);
	ret->at_ms = sqlite3_column_int64(s, 1);
	ret->lease = sqlite3_column_int64(s, 2);
	ret->what = sql_column_dup(s, 3);
	ret->text = sql_column_dup(s, 4);
	return 1;
}

int journal_each_note(struct journal *j,
		      int (*visit)(void *arg, const struct note_row *row, struct err *err),
		      void *arg, struct err *err)
{
	struct note_row row = { .seq = 0 };
	int r;

	while ((r = next_note(j, row.seq, &row, err)) == 1) {
		if (row.what && row.text)
			r = visit(arg, &row, err);
		else
			r = err_set(err, ENOMEM, "read the notes of %s/%s", j->key.ns, j->key.id);
		free((char *)row.what);
		free((char *)row.text);
		if (r != 0)
			return r;
	}
	return r;
}
