/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/shim_rig.h"

#include "journal/base/cleanup.h"
#include "proto/api/task.pb-c.h"
#include "proto/ttrpc/client.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define NS       "t1"
#define ID       "v"
#define RUN_S    60   /* then a program is killed: it hangs */
#define CALL_MS  15000
#define GOING_MS 3000 /* for a shim on its way out          */

const char *const rig_ops[] = { "start", "Create", "Start", "Kill", "Wait", "Delete", "Shutdown",
				"end" };

void rig_stop(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("# sweep: ");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	exit(1);
}

__attribute__((format(printf, 2, 3)))
static void text(char *to, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(to, RIG_TEXT_MAX, fmt, ap);
	va_end(ap);
	if (n < 0 || n >= RIG_TEXT_MAX)
		rig_stop("a text is too long");
}

int64_t rig_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void rig_pause_us(long us)
{
	const struct timespec ts = { .tv_nsec = us * 1000 };

	nanosleep(&ts, NULL);
}

/* ---- programs ------------------------------------------------------------------------ */

static void be(const struct shim_rig *r, const struct axe *axe, const char *dir,
	       const char *const *argv)
{
	int out = open(r->out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int in = open("/dev/null", O_RDONLY);
	char at[32];

	if (axe) {
		setenv("URUNC_CRASH_ROLE", axe->role, 1);
		setenv("URUNC_CRASH_TALLY", r->tally, 1);
		(void)snprintf(at, sizeof(at), "%ld", axe->at);
		if (axe->at)
			setenv("URUNC_CRASH_AT", at, 1);
	}
	alarm(RUN_S);
	if (out < 0 || in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
	    chdir(dir) < 0)
		_exit(126);
	(void)close(in);
	(void)close(out);
	execv(argv[0], (char *const *)argv);
	_exit(127);
}

/* Its exit status, or 256 and its signal. What it says is in r->out. */
int rig_run(const struct shim_rig *r, const struct axe *axe, const char *dir,
	       const char *const *argv)
{
	pid_t pid;
	int status;

	if (axe)
		(void)unlink(r->tally);
	pid = fork();
	if (pid == 0)
		be(r, axe, dir, argv);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		rig_stop("can't run %s: %s", argv[0], strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* How many points were passed; the name of the last wanted one goes to @name. */
long rig_passed(const struct shim_rig *r, long at, char name[static 128])
{
	auto_file FILE *f = fopen(r->tally, "re");
	char line[160];
	long n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (++n == at && sscanf(line, "%*s %127[^\n]", name) != 1)
			name[0] = '\0';
	return n;
}

int rig_shim(const struct shim_rig *r, const struct axe *axe, const char *action)
{
	const char *const argv[] = { r->shim, "-namespace", NS, "-address", r->daemon,
				     "-publish-binary", "/bin/false", "-id", ID,
				     "-bundle", r->bundle, action, NULL };

	return rig_run(r, axe, r->bundle, argv);
}

/* ---- a life ----------------------------------------------------------------------------- */

void rig_reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* What the dead left is ours: reap it, and say whether a shim is among the living. */
static bool shim_lives(void)
{
	auto_file FILE *f = NULL;
	char path[64], comm[32];
	bool lives = false;
	int pid;

	rig_reap();
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

static bool shim_gone(int ms)
{
	int64_t end = rig_now_ms() + ms;

	while (shim_lives()) {
		if (rig_now_ms() > end)
			return false;
		rig_pause_us(200);
	}
	return true;
}

static bool ask(const struct shim_rig *r, const char *method, const ProtobufCMessage *in,
		const ProtobufCMessageDescriptor *out)
{
	struct client_request req = { .service = "containerd.task.v2.Task", .method = method,
				      .ns = NS, .in = in, .out = out, .timeout_ms = CALL_MS };
	ProtobufCMessage *answer = NULL;
	int rc = client_ask(r->socket, &req, &answer, NULL, NULL);

	if (rc == 0)
		protobuf_c_message_free_unpacked(answer, NULL);
	return rc == 0;
}

static bool create(const struct shim_rig *r)
{
	Containerd__Task__V2__CreateTaskRequest in =
		CONTAINERD__TASK__V2__CREATE_TASK_REQUEST__INIT;
	Containerd__Types__Mount mount = CONTAINERD__TYPES__MOUNT__INIT;
	Containerd__Types__Mount *mounts[] = { &mount };
	static char bind[] = "bind", rbind[] = "rbind", ro[] = "ro", id[] = ID;
	char *options[] = { rbind, ro };

	mount.type = bind;
	mount.source = (char *)r->rootfs;
	mount.options = options;
	mount.n_options = ARRAY_SIZE(options);
	in.id = id;
	in.bundle = (char *)r->bundle;
	in.rootfs = mounts;
	in.n_rootfs = 1;
	return ask(r, "Create", &in.base, &containerd__task__v2__create_task_response__descriptor);
}

static bool call(const struct shim_rig *r, enum op op)
{
	static char id[] = ID;
	Containerd__Task__V2__StartRequest start = CONTAINERD__TASK__V2__START_REQUEST__INIT;
	Containerd__Task__V2__KillRequest kill = CONTAINERD__TASK__V2__KILL_REQUEST__INIT;
	Containerd__Task__V2__WaitRequest wait = CONTAINERD__TASK__V2__WAIT_REQUEST__INIT;
	Containerd__Task__V2__DeleteRequest delete = CONTAINERD__TASK__V2__DELETE_REQUEST__INIT;
	Containerd__Task__V2__ShutdownRequest down = CONTAINERD__TASK__V2__SHUTDOWN_REQUEST__INIT;
	const struct {
		const ProtobufCMessage *in;
		const ProtobufCMessageDescriptor *out;
	} calls[] = {
		[OP_START] = { &start.base, &containerd__task__v2__start_response__descriptor },
		[OP_KILL] = { &kill.base, &google__protobuf__empty__descriptor },
		[OP_WAIT] = { &wait.base, &containerd__task__v2__wait_response__descriptor },
		[OP_DELETE] = { &delete.base, &containerd__task__v2__delete_response__descriptor },
		[OP_SHUTDOWN] = { &down.base, &google__protobuf__empty__descriptor },
	};

	start.id = kill.id = wait.id = delete.id = down.id = id;
	kill.signal = SIGKILL;
	return op == OP_CREATE ? create(r) : ask(r, rig_ops[op], calls[op].in, calls[op].out);
}

/* What `start` printed. */
static bool read_address(struct shim_rig *r)
{
	auto_file FILE *f = fopen(r->out, "re");

	return f && fscanf(f, "unix://%4095s", r->socket) == 1;
}

/* The call that failed, or OP_END; with an axe the server is dead afterwards. */
enum op rig_live(struct shim_rig *r, const struct axe *axe)
{
	enum op op = OP_START_SHIM;

	if (rig_shim(r, axe, "start") == 0 && read_address(r))
		do
			op++;
		while (op < OP_END && call(r, op));
	(void)shim_gone(GOING_MS);
	return op;
}

/* ---- the bundle --------------------------------------------------------------------------- */

void rig_bundle_make(struct shim_rig *r)
{
	char path[RIG_TEXT_MAX + 16];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/rootfs", r->bundle);
	if (mkdir(r->bundle, 0700) < 0 || mkdir(path, 0700) < 0)
		rig_stop("can't make %s: %s", path, strerror(errno));
	(void)snprintf(path, sizeof(path), "%s/config.json", r->bundle);
	f = fopen(path, "we");
	if (!f)
		rig_stop("can't make %s: %s", path, strerror(errno));
	fputs("{ \"ociVersion\": \"1.0.2\", \"process\": { \"user\": { \"uid\": 0, \"gid\": 0 },"
	      " \"cwd\": \"/\", \"args\": [\"sleep\", \"1000\"], \"env\": [\"PATH=/bin\"] },"
	      " \"root\": { \"path\": \"rootfs\" }, \"mounts\": ["
	      " { \"destination\": \"/proc\", \"type\": \"proc\", \"source\": \"proc\" },"
	      " { \"destination\": \"/dev\", \"type\": \"tmpfs\", \"source\": \"tmpfs\" } ],"
	      " \"linux\": { \"cgroupsPath\": \"/" NS "/" ID "\", \"namespaces\": ["
	      " { \"type\": \"pid\" }, { \"type\": \"mount\" }, { \"type\": \"ipc\" },"
	      " { \"type\": \"uts\" }, { \"type\": \"network\" } ] } }", f);
	(void)fclose(f);
	(void)snprintf(path, sizeof(path), "%s/log", r->bundle);
	if (mkfifo(path, 0700) < 0)
		rig_stop("can't make %s: %s", path, strerror(errno));
	r->log = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

/* Its rootfs is a bind mount of what shall stay. */
void rig_bundle_remove(struct shim_rig *r)
{
	char path[RIG_TEXT_MAX + 16];

	(void)snprintf(path, sizeof(path), "%s/rootfs", r->bundle);
	while (umount2(path, UMOUNT_NOFOLLOW) == 0)
		;
	(void)close(r->log);
	if (nftw(r->bundle, remove_one, 8, FTW_DEPTH | FTW_MOUNT | FTW_PHYS) < 0)
		rig_stop("can't remove %s: %s", r->bundle, strerror(errno));
}

/* ---- begin ----------------------------------------------------------------------------------- */

static const char *wanted(const char *name)
{
	const char *value = getenv(name);

	if (!value)
		rig_stop("%s is not set", name);
	return value;
}

void rig_begin(struct shim_rig *r)
{
	char address[RIG_TEXT_MAX];

	r->t = wanted("T");
	text(r->shim, "%s/containerd-shim-urunc-v2", wanted("BUILD"));
	text(r->ctl, "%s/uruncctl", wanted("BUILD"));
	text(r->rootfs, "%s/rootfs", wanted("PEERS"));
	text(r->daemon, "%s/d.sock", r->t);
	text(r->bundle, "%s/b", r->t);
	text(r->out, "%s/out", r->t);
	text(r->tally, "%s/tally", r->t);
	text(address, "%s.ttrpc", r->daemon);
	if (setenv("TTRPC_ADDRESS", address, 1) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		rig_stop("can't begin: %s", strerror(errno));
}
