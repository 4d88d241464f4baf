/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_LIFE_LIFE_H
#define URUNC_LIFE_LIFE_H

/*
 * life.h - the life of one task, as a table.
 *
 * Pure: no I/O, no clock, no allocation. It answers one question, "from here, on
 * this event, where to and what to run?". The engine asks it, and nothing else
 * writes a state. The table is life.c; urunc-states(7) and the model print it from
 * there (uruncctl states), so that code, manual and model are one thing.
 *
 * Names are on disk: never renamed, never reused.
 */

#include <stdbool.h>
#include <stddef.h>

/* name, on disk, what is true in it */
#define LIFE_STATES(X)                                                                  \
	X(NEW, "new", "a shim serves or served; nothing of the task exists")            \
	X(CREATING, "creating", "the create plan is being applied")                     \
	X(UNDOING, "undoing", "a failed create is being taken back")                    \
	X(CREATED, "created", "committed: all is held, init waits to be started")       \
	X(STARTING, "starting", "the start plan is being applied")                      \
	X(RUNNING, "running", "init was started and has not been seen to exit")         \
	X(PAUSING, "pausing", "the pause plan is being applied")                        \
	X(PAUSED, "paused", "all processes of the container are frozen")                \
	X(RESUMING, "resuming", "the resume plan is being applied")                     \
	X(STOPPED, "stopped", "init has exited, its status is journalled; all else held") \
	X(DELETING, "deleting", "everything of the task is being released")             \
	X(DELETED, "deleted", "nothing of the task is left; the shim still serves")     \
	X(FINISHING, "finishing", "the shim is going: its socket is being removed")     \
	X(TAKEDOWN, "takedown", "everything, the shim included, is being taken back")   \
	X(STUCK, "stuck", "something could not be taken back; a retry will try again")  \
	X(GONE, "gone", "final: nothing of it exists, its file moves to the history")

#define LIFE_EVENTS(X)                                                                 \
	X(CREATE, "create", "containerd asks")                                          \
	X(START, "start", "containerd asks")                                            \
	X(KILL, "kill", "containerd asks")                                              \
	X(DELETE, "delete", "containerd asks")                                          \
	X(PAUSE, "pause", "containerd asks")                                            \
	X(RESUME, "resume", "containerd asks, or init has exited while paused")         \
	X(UPDATE, "update", "containerd asks")                                          \
	X(CHECKPOINT, "checkpoint", "containerd asks")                                  \
	X(EXEC, "exec", "containerd asks for the start of one more process")            \
	X(EXEC_DELETE, "exec_delete", "containerd asks for such a process's end")       \
	X(FINISH, "finish", "the shim has nothing left to serve")                       \
	X(RECOVER, "recover", "the owner died, or containerd's `delete` says so")       \
	X(EXIT, "exit", "init has exited")                                              \
	X(DONE, "done", "the plan has been carried out")                                \
	X(FAIL, "fail", "the plan has failed")

/*
 * A plan applies steps, or undoes those of a scope, newest first. Those marked "beside"
 * run beside others and move no state.
 */
#define LIFE_PLANS(X)                                                                  \
	X(SERVE, "serve", "socket, server")                                             \
	X(CREATE, "create", "bundle, mounts, cgroup, state, init, rootfs choice")       \
	X(START, "start", "start init")                                                 \
	X(PAUSE, "pause", "freeze")                                                     \
	X(RESUME, "resume", "thaw")                                                     \
	X(KILL, "kill", "signal; beside")                                               \
	X(UPDATE, "update", "change resources; beside")                                 \
	X(CHECKPOINT, "checkpoint", "write an image; beside")                           \
	X(EXEC, "exec", "start one more process; beside")                               \
	X(EXEC_UNDO, "exec_undo", "undo what the exec plans of one process made; beside") \
	X(UNDO, "undo", "undo all but what serve made")                                 \
	X(FINISH, "finish", "undo what serve made")                                     \
	X(TAKEDOWN, "takedown", "fence, then undo everything")

enum life_state {
	LIFE_NONE_,
#define LIFE_ENUM_(n, name, text) LIFE_##n,
	LIFE_STATES(LIFE_ENUM_)
#undef LIFE_ENUM_
	LIFE_N
};
enum life_event {
	EV_NONE_,
#define LIFE_ENUM_(n, name, text) EV_##n,
	LIFE_EVENTS(LIFE_ENUM_)
#undef LIFE_ENUM_
	EV_N
};
enum plan {
	PLAN_NONE,
#define LIFE_ENUM_(n, name, text) PLAN_##n,
	LIFE_PLANS(LIFE_ENUM_)
#undef LIFE_ENUM_
	PLAN_N
};

struct arrow {
	enum life_state to; /* LIFE_NONE_: refused, see .why       */
	enum plan run;      /* on arrival, or PLAN_NONE            */
	const char *why;    /* of a refusal: words for the caller  */
	int code;           /* of a refusal: errno value           */
};

/**
 * life_arrow() - look up one transition
 *
 * Return: the arrow; every pair of valid arguments has one, and a refusal has .why
 * and .code. Out of range: a refusal.
 */
const struct arrow *life_arrow(enum life_state from, enum life_event ev);

const char *life_state_name(enum life_state s); /* NULL out of range */
const char *life_state_text(enum life_state s);
enum life_state life_state_of(const char *name); /* LIFE_NONE_: unknown */
const char *life_event_name(enum life_event e);
const char *plan_name(enum plan p);
const char *plan_text(enum plan p);
/* It applies steps; the others undo them, after a fence. */
bool plan_applies(enum plan p);
/* Does @plan undo rows of runs of plan @of? */
bool plan_undoes(enum plan plan, enum plan of);
/* It runs beside other plans, and neither its end nor its beginning moves the state. */
bool plan_beside(enum plan p);
enum plan plan_of(const char *name); /* PLAN_NONE: unknown */

#endif
