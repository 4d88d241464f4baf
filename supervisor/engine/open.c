/* SPDX-License-Identifier: Apache-2.0 */
/* An event happens: the move and the rows of its plan, as one commit. */
#include "supervisor/engine/run.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/json.h"
#include "supervisor/engine/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	int r = run_undoes(run, row, err);

	return r <= 0 ? r
		      : journal_each_step(run->j, row->seq, OLDEST_FIRST, unstick_step, run, err);
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
	if (plan == PLAN_EXEC_UNDO)
		json_put_text(want, "exec", run->exec);
	fence.want = json_write(want);
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
	*ret = text && *text ? json_read(text) : json_object_new_object();
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

static int skip_step(void *arg, const struct step_row *row, struct err *err)
{
	struct run *run = arg;

	if (row->state != ROW_PLANNED)
		return 0;
	return journal_settle(run->j, row->seq, ROW_SKIPPED, NULL, run_wall_ms(run), err);
}

int run_skip_rest(struct run *run, struct err *err)
{
	return journal_each_step(run->j, run->seq, OLDEST_FIRST, skip_step, run, err);
}

/* Of the plan as it is now: what comes after the step at the cursor. */
static int plan_rest(struct run *run, const struct plan_list *list, struct err *err)
{
	size_t i = 0;

	while (i < list->n && strcmp(list->at[i].kind, run->at.row.kind) != 0)
		i++;
	if (i == list->n)
		return err_say(err, EPROTO, "the plan %s has no step %s any more",
			       plan_name(run->plan), run->at.row.kind);
	return journal_plan_more(run->j, run->seq, &list->at[i + 1], list->n - i - 1, err);
}

int run_replan(struct run *run, struct err *err)
{
	plan_fn *make = run->engine->make ? run->engine->make : plan_make;
	auto_json json_object *asked = NULL;
	auto_free struct plan_list *list = calloc(1, sizeof(*list));
	int r = list ? run_load_task(run, err) : err_set(err, ENOMEM, "a plan");

	if (r == 0)
		r = parse_request(&asked, run->task.request, "request", err);
	if (r == 0)
		r = make(list, run->plan, &run->task, asked, NULL, err);
	if (r < 0)
		return r;
	r = run_skip_rest(run, err);
	if (r == 0)
		r = plan_rest(run, list, err);
	plan_clear(list);
	return r;
}

static int kill_args(json_object **ret, const struct run *run, const struct run_options *o,
		     struct err *err)
{
	json_object *args = *ret = json_object_new_object();
	bool paused = run->life == LIFE_PAUSING || run->life == LIFE_PAUSED ||
		      run->life == LIFE_RESUMING;

	json_put_int(args, "signal", o->signal);
	json_put(args, "all", json_object_new_boolean(o->all));
	if (paused) /* a frozen init takes its signal from the runtime, which may thaw */
		json_put(args, "paused", json_object_new_boolean(true));
	return args && !json_object_get_userdata(args) ? 0 : err_set(err, ENOMEM, "kill");
}

/* What the event's plan is made of besides the request. The caller puts it. */
static int event_args(struct run *run, enum life_event ev, const struct run_options *o,
		      json_object **ret, struct err *err)
{
	int r;

	if (ev == EV_KILL && o)
		return kill_args(ret, run, o, err);
	r = parse_request(ret, o ? o->args : NULL, "arguments of the event", err);
	if (r < 0 || (ev != EV_EXEC && ev != EV_EXEC_DELETE))
		return r;
	r = run_set_exec(run, *ret, "exec_id", err);
	if (r == 0 && !run->exec)
		r = err_say(err, EINVAL, "task %s: an exec without an id", run->task.key.id);
	return r;
}

/* The event is accepted: plan it. */
static int open_event(struct run *run, enum life_event ev, const struct arrow *arrow,
		      const struct run_options *o, struct err *err)
{
	json_object *args = NULL;
	int r = event_args(run, ev, o, &args, err);

	if (r < 0) {
		json_object_put(args);
		return r;
	}
	return open_plan(run, plan_beside(arrow->run) ? EV_NONE_ : ev, arrow->to,
			 ev == EV_CREATE && o ? o->request : NULL, args, err);
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
		r = open_event(run, ev, arrow, options, err);
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
