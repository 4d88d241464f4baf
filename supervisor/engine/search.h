/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_ENGINE_SEARCH_H
#define URUNC_ENGINE_SEARCH_H

/*
 * search.h - what the host has under a task's name, asked without its rows.
 *
 * Names are no identities: what is found is for people to look at, never for us to
 * remove. Looked at: mounts, cgroup folders of every hierarchy, the state folders of
 * runc, crun and urunc.
 */

#include "supervisor/engine/engine.h"

/* Where runtimes keep their containers, ended by NULL; containerd puts the namespace
 * below. */
extern const char *const host_state_roots[];

/* each() gets a sentence part, "mount /run/.../rootfs (overlay)"; nonzero stops.
 * Return: how many were found; < 0: some of it can't be looked at, the first *err says;
 * what was found elsewhere was told all the same. */
int host_search(struct engine *e, const struct task_key *key,
		int (*each)(void *arg, const struct task_key *key, const char *what), void *arg,
		struct err *err);

#endif
