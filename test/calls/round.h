/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_CALLS_ROUND_H
#define URUNC_CALLS_ROUND_H

/*
 * round.h - one life, one blow in it, and what it leaves on the node.
 */

#include "test/calls/axe.h"
#include "test/calls/life.h"
#include "test/calls/picture.h"

struct act {
	const char *name;   /* one word */
	const char *what;   /* the call or the program that is struck */
	const char *before; /* the calls before it, a comma after each */
	bool is_program;
	bool dead;          /* the shim was killed before            */
};

#define ACT_N        13
#define ACT_SHUTDOWN 9
extern const struct act acts[ACT_N];

struct point {
	const struct act *act;
	enum axe_who who;
	int error; /* 0: death. ENOMEM, and there is a famine: of allocations */
	long n;    /* which call; 0: none, count them */
	long k;    /* > 0: and recovery dies at its kth call first */
};

struct round {
	struct life life;
	struct picture_places places;
	struct picture before;
	struct famine *famine; /* NULL: none */
};

struct outcome {
	struct axe_result hit;
	bool nested;   /* recovery was killed too    */
	bool survived;
	bool library;  /* died of a library that can't live without memory, and is clean */
	char *why_not; /* the caller's to free; lines */
};

/* A life without a blow: what is made for all lives is there then. Takes the picture. */
bool round_warm(struct round *r);

struct outcome round_run(struct round *r, const struct point *p);

#endif
