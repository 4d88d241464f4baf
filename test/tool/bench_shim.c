/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_shim.c - drive a shim through whole lives and measure each call.
 *
 *	bench_shim SHIM RUNTIME DAEMON NAMESPACE ROOTFS BUNDLE...
 *
 * For each bundle (its last part is the id) a line: the milliseconds of `start` until
 * the address is there, Create, Start, Kill and Wait, Delete. Events go to
 * DAEMON.ttrpc, where somebody should take them. The bundle's `log` is held open, as
 * containerd does, and what comes out of it is not read.
 */
#include "journal/base/cleanup.h"
#include "proto/api/runc_options.pb-c.h"
#include "proto/api/task.pb-c.h"
#include "proto/ttrpc/client.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALL_MS 20000

struct bench {
	char *shim, *runtime, *daemon, *ns, *rootfs;
	char *bundle, *id;
	char socket[PATH_MAX];
};

static double now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void exec_start(const struct bench *b, int out)
{
	const char *const argv[] = { b->shim, "-namespace", b->ns, "-address", b->daemon,
				     "-publish-binary", "/bin/false", "-id", b->id, "start",
				     NULL };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (chdir(b->bundle) < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	(void)setpgid(0, 0);
	(void)execv(b->shim, (char *const *)argv);
	_exit(127);
}

/* As containerd: until end of file and the end of the process. */
static int start(struct bench *b)
{
	char text[PATH_MAX] = "";
	size_t len = 0;
	ssize_t n;
	int out[2], status;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return -1;
	if (pid == 0)
		exec_start(b, out[1]);
	(void)close(out[1]);
	while (len < sizeof(text) - 1 && (n = read(out[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	(void)close(out[0]);
	if (waitpid(pid, &status, 0) < 0 || status != 0 || strncmp(text, "unix://", 7) != 0) {
		fprintf(stderr, "bench_shim: start: %s\n", text);
		return -1;
	}
	text[strcspn(text, "\n")] = '\0';
	(void)snprintf(b->socket, sizeof(b->socket), "%s", text + 7);
	return 0;
}

static int call(const struct bench *b, const char *method, const void *in,
		const ProtobufCMessageDescriptor *out)
{
	const struct client_request req = { .service = "containerd.task.v2.Task",
					    .method = method, .ns = b->ns, .in = in, .out = out,
					    .timeout_ms = CALL_MS };
	ProtobufCMessage *answer = NULL;
	struct err err = ERR_INIT;

	if (client_ask(b->socket, &req, &answer, NULL, &err) < 0) {
		/* After Shutdown it may be gone before it answers. */
		if (strcmp(method, "Shutdown") == 0)
			return 0;
		fprintf(stderr, "bench_shim: %s: %s\n", method, err.text);
		return -1;
	}
	protobuf_c_message_free_unpacked(answer, NULL);
	return 0;
}

static int create(const struct bench *b)
{
	Containerd__Task__V2__CreateTaskRequest in = CONTAINERD__TASK__V2__CREATE_TASK_REQUEST__INIT;
	Containerd__Types__Mount mount = CONTAINERD__TYPES__MOUNT__INIT, *mounts = &mount;
	Containerd__Runc__V1__Options options = CONTAINERD__RUNC__V1__OPTIONS__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	char bind[] = "bind", rbind[] = "rbind", ro[] = "ro", *words[] = { rbind, ro };
	char type[] = "containerd.runc.v1.Options";
	uint8_t packed[PATH_MAX + 16];

	options.binary_name = b->runtime;
	any.type_url = type;
	any.value.data = packed;
	any.value.len = containerd__runc__v1__options__pack(&options, packed);
	mount.type = bind;
	mount.source = b->rootfs;
	mount.options = words;
	mount.n_options = ARRAY_SIZE(words);
	in.id = b->id;
	in.bundle = b->bundle;
	in.rootfs = &mounts;
	in.n_rootfs = 1;
	in.options = &any;
	return call(b, "Create", &in, &containerd__task__v2__create_task_response__descriptor);
}

static int start_call(const struct bench *b)
{
	Containerd__Task__V2__StartRequest in = CONTAINERD__TASK__V2__START_REQUEST__INIT;

	in.id = b->id;
	return call(b, "Start", &in, &containerd__task__v2__start_response__descriptor);
}

static int kill_and_wait(const struct bench *b)
{
	Containerd__Task__V2__KillRequest in = CONTAINERD__TASK__V2__KILL_REQUEST__INIT;
	Containerd__Task__V2__WaitRequest wait = CONTAINERD__TASK__V2__WAIT_REQUEST__INIT;

	in.id = wait.id = b->id;
	in.signal = SIGKILL;
	if (call(b, "Kill", &in, &google__protobuf__empty__descriptor) < 0)
		return -1;
	return call(b, "Wait", &wait, &containerd__task__v2__wait_response__descriptor);
}

static int delete(const struct bench *b)
{
	Containerd__Task__V2__DeleteRequest in = CONTAINERD__TASK__V2__DELETE_REQUEST__INIT;

	in.id = b->id;
	return call(b, "Delete", &in, &containerd__task__v2__delete_response__descriptor);
}

static int life(struct bench *b)
{
	int (*const calls[])(const struct bench *) = { create, start_call, kill_and_wait, delete };
	Containerd__Task__V2__ShutdownRequest in = CONTAINERD__TASK__V2__SHUTDOWN_REQUEST__INIT;
	double t = now_ms(), t2;

	if (start(b) < 0)
		return -1;
	t2 = now_ms();
	printf("%.3f", t2 - t);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		t = now_ms();
		if (calls[i](b) < 0)
			return -1;
		t2 = now_ms();
		printf(" %.3f", t2 - t);
	}
	printf("\n");
	in.id = b->id;
	(void)call(b, "Shutdown", &in, &google__protobuf__empty__descriptor);
	return 0;
}

int main(int argc, char **argv)
{
	struct bench b = { 0 };

	if (argc < 7) {
		fprintf(stderr, "usage: bench_shim SHIM RUNTIME DAEMON NAMESPACE ROOTFS BUNDLE...\n");
		return 2;
	}
	b.shim = argv[1];
	b.runtime = argv[2];
	b.daemon = argv[3];
	b.ns = argv[4];
	b.rootfs = argv[5];
	for (int i = 6; i < argc; i++) {
		char log[PATH_MAX];
		auto_fd int fd = -1;

		b.bundle = argv[i];
		b.id = strrchr(argv[i], '/') ? strrchr(argv[i], '/') + 1 : argv[i];
		(void)snprintf(log, sizeof(log), "%s/log", b.bundle);
		fd = open(log, O_RDWR | O_CLOEXEC);
		if (life(&b) < 0)
			return 1;
	}
	return 0;
}
