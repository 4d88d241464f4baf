/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_EVENTS_OUTBOX_H
#define URUNC_EVENTS_OUTBOX_H

/*
 * outbox.h - tells containerd what the journal says it must be told.
 *
 * One event at a time, oldest first, and the next only after the first was accepted:
 * so the order holds. An event that can't be delivered is tried again for as long as
 * the outbox lives, and it stays in the journal after that. It may arrive twice.
 */

#include "journal/journal.h"

struct event_base;
struct outbox;

/* Waits between tries, in milliseconds: the first, doubled up to the last. */
#define OUTBOX_FIRST_MS 10
#define OUTBOX_LAST_MS  2000
#define OUTBOX_CALL_MS  5000 /* for containerd to accept one event */

/* Called from the loop; may not free the outbox. */
struct outbox_hooks {
	void (*drained)(void *arg);                        /* nothing is left          */
	void (*trouble)(void *arg, const struct err *why); /* the first of failed tries */
};

/**
 * outbox_new() - an outbox; it does nothing before outbox_kick()
 * @j:		lent, as is @hooks
 * @path:	containerd's ttrpc socket
 *
 * Return: 0; -ENOMEM.
 */
int outbox_new(struct outbox **ret, struct event_base *base, struct journal *j,
	       const char *path, const struct outbox_hooks *hooks, void *arg, struct err *err);

/* The same events are in another file now; NULL: nowhere, and nothing is told. */
void outbox_use(struct outbox *o, struct journal *j);

/* There is something new in the journal. */
void outbox_kick(struct outbox *o);

/* Nothing is left to be told, as far as is known. */
bool outbox_is_empty(const struct outbox *o);

struct outbox *outbox_free(struct outbox *o); /* NULL is fine; returns NULL */

#endif
