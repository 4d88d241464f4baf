/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_IO_CONSOLE_H
#define URUNC_IO_CONSOLE_H

/*
 * console.h - how a runtime hands over a terminal: the socket for --console-socket.
 *
 * The runtime connects and sends the terminal's master, once. In order:
 *
 *	console_path()		the name; the caller commits it
 *	console_listen()	the folder and the socket
 *	console_wait_new()	just before the runtime is let run
 *	console_runtime_ended()	when it has exited, however it did
 *	... the answer: a master, or a sentence
 *	console_remove()	in every case; also by who comes after a crash
 *
 * The socket is 0600 in a 0700 folder of its own with a random name, so what is under
 * that name is this task's. Nothing blocks. The first three and the last go through
 * struct node, a system call or two each, and may be used by a step.
 */

#include "supervisor/node/node.h"

struct event_base;

/**
 * console_path() - <run>/pty/<16 hex digits of @random>/pty.sock
 * @ret:	the caller's to free()
 *
 * Return: 0; -ENAMETOOLONG: no runtime could connect to it (107 bytes at most); the run
 * folder of the config must be shorter.
 */
int console_path(char **ret, const char *run, uint64_t random, struct err *err);

/**
 * console_listen() - make the folder, bind and listen
 * @path:	of console_path(), committed
 * @folder:	gets its identity, to be committed for console_remove()
 * @fd:		the listening socket, the caller's
 *
 * On failure some of it may be left: console_remove().
 *
 * Return: 0; -EEXIST: the folder was there, so the name is not ours.
 */
int console_listen(struct node *n, const char *path, struct path_ident *folder, int *fd,
		   struct err *err);

/**
 * console_remove() - take away the socket and its folder; may be repeated
 * @folder:	as recorded; NULL: we died before that, and the random name is proof enough
 *
 * Return: 1 removed, 0 there was nothing; -ESTALE: another folder is under that name,
 * and left alone; -ENOTEMPTY: something that is no socket of ours is in it.
 */
int console_remove(struct node *n, const char *path, const struct path_ident *folder,
		   struct err *err);

/* ---- waiting for the master ------------------------------------------------------ */

struct console_wait;

/* @master: the callee's, O_CLOEXEC; -1: there is none, and @why says whose fault it is
 * (.code ETIMEDOUT after the deadline, EPROTO for everything that a runtime did). */
typedef void console_fn(void *arg, int master, const struct err *why);

/**
 * console_wait_new() - accept, and receive exactly one terminal
 * @path:	for sentences
 * @fd:		of console_listen(); taken, also on failure
 * @ms:		the deadline, from now
 * @done:	called once, from the loop; the wait is gone by then
 *
 * Return: 0; -ENOMEM.
 */
int console_wait_new(struct console_wait **ret, struct event_base *base, const char *path,
		     int fd, int ms, console_fn *done, void *arg, struct err *err);

/* The runtime has ended: who has not connected by now never will, and @done is told so
 * at the next turn of the loop. What it has sent before is received. */
void console_runtime_ended(struct console_wait *w);

/* Wait no longer; @done is not called. NULL is fine. Returns NULL. */
struct console_wait *console_wait_free(struct console_wait *w);

#endif
