/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ttrpc/server.h"

#include "journal/base/cleanup.h"
#include "proto/api/ttrpc.pb-c.h"
#include "proto/ttrpc/call.h"
#include "proto/ttrpc/status.h"

#include <event2/event_struct.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define ACCEPT_BURST 16   /* new peers a turn of the loop */
#define TEXT_MAX     512  /* bytes of our own error texts  */

struct service {
	const char *name;
	const struct method *methods;
	void *user;
};

enum phase { SERVING, STOPPING, STOPPED };

struct server {
	struct event_base *base;
	const struct server_hooks *hooks;
	void *arg;
	struct service *services;
	size_t n_services;
	int fd; /* -1: not listening */
	struct event acceptable, pause, stop;
	LIST_HEAD(peer_list, peer) peers;
	size_t n_peers, n_pending;
	enum phase phase;
	int stop_ms; /* left for peers to read; -1: it is over */
};

static const struct server_hooks no_hooks;

/* ---- peers --------------------------------------------------------------------- */

/* @told: run hooks and gone_fns. */
static void peer_close(struct peer *p, bool told)
{
	struct server *s = p->server;
	struct call_list gone = LIST_HEAD_INITIALIZER(gone);
	struct call *c;

	LIST_REMOVE(p, link);
	while ((c = LIST_FIRST(&p->calls)) != NULL)
		call_detach(c, told ? &gone : NULL);
	(void)conn_free(p->conn);
	free(p);
	s->n_peers--;
	if (!told)
		return;
	call_tell_gone(&gone);
	if (s->hooks->closed)
		s->hooks->closed(s->arg, s->n_peers);
}

static void stop_if_empty(struct server *s)
{
	if (s->phase != STOPPING || s->n_peers)
		return;
	s->phase = STOPPED;
	(void)event_del(&s->stop);
	if (s->hooks->stopped)
		s->hooks->stopped(s->arg);
}

static void on_lost(void *arg, const struct err *why)
{
	struct peer *p = arg;
	struct server *s = p->server;

	(void)why; /* whoever leaves need not say why */
	peer_close(p, true);
	stop_if_empty(s);
}

static void on_drained(void *arg)
{
	struct peer *p = arg;
	struct server *s = p->server;

	if (s->phase != STOPPING)
		return;
	peer_close(p, true);
	stop_if_empty(s);
}

/* ---- requests ------------------------------------------------------------------ */

static void on_deadline(int fd, short what, void *arg)
{
	struct call *c = arg;
	struct call_list gone = LIST_HEAD_INITIALIZER(gone);

	(void)fd, (void)what;
	peer_fail(c->peer, c->id, STATUS_DEADLINE_EXCEEDED, "context deadline exceeded");
	call_detach(c, &gone);
	call_tell_gone(&gone);
}

static int arm_deadline(struct server *s, struct call *c, int64_t ns)
{
	struct timeval tv = { .tv_sec = ns / 1000000000, .tv_usec = ns % 1000000000 / 1000 };

	c->deadline = evtimer_new(s->base, on_deadline, c);
	return c->deadline && evtimer_add(c->deadline, &tv) == 0 ? 0 : -ENOMEM;
}

static void start_call(struct peer *p, uint32_t id, const struct service *sv,
		       const struct method *m, const Ttrpc__Request *req, struct budget *b)
{
	struct server *s = p->server;
	ProtobufCMessage *in;
	struct call *c;
	char text[TEXT_MAX];

	if (req->timeout_nano < 0) {
		peer_fail(p, id, STATUS_DEADLINE_EXCEEDED, "context deadline exceeded");
		return;
	}
	in = protobuf_c_message_unpack(m->in, &b->alloc, req->payload.len, req->payload.data);
	if (!in) {
		(void)snprintf(text, sizeof(text), "ttrpc: error unmarshalling payload of %s/%s",
			       sv->name, m->name);
		peer_fail(p, id, STATUS_INTERNAL, text);
		return;
	}
	c = call_new(p, id, m, sv->user, &s->n_pending);
	if (!c || (req->timeout_nano && arm_deadline(s, c, req->timeout_nano) < 0)) {
		peer_fail(p, id, STATUS_RESOURCE_EXHAUSTED, "ttrpc: out of memory");
		if (c)
			call_drop(c);
	} else {
		m->fn(c, in);
	}
	protobuf_c_message_free_unpacked(in, &b->alloc);
}

static void dispatch(struct peer *p, uint32_t id, const Ttrpc__Request *req, struct budget *b)
{
	const struct server *s = p->server;
	const struct service *sv = NULL;
	const struct method *m;
	char text[TEXT_MAX];

	for (size_t i = 0; i < s->n_services && !sv; i++)
		if (strcmp(s->services[i].name, req->service) == 0)
			sv = &s->services[i];
	if (!sv) {
		(void)snprintf(text, sizeof(text), "service %s", req->service);
		peer_fail(p, id, STATUS_UNIMPLEMENTED, text);
		return;
	}
	m = method_find(sv->methods, req->method);
	if (!m) {
		(void)snprintf(text, sizeof(text), "method %s", req->method);
		peer_fail(p, id, STATUS_UNIMPLEMENTED, text);
		return;
	}
	start_call(p, id, sv, m, req, b);
}

static void on_request(struct peer *p, const struct frame *f, const uint8_t *payload)
{
	Ttrpc__Request *req;
	struct budget b;

	if (f->id <= p->last_id) {
		peer_fail(p, f->id, STATUS_INVALID_ARGUMENT,
			  "ttrpc: stream ids must grow from request to request");
		return;
	}
	p->last_id = f->id;
	budget_init(&b, SERVER_DECODE_MAX);
	req = ttrpc__request__unpack(&b.alloc, f->len, payload);
	if (!req) {
		peer_fail(p, f->id, STATUS_INVALID_ARGUMENT, "ttrpc: not a request message");
		return;
	}
	dispatch(p, f->id, req, &b);
	ttrpc__request__free_unpacked(req, &b.alloc);
}

static void on_frame(void *arg, const struct frame *f, const uint8_t *payload)
{
	struct peer *p = arg;
	char text[TEXT_MAX];

	if (f->len > FRAME_MAX) {
		(void)snprintf(text, sizeof(text),
			       "ttrpc: message length %u exceeds the limit of %u", f->len,
			       FRAME_MAX);
		peer_fail(p, f->id, STATUS_RESOURCE_EXHAUSTED, text);
	} else if (f->id % 2 == 0) {
		peer_fail(p, f->id, STATUS_INVALID_ARGUMENT,
			  "ttrpc: stream ids of clients must be odd");
	} else if (f->type == FRAME_REQUEST) {
		on_request(p, f, payload);
	} else if (f->type == FRAME_DATA) {
		peer_fail(p, f->id, STATUS_INVALID_ARGUMENT,
			  "ttrpc: no stream with this id, all calls here are unary");
	}
}

static const struct conn_ops peer_ops = {
	.frame = on_frame,
	.lost = on_lost,
	.drained = on_drained,
};

/* ---- accepting ----------------------------------------------------------------- */

static int check_peer(int fd, struct err *err)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return err_set(err, errno, "ttrpc: ask who connected");
	if (who.uid != geteuid() || who.gid != getegid())
		return err_say(err, EPERM, "ttrpc: refused pid %d: it runs as %u:%u, not as %u:%u",
			       who.pid, who.uid, who.gid, geteuid(), getegid());
	return 0;
}

int server_adopt(struct server *s, int fd, struct err *err)
{
	auto_fd int own = fd;
	auto_free struct peer *p = NULL;
	int rc;

	if (s->phase != SERVING)
		return err_say(err, ESHUTDOWN, "ttrpc: the server is stopping");
	rc = check_peer(own, err);
	if (rc < 0)
		return rc;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, ENOMEM, "ttrpc: a new connection");
	p->server = s;
	LIST_INIT(&p->calls);
	rc = conn_new(&p->conn, s->base, TAKE_FD(own), &peer_ops, p, SERVER_UNREAD_MAX, err);
	if (rc < 0)
		return rc;
	LIST_INSERT_HEAD(&s->peers, p, link);
	(void)TAKE_PTR(p);
	s->n_peers++;
	if (s->hooks->opened)
		s->hooks->opened(s->arg, s->n_peers);
	return 0;
}

static void pause_accepting(struct server *s)
{
	struct timeval tv = { .tv_usec = SERVER_ACCEPT_PAUSE_MS * 1000 };

	(void)event_del(&s->acceptable);
	(void)evtimer_add(&s->pause, &tv);
}

static void on_pause_over(int fd, short what, void *arg)
{
	struct server *s = arg;

	(void)fd, (void)what;
	if (s->phase == SERVING && event_add(&s->acceptable, NULL) < 0)
		pause_accepting(s);
}

static void on_acceptable(int fd, short what, void *arg)
{
	struct server *s = arg;
	int peer;

	(void)what;
	for (int i = 0; i < ACCEPT_BURST && s->phase == SERVING; i++) {
		peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (peer >= 0) {
			/* A peer refused is closed, and need not know why. */
			(void)server_adopt(s, peer, NULL);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno != EAGAIN)
			pause_accepting(s);
		return;
	}
}

int server_listen(struct server *s, int fd, struct err *err)
{
	if (s->fd >= 0 || s->phase != SERVING)
		return err_say(err, EINVAL, "ttrpc: the server listens already, or was stopped");
	if (evutil_make_socket_nonblocking(fd) < 0)
		return err_set(err, errno, "ttrpc: set up the listening socket");
	if (event_assign(&s->acceptable, s->base, fd, EV_READ | EV_PERSIST, on_acceptable, s) < 0 ||
	    event_add(&s->acceptable, NULL) < 0)
		return err_set(err, ENOMEM, "ttrpc: watch the listening socket");
	s->fd = fd;
	return 0;
}

static void stop_accepting(struct server *s)
{
	if (s->fd < 0)
		return;
	(void)event_del(&s->acceptable);
	(void)evtimer_del(&s->pause);
	(void)close(s->fd);
	s->fd = -1;
}

/* ---- life ---------------------------------------------------------------------- */

/* First run at once, from the loop; again when the time to read is over. */
static void on_stop(int fd, short what, void *arg)
{
	struct server *s = arg;
	struct timeval tv = { .tv_sec = s->stop_ms / 1000, .tv_usec = s->stop_ms % 1000 * 1000 };
	bool last = s->stop_ms < 0;
	struct peer *p, *next;

	(void)fd, (void)what;
	for (p = LIST_FIRST(&s->peers); p; p = next) {
		next = LIST_NEXT(p, link);
		if (last || conn_unsent(p->conn) == 0)
			peer_close(p, true);
	}
	s->stop_ms = -1;
	if (s->n_peers)
		(void)evtimer_add(&s->stop, &tv);
	stop_if_empty(s);
}

void server_stop(struct server *s, int max_ms)
{
	struct timeval now = { 0 };
	struct peer *p;

	if (s->phase != SERVING)
		return;
	s->phase = STOPPING;
	s->stop_ms = max_ms > 0 ? max_ms : 0;
	stop_accepting(s);
	LIST_FOREACH(p, &s->peers, link)
		conn_stop_reading(p->conn);
	(void)evtimer_add(&s->stop, &now);
}

int server_new(struct server **ret, struct event_base *base, const struct server_hooks *hooks,
	       void *arg, struct err *err)
{
	struct server *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(err, ENOMEM, "ttrpc: a new server");
	s->base = base;
	s->hooks = hooks ? hooks : &no_hooks;
	s->arg = arg;
	s->fd = -1;
	s->phase = SERVING;
	LIST_INIT(&s->peers);
	(void)evtimer_assign(&s->pause, base, on_pause_over, s);
	(void)evtimer_assign(&s->stop, base, on_stop, s);
	*ret = s;
	return 0;
}

int server_register(struct server *s, const char *service, const struct method *methods,
		    void *user, struct err *err)
{
	struct service *more;

	for (size_t i = 0; i < s->n_services; i++)
		if (strcmp(s->services[i].name, service) == 0)
			return err_say(err, EEXIST, "ttrpc: %s is registered already", service);
	more = reallocarray(s->services, s->n_services + 1, sizeof(*more));
	if (!more)
		return err_set(err, ENOMEM, "ttrpc: register %s", service);
	s->services = more;
	more[s->n_services++] =
		(struct service){ .name = service, .methods = methods, .user = user };
	return 0;
}

size_t server_peers(const struct server *s)
{
	return s->n_peers;
}

size_t server_pending(const struct server *s)
{
	return s->n_pending;
}

struct server *server_free(struct server *s)
{
	if (!s)
		return NULL;
	stop_accepting(s);
	while (!LIST_EMPTY(&s->peers))
		peer_close(LIST_FIRST(&s->peers), false);
	(void)evtimer_del(&s->pause);
	(void)evtimer_del(&s->stop);
	free(s->services);
	free(s);
	return NULL;
}
