/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_REFUSED_H
#define URUNC_TEST_REFUSED_H

/*
 * refused.h - the system says no at the Nth call, for N = 1, 2, 3 ... until none is refused:
 * a failure has a name and a sentence; what was answered stays; and the same done again,
 * with a system that works, leaves what is left if nothing was refused.
 *
 * For programs that are linked with librefused.a, where the journal's calls have the names
 * refused_open and so on (Makefile). What SQLite asks of the system and of memory is refused,
 * too.
 *
 *   FAMINE_STRIDE=1   each of them, not some
 *   REFUSED_AT=12     that call alone; REFUSED_WHERE=1: say who asked, for addr2line(1)
 */
#include "test/lib/journal_place.h"

struct world {
	struct test_place p;
	struct err err;
	bool planned, ending; /* answered; begun */
	int settled;
};

struct errand {
	void (*before)(struct world *w); /* refused nothing; may be NULL */
	int (*act)(struct world *w);     /* 0, or < 0 with a sentence; can be done again */
	bool forgets; /* no file may be left in done/: see finish_rescue() of the journal */
	bool waits;   /* each time: our calls alone are refused, once */
};

/* The task that all of it is about. */
int refused_open_task(struct world *w, struct journal **j, enum journal_open how);

/* As a cmocka test, whose state is a struct errand. */
void refused_each(void **state);
#define ERRAND(b, f, forgets) { #f, refused_each, NULL, NULL, &(struct errand){ b, f, forgets, false } }

/* As a cmocka group's setup: before SQLite is in use. */
int refused_setup(void **state);

/* SQLite's flushes have no other name, so the program has functions of these: it says this
 * once. Nothing is flushed, which makes it fast. */
int refused_flush(void);
#define REFUSED_FLUSHES               \
	int fsync(int fd)             \
	{                             \
		(void)fd;             \
		return refused_flush(); \
	}                             \
	int fdatasync(int fd)         \
	{                             \
		(void)fd;             \
		return refused_flush(); \
	}

/* While the disk with <root> can't be written. NULL: it can. */
void refused_readonly(const char *root);

/*
 * Before our @at-th call a rival comes: this very program, in a process of its own, run as
 * "PROGRAM rival WHAT ROOT RUN". It does what it is for, calls rival_stay(), and ends when
 * @stay more calls have come, or in rival_end(). Everything is lent.
 */
struct rival {
	const char *what;
	int at, stay;
};
void rival_begin(const struct rival *rival, const struct journal_place *place);

/* Return: the rival's byte; '\0': it did not come, there were fewer calls. */
char rival_end(void);

/* In the rival: tell @byte, and wait until it may end. */
void rival_stay(char byte);

#endif
