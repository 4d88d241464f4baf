/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux_talk.c - what is said through the gate of a child that talks; and the pid
 * namespace that a child is born in.
 */
#include "supervisor/node/linux.h"

#include "journal/base/cleanup.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

static struct child *talker(struct node *node, const struct ident *who)
{
	struct child *c = linux_child(linux_of(node), who);

	return c && c->talks && c->gate >= 0 ? c : NULL;
}

/* Nothing more comes. One that was reaped has been kept for its last words alone. */
static int hung_up(struct node *node, struct child *c, struct err *err)
{
	pid_t pid = c->who.pid;

	cleanup_fd_(&c->gate);
	c->gate = -1;
	if (c->ended && c->output < 0)
		linux_child_drop(linux_of(node), c);
	return err_say(err, EPIPE, "process %d has closed its end", (int)pid);
}

static int tell(struct node *node, const struct ident *who, const char *text, struct err *err)
{
	struct child *c = talker(node, who);
	size_t len = strlen(text);

	if (!c)
		return err_say(err, EPIPE, "process %d does not listen", (int)who->pid);
	if (len == 0 || len > TALK_MAX)
		return err_say(err, EMSGSIZE, "%zu bytes are no message for process %d; the limit "
			       "is %d", len, (int)who->pid, TALK_MAX);
	if (send(c->gate, text, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return err_set(err, errno == ECONNRESET ? EPIPE : errno, "tell process %d",
			       (int)who->pid);
	return 0;
}

static int hear(struct node *node, const struct ident *who, char **ret, struct err *err)
{
	struct child *c = talker(node, who);
	auto_free char *text = NULL;
	ssize_t n;

	if (!c)
		return err_say(err, EPIPE, "process %d has closed its end", (int)who->pid);
	text = malloc(TALK_MAX + 1);
	if (!text)
		return err_set(err, ENOMEM, "hear process %d", (int)who->pid);
	do
		n = recv(c->gate, text, TALK_MAX, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return hung_up(node, c, err);
	text[n] = '\0';
	*ret = TAKE_PTR(text);
	return 1;
}

static int talk_fd(struct node *node, const struct ident *who, struct err *err)
{
	const struct child *c = talker(node, who);

	if (!c)
		return err_say(err, ESRCH, "process %d is no child that talks", (int)who->pid);
	return c->gate;
}

/* ---- where it is born ---------------------------------------------------------- */

int linux_pidns_enter(const char *path, int *ret, struct err *err)
{
	auto_fd int theirs = -1;
	auto_fd int back = -1;

	*ret = -1;
	if (!path)
		return 0;
	back = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (back < 0)
		return err_set(err, errno, "open our own pid namespace");
	if (path[0]) {
		theirs = open(path, O_RDONLY | O_CLOEXEC);
		if (theirs < 0 || setns(theirs, CLONE_NEWPID) < 0)
			return err_set(err, errno, "enter the pid namespace %s", path);
	} else if (unshare(CLONE_NEWPID) < 0) {
		return err_set(err, errno, "make a pid namespace");
	}
	*ret = TAKE_FD(back);
	return 0;
}

int linux_pidns_leave(int *back, struct err *err)
{
	if (*back >= 0 && setns(*back, CLONE_NEWPID) < 0)
		return err_set(err, errno, "go back to our own pid namespace");
	return 0;
}

void linux_talk_ops(struct node *n)
{
	n->tell = tell;
	n->hear = hear;
	n->talk_fd = talk_fd;
}
