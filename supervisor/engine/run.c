/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/engine/engine.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/json.h"
#include "supervisor/engine/plan.h"
#include "supervisor/engine/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int64_t run_wall_ms(const struct run *run)
{
	struct node *n = run->engine->node;

	return n->wall_ns(n) / 1000000;
}

int run_again(const struct run *run, int ms, struct wait *next)
{
	struct node *n = run->engine->node;

	*next = (struct wait){ .fd = -1, .at_ms = n->now_ms(n) + ms };
	return STEP_WAIT;
}

/* ---- making and forgetting the cursor ------------------------------------------------ */

int run_load_task(struct run *run, struct err *err)
{
	struct task_row row;
	int r = journal_task(run->j, &row, err);

	if (r < 0)
		return r;
	task_row_clear(&run->task);
	run->task = row;
	run->life = life_state_of(row.state);
	if (run->life == LIFE_NONE_)
		return err_say(err, EPROTO, "task %s: this version knows no state called %s",
			       row.key.id, row.state);
	return 0;
}

static int keep_input(struct run *run, const struct run_options *o, struct err *err)
{
	if (!o->input)
		return 0;
	run->env.input = run->input = strdup(o->input);
	return run->input ? 0 : err_set(err, ENOMEM, "task %s: a run", journal_key(run->j)->id);
}

int run_new(struct run **ret, struct engine *e, struct journal *j,
		   const struct run_options *options, struct err *err)
{
	static const struct run_options none = RUN_OPTIONS_INIT;
	const struct run_options *o = options ? options : &none;
	struct run *run = calloc(1, sizeof(*run));
	int r;

	if (!run)
		return err_set(err, ENOMEM, "task %s: a run", journal_key(j)->id);
	run->engine = e;
	run->j = j;
	run->below = INT64_MAX;
	run->env = (struct step_env){
		.node = e->node, .journal = j, .config = e->config,
		.recovering = o->recovering, .forgotten = o->forgotten, .shared = o->shared,
		.ret_console_fd = o->ret_console_fd,
		.ret_listen_fd = o->ret_listen_fd, .serve = o->serve,
		.serve_arg = o->serve_arg,
	};
	memcpy(run->env.stdio, o->stdio, sizeof(o->stdio));
	r = keep_input(run, o, err);
	if (r == 0)
		r = run_load_task(run, err);
	if (r < 0) {
		run_close(run);
		return r;
	}
	*ret = run;
	return 0;
}

struct run *run_close(struct run *run)
{
	if (!run)
		return NULL;
	cursor_clear(run);
	task_row_clear(&run->task);
	free(run->exec);
	free(run->input);
	free(run);
	return NULL;
}

struct newest {
	int64_t seq; /* wanted; 0: the newest open one */
	struct run_row *row;
	bool serve_failed;
};

static int seek_run(void *arg, const struct run_row *row, struct err *err)
{
	struct newest *s = arg;

	if (s->seq ? row->seq != s->seq : row->outcome != RUN_OPEN_ROW)
		return 0;
	*s->row = *row;
	s->row->error = NULL;
	s->row->plan = strdup(row->plan);
	return s->row->plan ? 1 : err_set(err, ENOMEM, "run %lld", (long long)row->seq);
}

int run_set_exec(struct run *run, json_object *of, const char *name, struct err *err)
{
	const char *id = json_text(of, name, "");

	free(run->exec);
	run->exec = *id ? strdup(id) : NULL;
	return *id && !run->exec ? err_set(err, ENOMEM, "exec %s", id) : 0;
}

/* Whose process an exec run is about. */
static int seek_exec(void *arg, const struct step_row *row, struct err *err)
{
	auto_json json_object *want = NULL;
	int r = json_read_row(&want, row->want, "the want of an exec", err);

	if (r == 0)
		r = run_set_exec(arg, want, "exec_id", err);
	return r < 0 ? r : 1;
}

/* Why the undoing run was opened, from the want of its one row, the fence. */
static int seek_fence(void *arg, const struct step_row *row, struct err *err)
{
	struct run *run = arg;
	json_object *want, *because;
	int r;

	run->fenced = row->state == ROW_DONE;
	r = json_read_row(&want, row->want, "the want of the fence", err);
	if (r < 0)
		return r;
	if (json_object_object_get_ex(want, "because", &because)) {
		run->failed = true;
		err_say(&run->why, (int)json_int(because, "code", EIO), "%s",
			json_text(because, "text", ""));
	}
	r = run_set_exec(run, want, "exec", err);
	json_object_put(want);
	return r < 0 ? r : 1;
}

/* Everything of the cursor from rows. 1, or 0: no such run. */
static int run_load(struct run *run, int64_t seq, struct err *err)
{
	struct run_row row = { 0 };
	struct newest s = { .seq = seq, .row = &row };
	int r = journal_each_run(run->j, NEWEST_FIRST, seek_run, &s, err);

	if (r <= 0)
		return r;
	run->seq = row.seq;
	run->plan = plan_of(row.plan);
	run->opened_ms = row.opened_ms;
	if (run->plan == PLAN_NONE)
		r = err_say(err, EPROTO, "run %lld: this version knows no plan called %s",
			    (long long)row.seq, row.plan);
	run_row_clear(&row);
	if (r < 0 || (plan_applies(run->plan) && run->plan != PLAN_EXEC))
		return r;
	r = journal_each_step(run->j, run->seq, OLDEST_FIRST,
			      run->plan == PLAN_EXEC ? seek_exec : seek_fence, run, err);
	if (r >= 0 && !run->exec && (run->plan == PLAN_EXEC || run->plan == PLAN_EXEC_UNDO))
		r = err_say(err, EUCLEAN, "run %lld: its rows do not say whose exec it is",
			    (long long)run->seq);
	return r < 0 ? r : 1;
}

int run_resume(struct run **ret, struct engine *e, struct journal *j,
	       const struct run_options *options, struct err *err)
{
	struct run *run = NULL;
	int r = run_new(&run, e, j, options, err);

	if (r < 0)
		return r;
	r = run_load(run, 0, err);
	if (r <= 0) {
		run_close(run);
		return r;
	}
	*ret = run;
	return 1;
}

#ifdef URUNC_AMNESIA
/* What a new process would know, which has the same journal to write to. */
static int forget(struct run *run, struct err *err)
{
	int r;

	if (!run->mute) {
		cursor_clear(run);
		run->fenced = false;
	}
	if (!run->mute && run->pending == ROW_NONE_) {
		run->failed = false;
		run->why = (struct err)ERR_INIT;
	}
	r = run_load_task(run, err);
	if (r == 0 && !run->mute)
		r = run_load(run, run->seq, err);
	return r < 0 ? r : 0;
}
#endif

/* ---- waking ------------------------------------------------------------------------------ */

enum run_state run_unwritten(struct run *run, struct wait *next, const struct err *err)
{
	if (err->code == EBUSY && ++run->busy < BUSY_TRIES) {
		run_again(run, BUSY_AGAIN_MS, next);
		return RUN_WAITING;
	}
	if (err->code != ESTALE)
		return RUN_NONE_;
	run->why = *err;
	return RUN_STUCK;
}

static enum run_state turns(struct run *run, const struct wake *wake, struct wait *next)
{
	enum run_state s = RUN_NONE_;
	struct wake w = *wake;

	while (s == RUN_NONE_) {
		s = plan_applies(run->plan) ? apply_turn(run, &w, next) : undo_turn(run, &w, next);
		w = (struct wake){ .why = WAKE_BEGIN };
	}
	return s;
}

/* All that a wake reads is read at once. */
static enum run_state held_turns(struct run *run, const struct wake *wake, struct wait *next)
{
	enum run_state s;

	journal_hold(run->j);
#ifdef URUNC_AMNESIA
	s = forget(run, &run->why) < 0 ? RUN_STUCK : turns(run, wake, next);
#else
	s = turns(run, wake, next);
#endif
	journal_let(run->j);
	return s;
}

enum run_state run_wake(struct run *run, const struct wake *wake, struct wait *next)
{
	enum run_state s;

	if (run->over != RUN_NONE_)
		return run->over;
	*next = (struct wait){ .fd = -1 };
	s = held_turns(run, wake, next);
	if (s != RUN_WAITING) {
		cursor_clear(run);
		run->over = s;
	}
	return s;
}

int run_child(struct run *run, struct ident *ret)
{
	struct child_row child;
	int r = cursor_child(run, &child, NULL);

	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret = child.ident;
	child_row_clear(&child);
	return 0;
}

enum plan run_plan(const struct run *run)
{
	return run->plan;
}

const struct err *run_error(const struct run *run)
{
	return &run->why;
}

enum life_state run_life(const struct run *run)
{
	return run->life;
}

int engine_fire(struct journal *j, enum life_event ev, enum life_state *now, struct err *err)
{
	const struct arrow *arrow;
	enum life_state from;
	struct task_row row;
	int r = journal_task(j, &row, err);

	if (r < 0)
		return r;
	from = life_state_of(row.state);
	task_row_clear(&row);
	arrow = life_arrow(from, ev);
	if (arrow->to == LIFE_NONE_)
		return err_say(err, arrow->code, "%s", arrow->why);
	if (arrow->run != PLAN_NONE)
		return err_say(err, EINVAL, "the event %s has a plan: open a run",
			       life_event_name(ev));
	r = journal_move(j, life_state_name(from), life_state_name(arrow->to),
			 life_event_name(ev), err);
	if (r == 0 && now)
		*now = arrow->to;
	return r;
}
