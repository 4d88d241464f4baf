/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/engine/run.h"

#include "journal/base/crash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* An apply that nobody finished has failed; then it can be undone. */
static int settle_undoing(struct run *run, struct err *err)
{
	const struct step_row *row = &run->at.row;
	int64_t now = run_wall_ms(run);
	int r;

	if (row->state != ROW_INTENT)
		return journal_settle(run->j, row->seq, ROW_UNDOING, NULL, now, err);
	r = journal_begin(run->j, err);
	if (r < 0)
		return r;
	r = journal_settle(run->j, row->seq, ROW_FAILED, "it was interrupted", now, err);
	if (r == 0)
		r = journal_settle(run->j, row->seq, ROW_UNDOING, NULL, now, err);
	if (r == 0)
		return journal_commit(run->j, err);
	journal_rollback(run->j);
	return r;
}

/* Write the row's state, or learn that it can't be written and go on without. RUN_NONE_:
 * go on. */
static enum run_state settle(struct run *run, enum row_state to, const char *why,
			     struct wait *next)
{
	struct err err = ERR_INIT;
	enum run_state s;
	int r;

	if (run->mute)
		return RUN_NONE_;
	r = to == ROW_UNDOING ? settle_undoing(run, &err)
			      : journal_settle(run->j, run->at.row.seq, to, why,
					       run_wall_ms(run), &err);
	if (r == 0)
		return RUN_NONE_;
	s = run_unwritten(run, next, &err);
	if (s != RUN_NONE_)
		return s;
	run->mute = true;
	run->mute_err = err;
	run->below = run->at.row.seq + 1;
	return RUN_NONE_;
}

/* The row at the cursor was dealt with. */
static enum run_state record(struct run *run, struct wait *next)
{
	const char *why = run->pending == ROW_STUCK ? run->pending_err.text : NULL;
	enum run_state s = settle(run, run->pending, why, next);

	if (s != RUN_NONE_)
		return s;
	crash_point("undone");
	if (run->pending == ROW_STUCK) {
		run->left++;
		if (run->why.code == 0)
			run->why.code = run->pending_err.code;
	}
	if (run->mute)
		run->below = run->at.row.seq;
	run->pending = ROW_NONE_;
	cursor_clear(run);
	return RUN_NONE_;
}

/* ---- the end --------------------------------------------------------------------------------- */

struct sum {
	struct run *run;
	int n;
	char text[ERR_TEXT_MAX / 2];
};

static int sum_step(void *arg, const struct step_row *row, struct err *err)
{
	struct sum *s = arg;
	size_t len = strlen(s->text);

	(void)err;
	if (row->state != ROW_STUCK)
		return 0;
	s->n++;
	(void)snprintf(s->text + len, sizeof(s->text) - len, "%s%s: %s", len ? "; " : "",
		       row->kind, row->error);
	return 0;
}

static int sum_run(void *arg, const struct run_row *row, struct err *err)
{
	struct sum *s = arg;
	int r = run_undoes(s->run, row, err);

	return r <= 0 ? r : journal_each_step(s->run->j, row->seq, NEWEST_FIRST, sum_step, s, err);
}

static int close_run(void *arg, const struct run_row *row, struct err *err)
{
	struct run *run = arg;
	bool ours = row->seq == run->seq;
	int r;

	if (row->outcome != RUN_OPEN_ROW || row->seq > run->seq)
		return 0;
	if (run->plan == PLAN_EXEC_UNDO && !ours) {
		r = run_undoes(run, row, err);
		if (r <= 0)
			return r;
	}
	return journal_close_run(run->j, row->seq,
				 ours && !run->left ? RUN_DONE_ROW : RUN_FAILED_ROW,
				 ours ? run->why.text : "it was interrupted, and taken back",
				 run_wall_ms(run), err);
}

/*
 * A container may be asked for a process every second, for months: what is known of one
 * that is gone is dropped. Of what dropped it only the newest stays, whose number must
 * not be given away again.
 */
static int drop_run(void *arg, const struct run_row *row, struct err *err)
{
	struct run *run = arg;
	int r = row->seq < run->seq && row->outcome == RUN_DONE_ROW &&
		plan_of(row->plan) == PLAN_EXEC_UNDO;

	if (row->seq < run->seq && r == 0)
		r = run_undoes(run, row, err);
	return r <= 0 ? r : journal_drop_run(run->j, row->seq, err);
}

static int drop_exec(struct run *run, struct err *err)
{
	if (run->plan != PLAN_EXEC_UNDO || run->left)
		return 0;
	return journal_each_run(run->j, OLDEST_FIRST, drop_run, run, err);
}

static int commit_end(struct run *run, enum life_event ev, enum life_state to, struct err *err)
{
	int r = journal_begin(run->j, err);

	if (r < 0)
		return r;
	r = journal_each_run(run->j, OLDEST_FIRST, close_run, run, err);
	if (r == 0 && run->left)
		r = journal_set_text(run->j, TASK_ERROR, run->why.text, err);
	if (r == 0 && !plan_beside(run->plan))
		r = journal_move(run->j, life_state_name(run->life), life_state_name(to),
				 life_event_name(ev), err);
	if (r == 0)
		r = drop_exec(run, err);
	if (r == 0)
		return journal_commit(run->j, err);
	journal_rollback(run->j);
	return r;
}

/* Put what is left behind what went wrong first. */
static void say_left(struct run *run, const char *text)
{
	char first[ERR_TEXT_MAX / 2];
	int code = run->why.code ? run->why.code : EBUSY;

	(void)snprintf(first, sizeof(first), "%.500s", run->why.text);
	err_say(&run->why, code, "%s%sit could not all be taken back: %s", first,
		*first ? "; and " : "", text);
}

static enum run_state end_mute(struct run *run)
{
	char text[ERR_TEXT_MAX / 2];

	if (run->left)
		(void)snprintf(text, sizeof(text), "%d effects stay, and the journal can't be "
			       "written: %.300s", run->left, run->mute_err.text);
	else
		(void)snprintf(text, sizeof(text), "nothing is left, but the journal can't be "
			       "written to say so: %.300s", run->mute_err.text);
	say_left(run, text);
	return RUN_STUCK;
}

/* All rows of the scope were dealt with, or @why the fence says that none may be. */
static enum run_state end(struct run *run, const struct err *why, struct wait *next)
{
	struct sum sum = { .run = run };
	struct err err = ERR_INIT;
	struct err first = run->why;
	enum life_event ev;
	enum life_state to;
	enum run_state s;

	if (why) {
		run->left = sum.n = 1;
		(void)snprintf(sum.text, sizeof(sum.text), "%.500s", why->text);
	} else if (!run->mute) {
		if (journal_each_run(run->j, NEWEST_FIRST, sum_run, &sum, &err) < 0)
			(void)snprintf(sum.text, sizeof(sum.text), "%.500s", err.text);
		run->left = err.code ? 1 : sum.n;
	}
	if (run->mute)
		return end_mute(run);
	if (run->left)
		say_left(run, sum.text);
	ev = run->left ? EV_FAIL : EV_DONE;
	to = life_arrow(run->life, ev)->to;
	if (commit_end(run, ev, to, &err) < 0) {
		s = run_unwritten(run, next, &err);
		if (s == RUN_WAITING)
			run->why = first;
		if (s != RUN_NONE_)
			return s;
		run->mute = true;
		run->mute_err = err;
		run->why = first;
		return end_mute(run);
	}
	crash_point("ended");
	if (!plan_beside(run->plan))
		run->life = to;
	return run->left ? RUN_STUCK : run->failed ? RUN_UNDONE : RUN_DONE;
}

/* ---- a turn ------------------------------------------------------------------------------------ */

/* The row at the cursor: undoing. RUN_NONE_ and *begun, or what the run answers. */
static enum run_state begin(struct run *run, bool *begun, struct wait *next)
{
	struct node *n = run->engine->node;
	struct cursor *at = &run->at;
	struct err err = ERR_INIT;
	enum run_state s;

	*begun = false;
	if (at->row.state == ROW_UNDOING)
		return RUN_NONE_;
	/* Stale by a field at worst: the host is asked before anything is touched. */
	(void)run_load_task(run, &err);
	s = settle(run, ROW_UNDOING, NULL, next);
	if (s != RUN_NONE_)
		return s;
	crash_point("undoing");
	at->row.state = ROW_UNDOING;
	if (at->ops && run_limit_ms(run) > 0)
		at->deadline_ms = n->now_ms(n) + run_limit_ms(run);
	*begun = true;
	return RUN_NONE_;
}

static enum run_state undo_row(struct run *run, const struct wake *wake, struct wait *next)
{
	struct err err = ERR_INIT;
	struct wake w = *wake;
	enum run_state s;
	bool begun;
	int r;

	if (run->at.row.state == ROW_PLANNED) {
		run->pending = ROW_SKIPPED;
		return record(run, next);
	}
	s = begin(run, &begun, next);
	if (s != RUN_NONE_)
		return s;
	if (begun)
		w = (struct wake){ .why = WAKE_BEGIN };
	else if (w.why == WAKE_BEGIN)
		w.why = WAKE_RESUME;
	if (run->at.ops) {
		r = cursor_call(run, run->at.ops->undo, &w, next, &err);
	} else {
		err = run->at.bad;
		r = -err.code;
	}
	if (r == STEP_WAIT)
		return RUN_WAITING;
	crash_point("compensated");
	if (r == -ESTALE && journal_error(run->j) == ESTALE)
		return run_unwritten(run, next, &err);
	run->pending = r == 0 ? ROW_UNDONE : ROW_STUCK;
	run->pending_err = err;
	return record(run, next);
}

enum run_state undo_turn(struct run *run, const struct wake *wake, struct wait *next)
{
	struct err err = ERR_INIT;
	int r;

	if (run->pending != ROW_NONE_)
		return record(run, next);
	if (!run->fenced) {
		r = fence_turn(run, next, &err);
		if (r == STEP_WAIT)
			return RUN_WAITING;
		if (r == -ESTALE && journal_error(run->j) == ESTALE)
			return run_unwritten(run, next, &err);
		if (r < 0)
			return end(run, &err, next);
		run->fenced = true;
		return RUN_NONE_;
	}
	r = cursor_next_undo(run, &err);
	if (r == 0)
		return end(run, NULL, next);
	if (r < 0)
		return end(run, &err, next);
	return undo_row(run, wake, next);
}
