/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/cleanup.h"
#include "journal/handle.h"

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
	const struct sql_copy texts[] = { { &ret->what, 3 }, { &ret->text, 4 } };
	int r;

	sqlite3_bind_int64(s, 1, seq);
	r = sql_step(&j->sql, s, "read the notes", err);
	if (r <= 0)
		return r;
	ret->seq = sqlite3_column_int64(s, 0);
	ret->at_ms = sqlite3_column_int64(s, 1);
	ret->lease = sqlite3_column_int64(s, 2);
	r = sql_words(&j->sql, s, texts, ARRAY_SIZE(texts), err);
	return r < 0 ? r : 1;
}

int journal_each_note(struct journal *j,
		      int (*visit)(void *arg, const struct note_row *row, struct err *err),
		      void *arg, struct err *err)
{
	struct note_row row = { .seq = 0 };
	int r;

	while ((r = next_note(j, row.seq, &row, err)) == 1) {
		r = visit(arg, &row, err);
		free(row.what);
		free(row.text);
		if (r != 0)
			return r;
	}
	return r;
}
