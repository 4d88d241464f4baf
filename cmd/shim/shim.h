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
	struct journal_place place; /* lent from config */
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

/* ---- small things ------------------------------------------------------------------ */

/* All of standard input, NUL-terminated; *ret is the caller's. A terminal is empty. */
int shim_read_stdin(char **ret, size_t *len, size_t max, struct err *err);
/* All of it to standard output. */
int shim_write_stdout(const void *data, size_t len, struct err *err);

#endif
