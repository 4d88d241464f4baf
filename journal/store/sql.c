/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/store/sql.h"

#include "journal/store/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define FCNTL_TRIES 5

/* SQLite answers this itself, for each connection that was opened. */
sqlite3_file *sql_file(struct sql *q, int which)
{
	sqlite3_file *f = NULL;

	(void)sqlite3_file_control(q->db, "main", which, &f);
	return f->pMethods ? f : NULL;
}

/* What the system said inside SQLite's I/O methods; 0 if nothing. The WAL alone keeps why
 * a commit could not be written to it. */
static int system_errno(struct sql *q, int rc)
{
	sqlite3_file *wal = NULL;
	int e = 0;

	if (rc == SQLITE_IOERR_WRITE) /* so it was opened */
		wal = sql_file(q, SQLITE_FCNTL_JOURNAL_POINTER);
	if (wal)
		(void)wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO, &e);
	return e ? e : sqlite3_system_errno(q->db);
}

static int io_errno(int e)
{
	switch (e) {
	case EDQUOT:
		return ENOSPC;
	case ENOSPC:
	case EROFS:
	case EACCES:
	case ENOENT:
	case EMFILE:
	case ENFILE:
		return e;
	default:
		return EIO;
	}
}

static int to_errno(struct sql *q)
{
	int rc = sqlite3_extended_errcode(q->db);

	if (rc == SQLITE_IOERR_SHORT_READ)
		return EUCLEAN;
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_READONLY:
		return EROFS;
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR:
		return io_errno(system_errno(q, rc));
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
	case SQLITE_ERROR: /* our statements are right, so the tables are not */
	case SQLITE_CONSTRAINT:
	case SQLITE_TOOBIG: /* what we write is not: see journal_fits() */
		return EUCLEAN;
	default:
		return EIO;
	}
}

int sql_fail(struct sql *q, const char *what, struct err *err)
{
	int code = q->db ? to_errno(q) : ENOMEM;

	q->last_errno = code;
	if (code == EBUSY)
		return err_say(err, code, "journal %s: %s: another process is writing it, try again",
			       q->file, what);
	if (code == ENOSPC)
		return err_say(err, code, "journal %s: %s: the disk is full", q->file, what);
	if (code == EUCLEAN)
		return err_say(err, code, "journal %s: %s: the file is damaged (%s)", q->file, what,
			       sqlite3_errmsg(q->db));
	return err_set(err, code, "journal %s: %s: %s", q->file, what,
		       q->db ? sqlite3_errmsg(q->db) : "no memory");
}

int sql_exec(struct sql *q, const char *text, struct err *err)
{
	if (sqlite3_exec(q->db, text, NULL, NULL, NULL) != SQLITE_OK)
		return sql_fail(q, text, err);
	return 0;
}

/* One number that a PRAGMA answers with. */
static int ask_number(struct sql *q, const char *pragma, int *ret, struct err *err)
{
	sqlite3_stmt *s;
	int r = 0;

	if (sqlite3_prepare_v2(q->db, pragma, -1, &s, NULL) != SQLITE_OK)
		return sql_fail(q, "open", err);
	if (sqlite3_step(s) == SQLITE_ROW)
		*ret = sqlite3_column_int(s, 0);
	else
		r = sql_fail(q, "open", err);
	sqlite3_finalize(s);
	return r;
}

static int say_damaged(struct sql *q, const char *why, struct err *err)
{
	q->last_errno = EUCLEAN;
	return err_say(err, EUCLEAN, "journal %s: %s; set it aside with \"uruncctl recover\"",
		       q->file, why);
}

int64_t sql_size(struct sql *q, int which)
{
	sqlite3_file *f = sql_file(q, which);
	sqlite3_int64 size = 0;

	if (f)
		(void)f->pMethods->xFileSize(f, &size);
	return size;
}

/* SQLite finds that pages are missing, but reads half of one as if zeros were behind
 * it. With a WAL that can be what a power cut left of a page which the WAL still has. */
static bool is_cut(struct sql *q)
{
	return sql_size(q, SQLITE_FCNTL_FILE_POINTER) % JOURNAL_PAGE_SIZE != 0 &&
	       sql_size(q, SQLITE_FCNTL_JOURNAL_POINTER) == 0;
}

/* The first read of the file: also finds what is no database, or a short one. */
static int check_header(struct sql *q, struct err *err)
{
	int app = 0, version = 0;
	int r = ask_number(q, "PRAGMA application_id", &app, err);

	if (r == 0)
		r = ask_number(q, "PRAGMA user_version", &version, err);
	if (r < 0)
		return r;
	if (app != JOURNAL_APPLICATION_ID)
		return say_damaged(q, app || version ? "it is a database, but not a journal" :
						       "it is empty",
				   err);
	if (version > JOURNAL_VERSION) {
		q->last_errno = EPROTO;
		return err_say(err, EPROTO,
			       "journal %s was written by a newer version (format %d, this one knows "
			       "%d); it is left alone, use the newer program",
			       q->file, version, JOURNAL_VERSION);
	}
	if (version != JOURNAL_VERSION)
		return say_damaged(q, "its version is unknown", err);
	return is_cut(q) ? say_damaged(q, "its end is cut off", err) : 0;
}

/*
 * Small, since hundreds of shims are alive at once. No checkpoint happens by itself:
 * it would flush, on a loop that must not wait for a disk, and a reader would write.
 */
static int set_up(struct sql *q, enum sql_open how, struct err *err)
{
	sqlite3_db_config(q->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_extended_result_codes(q->db, 1);
	sqlite3_busy_timeout(q->db, JOURNAL_BUSY_MS);
	sqlite3_wal_autocheckpoint(q->db, 0);
	return sql_exec(q, how == SQL_READ ? "PRAGMA cache_size=-64;PRAGMA query_only=1" :
					     "PRAGMA cache_size=-64;PRAGMA synchronous=OFF",
			err);
}

/* A URI, because only there "immutable" can be said; %, ? and # are escaped. */
#define URI_MAX (sizeof("file:?immutable=1") + 3 * PATH_MAX)
static void make_uri(const char *file, bool immutable, char ret[URI_MAX])
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 5;

	memcpy(ret, "file:", 5);
	for (; *file; file++) {
		if (strchr("%?#", *file)) {
			ret[n++] = '%';
			ret[n++] = hex[(unsigned char)*file >> 4];
			ret[n++] = hex[*file & 15];
		} else {
			ret[n++] = *file;
		}
	}
	strcpy(ret + n, immutable ? "?immutable=1" : "");
}

/*
 * SQLite forgets that an unlock can fail: it holds on to the lock, waits ten seconds for
 * itself, and gives up. So what is no conflict is tried again.
 */
static int patient_fcntl(int fd, int command, ...)
{
	va_list ap;
	void *arg;
	int r;

	va_start(ap, command);
	arg = va_arg(ap, void *);
	va_end(ap);
	for (int tries = 0; tries < FCNTL_TRIES; tries++) {
		r = fcntl(fd, command, arg);
		if (r >= 0 || errno == EAGAIN || errno == EACCES)
			break;
	}
	return r;
}

static void be_patient(void)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find("unix");

	if (vfs) /* no memory for the first call of all: sql_open() finds that, too */
		(void)vfs->xSetSystemCall(vfs, "fcntl", (sqlite3_syscall_ptr)patient_fcntl);
}

/*
 * Else each connection sets up 120 KiB of small slots and 85 KiB of pages, of a size
 * that is not ours. Once SQLite is in use in this process this does nothing, and need
 * not.
 */
static void spare_memory(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 128, 40);
	(void)sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
}

int sql_open(struct sql *q, const char *file, enum sql_open how, bool immutable,
	     struct err *err)
{
	int flags = SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
		    (how == SQL_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
	char uri[URI_MAX];
	int r = 0;

	make_uri(file, immutable, uri);
	memset(q, 0, sizeof(*q));
	q->file = file;
	spare_memory();
	be_patient();
	if (sqlite3_open_v2(uri, &q->db, flags, NULL) != SQLITE_OK)
		r = sql_fail(q, "open", err);
	if (r == 0 && how == SQL_WRITE && sqlite3_db_readonly(q->db, "main") == 1) {
		q->last_errno = EROFS;
		r = err_set(err, EROFS, "journal %s: open to write", file);
	}
	if (r == 0)
		r = set_up(q, how, err);
	if (r == 0)
		r = check_header(q, err);
	if (r < 0)
		sql_close(q);
	return r;
}

void sql_hold(struct sql *q)
{
	if (q->held++ == 0)
		(void)sqlite3_step(sql_get(q, SQL_HOLD));
}

void sql_let(struct sql *q)
{
	if (--q->held == 0)
		(void)sqlite3_reset(q->stmt[SQL_HOLD]);
}

void sql_rest(struct sql *q)
{
	for (int i = 0; i < SQL_N; i++) {
		sqlite3_finalize(q->stmt[i]);
		q->stmt[i] = NULL;
	}
	(void)sqlite3_db_release_memory(q->db);
}

void sql_close(struct sql *q)
{
	if (!q->db)
		return;
	sql_rest(q);
	sqlite3_close(q->db);
	q->db = NULL;
}

sqlite3_stmt *sql_get(struct sql *q, enum sql_id id)
{
	if (!q->stmt[id])
		sqlite3_prepare_v3(q->db, sql_text[id], -1, SQLITE_PREPARE_PERSISTENT,
				   &q->stmt[id], NULL);
	return q->stmt[id];
}

int sql_step(struct sql *q, sqlite3_stmt *s, const char *what, struct err *err)
{
	int rc = s ? sqlite3_step(s) : SQLITE_ERROR;

	if (rc == SQLITE_ROW)
		return 1;
	return rc == SQLITE_DONE ? 0 : sql_fail(q, what, err);
}

int sql_run(struct sql *q, enum sql_id id, const char *what, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(q, id);

	return sql_step(q, s, what, err);
}

void sql_bind_text(sqlite3_stmt *s, int at, const char *text)
{
	sqlite3_bind_text(s, at, text ? text : "", -1, SQLITE_STATIC);
}

int sql_typed(struct sql *q, sqlite3_stmt *s, int at, int type, struct err *err)
{
	if (sqlite3_column_type(s, at) != type)
		return say_damaged(q, "a row lacks a word that all have", err);
	return 0;
}

/* The type is asked for first: a text that there was no memory for is NULL from then on. */
int sql_word(struct sql *q, sqlite3_stmt *s, int at, const char **ret, struct err *err)
{
	int r = sql_typed(q, s, at, SQLITE_TEXT, err);

	if (r < 0)
		return r;
	*ret = (const char *)sqlite3_column_text(s, at);
	return *ret ? 0 : sql_fail(q, "read a row", err);
}

static int copy_word(struct sql *q, sqlite3_stmt *s, const struct sql_copy *c, struct err *err)
{
	const char *word;
	int r = sql_word(q, s, c->at, &word, err);

	if (r < 0)
		return r;
	*c->to = strdup(word);
	if (*c->to)
		return 0;
	q->last_errno = ENOMEM;
	return err_set(err, ENOMEM, "journal %s: read a row", q->file);
}

int sql_words(struct sql *q, sqlite3_stmt *s, const struct sql_copy *copies, size_t n,
	      struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < n; i++)
		*copies[i].to = NULL;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = copy_word(q, s, &copies[i], err);
	for (size_t i = 0; r < 0 && i < n; i++) {
		free(*copies[i].to);
		*copies[i].to = NULL;
	}
	return r;
}

void sql_release_(sqlite3_stmt **s)
{
	if (!*s)
		return;
	sqlite3_reset(*s);
	sqlite3_clear_bindings(*s);
}
