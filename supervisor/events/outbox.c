/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/events/outbox.h"

#include "proto/api/events.pb-c.h"
#include "proto/ttrpc/client.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

struct outbox {
	struct event_base *base;
	struct journal *journal;
	char *path;
	const struct outbox_hooks *hooks;
	void *arg;
	struct client *client; /* NULL: not connected                 */
	struct event *timer;   /* pending: a try is due               */
	int64_t head;          /* seq of the event under way, 0: none */
	int wait_ms;
	bool empty;
};

static void again(struct outbox *o, int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(o->timer, &tv);
}

static void failed(struct outbox *o, const struct err *why)
{
	o->head = 0;
	if (!o->wait_ms)
		o->hooks->trouble(o->arg, why);
	o->wait_ms = o->wait_ms ? o->wait_ms * 2 : OUTBOX_FIRST_MS;
	if (o->wait_ms > OUTBOX_LAST_MS)
		o->wait_ms = OUTBOX_LAST_MS;
	again(o, o->wait_ms);
}

static void on_closed(void *arg, const struct err *why)
{
	struct outbox *o = arg;

	(void)why;
	o->client = client_close(o->client);
}

/* Accepted, or refused for what it is: asking again would not help. */
static void on_done(void *arg, const ProtobufCMessage *out, const struct err *err)
{
	struct outbox *o = arg;
	struct err why = ERR_INIT;

	(void)out;
	if (err && err->code != EINVAL) {
		failed(o, err);
		return;
	}
	if (!o->journal)
		return;
	if (err)
		(void)journal_note(o->journal, "event-refused", err->text, NULL);
	if (journal_told(o->journal, o->head, &why) < 0) {
		failed(o, &why); /* told again, then */
		return;
	}
	o->head = 0;
	o->wait_ms = 0;
	again(o, 0);
}

static int forward(struct outbox *o, const struct event_row *row, struct err *err)
{
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	Containerd__Types__Envelope envelope = CONTAINERD__TYPES__ENVELOPE__INIT;
	Containerd__Services__Events__Ttrpc__V1__ForwardRequest in =
		CONTAINERD__SERVICES__EVENTS__TTRPC__V1__FORWARD_REQUEST__INIT;
	struct client_request req = {
		.service = "containerd.services.events.ttrpc.v1.Events",
		.method = "Forward",
		.ns = journal_key(o->journal)->ns,
		.in = &in.base,
		.out = &google__protobuf__empty__descriptor,
		.timeout_ms = OUTBOX_CALL_MS,
	};

	at.seconds = row->at_ns / 1000000000;
	at.nanos = (int32_t)(row->at_ns % 1000000000);
	any.type_url = row->type;
	any.value.data = row->data;
	any.value.len = row->len;
	envelope.timestamp = &at;
	envelope.namespace_ = (char *)journal_key(o->journal)->ns;
	envelope.topic = row->topic;
	envelope.event = &any;
	in.envelope = &envelope;
	return client_call(o->client, &req, on_done, o, err);
}

static void next(struct outbox *o)
{
	struct err err = ERR_INIT;
	struct event_row row;
	int rc = journal_untold(o->journal, &row, &err);

	if (rc < 0) {
		failed(o, &err);
		return;
	}
	if (rc == 0) {
		o->empty = true;
		o->hooks->drained(o->arg);
		return;
	}
	rc = o->client ? 0 : client_open(&o->client, o->base, o->path, on_closed, o, &err);
	if (rc == 0)
		rc = forward(o, &row, &err);
	if (rc < 0)
		failed(o, &err);
	else
		o->head = row.seq;
	event_row_clear(&row);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct outbox *o = arg;

	(void)fd;
	(void)what;
	if (!o->head && o->journal)
		next(o);
}

void outbox_use(struct outbox *o, struct journal *j)
{
	o->journal = j;
}

void outbox_kick(struct outbox *o)
{
	if (!o->journal)
		return;
	o->empty = false;
	if (!o->head && !event_pending(o->timer, EV_TIMEOUT, NULL))
		again(o, 0);
}

bool outbox_is_empty(const struct outbox *o)
{
	return o->empty;
}

int outbox_new(struct outbox **ret, struct event_base *base, struct journal *j,
	       const char *path, const struct outbox_hooks *hooks, void *arg, struct err *err)
{
	struct outbox *o = calloc(1, sizeof(*o));

	if (!o)
		return err_set(err, ENOMEM, "can't make the outbox");
	*o = (struct outbox){ .base = base, .journal = j, .path = strdup(path), .hooks = hooks,
			      .arg = arg, .empty = true };
	o->timer = evtimer_new(base, on_timer, o);
	if (!o->timer || !o->path) {
		outbox_free(o);
		return err_set(err, ENOMEM, "can't make the outbox");
	}
	*ret = o;
	return 0;
}

struct outbox *outbox_free(struct outbox *o)
{
	if (!o)
		return NULL;
	client_close(o->client);
	if (o->timer)
		event_free(o->timer);
	free(o->path);
	free(o);
	return NULL;
}
