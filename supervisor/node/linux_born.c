/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux_born.c - the child's side of a spawn: from the fork to the gate, and to its job.
 */
#include "supervisor/node/linux.h"

#include "journal/base/cleanup.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#define EXIT_GATE   125 /* never let through; nobody is left to read it */
#define EXIT_CANNOT 126
#define EXIT_NO_CMD 127

static _Noreturn void die(const struct birth *b, int code, const char *text)
{
	int fd = b->what->err == SPAWN_CAPTURE ? 2 : b->what->out == SPAWN_CAPTURE ? 1 : -1;

	if (fd >= 0)
		(void)!write(fd, text, strlen(text));
	_exit(code);
}

/* A descriptor above those that the later dup2()s hit. */
static int lift(const struct birth *b, int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3 + (int)b->what->npass + b->what->talks +
						    b->what->controls);
}

static int lift_stdio(const struct birth *b, int fd)
{
	auto_fd int null = -1;

	if (fd == SPAWN_CAPTURE)
		return lift(b, b->output);
	if (fd != SPAWN_NULL)
		return lift(b, fd);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	return null < 0 ? -1 : lift(b, null);
}

/* The next descriptor at or above @from that stays, or -1. What was passed stays
 * too: @from begins above it. */
static int next_kept(const struct birth *b, int from)
{
	int best = b->gate >= from ? b->gate : -1;

	if (b->control >= from && (best < 0 || b->control < best))
		best = b->control;
	for (size_t i = 0; i < b->what->nkeep; i++) {
		int fd = b->what->keep[i];

		if (fd >= from && (best < 0 || fd < best))
			best = fd;
	}
	return best;
}

static int close_others(const struct birth *b)
{
	unsigned int from = 3 + (unsigned int)b->what->npass;
	int fd;

	while ((fd = next_kept(b, (int)from)) >= 0) {
		if ((unsigned int)fd > from && close_range(from, (unsigned int)fd - 1, 0) < 0)
			return -errno;
		from = (unsigned int)fd + 1;
	}
	return close_range(from, ~0U, 0) < 0 ? -errno : 0;
}

/* All are lifted first: one may stand where another goes. */
static int pass_fds(const struct birth *b)
{
	int lifted[SPAWN_PASS_MAX];
	int n = (int)b->what->npass;

	for (int i = 0; i < n; i++) {
		lifted[i] = lift(b, b->what->pass[i]);
		if (lifted[i] < 0)
			return -errno;
	}
	for (int i = 0; i < n; i++)
		if (dup2(lifted[i], 3 + i) < 0)
			return -errno;
	return 0;
}

static int arrange_fds(struct birth *b)
{
	int io[3] = { lift_stdio(b, b->what->in), lift_stdio(b, b->what->out),
		      lift_stdio(b, b->what->err) };

	b->gate = lift(b, b->gate);
	if (b->gate < 0 || pass_fds(b) < 0)
		return -errno;
	if (b->what->controls && (b->control = lift(b, b->control)) < 0)
		return -errno;
	for (int i = 0; i < 3; i++)
		if (io[i] < 0 || dup2(io[i], i) < 0)
			return -errno;
	/* A kept descriptor stays as it is for a function, and over an exec. */
	for (size_t i = 0; i < b->what->nkeep; i++)
		if (b->what->job == JOB_EXEC && b->what->keep[i] >= 0)
			(void)fcntl(b->what->keep[i], F_SETFD, 0);
	return close_others(b);
}

static void reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &dfl, NULL); /* the C library's own two refuse: fine */
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void wait_at_gate(const struct birth *b)
{
	char byte;
	ssize_t n;

	do
		n = read(b->gate, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(EXIT_GATE);
	if (b->what->talks && dup3(b->gate, SPAWN_TALK_FD, O_CLOEXEC) < 0)
		_exit(EXIT_GATE);
	(void)close(b->gate);
	/* It stays over an exec. */
	if (b->what->controls && dup2(b->control, SPAWN_CONTROL_FD) < 0)
		_exit(EXIT_GATE);
	if (b->what->controls)
		(void)close(b->control);
}

static _Noreturn void exec_failed(const struct birth *b, int code)
{
	const char *name = b->what->argv[0];
	char text[ERR_TEXT_MAX];

	if (code == ENOENT && !strchr(name, '/')) {
		snprintf(text, sizeof(text), "exec: \"%s\": executable file not found in $PATH",
			 name);
		die(b, EXIT_NO_CMD, text);
	}
	if (code == ENOENT && access(name, F_OK) < 0) {
		snprintf(text, sizeof(text),
			 "exec: \"%s\": executable file not found: no such file or directory",
			 name);
		die(b, EXIT_NO_CMD, text);
	}
	snprintf(text, sizeof(text), "exec: \"%s\": %s%s", name, strerror(code),
		 code == ENOENT ? " (its interpreter or loader is missing)" : "");
	die(b, EXIT_CANNOT, text);
}

static _Noreturn void run_exec(const struct birth *b)
{
	const struct spawn *what = b->what;

	if (!what->envp)
		(void)unsetenv("NOTIFY_SOCKET");
	execvpe(what->argv[0], (char *const *)what->argv,
		what->envp ? (char *const *)what->envp : environ);
	exec_failed(b, errno);
}

static _Noreturn void run_job(const struct birth *b)
{
	struct err err = ERR_INIT;
	int rc;

	(void)prctl(PR_SET_NAME, linux_job_name(b->what->job));
	rc = linux_job(b->what->job, b->what->args, &err);
	if (rc < 0)
		die(b, -rc < 255 ? -rc : EIO, err.text);
	_exit(0);
}

void linux_child_main(struct birth *b)
{
	const char *cwd = b->what->cwd ? b->what->cwd : "/";
	char text[ERR_TEXT_MAX];
	int rc = arrange_fds(b);

	if (rc < 0)
		_exit(EXIT_CANNOT);
	/* Their numbers are closed; ours may be given out again, so forget them first. */
	linux_forget_parent(b->node);
	reset_signals();
	(void)setsid();
	if (b->what->die_with_us) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* It may have died before we asked. */
		if (getppid() != b->parent)
			_exit(EXIT_GATE);
	}
	wait_at_gate(b);
	if (chdir(cwd) < 0) {
		snprintf(text, sizeof(text), "chdir to %s: %s", cwd, strerror(errno));
		die(b, EXIT_CANNOT, text);
	}
	if (b->what->job == JOB_EXEC)
		run_exec(b);
	if (b->what->job == JOB_CALL)
		_exit(b->what->call(b->what->call_arg));
	run_job(b);
}
