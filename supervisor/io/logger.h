/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_IO_LOGGER_H
#define URUNC_IO_LOGGER_H

/*
 * logger.h - a program that takes a container's output: binary:// and binary-v2://.
 *
 *	binary:///program?key=value	runs: program key value
 *
 * Its environment is CONTAINER_ID and CONTAINER_NAMESPACE alone; 0, 1 and 2 are
 * /dev/null, 3 and 4 read the container's stdout and stderr, and on 5 it says that it
 * is ready: with a byte, or, but for binary-v2, by closing it. The container writes
 * straight into the pipes.
 *
 *	logger_spawn()	held at its gate; the caller commits the child
 *	logger_go()	LOGGER_READY or LOGGER_FAILED follows, in time
 *	logger_take()	the ends for the container, or for pty_new()
 *	logger_end()	at Delete, or after a failure; LOGGER_ENDED follows
 *	logger_free()
 *
 * It does not die with us: it may have to write down what a container says at its end.
 * The fence of who comes after us finds it among the task's children.
 *
 * We hold a reading twin of both pipes, so that a logger that goes kills nobody with
 * SIGPIPE. Of one that crashed the container's output is discarded from then on; one
 * that left with exit code 0 may have left a reader behind, so its pipes are not
 * touched. It reads end of file when the container's processes are gone, and may end
 * by itself.
 *
 * Driven by the caller's libevent loop; nothing blocks.
 */

#include "supervisor/node/node.h"

struct event_base;
struct logger;

#define LOGGER_READY_MS 10000 /* fair values for .ready_ms */
#define LOGGER_END_MS   12000 /* and .end_ms               */

enum logger_told {
	LOGGER_READY,
	LOGGER_FAILED, /* instead: it is not, *why says so. logger_end() it              */
	LOGGER_DIED,   /* it was ready, and went before logger_end(); *why says how      */
	LOGGER_ENDED,  /* after logger_end(): it has been reaped. The last that is told  */
};
/* @why: NULL for LOGGER_READY and LOGGER_ENDED. logger_free() is allowed in it. */
typedef void logger_fn(void *arg, enum logger_told what, const struct err *why);

/* All strings are lent for the call. */
struct logger_options {
	struct event_base *base;
	struct node *node;
	const char *uri; /* as in the request                             */
	const char *id;  /* of the container, or of the exec              */
	const char *ns;
	int ready_ms;
	int end_ms;      /* between SIGTERM and SIGKILL                   */
	uid_t uid;       /* who the container's ends shall belong to, if not 0 */
	gid_t gid;
	logger_fn *told; /* from the loop, never from a call of ours      */
	void *arg;
};

/**
 * logger_spawn() - make the pipes and the process, held at its gate
 * @child:	to be committed before logger_go()
 *
 * Return: 0; -EINVAL, -E2BIG, -ENAMETOOLONG: the URI; -ENOENT, -EACCES: the program
 * can't be run; what pipe2(2) and spawn say. On failure nothing is left.
 */
int logger_spawn(struct logger **ret, const struct logger_options *o, struct ident *child,
		 struct err *err);

/* Open the gate. On failure (it was killed at its gate) nothing is told: logger_end(). */
int logger_go(struct logger *l, struct err *err);

/* The writing ends, blocking, the caller's: @io_fd[1] and [2] of a struct stdio. */
void logger_take(struct logger *l, int io_fd[3]);

/* Close our ends, SIGTERM, .end_ms later SIGKILL. Its end by that is no error. */
void logger_end(struct logger *l);

/* Forget it: a child still at its gate exits, another runs on. NULL is fine. */
struct logger *logger_free(struct logger *l);

#endif
