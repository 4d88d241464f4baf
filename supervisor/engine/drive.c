/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/engine/engine.h"

#include "supervisor/engine/drive.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#define TICK_MS 100

/* What the run waits for, as poll(2) wants it. */
struct watched {
	struct ident child; /* pid 0: none */
	struct pollfd fds[2];
};

/* A child that ended before we looked, or whose end nobody can watch: ask at once, and
 * again at every tick. */
static void watch(struct watched *w, struct run *run, struct node *node,
		  const struct wait *next)
{
	if (w->child.pid || !next->child_seq || run_child(run, &w->child) < 0)
		return;
	w->fds[0].fd = node->watch(node, &w->child, NULL);
	if (w->fds[0].fd < 0)
		w->fds[0].fd = -1;
}

static int timeout_ms(struct node *node, const struct wait *next, int64_t deadline_ms,
		      const struct watched *w)
{
	int64_t now = node->now_ms(node);
	int64_t ms = TICK_MS;

	if (w->child.pid && w->fds[0].fd < 0)
		return 1;
	if (next->at_ms && next->at_ms - now < ms)
		ms = next->at_ms - now;
	if (deadline_ms && deadline_ms - now < ms)
		ms = deadline_ms - now;
	return ms < 0 ? 0 : (int)ms;
}

/* 1: *wake says what happened. 0: nothing yet. */
static int happened(struct watched *w, struct node *node, const struct wait *next,
		    struct wake *wake)
{
	int status = -1, r;

	*wake = (struct wake){ .status = -1 };
	if (w->child.pid && (w->fds[0].fd < 0 || w->fds[0].revents)) {
		r = node->reap(node, &w->child, &status, NULL);
		if (r < 0 && node->alive(node, &w->child, NULL) == 0)
			r = 1; /* somebody else's, and gone: nobody knows how */
		if (r == 1) {
			wake->why = WAKE_CHILD;
			wake->status = status;
			return 1;
		}
	}
	if (next->fd >= 0 && w->fds[1].revents) {
		wake->why = WAKE_READY;
		return 1;
	}
	if (next->at_ms && node->now_ms(node) >= next->at_ms) {
		wake->why = WAKE_TIMER;
		return 1;
	}
	return 0;
}

/* Wait for one of them. 1: *wake; 0: stopped. */
static int wait_for(struct run *run, struct node *node, const struct wait *next,
		    int64_t deadline_ms, int (*tick)(void *arg), void *arg,
		    struct wake *wake)
{
	struct watched w = { .fds = { { .fd = -1, .events = POLLIN },
				      { .fd = next->fd, .events = POLLIN } } };
	int found = 0;

	while (!found) {
		/* Again at every tick, where its row could not be read. */
		watch(&w, run, node, next);
		if ((deadline_ms && node->now_ms(node) >= deadline_ms) || (tick && tick(arg)))
			break;
		if (node_poll(node, w.fds, 2, timeout_ms(node, next, deadline_ms, &w)) < 0 &&
		    errno != EINTR)
			break;
		found = happened(&w, node, next, wake);
	}
	if (!found && w.child.pid)
		node->forget(node, &w.child);
	return found;
}

enum run_state drive(struct run *run, struct node *node, int64_t deadline_ms,
		     int (*tick)(void *arg), void *arg)
{
	struct wake wake = { .why = WAKE_BEGIN };
	struct wait next = { .fd = -1 };
	enum run_state s = run_wake(run, &wake, &next);

	while (s == RUN_WAITING &&
	       wait_for(run, node, &next, deadline_ms, tick, arg, &wake))
		s = run_wake(run, &wake, &next);
	if (s != RUN_WAITING && tick)
		(void)tick(arg);
	return s;
}

void drive_pause(struct node *node, int ms)
{
	int64_t end = node->now_ms(node) + ms;
	int64_t now;

	while ((now = node->now_ms(node)) < end)
		if (node_poll(node, NULL, 0, (int)(end - now)) < 0 && errno != EINTR)
			return;
}

/* 1 ended, 0 the time is over. */
static int job_wait(struct node *node, const struct ident *who, int64_t deadline_ms,
		    int *status, struct err *err)
{
	struct pollfd fd = { .events = POLLIN };
	int r;

	for (;;) {
		r = node->reap(node, who, status, err);
		if (r != 0)
			return r;
		if (node->now_ms(node) >= deadline_ms)
			return 0;
		fd.fd = node->watch(node, who, NULL);
		fd.revents = 0;
		if (node_poll(node, &fd, 1, TICK_MS) < 0 && errno != EINTR)
			return err_set(err, errno, "wait for process %d", (int)who->pid);
	}
}

int drive_job(struct node *node, enum job job, const char *args, int64_t deadline_ms,
	      char **out, struct err *err)
{
	struct spawn spawn = { .job = job, .args = args, .in = SPAWN_NULL,
			       .out = SPAWN_CAPTURE, .err = SPAWN_CAPTURE,
			       .die_with_us = true };
	struct ident who;
	int status = -1;
	int r = node->spawn(node, &spawn, &who, err);

	if (r < 0)
		return r;
	r = node->spawn_go(node, &who, err);
	if (r == 0)
		r = job_wait(node, &who, deadline_ms, &status, err);
	if (r <= 0) {
		(void)node->signal(node, &who, SIGKILL, NULL);
		(void)job_wait(node, &who, node->now_ms(node) + TICK_MS, &status, NULL);
		node->forget(node, &who);
		return r < 0 ? r : err_say(err, ETIMEDOUT, "no answer in time");
	}
	r = node->spawn_output(node, &who, out, err);
	if (r < 0)
		return r;
	return WIFEXITED(status) ? WEXITSTATUS(status)
				 : err_say(err, EIO, "process %d was killed", (int)who.pid);
}
