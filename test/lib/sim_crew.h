/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_SIM_CREW_H
#define URUNC_TEST_SIM_CREW_H

/*
 * sim_crew.h - scripts: what happens to a task on a simulated machine, one thing after
 * another, by several parties, and what goes wrong meanwhile.
 *
 * A script is words, "c sD34 z v": an operation, and maybe a fault with its number.
 *
 *   c create   s start   x exec   k kill   p pause   r resume   d delete and shutdown
 *   z the shim is killed           v the shim's `delete`, called by containerd
 *   R uruncctl recover             2 two of them at once, which take turns
 *   B reboot, and the boot's hook
 *   u the first word alone: it is a unikernel that no OCI runtime makes
 *
 *   D die at the Nth call          E the Nth call fails (EIO)
 *   H the Nth child hangs          X the runtime fails at its Nth action, half way
 *   S containerd is silent         F the disk is full    G full, and die at the Nth call
 *
 * The end of each script: the shim is killed, all faults are over, a recovery comes.
 * Rules, each with a sentence if it is broken:
 *
 *   - then nothing is left, and nothing is gone that was there before;
 *   - a create that failed, and does not say that it is stuck, has no init, mount, cgroup,
 *     interface, nor anything that its hooks made;
 *   - what is refused changes nothing, nor does a recovery beside a living shim;
 *   - each life's events are told in order, twice only if somebody died, and its exit is
 *     told by the shim or known to the recovery;
 *   - every party comes to an end.
 */

#include "test/lib/sim_life.h"

#define SCRIPT_MAX 24

struct act {
	char op, fault; /* fault 0: none */
	int n;
};

struct script {
	struct act at[SCRIPT_MAX];
	int n;
	bool native;
};

struct ending {
	enum part last; /* how the last operation of the script ended */
	int calls;      /* how many it made                           */
	char broken[4096]; /* "": no rule is                          */
};

/* Play it on a machine of its own. */
void crew_play(const struct script *script, struct ending *ret);

/* "" a script that can't be read. Returns @buf; -1 for a text that is none. */
char *script_text(const struct script *script, char *buf, size_t size);
int script_parse(struct script *ret, const char *text);

/* The script that a number stands for: the same one in every run of this version. */
void script_random(struct script *ret, uint64_t seed);

#endif
