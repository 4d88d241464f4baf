/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_LIB_NODE_RIG_H
#define URUNC_TEST_LIB_NODE_RIG_H

/*
 * node_rig.h - this machine's node and a folder of its own, for one test. Every call
 * fails the test by itself when something is not as it must be.
 */

#include "supervisor/node/node.h"

#include <limits.h>

struct node_rig {
	struct node *n;
	char dir[64]; /* empty at first; removed at the end, without crossing a mount */
};

/* For cmocka: *state is a struct node_rig. */
int node_rig_up(void **state);
int node_rig_down(void **state);

/* In a mount namespace of our own, from which nothing gets out. False: not root. */
bool node_rig_private_mounts(void);

/* <dir>/<name>, in one of a few buffers that take turns. */
const char *node_rig_path(const struct node_rig *rig, const char *name);

/* Wait until the process ends (at most 10 s) and reap it: its wait(2) status. */
int node_rig_end(struct node_rig *rig, const struct ident *who);

/* Let it run to its end; the exit code, or 256 + a signal. @output: the caller's to
 * free, may be NULL. */
int node_rig_run(struct node_rig *rig, const struct spawn *what, char **output);

/* A job of ours with arguments as printf() makes them. */
int node_rig_job(struct node_rig *rig, enum job job, char **output, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* An identity by number, as it is now. */
struct ident node_rig_ident(struct node_rig *rig, pid_t pid);

/* How many descriptors this process has open. */
int node_rig_descriptors(void);

#endif
