/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/engine/engine.h"

#include "journal/base/cleanup.h"
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

bool plan_applies(enum plan plan)
{
	return plan == PLAN_SERVE || plan == PLAN_CREATE || plan == PLAN_START ||
	       plan == PLAN_KILL;
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

static int run_new(struct run **ret, struct engine *e, struct journal *j,
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
		.ret_listen_fd = o->ret_listen_fd, .serve = o->serve,
		.serve_arg = o->serve_arg,
	};
	memcpy(run->env.stdio, o->stdio, sizeof(o->stdio));
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

/* Why the undoing run was opened, from its fence row's want. */
static int seek_fence(void *arg, const struct step_row *row, struct err *err)
{
	struct run *run = arg;
	json_object *want, *because;

	(void)err;
	if (strcmp(row->kind, FENCE_KIND) != 0)
		return 0;
	run->fenced = row->state == ROW_DONE;
	want = json_tokener_parse(row->want);
	if (json_object_object_get_ex(want, "because", &because)) {
		run->failed = true;
		err_say(&run->why, (int)json_int(because, "code", EIO), "%s",
			json_text(because, "text", ""));
	}
	json_object_put(want);
	return 1;
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
	if (r < 0 || plan_applies(run->plan))
		return r;
	r = journal_each_step(run->j, run->seq, OLDEST_FIRST, seek_fence, run, err);
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

	cursor_clear(run);
	run->fenced = false;
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

/* ---- opening --------------------------------------------------------------------------- */

/* STUCK rows of the scope are tried again: as ones whose undo is under way. */
static int unstick_step(void *arg, const struct step_row *row, struct err *err)
{
	struct run *run = arg;

	if (row->state != ROW_STUCK)
		return 0;
	return journal_settle(run->j, row->seq, ROW_UNDOING, row->error, run_wall_ms(run), err);
}

static int unstick(void *arg, const struct run_row *row, struct err *err)
{
	struct run *run = arg;

	if (!plan_undoes(run->plan, plan_of(row->plan)))
		return 0;
	return journal_each_step(run->j, row->seq, OLDEST_FIRST, unstick_step, run, err);
}

int run_plan_undo(struct run *run, enum plan plan, struct err *err)
{
	json_object *want = json_object_new_object();
	struct planned fence = { .kind = FENCE_KIND };
	int r;

	if (run->failed) {
		json_object *because = json_object_new_object();

		json_put_int(because, "code", run->why.code);
		json_put_text(because, "text", run->why.text);
		json_object_object_add(want, "because", because);
	}
	fence.want = json_object_to_json_string_ext(want, JSON_C_TO_STRING_PLAIN);
	run->plan = plan;
	run->opened_ms = run_wall_ms(run);
	run->fenced = false;
	r = journal_plan(run->j, plan_name(plan), &fence, 1, run->opened_ms, &run->seq, err);
	json_object_put(want);
	return r < 0 ? r : journal_each_run(run->j, OLDEST_FIRST, unstick, run, err);
}

static int plan_rows(struct run *run, const struct plan_list *list, struct err *err)
{
	if (!plan_applies(run->plan))
		return run_plan_undo(run, run->plan, err);
	run->opened_ms = run_wall_ms(run);
	return journal_plan(run->j, plan_name(run->plan), list->at, list->n, run->opened_ms,
			    &run->seq, err);
}

/* The move and the rows, as one commit. @ev EV_NONE_: no move. */
static int commit_plan(struct run *run, enum life_event ev, enum life_state to,
		       const char *request, const struct plan_list *list, struct err *err)
{
	int r = journal_begin(run->j, err);

	if (r < 0)
		return r;
	if (request)
		r = journal_set_text(run->j, TASK_REQUEST, request, err);
	if (r == 0 && ev != EV_NONE_)
		r = journal_move(run->j, life_state_name(run->life), life_state_name(to),
				 life_event_name(ev), err);
	if (r == 0)
		r = plan_rows(run, list, err);
	if (r == 0)
		return journal_commit(run->j, err);
	journal_rollback(run->j);
	return r;
}

static int parse_request(json_object **ret, const char *text, const char *what,
			 struct err *err)
{
	*ret = text && *text ? json_tokener_parse(text) : json_object_new_object();
	if (!json_object_is_type(*ret, json_type_object))
		return err_say(err, EINVAL, "the %s is not a JSON object", what);
	return 0;
}

/* @args is consumed. */
static int open_plan(struct run *run, enum life_event ev, enum life_state to,
		     const char *request, json_object *args, struct err *err)
{
	auto_json json_object *asked = NULL;
	auto_json json_object *given = args;
	struct plan_list *list = NULL;
	plan_fn *make = run->engine->make ? run->engine->make : plan_make;
	int r;

	if (plan_applies(run->plan)) {
		list = calloc(1, sizeof(*list));
		if (!list)
			return err_set(err, ENOMEM, "a plan");
		r = parse_request(&asked, request ? request : run->task.request, "request", err);
		if (r == 0)
			r = make(list, run->plan, &run->task, asked, given, err);
		if (r < 0) {
			free(list);
			return r;
		}
	}
	r = commit_plan(run, ev, to, request, list, err);
	if (list)
		plan_clear(list);
	free(list);
	return r < 0 ? r : run_load_task(run, err);
}

static json_object *kill_args(const struct run_options *o)
{
	json_object *args = json_object_new_object();

	json_put_int(args, "signal", o->signal);
	json_object_object_add(args, "all", json_object_new_boolean(o->all));
	return args;
}

int run_open(struct run **ret, struct engine *e, struct journal *j, enum life_event ev,
	     const struct run_options *options, struct err *err)
{
	const struct arrow *arrow;
	struct run *run = NULL;
	int r = run_new(&run, e, j, options, err);

	if (r < 0)
		return r;
	arrow = life_arrow(run->life, ev);
	run->plan = arrow->run;
	if (arrow->to == LIFE_NONE_)
		r = err_say(err, arrow->code, "%s", arrow->why);
	else if (arrow->run == PLAN_NONE)
		r = err_say(err, EINVAL, "the event %s has no plan to run",
			    life_event_name(ev));
	else
		r = open_plan(run, arrow->run == PLAN_KILL ? EV_NONE_ : ev, arrow->to,
			      ev == EV_CREATE && options ? options->request : NULL,
			      ev == EV_KILL && options ? kill_args(options) : NULL, err);
	if (r < 0) {
		run_close(run);
		return r;
	}
	*ret = run;
	return 0;
}

int run_serve(struct run **ret, struct engine *e, struct journal *j, const char *args,
	      const struct run_options *options, struct err *err)
{
	json_object *given = NULL;
	struct run *run = NULL;
	int r = run_new(&run, e, j, options, err);

	if (r < 0)
		return r;
	run->plan = PLAN_SERVE;
	if (run->life != LIFE_NEW)
		r = err_say(err, EEXIST, "task %s: a shim serves a new task only, and it is %s",
			    run->task.key.id, run->task.state);
	else
		r = parse_request(&given, args, "serve plan's arguments", err);
	if (r == 0) {
		r = open_plan(run, EV_NONE_, LIFE_NEW, NULL, given, err);
		given = NULL;
	}
	json_object_put(given);
	if (r < 0) {
		run_close(run);
		return r;
	}
	*ret = run;
	return 0;
}

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
