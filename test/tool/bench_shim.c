/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_shim.c - drive a shim through whole lives and measure each call.
 *
 *	bench_shim [--leave] SHIM RUNTIME DAEMON NAMESPACE ROOTFS BUNDLE...
 *	bench_shim --cli RUNTIME ROOTFS BUNDLE...
 *
 * For each bundle (its last part is the id) a line: the milliseconds of `start` until
 * the address is there, Create, Start, Kill and Wait, Delete. Events go to
 * DAEMON.ttrpc, where somebody should take them. The bundle's `log` is held open, as
 * containerd does, and what comes out of it is not read.
 *
 * --leave leaves each task as Create made it.
 *
 * --cli is the part that no shim can save: the runtime's own create, start, kill (until
 * init is gone) and delete, one after another, in the same columns.
 */
#include "journal/base/cleanup.h"
#include "proto/api/runc_options.pb-c.h"
#include "proto/api/task.pb-c.h"
#include "proto/ttrpc/client.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALL_MS 20000

struct bench {
	char *shim, *runtime, *daemon, *ns, *rootfs;
	char *bundle, *id;
	char socket[PATH_MAX];
	bool leave;
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
	for (size_t i = 0; i < (b->leave ? 1 : ARRAY_SIZE(calls)); i++) {
		t = now_ms();
		if (calls[i](b) < 0)
			return -1;
		t2 = now_ms();
		printf(" %.3f", t2 - t);
	}
	printf("\n");
	if (b->leave)
		return 0;
	in.id = b->id;
	(void)call(b, "Shutdown", &in, &google__protobuf__empty__descriptor);
	return 0;
}

/* ---- the runtime alone ------------------------------------------------------------------- */

/* RUNTIME --root ROOT WORD... with nothing to read, and nobody who reads. */
static int cli(const struct bench *b, const char *const *words)
{
	const char *argv[12] = { b->runtime, "--root", "/run/bench-cli" };
	posix_spawn_file_actions_t io;
	int status, n = 3;
	pid_t pid;

	while (*words)
		argv[n++] = *words++;
	if (posix_spawn_file_actions_init(&io) != 0)
		return -1;
	for (int fd = 0; fd < 3; fd++)
		(void)posix_spawn_file_actions_addopen(&io, fd, "/dev/null", O_RDWR, 0);
	status = posix_spawn(&pid, b->runtime, &io, NULL, (char *const *)argv, environ);
	(void)posix_spawn_file_actions_destroy(&io);
	if (status != 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "bench_shim: %s %s: status %d\n", b->runtime, argv[3], status);
		return -1;
	}
	return 0;
}

static int cli_create(const struct bench *b)
{
	char pid_file[PATH_MAX];

	(void)snprintf(pid_file, sizeof(pid_file), "%s/init.pid", b->bundle);
	return cli(b, (const char *[]){ "create", "--bundle", b->bundle, "--pid-file", pid_file,
					b->id, NULL });
}

static int cli_start(const struct bench *b)
{
	return cli(b, (const char *[]){ "start", b->id, NULL });
}

static int cli_kill(const struct bench *b)
{
	if (cli(b, (const char *[]){ "kill", b->id, "9", NULL }) < 0)
		return -1;
	return wait(NULL) > 0 ? 0 : -1; /* init, whose parent has gone */
}

static int cli_delete(const struct bench *b)
{
	return cli(b, (const char *[]){ "delete", b->id, NULL });
}

static int cli_life(struct bench *b)
{
	int (*const calls[])(const struct bench *) = { cli_create, cli_start, cli_kill,
						       cli_delete };
	char target[PATH_MAX];
	int rc = 0;

	(void)snprintf(target, sizeof(target), "%s/rootfs", b->bundle);
	if (mount(b->rootfs, target, NULL, MS_BIND | MS_REC, NULL) < 0)
		return -1;
	printf("0");
	for (size_t i = 0; i < ARRAY_SIZE(calls) && rc == 0; i++) {
		double t = now_ms();

		rc = calls[i](b);
		printf(" %.3f", now_ms() - t);
	}
	printf("\n");
	return umount2(target, UMOUNT_NOFOLLOW) < 0 ? -1 : rc;
}

static int cli_lives(int argc, char **argv)
{
	struct bench b = { .runtime = argv[2], .rootfs = argv[3] };

	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (int i = 4; i < argc; i++) {
		b.bundle = argv[i];
		b.id = strrchr(argv[i], '/') ? strrchr(argv[i], '/') + 1 : argv[i];
		if (cli_life(&b) < 0)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct bench b = { 0 };

	if (argc > 4 && strcmp(argv[1], "--cli") == 0)
		return cli_lives(argc, argv);
	if (argc > 1 && strcmp(argv[1], "--leave") == 0) {
		b.leave = true;
		argv++;
		argc--;
	}

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
