/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux_control.c - lines to and from what a child has become, by the stream that it was
 * born with. What it says is not to be trusted: it is bounded here, and read elsewhere.
 */
#include "supervisor/node/linux.h"

#include "journal/base/cleanup.h"

#include <string.h>
#include <sys/socket.h>

#define HEARD_MAX 16384

static struct child *controlled(struct node *node, const struct ident *who, struct err *err)
{
	struct child *c = linux_child(linux_of(node), who);

	if (c && c->control >= 0)
		return c;
	err_say(err, EPIPE, "process %d has no control of ours", (int)who->pid);
	return NULL;
}

static int control_tell(struct node *node, const struct ident *who, const char *text,
			struct err *err)
{
	const struct child *c = controlled(node, who, err);
	size_t len = strlen(text);
	ssize_t n;

	if (!c)
		return -EPIPE;
	n = send(c->control, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return err_set(err, errno == ECONNRESET ? EPIPE : errno, "tell process %d",
			       (int)who->pid);
	return (size_t)n == len ? 0 : err_say(err, EAGAIN, "process %d does not read", (int)who->pid);
}

/* 1: the first line of what was heard. */
static int take_line(struct child *c, char **ret, struct err *err)
{
	char *end = memchr(c->heard, '\n', c->n_heard);
	size_t len;

	if (!end)
		return 0;
	len = (size_t)(end - c->heard);
	*ret = strndup(c->heard, len);
	if (!*ret)
		return err_set(err, ENOMEM, "hear process %d", (int)c->who.pid);
	c->n_heard -= len + 1;
	memmove(c->heard, end + 1, c->n_heard);
	return 1;
}

/* 1: more has come. */
static int take_in(struct child *c, struct err *err)
{
	ssize_t n;

	if (c->n_heard == HEARD_MAX)
		return err_say(err, EMSGSIZE, "process %d says more than %d bytes on one line",
			       (int)c->who.pid, HEARD_MAX);
	do
		n = recv(c->control, c->heard + c->n_heard, HEARD_MAX - c->n_heard, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return err_say(err, EPIPE, "process %d has closed its control", (int)c->who.pid);
	c->n_heard += (size_t)n;
	return 1;
}

static int control_hear(struct node *node, const struct ident *who, char **ret, struct err *err)
{
	struct child *c = controlled(node, who, err);
	int rc;

	if (!c)
		return -EPIPE;
	if (!c->heard)
		c->heard = malloc(HEARD_MAX);
	if (!c->heard)
		return err_set(err, ENOMEM, "hear process %d", (int)who->pid);
	do
		rc = take_line(c, ret, err);
	while (rc == 0 && (rc = take_in(c, err)) == 1);
	return rc;
}

static int control_fd(struct node *node, const struct ident *who, struct err *err)
{
	const struct child *c = controlled(node, who, err);

	return c ? c->control : -EPIPE;
}

void linux_control_ops(struct node *n)
{
	n->control_tell = control_tell;
	n->control_hear = control_hear;
	n->control_fd = control_fd;
}
