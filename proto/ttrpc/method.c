/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ttrpc/method.h"

#include "journal/base/cleanup.h"
#include "proto/api/ttrpc.pb-c.h"
#include "proto/ttrpc/call.h"
#include "proto/ttrpc/status.h"

#include <string.h>

#define SMALL_MAX 2048 /* bytes of a frame that needs no memory of its own */
#define TEXT_MAX (2 * ERR_TEXT_MAX) /* an error's text and the class behind it */

static void *budget_alloc(void *arg, size_t size)
{
	struct budget *b = arg;

	if (size > b->left)
		return NULL;
	b->left -= size;
	return malloc(size);
}

/* What is freed is not given back: the bound is on all that one decoding asked for. */
static void budget_free(void *arg, void *p)
{
	(void)arg;
	free(p);
}

void budget_init(struct budget *b, size_t bytes)
{
	b->left = bytes;
	b->alloc.alloc = budget_alloc;
	b->alloc.free = budget_free;
	b->alloc.allocator_data = b;
}

const struct method *method_find(const struct method *table, const char *name)
{
	for (; table->name; table++)
		if (strcmp(table->name, name) == 0)
			return table;
	return NULL;
}

static void peer_respond(struct peer *p, uint32_t id, const Ttrpc__Response *r)
{
	size_t n = ttrpc__response__get_packed_size(r);
	struct frame f = { .len = (uint32_t)n, .id = id, .type = FRAME_RESPONSE };
	uint8_t small[SMALL_MAX];
	uint8_t *data;

	if (n > FRAME_MAX) {
		peer_fail(p, id, STATUS_RESOURCE_EXHAUSTED,
			  "ttrpc: the answer does not fit into 4194304 bytes");
		return;
	}
	data = FRAME_HEAD + n <= sizeof(small) ? small : malloc(FRAME_HEAD + n);
	if (!data) {
		peer_fail(p, id, STATUS_RESOURCE_EXHAUSTED, "ttrpc: no memory for the answer");
		return;
	}
	frame_encode(data, &f);
	(void)ttrpc__response__pack(r, data + FRAME_HEAD);
	if (data == small) {
		if (conn_send_now(p->conn, data, FRAME_HEAD + n))
			return;
		data = malloc(FRAME_HEAD + n);
		if (!data)
			return; /* the caller's deadline will tell it */
		memcpy(data, small, FRAME_HEAD + n);
	}
	conn_send(p->conn, data, FRAME_HEAD + n);
}

void peer_fail(struct peer *p, uint32_t id, int code, const char *text)
{
	Ttrpc__Status status = TTRPC__STATUS__INIT;
	Ttrpc__Response r = TTRPC__RESPONSE__INIT;
	char *message = strdup(text);

	status.code = code;
	if (message) {
		status_clean(message);
		status.message = message;
	}
	r.status = &status;
	peer_respond(p, id, &r);
	free(message);
}

struct call *call_new(struct peer *p, uint32_t id, const struct method *m, void *user,
		      size_t *pending)
{
	struct call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->peer = p;
	c->id = id;
	c->method = m;
	c->user = user;
	c->pending = pending;
	c->listed = true;
	LIST_INSERT_HEAD(&p->calls, c, link);
	++*pending;
	return c;
}

static void unlist(struct call *c)
{
	if (c->listed)
		LIST_REMOVE(c, link);
	c->listed = false;
}

void call_detach(struct call *c, struct call_list *to)
{
	unlist(c);
	if (c->peer)
		--*c->pending;
	c->peer = NULL;
	if (c->deadline)
		event_free(c->deadline);
	c->deadline = NULL;
	if (to) {
		LIST_INSERT_HEAD(to, c, link);
		c->listed = true;
	}
}

void call_tell_gone(struct call_list *list)
{
	struct call *c;
	gone_fn *gone;

	while ((c = LIST_FIRST(list)) != NULL) {
		unlist(c);
		gone = c->gone;
		c->gone = NULL;
		if (gone)
			gone(c, c->gone_arg);
	}
}

void *call_user(const struct call *call)
{
	return call->user;
}

const struct method *call_method(const struct call *call)
{
	return call->method;
}

bool call_gone(const struct call *call)
{
	return !call->peer;
}

void call_when_gone(struct call *call, gone_fn *fn, void *arg)
{
	call->gone = fn;
	call->gone_arg = arg;
}

void call_drop(struct call *call)
{
	call_detach(call, NULL);
	free(call);
}

void call_answer(struct call *call, const ProtobufCMessage *out)
{
	Ttrpc__Response r = TTRPC__RESPONSE__INIT;
	auto_free uint8_t *data = NULL;

	if (call->peer && out->descriptor != call->method->out) {
		peer_fail(call->peer, call->id, STATUS_INTERNAL,
			  "ttrpc: the handler answered with a message of another type");
	} else if (call->peer) {
		r.payload.len = protobuf_c_message_get_packed_size(out);
		data = malloc(r.payload.len + 1);
		r.payload.data = data;
		if (data) {
			(void)protobuf_c_message_pack(out, data);
			peer_respond(call->peer, call->id, &r);
		} else {
			peer_fail(call->peer, call->id, STATUS_RESOURCE_EXHAUSTED,
				  "it is done, but there is no memory for the answer");
		}
	}
	call_drop(call);
}

void call_fail_code(struct call *call, int code, const char *text)
{
	if (call->peer)
		peer_fail(call->peer, call->id, code ? code : STATUS_UNKNOWN, text);
	call_drop(call);
}

void call_fail(struct call *call, const struct err *err)
{
	int code = status_of_errno(err->code);
	char text[TEXT_MAX];

	status_text(code, err->text, text, sizeof(text));
	call_fail_code(call, code, text);
}
