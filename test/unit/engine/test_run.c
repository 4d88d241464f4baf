/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs, with kinds of steps made for the purpose: each makes one file, and does what
 * its want says. The machine is simulated, the journal is real.
 */
#include "supervisor/engine/engine.h"
#include "supervisor/engine/plan.h"
#include "test/lib/sim.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

/* ---- kinds ------------------------------------------------------------------------------ */

static int file_probe(struct step *step, struct step_env *env, struct err *err)
{
	struct path_ident what;

	if (env->node->path(env->node, json_text(step->want, "path", ""), &what, err) == 0)
		return FACT_ABSENT;
	(void)err_say(err, EEXIST, "%s is there already", json_text(step->want, "path", ""));
	return FACT_FOREIGN;
}

/* want.wait: ms to wait first. want.fail: fail after making the file, so half. */
static int file_apply(struct step *step, struct step_env *env, const struct wake *wake,
		      struct wait *next, struct err *err)
{
	const char *path = json_text(step->want, "path", "");
	int64_t wait = json_int(step->want, "wait", 0);
	int r;

	if (wake->why == WAKE_DEADLINE)
		return err_say(err, ETIMEDOUT, "%s took too long", path);
	if (wait && wake->why == WAKE_BEGIN)
		return step_again(env, (int)wait, next);
	r = env->node->write_file(env->node, path, "x", 1, 0600, err);
	if (r < 0)
		return r;
	json_put_text(step->have, "made", path);
	r = step_save(step, env, err);
	if (r < 0)
		return r;
	return json_true(step->want, "fail") ? err_say(err, EPERM, "%s is not wanted", path) : 0;
}

static int file_undo(struct step *step, struct step_env *env, const struct wake *wake,
		     struct wait *next, struct err *err)
{
	const char *path = json_text(step->want, "path", "");
	struct path_ident what;
	int r;

	(void)wake;
	(void)next;
	if (json_true(step->want, "stuck") && env->node->path(env->node, "/melt", &what, NULL) == 0)
		return err_say(err, EBUSY, "%s is frozen", path);
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
static const struct step_ops *const kinds[] = { &file_kind, &child_kind, NULL };

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
			.kind = strcmp(json_text(want, "kind", "file"), "child") == 0 ? "child" : "file",
			.want = strdup(json_object_to_json_string(want)),
		};
	}
	return 0;
}

/* ---- a bench -------------------------------------------------------------------------------- */

struct bench {
	char folder[64];
	char root[96], run[96];
	struct journal_place place;
	struct task_key key;
	struct sim *sim;
	struct sim_node node;
	struct engine engine;
	struct journal *j;
};

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct err err = ERR_INIT;
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(b->folder, sizeof(b->folder), "%.40s/run-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(b->folder));
	(void)snprintf(b->root, sizeof(b->root), "%s/journal", b->folder);
	(void)snprintf(b->run, sizeof(b->run), "%s/run", b->folder);
	b->place = (struct journal_place){ .root = b->root, .run = b->run };
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

static int teardown(void **state)
{
	struct bench *b = *state;

	journal_close(b->j);
	nftw(b->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	sim_free(b->sim);
	free(b);
	return 0;
}

static bool there(struct bench *b, const char *path)
{
	return sim_file(b->sim, path) != NULL;
}

static struct run *opened(struct bench *b, enum life_event ev, const char *request)
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

/* Open, drive, close; *err is the run's. */
static enum run_state happens(struct bench *b, enum life_event ev, const char *request,
			      struct err *err)
{
	struct run *run = opened(b, ev, request);
	enum run_state s = drive(run, &b->node.node, 0, NULL, NULL);

	if (err)
		*err = *run_error(run);
	run_close(run);
	return s;
}

static enum life_state life(struct bench *b)
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

static int rows(struct bench *b, enum row_state state)
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

static int open_runs(struct bench *b)
{
	int n = 0;

	assert_int_equal(journal_each_run(b->j, OLDEST_FIRST, count_open, &n, NULL), 0);
	return n;
}

#define TWO "{\"create\":[{\"path\":\"/a\"},{\"path\":\"/b1\",\"wait\":30}]}"

/* ---- lives ------------------------------------------------------------------------------------- */

static void a_create_makes_all_and_a_delete_takes_it_back(void **state)
{
	struct bench *b = *state;

	assert_int_equal(happens(b, EV_CREATE, TWO, NULL), RUN_DONE);
	assert_int_equal(life(b), LIFE_CREATED);
	assert_true(there(b, "/a") && there(b, "/b1"));
	assert_int_equal(rows(b, ROW_DONE), 2);
	assert_int_equal(happens(b, EV_DELETE, NULL, NULL), RUN_DONE);
	assert_int_equal(life(b), LIFE_DELETED);
	assert_false(there(b, "/a") || there(b, "/b1"));
	assert_int_equal(rows(b, ROW_UNDONE), 2);
	assert_int_equal(open_runs(b), 0);
}

static void a_failed_create_holds_nothing_and_says_why(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	assert_int_equal(happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\"},"
				 "{\"path\":\"/c\",\"fail\":true},{\"path\":\"/d\"}]}", &err),
			 RUN_UNDONE);
	assert_int_equal(err.code, EPERM);
	assert_string_equal(err.text, "/c is not wanted");
	assert_int_equal(life(b), LIFE_NEW);
	assert_false(there(b, "/a") || there(b, "/c") || there(b, "/d"));
	assert_int_equal(rows(b, ROW_SKIPPED), 1);
	assert_int_equal(happens(b, EV_CREATE, TWO, NULL), RUN_DONE);
}

static void what_is_foreign_is_refused_and_left(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	sim_make(b->sim, "/b1", S_IFREG);
	assert_int_equal(happens(b, EV_CREATE, TWO, &err), RUN_UNDONE);
	assert_int_equal(err.code, EEXIST);
	assert_true(there(b, "/b1"));
	assert_false(there(b, "/a"));
	assert_int_equal(rows(b, ROW_FOREIGN), 1);
}

static void what_cannot_be_undone_is_stuck_and_the_rest_goes_on(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	assert_int_equal(happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\"},"
				 "{\"path\":\"/c\",\"stuck\":true},{\"path\":\"/d\"}]}", NULL),
			 RUN_DONE);
	assert_int_equal(happens(b, EV_DELETE, NULL, &err), RUN_STUCK);
	assert_non_null(strstr(err.text, "/c is frozen"));
	assert_int_equal(life(b), LIFE_STUCK);
	assert_true(there(b, "/c"));
	assert_false(there(b, "/a") || there(b, "/d"));
	sim_make(b->sim, "/melt", S_IFREG);
	assert_int_equal(happens(b, EV_DELETE, NULL, NULL), RUN_DONE);
	assert_false(there(b, "/c"));
	assert_int_equal(open_runs(b), 0);
}

static void a_step_that_takes_too_long_fails(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;
	int64_t since = b->sim->now_ms;

	assert_int_equal(happens(b, EV_CREATE,
				 "{\"create\":[{\"path\":\"/a\",\"wait\":60000}]}", &err),
			 RUN_UNDONE);
	assert_int_equal(err.code, ETIMEDOUT);
	assert_in_range(b->sim->now_ms - since, 1000, 1500);
}

static void a_child_that_takes_too_long_is_killed_first(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	assert_int_equal(happens(b, EV_CREATE, "{\"create\":[{\"kind\":\"child\"}]}", &err),
			 RUN_UNDONE);
	assert_string_equal(err.text, "the child was killed: 9");
}

static void the_fence_kills_what_may_still_make_things(void **state)
{
	struct bench *b = *state;
	struct wake begin = { .why = WAKE_BEGIN };
	struct run *run = opened(b, EV_CREATE, "{\"create\":[{\"kind\":\"child\"}]}");
	struct wait next;
	struct ident child;

	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	assert_int_equal(run_child(run, &child), 0);
	run_close(run);
	assert_non_null(sim_find(b->sim, child.pid));
	assert_int_equal(happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_true(!sim_find(b->sim, child.pid) || sim_find(b->sim, child.pid)->zombie);
	assert_int_equal(life(b), LIFE_GONE);
}

static void a_process_that_does_not_die_stops_the_undo(void **state)
{
	struct bench *b = *state;
	struct wake begin = { .why = WAKE_BEGIN };
	struct run *run = opened(b, EV_CREATE,
				 "{\"create\":[{\"path\":\"/a\"},{\"kind\":\"child\"}]}");
	struct err err = ERR_INIT;
	struct wait next;
	struct ident child;

	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	assert_int_equal(run_child(run, &child), 0);
	run_close(run);
	sim_find(b->sim, child.pid)->immortal = true;
	assert_int_equal(happens(b, EV_RECOVER, NULL, &err), RUN_STUCK);
	assert_non_null(strstr(err.text, "state D"));
	assert_true(there(b, "/a"));
	assert_int_equal(life(b), LIFE_STUCK);
	sim_find(b->sim, child.pid)->immortal = false;
	assert_int_equal(happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_false(there(b, "/a"));
}

static void a_failed_start_leaves_the_task_created(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	assert_int_equal(happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\"}],"
				 "\"start\":[{\"path\":\"/s\",\"fail\":true},{\"path\":\"/t\"}]}",
				 NULL), RUN_DONE);
	assert_int_equal(happens(b, EV_START, NULL, &err), RUN_FAILED);
	assert_int_equal(err.code, EPERM);
	assert_int_equal(life(b), LIFE_CREATED);
	assert_int_equal(rows(b, ROW_FAILED), 1);
	assert_int_equal(rows(b, ROW_SKIPPED), 1);
	assert_int_equal(happens(b, EV_DELETE, NULL, NULL), RUN_DONE);
	assert_false(there(b, "/s"));
}

static void a_kill_runs_beside_a_start(void **state)
{
	struct bench *b = *state;
	struct wake begin = { .why = WAKE_BEGIN };
	struct wake timer = { .why = WAKE_TIMER };
	struct wait next;
	struct run *start;

	assert_int_equal(happens(b, EV_CREATE, "{\"create\":[],\"kill\":[{\"path\":\"/k\"}],"
				 "\"start\":[{\"path\":\"/s\",\"wait\":50}]}", NULL), RUN_DONE);
	start = opened(b, EV_START, NULL);
	assert_int_equal(run_wake(start, &begin, &next), RUN_WAITING);
	assert_int_equal(happens(b, EV_KILL, NULL, NULL), RUN_DONE);
	assert_int_equal(life(b), LIFE_STARTING);
	sim_pass(b->sim, 50);
	assert_int_equal(run_wake(start, &timer, &next), RUN_DONE);
	assert_int_equal(run_wake(start, &timer, &next), RUN_DONE);
	assert_int_equal(run_life(start), LIFE_RUNNING);
	run_close(start);
}

static void a_run_goes_on_where_it_was_closed(void **state)
{
	struct bench *b = *state;
	struct wake begin = { .why = WAKE_BEGIN };
	struct wake timer = { .why = WAKE_TIMER };
	struct run *run = opened(b, EV_CREATE, TWO);
	struct err err = ERR_INIT;
	struct wait next;

	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	run_close(run);
	assert_int_equal(run_resume(&run, &b->engine, b->j, NULL, &err), 1);
	assert_int_equal(run_plan(run), PLAN_CREATE);
	sim_pass(b->sim, 30);
	assert_int_equal(run_wake(run, &timer, &next), RUN_DONE);
	run_close(run);
	assert_true(there(b, "/a") && there(b, "/b1"));
	assert_int_equal(run_resume(&run, &b->engine, b->j, NULL, &err), 0);
}

static void a_failed_create_is_known_as_one_after_it_was_reopened(void **state)
{
	struct bench *b = *state;
	struct wake begin = { .why = WAKE_BEGIN };
	struct run *run = opened(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\"},{\"kind\":\"child\"},"
				 "{\"path\":\"/c\",\"fail\":true}]}");
	struct err err = ERR_INIT;
	struct ident child;
	struct wait next;
	struct wake ended = { .why = WAKE_CHILD, .status = 0 };

	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	assert_int_equal(run_child(run, &child), 0);
	/* Another child of it lives on: the undo waits at its fence. */
	assert_int_equal(journal_child(b->j, 0, &sim_proc_new(b->sim, "late", 1)->ident, "late",
				       b->sim->epoch, 0, 0, &(int64_t){ 0 }, &err), 0);
	assert_int_equal(run_wake(run, &ended, &next), RUN_WAITING);
	assert_int_equal(run_plan(run), PLAN_UNDO);
	run_close(run);
	assert_int_equal(run_resume(&run, &b->engine, b->j, NULL, &err), 1);
	assert_int_equal(drive(run, &b->node.node, 0, NULL, NULL), RUN_UNDONE);
	assert_int_equal(run_error(run)->code, EPERM);
	run_close(run);
	assert_int_equal(life(b), LIFE_NEW);
}

static void events_that_do_not_fit_are_refused_in_words(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;
	enum life_state now;
	struct run *run = NULL;

	assert_int_equal(run_open(&run, &b->engine, b->j, EV_START, NULL, &err), -ENOENT);
	assert_string_equal(err.text, "container not created");
	assert_int_equal(run_open(&run, &b->engine, b->j, EV_EXIT, NULL, &err), -EPROTO);
	assert_int_equal(engine_fire(b->j, EV_EXIT, &now, &err), -EPROTO);
	assert_int_equal(engine_fire(b->j, EV_CREATE, &now, &err), -EINVAL);
	assert_int_equal(happens(b, EV_CREATE, TWO, NULL), RUN_DONE);
	assert_int_equal(engine_fire(b->j, EV_EXIT, &now, &err), 0);
	assert_int_equal(now, LIFE_STOPPED);
}

static void a_request_that_is_no_object_moves_nothing(void **state)
{
	struct bench *b = *state;
	struct run_options o = RUN_OPTIONS_INIT;
	struct err err = ERR_INIT;
	struct run *run = NULL;

	o.request = "[1]";
	assert_int_equal(run_open(&run, &b->engine, b->j, EV_CREATE, &o, &err), -EINVAL);
	assert_int_equal(life(b), LIFE_NEW);
}

/* As a process that took over would. */
static void raise_lease(struct bench *b)
{
	char file[256];
	sqlite3 *db = NULL;

	(void)snprintf(file, sizeof(file), "%s/live/%s/default/t1.db", b->root, b->key.daemon);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE task SET lease=lease+1", NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(db);
}

static void who_is_fenced_stops_acting(void **state)
{
	struct bench *b = *state;
	struct wake begin = { .why = WAKE_BEGIN };
	struct wake timer = { .why = WAKE_TIMER };
	struct run *run = opened(b, EV_CREATE, TWO);
	struct wait next;

	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	raise_lease(b);
	sim_pass(b->sim, 30);
	assert_int_equal(run_wake(run, &timer, &next), RUN_STUCK);
	assert_int_equal(run_error(run)->code, ESTALE);
	run_close(run);
	b->j = journal_close(b->j);
	assert_int_equal(journal_open(&b->j, &b->place, &b->key, JOURNAL_OWN, NULL), 0);
	assert_int_equal(life(b), LIFE_CREATING);
	assert_int_equal(happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_false(there(b, "/a") || there(b, "/b1"));
}

/* From now on no file may grow: the journal's writes fail, its reads don't. */
static void fill_disk(struct rlimit *was)
{
	struct rlimit none = { .rlim_cur = 0 };

	assert_int_equal(getrlimit(RLIMIT_FSIZE, was), 0);
	none.rlim_max = was->rlim_max;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
}

static void without_a_journal_no_step_begins_and_all_is_undone(void **state)
{
	struct bench *b = *state;
	struct wake begin = { .why = WAKE_BEGIN };
	struct wake timer = { .why = WAKE_TIMER };
	struct run *run = opened(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\"},"
				 "{\"path\":\"/b1\",\"wait\":30},{\"path\":\"/c\"}]}");
	enum run_state s;
	struct rlimit was;
	struct wait next;

	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	sim_pass(b->sim, 30);
	fill_disk(&was);
	s = run_wake(run, &timer, &next);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(s, RUN_STUCK);
	assert_non_null(strstr(run_error(run)->text, "nothing is left"));
	assert_false(there(b, "/a") || there(b, "/b1") || there(b, "/c"));
	run_close(run);
	assert_int_equal(life(b), LIFE_CREATING);
	assert_int_equal(happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_int_equal(life(b), LIFE_GONE);
}

static void without_a_journal_nothing_is_opened(void **state)
{
	struct bench *b = *state;
	struct run_options o = RUN_OPTIONS_INIT;
	struct err err = ERR_INIT;
	struct run *run = NULL;
	struct rlimit was;
	int r;

	o.request = TWO;
	fill_disk(&was);
	r = run_open(&run, &b->engine, b->j, EV_CREATE, &o, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_true(r < 0);
	assert_int_equal(life(b), LIFE_NEW);
	assert_int_equal(happens(b, EV_CREATE, TWO, NULL), RUN_DONE);
}

static void a_serve_plan_is_finished(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;
	struct run *run = NULL;

	assert_int_equal(run_serve(&run, &b->engine, b->j, "{\"serve\":[{\"path\":\"/sock\"}]}",
				   NULL, &err), 0);
	assert_int_equal(drive(run, &b->node.node, 0, NULL, NULL), RUN_DONE);
	run_close(run);
	assert_int_equal(life(b), LIFE_NEW);
	assert_int_equal(happens(b, EV_CREATE, TWO, NULL), RUN_DONE);
	assert_int_equal(happens(b, EV_DELETE, NULL, NULL), RUN_DONE);
	assert_true(there(b, "/sock"));
	assert_int_equal(happens(b, EV_FINISH, NULL, NULL), RUN_DONE);
	assert_false(there(b, "/sock"));
	assert_int_equal(life(b), LIFE_GONE);
	assert_int_equal(journal_finish(&b->j, &err), 0);
}

static void a_failed_serve_plan_is_taken_back(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;
	struct run *run = NULL;

	assert_int_equal(run_serve(&run, &b->engine, b->j, "{\"serve\":[{\"path\":\"/sock\"},"
				   "{\"path\":\"/x\",\"fail\":true}]}", NULL, &err), 0);
	assert_int_equal(drive(run, &b->node.node, 0, NULL, NULL), RUN_UNDONE);
	run_close(run);
	assert_int_equal(life(b), LIFE_GONE);
	assert_false(there(b, "/sock") || there(b, "/x"));
}

static int stop(void *arg)
{
	return ++*(int *)arg >= 2;
}

static void a_driver_stops_at_its_deadline_and_when_told(void **state)
{
	struct bench *b = *state;
	struct run *run = opened(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\",\"wait\":900}]}");
	int64_t since = b->sim->now_ms;
	int ticks = 0;

	assert_int_equal(drive(run, &b->node.node, since + 200, NULL, NULL), RUN_WAITING);
	assert_in_range(b->sim->now_ms - since, 200, 210);
	run_close(run);
	assert_int_equal(run_resume(&run, &b->engine, b->j, NULL, NULL), 1);
	assert_int_equal(drive(run, &b->node.node, 0, stop, &ticks), RUN_DONE);
	run_close(run);
	assert_true(there(b, "/a"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_create_makes_all_and_a_delete_takes_it_back),
		TEST(a_failed_create_holds_nothing_and_says_why),
		TEST(what_is_foreign_is_refused_and_left),
		TEST(what_cannot_be_undone_is_stuck_and_the_rest_goes_on),
		TEST(a_step_that_takes_too_long_fails),
		TEST(a_child_that_takes_too_long_is_killed_first),
		TEST(the_fence_kills_what_may_still_make_things),
		TEST(a_process_that_does_not_die_stops_the_undo),
		TEST(a_failed_start_leaves_the_task_created),
		TEST(a_kill_runs_beside_a_start),
		TEST(a_run_goes_on_where_it_was_closed),
		TEST(a_failed_create_is_known_as_one_after_it_was_reopened),
		TEST(events_that_do_not_fit_are_refused_in_words),
		TEST(a_request_that_is_no_object_moves_nothing),
		TEST(who_is_fenced_stops_acting),
		TEST(without_a_journal_no_step_begins_and_all_is_undone),
		TEST(without_a_journal_nothing_is_opened),
		TEST(a_serve_plan_is_finished),
		TEST(a_failed_serve_plan_is_taken_back),
		TEST(a_driver_stops_at_its_deadline_and_when_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
