/* SPDX-License-Identifier: Apache-2.0 */
/* exec.c - the processes beside init: a list, and how their ends are seen and told. */
#include "supervisor/service/task.h"

#include "journal/base/cleanup.h"
#include "supervisor/engine/execs.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

struct exec *exec_of(const struct task *t, const char *id)
{
	for (struct exec *e = t->execs; e; e = e->next)
		if (strcmp(e->id, id) == 0)
			return e;
	return NULL;
}

struct exec *exec_of_pid(const struct task *t, pid_t pid)
{
	for (struct exec *e = t->execs; e; e = e->next)
		if (e->state == EXEC_RUNNING && e->process_id.pid == pid)
			return e;
	return NULL;
}

bool execs_live(const struct task *t)
{
	for (const struct exec *e = t->execs; e; e = e->next)
		if (e->state == EXEC_STARTING || e->state == EXEC_RUNNING)
			return true;
	return false;
}

bool execs_starting(const struct task *t)
{
	for (const struct exec *e = t->execs; e; e = e->next)
		if (e->state == EXEC_STARTING)
			return true;
	return false;
}

bool execs_know(const struct task *t, pid_t pid)
{
	const struct exec *known = exec_of_pid(t, pid);

	for (const struct exec *e = t->execs; e; e = e->next)
		if (streams_know(e->streams, pid))
			return true;
	return known && !known->left && !known->exit.at_ns;
}

static void drop_event(struct event **ev)
{
	if (*ev)
		event_free(*ev);
	*ev = NULL;
}

/* It goes before what they wait for has happened. */
static void tell_callers(struct exec *e)
{
	struct err gone = ERR_INIT;

	err_say(&gone, ENOENT, "process does not exist %s", e->id ? e->id : "");
	wait_fail(&e->waiters, &gone);
	if (e->starting)
		call_fail(TAKE_PTR(e->starting), &gone);
	if (e->deleting)
		call_fail(TAKE_PTR(e->deleting), &gone);
}

struct exec *exec_free(struct exec *e)
{
	struct exec **p = &e->task->execs;

	while (*p && *p != e)
		p = &(*p)->next;
	if (*p)
		*p = e->next;
	drop_event(&e->gone);
	drop_event(&e->timer);
	tell_callers(e);
	streams_free(e->streams);
	for (int i = 0; i < 3; i++)
		free(e->name[i]);
	free(e->console);
	free(e->process);
	free(e->id);
	free(e);
	return NULL;
}

void execs_free(struct task *t)
{
	while (t->execs)
		exec_free(t->execs);
}

/* ---- the end of one ------------------------------------------------------------------ */

static int exit_commit(struct exec *e, struct err *err)
{
	struct task *t = e->task;
	int rc = task_has_journal(t, err);

	if (rc == 0)
		rc = journal_begin(t->journal, err);
	if (rc < 0)
		return rc;
	rc = exec_set_exit(t->journal, e->id, e->exit.status, e->exit.at_ns, err);
	if (rc == 0 || rc == -ENOENT) /* its row was taken back: the task is stuck */
		rc = tell_exec_exit(t->journal, e->id, &e->exit, task_wall_ns(t), err);
	return task_commit(t, rc, err);
}

static void exit_write(struct exec *e);
static void look(struct exec *e);

/* To write an exit, or to see one. */
static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct exec *e = arg;

	(void)fd;
	(void)what;
	if (e->exit.at_ns)
		exit_write(e);
	else
		look(e);
}

int exec_new(struct exec **ret, struct task *t, struct err *err)
{
	struct exec *e = calloc(1, sizeof(*e));

	if (!e)
		return err_set(err, ENOMEM, "an exec");
	*e = (struct exec){ .task = t, .next = t->execs, .stdio = STDIO_INIT };
	t->execs = e;
	e->timer = evtimer_new(t->service->base, on_again, e);
	if (!e->timer) {
		exec_free(e);
		return err_set(err, ENOMEM, "an exec");
	}
	*ret = e;
	return 0;
}

/* Without memory for the timer's place execs_go_on() finds it. */
static void look_again(struct exec *e)
{
	const struct timeval tv = { .tv_usec = EXIT_AGAIN_MS * 1000 };

	(void)event_add(e->timer, &tv);
}

/* Outcome before answer, as for init. */
static void exit_write(struct exec *e)
{
	struct task *t = e->task;
	struct err err = ERR_INIT;
	int rc = exit_commit(e, &err);

	if (task_disk_failed(rc) && task_rescue(t, &err) == 0)
		rc = exit_commit(e, &err);
	if (task_passes(rc) || (task_disk_failed(rc) && t->ops)) {
		look_again(e);
		return;
	}
	if (rc < 0) /* it can't be written: the truth is told all the same */
		task_break(t, &err);
	e->state = EXEC_STOPPED;
	wait_tell(&e->waiters, &e->exit);
	outbox_kick(t->outbox);
	exit_go_on(t);
}

void execs_go_on(struct task *t)
{
	for (struct exec *e = t->execs; e; e = e->next)
		if (e->state == EXEC_RUNNING && (e->exit.at_ns || (!e->gone && !e->left)) &&
		    !event_pending(e->timer, EV_TIMEOUT, NULL))
			on_again(-1, EV_TIMEOUT, e);
}

static void exit_seen(struct exec *e, int status)
{
	drop_event(&e->gone);
	streams_exited(e->streams);
	e->exit.pid = e->process_id.pid;
	e->exit.at_ns = task_wall_ns(e->task);
	e->exit.status = status == -1 ? 255
		       : WIFSIGNALED(status) ? 128 + (uint32_t)WTERMSIG(status)
					     : (uint32_t)WEXITSTATUS(status);
	exit_write(e);
}

/* Has it ended? That it can't be told is no end. */
static void look(struct exec *e)
{
	struct service *s = e->task->service;
	struct node *n = s->o->node;
	int status = -1;
	int rc = n->reap(n, &e->process_id, &status, NULL);

	if (rc > 0) {
		exit_seen(e, status);
		exit_reap_orphans(s);
	} else if (rc < 0) {
		drop_event(&e->gone);
		look_again(e);
	} else if (!e->gone) {
		exec_watch(e);
	}
}

static void on_gone(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	look(arg);
}

/* Where there is no room to watch it: it is looked for from time to time, and when a child
 * has ended. An exit is neither missed nor made up. */
void exec_watch(struct exec *e)
{
	struct node *n = e->task->service->o->node;
	struct err err = ERR_INIT;
	int fd = n->watch(n, &e->process_id, &err);

	if (fd == -ESRCH) {
		exit_seen(e, -1);
		return;
	}
	if (fd >= 0)
		e->gone = event_new(e->task->service->base, fd, EV_READ | EV_PERSIST, on_gone, e);
	if (e->gone && event_add(e->gone, NULL) == 0)
		return;
	drop_event(&e->gone);
	look_again(e);
}

void execs_watch(struct task *t)
{
	for (struct exec *e = t->execs; e; e = e->next) {
		e->left = false;
		if (e->state == EXEC_RUNNING && !e->gone && !e->exit.at_ns)
			exec_watch(e);
	}
}

void execs_unwatch(struct task *t)
{
	for (struct exec *e = t->execs; e; e = e->next) {
		e->left = true;
		drop_event(&e->gone);
		if (!e->exit.at_ns)
			event_del(e->timer);
	}
}

/* The undo of the container has ended those that still ran. */
void execs_gone(struct task *t)
{
	struct err err = ERR_INIT;

	for (struct exec *e = t->execs; e; e = e->next) {
		if (e->state != EXEC_RUNNING)
			continue;
		e->state = EXEC_STOPPED;
		if (!e->exit.at_ns)
			e->exit = (struct told_exit){ .pid = e->process_id.pid, .status = 128 + 9,
						      .at_ns = task_wall_ns(t) };
		if (tell_exec_exit(t->journal, e->id, &e->exit, task_wall_ns(t), &err) < 0)
			log_say(t->service->o->log, LOG_LEVEL_ERROR, "event lost: %s", err.text);
		wait_tell(&e->waiters, &e->exit);
	}
	execs_free(t);
}
