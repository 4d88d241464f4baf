/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_NODE_CGROUP_PATHS_H
#define URUNC_NODE_CGROUP_PATHS_H

/*
 * cgroup_paths.h - which folders are a process's cgroups, and which an OCI runtime is
 * about to make. Pure: from the text of /proc/PID/cgroup and the list of mounts.
 *
 * A hierarchy is known by its device. Of several mounts of one, that below
 * /sys/fs/cgroup is taken, else the one with the shortest target; mounts that are
 * covered by others don't count.
 *
 * The forecast was compared with runc 1.1.5 and crun 1.8.1 on a kernel with both
 * versions mounted. It names too much rather than too little: what is not there is
 * nothing to undo. Two habits to know:
 *
 *   - Both make missing ancestors, and remove only the last folder.
 *   - A path that is not absolute, or none: crun starts at the top. runc starts in
 *     version 1 at the caller's own cgroup, in version 2 alone at the parent of that,
 *     in version 2 beside version 1 at the top.
 *   - Where version 1 is in use and version 2 is not mounted, crun takes every folder
 *     in /sys/fs/cgroup for a hierarchy. An empty "unified" gets <path>/cgroup.procs,
 *     plain files in a tmpfs, which "crun delete" leaves: see .plain.
 *   - "a/../b": runc makes b; crun makes a as well, and follows ".." out of the
 *     hierarchy. That is not forecast: such a path is to be refused for it.
 */

#include "supervisor/node/node.h"

struct cgroup_path {
	char *path;      /* absolute                                           */
	bool leaf;       /* the container's own; else an ancestor of one       */
	bool unified;    /* version 2                                          */
	bool plain;      /* a folder of a tmpfs that may hold files; no cgroup */
};

/* Ancestors come before what is in them. */
struct cgroup_paths {
	struct cgroup_path *at;
	size_t n;
};
void cgroup_paths_clear(struct cgroup_paths *paths);

/**
 * cgroup_paths_of() - where a process is
 * @text:	of /proc/PID/cgroup, read in our own cgroup namespace
 *
 * Leaves only, one a mounted hierarchy, those of the root cgroup ("/") included. What
 * can't be seen from here is left out: hierarchies that are not mounted, paths outside
 * of what is mounted or of our namespace, removed cgroups.
 *
 * Return: 0; -EINVAL: not such a text; -ENOMEM.
 */
int cgroup_paths_of(const char *text, const struct mount_list *mounts, struct cgroup_paths *ret,
		    struct err *err);

enum cgroup_habit {
	CGROUP_HABIT_ANY, /* an unknown runtime: what either would make      */
	CGROUP_HABIT_RUNC,
	CGROUP_HABIT_CRUN,
};

/* What the runtime will go by; all lent, none NULL. */
struct cgroup_wish {
	const char *path; /* linux.cgroupsPath of the spec, "" if it has none         */
	const char *id;   /* the container's                                         */
	const char *own;  /* /proc/PID/cgroup of who will spawn the runtime          */
	const char *init; /* that of pid 1; "" is the same as all in the root cgroup  */
	bool systemd;     /* --systemd-cgroup                                        */
	enum cgroup_habit habit;
};

/**
 * cgroup_forecast() - every folder that create may make, below the mounts
 *
 * Folders that exist already are in it too: the caller looks. Empty if the runtime will
 * refuse the path.
 *
 * Return: 0; -ENAMETOOLONG; -ENOMEM.
 */
int cgroup_forecast(const struct cgroup_wish *wish, const struct mount_list *mounts,
		    struct cgroup_paths *ret, struct err *err);

#endif
