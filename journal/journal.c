/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/journal.h"

#include "journal/base/crash.h"
#include "journal/base/file.h"
#include "journal/handle.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct journal *journal_close(struct journal *j)
{
	if (!j)
		return NULL;
	sql_close(&j->sql);
	if (j->lock >= 0)
		(void)close(j->lock);
	free(j->file);
	free(j->torn);
	free(j);
	return NULL;
}

/* SQLite keeps a table of the files that it has open in this process, locks and all.
 * The descriptors are closed, so that closing the connection can do nothing but empty
 * that table: the locks and the WAL stay the parent's. */
void journal_forget(struct journal *j)
{
	if (!j)
		return;
	sql_close(&j->sql);
	free(j->file);
	free(j->torn);
	free(j);
}

void journal_rest(struct journal *j)
{
	sql_rest(&j->sql);
}

void journal_hold(struct journal *j)
{
	sql_hold(&j->sql);
}

void journal_let(struct journal *j)
{
	sql_let(&j->sql);
}

const char *journal_file(const struct journal *j)
{
	return j->file;
}

const struct task_key *journal_key(const struct journal *j)
{
	return &j->key;
}

int64_t journal_lease(const struct journal *j)
{
	return j->lease;
}

bool journal_is_rescue(const struct journal *j)
{
	return j->rescue;
}

int journal_error(const struct journal *j)
{
	return j->sql.last_errno;
}

int journal_say(struct journal *j, int code, struct err *err, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	j->sql.last_errno = code;
	return err_say(err, code, "task %s/%s: %s", j->key.ns, j->key.id, text);
}

int journal_fits(struct journal *j, const char *text, const char *what, struct err *err)
{
	size_t n = text ? strlen(text) : 0;

	if (n <= JOURNAL_TEXT_MAX)
		return 0;
	return journal_say(j, E2BIG, err, "%s has %zu bytes, and the journal takes %d", what, n,
			   JOURNAL_TEXT_MAX);
}

int journal_word(struct journal *j, sqlite3_stmt *s, int at, const char *const *names, int n,
		 struct err *err)
{
	const char *word;
	int r = sql_word(&j->sql, s, at, &word, err);

	if (r < 0)
		return r;
	for (int i = 0; i < n; i++)
		if (names[i] && strcmp(names[i], word) == 0)
			return i;
	return journal_say(j, EPROTO, err, "its journal %s has the word \"%s\", unknown here, in %s",
			   j->file, word, sqlite3_column_name(s, at));
}

/* ---- writing ---------------------------------------------------------------- */

/* 0 if the lease is still ours. */
static int check_lease(struct journal *j, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_LEASE);
	int r = sql_step(&j->sql, s, "read the lease", err);
	int64_t now;

	if (r < 0)
		return r;
	now = r ? sqlite3_column_int64(s, 0) : 0;
	if (now == j->lease)
		return 0;
	return journal_say(j, ESTALE, err,
			   "somebody took it over (lease %lld, ours was %lld); this process must "
			   "not act for it any more", (long long)now, (long long)j->lease);
}

int journal_write(struct journal *j, sqlite3_stmt *s, const char *what, struct err *err)
{
	int r = sql_step(&j->sql, s, what, err);

	if (r < 0)
		return r;
	r = sqlite3_changes(j->sql.db);
	if (r == 0)
		return check_lease(j, err);
	if (sqlite3_get_autocommit(j->sql.db))
		crash_point("journal.commit");
	return r;
}

int journal_must(struct journal *j, sqlite3_stmt *s, const char *what, struct err *err)
{
	int r = journal_write(j, s, what, err);

	if (r == 0)
		return journal_say(j, ENOENT, err, "%s: there is no such row in its journal", what);
	return r < 0 ? r : 0;
}

int journal_insert(struct journal *j, sqlite3_stmt *s, const char *what, int64_t *ret,
		   struct err *err)
{
	int r = journal_must(j, s, what, err);

	if (r == 0 && ret)
		*ret = sqlite3_last_insert_rowid(j->sql.db);
	return r;
}

/* ---- transactions ------------------------------------------------------------ */

int journal_begin(struct journal *j, struct err *err)
{
	if (!sqlite3_get_autocommit(j->sql.db))
		return journal_say(j, EPROTO, err, "begin: a transaction is open already");
	j->flush_due = false;
	return sql_run(&j->sql, SQL_BEGIN, "begin", err);
}

int journal_commit(struct journal *j, struct err *err)
{
	int r;

	if (sqlite3_get_autocommit(j->sql.db))
		return journal_say(j, j->sql.last_errno ? j->sql.last_errno : EPROTO, err,
				   "commit: the transaction was given up before");
	r = sql_run(&j->sql, SQL_COMMIT, "commit", err);
	if (r < 0) {
		journal_rollback(j);
		return r;
	}
	crash_point("journal.commit");
	return j->flush_due ? journal_flush(j, err) : 0;
}

void journal_rollback(struct journal *j)
{
	if (!sqlite3_get_autocommit(j->sql.db))
		(void)sql_run(&j->sql, SQL_ROLLBACK, "roll back", NULL);
	j->flush_due = false;
}

int journal_join(struct journal *j, bool *began, struct err *err)
{
	*began = sqlite3_get_autocommit(j->sql.db);
	return *began ? journal_begin(j, err) : 0;
}

int journal_leave(struct journal *j, bool began, int r, struct err *err)
{
	int c;

	if (!began)
		return r;
	if (r < 0) {
		journal_rollback(j);
		return r;
	}
	c = journal_commit(j, err);
	return c < 0 ? c : r;
}

/* ---- J3 ---------------------------------------------------------------------- */

/* Through SQLite's own descriptor: opening and closing another one of the same file
 * would drop its locks. */
static int sync_file(struct journal *j, int which, struct err *err)
{
	sqlite3_file *f = sql_file(&j->sql, which);

	if (!f)
		return journal_say(j, EIO, err, "flush its journal: no file is open");
	if (f->pMethods->xSync(f, SQLITE_SYNC_NORMAL) != SQLITE_OK) {
		j->sql.last_errno = EIO;
		return err_set(err, EIO, "flush the journal %s", j->file);
	}
	return 0;
}

int journal_flush(struct journal *j, struct err *err)
{
	int r = 0;

	j->flush_due = false;
	if (j->rescue) /* on tmpfs: what it names dies with the boot, or is found again */
		return 0;
	if (!j->grounded) {
		r = sync_file(j, SQLITE_FCNTL_FILE_POINTER, err);
		if (r == 0) /* live/daemon/ns, and <root> with the folder it is in */
			r = file_sync_dirs(j->file, 5, err);
		j->grounded = r == 0;
	}
	if (r == 0)
		r = sync_file(j, SQLITE_FCNTL_JOURNAL_POINTER, err);
	if (r == 0)
		crash_point("journal.flushed");
	return r;
}

int64_t journal_wal_size(struct journal *j)
{
	return sql_size(&j->sql, SQLITE_FCNTL_JOURNAL_POINTER);
}

int journal_fold(struct journal *j, struct err *err)
{
	int r = sqlite3_wal_checkpoint_v2(j->sql.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

	if (r != SQLITE_OK)
		return sql_fail(&j->sql, "fold the WAL", err);
	crash_point("journal.folded");
	return 0;
}

int journal_check(struct journal *j, struct err *err)
{
	sqlite3_stmt *s = NULL;
	const char *found;
	int r;

	if (sqlite3_prepare_v2(j->sql.db, "PRAGMA quick_check(1)", -1, &s, NULL) != SQLITE_OK ||
	    sqlite3_step(s) != SQLITE_ROW) {
		r = sql_fail(&j->sql, "check", err);
	} else {
		r = sql_word(&j->sql, s, 0, &found, err);
		if (r == 0 && strcmp(found, "ok") != 0)
			r = journal_say(j, EUCLEAN, err, "its journal %s is damaged: %s", j->file,
					found);
	}
	sqlite3_finalize(s);
	return r;
}
