/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members.c - the tasks that one shim serves: they come, and go in any order.
 *
 * A task that goes is finished (what `start` made for it is taken back), its last events
 * are waited for, and it is buried: its journal moves to the history, which flushes
 * nothing. Until it is there the file says that nothing is held; who finds it moves it
 * as well.
 */
#include "supervisor/service/task.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/bundle/config.h"
#include "supervisor/service/first.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <string.h>

#define JOIN_MS 1000  /* for a journal that is busy */

/* ---- one more ------------------------------------------------------------------------ */

static int join_serve(struct service *s, struct journal *j, const struct first *first,
		      struct err *err)
{
	struct node *n = s->o->node;
	auto_free char *args = first_args(first);
	struct run_options options = RUN_OPTIONS_INIT;
	struct run *run = NULL;
	int rc = args ? first_write(j, first, err) : err_set(err, ENOMEM, "join");

	options.shared = true; /* the socket is the others', also if this fails */
	if (rc == 0)
		rc = run_serve(&run, &s->engine, j, args, &options, err);
	if (rc < 0)
		return rc;
	/* Its steps wait for nothing. */
	if (drive(run, n, n->now_ms(n) + JOIN_MS, NULL, NULL) != RUN_DONE)
		rc = err_say(err, run_error(run)->code ? run_error(run)->code : EBUSY, "%s",
			     run_error(run)->code ? run_error(run)->text : "the journal is busy");
	run_close(run);
	return rc;
}

/* Whoever comes next takes back what was begun, if anything was. */
static int join_failed(struct journal *j, int rc)
{
	struct task_row row;

	if (journal_task(j, &row, NULL) < 0) {
		journal_close(j);
		return rc;
	}
	if (life_state_of(row.state) == LIFE_GONE)
		(void)journal_finish(&j, NULL);
	else
		journal_close(j);
	task_row_clear(&row);
	return rc;
}

int member_join(struct service *s, const struct join *join, struct err *err)
{
	const struct group_of *g = &s->group;
	struct node *n = s->o->node;
	struct path_ident dir;
	const struct first first = {
		.address = g->address, .epoch = n->epoch(n), .group = join->group,
		.ttrpc_address = *join->ttrpc_address ? join->ttrpc_address : g->ttrpc_address,
		.socket = g->socket, .bundle = join->bundle, .dir = &dir, .join = true,
	};
	struct journal *j = NULL;
	struct task_key key;
	int rc = task_key_make(&key, g->address, g->key.ns, join->id, err);

	if (rc == 0 && join->bundle[0] != '/')
		rc = err_say(err, EINVAL, "bundle \"%s\" is no absolute path", join->bundle);
	if (rc == 0 && s->ending)
		rc = err_say(err, ESHUTDOWN, "the shim is on its way out");
	if (rc == 0)
		rc = n->path(n, join->bundle, &dir, err);
	if (rc == 0)
		rc = err_say(err, ENOENT, "bundle %s is gone", join->bundle);
	if (rc > 0)
		rc = journal_open(&j, s->o->place, &key, JOURNAL_CREATE, err);
	if (rc == -EAGAIN) /* an older one is just being buried */
		rc = err_say(err, ESHUTDOWN, "the journal of an older task %s is being moved",
			     join->id);
	if (rc < 0)
		return rc;
	crash_point("join-made");
	rc = join_serve(s, j, &first, err);
	crash_point("joined");
	if (rc == 0)
		rc = task_new(s, j, err);
	if (rc < 0)
		return join_failed(j, rc);
	service_look_idle(s);
	return 0;
}

/* ---- one less ------------------------------------------------------------------------ */

static bool others_stay(const struct task *t)
{
	for (const struct task *u = t->service->tasks; u; u = u->next)
		if (u != t && !u->going)
			return true;
	return false;
}

static void on_drain_over(evutil_socket_t fd, short what, void *arg)
{
	struct task *t = arg;

	(void)fd;
	(void)what;
	event_free(t->drain);
	t->drain = NULL;
	members_bury_soon(t->service);
}

/* What `start` made is gone. The last events may still be on their way. */
static void leave(struct task *t, bool finished)
{
	const struct timeval tv = { .tv_sec = DRAIN_MS / 1000 };
	struct err gone = ERR_INIT;

	err_say(&gone, ESHUTDOWN, "task %s leaves the shim", t->row.key.id);
	wait_fail(&t->waiters, &gone);
	t->left = true;
	t->finished = finished;
	if (t->shutdown)
		answer_empty(TAKE_PTR(t->shutdown));
	if (!outbox_is_empty(t->outbox))
		t->drain = evtimer_new(t->service->base, on_drain_over, t);
	if (t->drain)
		event_add(t->drain, &tv);
	members_bury_soon(t->service);
}

static void on_finished(struct op *op, const struct run_end *end)
{
	leave(op->task, end->state == RUN_DONE);
}

void member_finish(struct task *t)
{
	struct run_options options = RUN_OPTIONS_INIT;
	struct service *s = t->service;
	struct err err = ERR_INIT;

	if (t->going)
		return;
	t->going = true;
	options.shared = others_stay(t);
	if (!options.shared) {
		s->ending = true;
		event_del(s->idle);
	}
	/* `start` died before its last row: what it had made was taken back as we began. */
	if (t->life == LIFE_GONE) {
		leave(t, true);
		return;
	}
	if (op_begin(t, EV_FINISH, &options, NULL, on_finished, &err) == 0)
		return;
	log_say(s->o->log, LOG_LEVEL_ERROR, "task %s leaves, its rows stay: %s", t->row.key.id,
		err.text);
	leave(t, false);
}

/* ---- burial ---------------------------------------------------------------------------- */

static bool may_bury(const struct task *t)
{
	return t->left && !t->ops && (!t->drain || outbox_is_empty(t->outbox));
}

/* The log goes to a bundle that is still there. */
static void move_log(struct service *s)
{
	bool debug = s->o->log->debug;

	log_close(s->o->log);
	log_open(s->o->log, s->tasks->row.bundle, debug);
}

int member_put_away(struct service *s, struct task *t, struct err *err)
{
	const struct service_options *o = s->o;
	struct journal *j = t->journal;
	bool finished = t->finished;
	int rc;

	task_free(t);
	if (!finished) {
		journal_close(j);
		return 0;
	}
	rc = journal_finish(&j, err);
	if (rc == 0)
		rc = journal_prune(o->place, (int64_t)o->config->history_days * 86400,
				   o->config->history_count, err);
	return rc;
}

static void bury_one(struct task *t)
{
	struct service *s = t->service;
	struct err err = ERR_INIT;

	if (s->syncing == t)
		s->syncing = NULL;
	if (member_put_away(s, t, &err) < 0)
		log_say(s->o->log, LOG_LEVEL_WARNING, "%s", err.text);
	move_log(s);
	crash_point("left");
}

void members_bury(struct service *s)
{
	struct task *next;
	bool all = true;

	for (const struct task *t = s->tasks; t; t = t->next)
		all = all && may_bury(t);
	if (all && s->ending) {
		service_stop(s);
		return;
	}
	for (struct task *t = s->tasks; t; t = next) {
		next = t->next;
		if (may_bury(t) && s->tasks->next)
			bury_one(t);
	}
}

void members_bury_soon(struct service *s)
{
	event_active(s->bury, EV_TIMEOUT, 0);
}
