/* SPDX-License-Identifier: Apache-2.0 */
#include "test/calls/life.h"

#include <json-c/json.h>

#include "journal/base/cleanup.h"
#include "proto/api/sandbox.pb-c.h"
#include "proto/api/task.pb-c.h"
#include "proto/ttrpc/client.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define CALL_MS  10000
#define OWNER_MS 5000
#define EXEC_ID  "e"

void nap(void)
{
	const struct timespec moment = { .tv_nsec = 500000 };

	nanosleep(&moment, NULL);
}

/* A zombie is not alive: whoever reaps it may take a while. */
bool is_alive(pid_t pid)
{
	char path[64], line[256] = "";
	auto_file FILE *f = NULL;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	return f && fgets(line, sizeof(line), f) && strrchr(line, ')') &&
	       strrchr(line, ')')[2] != 'Z';
}

bool gone_in(pid_t pid, int ms)
{
	int64_t end = client_deadline(ms);

	while (is_alive(pid)) {
		if (client_deadline(0) > end)
			return false;
		nap();
	}
	return true;
}

void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

bool shim_lives(void)
{
	auto_file FILE *f = NULL;
	char path[64], comm[32];
	bool lives = false;
	int pid;

	reap();
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "re");
	while (f && !lives && fscanf(f, "%d", &pid) == 1) {
		auto_file FILE *c = NULL;

		(void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		c = fopen(path, "re");
		lives = c && fgets(comm, sizeof(comm), c) && strncmp(comm, "containerd-shim", 15) == 0;
	}
	return lives;
}

/* ---- the bundle ------------------------------------------------------------------------------- */

static bool copy(const char *from, const char *to)
{
	auto_file FILE *in = fopen(from, "re");
	auto_file FILE *out = fopen(to, "we");
	char buf[4096];
	size_t n;

	while (in && out && (n = fread(buf, 1, sizeof(buf), in)) > 0)
		if (fwrite(buf, 1, n, out) != n)
			return false;
	return in && out && fflush(out) == 0;
}

bool life_prepare(struct life *l)
{
	char path[PATH_MAX + 16];

	snprintf(l->bundle, sizeof(l->bundle), "%s/b/%s", l->root, l->id);
	snprintf(path, sizeof(path), "%s/rootfs", l->bundle);
	if (mkdir(l->bundle, 0700) < 0 || mkdir(path, 0755) < 0)
		return false;
	snprintf(path, sizeof(path), "%s/config.json", l->bundle);
	if (!l->sandbox && !copy(l->spec, path))
		return false;
	snprintf(path, sizeof(path), "%s/log", l->bundle);
	if (mkfifo(path, 0700) < 0)
		return false;
	l->log = open(path, O_RDWR | O_CLOEXEC);
	l->server = 0;
	return l->log >= 0;
}

void life_log(const struct life *l, char *ret, size_t size)
{
	struct pollfd ready = { .fd = l->log, .events = POLLIN };
	ssize_t n = l->log >= 0 && poll(&ready, 1, 0) > 0 ? read(l->log, ret, size - 1) : 0;

	ret[n > 0 ? n : 0] = '\0';
}

static int unlink_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st, (void)flag, (void)at;
	return remove(path);
}

bool life_remove(struct life *l)
{
	if (l->log >= 0)
		(void)close(l->log);
	l->log = -1;
	/* Over no mount: whoever follows one removes what it leads to. */
	return nftw(l->bundle, unlink_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0;
}

/* ---- our programs ------------------------------------------------------------------------------- */

static _Noreturn void run(const struct life *l, const char *name, int gate, int out)
{
	const char *const recover[] = { l->ctl, "recover", NULL };
	const char *const start[] = { l->shim, "-namespace", l->ns, "-address", l->daemon,
				      "-publish-binary", "/bin/false", "-id", l->id, name,
				      NULL };
	const char *const delete[] = { l->shim, "-namespace", l->ns, "-address", l->daemon,
				       "-publish-binary", "/bin/false", "-id", l->id,
				       "-bundle", l->bundle, name, NULL };
	const char *const *argv = strcmp(name, "recover") == 0  ? recover
				  : strcmp(name, "delete") == 0 ? delete
								: start;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char byte, ttrpc[PATH_MAX];

	(void)setpgid(0, 0);
	snprintf(ttrpc, sizeof(ttrpc), "%s.ttrpc", l->daemon);
	(void)setenv("TTRPC_ADDRESS", ttrpc, 1);
	if (chdir(l->bundle) < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) {
		dprintf(out, "%s does not begin: %s: %s\n", name, l->bundle, strerror(errno));
		_exit(126);
	}
	if (read(gate, &byte, 1) != 1)
		_exit(125);
	(void)execv(argv[0], (char *const *)argv);
	_exit(127);
}

bool verb_fork(const struct life *l, struct verb *v, const char *name)
{
	int gate[2];

	*v = (struct verb){ .out = memfd_create("out", MFD_CLOEXEC) };
	if (v->out < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, gate) < 0)
		return false;
	v->pid = fork();
	if (v->pid == 0) {
		(void)close(gate[1]);
		run(l, name, gate[0], v->out);
	}
	(void)close(gate[0]);
	v->gate = gate[1];
	return v->pid > 0;
}

/* Who has died at its gate tells it to verb_wait(). */
void verb_go(struct verb *v)
{
	(void)send(v->gate, "", 1, MSG_NOSIGNAL);
}

int verb_wait(struct verb *v, int ms)
{
	struct pollfd watch = { .fd = pidfd_open(v->pid, 0), .events = POLLIN };
	bool ended = poll(&watch, 1, ms) == 1;
	ssize_t n;
	int status = 0;

	if (!ended)
		(void)kill(v->pid, SIGKILL);
	(void)waitpid(v->pid, &status, 0);
	n = pread(v->out, v->text, sizeof(v->text) - 1, 0);
	v->text[n > 0 ? n : 0] = '\0';
	(void)close(watch.fd);
	(void)close(v->gate);
	(void)close(v->out);
	if (!ended)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool life_started(struct life *l, const struct verb *v)
{
	int64_t end = client_deadline(OWNER_MS);

	if (strncmp(v->text, "unix://", 7) != 0)
		return false;
	snprintf(l->socket, sizeof(l->socket), "%.*s", (int)strcspn(v->text + 7, "\n"),
		 v->text + 7);
	/* The starter had the lock before. */
	while (journal_owner(&l->place, &l->key, &l->server, NULL) < 0 || l->server <= 0) {
		if (client_deadline(0) > end)
			return false;
		nap();
	}
	return true;
}

/* ---- calls ------------------------------------------------------------------------------------------ */

/* The answer is the caller's; NULL is none. */
static int ask_of(const struct life *l, const ProtobufCServiceDescriptor *service,
		  const char *method, const void *in, ProtobufCMessage **answer, struct err *err)
{
	const ProtobufCMethodDescriptor *m =
		protobuf_c_service_descriptor_get_method_by_name(service, method);
	const struct client_request req = { .service = service->name,
					    .method = method, .ns = l->ns, .in = in,
					    .out = m->output, .timeout_ms = CALL_MS };

	return client_ask(l->socket, &req, answer, NULL, err);
}

static int ask_for(const struct life *l, const char *method, const void *in,
		   ProtobufCMessage **answer, struct err *err)
{
	return ask_of(l, &containerd__task__v2__task__descriptor, method, in, answer, err);
}

static int ask(const struct life *l, const char *method, const void *in, struct err *err)
{
	ProtobufCMessage *answer = NULL;
	int rc = ask_for(l, method, in, &answer, err);

	if (rc == 0)
		protobuf_c_message_free_unpacked(answer, NULL);
	return rc;
}

/* All requests have the id in the same place, as their first field. */
static int sandbox_call(const struct life *l, const char *method, struct err *err)
{
	static const char *const names[][2] = {
		{ "Create", "CreateSandbox" }, { "Start", "StartSandbox" },
		{ "Kill", "StopSandbox" }, { "Wait", "WaitSandbox" },
		{ "Delete", "SandboxStatus" }, { "Shutdown", "ShutdownSandbox" },
	};
	Containerd__Runtime__Sandbox__V1__CreateSandboxRequest in =
		CONTAINERD__RUNTIME__SANDBOX__V1__CREATE_SANDBOX_REQUEST__INIT;
	Containerd__Runtime__Sandbox__V1__StopSandboxRequest other =
		CONTAINERD__RUNTIME__SANDBOX__V1__STOP_SANDBOX_REQUEST__INIT;
	ProtobufCMessage *answer = NULL;
	const char *name = "";
	int rc;

	in.sandbox_id = other.sandbox_id = (char *)l->id;
	in.bundle_path = (char *)l->bundle;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(method, names[i][0]) == 0)
			name = names[i][1];
	rc = ask_of(l, &containerd__runtime__sandbox__v1__sandbox__descriptor, name,
		    strcmp(method, "Create") == 0 ? (void *)&in : (void *)&other, &answer, err);
	if (rc == 0)
		protobuf_c_message_free_unpacked(answer, NULL);
	return rc;
}

static int create(const struct life *l, struct err *err)
{
	Containerd__Task__V2__CreateTaskRequest in = CONTAINERD__TASK__V2__CREATE_TASK_REQUEST__INIT;
	Containerd__Types__Mount mount = CONTAINERD__TYPES__MOUNT__INIT, *mounts = &mount;
	char bind[] = "bind", rbind[] = "rbind", ro[] = "ro", *words[] = { rbind, ro };
	char ext4[] = "ext4", loop[] = "loop", *loop_words[] = { loop };
	struct stat st;
	bool image = stat(l->rootfs, &st) == 0 && S_ISREG(st.st_mode);

	mount.type = image ? ext4 : bind;
	mount.source = (char *)l->rootfs;
	mount.options = image ? loop_words : words;
	mount.n_options = image ? ARRAY_SIZE(loop_words) : ARRAY_SIZE(words);
	in.id = (char *)l->id;
	in.bundle = (char *)l->bundle;
	in.rootfs = &mounts;
	in.n_rootfs = 1;
	return ask(l, "Create", &in, err);
}

/* The process is the container's own, once more. */
static int exec(const struct life *l, struct err *err)
{
	Containerd__Task__V2__ExecProcessRequest in =
		CONTAINERD__TASK__V2__EXEC_PROCESS_REQUEST__INIT;
	Google__Protobuf__Any spec = GOOGLE__PROTOBUF__ANY__INIT;
	auto_json json_object *config = json_object_from_file(l->spec);
	json_object *process = NULL;
	char type[] = "types.containerd.io/opencontainers/runtime-spec/1/Process";
	const char *text;

	if (!config || !json_object_object_get_ex(config, "process", &process))
		return err_say(err, EINVAL, "%s has no process", l->spec);
	text = json_object_to_json_string(process);
	spec.type_url = type;
	spec.value = (ProtobufCBinaryData){ .len = strlen(text), .data = (uint8_t *)text };
	in.id = (char *)l->id;
	in.exec_id = (char *)EXEC_ID;
	in.spec = &spec;
	return ask(l, "Exec", &in, err);
}

/* Of what was added to the container: Start, Kill, Wait, Delete. */
static int exec_call(const struct life *l, const char *method, struct err *err)
{
	Containerd__Task__V2__KillRequest kill_in = CONTAINERD__TASK__V2__KILL_REQUEST__INIT;
	Containerd__Task__V2__DeleteRequest in = CONTAINERD__TASK__V2__DELETE_REQUEST__INIT;

	kill_in.id = in.id = (char *)l->id;
	kill_in.exec_id = in.exec_id = (char *)EXEC_ID;
	kill_in.signal = SIGKILL;
	if (strcmp(method, "Kill") == 0)
		return ask(l, method, &kill_in, err);
	return ask(l, method, &in, err);
}

int life_wait(const struct life *l, bool exec, uint32_t *status, struct err *err)
{
	Containerd__Task__V2__WaitRequest in = CONTAINERD__TASK__V2__WAIT_REQUEST__INIT;
	ProtobufCMessage *answer = NULL;
	int rc;

	in.id = (char *)l->id;
	if (exec)
		in.exec_id = (char *)EXEC_ID;
	rc = ask_for(l, "Wait", &in, &answer, err);
	if (rc < 0)
		return rc;
	*status = ((const Containerd__Task__V2__WaitResponse *)answer)->exit_status;
	protobuf_c_message_free_unpacked(answer, NULL);
	return 0;
}

int life_call(const struct life *l, const char *method, struct err *err)
{
	Containerd__Task__V2__KillRequest kill_in = CONTAINERD__TASK__V2__KILL_REQUEST__INIT;
	Containerd__Task__V2__StateRequest in = CONTAINERD__TASK__V2__STATE_REQUEST__INIT;

	if (l->sandbox)
		return sandbox_call(l, method, err);
	if (strcmp(method, "Create") == 0)
		return create(l, err);
	if (strcmp(method, "Exec") == 0)
		return exec(l, err);
	if (strncmp(method, "exec ", 5) == 0)
		return exec_call(l, method + 5, err);
	kill_in.id = in.id = (char *)l->id;
	kill_in.signal = SIGKILL;
	if (strcmp(method, "Kill") == 0)
		return ask(l, method, &kill_in, err);
	/* All others have the id in the same place, as their first field. */
	return ask(l, method, &in, err);
}
