/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_JOURNAL_HANDLE_H
#define URUNC_JOURNAL_HANDLE_H

/*
 * handle.h - the inside of a struct journal, for the files of this folder alone.
 */

#include "journal/journal.h"
#include "journal/store/sql.h"

struct journal {
	struct sql sql;
	struct journal_place place; /* empty for a file opened by its path */
	struct task_key key;
	char *file;     /* the database's path                          */
	char *torn;     /* what stood there before, set aside; or NULL   */
	int lock;       /* the locked descriptor, -1: a reader          */
	int64_t lease;  /* 0: a reader                                  */
	bool rescue;    /* file is the copy under <run>/rescue          */
	bool grounded;  /* the file and its name are durable (J3)       */
	bool flush_due; /* the open transaction has a durable intent    */
};

/**
 * journal_lock() - own a task, whether or not it has a file
 * @ret:	the descriptor of its lock; closing it ends that
 *
 * Return: 0; -EAGAIN somebody does, who is told; what lock_take() says.
 */
int journal_lock(const struct journal_place *place, const struct task_key *key, int *ret,
		 struct err *err);

/**
 * journal_write() - the end of every write: run @s, which asks for our lease (J2)
 *
 * Return: how many rows changed; 0: none, though the lease is ours, so the row is
 * not there or not in that state; -ESTALE; what the disk says.
 */
int journal_write(struct journal *j, sqlite3_stmt *s, const char *what, struct err *err);

/* For a write that must have changed a row: 0, or < 0 (-ENOENT: it is not there). */
int journal_must(struct journal *j, sqlite3_stmt *s, const char *what, struct err *err);

/* journal_must() for an INSERT; @ret: the new seq. */
int journal_insert(struct journal *j, sqlite3_stmt *s, const char *what, int64_t *ret,
		   struct err *err);

/*
 * Several statements, one commit: journal_join() begins unless a transaction is
 * open already, and journal_leave() commits what join began (@r >= 0) or rolls it
 * back. Return of leave: @r, or why it could not be committed.
 */
int journal_join(struct journal *j, bool *began, struct err *err);
int journal_leave(struct journal *j, bool began, int r, struct err *err);

/* Make everything committed so far survive a power cut (J3). Blocks. */
int journal_flush(struct journal *j, struct err *err);

/* Wall clock, for what callers give no time for. */
int64_t journal_now_ms(void);

/* A failure that no disk caused: kept for journal_error(). Return: -code. */
int journal_say(struct journal *j, int code, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The place of column @at's word in @names; -EPROTO: a word that this version doesn't know
 * (J6). NULLs in @names are no words. */
int journal_word(struct journal *j, sqlite3_stmt *s, int at, const char *const *names, int n,
		 struct err *err);

/* -E2BIG if @text is over JOURNAL_TEXT_MAX bytes. NULL fits. */
int journal_fits(struct journal *j, const char *text, const char *what, struct err *err);

#endif
