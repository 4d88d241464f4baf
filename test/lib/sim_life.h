/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_SIM_LIFE_H
#define URUNC_TEST_SIM_LIFE_H

/*
 * sim_life.h - lives of tasks on a simulated machine, each part in a process of its
 * own, that may die.
 */

#include "supervisor/bundle/config.h"
#include "supervisor/engine/engine.h"
#include "supervisor/engine/recover.h"
#include "test/lib/sim.h"

#define OLD_MS (RECOVER_YOUNG_MS + 1000) /* nobody is young any more */

struct stage {
	char folder[64], root[96], run[96];
	struct journal_place place;
	struct sim *sim;
	struct sim *before; /* the world before the first life */
	struct config config;
	int until;         /* how many parts of a life are played; see life_all */
	unsigned flags;    /* of recovery */
	const char *id;
	bool keep;         /* the dead of a life are not buried, see stage_ended() */
	bool shared;       /* the shim serves another task, too */
	bool native;       /* it is a unikernel that no OCI runtime makes; before it opens */
	bool late;         /* and nobody but its rootfs says so                            */
};

/* How a part ended. REFUSED: the life's table, or a living owner, says no, and nothing
 * was done. */
enum part { PART_DIED, PART_OK, PART_FAILED, PART_STUCK, PART_LEFT, PART_HEALTHY, PART_REFUSED,
	    PART_BROKEN, PART_ENDLESS };

/* A fresh machine and a fresh journal, with a bundle /b/<id>. */
void stage_open(struct stage *s);
void stage_close(struct stage *s);

/* The parts of a life, one after another. */
enum life_part { UNTIL_SERVED = 1, UNTIL_CREATED, UNTIL_STARTED, UNTIL_KILLED, UNTIL_DELETED,
		 UNTIL_GONE };

/* Play `start`, then the shim, until s->until. FAILED: a plan failed, and what it
 * made was taken back. The shim then ends as if killed. */
enum part stage_life(struct stage *s);
/* The same, but the shim lives on: its process stays until stage_end(). */
pid_t stage_shim(struct stage *s);
void stage_end(struct stage *s, pid_t real);
/* Its journal, if it is live, is a torn file now. */
void stage_tear(struct stage *s);
/* Play `uruncctl recover`, with s->flags; of s->id alone with RECOVER_DELETE. */
enum part stage_recover(struct stage *s);
/* A process of the test that is going to play. */
pid_t stage_fork(void);
/* Wait for the process of the test that played, and bury whom it played. */
enum part stage_ended(struct stage *s, pid_t real);

/* What is held though nothing should be: "" is the promise kept. Returns @buf. */
char *stage_left(struct stage *s, char *buf, size_t size);
/* cmocka's: nothing is, or the test has failed, with @what and two numbers. */
void stage_holds_nothing(struct stage *s, const char *what, int at, int then);
struct player;
/* What stage_life() plays. */
enum part play_life(struct player *p);
/**
 * stage_deaths() - play @play once, and what follows each death in it
 * @first, @step: at which of its calls
 * @dead:	  called with what a death at the call @at leaves, a copy that it may use up
 *
 * @s goes on to the end. Return: how many calls it made.
 */
int stage_deaths(struct stage *s, enum part (*play)(struct player *p), int first, int step,
		 void (*dead)(struct stage *left, int at, void *arg), void *arg);
/* Its folder, new and empty; and no more. */
void stage_place(struct stage *s);
void stage_remove(struct stage *s);

/* How many calls a life of so many parts makes. */
int stage_calls(int until, bool native);
/* What of a unikernel's pod is in this boot: again after each sim_reboot(). */
void stage_pod(struct stage *s);

#endif
