/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_OCI_CLI_H
#define URUNC_OCI_CLI_H

/*
 * cli.h - calling an OCI runtime: its arguments, and what its failures mean.
 *
 * The steps that call it want the same members, and plan.c writes them:
 *
 *   { "runtime": path, "root": its --root, "id", "bundle", "systemd": bool }
 */

#include "supervisor/oci/runtime.h"
#include "supervisor/step/step.h"

#include <stddef.h>

#define OCI_ARGS_MAX 31

/* Words of a command line, lent; NULL-terminated at all times. */
struct oci_args {
	const char *at[OCI_ARGS_MAX + 1];
	size_t n;
};

/* One more word. More than OCI_ARGS_MAX are dropped: no command comes near. */
void oci_arg(struct oci_args *args, const char *word);

/* The binary and the global options; @log: its --log, or NULL for none. */
void oci_args_begin(struct oci_args *args, json_object *want, const char *log);

/* <bundle>/<name>; the caller's to free(), NULL without memory. */
char *oci_bundle_path(json_object *want, const char *name);
/* <root>/<id>, where the runtime keeps its state. */
char *oci_state_path(json_object *want);

/* Bytes in the runtime's log now; 0 if there is none. */
int64_t oci_log_size(struct node *n, const char *log);

/* The "msg" of the last object with level "error" in a log, or NULL. What can't be
 * parsed is passed over line by line. The caller frees. Pure. */
char *oci_log_error(const char *text, size_t len);

/**
 * oci_result() - how a call of the runtime ended
 * @prefix:	"OCI runtime create failed"
 * @log:	the log that was given to it, or NULL
 * @log_from:	its size before the call: only what came after is about this call
 *
 * Return: 0; -ETIMEDOUT it was killed for taking too long; -EIO anything else. The
 * sentence is the prefix, then the runtime's own words if it left any.
 */
int oci_result(struct step *step, struct step_env *env, const struct wake *wake,
	       const char *prefix, const char *log, int64_t log_from, struct err *err);

/**
 * oci_call() - run the runtime for a step that has no other child
 * @words:	what follows the global options, ended by NULL
 * @in:		its standard input, or SPAWN_NULL; its output is kept
 *
 * Commits have.log_from first, so have must name all other effects of the step by then.
 *
 * Return: STEP_WAIT, or < 0 and nothing runs.
 */
int oci_call(struct step *step, struct step_env *env, const char *const *words, int in,
	     struct wait *next, struct err *err);

/* How it ended, as oci_result(). */
int oci_call_result(struct step *step, struct step_env *env, const struct wake *wake,
		    const char *prefix, struct err *err);

/* A pid file's text: the pid, or 0 if it is none. A final newline is tolerated. Pure. */
pid_t oci_pid(const char *text, size_t len);

/* Does the last component of a cgroup name this id: "c1", "prefix-c1.scope"? Pure. */
bool oci_cgroup_names(const char *path, const char *id);

/**
 * oci_find_init() - the init that a lost call has made, from what the runtime wrote
 *
 * The state of runc and crun gives pid and start time. A pid alone (urunc, the pid
 * file) may be stale: it counts only if a cgroup of that process carries the id.
 *
 * Return: 1 and *ret: that process exists now; 0: there is none.
 */
int oci_find_init(struct step *step, struct step_env *env, struct ident *ret, struct err *err);

/*
 * Let a frozen process die: where cgroups are of version 1 it takes no SIGKILL before.
 * Thaws those of its cgroups that carry the task's id. Best effort: who is not frozen, or
 * gone, is none the worse.
 */
void oci_thaw(struct node *n, const struct ident *who, const char *id);

/* The process that a pid file of a call that has just ended names: 1 and *ret; 0: there is
 * none. */
int oci_look_pid(struct node *n, const char *pid_file, struct proc_info *ret, struct err *err);

/* The process that a pid file names, as above: 1 and *ret, 0. */
int oci_find_pid(struct step *step, struct step_env *env, const char *pid_file,
		 struct ident *ret, struct err *err);

#endif
