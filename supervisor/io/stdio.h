/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_IO_STDIO_H
#define URUNC_IO_STDIO_H

/*
 * stdio.h - the standard input and output of a container's first process.
 *
 * The container gets the client's own FIFOs, and nothing is copied. What we keep
 * beside them:
 *
 *   stdout, stderr   opened for writing without blocking, again and again until the
 *                    client reads (the runtime must not run before: short output
 *                    would be lost); then a reading twin of ours, so that a client
 *                    that leaves kills nobody with SIGPIPE. A twin before the
 *                    client's own would make the open succeed for nobody.
 *   stdin            the container's reader first, then a writer of ours that keeps
 *                    it from an end of file when a client detaches.
 *
 * Names: "" is /dev/null; /path and fifo:///path a FIFO, or a file that is appended
 * to; file:///path (stdout) a file that is made, for both outputs. The scheme is
 * stdout's.
 *
 * With a terminal these are not the container's: stdin must be a FIFO or "", stderr
 * is not opened, nothing is given to anybody, and pty_new() takes the rest. With
 * binary:// or binary-v2:// only stdin is opened; the outputs are what logger_take()
 * gives (logger.h).
 *
 * Nothing blocks. All descriptors are O_CLOEXEC; the container's are without
 * O_NONBLOCK, which it would inherit.
 */

#include "journal/base/err.h"

#include <stdbool.h>
#include <sys/types.h>

#define STDIO_AGAIN_MS 5      /* how long to wait before stdio_open() again */
#define STDIO_MAX_MS   30000  /* and for how long in all                    */

struct stdio_names {
	const char *name[3]; /* as in the request; lent, never NULL */
	bool terminal;
	uid_t uid; /* who the container's ends shall belong to, if not 0 */
	gid_t gid;
};

struct stdio {
	int fd[3];   /* the container's ends; lent to the run of a create */
	int keep[3]; /* ours: stdin's writer, the reading twins           */
	int path[3]; /* O_PATH, while an open is to be tried again        */
};
#define STDIO_INIT { { -1, -1, -1 }, { -1, -1, -1 }, { -1, -1, -1 } }

enum stdio_result { STDIO_READY = 0, STDIO_WAIT = 1 };

/**
 * stdio_open() - begin, or try again after STDIO_WAIT
 * @s:	STDIO_INIT at first; on failure all is closed
 *
 * Return: STDIO_READY; STDIO_WAIT: nobody reads an output yet; -EINVAL another scheme,
 * or a terminal's stdin that is no FIFO; -ENOENT and what open(2) says.
 */
int stdio_open(struct stdio *s, const struct stdio_names *names, struct err *err);

/* The outputs go to a logging binary. */
bool stdio_wants_logger(const struct stdio_names *names);

/* The name that STDIO_WAIT is about, for the sentence of who gives up. */
const char *stdio_missing(const struct stdio *s, const struct stdio_names *names);

/* The container has them: close our copies of its ends. */
void stdio_given(struct stdio *s);

/* CloseIO: from now on the last client's leaving is the end of file. */
void stdio_close_in(struct stdio *s);

void stdio_close(struct stdio *s);

#endif
