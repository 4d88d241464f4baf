/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_OCI_CGROUPS_H
#define URUNC_OCI_CGROUPS_H

/*
 * cgroups.h - which cgroup folders an OCI runtime makes for a container. Pure.
 *
 * With the cgroupfs driver it is the spec's cgroupsPath below every mounted hierarchy;
 * a relative one is below the runtime's own cgroup (crun: below the root). With the
 * systemd driver "a-b.slice:prefix:name" is /a.slice/a-b.slice/prefix-name.scope.
 */

#include "supervisor/node/node.h"
#include "supervisor/oci/runtime.h"

#include <stdbool.h>
#include <stddef.h>

#define CGROUP_PATH_MAX 4096 /* bytes of a folder */

struct cgroup_ask {
	const struct mount_list *mounts;
	enum runtime_kind kind;
	bool systemd;
	const char *cgroups_path; /* of the spec, or "" */
	const char *id;
	const char *own; /* text of /proc/self/cgroup */
};

/**
 * cgroups_predict() - visit the folder in each hierarchy
 * @each:	< 0 ends the visit and is returned; @root is how many bytes of @folder
 *		are the hierarchy's mount
 *
 * Return: 0; -EINVAL the path is too long.
 */
int cgroups_predict(const struct cgroup_ask *ask,
		    int (*each)(void *arg, const char *folder, size_t root, struct err *err),
		    void *arg, struct err *err);

/* The folders of the lines of a /proc/PID/cgroup, likewise. */
int cgroups_of_text(const struct mount_list *mounts, const char *text,
		    int (*each)(void *arg, const char *folder, size_t root, struct err *err),
		    void *arg, struct err *err);

/* Does the last component name this id: "c1", "prefix-c1.scope"? */
bool cgroup_names(const char *path, const char *id);

#endif
