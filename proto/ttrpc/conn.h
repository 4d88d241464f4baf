/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TTRPC_CONN_H
#define URUNC_TTRPC_CONN_H

/*
 * conn.h - frames in and out over one connected socket, on a loop.
 *
 * Both ends use it: the server and client.h. An idle connection is this object and
 * nothing else. Sending goes to the kernel at once; what it does not take is queued
 * and bounded by back-pressure: over the limit we stop reading, so the peer can't
 * make us answer more. Nothing here calls back from inside conn_send().
 */

#include "proto/ttrpc/frame.h"

#include "journal/base/err.h"

#include <stdbool.h>

struct event_base;
struct conn;

/* All may call any function below, conn_free() too. */
struct conn_ops {
	/* A frame, see frame_read(); @payload is lent until return. */
	void (*frame)(void *arg, const struct frame *f, const uint8_t *payload);
	/* End of file, or an error. Only conn_free() is left to do. */
	void (*lost)(void *arg, const struct err *why);
	/* What was queued is now all with the kernel. */
	void (*drained)(void *arg);
};

/**
 * conn_new() - take over a connected socket
 * @fd:		the connection's now, also on failure
 * @ops:	lent
 * @max_unsent:	bytes queued at which reading stops until half of them are gone; 0:
 *		never. Only one end of a connection may have a limit, or both could wait
 *		for each other.
 *
 * Return: 0; -ENOMEM.
 */
int conn_new(struct conn **ret, struct event_base *base, int fd, const struct conn_ops *ops,
	     void *arg, size_t max_unsent, struct err *err);

/* Send one whole frame; @data is malloc()ed and the connection's now. A failure
 * shows as ops->lost, from the loop. */
void conn_send(struct conn *c, uint8_t *data, size_t len);

/* The same without memory, for a frame that stays the caller's. false: none of it was
 * sent, the kernel takes nothing now. */
bool conn_send_now(struct conn *c, const uint8_t *data, size_t len);

size_t conn_unsent(const struct conn *c); /* bytes queued */

/* Read no more, for good. */
void conn_stop_reading(struct conn *c);

/* Close at once, with what is queued. NULL is fine; returns NULL. */
struct conn *conn_free(struct conn *c);

#endif
