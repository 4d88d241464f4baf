/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/engine/run.h"

#include "journal/base/crash.h"
#include "supervisor/bundle/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- beginning a step: probe, intend --------------------------------------------------- */

static int commit_intent(struct run *run, bool foreign, const char *why, struct err *err)
{
	struct node *n = run->engine->node;
	struct cursor *at = &run->at;
	int64_t now = run_wall_ms(run);
	int r = journal_begin(run->j, err);

	if (r < 0)
		return r;
	r = journal_intend(run->j, at->row.seq, n->epoch(n),
			   at->ops->effect == EFFECT_DURABLE, now, err);
	if (r == 0 && json_object_object_length(at->have) > 0)
		r = journal_have(run->j, at->row.seq, json_write(at->have), err);
	if (r == 0 && foreign)
		r = journal_settle(run->j, at->row.seq, ROW_FOREIGN, why, now, err);
	if (r == 0)
		return journal_commit(run->j, err);
	journal_rollback(run->j);
	return r;
}

static int probe(struct run *run, struct err *err)
{
	struct cursor *at = &run->at;
	struct step step = {
		.seq = at->row.seq, .ops = at->ops, .task = &run->task,
		.want = at->want, .have = at->have,
	};
	struct node *n = run->engine->node;
	int fact;

	if (!at->ops->probe)
		return FACT_ABSENT;
	step.epoch = n->epoch(n);
	fact = at->ops->probe(&step, &run->env, err);
	at->have = step.have;
	if (fact == FACT_UNSURE || fact == FACT_NONE_)
		return err_say(err, EIO, "%s: the host can't tell what stands there already",
			       at->row.kind);
	return fact;
}

/* 0: the intent is committed; < 0: it is not (*unwritten: for the journal's sake), or
 * what is there is not ours and the row says so. */
static int begin_step(struct run *run, bool *unwritten, struct err *err)
{
	struct node *n = run->engine->node;
	struct cursor *at = &run->at;
	struct err write = ERR_INIT;
	bool foreign;
	char *epoch;
	int fact, r;

	*unwritten = false;
	r = run_load_task(run, err);
	if (r < 0)
		return r;
	fact = probe(run, err);
	if (fact < 0)
		return fact;
	foreign = fact == FACT_FOREIGN;
	r = commit_intent(run, foreign, foreign ? err->text : NULL, &write);
	if (r < 0) {
		*err = write;
		*unwritten = true;
		return r;
	}
	crash_point("intent");
	if (foreign) {
		at->row.state = ROW_FOREIGN;
		return err->code ? -err->code : err_say(err, EEXIST, "%s: it exists", at->row.kind);
	}
	epoch = strdup(n->epoch(n));
	if (!epoch)
		return err_set(err, ENOMEM, "%s", at->row.kind);
	free(at->row.epoch);
	at->row.epoch = epoch;
	at->row.state = ROW_INTENT;
	at->deadline_ms = run_limit_ms(run) > 0 ? n->now_ms(n) + run_limit_ms(run) : 0;
	return 0;
}

/* ---- failing ------------------------------------------------------------------------------ */


/* What undoes a failed run; PLAN_NONE: nothing does. */
static enum plan undo_of(const struct run *run, const struct arrow *arrow)
{
	return run->plan == PLAN_EXEC ? PLAN_EXEC_UNDO : arrow ? arrow->run : PLAN_NONE;
}

static int write_failure(struct run *run, const struct arrow *arrow, struct err *err)
{
	enum plan undo = undo_of(run, arrow);
	const struct cursor *at = &run->at;
	const char *why = run->why.text;
	int r = 0;

	if (at->row.seq && at->row.state == ROW_INTENT)
		r = journal_settle(run->j, at->row.seq, ROW_FAILED, why, run_wall_ms(run), err);
	if (r == 0)
		r = journal_close_run(run->j, run->seq, RUN_FAILED_ROW, why, run_wall_ms(run), err);
	if (r == 0)
		r = journal_set_text(run->j, TASK_ERROR, why, err);
	if (r == 0 && arrow)
		r = journal_move(run->j, life_state_name(run->life), life_state_name(arrow->to),
				 life_event_name(EV_FAIL), err);
	if (r == 0 && undo == PLAN_NONE) /* a failed start, pause or kill: nothing is taken back */
		r = run_skip_rest(run, err);
	else if (r == 0)
		r = run_plan_undo(run, undo, err);
	return r;
}

/* One commit: the step's and the run's outcome, the move, and the plan of the undo. */
static int commit_failure(struct run *run, const struct arrow *arrow, struct err *err)
{
	int r = journal_begin(run->j, err);

	if (r < 0)
		return r;
	r = write_failure(run, arrow, err);
	if (r == 0)
		return journal_commit(run->j, err);
	journal_rollback(run->j);
	return r;
}

/* It can't be written that we undo now; the host is cleaned all the same. */
static void undo_mutely(struct run *run, enum plan undo, const struct err *write)
{
	run->mute = true;
	run->mute_err = *write;
	run->below = INT64_MAX;
	run->seq = 0;
	run->plan = undo;
	run->opened_ms = run_wall_ms(run);
}

static enum run_state failed(struct run *run, struct wait *next)
{
	const struct arrow *arrow = NULL;
	enum plan plan = run->plan;
	int64_t seq = run->seq;
	struct err write = ERR_INIT;
	enum run_state s;
	enum plan undo;
	int r;

	if (!plan_beside(plan))
		arrow = life_arrow(run->life, EV_FAIL);
	undo = undo_of(run, arrow);
	run->failed = undo != PLAN_NONE;
	r = commit_failure(run, arrow, &write);
	if (r < 0) {
		run->plan = plan;
		run->seq = seq;
		s = run_unwritten(run, next, &write);
		if (s != RUN_NONE_)
			return s;
		if (run->failed)
			undo_mutely(run, undo, &write);
	}
	crash_point("failed");
	run->pending = ROW_NONE_;
	cursor_clear(run);
	if (arrow)
		run->life = arrow->to;
	return run->failed ? RUN_NONE_ : RUN_FAILED;
}

/* ---- succeeding ----------------------------------------------------------------------------- */

static int commit_done(struct run *run, enum life_state to, struct err *err)
{
	int r = journal_begin(run->j, err);

	if (r < 0)
		return r;
	r = journal_close_run(run->j, run->seq, RUN_DONE_ROW, NULL, run_wall_ms(run), err);
	if (r == 0 && to != LIFE_NONE_)
		r = journal_move(run->j, life_state_name(run->life), life_state_name(to),
				 life_event_name(EV_DONE), err);
	if (r == 0)
		return journal_commit(run->j, err);
	journal_rollback(run->j);
	return r;
}

static enum run_state fail(struct run *run, const struct err *why, struct wait *next)
{
	run->pending = ROW_FAILED;
	run->why = *why;
	return failed(run, next);
}

static enum run_state done(struct run *run, struct wait *next)
{
	enum life_state to = LIFE_NONE_;
	struct err err = ERR_INIT;
	enum run_state s;

	if (!plan_beside(run->plan))
		to = life_arrow(run->life, EV_DONE)->to;
	if (commit_done(run, to, &err) < 0) {
		s = run_unwritten(run, next, &err);
		return s != RUN_NONE_ ? s : fail(run, &err, next);
	}
	crash_point("done");
	if (to != LIFE_NONE_)
		run->life = to;
	return RUN_DONE;
}

static bool replans(const struct cursor *at)
{
	return at->ops->replans && json_object_object_get_ex(at->have, at->ops->replans, NULL);
}

/* One commit: that the step is done, and what comes after it, if that is not as planned. */
static int commit_step(struct run *run, struct err *err)
{
	int r = journal_begin(run->j, err);

	if (r < 0)
		return r;
	r = journal_settle(run->j, run->at.row.seq, ROW_DONE, NULL, run_wall_ms(run), err);
	if (r == 0 && replans(&run->at))
		r = run_replan(run, err);
	if (r == 0)
		return journal_commit(run->j, err);
	journal_rollback(run->j);
	return r;
}

/* Write that the step is done. RUN_NONE_: written, go on. */
static enum run_state settle_done(struct run *run, struct wait *next)
{
	struct err err = ERR_INIT;
	enum run_state s;

	if (commit_step(run, &err) < 0) {
		s = run_unwritten(run, next, &err);
		return s != RUN_NONE_ ? s : fail(run, &err, next);
	}
	crash_point("settled");
	run->pending = ROW_NONE_;
	cursor_clear(run);
	return RUN_NONE_;
}

/* ---- a turn ------------------------------------------------------------------------------------ */

/* The step at the cursor. 0 done, STEP_WAIT, < 0 failed; *s is set if the run is to
 * answer that at once. */
static int step_turn(struct run *run, const struct wake *wake, struct wait *next,
		     enum run_state *s, struct err *err)
{
	struct wake w = *wake;
	bool unwritten;
	int r;

	if (!run->at.ops) {
		*err = run->at.bad;
		return -err->code;
	}
	if (run->at.row.state == ROW_PLANNED) {
		r = begin_step(run, &unwritten, err);
		if (unwritten)
			*s = run_unwritten(run, next, err);
		if (r < 0)
			return r;
		w = (struct wake){ .why = WAKE_BEGIN };
	} else if (w.why == WAKE_BEGIN) {
		w.why = WAKE_RESUME;
	}
	r = cursor_call(run, run->at.ops->apply, &w, next, err);
	crash_point("applied");
	if (r == -ESTALE && journal_error(run->j) == ESTALE)
		*s = run_unwritten(run, next, err);
	return r;
}

/* One step, or the end. */
static enum run_state one(struct run *run, const struct wake *wake, struct wait *next)
{
	enum run_state s = RUN_NONE_;
	struct err err = ERR_INIT;
	int r = cursor_next_apply(run, &err);

	if (r == 0)
		return done(run, next);
	if (r > 0)
		r = step_turn(run, wake, next, &s, &err);
	if (s != RUN_NONE_)
		return s;
	if (r == STEP_WAIT)
		return RUN_WAITING;
	if (r < 0)
		return fail(run, &err, next);
	run->pending = ROW_DONE;
	return settle_done(run, next);
}

enum run_state apply_turn(struct run *run, const struct wake *wake, struct wait *next)
{
	if (run->pending == ROW_DONE)
		return settle_done(run, next);
	if (run->pending == ROW_FAILED)
		return failed(run, next);
	return one(run, wake, next);
}
