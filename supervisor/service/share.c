/* SPDX-License-Identifier: Apache-2.0 */
/*
 * share.c - virtiofsd, while its guest runs. The step of this name made it, and ends it;
 * here is seen when it ends by itself: its guest has no root file system then.
 */
#include "supervisor/service/task.h"

#include <json-c/json.h> /* first: auto_json */

#include "journal/base/cleanup.h"
#include "supervisor/oci/runtime.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <sys/wait.h>

void share_unwatch(struct task *t)
{
	if (t->share_gone)
		event_free(t->share_gone);
	t->share_gone = NULL;
	t->share.pid = 0;
}

bool share_knows(const struct task *t, pid_t pid)
{
	return pid == t->share.pid;
}

void share_end(struct task *t)
{
	struct node *n = t->service->o->node;

	if (t->share.pid)
		(void)n->signal(n, &t->share, SIGKILL, NULL);
	share_unwatch(t);
	t->share_over = true;
}

/* It ends with 0 when its monitor lets go of it. */
static void note_end(struct task *t, int status)
{
	bool killed = status != -1 && WIFSIGNALED(status);
	int code = status == -1 ? -1 : killed ? WTERMSIG(status) : WEXITSTATUS(status);
	struct err err = ERR_INIT;

	if (!killed && code == 0)
		return;
	err_say(&err, EIO, "warning: virtiofsd has ended (%s %d) before its guest %s, which has no root "
		"file system without it; end it", killed ? "signal" : "exit code", code, t->row.key.id);
	log_say(t->service->o->log, LOG_LEVEL_WARNING, "%s", err.text);
	if (task_has_journal(t, NULL) == 0)
		(void)journal_note(t->journal, "virtiofsd", err.text, NULL);
}

static void look(struct task *t)
{
	struct node *n = t->service->o->node;
	int status = -1;
	int rc = n->reap(n, &t->share, &status, NULL);

	if (rc == 0)
		return;
	if (rc > 0)
		note_end(t, status);
	share_unwatch(t);
	t->share_over = rc > 0; /* else it can't be told now: share_watch() looks again */
}

static void on_gone(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	look(arg);
}

static bool may_have_one(const struct task *t)
{
	return (t->life == LIFE_CREATED || t->life == LIFE_RUNNING || t->life == LIFE_PAUSED) &&
	       !t->exit.at_ns && runtime_kind_of(t->row.runtime) == RUNTIME_NATIVE;
}

void share_watch(struct task *t)
{
	struct step_env env = { .node = t->service->o->node, .journal = t->journal };
	auto_json json_object *have = NULL;
	int fd;

	if (!may_have_one(t))
		share_unwatch(t);
	if (t->share_over || t->share.pid || !may_have_one(t) || task_has_journal(t, NULL) < 0)
		return;
	have = step_have_of(&env, "virtiofsd");
	if (!json_ident(have, "process", &t->share))
		return;
	fd = env.node->watch(env.node, &t->share, NULL);
	if (fd >= 0)
		t->share_gone = event_new(t->service->base, fd, EV_READ | EV_PERSIST, on_gone, t);
	if (t->share_gone && event_add(t->share_gone, NULL) == 0)
		return;
	/* It has ended, or can't be watched: then the step ends it all the same. */
	look(t);
	share_unwatch(t);
}
