/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What recovery learns elsewhere than in the task's own rows: from other tasks, from
 * containerd, from the history, from the host.
 */
#include "supervisor/engine/work.h"

#include "supervisor/engine/forgotten.h"
#include "supervisor/engine/search.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKED_MAX 5 /* other tasks to ask about, until containerd knows one */

#define TICKS_PER_S 100 /* of /proc/PID/stat, on every Linux */

bool shim_is_young(struct node *node, const struct ident *shim)
{
	int64_t began_ms = (int64_t)(shim->start * (1000 / TICKS_PER_S));

	return node->now_ms(node) - began_ms < RECOVER_YOUNG_MS;
}

/* ---- other tasks -------------------------------------------------------------------------- */

struct others {
	struct work *w;
	int living, asked, members;
	bool known;
};

static bool other(const struct others *o, const struct task_key *key, pid_t *owner)
{
	const struct task_key *ours = &o->w->ret->key;

	if (strcmp(key->daemon, ours->daemon) != 0 ||
	    (strcmp(key->ns, ours->ns) == 0 && strcmp(key->id, ours->id) == 0))
		return false;
	return journal_owner(o->w->place, key, owner, NULL) == 0 && *owner != 0;
}

static int same_shim(void *arg, const struct task_key *key, const char *file)
{
	struct others *o = arg;
	pid_t owner = 0;

	(void)file;
	return other(o, key, &owner) && owner == o->w->task.shim.pid;
}

bool work_shim_serves_others(struct work *w)
{
	struct others o = { .w = w };

	return journal_list(w->place, JOURNAL_LIVE, same_shim, &o, NULL) == 1;
}

/* Stops at the first other task of the same shim that is not forgotten for sure. */
static int not_forgotten(void *arg, const struct task_key *key, const char *file)
{
	struct others *o = arg;
	struct journal *j = NULL;
	struct task_row task;
	int known = 1; /* as is who can't be asked about */

	if (!same_shim(arg, key, file))
		return 0;
	if (work_late(o->w) ||
	    journal_open(&j, o->w->place, key, JOURNAL_READ, NULL) < 0)
		return 1;
	if (journal_task(j, &task, NULL) == 0) {
		known = task_known(o->w->engine, &task, NULL);
		task_row_clear(&task);
	}
	journal_close(j);
	return known == 0 || (known < 0 && (o->w->flags & RECOVER_FORGOTTEN)) ? 0 : 1;
}

bool work_all_forgotten(struct work *w)
{
	struct others o = { .w = w };

	return journal_list(w->place, JOURNAL_LIVE, not_forgotten, &o, NULL) == 0;
}

/* Other tasks of the same shim that containerd knows: each has a connection to it. */
static int count_known(void *arg, const struct task_key *key, const char *file)
{
	struct others *o = arg;
	struct journal *j = NULL;
	struct task_row task;

	if (work_late(o->w)) /* who is not counted keeps the shim */
		return 1;
	if (!same_shim(arg, key, file) ||
	    journal_open(&j, o->w->place, key, JOURNAL_READ, NULL) < 0)
		return 0;
	if (journal_task(j, &task, NULL) == 0) {
		o->members += task_known(o->w->engine, &task, NULL) == 1;
		task_row_clear(&task);
	}
	journal_close(j);
	return 0;
}

static int ask_other(void *arg, const struct task_key *key, const char *file)
{
	struct others *o = arg;
	struct journal *j = NULL;
	struct task_row task;
	pid_t owner = 0;

	(void)file;
	if (work_late(o->w))
		return 1;
	if (!other(o, key, &owner) ||
	    journal_open(&j, o->w->place, key, JOURNAL_READ, NULL) < 0)
		return 0;
	o->living++;
	if (journal_task(j, &task, NULL) == 0) {
		o->known = task_known(o->w->engine, &task, NULL) == 1;
		o->asked++;
		task_row_clear(&task);
	}
	journal_close(j);
	return o->known || o->asked >= ASKED_MAX;
}

bool work_forgotten(struct work *w)
{
	struct others o = { .w = w };
	bool anyway = (w->flags & RECOVER_FORGOTTEN) != 0;
	struct err err = ERR_INIT;
	int known;

	if (w->flags & RECOVER_BOOT) {
		(void)snprintf(w->why_forgotten, sizeof(w->why_forgotten), "its shim lives");
		return false;
	}
	/* The cheap answer first: most living tasks are known. */
	known = task_known(w->engine, &w->task, &err);
	if (known == 1) {
		(void)snprintf(w->why_forgotten, sizeof(w->why_forgotten),
			       "its shim lives and containerd knows it");
		return false;
	}
	/* A daemon that does not answer is not asked about the others: each takes seconds. */
	if (known < 0 && !anyway) {
		(void)snprintf(w->why_forgotten, sizeof(w->why_forgotten), "its shim lives; %.900s",
			       err.text);
		return false;
	}
	if (!anyway)
		(void)journal_list(w->place, JOURNAL_LIVE, ask_other, &o, NULL);
	if (w->shared && known == 0)
		(void)journal_list(w->place, JOURNAL_LIVE, count_known, &o, NULL);
	if (work_late(w)) {
		(void)snprintf(w->why_forgotten, sizeof(w->why_forgotten), "its shim lives; the time "
			       "was over before containerd had said more; the next recovery asks");
		return false;
	}
	return task_forgotten(w->engine, &w->task, o.known || o.living == 0, o.members, anyway,
			      w->why_forgotten) == 1;
}

/* ---- the history ----------------------------------------------------------------------------- */

static int read_exit(void *arg, const struct task_key *key, const char *file)
{
	struct work *w = arg;
	struct journal *j = NULL;
	struct task_row task;

	if (strcmp(key->daemon, w->ret->key.daemon) != 0 || strcmp(key->ns, w->ret->key.ns) != 0 ||
	    strcmp(key->id, w->ret->key.id) != 0)
		return 0;
	/* The newest, or none: the exit of an older life of the id is not this one's. */
	if (journal_open_file(&j, file, NULL) < 0)
		return 1;
	if (journal_task(j, &task, NULL) == 0) {
		w->ret->exit_how = task.exit_how;
		w->ret->exit_status = task.exit_status;
		w->ret->exit_at_ns = task.exit_at_ns;
		w->ret->init_pid = task.init.pid;
		task_row_clear(&task);
	}
	journal_close(j);
	return 1;
}

int work_history(struct work *w, struct err *err)
{
	int r = journal_list(w->place, JOURNAL_DONE, read_exit, w, err);

	if (r == 0)
		return err_say(err, ENOENT, "task %s/%s: neither live nor in the history",
			       w->ret->key.ns, w->ret->key.id);
	if (r < 0)
		return r;
	w->ret->result = RECOVER_CLEAN;
	w->ret->why = strdup("it is in the history: nothing of it was held any more");
	return 0;
}

/* ---- the host ----------------------------------------------------------------------------------- */

struct found {
	char *text;
	size_t size, len;
};

static int add_found(void *arg, const struct task_key *key, const char *what)
{
	struct found *f = arg;

	(void)key;
	if (f->len < f->size)
		f->len += (size_t)snprintf(f->text + f->len, f->size - f->len, "%s%s",
					   f->len ? "; " : "", what);
	return 0;
}

void work_search_host(struct work *w, char *text, size_t size)
{
	struct found f = { .text = text, .size = size };
	char missed[ERR_TEXT_MAX];
	struct err err = ERR_INIT;

	*text = '\0';
	if (host_search(w->engine, &w->ret->key, add_found, &f, &err) >= 0)
		return;
	(void)snprintf(missed, sizeof(missed), "what else has its name can't be told: %.900s",
		       err.text);
	(void)add_found(&f, &w->ret->key, missed);
}
