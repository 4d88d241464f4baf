/* SPDX-License-Identifier: Apache-2.0 */
/* Runs that lie beside others, and the undo of one exec alone. */
#include "test/lib/engine_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define EXEC(id, more) "{\"exec_id\":\"" id "\",\"path\":\"/" id "\"" more "}"

/* What an exec makes is in the request of the bench, so each has its own. */
static struct run *asked(struct bench *b, enum life_event ev, const char *id,
			 const char *request)
{
	struct run_options o = RUN_OPTIONS_INIT;
	struct err err = ERR_INIT;
	struct run *run = NULL;
	char args[64];

	(void)snprintf(args, sizeof(args), "{\"exec_id\":\"%s\"}", id);
	if (request)
		assert_int_equal(journal_set_text(b->j, TASK_REQUEST, request, &err), 0);
	o.args = args;
	if (run_open(&run, &b->engine, b->j, ev, &o, &err) < 0)
		fail_msg("%s: %s", life_event_name(ev), err.text);
	return run;
}

static enum run_state happens(struct bench *b, enum life_event ev, const char *id,
			      const char *request, struct err *err)
{
	struct run *run = asked(b, ev, id, request);
	enum run_state s = drive(run, &b->node.node, 0, NULL, NULL);

	if (err)
		*err = *run_error(run);
	run_close(run);
	return s;
}

static void created(struct bench *b)
{
	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/c\"}]}", NULL),
			 RUN_DONE);
}

static int count_run(void *arg, const struct run_row *row, struct err *err)
{
	(void)row;
	(void)err;
	*(int *)arg += 1;
	return 0;
}

static int runs(struct bench *b)
{
	int n = 0;

	assert_int_equal(journal_each_run(b->j, OLDEST_FIRST, count_run, &n, NULL), 0);
	return n;
}

static void an_exec_moves_no_state_and_delete_takes_it_back(void **state)
{
	struct bench *b = *state;

	created(b);
	assert_int_equal(happens(b, EV_EXEC, "e1", "{\"exec\":[" EXEC("e1", "") "]}", NULL),
			 RUN_DONE);
	assert_int_equal(bench_life(b), LIFE_CREATED);
	assert_true(bench_there(b, "/e1"));
	assert_int_equal(bench_happens(b, EV_DELETE, NULL, NULL), RUN_DONE);
	assert_false(bench_there(b, "/e1") || bench_there(b, "/c"));
	assert_int_equal(bench_rows(b, ROW_UNDONE), 2);
}

static void deleting_one_exec_leaves_the_others_and_the_task(void **state)
{
	struct bench *b = *state;

	created(b);
	assert_int_equal(happens(b, EV_EXEC, "e1", "{\"exec\":[" EXEC("e1", "") "]}", NULL),
			 RUN_DONE);
	assert_int_equal(happens(b, EV_EXEC, "e2", "{\"exec\":[" EXEC("e2", "") "]}", NULL),
			 RUN_DONE);
	assert_int_equal(happens(b, EV_EXEC_DELETE, "e1", NULL, NULL), RUN_DONE);
	assert_int_equal(bench_life(b), LIFE_CREATED);
	assert_false(bench_there(b, "/e1"));
	assert_true(bench_there(b, "/e2") && bench_there(b, "/c"));
	assert_int_equal(bench_open_runs(b), 0);
	assert_int_equal(happens(b, EV_EXEC_DELETE, "no such", NULL, NULL), RUN_DONE);
	assert_true(bench_there(b, "/e2"));
}

static void a_failed_exec_is_taken_back_and_may_be_tried_again(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	created(b);
	assert_int_equal(happens(b, EV_EXEC, "e1",
				 "{\"exec\":[" EXEC("e1", ",\"fail\":true") "]}", &err), RUN_UNDONE);
	assert_int_equal(err.code, EPERM);
	assert_string_equal(err.text, "/e1 is not wanted");
	assert_int_equal(bench_life(b), LIFE_CREATED);
	assert_false(bench_there(b, "/e1"));
	assert_true(bench_there(b, "/c"));
	assert_int_equal(happens(b, EV_EXEC, "e1", "{\"exec\":[" EXEC("e1", "") "]}", NULL),
			 RUN_DONE);
	assert_true(bench_there(b, "/e1"));
}

static void an_exec_that_is_stuck_is_taken_back_with_the_task(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	created(b);
	assert_int_equal(happens(b, EV_EXEC, "e1", "{\"exec\":["
				 EXEC("e1", ",\"fail\":true,\"stuck\":true") "]}", &err), RUN_STUCK);
	assert_int_equal(bench_life(b), LIFE_CREATED);
	assert_true(bench_there(b, "/e1"));
	assert_int_equal(bench_rows(b, ROW_STUCK), 1);
	assert_int_equal(b->node.node.write_file(&b->node.node, "/melt", "", 0, 0600, &err), 0);
	assert_int_equal(bench_happens(b, EV_DELETE, NULL, NULL), RUN_DONE);
	assert_false(bench_there(b, "/e1"));
}

static void rows_of_execs_do_not_pile_up(void **state)
{
	struct bench *b = *state;
	int before;

	created(b);
	assert_int_equal(happens(b, EV_EXEC, "keep", "{\"exec\":[" EXEC("keep", "") "]}", NULL),
			 RUN_DONE);
	before = runs(b);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(happens(b, EV_EXEC, "e1", "{\"exec\":[" EXEC("e1", "") "]}", NULL),
				 RUN_DONE);
		assert_int_equal(happens(b, EV_EXEC_DELETE, "e1", NULL, NULL), RUN_DONE);
	}
	assert_true(runs(b) <= before + 1);
	assert_int_equal(bench_rows(b, ROW_DONE), 2);
}

static void two_execs_and_a_start_go_on_beside_each_other(void **state)
{
	struct bench *b = *state;
	struct wake begin = { .why = WAKE_BEGIN };
	struct wake timer = { .why = WAKE_TIMER };
	struct run *one, *two, *start;
	struct wait next;

	created(b);
	one = asked(b, EV_EXEC, "e1", "{\"exec\":[" EXEC("e1", ",\"wait\":50") "]}");
	assert_int_equal(run_wake(one, &begin, &next), RUN_WAITING);
	two = asked(b, EV_EXEC, "e2", "{\"exec\":[" EXEC("e2", ",\"wait\":50,\"fail\":true") "],"
				       "\"start\":[{\"path\":\"/s\",\"wait\":50}]}");
	assert_int_equal(run_wake(two, &begin, &next), RUN_WAITING);
	start = bench_opened(b, EV_START, NULL);
	assert_int_equal(run_wake(start, &begin, &next), RUN_WAITING);
	sim_pass(b->sim, 50);
	assert_int_equal(run_wake(two, &timer, &next), RUN_UNDONE);
	assert_int_equal(run_wake(start, &timer, &next), RUN_DONE);
	assert_int_equal(run_wake(one, &timer, &next), RUN_DONE);
	assert_int_equal(bench_life(b), LIFE_RUNNING);
	assert_true(bench_there(b, "/e1") && bench_there(b, "/s"));
	assert_false(bench_there(b, "/e2"));
	run_close(one);
	run_close(two);
	run_close(start);
}

static void an_exec_goes_on_where_it_was_closed(void **state)
{
	struct bench *b = *state;
	struct wake begin = { .why = WAKE_BEGIN };
	struct wake timer = { .why = WAKE_TIMER };
	struct err err = ERR_INIT;
	struct run *run;
	struct wait next;

	created(b);
	run = asked(b, EV_EXEC, "e1", "{\"exec\":[" EXEC("e1", ",\"wait\":50,\"fail\":true") "]}");
	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	run_close(run);
	assert_int_equal(run_resume(&run, &b->engine, b->j, NULL, &err), 1);
	sim_pass(b->sim, 50);
	assert_int_equal(run_wake(run, &timer, &next), RUN_UNDONE);
	run_close(run);
	assert_false(bench_there(b, "/e1"));
	assert_true(bench_there(b, "/c"));
}

/* Whose process it is nobody can tell: the task's own undo takes it back. */
static void an_exec_that_can_not_be_read_is_left_to_the_task(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;
	struct run *run = NULL;

	created(b);
	run_close(asked(b, EV_EXEC, "e1", "{\"exec\":[" EXEC("e1", "") "]}"));
	bench_sql(b, "UPDATE step SET want='[' WHERE want LIKE '%e1%'");
	assert_int_equal(run_resume(&run, &b->engine, b->j, NULL, &err), -EUCLEAN);
	assert_string_equal(err.text, "the want of an exec is not a JSON object");
	assert_int_equal(bench_happens(b, EV_DELETE, NULL, NULL), RUN_DONE);
	assert_int_equal(bench_open_runs(b), 0);
}

/* The undo that nobody could finish is the task's again, and so is what it was to undo. */
static void an_exec_that_is_not_named_is_left_to_the_task(void **state)
{
	static const struct {
		enum life_event ev;
		const char *sql;
	} unnamed[] = {
		{ EV_EXEC, "UPDATE step SET want='{}' WHERE kind='file' AND state='planned'" },
		{ EV_EXEC_DELETE, "UPDATE step SET want='{}' WHERE kind='fence'" },
	};
	struct bench *b = *state;

	created(b);
	for (size_t i = 0; i < sizeof(unnamed) / sizeof(unnamed[0]); i++) {
		struct err err = ERR_INIT;
		struct run *run = NULL;

		run_close(asked(b, unnamed[i].ev, "e1", "{\"exec\":[" EXEC("e1", "") "]}"));
		bench_sql(b, unnamed[i].sql);
		assert_int_equal(run_resume(&run, &b->engine, b->j, NULL, &err), -EUCLEAN);
		assert_non_null(strstr(err.text, "do not say whose exec it is"));
	}
	assert_int_equal(bench_happens(b, EV_DELETE, NULL, NULL), RUN_DONE);
	assert_int_equal(bench_open_runs(b), 0);
}

static void the_undo_of_an_exec_closes_no_later_run(void **state)
{
	struct bench *b = *state;
	struct wake begin = { .why = WAKE_BEGIN };
	struct wake timer = { .why = WAKE_TIMER };
	struct run *gone, *later;
	struct wait next;

	created(b);
	assert_int_equal(happens(b, EV_EXEC, "e1", "{\"exec\":[" EXEC("e1", ",\"linger\":50") "]}",
				 NULL), RUN_DONE);
	gone = asked(b, EV_EXEC_DELETE, "e1", NULL);
	assert_int_equal(run_wake(gone, &begin, &next), RUN_WAITING);
	later = asked(b, EV_EXEC, "e2", "{\"exec\":[" EXEC("e2", ",\"wait\":500") "]}");
	assert_int_equal(run_wake(later, &begin, &next), RUN_WAITING);
	sim_pass(b->sim, 50);
	assert_int_equal(run_wake(gone, &timer, &next), RUN_DONE);
	assert_int_equal(bench_open_runs(b), 1);
	sim_pass(b->sim, 450);
	assert_int_equal(run_wake(later, &timer, &next), RUN_DONE);
	assert_true(bench_there(b, "/e2"));
	assert_false(bench_there(b, "/e1"));
	run_close(gone);
	run_close(later);
}

static void the_fence_of_one_exec_spares_the_children_of_others(void **state)
{
	struct bench *b = *state;
	struct wake begin = { .why = WAKE_BEGIN };
	struct err err = ERR_INIT;
	struct ident child;
	struct run *kill;
	struct wait next;

	created(b);
	assert_int_equal(happens(b, EV_EXEC, "e1", "{\"exec\":[" EXEC("e1", "") "],"
				 "\"kill\":[{\"kind\":\"child\"}]}", NULL), RUN_DONE);
	kill = bench_opened(b, EV_KILL, NULL);
	assert_int_equal(run_wake(kill, &begin, &next), RUN_WAITING);
	assert_int_equal(run_child(kill, &child), 0);
	assert_int_equal(happens(b, EV_EXEC_DELETE, "e1", NULL, NULL), RUN_DONE);
	assert_int_equal(b->node.node.alive(&b->node.node, &child, &err), 1);
	run_close(kill);
}

static void an_exec_needs_an_id_and_a_fitting_state(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;
	struct run *run = NULL;
	enum life_state now;

	created(b);
	assert_int_equal(run_open(&run, &b->engine, b->j, EV_EXEC, NULL, &err), -EINVAL);
	assert_string_equal(err.text, "task t1: an exec without an id");
	assert_int_equal(engine_fire(b->j, EV_EXIT, &now, &err), 0);
	assert_int_equal(run_open(&run, &b->engine, b->j, EV_EXEC, NULL, &err), -EPROTO);
	assert_string_equal(err.text, "cannot exec in a stopped state");
}

static void a_pause_and_a_failed_resume_move_the_state(void **state)
{
	struct bench *b = *state;
	enum life_state now;
	struct err err = ERR_INIT;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[],\"start\":[],\"pause\":[],"
				       "\"resume\":[{\"path\":\"/r\",\"fail\":true}],\"kill\":[]}",
				       NULL), RUN_DONE);
	assert_int_equal(bench_happens(b, EV_START, NULL, NULL), RUN_DONE);
	assert_int_equal(bench_happens(b, EV_PAUSE, NULL, NULL), RUN_DONE);
	assert_int_equal(bench_life(b), LIFE_PAUSED);
	assert_int_equal(bench_happens(b, EV_RESUME, NULL, NULL), RUN_FAILED);
	assert_int_equal(bench_life(b), LIFE_PAUSED);
	assert_int_equal(bench_happens(b, EV_KILL, NULL, NULL), RUN_DONE);
	assert_int_equal(bench_life(b), LIFE_PAUSED);
	assert_int_equal(engine_fire(b->j, EV_EXIT, &now, &err), 0);
	assert_int_equal(now, LIFE_STOPPED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_exec_moves_no_state_and_delete_takes_it_back),
		TEST(deleting_one_exec_leaves_the_others_and_the_task),
		TEST(a_failed_exec_is_taken_back_and_may_be_tried_again),
		TEST(an_exec_that_is_stuck_is_taken_back_with_the_task),
		TEST(rows_of_execs_do_not_pile_up),
		TEST(two_execs_and_a_start_go_on_beside_each_other),
		TEST(an_exec_goes_on_where_it_was_closed),
		TEST(an_exec_that_can_not_be_read_is_left_to_the_task),
		TEST(an_exec_that_is_not_named_is_left_to_the_task),
		TEST(the_undo_of_an_exec_closes_no_later_run),
		TEST(the_fence_of_one_exec_spares_the_children_of_others),
		TEST(an_exec_needs_an_id_and_a_fitting_state),
		TEST(a_pause_and_a_failed_resume_move_the_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
