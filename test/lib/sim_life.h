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

struct stage {
	char folder[64], root[96], run[96];
	struct journal_place place;
	struct sim *sim;
	struct sim *before; /* the world before the first life */
	struct config config;
	int until;         /* how many parts of a life are played; see life_all */
	unsigned flags;    /* of recovery */
	const char *id;
};

/* How a part ended. */
enum part { PART_DIED, PART_OK, PART_FAILED, PART_STUCK, PART_LEFT, PART_HEALTHY, PART_BROKEN };

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

/* What is held though nothing should be: "" is the promise kept. Returns @buf. */
char *stage_left(struct stage *s, char *buf, size_t size);

#endif
