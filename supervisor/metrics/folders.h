/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_METRICS_FOLDERS_H
#define URUNC_METRICS_FOLDERS_H

/*
 * folders.h - where a container's control files are.
 *
 * One folder where /sys/fs/cgroup is version 2; else one for each controller that has
 * a hierarchy of its own (what hybrid machines keep in a version 2 hierarchy besides
 * does not count, as for the reference shim).
 */

#include "supervisor/node/node.h"

enum cgroup_controller {
	CGROUP_CPU,
	CGROUP_CPUACCT,
	CGROUP_MEMORY,
	CGROUP_PIDS,
	CGROUP_BLKIO,
	CGROUP_RDMA,
	CGROUP_HUGETLB,
	CGROUP_N
};

struct cgroup_folders {
	char *unified;      /* version 2; NULL: version 1             */
	char *of[CGROUP_N]; /* version 1; NULL: no such hierarchy     */
};

/**
 * cgroup_folders_find() - from a process' cgroups
 * @mounts:	of this machine
 * @text:	of /proc/PID/cgroup; it may be read long after the process has gone
 * @ret:	the caller's to cgroup_folders_clear(), whatever is returned
 *
 * The folders are not looked at. Pure.
 *
 * Return: 0; -ENOENT: it is in no cgroup but roots; -EINVAL: not such a text; -ENOMEM.
 */
int cgroup_folders_find(struct cgroup_folders *ret, const struct mount_list *mounts,
			const char *text, struct err *err);

/* All NULL again; harmless where they are already. */
void cgroup_folders_clear(struct cgroup_folders *f);

#endif
