/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/engine_bench.h"

#include "supervisor/engine/plan.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* ---- kinds ------------------------------------------------------------------------------ */

static int file_probe(struct step *step, struct step_env *env, struct err *err)
{
	struct path_ident what;

	if (json_object_object_get_ex(step->want, "probe", NULL))
		return (int)json_int(step->want, "probe", FACT_UNSURE);
	if (env->node->path(env->node, json_text(step->want, "path", ""), &what, err) == 0)
		return FACT_ABSENT;
	(void)err_say(err, EEXIST, "%s is there already", json_text(step->want, "path", ""));
	return FACT_FOREIGN;
}

/* want.wait: ms to wait first; want.deaf: again when its time is over. want.fail: fail after making the file, so half. */
static int file_apply(struct step *step, struct step_env *env, const struct wake *wake,
		      struct wait *next, struct err *err)
{
	const char *path = json_text(step->want, "path", "");
	int64_t wait = json_int(step->want, "wait", 0);
	int r;

	bool late = wake->why == WAKE_DEADLINE;

	if (late && !json_true(step->want, "deaf"))
		return err_say(err, ETIMEDOUT, "%s took too long", path);
	if (wait && (late || wake->why == WAKE_BEGIN))
		return step_again(env, (int)wait, next);
	r = env->node->write_file(env->node, path, "x", 1, 0600, err);
	if (r < 0)
		return r;
	json_put_text(step->have, "made", path);
	r = step_save(step, env, err);
	if (r < 0)
		return r;
	return !json_true(step->want, "fail") ? 0
		: err_say(err, (int)json_int(step->want, "code", EPERM), "%s is not wanted", path);
}

static int file_undo(struct step *step, struct step_env *env, const struct wake *wake,
		     struct wait *next, struct err *err)
{
	const char *path = json_text(step->want, "path", "");
	struct path_ident what;
	int r;

	if (wake->why == WAKE_DEADLINE)
		return err_say(err, ETIMEDOUT, "%s took too long to go", path);
	if (json_int(step->want, "linger", 0) && wake->why == WAKE_BEGIN)
		return step_again(env, (int)json_int(step->want, "linger", 0), next);
	if (json_true(step->want, "stuck") && env->node->path(env->node, "/melt", &what, NULL) == 0)
		return err_say(err, (int)json_int(step->want, "code", EBUSY), "%s is frozen", path);
	r = env->node->path(env->node, path, &what, err);
	if (r > 0)
		r = env->node->remove_file(env->node, path, &what, err);
	return r < 0 ? r : 0;
}

/* A child that never ends by itself. */
static int child_apply(struct step *step, struct step_env *env, const struct wake *wake,
		       struct wait *next, struct err *err)
{
	struct spawn spawn = { .job = JOB_CALL, .in = -1, .out = -1, .err = -1 };

	if (wake->why == WAKE_BEGIN)
		return step_spawn(step, env, &spawn, "a child", next, err);
	if (wake->why == WAKE_DEADLINE)
		return err_say(err, ETIMEDOUT, "the child was killed: %d", wake->status);
	return wake->why == WAKE_CHILD && wake->child && wake->child->ended ? 0
			: err_say(err, EINTR, "interrupted");
}

/* What was to come after it is planned anew, from want.then. */
static int turn_apply(struct step *step, struct step_env *env, const struct wake *wake,
		      struct wait *next, struct err *err)
{
	json_object *then = json_object_object_get(step->want, "then");
	int r;

	if (json_int(step->want, "wait", 0) && wake->why == WAKE_BEGIN)
		return step_again(env, (int)json_int(step->want, "wait", 0), next);
	if (!then)
		return 0;
	r = journal_set_text(env->journal, TASK_REQUEST, json_object_to_json_string(then), err);
	json_put(step->have, "turned", json_object_new_boolean(true));
	return r < 0 ? r : step_save(step, env, err);
}

static int nothing_undo(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	(void)step;
	(void)env;
	(void)wake;
	(void)next;
	(void)err;
	return 0;
}

static const struct step_ops file_kind = { .kind = "file", .effect = EFFECT_VOLATILE,
	.apply_ms = 1000, .undo_ms = 1000, .probe = file_probe, .apply = file_apply,
	.undo = file_undo };
static const struct step_ops child_kind = { .kind = "child", .effect = EFFECT_VOLATILE,
	.apply_ms = 1000, .undo_ms = 1000, .apply = child_apply, .undo = nothing_undo };
static const struct step_ops turn_kind = { .kind = "turn", .effect = EFFECT_VOLATILE,
	.apply_ms = 1000, .undo_ms = 1000, .replans = "turned", .apply = turn_apply,
	.undo = nothing_undo };
/* As long as it takes. */
static const struct step_ops slow_kind = { .kind = "slow", .effect = EFFECT_VOLATILE,
	.probe = file_probe, .apply = file_apply, .undo = file_undo };
static const struct step_ops *const kinds[] = { &file_kind, &child_kind, &turn_kind, &slow_kind,
						NULL };

static const char *kind_of(json_object *want)
{
	for (size_t i = 0; kinds[i]; i++)
		if (strcmp(json_text(want, "kind", ""), kinds[i]->kind) == 0)
			return kinds[i]->kind;
	return file_kind.kind;
}

/* The request says it all: { "<plan>": [ want ] }, the kind is a member of it. */
static int make(struct plan_list *ret, enum plan plan, const struct task_row *task,
		json_object *request, json_object *args, struct err *err)
{
	json_object *list = json_list(plan == PLAN_SERVE ? args : request, plan_name(plan));

	(void)task;
	(void)err;
	ret->n = 0;
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		json_object *want = json_object_array_get_idx(list, i);

		ret->at[ret->n++] = (struct planned){
			.kind = kind_of(want),
			.want = strdup(json_object_to_json_string(want)),
		};
	}
	return 0;
}

/* ---- a bench -------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

int bench_open(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct err err = ERR_INIT;
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(b->folder, sizeof(b->folder), "%.40s/run-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(b->folder));
	(void)snprintf(b->root, sizeof(b->root), "%s/journal", b->folder);
	(void)snprintf(b->run, sizeof(b->run), "%s/run", b->folder);
	assert_int_equal(journal_place_make(&b->place, b->root, b->run, &err), 0);
	assert_int_equal(task_key_make(&b->key, "/run/c.sock", "default", "t1", &err), 0);
	b->sim = sim_new();
	sim_node_init(&b->node, b->sim);
	sim_play(b->sim, "shim");
	b->engine = (struct engine){ .node = &b->node.node, .kinds = kinds, .make = make };
	assert_int_equal(journal_open(&b->j, &b->place, &b->key, JOURNAL_CREATE, &err), 0);
	assert_int_equal(journal_set_text(b->j, TASK_EPOCH, b->sim->epoch, &err), 0);
	*state = b;
	return 0;
}

int bench_close(void **state)
{
	struct bench *b = *state;

	journal_close(b->j);
	nftw(b->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	sim_free(b->sim);
	free(b);
	return 0;
}

bool bench_there(struct bench *b, const char *path)
{
	return sim_file(b->sim, path) != NULL;
}

struct run *bench_opened(struct bench *b, enum life_event ev, const char *request)
{
	struct run_options o = RUN_OPTIONS_INIT;
	struct err err = ERR_INIT;
	struct run *run = NULL;

	o.request = request;
	o.recovering = ev == EV_RECOVER;
	if (run_open(&run, &b->engine, b->j, ev, &o, &err) < 0)
		fail_msg("%s: %s", life_event_name(ev), err.text);
	return run;
}

enum run_state bench_happens(struct bench *b, enum life_event ev, const char *request,
			      struct err *err)
{
	struct run *run = bench_opened(b, ev, request);
	enum run_state s = drive(run, &b->node.node, 0, NULL, NULL);

	if (err)
		*err = *run_error(run);
	run_close(run);
	return s;
}

enum life_state bench_life(struct bench *b)
{
	struct task_row row;
	enum life_state s;

	assert_int_equal(journal_task(b->j, &row, NULL), 0);
	s = life_state_of(row.state);
	task_row_clear(&row);
	return s;
}

struct census {
	enum row_state state;
	int n;
};

static int count_row(void *arg, const struct step_row *row, struct err *err)
{
	struct census *c = arg;

	(void)err;
	c->n += row->state == c->state && strcmp(row->kind, "fence") != 0;
	return 0;
}

int bench_rows(struct bench *b, enum row_state state)
{
	struct census c = { .state = state };

	assert_int_equal(journal_each_step(b->j, 0, OLDEST_FIRST, count_row, &c, NULL), 0);
	return c.n;
}

static int count_open(void *arg, const struct run_row *row, struct err *err)
{
	(void)err;
	*(int *)arg += row->outcome == RUN_OPEN_ROW;
	return 0;
}

int bench_open_runs(struct bench *b)
{
	int n = 0;

	assert_int_equal(journal_each_run(b->j, OLDEST_FIRST, count_open, &n, NULL), 0);
	return n;
}


void bench_sql(struct bench *b, const char *text)
{
	char file[256];
	sqlite3 *db = NULL;

	(void)snprintf(file, sizeof(file), "%s/live/%s/default/t1.db", b->root, b->key.daemon);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}
