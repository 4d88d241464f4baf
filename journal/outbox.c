/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/cleanup.h"
#include "journal/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void event_row_clear(struct event_row *row)
{
	free(row->topic);
	free(row->type);
	free(row->data);
	memset(row, 0, sizeof(*row));
}

int journal_tell(struct journal *j, const char *topic, const char *type, const void *data,
		 size_t len, int64_t at_ns, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_TELL);

	if (len > JOURNAL_TEXT_MAX)
		return journal_say(j, E2BIG, err, "an event has %zu bytes, and the journal takes %d",
				   len, JOURNAL_TEXT_MAX);
	sqlite3_bind_int64(s, 1, at_ns);
	sql_bind_text(s, 2, topic);
	sql_bind_text(s, 3, type);
	sqlite3_bind_blob(s, 4, len ? data : "", (int)len, SQLITE_STATIC);
	sqlite3_bind_int64(s, 5, j->lease);
	return journal_insert(j, s, "write down an event", NULL, err);
}

int journal_untold(struct journal *j, struct event_row *ret, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_UNTOLD);
	const struct sql_copy texts[] = { { &ret->topic, 1 }, { &ret->type, 2 } };
	int r = sql_step(&j->sql, s, "read the events", err);

	if (r <= 0)
		return r;
	*ret = (struct event_row){
		.seq = sqlite3_column_int64(s, 0),
		.len = (size_t)sqlite3_column_bytes(s, 3),
		.at_ns = sqlite3_column_int64(s, 4),
	};
	r = sql_typed(&j->sql, s, 3, SQLITE_BLOB, err);
	if (r == 0)
		r = sql_words(&j->sql, s, texts, ARRAY_SIZE(texts), err);
	if (r < 0)
		return r;
	ret->data = malloc(ret->len + 1);
	if (ret->data) {
		if (ret->len)
			memcpy(ret->data, sqlite3_column_blob(s, 3), ret->len);
		return 1;
	}
	event_row_clear(ret);
	return err_set(err, ENOMEM, "read an event of %s/%s", j->key.ns, j->key.id);
}

int journal_told(struct journal *j, int64_t seq, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_TOLD);
	int r;

	sqlite3_bind_int64(s, 1, seq);
	sqlite3_bind_int64(s, 2, j->lease);
	r = journal_write(j, s, "take an event off the list", err);
	return r < 0 ? r : 0; /* told twice is told */
}

int journal_close_outbox(struct journal *j, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_CLOSE_OUTBOX);
	int r;

	sqlite3_bind_int64(s, 1, j->lease);
	r = journal_write(j, s, "close the list of events", err);
	return r < 0 ? r : 0;
}
