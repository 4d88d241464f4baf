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
#include <sys/signalfd.h>
#include <unistd.h>

/* ---- the end ----------------------------------------------------------------------- */

static void answer_shutdown(struct service *s)
{
	if (s->shutdown)
		answer_empty(s->shutdown);
	s->shutdown = NULL;
}

static void stop(struct service *s)
{
	answer_shutdown(s);
	server_stop(s->server, STOP_MS);
}

static void on_stopped(void *arg)
{
	struct service *s = arg;

	event_base_loopexit(s->base, NULL);
}

static void on_drain_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	stop(arg);
}

/* What `start` made is gone. The last events may still be on their way. */
static void on_finished(struct op *op, const struct run_end *end)
{
	struct service *s = op->task->service;
	struct timeval tv = { .tv_sec = DRAIN_MS / 1000 };

	s->finished = end->state == RUN_DONE;
	answer_shutdown(s);
	if (outbox_is_empty(op->task->outbox))
		stop(s);
	else
		event_add(s->drain, &tv);
}

void service_end(struct service *s)
{
	struct err err = ERR_INIT;

	if (s->ending)
		return;
	s->ending = true;
	event_del(s->idle);
	/* `start` died before its last row: what it had made was taken back as we began. */
	if (s->task->life == LIFE_GONE) {
		s->finished = true;
		stop(s);
		return;
	}
	if (op_begin(s->task, EV_FINISH, NULL, NULL, on_finished, &err) == 0)
		return;
	log_say(s->o->log, LOG_LEVEL_ERROR, "the shim ends, its rows stay: %s", err.text);
	stop(s);
}

/* ---- without anything to do ----------------------------------------------------------- */

static bool is_idle(const struct service *s)
{
	return !s->ending && !task_is_busy(s->task) && server_peers(s->server) == 0 &&
	       outbox_is_empty(s->task->outbox);
}

/* Created, never started, and nobody there. */
static bool is_unstarted(const struct service *s)
{
	const struct task *t = s->task;

	return !s->ending && t->life == LIFE_CREATED && !t->creating && !t->ops &&
	       !t->release && server_peers(s->server) == 0;
}

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct service *s = arg;

	(void)fd;
	(void)what;
	if (is_idle(s)) {
		service_end(s);
		return;
	}
	if (is_unstarted(s))
		forgotten_ask(s);
	service_look_idle(s);
}

void service_look_idle(struct service *s)
{
	struct timeval tv = { .tv_sec = s->o->config->idle_exit_s };

	if (s->finished && outbox_is_empty(s->task->outbox)) {
		stop(s);
		return;
	}
	if (!s->task || (!is_idle(s) && !is_unstarted(s)))
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

static void say_unfolded(const struct service *s, const struct err *why)
{
	if (why->code != EBUSY) /* else the next rest tries again */
		log_say(s->o->log, LOG_LEVEL_WARNING, "task %s: its journal grows: %s",
			s->task->row.key.id, why->text);
}

static void on_synced(evutil_socket_t fd, short what, void *arg)
{
	struct service *s = arg;
	struct journal *j = s->task->journal;
	struct node *n = s->o->node;
	struct err err = ERR_INIT;
	int status = -1;

	(void)fd;
	(void)what;
	if (n->reap(n, &s->sync, &status, NULL) == 0)
		return; /* readable too early */
	event_free(s->synced);
	s->synced = NULL;
	if (!j || journal_child_ended(j, s->sync_seq, status, &err) < 0)
		return;
	if (!s->task->ops && journal_fold(j, &err) < 0)
		say_unfolded(s, &err);
}

/* The child stands at its gate; it is committed, let go, and watched. */
static int sync_let_go(struct service *s, struct err *err)
{
	struct node *n = s->o->node;
	int fd, rc;

	rc = journal_child(s->task->journal, 0, &s->sync, "flush the journal", n->epoch(n),
			   n->wall_ns(n) / 1000000, 0, &s->sync_seq, err);
	if (rc == 0)
		rc = n->spawn_go(n, &s->sync, err);
	fd = rc == 0 ? n->watch(n, &s->sync, err) : rc;
	if (fd >= 0)
		s->synced = event_new(s->base, fd, EV_READ | EV_PERSIST, on_synced, s);
	if (fd >= 0 && (!s->synced || event_add(s->synced, NULL) < 0))
		rc = err_set(err, ENOMEM, "watch the flush");
	return fd < 0 ? fd : rc;
}

static int sync_begin(struct service *s, struct err *err)
{
	auto_json json_object *args = json_object_new_object();
	auto_free char *wal = NULL;
	struct spawn spawn = { .job = JOB_SYNC, .in = SPAWN_NULL, .out = SPAWN_NULL,
			       .err = SPAWN_NULL, .die_with_us = true };
	struct node *n = s->o->node;
	int rc;

	if (!args || asprintf(&wal, "%s-wal", journal_file(s->task->journal)) < 0)
		return err_set(err, ENOMEM, "flush the journal");
	json_put_text(args, "path", wal);
	spawn.args = json_write(args);
	rc = n->spawn(n, &spawn, &s->sync, err);
	if (rc < 0)
		return rc;
	rc = sync_let_go(s, err);
	if (rc < 0) {
		(void)n->signal(n, &s->sync, SIGKILL, NULL);
		n->forget(n, &s->sync);
	}
	return rc;
}

/* Between plans a shim sleeps for days: it gives back what it can make again, and folds
 * what its journal has grown by. */
static void on_rest(evutil_socket_t fd, short what, void *arg)
{
	struct service *s = arg;
	struct journal *j = s->task->journal;
	struct err err = ERR_INIT;

	(void)fd;
	(void)what;
	if (s->task->ops)
		return;
	if (j)
		journal_rest(j);
	if (j && !s->synced && !s->ending && journal_wal_size(j) >= FOLD_BYTES &&
	    sync_begin(s, &err) < 0)
		say_unfolded(s, &err);
	malloc_trim(0);
}

void service_rest_soon(struct service *s)
{
	struct timeval tv = { .tv_usec = REST_MS * 1000 };

	event_add(s->rest, &tv);
}

/* ---- signals ----------------------------------------------------------------------------- */

/* An orderly exit: with a task its rows stay, and whoever comes next goes on. */
static void on_term(struct service *s, int signal)
{
	if (!task_is_busy(s->task)) {
		service_end(s);
		return;
	}
	log_say(s->o->log, LOG_LEVEL_WARNING,
		"signal %d: the shim ends; task %s stays as it is, in the journal", signal,
		s->task->row.key.id);
	s->ending = true;
	stop(s);
}

/* A read that fails leaves the signal where it is: it is seen again. */
static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	struct service *s = arg;
	struct signalfd_siginfo si;

	(void)what;
	while (read(fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			exit_reap_orphans(s);
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
		s->drain = evtimer_new(s->base, on_drain_over, s);
		s->rest = evtimer_new(s->base, on_rest, s);
	}
	if (!s->base || !s->idle || !s->drain || !s->rest || signals_begin(s) < 0)
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
	if (s->drain)
		event_free(s->drain);
	if (s->rest)
		event_free(s->rest);
	if (s->base)
		event_base_free(s->base);
}

/* The task's file: into the history if nothing is left, else it stays. */
static int put_away(struct service *s, struct journal *j, struct err *err)
{
	const struct service_options *o = s->o;
	int rc;

	if (!s->finished) {
		journal_close(j);
		return 0;
	}
	rc = journal_finish(&j, err);
	if (rc == 0)
		rc = journal_prune(o->place, (int64_t)o->config->history_days * 86400,
				   o->config->history_count, err);
	return rc;
}

int service_run(const struct service_options *options, struct err *err)
{
	static const struct server_hooks hooks = {
		.opened = on_peers, .closed = on_peers, .stopped = on_stopped,
	};
	struct service s = { .o = options, .signal_fd = -1,
			     .engine = { .node = options->node, .config = options->config } };
	struct journal *j = options->journal;
	int rc = loop_begin(&s, err);

	if (rc == 0)
		rc = serve_begin(&s, &hooks, err);
	if (rc == 0)
		rc = task_new(&s.task, &s, err);
	if (rc == 0)
		rc = server_listen(s.server, options->listen_fd, err);
	if (rc == 0) {
		service_look_idle(&s);
		service_rest_soon(&s);
		if (event_base_dispatch(s.base) < 0)
			rc = err_say(err, EIO, "the loop ended by itself");
	}
	if (s.task)
		j = s.task->journal; /* it may have moved */
	server_free(s.server);
	task_free(s.task);
	service_clear(&s);
	if (rc < 0) {
		journal_close(j);
		return rc;
	}
	return put_away(&s, j, err);
}
