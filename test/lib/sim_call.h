/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_SIM_CALL_H
#define URUNC_TEST_SIM_CALL_H

/*
 * sim_call.h - how a call enters the simulated machine; for sim_node.c, sim_files.c and
 * sim_native.c.
 */

#include "test/lib/sim.h"

/* Every call passes here: counted, and the last one of a player that is to die. */
struct sim *sim_call(struct node *n);
/* How a player's process ends that made more calls than it may. */
#define SIM_ENDLESS 99

/* The end of a player: no handler runs, nothing is flushed; but what MODE=cov counted. */
void sim_die(void);
_Noreturn void sim_leave(int status);

/* A call that can fail: < 0 if this is the one. */
int sim_call_err(struct node *n, struct sim **ret, const char *name, struct err *err);

#define CALL(name)                                  \
	struct sim *sim;                            \
	int r_ = sim_call_err(n, &sim, name, err);  \
	if (r_ < 0)                                 \
		return r_

/* What stands under a path, or is mounted on it. */
void sim_ids(struct sim *sim, const char *path, uint64_t *dev, uint64_t *ino);

/* Files, mounts, cgroups, sockets. */
void sim_files_init(struct node *node);

/* A child that talks: see talk_fd(). */
#define SIM_TALK_FD 200000000 /* + pid: no descriptor of the test has such a number */
void sim_talk_init(struct node *node);
bool sim_talk_ready(struct sim *sim, int fd);

#endif
