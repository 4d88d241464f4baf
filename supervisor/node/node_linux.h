/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_NODE_NODE_LINUX_H
#define URUNC_NODE_NODE_LINUX_H

/*
 * node_linux.h - the machine itself, behind node.h. Linux 5.10 or newer, /proc mounted.
 *
 * A node holds descriptors only for its children and its locks. After a fork the child
 * of JOB_CALL may go on using the same node: what belonged to the parent is dropped
 * from it before call() runs. Any other fork must not touch the node.
 *
 * Threads: none, for the death signal of a child is bound to the forking thread.
 */

#include "supervisor/node/node.h"

#include <json-c/json.h>
#include <stdint.h>

/* @ret: the caller's to node_linux_free(). -ENOMEM; -ENOENT: no /proc. */
int node_linux_new(struct node **ret, struct err *err);

/* For a process that lists the mounts of thousands again and again: the text stays in
 * memory until the kernel says that it changed. */
void node_linux_keep_mounts(struct node *n);

/* Closes every watch and gate (a child still at its gate exits) and every lock; kills
 * and reaps nobody. NULL is fine. Returns NULL. */
struct node *node_linux_free(struct node *n);

/* openat2(2), with O_CLOEXEC and its "again" heeded; RESOLVE_* as @resolve. */
int linux_openat2(int dir, const char *path, int flags, uint64_t resolve);

/* Become a hook of the spec: args as of JOB_HOOK. In a child; it comes back if it can't. */
int linux_job_hook(json_object *args, struct err *err);

#endif
