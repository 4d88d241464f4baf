/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux_spawn.c - children, born held at a gate.
 *
 * The gate is a socket pair: one byte opens it, and our death, or closing our end, is
 * end of file. Every child closes all descriptors it has no business with first of
 * all, before it waits, so that no child holds another's gate open.
 *
 * Captured output goes to a memfd: a pipe would have to be drained by somebody, and
 * stops the writer when nobody does; a file with a size limit fails the CLI's write,
 * and a CLI that can't print its error may report another. So the file may grow, the
 * first 64 KiB are read, and what bounds it is the deadline of every child. Never
 * capture what a container inherits.
 *
 * The child leads its own session: who is found in it later came from it.
 *
 * A child that talks keeps the gate after it is open: see linux_talk.c.
 */
#include "supervisor/node/linux.h"

#include "journal/base/cleanup.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define OUTPUT_MAX  65536

/* ---- the table --------------------------------------------------------------- */

struct child *linux_child(struct linux_node *n, const struct ident *who)
{
	for (size_t i = 0; i < n->nchildren; i++)
		if (n->children[i].who.pid == who->pid && n->children[i].who.start == who->start)
			return &n->children[i];
	return NULL;
}

struct child *linux_child_add(struct linux_node *n, const struct ident *who)
{
	struct child *grown = reallocarray(n->children, n->nchildren + 1, sizeof(*grown));

	if (!grown)
		return NULL;
	n->children = grown;
	grown += n->nchildren++;
	*grown = (struct child){ .who = *who, .pidfd = -1, .gate = -1, .control = -1,
				 .output = -1 };
	return grown;
}

static void close_fd(int *fd)
{
	cleanup_fd_(fd);
	*fd = -1;
}

static void close_child(struct child *c)
{
	close_fd(&c->pidfd);
	close_fd(&c->gate);
	close_fd(&c->control);
	close_fd(&c->output);
	free(TAKE_PTR(c->heard));
}

void linux_child_drop(struct linux_node *n, struct child *c)
{
	close_child(c);
	*c = n->children[--n->nchildren];
}

void linux_drop_all(struct linux_node *n)
{
	while (n->nchildren > 0)
		close_child(&n->children[--n->nchildren]);
	while (n->nlocks > 0) {
		struct held *h = &n->locks[--n->nlocks];

		free(h->path);
		close_fd(&h->fd);
	}
}

void linux_forget_parent(struct linux_node *n)
{
	while (n->nchildren > 0)
		free(n->children[--n->nchildren].heard);
	n->mounts_fd = -1;
	free(n->mounts_text);
	n->mounts_text = NULL;
	while (n->nlocks > 0)
		free(n->locks[--n->nlocks].path);
}

/* ---- our side ---------------------------------------------------------------- */

static int check(const struct spawn *what, struct err *err)
{
	bool ok = what->job == JOB_EXEC   ? what->argv && what->argv[0]
		  : what->job == JOB_CALL ? what->call != NULL
					  : linux_job_name(what->job) && what->args;

	if (!ok)
		return err_say(err, EINVAL, "spawn: job %d is not complete", (int)what->job);
	if (what->in < SPAWN_NULL || what->out < SPAWN_CAPTURE || what->err < SPAWN_CAPTURE)
		return err_say(err, EINVAL, "spawn: no such stdio");
	if (what->talks && (what->npass > 0 || what->nkeep > 0))
		return err_say(err, EINVAL, "spawn: who talks gets no other descriptors");
	if (what->controls && !what->talks)
		return err_say(err, EINVAL, "spawn: who does not talk is not controlled");
	if (what->pidns && what->die_with_us)
		return err_say(err, EINVAL, "spawn: its parent can't be seen from another pid "
			       "namespace");
	if (what->npass > SPAWN_PASS_MAX || (what->npass > 0 && what->nkeep > 0))
		return err_say(err, EINVAL, "spawn: too many descriptors to pass, or to keep too");
	for (size_t i = 0; i < what->nkeep; i++)
		if (what->keep[i] >= 0 && what->keep[i] < 3)
			return err_say(err, EINVAL, "spawn: descriptor %d is no one to keep",
				       what->keep[i]);
	return 0;
}

static bool captures(const struct spawn *what)
{
	return what->out == SPAWN_CAPTURE || what->err == SPAWN_CAPTURE;
}

static int make_output(const struct spawn *what, int *ret, struct err *err)
{
	if (!captures(what))
		return 0;
	*ret = memfd_create("output", MFD_CLOEXEC);
	if (*ret < 0)
		return err_set(err, errno, "spawn: memory for its output");
	/* Two who write shall not overwrite each other. */
	if (fcntl(*ret, F_SETFL, O_APPEND) < 0)
		return err_set(err, errno, "spawn: its output");
	return 0;
}

/* No handler of ours may run in the child, before it has reset them. */
static pid_t fork_quiet(struct birth *b)
{
	sigset_t all;
	sigset_t old;
	pid_t pid;

	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		linux_child_main(b);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	return pid;
}

/* It was forked, and can't be entered: it reads end of file and exits 125. */
static int abandon(pid_t pid, int *gate, int code, struct err *err)
{
	close_fd(gate);
	(void)waitpid(pid, NULL, 0);
	return err_set(err, code, "spawn: watch the child %d", (int)pid);
}

/* Our ends of what a child is born with; -1: it has none. */
struct ends {
	int gate, control, output;
};

static int enter(struct linux_node *n, pid_t pid, struct ends *ours, struct child **ret,
		 struct err *err)
{
	auto_fd int pidfd = pidfd_open(pid, 0);
	struct ident who = { .pid = pid };
	struct proc_stat st;
	struct child *c;

	if (pidfd < 0)
		return abandon(pid, &ours->gate, errno, err);
	if (linux_stat(pid, &st, err) <= 0)
		return abandon(pid, &ours->gate, ESRCH, err);
	who.start = st.start;
	c = linux_child_add(n, &who);
	if (!c)
		return abandon(pid, &ours->gate, ENOMEM, err);
	c->pidfd = TAKE_FD(pidfd);
	c->gate = TAKE_FD(ours->gate);
	c->control = TAKE_FD(ours->control);
	c->output = TAKE_FD(ours->output);
	*ret = c;
	return 0;
}

static int born(struct birth *b, pid_t *ret, struct err *err)
{
	auto_fd int back = -1;
	struct err lost = ERR_INIT;
	int rc = linux_pidns_enter(b->what->pidns, &back, err);

	if (rc < 0)
		return rc;
	*ret = fork_quiet(b);
	rc = *ret < 0 ? err_set(err, errno, "fork") : 0;
	if (linux_pidns_leave(&back, &lost) == 0)
		return rc;
	if (rc == 0) { /* it reads end of file */
		(void)kill(*ret, SIGKILL);
		(void)waitpid(*ret, NULL, 0);
	}
	*err = lost;
	return -lost.code;
}

static int make_pair(int type, int *ours, int *theirs, struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, errno, "spawn: a pair of sockets");
	*ours = pair[0];
	*theirs = pair[1];
	return 0;
}

static void close_ends(struct ends *ends)
{
	close_fd(&ends->gate);
	close_fd(&ends->control);
	close_fd(&ends->output);
}

static int make_ends(const struct spawn *what, struct ends *ours, struct ends *theirs,
		     struct err *err)
{
	int rc = check(what, err);

	if (rc == 0)
		rc = make_output(what, &ours->output, err);
	if (rc == 0)
		rc = make_pair(SOCK_SEQPACKET, &ours->gate, &theirs->gate, err);
	if (rc == 0 && what->controls)
		rc = make_pair(SOCK_STREAM, &ours->control, &theirs->control, err);
	return rc;
}

static int spawn(struct node *node, const struct spawn *what, struct ident *ret, struct err *err)
{
	struct ends ours = { -1, -1, -1 };
	struct ends theirs = { -1, -1, -1 };
	struct child *c = NULL;
	pid_t pid = -1;
	int rc = make_ends(what, &ours, &theirs, err);

	if (rc == 0)
		rc = born(&(struct birth){ .what = what, .node = linux_of(node),
					   .parent = getpid(), .gate = theirs.gate,
					   .control = theirs.control, .output = ours.output },
			  &pid, err);
	if (rc == 0)
		rc = enter(linux_of(node), pid, &ours, &c, err);
	close_ends(&ours);
	close_ends(&theirs);
	if (rc < 0)
		return rc;
	c->talks = what->talks;
	*ret = c->who;
	return 0;
}

static int spawn_go(struct node *node, const struct ident *who, struct err *err)
{
	struct child *c = linux_child(linux_of(node), who);

	if (!c || c->gate < 0)
		return err_say(err, ESRCH, "process %d does not wait at a gate of ours",
			       (int)who->pid);
	if (send(c->gate, "", 1, MSG_NOSIGNAL) < 0) {
		int rc = err_set(err, ESRCH, "process %d ended while it waited at its gate",
				 (int)who->pid);

		close_fd(&c->gate);
		return rc;
	}
	if (!c->talks)
		close_fd(&c->gate);
	return 0;
}

/* waitpid() goes by number: only if the number still is this process. */
static int wait_for(const struct ident *who, int *status, struct err *err)
{
	struct proc_stat st;
	int rc = linux_stat(who->pid, &st, err);
	pid_t pid;

	if (rc < 0)
		return rc;
	if (rc == 0 || st.start != who->start) {
		*status = -1;
		return 1;
	}
	do
		pid = waitpid(who->pid, status, WNOHANG);
	while (pid < 0 && errno == EINTR);
	if (pid == who->pid)
		return 1;
	if (pid < 0 && errno != ECHILD)
		return err_set(err, errno, "wait for process %d", (int)who->pid);
	if (pid == 0 || proc_stat_alive(&st))
		return 0;
	*status = -1; /* another's zombie */
	return 1;
}

static int reap(struct node *node, const struct ident *who, int *status, struct err *err)
{
	struct linux_node *n = linux_of(node);
	struct child *c = linux_child(n, who);
	int got = -1;
	int rc;

	if (c && c->ended) {
		*status = c->status;
		return 1;
	}
	rc = wait_for(who, &got, err);
	if (rc <= 0)
		return rc;
	*status = got;
	if (c && c->output < 0 && !(c->talks && c->gate >= 0)) {
		linux_child_drop(n, c);
	} else if (c) {
		c->ended = true;
		c->status = got;
		close_fd(&c->pidfd);
		if (!c->talks) /* its last words may not have been heard */
			close_fd(&c->gate);
	}
	return 1;
}

static int spawn_output(struct node *node, const struct ident *who, char **ret, struct err *err)
{
	struct linux_node *n = linux_of(node);
	struct child *c = linux_child(n, who);
	char *text = malloc(OUTPUT_MAX + 1);
	char *fit;
	ssize_t len = 0;

	if (!text)
		return err_set(err, ENOMEM, "the output of process %d", (int)who->pid);
	if (c && c->output >= 0)
		len = pread(c->output, text, OUTPUT_MAX, 0);
	if (len < 0) {
		free(text);
		return err_set(err, errno, "the output of process %d", (int)who->pid);
	}
	text[len] = '\0';
	fit = realloc(text, (size_t)len + 1);
	*ret = fit ? fit : text;
	if (c && c->ended)
		linux_child_drop(n, c);
	return 0;
}

static void forget(struct node *node, const struct ident *who)
{
	struct child *c = linux_child(linux_of(node), who);

	if (c)
		linux_child_drop(linux_of(node), c);
}

void linux_spawn_ops(struct node *n)
{
	n->spawn = spawn;
	n->spawn_go = spawn_go;
	n->reap = reap;
	n->spawn_output = spawn_output;
	n->forget = forget;
}
