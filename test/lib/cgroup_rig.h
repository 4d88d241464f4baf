/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_LIB_CGROUP_RIG_H
#define URUNC_TEST_LIB_CGROUP_RIG_H

/*
 * cgroup_rig.h - a cgroup of this machine for one test, in every hierarchy that counts
 * something, with 16 MiB of memory and no swap. Every call fails the test by itself
 * when something is not as it must be.
 */

#include "supervisor/metrics/folders.h"
#include "test/lib/node_rig.h"

#include <stdbool.h>

#define CGROUP_RIG_LIMIT (16 << 20)

struct cgroup_rig {
	struct node_rig *node;
	bool unified;                  /* version 2 is all there is              */
	pid_t maker;
	struct cgroup_folders folders; /* after cgroup_rig_find()                */
	char *memory;                  /* the one of these with memory's files   */
};

/* We are root, and something here counts memory; else the test is to be skipped. */
bool cgroup_rig_possible(void);

/* For cmocka: *state is a struct cgroup_rig. */
int cgroup_rig_up(void **state);
int cgroup_rig_down(void **state);

/* Kill whoever is in the cgroups and remove them. */
void cgroup_rig_remove(const struct cgroup_rig *r);

/* What a child does; some are killed for it. */
typedef void cgroup_act(const struct cgroup_rig *r);
cgroup_act act_nothing;
cgroup_act act_burn;      /* 0.1 s of a processor               */
cgroup_act act_eat;       /* more memory than there is          */
cgroup_act act_eat_some;  /* 4 MiB                              */
cgroup_act act_feed;      /* have a child that eats, and go on  */
cgroup_act act_eat_below; /* the same in a cgroup below         */

/* A child in the cgroups, which acts and then sleeps. @done: wait until it has acted,
 * or died of it. */
pid_t cgroup_rig_child(const struct cgroup_rig *r, cgroup_act *act, bool done);

/* Kill and reap it. */
void cgroup_rig_end(pid_t pid);

/* Learn .folders from where a process is, as the shim does. */
void cgroup_rig_find(struct cgroup_rig *r, pid_t pid);

/* Control files, of the folder. put: 0 or -1. */
int cgroup_rig_put(const char *folder, const char *file, const char *text);
uint64_t cgroup_rig_get(const char *folder, const char *file);

#endif
