/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ttrpc/client.h"

#include "journal/base/cleanup.h"
#include "proto/api/ttrpc.pb-c.h"
#include "proto/ttrpc/conn.h"
#include "proto/ttrpc/status.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <string.h>
#include <sys/queue.h>

#define NAMESPACE_KEY "containerd-namespace-ttrpc"
#define ID_LAST       0xfffffffdu

/* ---- what goes over the wire ---------------------------------------------------- */

static int pack_request(const Ttrpc__Request *r, uint32_t id, uint8_t **ret, size_t *len,
			struct err *err)
{
	size_t n = ttrpc__request__get_packed_size(r);
	struct frame f = { .len = (uint32_t)n, .id = id, .type = FRAME_REQUEST };
	uint8_t *data;

	if (n > FRAME_MAX)
		return err_say(err, EMSGSIZE, "%s/%s: a request of %zu bytes, more than %u",
			       r->service, r->method, n, FRAME_MAX);
	data = malloc(FRAME_HEAD + n);
	if (!data)
		return err_set(err, ENOMEM, "%s/%s: encode", r->service, r->method);
	frame_encode(data, &f);
	(void)ttrpc__request__pack(r, data + FRAME_HEAD);
	*ret = data;
	*len = FRAME_HEAD + n;
	return 0;
}

int client_encode(const struct client_request *req, uint32_t id, uint8_t **ret, size_t *len,
		  struct err *err)
{
	Ttrpc__Request r = TTRPC__REQUEST__INIT;
	Ttrpc__KeyValue ns = TTRPC__KEY_VALUE__INIT;
	Ttrpc__KeyValue *metadata[] = { &ns };
	auto_free uint8_t *payload = NULL;

	/* protobuf-c knows no const, but only reads what it packs. */
	r.service = (char *)req->service;
	r.method = (char *)req->method;
	r.timeout_nano = (int64_t)req->timeout_ms * 1000000;
	if (req->ns) {
		ns.key = (char *)NAMESPACE_KEY;
		ns.value = (char *)req->ns;
		r.metadata = metadata;
		r.n_metadata = 1;
	}
	r.payload.len = protobuf_c_message_get_packed_size(req->in);
	payload = malloc(r.payload.len + 1);
	if (!payload)
		return err_set(err, ENOMEM, "%s/%s: encode", req->service, req->method);
	(void)protobuf_c_message_pack(req->in, payload);
	r.payload.data = payload;
	return pack_request(&r, id, ret, len, err);
}

static int decode_status(const Ttrpc__Status *st, int *ret_code, struct err *err)
{
	if (!st || st->code == STATUS_OK)
		return 0;
	if (ret_code)
		*ret_code = st->code;
	return err_say(err, status_to_errno(st->code), "%s",
		       *st->message ? st->message : status_name(st->code));
}

int client_decode(const ProtobufCMessageDescriptor *out, const uint8_t *data, size_t len,
		  ProtobufCMessage **ret, int *ret_code, struct err *err)
{
	Ttrpc__Response *r = ttrpc__response__unpack(NULL, len, data);
	int rc;

	if (ret_code)
		*ret_code = STATUS_OK;
	if (!r)
		return err_say(err, EBADMSG, "the answer is not a ttrpc response");
	rc = decode_status(r->status, ret_code, err);
	if (rc == 0) {
		*ret = protobuf_c_message_unpack(out, NULL, r->payload.len, r->payload.data);
		if (!*ret)
			rc = err_say(err, EBADMSG, "the answer is not a %s", out->name);
	}
	ttrpc__response__free_unpacked(r, NULL);
	return rc;
}

/* ---- on a loop ------------------------------------------------------------------ */

struct waiting {
	LIST_ENTRY(waiting) link;
	struct client *client;
	uint32_t id;
	const ProtobufCMessageDescriptor *out;
	struct event deadline;
	client_done_fn *done;
	void *arg;
};

struct client {
	struct event_base *base;
	struct conn *conn;
	client_closed_fn *closed;
	void *arg;
	uint32_t next_id;
	size_t n_waiting;
	LIST_HEAD(waiting_list, waiting) waiting;
	bool lost, busy, freed; /* as in conn.c: callbacks may close us */
};

static void forget(struct waiting *w)
{
	LIST_REMOVE(w, link);
	w->client->n_waiting--;
	(void)evtimer_del(&w->deadline);
	free(w);
}

static void destroy(struct client *c)
{
	while (!LIST_EMPTY(&c->waiting))
		forget(LIST_FIRST(&c->waiting));
	(void)conn_free(c->conn);
	free(c);
}

struct client *client_close(struct client *c)
{
	if (!c)
		return NULL;
	if (c->busy)
		c->freed = true;
	else
		destroy(c);
	return NULL;
}

static void leave(struct client *c)
{
	c->busy = false;
	if (c->freed)
		destroy(c);
}

/* Tell the end of one call; it is forgotten before. */
static void tell(struct waiting *w, const ProtobufCMessage *out, const struct err *err)
{
	client_done_fn *done = w->done;
	void *arg = w->arg;

	forget(w);
	done(arg, out, err);
}

static void on_deadline(int fd, short what, void *arg)
{
	struct waiting *w = arg;
	struct client *c = w->client;
	struct err err = ERR_INIT;

	(void)fd, (void)what;
	(void)err_say(&err, ETIMEDOUT, "no answer in time");
	c->busy = true;
	tell(w, NULL, &err);
	leave(c);
}

static void on_frame(void *arg, const struct frame *f, const uint8_t *payload)
{
	struct client *c = arg;
	struct err err = ERR_INIT;
	ProtobufCMessage *out = NULL;
	struct waiting *w;
	int rc;

	LIST_FOREACH(w, &c->waiting, link)
		if (w->id == f->id)
			break;
	if (!w)
		return; /* too late: its deadline was reached */
	if (f->type != FRAME_RESPONSE || f->len > FRAME_MAX)
		rc = err_say(&err, EBADMSG, "the answer is not a response of up to %u bytes",
			     FRAME_MAX);
	else
		rc = client_decode(w->out, payload, f->len, &out, NULL, &err);
	c->busy = true;
	tell(w, out, rc < 0 ? &err : NULL);
	protobuf_c_message_free_unpacked(out, NULL);
	leave(c);
}

static void on_lost(void *arg, const struct err *why)
{
	struct client *c = arg;

	c->lost = true;
	c->busy = true;
	while (!c->freed && !LIST_EMPTY(&c->waiting))
		tell(LIST_FIRST(&c->waiting), NULL, why);
	if (!c->freed && c->closed)
		c->closed(c->arg, why);
	leave(c);
}

static void on_drained(void *arg)
{
	(void)arg; /* client_call() looks at how much is queued */
}

static const struct conn_ops client_ops = {
	.frame = on_frame,
	.lost = on_lost,
	.drained = on_drained,
};

int client_open(struct client **ret, struct event_base *base, const char *path,
		client_closed_fn *closed, void *arg, struct err *err)
{
	auto_free struct client *c = NULL;
	int fd = client_connect(path, 0, err);
	int rc;

	if (fd < 0)
		return fd;
	c = calloc(1, sizeof(*c));
	if (!c) {
		(void)close(fd);
		return err_set(err, ENOMEM, "connect to %s", path);
	}
	c->base = base;
	c->closed = closed;
	c->arg = arg;
	c->next_id = 1;
	LIST_INIT(&c->waiting);
	rc = conn_new(&c->conn, base, fd, &client_ops, c, 0, err);
	if (rc == 0)
		*ret = TAKE_PTR(c);
	return rc;
}

static int may_call(const struct client *c, struct err *err)
{
	if (c->lost || c->next_id > ID_LAST)
		return err_say(err, ECONNRESET, "the connection is closed");
	if (conn_unsent(c->conn) > CLIENT_UNSENT_MAX)
		return err_say(err, EAGAIN, "the server does not read, %zu bytes wait for it",
			       conn_unsent(c->conn));
	return 0;
}

int client_call(struct client *c, const struct client_request *req, client_done_fn *done,
		void *arg, struct err *err)
{
	struct timeval tv = { .tv_sec = req->timeout_ms / 1000,
			      .tv_usec = req->timeout_ms % 1000 * 1000 };
	auto_free struct waiting *w = NULL;
	uint8_t *data;
	size_t len;
	int rc = may_call(c, err);

	if (rc < 0)
		return rc;
	w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(err, ENOMEM, "%s/%s", req->service, req->method);
	rc = client_encode(req, c->next_id, &data, &len, err);
	if (rc < 0)
		return rc;
	w->client = c;
	w->id = c->next_id;
	w->out = req->out;
	w->done = done;
	w->arg = arg;
	if (evtimer_assign(&w->deadline, c->base, on_deadline, w) < 0 ||
	    evtimer_add(&w->deadline, &tv) < 0) {
		free(data);
		return err_set(err, ENOMEM, "%s/%s: set a timer", req->service, req->method);
	}
	c->next_id += 2;
	c->n_waiting++;
	LIST_INSERT_HEAD(&c->waiting, w, link);
	(void)TAKE_PTR(w);
	conn_send(c->conn, data, len);
	return 0;
}

size_t client_pending(const struct client *c)
{
	return c->n_waiting;
}
