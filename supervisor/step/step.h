/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_STEP_STEP_H
#define URUNC_STEP_STEP_H

/*
 * step.h - one effect on the host that can be taken back.
 *
 * A kind of step is a file in this folder (what unikernels alone have: supervisor/guest/)
 * and a line in kinds.c. The engine owns the order of things; around every apply() it does:
 *
 *	probe    what stands there already? foreign: the step is refused, never undone
 *	intend   the row is committed, with what probe found in have
 *	apply    the effect
 *	settle   the outcome is committed
 *
 * and to take it back: undoing is committed, undo(), undone is committed.
 *
 * What every kind promises:
 *
 *   S1 No step blocks, waits, logs or remembers. It returns what it waits for; what
 *      it knows is in its row: want (decided before) and have (what became known,
 *      committed by step_save() as soon as it is known). It may be dropped and
 *      reopened between any two wakes, in another process.
 *   S2 apply() that fails may leave its effect half made: the engine always calls
 *      undo() on a row that got as far as intent.
 *   S3 undo() means "nothing of this task is left under that name". It asks the host
 *      first, touches only what has the recorded identity, may be repeated, and
 *      succeeds where there is nothing, or somebody else's thing (it says so with
 *      step_note()). It must be safe when a newer step's undo has failed.
 *   S4 verify() and probe() only read, and never wait.
 *   S5 A step that makes several effects commits, before the first, a have that
 *      names them all.
 */

#include "journal/journal.h"
#include "supervisor/node/node.h"

#include <json-c/json.h>
#include <stdint.h>

struct config; /* supervisor/bundle/config.h */

enum step_fact {
	FACT_NONE_,
	FACT_ABSENT,  /* nothing there                                         */
	FACT_PARTIAL, /* some of it is there, and it is this task's            */
	FACT_PRESENT, /* there, and this task's                                */
	FACT_FOREIGN, /* something is there that is not this task's: hands off */
	FACT_UNSURE,  /* the host can't tell                                   */
};

enum step_result { STEP_DONE = 0, STEP_WAIT = 1 }; /* < 0: failed, *err filled */

enum wake_why {
	WAKE_NONE_,
	WAKE_BEGIN,    /* the first call for this apply or undo                   */
	WAKE_RESUME,   /* a new owner; an apply or undo was under way: look first */
	WAKE_CHILD,    /* the child waited for has ended, .status                 */
	WAKE_READY,    /* the descriptor waited for is readable                   */
	WAKE_TIMER,    /* at_ms has come                                          */
	WAKE_DEADLINE, /* apply_ms or undo_ms is over; the child was killed       */
};

enum step_effect { EFFECT_NONE_, EFFECT_VOLATILE, EFFECT_DURABLE };

/* Why a step is woken. status: wait(2)'s, -1 if nobody can know it any more. */
struct wake {
	enum wake_why why;
	int status;
	const struct child_row *child; /* WAKE_CHILD: its row, lent */
};

/* What a step waits for; any one of them wakes it. Zeroed with fd -1 by the engine. */
struct wait {
	int64_t child_seq; /* 0: none */
	int fd;            /* -1: none; the descriptor stays its owner's */
	int64_t at_ms;     /* 0: none; node->now_ms() time */
};

struct step {
	int64_t seq;                 /* its row */
	const struct step_ops *ops;
	const struct task_row *task; /* lent */
	const char *epoch;           /* of its intent, see node->epoch(); lent. While it is
	                                applied: now's                                 */
	json_object *want;           /* lent, read only */
	json_object *have;           /* lent; change it, then step_save() */
};

/* What a step may use besides its row. */
struct step_env {
	struct node *node;
	struct journal *journal;
	const struct config *config;
	int stdio[3];    /* descriptors for the container's 0, 1, 2; -1: /dev/null. Only
	                    in a serving shim; lent                                  */
	const char *input; /* an exec's process spec, which is not for the journal: it
	                    may hold secrets, and outgrow a row; NULL: none; lent     */
	bool recovering; /* we are not the process that made these effects          */
	bool forgotten;  /* containerd does not know the task: its bundle goes too   */
	bool shared;     /* the shim serves other tasks too: it and its socket stay  */
	int *ret_console_fd; /* gets a terminal's console socket, see step/console.h; the
	                        caller's to close; NULL: nobody takes it            */
	/* Only where a serve plan is applied (`start`); NULL elsewhere. */
	int *ret_listen_fd;   /* gets the listening socket, the caller's to close */
	int (*serve)(void *); /* the server's life, in the forked child; its exit code */
	void *serve_arg;
};

typedef int step_fn(struct step *step, struct step_env *env, const struct wake *wake,
		    struct wait *next, struct err *err);

struct step_ops {
	const char *kind; /* on disk: never renamed, never reused */
	enum step_effect effect; /* DURABLE: outlives a boot, its intent is synced */
	int apply_ms, undo_ms;   /* then its child is killed, and WAKE_DEADLINE */
	bool runtime;            /* it calls the OCI runtime: see step_limit_ms() */
	const char *replans;     /* a member of have: done with that, it has written another
	                            request, and what comes after it is planned from there */
	/* Before the intent: an enum step_fact. FOREIGN needs *err filled with the words
	 * for the caller (-EEXIST is what he gets). May fill step->have. NULL: absent. */
	int (*probe)(struct step *step, struct step_env *env, struct err *err);
	step_fn *apply;
	step_fn *undo;
	/* After the fact: an enum step_fact, or < 0. */
	int (*verify)(struct step *step, struct step_env *env, struct err *err);
};

/* The table of kinds, ended by a NULL; and one of them by its on-disk name, or NULL. */
extern const struct step_ops *const step_kinds[];
const struct step_ops *step_kind(const char *kind);

/* How long one apply, or undo, may take, in ms: the larger of the kind's own limit
 * and, if it calls the OCI runtime, what the config gives to one call of it. */
int64_t step_limit_ms(const struct step_ops *ops, const struct config *config, bool undo);

/* ---- for the kinds ----------------------------------------------------------- */

/* Commit step->have. A crash point follows. */
int step_save(struct step *step, struct step_env *env, struct err *err);

/**
 * step_spawn() - spawn by handshake: fork held, commit the child's row, open the gate
 * @what:	for people: "runc create"
 * @next:	gets the child to wait for
 *
 * Return: STEP_WAIT, or < 0 and then no child runs.
 */
int step_spawn(struct step *step, struct step_env *env, const struct spawn *spawn,
	       const char *what, struct wait *next, struct err *err);

/* What an ended child wrote; "" if nothing. The caller frees. */
char *step_output(struct step_env *env, const struct wake *wake);

/* Spawn a job of ours with JSON @args (consumed), as step_spawn(). */
int step_job(struct step *step, struct step_env *env, enum job job, json_object *args,
	     const char *what, struct wait *next, struct err *err);

/* How a job ended: 0, or a negative errno with its own sentence (@what in front). */
int step_job_result(struct step_env *env, const struct wake *wake, const char *what,
		    struct err *err);

/* The same; *ret is what it wrote, the caller's to free, NULL without memory. */
int step_job_answer(struct step_env *env, const struct wake *wake, const char *what,
		    char **ret, struct err *err);

/* A note in the task's history: "left alone: ...". Never fails the step. */
void step_note(struct step *step, struct step_env *env, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Try again in @ms: fills @next and returns STEP_WAIT. */
int step_again(struct step_env *env, int ms, struct wait *next);

/* It had to be killed because it took too long: -ETIMEDOUT and the sentence. */
int step_late(const struct step *step, const char *what, struct err *err);

/* End a process and wait until it is gone: wake after wake until STEP_DONE. The
 * caller has checked that the pid is of this boot and pid namespace. */
int step_kill(struct step_env *env, const struct ident *who, struct wait *next,
	      struct err *err);

/* Remove what write_file() made at @path, or half made: a draft. For a @path that nobody
 * else can have, for no identity is asked. Not there is fine. */
int step_unwrite(struct step_env *env, const char *path, struct err *err);

/* Nothing is to be done: the undo of a step that holds nothing. */
step_fn step_nothing;

/* The have of the newest step of this kind that began, the caller's to json_object_put();
 * NULL: there is none. */
json_object *step_have_of(struct step_env *env, const char *kind);

/* Strict reads from want or have: the default if the member is absent. Never NULL
 * for json_text() unless @or_else is. */
const char *json_text(json_object *o, const char *name, const char *or_else);
int64_t json_int(json_object *o, const char *name, int64_t or_else);
uint64_t json_uint(json_object *o, const char *name, uint64_t or_else);
bool json_true(json_object *o, const char *name);
json_object *json_list(json_object *o, const char *name); /* NULL: none */
/* Is it a bind mount, by its type or, as that may say nothing, by its options? */
bool json_is_bind(json_object *mount);

/* Set members; a failure to allocate shows at step_save(). */
void json_put_text(json_object *o, const char *name, const char *value);
void json_put_int(json_object *o, const char *name, int64_t value);
void json_put_uint(json_object *o, const char *name, uint64_t value);
void json_put(json_object *o, const char *name, json_object *value); /* consumed */
/* @value is consumed; a list that lacks one leaves its mark where it is put. */
void json_append(json_object *list, json_object *value);
void json_put_words(json_object *o, const char *name, char *const *words); /* NULL: empty */

/* Identities as JSON: {"pid","start"} and {"dev","ino","mode"} members of @o. */
void json_put_ident(json_object *o, const char *name, const struct ident *who);
bool json_ident(json_object *o, const char *name, struct ident *ret);
void json_put_path(json_object *o, const char *name, const struct path_ident *what);
bool json_path(json_object *o, const char *name, struct path_ident *ret);

#endif
