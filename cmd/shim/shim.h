/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_SHIM_SHIM_H
#define URUNC_SHIM_SHIM_H

/*
 * shim.h - containerd-shim-urunc-v2: its actions, and what they share.
 */

#include "cmd/shim/flags.h"
#include "supervisor/bundle/config.h"
#include "supervisor/engine/engine.h"

#define SHIM_NAME "io.containerd.urunc.v2"

/* One call of the program. */
struct shim {
	struct flags flags;
	struct config config;
	struct journal_place place; /* of config */
	struct node *node;
	struct engine engine;
	struct task_key key;
};

/* The node, the settings, and the key if one is named. The caller clears. */
int shim_begin(struct shim *shim, struct err *err);
void shim_clear(struct shim *shim);

/* Each returns the exit code; errors are written to stderr by the one who began. */
int shim_start(struct shim *shim, struct err *err);
int shim_delete(struct shim *shim, struct err *err);
int shim_info(struct shim *shim, struct err *err);

/* Go to the cgroup that the options name, if they name one. */
struct bootstrap;
int shim_join_cgroup(struct shim *shim, const struct bootstrap *boot, struct err *err);

/* What the server that `start` forks needs to know. */
struct serve {
	struct shim *shim;
	struct journal *journal; /* the starter's: not to be touched */
	const char *bundle;
	int listen_fd;
	bool debug;
};

/* The server's life; @arg is a struct serve. Its exit code. Errors go to the log. */
int shim_serve(void *arg);

/* Without an action: serve a task that `start` wrote down and whose shim died. */
int shim_serve_again(struct shim *shim, struct err *err);

/* `delete` of a task in no journal, by the notes that a Go shim left in the bundle: its
 * init's pid, 0 if it is not known. Takes up to 2.5 s. */
pid_t shim_delete_stranger(const struct shim *shim);

/* Take back tasks whose owner died: now (takes as long as it takes; nobody else does it
 * meanwhile), or in a child, if a look of 1 ms finds any. */
void shim_take_up(struct shim *shim);
void shim_take_up_later(struct shim *shim);

/* ---- join.c: the living shim of a group --------------------------------------------- */

/* How a task ended, as far as anybody knows. */
struct verdict {
	pid_t pid;
	uint32_t status;
	int64_t at_ns;
};

/* Wait until no other `start` of the group with this socket is at it, and keep others
 * out: until *ret is closed, or we are dead. -EBUSY. */
int shim_lock_group(const struct shim *shim, const char *socket, int *ret, struct err *err);

/* Shall the shim at first->socket serve our task too? 1: it does; 0: there is no shim;
 * -EAGAIN one that is on its way out; -EEXIST something older of this id is in the way;
 * < 0 it does not, or does not answer. */
struct first;
int shim_join(const struct shim *shim, const struct first *first, struct err *err);

/* Ask a living owner to let go of our task, for half a second. *v changes if it says how
 * the task ended. */
void shim_release(const struct shim *shim, struct verdict *v);

/* Who holds the task's lock; 0: nobody. And wait, for so long, that nobody does. */
pid_t shim_owner(const struct shim *shim);
void shim_let_go(const struct shim *shim, int ms);
void shim_nap(void); /* a millisecond */

/* ---- small things ------------------------------------------------------------------ */

/* All of standard input, NUL-terminated; *ret is the caller's. A terminal is empty. */
int shim_read_stdin(char **ret, size_t *len, size_t max, struct err *err);
/* All of it to standard output. */
int shim_write_stdout(const void *data, size_t len, struct err *err);

#endif
