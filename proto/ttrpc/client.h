/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TTRPC_CLIENT_H
#define URUNC_TTRPC_CLIENT_H

/*
 * client.h - calling a ttrpc server: from a loop, or waiting for the answer.
 *
 * The server that a shim calls is containerd, to forward events. `delete` and
 * uruncctl call shims. Reconnecting is the caller's decision.
 */

#include "journal/base/err.h"

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct event_base;
struct client;

/* One call, to be made. Everything is lent while the function runs, but @out, a
 * constant table of the .proto, for as long as the call. */
struct client_request {
	const char *service; /* full name */
	const char *method;
	const char *ns;      /* containerd's namespace; NULL: none is sent */
	const ProtobufCMessage *in;
	const ProtobufCMessageDescriptor *out;
	int timeout_ms;      /* > 0; the server is told, and we wait no longer */
};

/**
 * client_done_fn - a call is over
 * @out:	the answer, lent until return; NULL if it failed
 * @err:	why it failed; NULL if it did not. By code: what the server answered, by
 *		status.h; ETIMEDOUT: no answer in time; ECONNRESET: the connection
 *		closed first; EBADMSG: the answer can't be read
 *
 * May make calls and close the client.
 */
typedef void client_done_fn(void *arg, const ProtobufCMessage *out, const struct err *err);

/* The connection is gone. All calls were told before, one by one. May close the
 * client, which is good for nothing else now. */
typedef void client_closed_fn(void *arg, const struct err *why);

/**
 * client_open() - connect; the socket is local, so this does not block
 * @ret:	the caller's to client_close()
 * @path:	a path; a leading unix:// is passed over
 * @closed:	may be NULL
 *
 * Return: 0; -ENAMETOOLONG over 107 bytes; -ENOENT no such socket; -ECONNREFUSED
 * nobody listens; -EAGAIN its queue is full, try later; -ENOMEM.
 */
int client_open(struct client **ret, struct event_base *base, const char *path,
		client_closed_fn *closed, void *arg, struct err *err);

/**
 * client_call() - send a request; @done follows from the loop, exactly once, unless
 *		   the client is closed by its owner
 *
 * Return: 0; or, and then @done does not follow: -EMSGSIZE the request is over 4 MiB;
 * -ECONNRESET closed already; -EAGAIN more than CLIENT_UNSENT_MAX bytes wait to be
 * read by the server; -ENOMEM.
 */
#define CLIENT_UNSENT_MAX (1u << 20)
int client_call(struct client *c, const struct client_request *req, client_done_fn *done,
		void *arg, struct err *err);

/* Calls without an answer yet. */
size_t client_pending(const struct client *c);

/* Close and free; no callback comes after this. NULL is fine; returns NULL. */
struct client *client_close(struct client *c);

/* ---- without a loop -------------------------------------------------------- */

/**
 * client_connect() - a connected unix stream socket, non-blocking, close-on-exec
 * @timeout_ms:	how long to wait for room in a full queue; 0: not at all
 *
 * Return: the descriptor, the caller's; or as client_open(), -ETIMEDOUT.
 */
int client_connect(const char *path, int timeout_ms, struct err *err);

/* An instant @timeout_ms from now, CLOCK_MONOTONIC milliseconds. */
int64_t client_deadline(int timeout_ms);

/* Milliseconds until then; 0: it is over. */
int client_left(int64_t deadline);

/* Send all, or receive some (> 0 bytes), on a non-blocking socket before an instant.
 * -ETIMEDOUT, -ECONNRESET. */
int client_send(int fd, const uint8_t *data, size_t len, int64_t deadline, struct err *err);
ssize_t client_receive(int fd, uint8_t *buf, size_t size, int64_t deadline, struct err *err);

/**
 * client_ask() - connect, call, wait for the answer, disconnect
 * @ret:	the answer, of type @req->out; free with protobuf_c_message_free_unpacked
 * @ret_code:	enum status_code that the server answered, 0 if it answered none;
 *		may be NULL; also set on failure
 *
 * Blocks for up to @req->timeout_ms in all. Return: 0; as client_open() but -EAGAIN;
 * else the codes of client_done_fn, negative.
 */
int client_ask(const char *path, const struct client_request *req, ProtobufCMessage **ret,
	       int *ret_code, struct err *err);

/* ---- pure: what goes into a request, what is in a response --------------------- */

/* A whole frame, header included; *ret is the caller's to free(). -EMSGSIZE, -ENOMEM. */
int client_encode(const struct client_request *req, uint32_t id, uint8_t **ret, size_t *len,
		  struct err *err);

/* The payload of a response, the answer being of type @out. As client_ask(). */
int client_decode(const ProtobufCMessageDescriptor *out, const uint8_t *data, size_t len,
		  ProtobufCMessage **ret, int *ret_code, struct err *err);

#endif
