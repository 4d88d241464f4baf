/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/engine/run.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/json.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* ---- copies of rows -------------------------------------------------------------- */

static int text_copy(char **ret, const char *text)
{
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static int row_copy(struct step_row *to, const struct step_row *from)
{
	*to = *from;
	to->kind = to->want = to->have = to->epoch = to->error = NULL;
	if (text_copy(&to->kind, from->kind) || text_copy(&to->want, from->want) ||
	    text_copy(&to->have, from->have) || text_copy(&to->epoch, from->epoch) ||
	    text_copy(&to->error, from->error)) {
		step_row_clear(to);
		return -ENOMEM;
	}
	return 0;
}

static int child_copy(struct child_row *to, const struct child_row *from)
{
	*to = *from;
	to->what = to->epoch = NULL;
	if (text_copy(&to->what, from->what) || text_copy(&to->epoch, from->epoch)) {
		child_row_clear(to);
		return -ENOMEM;
	}
	return 0;
}

/* ---- the cursor -------------------------------------------------------------------- */

void cursor_clear(struct run *run)
{
	struct cursor *at = &run->at;

	step_row_clear(&at->row);
	json_object_put(at->want);
	json_object_put(at->have);
	*at = (struct cursor){ 0 };
}

const struct step_ops *engine_kind(const struct engine *e, const char *kind)
{
	if (!e->kinds)
		return step_kind(kind);
	for (const struct step_ops *const *k = e->kinds; *k; k++)
		if (strcmp((*k)->kind, kind) == 0)
			return *k;
	return NULL;
}

static int parse(json_object **ret, const struct step_row *row, const char *name,
		 const char *text, struct err *err)
{
	char what[64];

	(void)snprintf(what, sizeof(what), "the %s of its row %lld", name, (long long)row->seq);
	return json_read_row(ret, text, what, err);
}

/*
 * When the time of a step that was under way is over. Rows keep wall clock times, so
 * that the wait goes on and does not begin again each time the run is reopened; what
 * an earlier run began gets its full time from this run's opening on.
 */
static int64_t deadline_of(const struct run *run, const struct step_row *row, int64_t ms)
{
	struct node *n = run->engine->node;
	int64_t since = run->opened_ms, gone;

	if (ms <= 0)
		return 0;
	if (row->state != ROW_INTENT && row->state != ROW_UNDOING)
		return n->now_ms(n) + ms;
	if (row->intent_ms > since)
		since = row->intent_ms;
	if (row->undone_ms > since)
		since = row->undone_ms;
	gone = run_wall_ms(run) - since;
	return n->now_ms(n) + (gone < 0 ? ms : gone > ms ? 0 : ms - gone);
}

int64_t run_limit_ms(const struct run *run)
{
	return step_limit_ms(run->at.ops, run->engine->config, !plan_applies(run->plan));
}

int cursor_set(struct run *run, const struct step_row *row, struct err *err)
{
	struct cursor *at = &run->at;
	int r;

	/* It is there already: who writes that row's state keeps the cursor's in step. */
	if (at->row.seq == row->seq)
		return 0;
	cursor_clear(run);
	r = row_copy(&at->row, row);
	if (r < 0)
		return err_set(err, -r, "step %lld", (long long)row->seq);
	at->ops = engine_kind(run->engine, row->kind);
	if (!at->ops)
		err_say(&at->bad, ENOTSUP, "this version knows no kind of step called %s",
			row->kind);
	else if (parse(&at->want, row, "want", row->want, &at->bad) < 0 ||
		 parse(&at->have, row, "have", row->have, &at->bad) < 0)
		at->ops = NULL;
	else
		at->deadline_ms = deadline_of(run, row, run_limit_ms(run));
	return 0;
}

/* ---- which row is next --------------------------------------------------------------- */

static int seek_apply(void *arg, const struct step_row *row, struct err *err)
{
	struct run *run = arg;
	int r;

	if (row->state != ROW_PLANNED && row->state != ROW_INTENT)
		return 0;
	r = cursor_set(run, row, err);
	return r < 0 ? r : 1;
}

int cursor_next_apply(struct run *run, struct err *err)
{
	return journal_each_step(run->j, run->seq, OLDEST_FIRST, seek_apply, run, err);
}

int run_has_exec(const struct run *run, const struct step_row *row, struct err *err)
{
	auto_json json_object *want = NULL;
	int r = parse(&want, row, "want", row->want, err);
	const char *id = json_text(want, "exec_id", NULL);

	return r < 0 ? r : id && strcmp(id, run->exec) == 0;
}

static int seek_exec(void *arg, const struct step_row *row, struct err *err)
{
	return run_has_exec(arg, row, err);
}

int run_undoes(struct run *run, const struct run_row *row, struct err *err)
{
	if (!plan_undoes(run->plan, plan_of(row->plan)))
		return 0;
	if (run->plan != PLAN_EXEC_UNDO)
		return 1;
	return journal_each_step(run->j, row->seq, OLDEST_FIRST, seek_exec, run, err);
}

/* The runs of the scope, newest first, one after another: a run is undone as a whole
 * before an older one. */
static int seek_undo(void *arg, const struct step_row *row, struct err *err)
{
	struct run *run = arg;
	int r;

	switch (row->state) {
	case ROW_PLANNED:
	case ROW_INTENT:
	case ROW_DONE:
	case ROW_FAILED:
	case ROW_UNDOING:
		break;
	case ROW_NONE_:
	case ROW_FOREIGN:
	case ROW_UNDONE:
	case ROW_STUCK:
	case ROW_SKIPPED:
	case ROW_N:
		return 0;
	}
	if (run->mute && row->seq >= run->below)
		return 0;
	r = cursor_set(run, row, err);
	return r < 0 ? r : 1;
}

static int seek_run(void *arg, const struct run_row *row, struct err *err)
{
	struct run *run = arg;
	int r = run_undoes(run, row, err);

	return r <= 0 ? r : journal_each_step(run->j, row->seq, NEWEST_FIRST, seek_undo, run, err);
}

int cursor_next_undo(struct run *run, struct err *err)
{
	return journal_each_run(run->j, NEWEST_FIRST, seek_run, run, err);
}

/* ---- the step's child ------------------------------------------------------------------ */

struct child_seek {
	int64_t step;
	struct child_row *row;
	bool found;
};

static int seek_child(void *arg, const struct child_row *row, struct err *err)
{
	struct child_seek *s = arg;

	if (row->step != s->step)
		return 0;
	if (s->found) /* the newest comes last */
		child_row_clear(s->row);
	s->found = false;
	if (child_copy(s->row, row))
		return err_set(err, ENOMEM, "child %d", (int)row->ident.pid);
	s->found = true;
	return 0;
}

int cursor_child(struct run *run, struct child_row *ret, struct err *err)
{
	struct child_seek s = { .step = run->at.row.seq, .row = ret };
	int r;

	*ret = (struct child_row){ 0 };
	r = journal_each_child(run->j, true, seek_child, &s, err);
	if (r < 0 && s.found)
		child_row_clear(ret);
	return r < 0 ? r : s.found;
}

/* ---- calling a step ---------------------------------------------------------------------- */

static int call(struct run *run, step_fn *fn, const struct wake *wake, struct wait *next,
		struct err *err)
{
	struct cursor *at = &run->at;
	struct step step = {
		.seq = at->row.seq, .ops = at->ops, .task = &run->task,
		.epoch = at->row.epoch, .want = at->want, .have = at->have,
	};
	int r;

	*next = (struct wait){ .fd = -1 };
	r = fn(&step, &run->env, wake, next, err);
	at->have = step.have;
	if (r != STEP_WAIT)
		return r;
	if (wake->why == WAKE_DEADLINE)
		return err_say(err, ETIME, "%s: it did not end in its time", at->row.kind);
	if (at->deadline_ms && (!next->at_ms || next->at_ms > at->deadline_ms))
		next->at_ms = at->deadline_ms;
	return STEP_WAIT;
}

/*
 * The time is over. 1: its child was killed and must end first; 0: nothing to wait for.
 * Who reopens the run later, as another process or once after a full disk, waits that
 * long again: it may be the first to have killed the child. (Only MODE=amnesia, which
 * reopens at every wake, waits on and on for one that does not die.)
 */
static int kill_late(struct run *run, const struct child_row *child, struct wait *next)
{
	struct node *n = run->engine->node;
	int64_t now = n->now_ms(n);

	if (now >= run->at.deadline_ms + KILL_MS || n->alive(n, &child->ident, NULL) < 0)
		return 0;
	/* Gone by now: the wait below learns that. It can't be asked to die twice. */
	(void)n->signal(n, &child->ident, SIGKILL, NULL);
	*next = (struct wait){ .child_seq = child->seq, .fd = -1,
			       .at_ms = run->at.deadline_ms + KILL_MS };
	return 1;
}

static bool was_killed(int status)
{
	return status == -1 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* What the step is told: its own wake, or that its time is over. */
static int wake_of(struct run *run, const struct wake *wake, struct child_row *child,
		   struct wake *ret, struct wait *next)
{
	struct node *n = run->engine->node;
	bool late = run->at.deadline_ms && n->now_ms(n) >= run->at.deadline_ms;
	struct err ignored = ERR_INIT;
	int have;

	*ret = *wake;
	ret->child = NULL;
	if (!late && wake->why != WAKE_CHILD)
		return 0;
	have = cursor_child(run, child, &ignored);
	if (have < 0)
		*child = (struct child_row){ 0 };
	if (wake->why != WAKE_CHILD) {
		ret->status = -1;
		ret->why = WAKE_DEADLINE;
		return have == 1 ? kill_late(run, child, next) : 0;
	}
	if (have != 1) {
		/* Its end is in the journal, how it was taken is not: look again. */
		ret->why = WAKE_RESUME;
		return 0;
	}
	child->ended = true;
	child->status = wake->status;
	ret->child = child;
	if (late && was_killed(wake->status))
		ret->why = WAKE_DEADLINE;
	return 0;
}

int cursor_call(struct run *run, step_fn *fn, const struct wake *wake, struct wait *next,
		struct err *err)
{
	struct child_row child = { 0 };
	struct wake told;
	int r;

	if (wake_of(run, wake, &child, &told, next)) {
		child_row_clear(&child);
		return STEP_WAIT;
	}
	/* Not fatal: the host knows best what lives, and the fence asks it. */
	if (told.child && journal_child_ended(run->j, child.seq, child.status, err) == -ESTALE)
		r = -ESTALE;
	else
		r = call(run, fn, &told, next, err);
	child_row_clear(&child);
	return r;
}
