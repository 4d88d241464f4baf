/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_SIM_PLAYER_H
#define URUNC_TEST_SIM_PLAYER_H

/*
 * sim_player.h - one party on a simulated machine: `start`, a shim, a recovery. Each is
 * played in a process of the test, which may die at any call.
 */

#include "test/lib/sim_life.h"

struct player {
	struct stage *s;
	struct sim_node node;
	struct engine engine;
	struct task_key key;
	struct journal *j;
	int life;  /* how many creates were asked of this machine */
	int execs;
	enum part worst; /* of what a recovery reported */
};

void player_init(struct player *p, struct stage *s);

/* `start`, after what an older task of the id left was taken back; then we are the shim
 * that it forked. */
enum part player_serve(struct player *p);

/* The shim: an event that containerd asks for. What happened is told. */
enum part player_event(struct player *p, enum life_event ev);

/* The shim: children that ended are reaped; if init is one of them, its exit is
 * committed with the event that tells it, and told. */
enum part player_notice(struct player *p);

/* The shim: the task is deleted, the shim goes. */
enum part player_finish(struct player *p);

/* The shim: another task, t2, is its too. */
enum part player_shares(struct player *p);

/* `uruncctl recover`, or with RECOVER_DELETE the shim's `delete`. */
enum part player_recover(struct player *p);

#endif
