/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TTRPC_SERVER_H
#define URUNC_TTRPC_SERVER_H

/*
 * server.h - a ttrpc server on a unix socket, driven by libevent.
 *
 * It never blocks and has no statics; it runs in the callbacks of the caller's
 * event_base, on its one thread. Calls are unary; any number may be outstanding,
 * on any number of connections; answers go out in the order they are given.
 *
 * What it says to a peer that breaks the rules, always on the id in question, and
 * the connection lives on:
 *
 *	payload announced over 4 MiB (read over)	ResourceExhausted
 *	even id, any type				InvalidArgument
 *	request whose id is not above the last one	InvalidArgument
 *	data frame					InvalidArgument
 *	request that is not a ttrpc.Request		InvalidArgument
 *	service not registered				Unimplemented, "service <name>"
 *	method not in the table				Unimplemented, "method <name>"
 *	payload that is not the method's message	Internal
 *	answer over 4 MiB				ResourceExhausted
 *	any other type of frame				nothing, it is ignored
 *
 * A request's timeout is kept: at that time the caller gets DeadlineExceeded, while
 * the handler's work goes on and its later answer is dropped. A timeout that was
 * over on arrival is answered without the handler being called.
 *
 * Bounds: a request is decoded into at most SERVER_DECODE_MAX bytes. What a peer
 * does not read is kept for it, but at SERVER_UNREAD_MAX bytes we stop reading from
 * it until it has read half; what its outstanding calls answer meanwhile is still
 * kept. An idle connection costs under 1 KiB.
 *
 * Peers whose uid and gid (SO_PEERCRED) are not our effective ones are closed
 * without a word.
 */

#include "journal/base/err.h"
#include "proto/ttrpc/method.h"

#include <stdint.h>
#include <sys/types.h>

#define SERVER_DECODE_MAX (16u << 20) /* bytes, of one request in memory        */
#define SERVER_UNREAD_MAX (256u << 10) /* bytes, of answers the peer did not read */

struct event_base;
struct server;

/* Any may be NULL. None may free the server; all may stop it. */
struct server_hooks {
	/* A peer came / went; @n: how many there are now. */
	void (*opened)(void *arg, size_t n);
	void (*closed)(void *arg, size_t n);
	/* server_stop() is complete: from here on the server may be freed, but not
	 * inside this call. */
	void (*stopped)(void *arg);
};

/**
 * server_new() - a server that accepts nothing yet
 * @ret:	the caller's to server_free()
 * @base:	lent, for as long as the server lives
 * @hooks:	lent likewise; NULL: none
 *
 * Return: 0; -ENOMEM.
 */
int server_new(struct server **ret, struct event_base *base, const struct server_hooks *hooks,
	       void *arg, struct err *err);

/**
 * server_register() - serve a table under a name
 * @service:	full name, "containerd.task.v2.Task"; lent, as is @methods
 * @user:	what call_user() gives the handlers; lent
 *
 * One table may be registered under several names. Return: 0; -ENOMEM; -EEXIST.
 */
int server_register(struct server *s, const char *service, const struct method *methods,
		    void *user, struct err *err);

/**
 * server_listen() - accept from this socket
 * @fd:	bound and listening; now the server's, made non-blocking. Its name in the
 *	file system stays the caller's.
 *
 * Once per server. When descriptors or memory run out, accepting pauses for
 * SERVER_ACCEPT_PAUSE_MS at a time; the peers wait in the socket's queue.
 * Return: 0; -ENOMEM, -EINVAL; then the descriptor is still the caller's.
 */
#define SERVER_ACCEPT_PAUSE_MS 100
int server_listen(struct server *s, int fd, struct err *err);

/**
 * server_adopt() - serve a socket that is connected already
 * @fd:	now the server's, also on failure
 *
 * Return: 0; -EPERM the peer is not us; -ESHUTDOWN after server_stop(); -ENOMEM.
 */
int server_adopt(struct server *s, int fd, struct err *err);

size_t server_peers(const struct server *s);   /* connections now                     */
size_t server_pending(const struct server *s); /* calls that someone still waits for  */

/**
 * server_stop() - no new peers, no new requests; send what was answered, then close
 * @max_ms:	how long peers have to read it; then they are closed anyway
 *
 * Calls not answered by now are closed on; their handlers may still end them.
 * Returns at once, may be called in a handler; hooks->stopped follows from the loop.
 * The listening socket is closed at once. Calling it again changes nothing.
 */
void server_stop(struct server *s, int max_ms);

/* Close everything at once and free. Outstanding calls stay valid and answer to
 * nobody. Not in a handler, gone_fn or hook. NULL is fine; returns NULL. */
struct server *server_free(struct server *s);

#endif
