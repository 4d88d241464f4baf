/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_CALLS_LIFE_H
#define URUNC_CALLS_LIFE_H

/*
 * life.h - a task's life, one call after the other, with the test as the daemon.
 */

#include "journal/journal.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct life {
	const char *shim, *ctl; /* the programs                              */
	/* rootfs: a folder, or the image of an ext4; spec: a file */
	const char *daemon, *ns, *id, *rootfs, *spec;
	char root[PATH_MAX / 2], bundle[PATH_MAX], socket[128];
	struct journal_place place;
	struct task_key key;
	int log;      /* the bundle's log, held open as the daemon does      */
	pid_t server; /* 0: none known                                       */
	bool sandbox; /* it is one: see life_call()                          */
};

/* A program of ours, held before its exec until it is let go. */
struct verb {
	pid_t pid;
	int gate, out;
	char text[1024]; /* what it said, after verb_wait() */
};

/* The bundle, anew / and gone. life_remove() is false while a mount is in it. */
bool life_prepare(struct life *l);
bool life_remove(struct life *l);

/* What the shim has written to its log since, as far as it fits. */
void life_log(const struct life *l, char *ret, size_t size);

/* "start", "delete", or "recover" of uruncctl. */
bool verb_fork(const struct life *l, struct verb *v, const char *name);
void verb_go(struct verb *v);
/* Its exit status; 128 and the signal; -1: not in @ms, and then it was killed. */
int verb_wait(struct verb *v, int ms);

/* What `start` has printed, and the server that it has left behind. */
bool life_started(struct life *l, const struct verb *v);

/* Create, Start, Kill, Wait, Delete, Shutdown, Exec; "exec Start", Kill, Wait, Delete of
 * what Exec added: 0, or the error's code and sentence. A sandbox is stopped where a task
 * is killed, and looked at where a task is deleted. */
int life_call(const struct life *l, const char *method, struct err *err);

/* Wait, or exec Wait, and the exit status. */
int life_wait(const struct life *l, bool exec, uint32_t *status, struct err *err);

bool is_alive(pid_t pid);
bool gone_in(pid_t pid, int ms);
void nap(void); /* a moment */

/* For a child subreaper, whose child whoever the dead leave is: */
void reap(void);       /* those that have ended */
bool shim_lives(void); /* is one of them a shim? */

#endif
