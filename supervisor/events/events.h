/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_EVENTS_EVENTS_H
#define URUNC_EVENTS_EVENTS_H

/*
 * events.h - what containerd is told about a task, put into its outbox.
 *
 * Each is one write to the journal, or part of the caller's transaction. @at_ns is
 * the wall clock now. Errors: the journal's.
 */

#include "journal/journal.h"

#include "proto/api/google.pb-c.h"

#include <json-c/json.h>

/* What TaskCreate repeats of the request; all lent. */
struct told_create {
	const char *id, *bundle;
	const char *stdio[3];
	bool terminal;
	const char *checkpoint; /* NULL or "": not from one */
};

/* How a process ended. */
struct told_exit {
	pid_t pid;
	uint32_t status;
	int64_t at_ns; /* 0: it has not */
};

/* @mounts: the request's rootfs, see supervisor/engine/plan.h; NULL: none. */
int tell_create(struct journal *j, const struct told_create *what, json_object *mounts,
		pid_t pid, int64_t at_ns, struct err *err);
int tell_start(struct journal *j, pid_t pid, int64_t at_ns, struct err *err);
int tell_oom(struct journal *j, int64_t at_ns, struct err *err);
int tell_exit(struct journal *j, const struct told_exit *exit, int64_t at_ns, struct err *err);
int tell_delete(struct journal *j, const struct told_exit *exit, int64_t at_ns,
		struct err *err);

int tell_exec_added(struct journal *j, const char *exec_id, int64_t at_ns, struct err *err);
int tell_exec_started(struct journal *j, const char *exec_id, pid_t pid, int64_t at_ns,
		      struct err *err);
int tell_exec_exit(struct journal *j, const char *exec_id, const struct told_exit *exit,
		   int64_t at_ns, struct err *err);
int tell_paused(struct journal *j, int64_t at_ns, struct err *err);
int tell_resumed(struct journal *j, int64_t at_ns, struct err *err);

/* A time as the wire wants it; 0 is Go's zero time. */
void told_time(Google__Protobuf__Timestamp *ret, int64_t at_ns);

#endif
