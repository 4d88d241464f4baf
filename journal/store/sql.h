/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_STORE_SQL_H
#define URUNC_STORE_SQL_H

/*
 * sql.h - SQLite, as far as the journal uses it: one connection, statements prepared
 * once, and its codes as errno values.
 */

#include "journal/base/err.h"
#include "journal/journal.h"

#include <sqlite3.h>
#include <stdbool.h>

/* Every statement of the journal. The texts are in statements.c. */
enum sql_id {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_CLAIM,
	SQL_LEASE,
	SQL_HOLD,
	SQL_TASK,
	SQL_BUNDLE,
	SQL_SHIM,
	SQL_INIT,
	SQL_EXIT,
	SQL_MOVE,
	SQL_RUN_ADD,
	SQL_RUN_CLOSE,
	SQL_RUN_NEXT,
	SQL_RUN_PREV,
	SQL_STEP_ADD,
	SQL_STEP_GET,
	SQL_STEPS_DROP,
	SQL_RUN_DROP,
	SQL_STEP_NEXT,
	SQL_STEP_PREV,
	SQL_INTEND,
	SQL_HAVE,
	SQL_SETTLE,
	SQL_CHILD_ADD,
	SQL_CHILD_TRIM,
	SQL_CHILD_ENDED,
	SQL_CHILD_NEXT,
	SQL_TELL,
	SQL_UNTOLD,
	SQL_TOLD,
	SQL_CLOSE_OUTBOX,
	SQL_NOTE_ADD,
	SQL_NOTE_NEXT,
	SQL_SET_TEXT,
	SQL_N
};
extern const char *const sql_text[SQL_N];

struct sql {
	sqlite3 *db;
	sqlite3_stmt *stmt[SQL_N];
	const char *file; /* lent, for the sentences      */
	int last_errno;   /* of the last failure, > 0      */
	int held;         /* sql_hold() less sql_let()     */
};

enum sql_open { SQL_READ, SQL_WRITE };

/**
 * sql_open() - connect to a file that exists, and check that it is a journal of ours
 * @file:	shorter than PATH_MAX, lent as long as the connection is open
 * @immutable:	(READ) nobody writes it and it has no WAL: needs no shared memory
 *
 * Return: 0; -ENOENT; -EUCLEAN no database, empty, or not ours; -EPROTO a newer
 * version; -EROFS, -EACCES (READ) the folder can't hold the shared memory file.
 */
int sql_open(struct sql *q, const char *file, enum sql_open how, bool immutable,
	     struct err *err);
void sql_close(struct sql *q);

/* A file of a connection that is open, SQLITE_FCNTL_FILE_POINTER or _JOURNAL_POINTER (the
 * WAL), and its bytes. NULL, 0: there is none. */
sqlite3_file *sql_file(struct sql *q, int which);
int64_t sql_size(struct sql *q, int which);

/* Keep the lock for reading between statements: one that has begun and isn't over does
 * that. Calls nest. Losing it costs time alone, so nothing here fails. */
void sql_hold(struct sql *q);
void sql_let(struct sql *q);

/* Drop the prepared statements and cached pages. None may be in use. */
void sql_rest(struct sql *q);

/* The last failure of @q as a sentence about @what. Return: the negative errno. */
int sql_fail(struct sql *q, const char *what, struct err *err);

/* Statement @id, without bindings; to be declared auto_stmt. It may be NULL, if it
 * can't be prepared: binding to that does nothing, and sql_step() says why. */
sqlite3_stmt *sql_get(struct sql *q, enum sql_id id);

/* 1 a row, 0 done, < 0 failed (sentence about @what). */
int sql_step(struct sql *q, sqlite3_stmt *s, const char *what, struct err *err);

/* sql_get() and sql_step() of what neither binds nor returns. */
int sql_run(struct sql *q, enum sql_id id, const char *what, struct err *err);

/* One text without bindings, for what is done once in a connection's life. */
int sql_exec(struct sql *q, const char *text, struct err *err);

/* NULL is written as "". The text is lent until the statement is reset. */
void sql_bind_text(sqlite3_stmt *s, int at, const char *text);

/*
 * A row's column @at has the @type (SQLITE_TEXT) that the table wants there? SQLite asks
 * for that when it writes, and not when it reads. -EUCLEAN: it has not, or has NULL.
 */
int sql_typed(struct sql *q, sqlite3_stmt *s, int at, int type, struct err *err);

/* Its text, lent until @s goes on. -EUCLEAN as above; -ENOMEM. */
int sql_word(struct sql *q, sqlite3_stmt *s, int at, const char **ret, struct err *err);

/* Such words as copies, the caller's to free. All, or none: then each is NULL. */
struct sql_copy {
	char **to;
	int at;
};
int sql_words(struct sql *q, sqlite3_stmt *s, const struct sql_copy *copies, size_t n,
	      struct err *err);

/* Statements in scope are reset at its end, so that none keeps a transaction open. */
#define auto_stmt __attribute__((cleanup(sql_release_)))
void sql_release_(sqlite3_stmt **s);

#endif
