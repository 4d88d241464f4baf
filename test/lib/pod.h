/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_POD_H
#define URUNC_TEST_POD_H

/*
 * pod.h - tasks of living shims, and a recovery that meets them.
 *
 * A shim is a process of the test that has the journals of its tasks, as a real one; on
 * the simulated machine it has the same number. The recovery is the test itself, so that
 * it sees the whole report. Use it with cmocka, whose asserts it calls.
 */

#include "supervisor/engine/recover.h"
#include "test/lib/engine_bench.h"

struct shim {
	pid_t real;
	int line;
	struct ident ident; /* on the simulated machine */
};

/* What a shim does that is asked to let go of a task: enum job JOB_RELEASE. */
enum lets_go {
	NEVER_ANSWERS,
	LETS_GO,
	LETS_GO_LATER,    /* says so, and has it until the next pause of who asked */
	LETS_GO_NEVER,    /* says so, and has it                                   */
	REFUSES,          /* in words                                              */
	REFUSES_MUTE,
};

enum moment { AT_ALIVE, AT_CLOCK, AT_RELEASE };

struct pod {
	struct sim_node node; /* first; the recovery's */
	struct engine engine;
	struct bench *b;
	struct sim *sim;
	struct shim *shim;    /* that is asked to let go */
	enum lets_go lets_go;
	struct task_key key;  /* of the task that is recovered */
	char later;           /* 'f', 'd': finishes, drops it at the next pause */
	/* What happens meanwhile, at @moment: the Nth time that the recovery asks who is alive,
	 * or looks at the clock, 0: never; or when the shim has answered. */
	int at_alive, at_clock;
	bool at_release;
	void (*happens)(struct pod *p, enum moment moment);
	struct recover_report report;
	struct err err;
};

/* cmocka's setup and teardown: *state is a struct pod with no task. */
int pod_open(void **state);
int pod_close(void **state);

/* Nobody's task: containerd's, created, with a file /held_<id> that it holds. Its shim is
 * @shim, which may be dead. */
void pod_task(struct pod *p, const char *id, const struct ident *shim);
void pod_task_of(struct pod *p, const struct task_key *key, const struct ident *shim);
/* The same, of a shim that is dead. */
void pod_dead(struct pod *p, const char *id);
struct task_key pod_key(const char *id);
/* Its file, to write in. */
struct journal *pod_journal(struct pod *p, const char *id);
/* <root>/live/.../<id>.db, or <run>/lock/.../<id>. Returns @buf. */
char *pod_file(struct pod *p, const char *id, char *buf, size_t size);
char *pod_lock(struct pod *p, const char *id, char *buf, size_t size);

/* Somebody else writes to a task's file. */
void pod_writes(const char *file, const char *sql);
/* A word in its task's row, as only a newer version has. */
void pod_newer_wrote(const char *file);

/* A shim without a task; it lives until shim_end(). It is none of the young. */
void shim_begin(struct pod *p, struct shim *ret);
void shim_end(struct shim *shim);
/* It has this task from now on, or no more; ends it, so that it is history. */
void shim_takes(struct shim *shim, const struct task_key *key);
void shim_drops(struct shim *shim, const struct task_key *key);
void shim_finishes(struct shim *shim, const struct task_key *key);
/* Both: a task of a living shim. */
void shim_serves(struct pod *p, struct shim *shim, const char *id);

/* recover_task(): 0, and p->report, with this result. */
void pod_recovers(struct pod *p, const char *id, unsigned flags, int64_t deadline_ms,
		  enum recover_result result);
/* A text of the report is there, and has this part. */
void pod_says(const char *text, const char *part);
/* Is the shim alive? Has the task a live file, and the node what it held? */
bool shim_lives(struct pod *p, const struct shim *shim);
bool pod_live(struct pod *p, const char *id);
bool pod_holds(struct pod *p, const char *id);

#endif
