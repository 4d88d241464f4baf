/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grace.c - a monitor, or its guest, that was asked to end has a time for it: some hang
 * then, or do not listen, and a client that waits for the end would wait for ever.
 */
#include "supervisor/service/task.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/config.h"
#include "supervisor/oci/runtime.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>

/* When it can't be killed now: the journal is busy, or a disk full. */
#define AGAIN_S     1
#define AGAIN_MAX_S 60

static void no_timer(const struct task *t)
{
	log_say(t->service->o->log, LOG_LEVEL_ERROR, "task %s: no memory for a timer: its monitor "
		"was asked to end, and is not going to be killed if it does not; send it SIGKILL",
		t->row.key.id);
}

static void wait_for(struct task *t, int seconds)
{
	const struct timeval tv = { .tv_sec = seconds };

	if (event_add(t->grace, &tv) < 0)
		no_timer(t);
}

static void wait_all(struct task *t)
{
	t->grace_again_s = AGAIN_S;
	wait_for(t, t->service->o->config->monitor_grace_s);
}

/* Each time twice as long: a full disk stays full. */
static void try_again(struct task *t, const struct err *why)
{
	log_say(t->service->o->log, LOG_LEVEL_WARNING, "task %s: its monitor has not ended after "
		"SIGTERM and can't be killed now; again in %d s: %s", t->row.key.id,
		t->grace_again_s, why->text);
	wait_for(t, t->grace_again_s);
	t->grace_again_s = t->grace_again_s < AGAIN_MAX_S / 2 ? 2 * t->grace_again_s : AGAIN_MAX_S;
}

static void on_killed(struct op *op, const struct run_end *end)
{
	if (end->state == RUN_DONE)
		(void)journal_note(op->task->journal, "grace", "SIGTERM did not end its monitor in "
				   "time: killed", NULL);
	else if (end->err.code != ESRCH) /* then its end is about to be seen */
		try_again(op->task, &end->err);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	struct run_options options = RUN_OPTIONS_INIT;
	struct task *t = arg;
	struct err err = ERR_INIT;

	(void)fd;
	(void)what;
	if (t->exit.at_ns || t->going || t->broken.code)
		return;
	/* Its time begins when it can answer: grace_again(). */
	if (t->life == LIFE_PAUSING || t->life == LIFE_PAUSED || t->life == LIFE_RESUMING) {
		wait_all(t);
		return;
	}
	options.signal = SIGKILL;
	if (op_begin(t, EV_KILL, &options, NULL, on_killed, &err) < 0)
		try_again(t, &err);
	else
		log_say(t->service->o->log, LOG_LEVEL_WARNING, "task %s: its monitor has not ended "
			"in %d s after SIGTERM, and is killed", t->row.key.id,
			t->service->o->config->monitor_grace_s);
}

void grace_begin(struct task *t)
{
	if (runtime_kind_of(t->row.runtime) != RUNTIME_NATIVE)
		return;
	if (!t->grace)
		t->grace = evtimer_new(t->service->base, on_late, t);
	if (!t->grace)
		no_timer(t);
	else if (!evtimer_pending(t->grace, NULL)) /* a second one gives no more time */
		wait_all(t);
}

void grace_again(struct task *t)
{
	if (t->grace && evtimer_pending(t->grace, NULL))
		wait_all(t);
}

void grace_end(struct task *t)
{
	if (t->grace)
		event_free(TAKE_PTR(t->grace));
}
