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

/**
 * outbox_new() - an outbox; it does nothing before outbox_kick()
 * @j:		lent, and so is the rest
 * @path:	containerd's ttrpc socket
 * @drained:	called from the loop each time nothing is left; may be NULL, may not
 *		free the outbox
 *
 * Return: 0; -ENOMEM.
 */
int outbox_new(struct outbox **ret, struct event_base *base, struct journal *j,
	       const char *path, void (*drained)(void *arg), void *arg, struct err *err);

/* There is something new in the journal. */
void outbox_kick(struct outbox *o);

/* Nothing is left to be told, as far as is known. */
bool outbox_is_empty(const struct outbox *o);

/* What went wrong last; code 0 if nothing. Lent. */
const struct err *outbox_error(const struct outbox *o);

struct outbox *outbox_free(struct outbox *o); /* NULL is fine; returns NULL */

#endif
