/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/service/service.h"

#include "journal/base/cleanup.h"
#include "proto/ttrpc/server.h"
#include "supervisor/bundle/config.h"
#include "supervisor/bundle/json.h"
#include "supervisor/service/task.h"

#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* ---- the end ----------------------------------------------------------------------- */

void service_stop(struct service *s)
{
	server_stop(s->server, STOP_MS);
}

static void on_stopped(void *arg)
{
	struct service *s = arg;

	event_base_loopexit(s->base, NULL);
}

static void on_bury(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	members_bury(arg);
}

bool service_is_busy(const struct service *s)
{
	for (const struct task *t = s->tasks; t; t = t->next)
		if (!t->going && task_is_busy(t))
			return true;
	return false;
}

void service_end(struct service *s)
{
	s->ending = true;
	event_del(s->idle);
	for (struct task *t = s->tasks; t; t = t->next)
		member_finish(t);
}

/* ---- without anything to do ----------------------------------------------------------- */

/* Not created, or deleted, and nothing more to tell. */
static bool is_unused(const struct task *t)
{
	return !t->going && !task_is_busy(t) && outbox_is_empty(t->outbox);
}

/* Created, never started, and nobody there. */
static bool is_unstarted(const struct task *t)
{
	return t->life == LIFE_CREATED && !t->creating && !t->ops && !t->release &&
	       server_peers(t->service->server) == 0;
}

/* With nobody there it goes; where the connections may be those of others, at the second
 * look. A single one waits for as long as somebody is connected. */
static bool may_go(struct task *t)
{
	bool again = t->unused && t->service->tasks->next;

	t->unused = is_unused(t);
	return t->unused && (again || server_peers(t->service->server) == 0);
}

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct service *s = arg;

	(void)fd;
	(void)what;
	for (struct task *t = s->tasks; t; t = t->next) {
		if (may_go(t))
			member_finish(t);
		else if (is_unstarted(t))
			forgotten_ask(t);
	}
	service_look_idle(s);
}

void service_look_idle(struct service *s)
{
	struct timeval tv = { .tv_sec = s->o->config->idle_exit_s };
	bool look = false, left = false;

	for (const struct task *t = s->tasks; t; t = t->next) {
		look = look || is_unstarted(t) ||
		       (is_unused(t) && (s->tasks->next || server_peers(s->server) == 0));
		left = left || t->left;
	}
	if (left)
		members_bury_soon(s);
	if (!look || s->ending)
		event_del(s->idle);
	else if (!event_pending(s->idle, EV_TIMEOUT, NULL))
		event_add(s->idle, &tv);
}

static void on_peers(void *arg, size_t n)
{
	(void)n;
	service_look_idle(arg);
}

/* ---- at rest ------------------------------------------------------------------------ */

static void say_unfolded(const struct task *t, const struct err *why)
{
	if (why->code != EBUSY) /* else the next rest tries again */
		log_say(t->service->o->log, LOG_LEVEL_WARNING, "task %s: its journal grows: %s",
			t->row.key.id, why->text);
}

static void on_synced(evutil_socket_t fd, short what, void *arg)
{
	struct service *s = arg;
	struct task *t = s->syncing;
	struct node *n = s->o->node;
	struct err err = ERR_INIT;
	int status = -1;

	(void)fd;
	(void)what;
	if (n->reap(n, &s->sync, &status, NULL) == 0)
		return; /* readable too early */
	event_free(s->synced);
	s->synced = NULL;
	s->syncing = NULL;
	if (!t || !t->journal || journal_child_ended(t->journal, s->sync_seq, status, &err) < 0)
		return;
	if (!t->ops && journal_fold(t->journal, &err) < 0)
		say_unfolded(t, &err);
}

/* The child stands at its gate; it is committed, let go, and watched. */
static int sync_let_go(struct task *t, struct err *err)
{
	struct service *s = t->service;
	struct node *n = s->o->node;
	int fd, rc;

	rc = journal_child(t->journal, 0, &s->sync, "flush the journal", n->epoch(n),
			   n->wall_ns(n) / 1000000, 0, &s->sync_seq, err);
	if (rc == 0)
		rc = n->spawn_go(n, &s->sync, err);
	fd = rc == 0 ? n->watch(n, &s->sync, err) : rc;
	if (fd >= 0)
		s->synced = event_new(s->base, fd, EV_READ | EV_PERSIST, on_synced, s);
	if (fd < 0 || (s->synced && event_add(s->synced, NULL) == 0))
		return fd < 0 ? fd : 0;
	if (s->synced) /* it would say that a flush is under way, for good */
		event_free(TAKE_PTR(s->synced));
	return err_set(err, ENOMEM, "watch the flush");
}

static int sync_begin(struct task *t, struct err *err)
{
	auto_json json_object *args = json_object_new_object();
	auto_free char *wal = NULL;
	struct spawn spawn = { .job = JOB_SYNC, .in = SPAWN_NULL, .out = SPAWN_NULL,
			       .err = SPAWN_NULL, .die_with_us = true };
	struct service *s = t->service;
	struct node *n = s->o->node;
	int rc;

	if (!args || asprintf(&wal, "%s-wal", journal_file(t->journal)) < 0)
		return err_set(err, ENOMEM, "flush the journal");
	json_put_text(args, "path", wal);
	spawn.args = json_write(args);
	rc = n->spawn(n, &spawn, &s->sync, err);
	if (rc < 0)
		return rc;
	rc = sync_let_go(t, err);
	if (rc < 0) {
		(void)n->signal(n, &s->sync, SIGKILL, NULL);
		n->forget(n, &s->sync);
		return rc;
	}
	s->syncing = t;
	return 0;
}

/* Between plans a shim sleeps for days: it gives back what it can make again, and folds
 * what its journals have grown by, one after the other. */
static void on_rest(evutil_socket_t fd, short what, void *arg)
{
	struct service *s = arg;
	struct err err = ERR_INIT;

	(void)fd;
	(void)what;
	for (struct task *t = s->tasks; t; t = t->next) {
		if (t->ops || !t->journal)
			continue;
		journal_rest(t->journal);
		if (!s->synced && !t->going && journal_wal_size(t->journal) >= FOLD_BYTES &&
		    sync_begin(t, &err) < 0)
			say_unfolded(t, &err);
	}
	malloc_trim(0);
	exits_look_again(s);
}

void service_rest_soon(struct service *s)
{
	struct timeval tv = { .tv_usec = REST_MS * 1000 };

	event_add(s->rest, &tv);
}

/* ---- signals ----------------------------------------------------------------------------- */

/* An orderly exit: with a task the rows of all stay, and whoever comes next goes on. */
static void on_term(struct service *s, int signal)
{
	if (!service_is_busy(s)) {
		service_end(s);
		return;
	}
	for (const struct task *t = s->tasks; t; t = t->next)
		log_say(s->o->log, LOG_LEVEL_WARNING,
			"signal %d: the shim ends; task %s stays as it is, in the journal", signal,
			t->row.key.id);
	s->ending = s->stays = true;
	service_stop(s);
}

/* A read that fails leaves the signal where it is: it is seen again. */
static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	struct service *s = arg;
	struct signalfd_siginfo si;

	(void)what;
	while (read(fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			exits_look_again(s);
		else
			on_term(s, (int)si.ssi_signo);
	}
}

/* By a descriptor: libevent's own way ends the process when its pipe can't be read. */
static int signals_begin(struct service *s)
{
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, SIGCHLD);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGINT);
	s->signal_fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return -errno;
	(void)sigprocmask(SIG_BLOCK, &ours, &s->signals_before);
	(void)signal(SIGPIPE, SIG_IGN);
	s->signals = event_new(s->base, s->signal_fd, EV_READ | EV_PERSIST, on_signal, s);
	return s->signals && event_add(s->signals, NULL) == 0 ? 0 : -ENOMEM;
}

static void signals_end(struct service *s)
{
	if (s->signals)
		event_free(s->signals);
	if (s->signal_fd < 0)
		return;
	(void)close(s->signal_fd);
	(void)sigprocmask(SIG_SETMASK, &s->signals_before, NULL);
}

/* ---- begin and end ------------------------------------------------------------------------- */

static int loop_begin(struct service *s, struct err *err)
{
	struct event_config *config = event_config_new();

	if (config)
		event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
	s->base = config ? event_base_new_with_config(config) : NULL;
	if (config)
		event_config_free(config);
	if (s->base) {
		s->idle = evtimer_new(s->base, on_idle, s);
		s->bury = evtimer_new(s->base, on_bury, s);
		s->rest = evtimer_new(s->base, on_rest, s);
	}
	if (!s->base || !s->idle || !s->bury || !s->rest || signals_begin(s) < 0)
		return err_set(err, ENOMEM, "can't make the loop");
	return 0;
}

static int serve_begin(struct service *s, const struct server_hooks *hooks, struct err *err)
{
	static const struct {
		const char *name;
		const struct method *methods;
	} services[] = {
		{ "containerd.task.v2.Task", task_methods },
		{ "containerd.task.v3.Task", task_methods },
		{ "containerd.runtime.sandbox.v1.Sandbox", sandbox_methods },
		{ "urunc.shim.v1.Shim", shim_methods },
	};
	int rc = server_new(&s->server, s->base, hooks, s, err);

	for (size_t i = 0; i < ARRAY_SIZE(services) && rc == 0; i++)
		rc = server_register(s->server, services[i].name, services[i].methods, s, err);
	return rc;
}

static void service_clear(struct service *s)
{
	signals_end(s);
	if (s->synced)
		event_free(s->synced);
	if (s->idle)
		event_free(s->idle);
	if (s->bury)
		event_free(s->bury);
	if (s->rest)
		event_free(s->rest);
	if (s->base)
		event_base_free(s->base);
}

/* What all tasks will have in common. */
static int group_begin(struct group_of *g, const struct task_row *row, struct err *err)
{
	g->key = row->key;
	g->address = strdup(row->address);
	g->ttrpc_address = strdup(row->ttrpc_address);
	g->name = strdup(row->group);
	g->socket = strdup(row->socket);
	return g->address && g->ttrpc_address && g->name && g->socket
		       ? 0
		       : err_set(err, ENOMEM, "keep the group");
}

static void group_clear(struct group_of *g)
{
	free(g->address);
	free(g->ttrpc_address);
	free(g->name);
	free(g->socket);
}

static int begin(struct service *s, const struct server_hooks *hooks, struct err *err)
{
	int rc = loop_begin(s, err);

	if (rc == 0)
		rc = serve_begin(s, hooks, err);
	if (rc == 0)
		rc = task_new(s, s->o->journal, err);
	if (rc < 0) {
		journal_close(s->o->journal);
		return rc;
	}
	rc = group_begin(&s->group, &s->tasks->row, err);
	return rc < 0 ? rc : server_listen(s->server, s->o->listen_fd, err);
}

/* The tasks' files: into the history if nothing is left, else they stay. */
static int end(struct service *s, struct err *err)
{
	int rc = 0;

	while (s->tasks) {
		int r = member_put_away(s, s->tasks, err);

		rc = rc ? rc : r;
	}
	return rc;
}

int service_run(const struct service_options *options, struct err *err)
{
	static const struct server_hooks hooks = {
		.opened = on_peers, .closed = on_peers, .stopped = on_stopped,
	};
	struct service s = { .o = options, .signal_fd = -1,
			     .engine = { .node = options->node, .config = options->config } };
	struct err why = ERR_INIT;
	int rc = begin(&s, &hooks, err);

	if (rc == 0) {
		service_look_idle(&s);
		service_rest_soon(&s);
		if (event_base_dispatch(s.base) < 0) {
			log_say(s.o->log, LOG_LEVEL_ERROR, "the loop ended by itself");
			s.stays = true;
		}
	}
	server_free(s.server);
	/* What does not move into the history says itself that nothing is held. */
	if (end(&s, &why) < 0)
		log_say(s.o->log, LOG_LEVEL_ERROR, "%s", why.text);
	service_clear(&s);
	group_clear(&s.group);
	return rc < 0 ? rc : s.stays;
}
