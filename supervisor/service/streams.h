/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_SERVICE_STREAMS_H
#define URUNC_SERVICE_STREAMS_H

/*
 * streams.h - the standard streams of one process, from its request to its Delete.
 *
 * FIFOs and files (io/stdio.h), a terminal (io/console.h, io/pty.h) and a logging binary
 * (io/logger.h), which is a child of the task in the journal: who uses it need not know.
 *
 *	streams_new()
 *	streams_open()		waits for the client, and for a logger
 *	streams_give()		to the run that makes the process
 *	streams_made()		when that run has ended well
 *	streams_exited()	the process has been reaped
 *	streams_quiet()		may Delete go on? asked again when .quiet is called
 *	streams_free()
 */

#include "supervisor/io/stdio.h"

#include <stdbool.h>
#include <sys/types.h>

#define STREAMS_WAIT     1
#define STREAMS_DRAIN_MS 10000 /* for Delete to wait for a terminal's last output */

struct driver;
struct run_options;
struct streams;
struct task;

/* Called once for each streams_open() and each STREAMS_WAIT; @why NULL: all is well. */
typedef void streams_fn(void *arg, const struct err *why);

/* All is lent: the names until streams_open() is done, the others for good. */
struct streams_options {
	struct task *task;
	struct stdio *io;
	const char *id;      /* the container's, or the exec's                     */
	struct stdio_names names;
	const char *console; /* path of the console socket; "": no terminal; copied */
	int (*may)(void *arg, struct err *err); /* < 0: wait no longer for a client; or NULL */
	void (*quiet)(void *arg);      /* ask streams_quiet() again                 */
	void *arg;
};

/* -ENOMEM. */
int streams_new(struct streams **ret, const struct streams_options *o, struct err *err);

/* Nothing runs before somebody reads, STDIO_MAX_MS at most. @done may be called before
 * this returns; after a failure streams_free() is all that may follow. */
void streams_open(struct streams *s, streams_fn *done, void *arg);

/* What the run gets; and @s sees its turns, which is how it learns of the socket. */
void streams_give(struct streams *s, struct run_options *options);
void streams_watch(struct streams *s, struct driver *d);

/* The runtime has made the process. 0: all is there; STREAMS_WAIT: the terminal is not
 * here yet, @done follows; < 0: it did not come, and the process is to be taken back. */
int streams_made(struct streams *s, streams_fn *done, void *arg, struct err *err);

/* These take NULL, which has no terminal. */
int streams_resize(struct streams *s, unsigned width, unsigned height, struct err *err);
void streams_close_in(struct streams *s);
void streams_exited(struct streams *s);

/* False: a terminal's last output, or a logger's end, is waited for. In time it is true. */
bool streams_quiet(struct streams *s);

/* This child is ours to reap. */
bool streams_know(const struct streams *s, pid_t pid);

/* Close everything, .io as well; a logger lives on. Returns NULL. */
struct streams *streams_free(struct streams *s);

/* The same where nothing was made: a logger is killed. NULL is fine, for both. */
struct streams *streams_drop(struct streams *s);

#endif
