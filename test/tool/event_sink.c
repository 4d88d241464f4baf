/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_sink.c - containerd, as far as a shim's events see it.
 *
 *	event_sink [-n COUNT] [-f COUNT] [-s COUNT] SOCKET
 *
 * Serves Events.Forward and prints a line for each event taken:
 *
 *	/tasks/exit ns=default container_id=c1 id=c1 pid=4300 exit_status=137 exited_at=170...
 *
 * with all fields of the event that are not messages, and times as seconds. -f: the
 * first COUNT are refused (Unavailable); -s: the first COUNT are not answered at all;
 * neither is printed. -n: ends after COUNT lines, else on a signal. A file that is
 * at SOCKET already is replaced.
 */
#include "journal/base/cleanup.h"
#include "proto/api/events.pb-c.h"
#include "proto/api/task_events.pb-c.h"
#include "proto/ttrpc/server.h"
#include "proto/ttrpc/status.h"

#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

struct sink {
	struct event_base *base;
	struct server *server;
	long refuse, swallow, left; /* left: lines to print, < 0: any number */
};

static const ProtobufCMessageDescriptor *const known[] = {
	&containerd__events__task_create__descriptor,
	&containerd__events__task_start__descriptor,
	&containerd__events__task_delete__descriptor,
	&containerd__events__task_exit__descriptor,
	&containerd__events__task_oom__descriptor,
	&containerd__events__task_exec_added__descriptor,
	&containerd__events__task_exec_started__descriptor,
	&containerd__events__task_paused__descriptor,
	&containerd__events__task_resumed__descriptor,
	&containerd__events__task_checkpointed__descriptor,
};

static void print_field(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const void *at = (const uint8_t *)m + f->offset;
	const Google__Protobuf__Timestamp *time;

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return;
	if (f->type == PROTOBUF_C_TYPE_STRING)
		printf(" %s=%s", f->name, *(char *const *)at);
	else if (f->type == PROTOBUF_C_TYPE_UINT32)
		printf(" %s=%" PRIu32, f->name, *(const uint32_t *)at);
	if (f->type != PROTOBUF_C_TYPE_MESSAGE || f->descriptor != &google__protobuf__timestamp__descriptor)
		return;
	time = *(Google__Protobuf__Timestamp *const *)at;
	if (time)
		printf(" %s=%" PRId64, f->name, time->seconds);
}

/* False: not an event that we know. */
static bool print_event(const Containerd__Types__Envelope *env)
{
	ProtobufCMessage *m = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(known) && !m; i++)
		if (strcmp(known[i]->name, env->event->type_url) == 0)
			m = protobuf_c_message_unpack(known[i], NULL, env->event->value.len,
						      env->event->value.data);
	if (!m)
		return false;
	printf("%s ns=%s", env->topic, env->namespace_);
	for (unsigned int i = 0; i < m->descriptor->n_fields; i++)
		print_field(m, &m->descriptor->fields[i]);
	printf("\n");
	(void)fflush(stdout);
	protobuf_c_message_free_unpacked(m, NULL);
	return true;
}

static void on_forward(struct call *call, const void *in)
{
	const Containerd__Services__Events__Ttrpc__V1__ForwardRequest *req = in;
	Google__Protobuf__Empty out = GOOGLE__PROTOBUF__EMPTY__INIT;
	struct sink *s = call_user(call);

	if (s->swallow > 0) {
		s->swallow--;
		call_drop(call);
	} else if (s->refuse > 0) {
		s->refuse--;
		call_fail_code(call, STATUS_UNAVAILABLE, "refused on order: unavailable");
	} else if (!req->envelope || !req->envelope->event || !req->envelope->timestamp ||
		   *req->envelope->topic != '/' || !print_event(req->envelope)) {
		call_fail_code(call, STATUS_INVALID_ARGUMENT, "not an event: invalid argument");
	} else {
		call_answer(call, &out.base);
		if (s->left > 0 && --s->left == 0)
			server_stop(s->server, 1000);
	}
}

static const struct method methods[] = {
	{ "Forward", &containerd__services__events__ttrpc__v1__forward_request__descriptor,
	  &google__protobuf__empty__descriptor, on_forward },
	{ .name = NULL },
};

static void on_stopped(void *arg)
{
	struct sink *s = arg;

	(void)event_base_loopbreak(s->base);
}

static void on_signal(int sig, short what, void *arg)
{
	struct sink *s = arg;

	(void)sig, (void)what;
	server_stop(s->server, 0);
}

static int listen_at(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(to.sun_path))
		return -1;
	strcpy(to.sun_path, path);
	(void)unlink(path);
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || listen(fd, 128) < 0)
		return -1;
	return TAKE_FD(fd);
}

static int serve(struct sink *s, const char *path)
{
	static const struct server_hooks hooks = { .stopped = on_stopped };
	struct event *term = evsignal_new(s->base, SIGTERM, on_signal, s);
	struct event *intr = evsignal_new(s->base, SIGINT, on_signal, s);
	struct err err = ERR_INIT;
	int fd = listen_at(path);
	int rc = fd < 0 ? err_set(&err, errno, "listen at %s", path) : 0;

	if (rc == 0)
		rc = server_new(&s->server, s->base, &hooks, s, &err);
	if (rc == 0)
		rc = server_register(s->server, "containerd.services.events.ttrpc.v1.Events",
				     methods, s, &err);
	if (rc == 0)
		rc = server_listen(s->server, fd, &err);
	if (rc == 0 && evsignal_add(term, NULL) == 0 && evsignal_add(intr, NULL) == 0)
		(void)event_base_dispatch(s->base);
	if (rc < 0)
		fprintf(stderr, "event_sink: %s\n", err.text);
	(void)server_free(s->server);
	(void)unlink(path);
	event_free(term);
	event_free(intr);
	return rc < 0;
}

int main(int argc, char **argv)
{
	struct sink s = { .left = -1 };
	int opt, rc;

	while ((opt = getopt(argc, argv, "n:f:s:")) != -1) {
		if (opt == '?')
			return 2;
		*(opt == 'n' ? &s.left : opt == 'f' ? &s.refuse : &s.swallow) = atol(optarg);
	}
	s.base = event_base_new();
	if (optind + 1 != argc || !s.base) {
		fprintf(stderr, "usage: event_sink [-n COUNT] [-f COUNT] [-s COUNT] SOCKET\n");
		return 2;
	}
	rc = serve(&s, argv[optind]);
	event_base_free(s.base);
	return rc;
}
