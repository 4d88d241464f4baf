/* SPDX-License-Identifier: Apache-2.0 */
/* Runs that go well, or fail by themselves. */
#include "test/lib/engine_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TWO "{\"create\":[{\"path\":\"/a\"},{\"path\":\"/b1\",\"wait\":30}]}"

static void a_create_makes_all_and_a_delete_takes_it_back(void **state)
{
	struct bench *b = *state;

	assert_int_equal(bench_happens(b, EV_CREATE, TWO, NULL), RUN_DONE);
	assert_int_equal(bench_life(b), LIFE_CREATED);
	assert_true(bench_there(b, "/a") && bench_there(b, "/b1"));
	assert_int_equal(bench_rows(b, ROW_DONE), 2);
	assert_int_equal(bench_happens(b, EV_DELETE, NULL, NULL), RUN_DONE);
	assert_int_equal(bench_life(b), LIFE_DELETED);
	assert_false(bench_there(b, "/a") || bench_there(b, "/b1"));
	assert_int_equal(bench_rows(b, ROW_UNDONE), 2);
	assert_int_equal(bench_open_runs(b), 0);
}

static void what_was_made_last_is_taken_back_first(void **state)
{
	struct bench *b = *state;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\"},"
				 "{\"path\":\"/c\"}],\"start\":[{\"path\":\"/s\"}]}", NULL), RUN_DONE);
	assert_int_equal(bench_happens(b, EV_START, NULL, NULL), RUN_DONE);
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_string_equal(b->sim->removed, "/s /c /a ");
}

static void a_failed_create_holds_nothing_and_says_why(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\"},"
				 "{\"path\":\"/c\",\"fail\":true},{\"path\":\"/d\"}]}", &err),
			 RUN_UNDONE);
	assert_int_equal(err.code, EPERM);
	assert_string_equal(err.text, "/c is not wanted");
	assert_int_equal(bench_life(b), LIFE_NEW);
	assert_false(bench_there(b, "/a") || bench_there(b, "/c") || bench_there(b, "/d"));
	assert_int_equal(bench_rows(b, ROW_SKIPPED), 1);
	assert_int_equal(bench_happens(b, EV_CREATE, TWO, NULL), RUN_DONE);
}

static void a_failed_start_leaves_the_task_created(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\"}],"
				 "\"start\":[{\"path\":\"/s\",\"fail\":true},{\"path\":\"/t\"}]}",
				 NULL), RUN_DONE);
	assert_int_equal(bench_happens(b, EV_START, NULL, &err), RUN_FAILED);
	assert_int_equal(err.code, EPERM);
	assert_int_equal(bench_life(b), LIFE_CREATED);
	assert_int_equal(bench_rows(b, ROW_FAILED), 1);
	assert_int_equal(bench_rows(b, ROW_SKIPPED), 1);
	assert_int_equal(bench_happens(b, EV_DELETE, NULL, NULL), RUN_DONE);
	assert_false(bench_there(b, "/s"));
}

static void a_kill_runs_beside_a_start(void **state)
{
	struct bench *b = *state;
	struct wake begin = { .why = WAKE_BEGIN };
	struct wake timer = { .why = WAKE_TIMER };
	struct wait next;
	struct run *start;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[],\"kill\":[{\"path\":\"/k\"}],"
				 "\"start\":[{\"path\":\"/s\",\"wait\":50}]}", NULL), RUN_DONE);
	start = bench_opened(b, EV_START, NULL);
	assert_int_equal(run_wake(start, &begin, &next), RUN_WAITING);
	assert_int_equal(bench_happens(b, EV_KILL, NULL, NULL), RUN_DONE);
	assert_int_equal(bench_life(b), LIFE_STARTING);
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
	struct run *run = bench_opened(b, EV_CREATE, TWO);
	struct err err = ERR_INIT;
	struct wait next;

	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	run_close(run);
	assert_int_equal(run_resume(&run, &b->engine, b->j, NULL, &err), 1);
	assert_int_equal(run_plan(run), PLAN_CREATE);
	sim_pass(b->sim, 30);
	assert_int_equal(run_wake(run, &timer, &next), RUN_DONE);
	run_close(run);
	assert_true(bench_there(b, "/a") && bench_there(b, "/b1"));
	assert_int_equal(run_resume(&run, &b->engine, b->j, NULL, &err), 0);
}

#define TURN(wait) "{\"create\":[{\"path\":\"/a\"},{\"kind\":\"turn\"" wait ",\"then\":{" \
	"\"create\":[{\"path\":\"/a\"},{\"kind\":\"turn\"},{\"path\":\"/new\"}]}}," \
	"{\"path\":\"/old\"},{\"path\":\"/older\"}]}"

static void turned(struct bench *b)
{
	assert_true(bench_there(b, "/a") && bench_there(b, "/new"));
	assert_false(bench_there(b, "/old") || bench_there(b, "/older"));
	assert_int_equal(bench_rows(b, ROW_DONE), 3);
	assert_int_equal(bench_rows(b, ROW_SKIPPED), 2);
	assert_int_equal(bench_happens(b, EV_DELETE, NULL, NULL), RUN_DONE);
	assert_string_equal(b->sim->removed, "/new /a ");
}

static void a_step_may_turn_what_comes_after_it(void **state)
{
	struct bench *b = *state;

	assert_int_equal(bench_happens(b, EV_CREATE, TURN(""), NULL), RUN_DONE);
	turned(b);
}

static void a_turn_is_made_by_whoever_goes_on(void **state)
{
	struct bench *b = *state;
	struct wake begin = { .why = WAKE_BEGIN };
	struct run *run = bench_opened(b, EV_CREATE, TURN(",\"wait\":30"));
	struct wait next;

	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	run_close(run);
	assert_int_equal(run_resume(&run, &b->engine, b->j, NULL, NULL), 1);
	sim_pass(b->sim, 30);
	assert_int_equal(drive(run, &b->node.node, 0, NULL, NULL), RUN_DONE);
	run_close(run);
	turned(b);
}

static void a_failed_create_is_known_as_one_after_it_was_reopened(void **state)
{
	struct bench *b = *state;
	struct wake begin = { .why = WAKE_BEGIN };
	struct run *run = bench_opened(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\"},{\"kind\":\"child\"},"
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
	assert_int_equal(bench_life(b), LIFE_NEW);
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
	assert_int_equal(bench_happens(b, EV_CREATE, TWO, NULL), RUN_DONE);
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
	assert_int_equal(bench_life(b), LIFE_NEW);
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
	assert_int_equal(bench_life(b), LIFE_NEW);
	assert_int_equal(bench_happens(b, EV_CREATE, TWO, NULL), RUN_DONE);
	assert_int_equal(bench_happens(b, EV_DELETE, NULL, NULL), RUN_DONE);
	assert_true(bench_there(b, "/sock"));
	assert_int_equal(bench_happens(b, EV_FINISH, NULL, NULL), RUN_DONE);
	assert_false(bench_there(b, "/sock"));
	assert_int_equal(bench_life(b), LIFE_GONE);
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
	assert_int_equal(bench_life(b), LIFE_GONE);
	assert_false(bench_there(b, "/sock") || bench_there(b, "/x"));
}

static int stop(void *arg)
{
	return ++*(int *)arg >= 2;
}

static void a_driver_stops_at_its_deadline_and_when_told(void **state)
{
	struct bench *b = *state;
	struct run *run = bench_opened(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\",\"wait\":900}]}");
	int64_t since = b->sim->now_ms;
	int ticks = 0;

	assert_int_equal(drive(run, &b->node.node, since + 200, NULL, NULL), RUN_WAITING);
	assert_in_range(b->sim->now_ms - since, 200, 210);
	run_close(run);
	assert_int_equal(run_resume(&run, &b->engine, b->j, NULL, NULL), 1);
	assert_int_equal(drive(run, &b->node.node, 0, stop, &ticks), RUN_DONE);
	run_close(run);
	assert_true(bench_there(b, "/a"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_create_makes_all_and_a_delete_takes_it_back),
		TEST(what_was_made_last_is_taken_back_first),
		TEST(a_failed_create_holds_nothing_and_says_why),
		TEST(a_failed_start_leaves_the_task_created),
		TEST(a_kill_runs_beside_a_start),
		TEST(a_run_goes_on_where_it_was_closed),
		TEST(a_step_may_turn_what_comes_after_it),
		TEST(a_turn_is_made_by_whoever_goes_on),
		TEST(a_failed_create_is_known_as_one_after_it_was_reopened),
		TEST(events_that_do_not_fit_are_refused_in_words),
		TEST(a_request_that_is_no_object_moves_nothing),
		TEST(a_serve_plan_is_finished),
		TEST(a_failed_serve_plan_is_taken_back),
		TEST(a_driver_stops_at_its_deadline_and_when_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
