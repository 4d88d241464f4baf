/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/cleanup.h"
#include "journal/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const exit_name[] = {
	[EXIT_NONE_] = "",
	[EXIT_REAPED] = "reaped",
	[EXIT_KILLED] = "killed",
	[EXIT_UNKNOWN] = "unknown",
};

void task_row_clear(struct task_row *row)
{
	free(row->address);
	free(row->ttrpc_address);
	free(row->state);
	free(row->epoch);
	free(row->bundle);
	free(row->group);
	free(row->socket);
	free(row->runtime);
	free(row->runtime_root);
	free(row->request);
	free(row->error);
	memset(row, 0, sizeof(*row));
}

static void read_numbers(sqlite3_stmt *s, struct task_row *row)
{
	row->bundle_dev = (uint64_t)sqlite3_column_int64(s, 8);
	row->bundle_ino = (uint64_t)sqlite3_column_int64(s, 9);
	row->shim.pid = (pid_t)sqlite3_column_int64(s, 12);
	row->shim.start = (uint64_t)sqlite3_column_int64(s, 13);
	row->init.pid = (pid_t)sqlite3_column_int64(s, 14);
	row->init.start = (uint64_t)sqlite3_column_int64(s, 15);
	row->exit_status = (uint32_t)sqlite3_column_int64(s, 20);
	row->exit_at_ns = sqlite3_column_int64(s, 21);
	row->created_ms = sqlite3_column_int64(s, 22);
	row->changed_ms = sqlite3_column_int64(s, 23);
	row->lease = sqlite3_column_int64(s, 24);
}

static int read_texts(struct journal *j, sqlite3_stmt *s, struct task_row *row, struct err *err)
{
	const struct sql_copy texts[] = {
		{ &row->address, 3 },  { &row->ttrpc_address, 4 }, { &row->state, 5 },
		{ &row->epoch, 6 },    { &row->bundle, 7 },        { &row->group, 10 },
		{ &row->socket, 11 },  { &row->runtime, 16 },      { &row->runtime_root, 17 },
		{ &row->request, 18 }, { &row->error, 25 },
	};

	return sql_words(&j->sql, s, texts, ARRAY_SIZE(texts), err);
}

int journal_task(struct journal *j, struct task_row *ret, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_TASK);
	int r = sql_step(&j->sql, s, "read the task", err), how;

	if (r < 0)
		return r;
	if (r == 0)
		return journal_say(j, EUCLEAN, err, "its journal %s has lost the task's row",
				   j->file);
	memset(ret, 0, sizeof(*ret));
	ret->key = j->key; /* a file that nobody owned yet has it in its name only */
	how = journal_word(j, s, 19, exit_name, ARRAY_SIZE(exit_name), err);
	if (how < 0)
		return how;
	ret->exit_how = (enum exit_how)how;
	read_numbers(s, ret);
	return read_texts(j, s, ret, err);
}

int journal_set_text(struct journal *j, enum task_text field, const char *text,
		     struct err *err)
{
#define PARAMETER_(name, column) ":" #column,
	static const char *const parameter[] = { TASK_TEXT_FIELDS(PARAMETER_) };
#undef PARAMETER_
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_SET_TEXT);
	int r = journal_fits(j, text, "a text of the task", err);

	if (r < 0)
		return r;
	sql_bind_text(s, sqlite3_bind_parameter_index(s, parameter[field]), text);
	sqlite3_bind_int64(s, sqlite3_bind_parameter_index(s, ":now"), journal_now_ms());
	sqlite3_bind_int64(s, sqlite3_bind_parameter_index(s, ":lease"), j->lease);
	return journal_must(j, s, "change the task", err);
}

int journal_set_bundle(struct journal *j, const char *path, uint64_t dev, uint64_t ino,
		       struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_BUNDLE);

	sql_bind_text(s, 1, path);
	sqlite3_bind_int64(s, 2, (int64_t)dev);
	sqlite3_bind_int64(s, 3, (int64_t)ino);
	sqlite3_bind_int64(s, 4, journal_now_ms());
	sqlite3_bind_int64(s, 5, j->lease);
	return journal_must(j, s, "write down the bundle", err);
}

static int set_ident(struct journal *j, enum sql_id id, const struct ident *who,
		     const char *what, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, id);

	sqlite3_bind_int64(s, 1, who->pid);
	sqlite3_bind_int64(s, 2, (int64_t)who->start);
	sqlite3_bind_int64(s, 3, journal_now_ms());
	sqlite3_bind_int64(s, 4, j->lease);
	return journal_must(j, s, what, err);
}

int journal_set_shim(struct journal *j, const struct ident *shim, struct err *err)
{
	return set_ident(j, SQL_SHIM, shim, "write down the shim", err);
}

int journal_set_init(struct journal *j, const struct ident *init, struct err *err)
{
	return set_ident(j, SQL_INIT, init, "write down the init process", err);
}

int journal_set_exit(struct journal *j, enum exit_how how, uint32_t status, int64_t at_ns,
		     struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_EXIT);
	int r;

	if (how <= EXIT_NONE_ || how > EXIT_UNKNOWN)
		return journal_say(j, EINVAL, err, "an exit that nobody learnt can't be written");
	sql_bind_text(s, 1, exit_name[how]);
	sqlite3_bind_int64(s, 2, status);
	sqlite3_bind_int64(s, 3, at_ns);
	sqlite3_bind_int64(s, 4, journal_now_ms());
	sqlite3_bind_int64(s, 5, j->lease);
	r = journal_write(j, s, "write down the exit", err);
	return r < 0 ? r : r == 0;
}

static int refuse_move(struct journal *j, const char *from, const char *to, struct err *err)
{
	struct task_row row;
	int r = journal_task(j, &row, err);

	if (r < 0)
		return r;
	r = journal_say(j, EPROTO, err, "it is %s, so it can't go from %s to %s", row.state, from,
			to);
	task_row_clear(&row);
	return r;
}

static int move_row(struct journal *j, const char *from, const char *to, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_MOVE);
	int r;

	sql_bind_text(s, 1, to);
	sqlite3_bind_int64(s, 2, journal_now_ms());
	sql_bind_text(s, 3, from);
	sqlite3_bind_int64(s, 4, j->lease);
	r = journal_write(j, s, "change the state", err);
	if (r < 0)
		return r;
	return r > 0 ? 0 : refuse_move(j, from, to, err);
}

int journal_move(struct journal *j, const char *from, const char *to, const char *event,
		 struct err *err)
{
	char text[256];
	bool began;
	int r = journal_join(j, &began, err);

	if (r < 0)
		return r;
	r = move_row(j, from, to, err);
	snprintf(text, sizeof(text), "%s -> %s", from, to);
	if (r == 0)
		r = journal_note(j, event, text, err);
	return journal_leave(j, began, r, err);
}
