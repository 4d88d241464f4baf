/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill_at.c - SIGKILL at the Nth system call, exactly.
 *
 *	kill_at [-n N] [-p K] [-w self|cli|all] [-s] [-o file] -- command [argument ...]
 *
 * Runs the command under ptrace with everything it forks. Counted are the system
 * calls that one process enters: the command's first (-p 1, the default), the second
 * that was forked without an exec of its own (-p 2: the server that `start` leaves
 * behind), and so on. At its Nth the axe falls, before the call is carried out:
 *
 *	self	that process alone
 *	cli	and every descendant of it that is traced
 *	all	and everything else that is traced
 *
 * With -s counting begins at SIGUSR1 and ends at SIGUSR2: a driver brackets the call
 * it is after. -n 0 never kills, it only counts. Others are let go and go on.
 *
 * The last line of the report (-o, or standard error) is one of
 *
 *	killed N syscall-number		the axe fell
 *	passed M			the command, or the bracket, ended after M calls
 *
 * Exit: 0 in both cases; 2 usage; 3 ptrace is not to be had.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACED_MAX 512

struct traced {
	pid_t pid, parent;
	int nth;      /* of those that did not exec: 1, 2, ...; 0: it runs a program */
	bool in_call; /* between entry and exit of a system call */
	bool fresh;   /* its first stop is not seen yet */
};

struct axe {
	long n;
	int nth;
	enum { SELF, CLI, ALL } who;
	bool armed, over, fell;
	long seen, number;
	pid_t target;
	struct traced at[TRACED_MAX];
	size_t count;
	int made;
	FILE *report;
};

static volatile sig_atomic_t begin_asked, end_asked;

static void on_begin(int sig)
{
	(void)sig;
	begin_asked = 1;
}

static void on_end(int sig)
{
	(void)sig;
	end_asked = 1;
}

static struct traced *find(struct axe *a, pid_t pid)
{
	for (size_t i = 0; i < a->count; i++)
		if (a->at[i].pid == pid)
			return &a->at[i];
	return NULL;
}

static struct traced *add(struct axe *a, pid_t pid, pid_t parent)
{
	struct traced *t = find(a, pid);

	if (!t && a->count < TRACED_MAX) {
		t = &a->at[a->count++];
		*t = (struct traced){ .pid = pid, .fresh = true };
	}
	if (t && parent && !t->parent) {
		t->parent = parent;
		t->nth = ++a->made;
		if (t->nth == a->nth)
			a->target = pid;
	}
	return t;
}

static void drop(struct axe *a, pid_t pid)
{
	struct traced *t = find(a, pid);

	if (t)
		*t = a->at[--a->count];
}

static bool below(struct axe *a, const struct traced *t, pid_t top)
{
	for (int depth = 0; t && depth < TRACED_MAX; depth++) {
		if (t->parent == top)
			return true;
		t = find(a, t->parent);
	}
	return false;
}

static void fall(struct axe *a)
{
	for (size_t i = 0; i < a->count; i++) {
		struct traced *t = &a->at[i];

		if (t->pid == a->target || a->who == ALL ||
		    (a->who == CLI && below(a, t, a->target)))
			kill(t->pid, SIGKILL);
	}
	a->fell = true;
}

/* At every stop of a system call: entry and exit take turns. */
static void on_call(struct axe *a, struct traced *t)
{
	struct __ptrace_syscall_info info;

	t->in_call = !t->in_call;
	if (t->pid != a->target || !a->armed || a->over || a->fell)
		return;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	a->number = (long)info.entry.nr;
	if (++a->seen == a->n)
		fall(a);
}

static int on_stop(struct axe *a, pid_t pid, int status)
{
	struct traced *t = add(a, pid, 0);
	int event = status >> 16;
	int sig = WSTOPSIG(status);
	unsigned long child = 0;

	if (!t)
		return 0;
	if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
	    event == PTRACE_EVENT_CLONE) {
		ptrace(PTRACE_GETEVENTMSG, pid, 0, &child);
		add(a, (pid_t)child, pid);
		return 0;
	}
	if (event == PTRACE_EVENT_EXEC) {
		/* Only a first program's own start keeps its number. */
		if (t->parent != getpid() && pid != a->target)
			t->nth = 0;
		return 0;
	}
	if (sig == (SIGTRAP | 0x80)) {
		on_call(a, t);
		return 0;
	}
	if (event || (t->fresh && sig == SIGSTOP)) {
		t->fresh = false;
		return 0;
	}
	return sig == SIGTRAP ? 0 : sig;
}

static void let_go(struct axe *a)
{
	for (size_t i = 0; i < a->count; i++)
		if (ptrace(PTRACE_DETACH, a->at[i].pid, 0, 0) < 0)
			(void)ptrace(PTRACE_INTERRUPT, a->at[i].pid, 0, 0);
}

/* Once the axe fell or the bracket closed, each one is let go at its next stop. */
static void resume(struct axe *a, pid_t pid, int sig)
{
	if (a->fell || a->over) {
		ptrace(PTRACE_DETACH, pid, 0, sig);
		drop(a, pid);
		return;
	}
	ptrace(PTRACE_SYSCALL, pid, 0, sig);
}

static void follow(struct axe *a)
{
	while (a->count > 0) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);

		if (begin_asked && !a->armed)
			a->armed = true;
		if (end_asked && !a->over) {
			a->over = true;
			let_go(a);
		}
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return;
		if (WIFSTOPPED(status))
			resume(a, pid, on_stop(a, pid, status));
		else
			drop(a, pid);
	}
}

static int spawn(struct axe *a, char **argv)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
			     PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
	int gate[2];
	char go = 0;
	pid_t pid;

	if (pipe(gate) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		close(gate[1]);
		if (read(gate[0], &go, 1) != 1)
			_exit(125);
		close(gate[0]);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(gate[0]);
	if (pid < 0 || ptrace(PTRACE_SEIZE, pid, 0, options) < 0)
		return -1;
	add(a, pid, getpid());
	if (write(gate[1], &go, 1) != 1)
		return -1;
	close(gate[1]);
	/* A seized process is not stopped: ask for the stop that starts the counting. */
	return (int)ptrace(PTRACE_INTERRUPT, pid, 0, 0);
}

static int options(struct axe *a, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "+n:p:w:so:")) >= 0) {
		if (c == 'n')
			a->n = strtol(optarg, NULL, 10);
		else if (c == 'p')
			a->nth = atoi(optarg);
		else if (c == 'w')
			a->who = !strcmp(optarg, "all") ? ALL : !strcmp(optarg, "cli") ? CLI : SELF;
		else if (c == 's')
			a->armed = false;
		else if (c == 'o')
			a->report = fopen(optarg, "we");
		else
			return -1;
	}
	return optind < argc && a->report ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct axe axe = { .nth = 1, .armed = true, .report = stderr };
	struct sigaction begin = { .sa_handler = on_begin };
	struct sigaction end = { .sa_handler = on_end };

	if (options(&axe, argc, argv) < 0) {
		fputs("usage: kill_at [-n N] [-p K] [-w self|cli|all] [-s] [-o file] -- command ...\n",
		      stderr);
		return 2;
	}
	sigaction(SIGUSR1, &begin, NULL);
	sigaction(SIGUSR2, &end, NULL);
	if (spawn(&axe, argv + optind) < 0) {
		perror("kill_at: ptrace");
		return 3;
	}
	follow(&axe);
	if (axe.fell)
		fprintf(axe.report, "killed %ld %ld\n", axe.seen, axe.number);
	else
		fprintf(axe.report, "passed %ld\n", axe.seen);
	fclose(axe.report);
	return 0;
}
