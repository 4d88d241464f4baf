/* SPDX-License-Identifier: Apache-2.0 */
/* Runs made of rows alone: reopened late, by a version that does not know them, or
 * damaged. */
#include "test/lib/engine_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define TWO "{\"create\":[{\"path\":\"/a\"},{\"path\":\"/b1\",\"wait\":30}]}"
#define LATE "{\"create\":[{\"path\":\"/a\",\"wait\":30},{\"path\":\"/b1\",\"wait\":60000}]}"

static const struct wake begin = { .why = WAKE_BEGIN };
static const struct wake again = { .why = WAKE_RESUME };
static const struct wake timer = { .why = WAKE_TIMER };

/* ---- rows that say something else -------------------------------------------------------- */

static int opens(struct bench *b, enum life_event ev, struct err *err)
{
	struct run *run = NULL;
	int r = run_open(&run, &b->engine, b->j, ev, NULL, err);

	run_close(run);
	return r;
}

static int resumes(struct bench *b, struct err *err)
{
	struct run *run = NULL;
	int r = run_resume(&run, &b->engine, b->j, NULL, err);

	run_close(run);
	return r;
}

static void a_state_of_a_newer_version_moves_nothing(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	bench_sql(b, "UPDATE task SET state='frozen'");
	assert_int_equal(opens(b, EV_CREATE, &err), -EPROTO);
	assert_string_equal(err.text, "task t1: this version knows no state called frozen");
	assert_int_equal(resumes(b, &err), -EPROTO);
	assert_int_equal(bench_open_runs(b), 0);
}

static void a_plan_of_a_newer_version_is_not_gone_on_with(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	run_close(bench_opened(b, EV_CREATE, TWO));
	bench_sql(b, "UPDATE run SET plan='thaw'");
	assert_int_equal(resumes(b, &err), -EPROTO);
	assert_string_equal(err.text, "run 1: this version knows no plan called thaw");
	assert_int_equal(bench_open_runs(b), 1);
}

static void an_undoing_run_goes_on_only_if_its_fence_can_be_read(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	assert_int_equal(bench_happens(b, EV_CREATE, TWO, NULL), RUN_DONE);
	run_close(bench_opened(b, EV_DELETE, NULL));
	bench_sql(b, "UPDATE step SET want='['||want WHERE kind='fence'");
	assert_int_equal(resumes(b, &err), -EUCLEAN);
	assert_string_equal(err.text, "the want of the fence is not a JSON object");
	bench_sql(b, "UPDATE step SET want=substr(want,2) WHERE kind='fence'");
	assert_int_equal(resumes(b, &err), 1);
}

/* What it does not know it does not touch, and says so; the rest is taken back. */
static void fails_at_b1(struct bench *b, const char *sql, int code, const char *why)
{
	struct run *run = bench_opened(b, EV_CREATE, TWO);

	bench_sql(b, sql);
	assert_int_equal(drive(run, &b->node.node, 0, NULL, NULL), RUN_UNDONE);
	assert_int_equal(run_error(run)->code, code);
	assert_string_equal(run_error(run)->text, why);
	run_close(run);
	assert_false(bench_there(b, "/a") || bench_there(b, "/b1"));
	assert_int_equal(bench_life(b), LIFE_NEW);
}

static void a_step_that_can_not_be_read_fails_the_create(void **state)
{
	struct bench *b = *state;

	fails_at_b1(b, "UPDATE step SET kind='thaw' WHERE seq=2", ENOTSUP,
		    "this version knows no kind of step called thaw");
	fails_at_b1(b, "UPDATE step SET want='[' WHERE state='planned' AND want LIKE '%b1%'", EUCLEAN,
		    "the want of its row 5 is not a JSON object");
	fails_at_b1(b, "UPDATE step SET have='[' WHERE state='planned' AND want LIKE '%b1%'", EUCLEAN,
		    "the have of its row 8 is not a JSON object");
}

/* ---- time ------------------------------------------------------------------------------------ */

static struct run *reopened(struct bench *b, struct run *run)
{
	struct err err = ERR_INIT;

	run_close(run);
	if (run_resume(&run, &b->engine, b->j, NULL, &err) != 1)
		fail_msg("%s", err.text);
	return run;
}

/* /b1 has been begun, and has a second from now on. */
static struct run *late(struct bench *b)
{
	struct run *run = bench_opened(b, EV_CREATE, LATE);
	struct wait next;

	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	sim_pass(b->sim, 30);
	assert_int_equal(run_wake(run, &timer, &next), RUN_WAITING);
	return run;
}

static void the_time_of_a_step_goes_on_while_nobody_drives_it(void **state)
{
	struct bench *b = *state;
	struct run *run = late(b);
	struct wait next;

	sim_pass(b->sim, 1001);
	run = reopened(b, run);
	assert_int_equal(run_wake(run, &again, &next), RUN_UNDONE);
	assert_int_equal(run_error(run)->code, ETIMEDOUT);
	run_close(run);
	assert_false(bench_there(b, "/a") || bench_there(b, "/b1"));
}

/* Not that of the whole run. */
static void a_step_that_is_reopened_has_what_is_left_of_its_own_time(void **state)
{
	struct bench *b = *state;
	struct run *run = late(b);
	struct wait next;

	sim_pass(b->sim, 980);
	run = reopened(b, run);
	assert_int_equal(run_wake(run, &again, &next), RUN_DONE);
	run_close(run);
	assert_true(bench_there(b, "/b1"));
}

static void an_undo_that_is_reopened_has_what_is_left_of_its_own_time(void **state)
{
	struct bench *b = *state;
	struct wait next;
	struct run *run;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\",\"linger\":900},"
				 "{\"path\":\"/b1\",\"linger\":900}]}", NULL), RUN_DONE);
	run = bench_opened(b, EV_DELETE, NULL);
	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	sim_pass(b->sim, 900);
	assert_int_equal(run_wake(run, &timer, &next), RUN_WAITING);
	sim_pass(b->sim, 900);
	run = reopened(b, run);
	assert_int_equal(run_wake(run, &again, &next), RUN_DONE);
	run_close(run);
	assert_false(bench_there(b, "/a") || bench_there(b, "/b1"));
}

static void a_clock_that_was_set_back_takes_no_time_away(void **state)
{
	struct bench *b = *state;
	struct run *run = late(b);
	struct wait next;

	bench_sql(b, "UPDATE step SET intent_ms=intent_ms+100000 WHERE state='intent'");
	run = reopened(b, run);
	assert_int_equal(run_wake(run, &again, &next), RUN_DONE);
	run_close(run);
	assert_true(bench_there(b, "/b1"));
}

/* ---- what there is nothing to do for ---------------------------------------------------------- */

static void an_event_without_a_plan_is_no_run(void **state)
{
	struct bench *b = *state;
	struct run *run = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[],\"start\":[]}", NULL), RUN_DONE);
	assert_int_equal(run_serve(&run, &b->engine, b->j, "{}", NULL, &err), -EEXIST);
	assert_string_equal(err.text, "task t1: a shim serves a new task only, and it is created");
	assert_int_equal(bench_happens(b, EV_START, NULL, NULL), RUN_DONE);
	assert_int_equal(opens(b, EV_EXIT, &err), -EINVAL);
	assert_string_equal(err.text, "the event exit has no plan to run");
	assert_int_equal(engine_fire(b->j, EV_EXIT, NULL, &err), 0);
	assert_int_equal(bench_life(b), LIFE_STOPPED);
}

static void a_run_without_a_child_has_none_to_watch(void **state)
{
	struct bench *b = *state;
	struct run *run = late(b);
	struct ident child;

	assert_int_equal(run_child(run, &child), -ENOENT);
	assert_null(run_close(run));
	assert_null(run_close(NULL));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_state_of_a_newer_version_moves_nothing),
		TEST(a_plan_of_a_newer_version_is_not_gone_on_with),
		TEST(an_undoing_run_goes_on_only_if_its_fence_can_be_read),
		TEST(a_step_that_can_not_be_read_fails_the_create),
		TEST(the_time_of_a_step_goes_on_while_nobody_drives_it),
		TEST(a_step_that_is_reopened_has_what_is_left_of_its_own_time),
		TEST(an_undo_that_is_reopened_has_what_is_left_of_its_own_time),
		TEST(a_clock_that_was_set_back_takes_no_time_away),
		TEST(an_event_without_a_plan_is_no_run),
		TEST(a_run_without_a_child_has_none_to_watch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
