/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/engine/report.h"

#include "supervisor/bundle/json.h"
#include "supervisor/engine/run.h"

#include "journal/base/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 4)))
static void add(char *buf, size_t size, const char *fmt, ...)
{
	size_t len = strlen(buf);
	va_list ap;

	if (len)
		len += (size_t)snprintf(buf + len, size - len, "; ");
	if (len >= size)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(buf + len, size - len, fmt, ap);
	va_end(ap);
}

static void count(struct picture *p, const char *kind)
{
	size_t i;

	p->total++;
	for (i = 0; i < p->n; i++)
		if (strcmp(p->at[i].kind, kind) == 0)
			break;
	if (i == PICTURE_KINDS)
		return;
	if (i == p->n) {
		(void)snprintf(p->at[i].kind, sizeof(p->at[i].kind), "%s", kind);
		p->n++;
	}
	p->at[i].n++;
}

static int take_step(void *arg, const struct step_row *row, struct err *err)
{
	struct picture *p = arg;

	(void)err;
	if (row->state == ROW_PLANNED || row->state == ROW_FOREIGN ||
	    row->state == ROW_UNDONE || row->state == ROW_SKIPPED)
		return 0;
	count(p, row->kind);
	if (*row->error)
		add(p->rows, sizeof(p->rows), "%s: %s", row->kind, row->error);
	else
		add(p->rows, sizeof(p->rows), "%s", row->kind);
	return 0;
}

static int take_killed(void *arg, const struct step_row *row, struct err *err)
{
	struct picture *p = arg;
	auto_json json_object *have = json_read(row->have);
	json_object *list = have ? json_list(have, "killed") : NULL;
	struct ident who;

	(void)err;
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		json_object *one = json_object_array_get_idx(list, i);

		if (json_ident(one, "process", &who))
			add(p->killed, sizeof(p->killed), "%s, process %d",
			    json_text(one, "what", "?"), (int)who.pid);
	}
	return 0;
}

struct taking {
	struct picture *p;
	struct journal *j;
	bool fence_seen;
};

static int take_run(void *arg, const struct run_row *row, struct err *err)
{
	struct taking *t = arg;
	enum plan plan = plan_of(row->plan);

	if (plan == PLAN_SERVE || plan == PLAN_CREATE)
		return journal_each_step(t->j, row->seq, NEWEST_FIRST, take_step, t->p, err);
	if (plan != PLAN_TAKEDOWN || t->fence_seen)
		return 0;
	t->fence_seen = true;
	return journal_each_step(t->j, row->seq, NEWEST_FIRST, take_killed, t->p, err);
}

int picture_take(struct picture *ret, struct journal *j, struct err *err)
{
	struct taking t = { .p = ret, .j = j };

	memset(ret, 0, sizeof(*ret));
	return journal_each_run(j, NEWEST_FIRST, take_run, &t, err);
}

static int count_of(const struct picture *p, const char *kind)
{
	for (size_t i = 0; p && i < p->n; i++)
		if (strcmp(p->at[i].kind, kind) == 0)
			return p->at[i].n;
	return 0;
}

char *picture_words(const struct picture *p, const struct picture *less, char *buf,
		    size_t size)
{
	size_t len = 0;

	*buf = '\0';
	for (size_t i = p->n; i > 0 && len < size; i--) {
		int n = p->at[i - 1].n - count_of(less, p->at[i - 1].kind);

		if (n > 0)
			len += (size_t)snprintf(buf + len, size - len, "%s%d %s%s",
						len ? ", " : "", n, p->at[i - 1].kind,
						n > 1 ? "s" : "");
	}
	return buf;
}
