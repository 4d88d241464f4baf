/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_SWEEP_SWEEP_H
#define URUNC_SWEEP_SWEEP_H

/*
 * sweep.h - what the sweeps of one task and of two have in common; see test/tool/sweep.c.
 */

#include "test/calls/life.h"
#include "test/calls/picture.h"

enum op { OP_START_SHIM, OP_CREATE, OP_START, OP_KILL, OP_WAIT, OP_DELETE, OP_SHUTDOWN, OP_END };
extern const char *const sweep_ops[]; /* their names */

/* Which point of which role is deadly; at 0 they are counted only. See crash.h. */
struct axe {
	const char *role;
	long at;
};

struct sweep {
	const char *mode;
	struct life life;
	struct picture before;
	struct picture_places places;
	char tally[PATH_MAX];
	long part, parts, stride;
	long deaths, recoveries, inner, left, by_op[OP_END + 1];
	char point[128], inner_point[128]; /* where the last deaths were */
};

/* Run a program of ours to its end: its exit status, what it said, and on @axe, if there
 * is one, what it and its children passed. */
int sweep_run(struct sweep *s, const struct axe *axe, const char *verb, struct verb *v);

/* How many points were passed; the name of the @at-th goes to @name. */
long sweep_passed(const struct sweep *s, long at, char name[static 128]);

void sweep_wait_for_shim(void); /* to end, for a while */

/* `start`, and the calls up to @until: the one that failed, or the one after @until. */
enum op sweep_live_until(struct sweep *s, const struct axe *axe, enum op until);

void sweep_bundle_make(struct sweep *s);
void sweep_bundle_remove(struct sweep *s);

/* Something is wrong after the last deaths: print and count it. */
void sweep_say(struct sweep *s, const char *what, const char *more);

/* The end of each try: the node is what it was, and the bundle goes. */
void sweep_look(struct sweep *s);
void sweep_recover_to_end(struct sweep *s, const struct axe *axe);

/* ---- pair.c: two tasks in one shim -------------------------------------------------- */

/* A second task comes and goes; who dies is its "start" or its "delete". */
void sweep_second(struct sweep *s, const char *role);
/* It comes, lives and goes, and the server dies. */
void sweep_join(struct sweep *s);

#endif
