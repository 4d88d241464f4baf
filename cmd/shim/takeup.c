/* SPDX-License-Identifier: Apache-2.0 */
/*
 * takeup.c - tasks whose owner died, taken back by whoever comes along.
 *
 * containerd's `delete` may come for the same task meanwhile: it waits for us, and then
 * reads from the history how the task ended. A server that is just being born is known
 * by its start time.
 */
#include "cmd/shim/shim.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/engine/recover.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS  1     /* for the look that somebody waits for */
#define REST_MS  60000
#define DEAD_MAX 64    /* of one round; there will be others   */

struct dead {
	const struct shim *shim;
	int64_t until_ms; /* 0: no limit */
	struct task_key at[DEAD_MAX];
	int n;
};

/* Our own task has no owner while it passes from `start` to the server, and after a
 * server that was asked to leave it as it is. */
static bool is_ours(const struct shim *shim, const struct task_key *key)
{
	return strcmp(key->id, shim->key.id) == 0 && strcmp(key->ns, shim->key.ns) == 0 &&
	       strcmp(key->daemon, shim->key.daemon) == 0;
}

static int visit(void *arg, const struct task_key *key, const char *file)
{
	struct dead *d = arg;
	struct node *n = d->shim->node;
	pid_t owner = 0;

	(void)file;
	if (!is_ours(d->shim, key) &&
	    journal_owner(&d->shim->place, key, &owner, NULL) == 0 && owner == 0)
		d->at[d->n++] = *key;
	return d->n == DEAD_MAX || (d->until_ms && n->now_ms(n) >= d->until_ms);
}

static void round_of(struct shim *shim)
{
	struct node *n = shim->node;
	int64_t end = n->now_ms(n) + REST_MS;
	auto_free struct dead *d = calloc(1, sizeof(*d));

	if (!d)
		return;
	d->shim = shim;
	(void)journal_list(&shim->place, JOURNAL_LIVE, visit, d, NULL);
	for (int i = 0; i < d->n; i++) {
		struct recover_report report = { .result = RECOVER_NONE_ };
		struct err err = ERR_INIT; /* the report has its sentence */

		if (recover_task(&shim->engine, &shim->place, &d->at[i], 0, end, &report,
				 &err) == 0)
			recover_report_clear(&report);
	}
}

void shim_take_up(struct shim *shim)
{
	struct node *n = shim->node;
	auto_free char *lock = NULL;

	if (asprintf(&lock, "%s/lock/takeup", shim->config.run) < 0)
		return;
	if (n->lock(n, lock, NULL) != 1)
		return; /* somebody is at it */
	round_of(shim);
	(void)n->unlock(n, lock, NULL);
}

static int worker(void *arg)
{
	crash_role("takeup");
	shim_take_up(arg);
	return 0;
}

void shim_take_up_later(struct shim *shim)
{
	const struct spawn spawn = { .job = JOB_CALL, .call = worker, .call_arg = shim,
				     .in = SPAWN_NULL, .out = SPAWN_NULL, .err = SPAWN_NULL };
	struct node *n = shim->node;
	struct dead d = { .shim = shim, .until_ms = n->now_ms(n) + LOOK_MS };
	struct ident who;

	(void)journal_list(&shim->place, JOURNAL_LIVE, visit, &d, NULL);
	if (!d.n || n->spawn(n, &spawn, &who, NULL) < 0)
		return;
	if (n->spawn_go(n, &who, NULL) < 0)
		(void)n->signal(n, &who, SIGKILL, NULL);
	n->forget(n, &who);
}
