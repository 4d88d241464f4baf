/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes from a peer, into a server with the whole task service. The first byte says
 * how they are cut. Handlers answer with an empty message, fail, or keep the call.
 * What comes back must be whole frames of type response with ids the peer used.
 */
#include "proto/api/task.pb-c.h"
#include "proto/api/ttrpc.pb-c.h"
#include "proto/ttrpc/frame.h"
#include "proto/ttrpc/server.h"
#include "proto/ttrpc/status.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define METHODS 32
#define KEPT    64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fixture {
	struct method methods[METHODS + 1];
	struct call *kept[KEPT];
	size_t n_kept;
	unsigned int turn;
};

static void on_call(struct call *call, const void *in)
{
	struct fixture *f = call_user(call);
	const struct method *m = call_method(call);
	ProtobufCMessage *out;

	if (((const ProtobufCMessage *)in)->descriptor != m->in)
		abort();
	if (f->turn++ % 3 == 0 && f->n_kept < KEPT) {
		f->kept[f->n_kept++] = call;
		return;
	}
	if (f->turn % 3 == 1) {
		call_fail_code(call, STATUS_UNKNOWN, "no");
		return;
	}
	out = malloc(m->out->sizeof_message);
	if (!out)
		abort();
	protobuf_c_message_init(m->out, out);
	call_answer(call, out);
	free(out);
}

static void fill(struct fixture *f)
{
	const ProtobufCServiceDescriptor *task = &containerd__task__v2__task__descriptor;

	if (task->n_methods > METHODS)
		abort();
	for (unsigned int i = 0; i < task->n_methods; i++)
		f->methods[i] = (struct method){ task->methods[i].name, task->methods[i].input,
						 task->methods[i].output, on_call };
}

static void check(struct frame_reader *r, int fd)
{
	uint8_t buf[65536];
	const uint8_t *p = buf, *payload;
	Ttrpc__Response *resp;
	struct frame f;
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	size_t len = n > 0 ? (size_t)n : 0;

	while (len && frame_read(r, &p, &len, &f, &payload) == FRAME_READY) {
		if (f.type != FRAME_RESPONSE || f.flags || f.len > FRAME_MAX)
			abort();
		resp = ttrpc__response__unpack(NULL, f.len, payload);
		if (!resp)
			abort();
		ttrpc__response__free_unpacked(resp, NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fixture f = { .turn = size ? data[0] : 0 };
	struct frame_reader r = FRAME_READER_INIT;
	struct event_base *base = event_base_new();
	struct server *s = NULL;
	size_t piece, n;
	int sv[2];

	fill(&f);
	if (!size || !base || server_new(&s, base, NULL, NULL, NULL) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0 ||
	    server_register(s, "containerd.task.v2.Task", f.methods, &f, NULL) < 0 ||
	    server_adopt(s, sv[0], NULL) < 0) {
		(void)server_free(s);
		event_base_free(base);
		return 0;
	}
	piece = data[0] < 128 ? size : (size_t)data[0] - 100;
	for (data++, size--; size; data += n, size -= n) {
		n = size < piece ? size : piece;
		if (send(sv[1], data, n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n)
			break;
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
		check(&r, sv[1]);
	}
	for (size_t i = 0; i < f.n_kept; i += 2)
		call_drop(f.kept[i]);
	(void)server_free(s);
	for (size_t i = 1; i < f.n_kept; i += 2)
		call_fail_code(f.kept[i], STATUS_UNKNOWN, "late");
	check(&r, sv[1]);
	(void)close(sv[1]);
	frame_reader_clear(&r);
	event_base_free(base);
	return 0;
}
