/* SPDX-License-Identifier: Apache-2.0 */
/* What steps, their children and the host answer that is rare. */
#include "test/lib/engine_bench.h"

#include "supervisor/engine/plan.h"
#include "supervisor/step/step.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct wake begin = { .why = WAKE_BEGIN };

/* ---- probes --------------------------------------------------------------------------------- */

/* The create fails with this before its second file is made; the first is taken back. */
static void fails(struct bench *b, int fact, int code, const char *why)
{
	struct err err = ERR_INIT;
	char request[128];

	(void)snprintf(request, sizeof(request), "{\"create\":[{\"path\":\"/a\"},{\"path\":\"/c\","
		       "\"probe\":%d}]}", fact);
	assert_int_equal(bench_happens(b, EV_CREATE, request, &err), RUN_UNDONE);
	assert_int_equal(err.code, code);
	assert_string_equal(err.text, why);
	assert_false(bench_there(b, "/a") || bench_there(b, "/c"));
}

static void what_a_probe_can_not_tell_is_not_made(void **state)
{
	fails(*state, FACT_UNSURE, EIO, "file: the host can't tell what stands there already");
	fails(*state, FACT_NONE_, EIO, "file: the host can't tell what stands there already");
	fails(*state, FACT_FOREIGN, EEXIST, "file: it exists");
}

/* ---- codes ---------------------------------------------------------------------------------- */

#define NFS "{\"create\":[{\"path\":\"/a\"},{\"path\":\"/c\",\"code\":116,"

/* A file system may say it, too: nobody has taken the task over then. */
static void a_stale_handle_is_a_failure_like_any_other(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	assert_int_equal(ESTALE, 116);
	assert_int_equal(bench_happens(b, EV_CREATE, NFS "\"fail\":true}]}", &err), RUN_UNDONE);
	assert_int_equal(err.code, ESTALE);
	assert_false(bench_there(b, "/a") || bench_there(b, "/c"));
	assert_int_equal(bench_happens(b, EV_CREATE, NFS "\"stuck\":true}]}", NULL), RUN_DONE);
	assert_int_equal(bench_happens(b, EV_DELETE, NULL, &err), RUN_STUCK);
	assert_int_equal(bench_life(b), LIFE_STUCK);
	assert_false(bench_there(b, "/a"));
	sim_make(b->sim, "/melt", 0100644);
	assert_int_equal(bench_happens(b, EV_DELETE, NULL, NULL), RUN_DONE);
	assert_false(bench_there(b, "/c"));
}

/* Also while the fence looks around: what it could not end, it says. */
static bool recovers_with_failure(int at, int *stuck)
{
	void *state = NULL;
	struct bench *b;
	enum run_state s;
	bool failed;

	bench_open(&state);
	b = state;
	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\"}]}", NULL),
			 RUN_DONE);
	b->sim->fail_at = b->sim->calls + at;
	b->sim->fail_code = ESTALE;
	s = bench_happens(b, EV_RECOVER, NULL, NULL);
	failed = b->sim->calls >= b->sim->fail_at;
	*stuck += s == RUN_STUCK;
	if (s == RUN_STUCK) {
		assert_int_equal(bench_life(b), LIFE_STUCK);
		s = bench_happens(b, EV_RECOVER, NULL, NULL);
	}
	assert_int_equal(s, RUN_DONE);
	assert_false(bench_there(b, "/a"));
	bench_close(&state);
	return failed;
}

static void a_recovery_whose_host_fails_is_stuck_or_done(void **state)
{
	int stuck = 0;

	(void)state;
	for (int at = 1; recovers_with_failure(at, &stuck); at++)
		;
	assert_true(stuck > 0);
}

/* ---- turns ---------------------------------------------------------------------------------- */

static void a_step_that_does_not_turn_leaves_the_plan_as_it_is(void **state)
{
	struct bench *b = *state;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"kind\":\"turn\"},"
				       "{\"path\":\"/a\"}]}", NULL), RUN_DONE);
	assert_true(bench_there(b, "/a"));
	assert_int_equal(bench_rows(b, ROW_SKIPPED), 0);
}

static void a_plan_that_has_no_place_for_the_turn_is_taken_back(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\"},{\"kind\":\"turn\","
				       "\"then\":{\"create\":[]}},{\"path\":\"/c\"}]}", &err),
			 RUN_UNDONE);
	assert_string_equal(err.text, "the plan create has no step turn any more");
	assert_false(bench_there(b, "/a") || bench_there(b, "/c"));
	assert_int_equal(bench_life(b), LIFE_NEW);
}

/* ---- time and children ---------------------------------------------------------------------- */

static void a_step_without_a_limit_takes_as_long_as_it_takes(void **state)
{
	struct bench *b = *state;
	struct run *run = bench_opened(b, EV_CREATE, "{\"create\":[{\"kind\":\"slow\",\"path\":\"/a\","
					"\"wait\":100000,\"linger\":100000}]}");
	struct err err = ERR_INIT;
	struct wait next;

	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	run_close(run);
	sim_pass(b->sim, 50000);
	assert_int_equal(run_resume(&run, &b->engine, b->j, NULL, &err), 1);
	assert_int_equal(drive(run, &b->node.node, 0, NULL, NULL), RUN_DONE);
	run_close(run);
	assert_true(bench_there(b, "/a"));
	assert_int_equal(bench_happens(b, EV_DELETE, NULL, NULL), RUN_DONE);
	assert_false(bench_there(b, "/a"));
}

/* It ended like this, half a second after its time. */
static enum run_state ended_late(struct bench *b, int status, struct err *why)
{
	struct run *run = bench_opened(b, EV_CREATE, "{\"create\":[{\"kind\":\"child\"}]}");
	struct wake child = { .why = WAKE_CHILD, .status = status };
	enum run_state s;
	struct wait next;

	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	sim_pass(b->sim, 1500);
	s = run_wake(run, &child, &next);
	if (s == RUN_WAITING) /* for what its undo has to wait for */
		s = drive(run, &b->node.node, 0, NULL, NULL);
	*why = *run_error(run);
	run_close(run);
	return s;
}

static void a_child_that_ends_late_but_by_itself_has_done_its_work(void **state)
{
	struct err err = ERR_INIT;

	assert_int_equal(ended_late(*state, 0, &err), RUN_DONE);
	assert_int_equal(bench_happens(*state, EV_DELETE, NULL, NULL), RUN_DONE);
	assert_int_equal(bench_life(*state), LIFE_DELETED);
}

static void a_child_that_a_signal_ended_late_was_not_killed_by_us(void **state)
{
	struct err err = ERR_INIT;

	assert_int_equal(ended_late(*state, 15, &err), RUN_DONE);
}

static void a_child_that_was_gone_late_has_taken_too_long(void **state)
{
	struct err err = ERR_INIT;

	assert_int_equal(ended_late(*state, -1, &err), RUN_UNDONE);
	assert_string_equal(err.text, "the child was killed: -1");
}

/* ---- arguments ------------------------------------------------------------------------------ */

/* No plan has steps; a kill says what it was told. */
static int keep_paused(struct plan_list *ret, enum plan plan, const struct task_row *task,
		       json_object *request, json_object *args, struct err *err)
{
	(void)request;
	ret->n = 0;
	return plan != PLAN_KILL ? 0 : err_say(err, EDOM, "%s: %s", task->state,
					       json_true(args, "paused") ? "paused" : "not paused");
}

static void kills_as(struct bench *b, const char *words)
{
	struct run_options o = RUN_OPTIONS_INIT;
	struct err err = ERR_INIT;
	struct run *run = NULL;

	o.signal = 9;
	assert_int_equal(run_open(&run, &b->engine, b->j, EV_KILL, &o, &err), -EDOM);
	assert_string_equal(err.text, words);
}

/* A frozen init takes its signal from the runtime alone. */
static void a_kill_knows_a_task_that_is_or_may_be_frozen(void **state)
{
	struct bench *b = *state;
	struct run *run;

	b->engine.make = keep_paused;
	assert_int_equal(bench_happens(b, EV_CREATE, NULL, NULL), RUN_DONE);
	assert_int_equal(bench_happens(b, EV_START, NULL, NULL), RUN_DONE);
	kills_as(b, "running: not paused");
	run = bench_opened(b, EV_PAUSE, NULL);
	kills_as(b, "pausing: paused");
	assert_int_equal(drive(run, &b->node.node, 0, NULL, NULL), RUN_DONE);
	run_close(run);
	kills_as(b, "paused: paused");
	run = bench_opened(b, EV_RESUME, NULL);
	kills_as(b, "resuming: paused");
	assert_int_equal(drive(run, &b->node.node, 0, NULL, NULL), RUN_DONE);
	run_close(run);
}

static void an_event_may_come_without_options(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;
	struct run *run = NULL;

	assert_int_equal(run_open(&run, &b->engine, b->j, EV_CREATE, NULL, &err), 0);
	assert_int_equal(drive(run, &b->node.node, 0, NULL, NULL), RUN_DONE);
	run_close(run);
	b->engine.make = NULL; /* the real one asks for a number */
	assert_int_equal(journal_set_text(b->j, TASK_BUNDLE, "/b", &err), 0);
	assert_int_equal(journal_set_text(b->j, TASK_RUNTIME, "/bin/runc", &err), 0);
	assert_int_equal(journal_set_text(b->j, TASK_RUNTIME_ROOT, "/r", &err), 0);
	assert_int_equal(run_open(&run, &b->engine, b->j, EV_KILL, NULL, &err), -EINVAL);
	assert_string_equal(err.text, "there is no signal -1");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_probe_can_not_tell_is_not_made),
		TEST(a_stale_handle_is_a_failure_like_any_other),
		cmocka_unit_test(a_recovery_whose_host_fails_is_stuck_or_done),
		TEST(a_step_that_does_not_turn_leaves_the_plan_as_it_is),
		TEST(a_plan_that_has_no_place_for_the_turn_is_taken_back),
		TEST(a_step_without_a_limit_takes_as_long_as_it_takes),
		TEST(a_child_that_ends_late_but_by_itself_has_done_its_work),
		TEST(a_child_that_a_signal_ended_late_was_not_killed_by_us),
		TEST(a_child_that_was_gone_late_has_taken_too_long),
		TEST(a_kill_knows_a_task_that_is_or_may_be_frozen),
		TEST(an_event_may_come_without_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
