/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TTRPC_CALL_H
#define URUNC_TTRPC_CALL_H

/*
 * call.h - what server.c and method.c share; nobody else includes it.
 *
 * A call is in one list at most: its peer's while somebody waits, or the list of
 * those about to be told that nobody does. A call in no list belongs to its handler
 * alone, and knows neither peer nor server.
 */

#include "proto/ttrpc/conn.h"
#include "proto/ttrpc/method.h"

#include <event2/event.h>
#include <sys/queue.h>

struct server;

LIST_HEAD(call_list, call);

struct peer {
	LIST_ENTRY(peer) link;
	struct server *server;
	struct conn *conn;
	struct call_list calls;
	uint32_t last_id;
};

struct call {
	LIST_ENTRY(call) link;
	bool listed;
	struct peer *peer; /* NULL: nobody waits */
	size_t *pending;   /* the server's count; valid while there is a peer */
	uint32_t id;
	const struct method *method;
	void *user;
	struct event *deadline; /* NULL: none */
	gone_fn *gone;
	void *gone_arg;
};

/* One decoding, bounded: protobuf-c allocates through it. */
struct budget {
	size_t left;
	ProtobufCAllocator alloc;
};
void budget_init(struct budget *b, size_t bytes);

const struct method *method_find(const struct method *table, const char *name);

/* Send a response that says only a status. */
void peer_fail(struct peer *p, uint32_t id, int code, const char *text);

/* A call of this peer's, in its list; NULL without memory. */
struct call *call_new(struct peer *p, uint32_t id, const struct method *m, void *user,
		      size_t *pending);

/* Nobody waits any more. Move it to @to, or to no list if NULL. */
void call_detach(struct call *c, struct call_list *to);

/* Tell all in the list; each leaves it before it is told. */
void call_tell_gone(struct call_list *list);

#endif
