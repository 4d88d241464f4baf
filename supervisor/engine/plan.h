/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_ENGINE_PLAN_H
#define URUNC_ENGINE_PLAN_H

/*
 * plan.h - plans as data: which steps, wanting what. Pure: no I/O.
 *
 * A plan is computed from the task's row and its request, and can be printed
 * (uruncctl recover --dry-run, uruncctl show). The steps are in order; undo is the
 * same list backwards.
 *
 *   serve    socket, address, server
 *   create   bundle, mount (one for each rootfs mount), cgroup, state, init, rootfs-choice
 *            with unikernel after the mounts, if there is a "decide": what comes after it
 *            is planned anew if it is one
 *            bundle, mount, cgroup, limits, rootfs-choice, poststop, virtiofsd, launch,
 *            hook, root, release, network, for a unikernel without an OCI runtime:
 *            task->runtime is RUNTIME_NATIVE_NAME; root, if there are createContainer hooks
 *            bundle, cgroup, limits, launch, for a sandbox: RUNTIME_SANDBOX_NAME
 *   start    start; init, if a checkpoint is restored; hook, monitor, hook, for such a unikernel;
 *            monitor, for a sandbox
 *   kill     signal
 *   pause, resume, update, checkpoint, exec	one step of that name
 *
 * The request is what Create asked, as JSON (all members optional):
 *
 *   { "stdin","stdout","stderr": text, "terminal": bool,
 *     "console": text,                 path of the console socket, if terminal
 *     "checkpoint", "parent_checkpoint": text,  images; create plans no init and no
 *                                      choice then, start restores it
 *     "path": text,                    PATH, where a monitor is looked for
 *     "rootfs": [ { "type","source","target","options": [text] } ],
 *     "options": { "binary_name","root": text, "no_pivot_root","no_new_keyring",
 *                  "systemd_cgroup": bool, "io_uid","io_gid": number, ... },
 *     "cgroups_path": text,            from the spec
 *     "netns": path,                   of the network namespace joined, if it has one
 *     "hooks","annotations","oci": of the spec, for a unikernel that has hooks
 *     "uid","gid": number,             the spec's user; absent: 0
 *     "pid_namespace": "private" | "shared",
 *     "rootfs_choice": "best-effort" | "required",
 *     "unikernel": { "type","monitor","binary", ... }  absent: none
 *     "decide": { "no_runtime": text } whether it is one is for the rootfs to say; the
 *                                      text: why it can't be run if it is none
 *     "sandbox": { "hostname": text, "namespaces": as in the spec, but for pid and mount,
 *                  "pids": "own" | "node", "sysctls": { name: text } }  absent: none
 *     "created_ns": number             of a sandbox: when, wall clock }
 */

#include "journal/journal.h"
#include "supervisor/life/life.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#define PLAN_STEPS_MAX 160 /* steps of one plan; containerd's own limit of layers is 127 */

/* A plan: the wants are owned by it. */
struct plan_list {
	struct planned at[PLAN_STEPS_MAX];
	size_t n;
};
void plan_clear(struct plan_list *list);

/**
 * plan_make() - the steps of an applying plan
 * @args:	KILL: { "signal": n, "all", "paused": bool }; SERVE: { "socket", "address",
 *		"join": true if the shim serves there already };
 *		EXEC: { "exec_id", "console": path }; CHECKPOINT: as its step's want, with
 *		"path" at least; else NULL
 *
 * Return: 0; -EINVAL a request that no plan can be made of, with what is wrong and
 * where; -ENOTSUP it asks for something that is refused by name; -E2BIG.
 */
int plan_make(struct plan_list *ret, enum plan plan, const struct task_row *task,
	      json_object *request, json_object *args, struct err *err);

/* ---- parts of plans, for plan.c and plan_create.c alone -------------------------------
 * A want is not checked for memory while it is made: plan_add() says if it is not whole. */

/* Add a step; @want is consumed. -ENOMEM: it is not whole; -E2BIG. */
int plan_add(struct plan_list *list, const char *kind, json_object *want, struct err *err);
/* The hooks of that time, if there are any: a step. */
int plan_add_hooks(struct plan_list *list, const struct task_row *task, json_object *request,
		   const char *when, struct err *err);

/* Lent; NULL: there is none, or no @o. */
json_object *plan_member(json_object *o, const char *name);
/* Copy a member as it is, if it is there. */
void plan_copy(json_object *to, json_object *from, const char *name, const char *as);

/* What every call of the runtime needs: see supervisor/oci/cli.h. The caller puts it, as
 * the next two. */
json_object *plan_call(const struct task_row *task, json_object *request);
/* What makes init: the runtime, now or from a checkpoint; our own launcher. */
json_object *plan_init_want(const struct task_row *task, json_object *request);
json_object *plan_launch_want(const struct task_row *task, json_object *request);

/* Is it made from a checkpoint? Then start makes its init. */
bool plan_restored(json_object *request);
/* What the runtime can't do, and would say less well: -ENOTSUP; 0. */
int plan_lacks(const struct task_row *task, const char *command, struct err *err);

/* ---- plan_create.c ------------------------------------------------------------------ */

int plan_create(struct plan_list *list, const struct task_row *task, json_object *request,
		struct err *err);

#endif
