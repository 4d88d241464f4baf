/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover_all.c - every task that has a file, one after the other.
 */
#include "supervisor/engine/recover.h"

#include "supervisor/bundle/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct keys {
	struct task_key *at;
	size_t n;
};

static int add_key(void *arg, const struct task_key *key, const char *file)
{
	struct keys *k = arg;
	struct task_key *more = k->at;

	(void)file;
	if ((k->n & (k->n - 1)) == 0)
		more = realloc(k->at, (k->n ? 2 * k->n : 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	k->at = more;
	k->at[k->n++] = *key;
	return 0;
}

/* A file that went away meanwhile is no news: its owner ended it. */
static int visit(struct engine *e, const struct journal_place *place, unsigned flags,
		 int64_t deadline_ms, const struct task_key *key, struct recover_report *report)
{
	struct err err = ERR_INIT;
	int r = recover_task(e, place, key, flags, deadline_ms, report, &err);

	if (r == 0 || r == -ENOENT)
		return r;
	report->key = *key;
	report->result = RECOVER_FAILED;
	report->why = strdup(err.text);
	return 0;
}

/* A lock's file goes with its unlock(), unless that can't remove it, or its holder dies:
 * then it is nobody's, and whoever can take it may remove it. */
static void prune_locks(struct engine *e, const char *run, const char *kind)
{
	struct node *n = e->node;
	char folder[PATH_MAX], path[PATH_MAX + NAME_MAX + 1];
	char **names = NULL;

	(void)snprintf(folder, sizeof(folder), "%s/lock/%s", run, kind);
	if (n->list_dir(n, folder, &names, NULL) < 0)
		return;
	for (char **name = names; *name; name++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, *name);
		if (n->lock(n, path, NULL) == 1)
			(void)n->unlock(n, path, NULL);
	}
	free(names);
}

int recover_all(struct engine *e, const struct journal_place *place, unsigned flags,
		int64_t deadline_ms,
		int (*each)(void *arg, const struct recover_report *report, int at, int of),
		void *arg, struct err *err)
{
	struct keys keys = { 0 };
	int stop = 0;
	int r = journal_list(place, JOURNAL_LIVE, add_key, &keys, err);

	for (size_t i = 0; r == 0 && !stop && i < keys.n; i++) {
		struct recover_report report = { .result = RECOVER_NONE_ };

		if (deadline_ms && e->node->now_ms(e->node) >= deadline_ms)
			break;
		if (visit(e, place, flags, deadline_ms, &keys.at[i], &report) == 0 && each)
			stop = each(arg, &report, (int)i + 1, (int)keys.n);
		recover_report_clear(&report);
	}
	free(keys.at);
	if (r == 0 && !(flags & RECOVER_DRY) && e->config) {
		prune_locks(e, place->run, "socket");
		prune_locks(e, place->run, "state");
		(void)journal_prune(place, e->config->history_days * INT64_C(86400),
				    e->config->history_count, NULL);
	}
	return r;
}
