/* SPDX-License-Identifier: Apache-2.0 */
/*
 * null_runtime.c - an OCI runtime that does as little as one can.
 *
 *	null_runtime [global flags] create --bundle DIR --pid-file FILE ID
 *	null_runtime [global flags] start|state ID
 *	null_runtime [global flags] exec --process FILE --detach --pid-file FILE ID
 *	null_runtime [global flags] kill ID [SIGNAL]
 *	null_runtime [global flags] delete [--force] ID
 *
 * The container is one process that sleeps until a signal ends it. An exec is one that
 * ends at once, or with the container, as a pid namespace would have it, if a word of its
 * process is "sleep". The state is a folder <root>/<id> with the pid. What a life takes
 * with this runtime is the shim's own share, and a shim that is killed leaves as much to
 * clean up as with a real one.
 */
#include "journal/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct call {
	const char *root, *bundle, *pid_file, *log, *process;
	bool force;
	const char *id, *signal;
};

/* As runc does: on stderr, and as a line of JSON in the log. */
static int fail(const struct call *c, const char *fmt, ...)
{
	char text[512];
	auto_file FILE *log = c->log ? fopen(c->log, "ae") : NULL;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s\n", text);
	if (log)
		fprintf(log, "{\"level\":\"error\",\"msg\":\"%s\"}\n", text);
	return 1;
}

static const char *state_path(char *buf, const struct call *c, const char *file)
{
	(void)snprintf(buf, PATH_MAX, "%s/%s%s", c->root, c->id, file);
	return buf;
}

static pid_t read_pid(const struct call *c)
{
	char path[PATH_MAX];
	auto_file FILE *f = fopen(state_path(path, c, "/pid"), "re");
	int pid = 0;

	return f && fscanf(f, "%d", &pid) == 1 ? pid : 0;
}

/* Whole or not at all, for others wait for it. */
static int write_pid(const char *path, pid_t pid)
{
	char part[PATH_MAX];
	FILE *f;

	(void)snprintf(part, sizeof(part), "%s.part", path);
	f = fopen(part, "we");
	if (!f)
		return -1;
	fprintf(f, "%d", pid);
	return fclose(f) == 0 ? rename(part, path) : -1;
}

static _Noreturn void init_main(int none)
{
	(void)none;
	(void)setsid();
	(void)prctl(PR_SET_NAME, "null-init");
	for (;;)
		(void)pause();
}

static _Noreturn void exec_main(int init)
{
	struct pollfd end = { .fd = init, .events = POLLIN };

	(void)setsid();
	(void)prctl(PR_SET_NAME, "null-exec");
	while (init >= 0 && poll(&end, 1, -1) < 1)
		;
	_exit(0);
}

static bool sleeps(const char *process)
{
	auto_file FILE *f = process ? fopen(process, "re") : NULL;
	auto_free char *text = NULL;
	size_t room = 0;

	return f && getdelim(&text, &room, '\0', f) > 0 && strstr(text, "\"sleep\"");
}

/* mkdir -p of all but the last part. */
static void make_parents(char *path)
{
	for (char *p = path + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		(void)mkdir(path, 0700);
		*p = '/';
	}
}

/* A process that lives on only once its pid is written: a runtime that is killed before
 * leaves none that nobody knows, as cgroups see to it with a real one. */
static int make_process(const struct call *c, void (*main)(int), int arg, const char *also)
{
	int gate[2];
	char go;
	pid_t pid = pipe2(gate, O_CLOEXEC) < 0 ? -1 : fork();

	if (pid < 0)
		return fail(c, "fork: %s", strerror(errno));
	if (pid == 0) {
		(void)close(gate[1]);
		if (read(gate[0], &go, 1) != 1)
			_exit(1);
		(void)close(gate[0]);
		main(arg);
	}
	if ((also && write_pid(also, pid) < 0) || (c->pid_file && write_pid(c->pid_file, pid) < 0) ||
	    write(gate[1], "", 1) != 1) {
		(void)kill(pid, SIGKILL);
		return fail(c, "write the pid: %s", strerror(errno));
	}
	return 0;
}

static int do_create(const struct call *c)
{
	char path[PATH_MAX];

	(void)state_path(path, c, "");
	make_parents(path);
	if (mkdir(path, 0700) < 0)
		return fail(c, "container with id %s: %s", c->id,
			    errno == EEXIST ? "exists" : strerror(errno));
	return make_process(c, init_main, -1, state_path(path, c, "/pid"));
}

static int do_exec(const struct call *c)
{
	pid_t init = read_pid(c);
	int fd = init ? pidfd_open(init, 0) : -1;

	if (fd < 0)
		return fail(c, "container does not exist");
	return make_process(c, exec_main, sleeps(c->process) ? fd : -1, NULL);
}

static int do_start(const struct call *c)
{
	return read_pid(c) ? 0 : fail(c, "container does not exist");
}

static int do_state(const struct call *c)
{
	pid_t pid = read_pid(c);

	if (!pid)
		return fail(c, "container does not exist");
	printf("{\"ociVersion\":\"1.0.2\",\"id\":\"%s\",\"pid\":%d,\"status\":\"%s\"}\n", c->id, pid,
	       kill(pid, 0) == 0 ? "running" : "stopped");
	return 0;
}

static int do_kill(const struct call *c)
{
	pid_t pid = read_pid(c);
	int sig = c->signal ? atoi(c->signal) : SIGTERM;

	if (!pid)
		return fail(c, "container does not exist");
	if (kill(pid, sig > 0 ? sig : SIGKILL) < 0)
		return fail(c, "container not running");
	return 0;
}

static int do_delete(const struct call *c)
{
	char path[PATH_MAX];
	pid_t pid = read_pid(c);

	if (access(state_path(path, c, ""), F_OK) < 0)
		return c->force ? 0 : fail(c, "container does not exist");
	if (pid && c->force)
		(void)kill(pid, SIGKILL);
	(void)unlink(state_path(path, c, "/pid"));
	(void)unlink(state_path(path, c, "/pid.part"));
	return rmdir(state_path(path, c, "")) == 0 ? 0 : fail(c, "%s: %s", path, strerror(errno));
}

static void parse(struct call *c, int argc, char **argv)
{
	enum { ROOT = 1, BUNDLE, PID_FILE, LOG, PROCESS, FORCE, VALUE };
	static const struct option options[] = {
		{ "root", required_argument, NULL, ROOT },
		{ "bundle", required_argument, NULL, BUNDLE },
		{ "pid-file", required_argument, NULL, PID_FILE },
		{ "log", required_argument, NULL, LOG },
		{ "log-format", required_argument, NULL, VALUE },
		{ "console-socket", required_argument, NULL, VALUE },
		{ "process", required_argument, NULL, PROCESS },
		{ "detach", no_argument, NULL, VALUE },
		{ "force", no_argument, NULL, FORCE },
		{ NULL, 0, NULL, 0 },
	};
	int o;

	opterr = 0;
	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == ROOT)
			c->root = optarg;
		else if (o == BUNDLE)
			c->bundle = optarg;
		else if (o == PID_FILE)
			c->pid_file = optarg;
		else if (o == LOG)
			c->log = optarg;
		else if (o == PROCESS)
			c->process = optarg;
		else if (o == FORCE)
			c->force = true;
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const struct call *c);
	} commands[] = {
		{ "create", do_create }, { "start", do_start }, { "state", do_state },
		{ "kill", do_kill }, { "delete", do_delete }, { "exec", do_exec },
	};
	struct call c = { .root = "/run/null" };

	parse(&c, argc, argv); /* moves the words behind the flags */
	if (argc - optind < 2)
		return fail(&c, "usage: null_runtime COMMAND ID");
	c.id = argv[optind + 1];
	c.signal = argv[optind + 2];
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, argv[optind]) == 0)
			return commands[i].run(&c);
	return fail(&c, "no command %s", argv[optind]);
}
