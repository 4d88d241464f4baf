/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_IO_PTY_H
#define URUNC_IO_PTY_H

/*
 * pty.h - a terminal between a client and a process: the copying of both directions.
 *
 *	the client's stdin  -> master      master -> the client's stdout, or a logger
 *
 * stdio_open() has opened the client's side before the runtime ran (stdio.h), the
 * runtime has sent the master (console.h). Until pty_new() nothing is lost: the
 * terminal keeps what is written to it.
 *
 *   A client that leaves	output goes on into the FIFO up to its capacity (64 KiB),
 *				then the process waits. Who comes back reads it all.
 *   A slow client		the master is not read while the FIFO is full.
 *   Nobody has the terminal open, and the process lives: we wait without turning.
 *   CloseIO			pty_close_in(): from then on the last client's leaving is
 *				the end of file, and that hangs the terminal up, as the
 *				reference does: SIGHUP for the process.
 *   The process ends		pty_exited(): what it has written is copied to its end,
 *				then master and client's side are closed, the client reads
 *				end of file, and PTY_DRAINED is told. What a background
 *				process writes later is not waited for.
 *
 * A terminal without stdin has none; one without stdout is read and discarded. The
 * line discipline is not touched. Everything is driven by the caller's libevent loop
 * (epoll), nothing blocks. Memory: 6 KiB. SIGPIPE must be ignored.
 */

#include "supervisor/io/stdio.h"

struct event_base;
struct pty;

enum pty_told {
	PTY_DRAINED, /* after pty_exited(): all is with the client, or in its FIFO. Once; the
	                last that is told, and pty_free() may be called in it            */
	PTY_LOST,    /* the output can't be written (*why: ENOSPC, EPIPE): from here on it is
	                discarded, so that the process goes on. Once; no pty_free() in it  */
};
typedef void pty_fn(void *arg, enum pty_told what, const struct err *why);

/**
 * pty_new() - begin to copy
 * @master:	taken on success; becomes non-blocking
 * @io:		of stdio_open() with .terminal, fd[1] perhaps of logger_take(); all of it
 *		is taken on success, and is STDIO_INIT then
 * @told:	called from the loop, never from a call of ours
 *
 * Return: 0; -ENOMEM; what fcntl(2) says. On failure nothing was taken.
 */
int pty_new(struct pty **ret, struct event_base *base, int master, struct stdio *io,
	    pty_fn *told, void *arg, struct err *err);

/* TIOCSWINSZ; before start too. A terminal that is closed: 0, without effect. */
int pty_resize(struct pty *p, unsigned width, unsigned height, struct err *err);

/* CloseIO; may be repeated. */
void pty_close_in(struct pty *p);

/* The process has been reaped. PTY_DRAINED follows, unless the FIFO is full and nobody
 * reads: Delete waits for it as long as it waits for output, then calls pty_free(). */
void pty_exited(struct pty *p);

/* At Delete: closes everything, the FIFO's reading twin at last. NULL is fine.
 * Returns NULL. */
struct pty *pty_free(struct pty *p);

#endif
