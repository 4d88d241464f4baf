/* SPDX-License-Identifier: Apache-2.0 */
/* Runs in a world that does not do as it should. */
#include "test/lib/engine_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#define TWO "{\"create\":[{\"path\":\"/a\"},{\"path\":\"/b1\",\"wait\":30}]}"

static void what_is_foreign_is_refused_and_left(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	sim_make(b->sim, "/b1", S_IFREG);
	assert_int_equal(bench_happens(b, EV_CREATE, TWO, &err), RUN_UNDONE);
	assert_int_equal(err.code, EEXIST);
	assert_true(bench_there(b, "/b1"));
	assert_false(bench_there(b, "/a"));
	assert_int_equal(bench_rows(b, ROW_FOREIGN), 1);
}

static void what_cannot_be_undone_is_stuck_and_the_rest_goes_on(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\"},"
				 "{\"path\":\"/c\",\"stuck\":true},{\"path\":\"/d\"}]}", NULL),
			 RUN_DONE);
	assert_int_equal(bench_happens(b, EV_DELETE, NULL, &err), RUN_STUCK);
	assert_non_null(strstr(err.text, "/c is frozen"));
	assert_int_equal(bench_life(b), LIFE_STUCK);
	assert_true(bench_there(b, "/c"));
	assert_false(bench_there(b, "/a") || bench_there(b, "/d"));
	sim_make(b->sim, "/melt", S_IFREG);
	assert_int_equal(bench_happens(b, EV_DELETE, NULL, NULL), RUN_DONE);
	assert_false(bench_there(b, "/c"));
	assert_int_equal(bench_open_runs(b), 0);
}

static void all_that_is_stuck_is_named(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\",\"stuck\":true},"
				 "{\"path\":\"/c\",\"stuck\":true}]}", NULL), RUN_DONE);
	assert_int_equal(bench_happens(b, EV_DELETE, NULL, &err), RUN_STUCK);
	assert_string_equal(err.text, "it could not all be taken back: file: /c is frozen; "
			    "file: /a is frozen");
}

static void a_step_that_takes_too_long_fails(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;
	int64_t since = b->sim->now_ms;

	assert_int_equal(bench_happens(b, EV_CREATE,
				 "{\"create\":[{\"path\":\"/a\",\"wait\":60000}]}", &err),
			 RUN_UNDONE);
	assert_int_equal(err.code, ETIMEDOUT);
	assert_in_range(b->sim->now_ms - since, 1000, 1500);
}

static void a_step_that_asks_for_more_than_its_time_fails(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;
	int64_t since = b->sim->now_ms;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\","
				 "\"wait\":60000,\"deaf\":true}]}", &err), RUN_UNDONE);
	assert_int_equal(err.code, ETIME);
	assert_string_equal(err.text, "file: it did not end in its time");
	assert_in_range(b->sim->now_ms - since, 1000, 1500);
	assert_false(bench_there(b, "/a"));
}

static void a_child_that_takes_too_long_is_killed_first(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"kind\":\"child\"}]}", &err),
			 RUN_UNDONE);
	assert_string_equal(err.text, "the child was killed: 9");
}

#define BEFORE_CHILD "{\"create\":[{\"path\":\"/a\"},{\"kind\":\"child\"}]}"

static struct run *with_child(struct bench *b, struct ident *child)
{
	struct wake begin = { .why = WAKE_BEGIN };
	struct run *run = bench_opened(b, EV_CREATE, BEFORE_CHILD);
	struct wait next;

	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	assert_int_equal(run_child(run, child), 0);
	return run;
}

#ifndef URUNC_AMNESIA /* see kill_late() */
/* Five seconds by the step, ten by the fence; then nothing may be taken back. */
static void a_late_child_that_does_not_die_is_given_up(void **state)
{
	struct bench *b = *state;
	struct wake timer = { .why = WAKE_TIMER };
	struct ident child;
	struct run *run = with_child(b, &child);
	struct wait next;

	sim_find(b->sim, child.pid)->immortal = true;
	sim_pass(b->sim, 1000);
	assert_int_equal(run_wake(run, &timer, &next), RUN_WAITING);
	assert_int_equal(next.at_ms, b->sim->now_ms + 5000);
	assert_int_equal(bench_rows(b, ROW_INTENT), 1);
	sim_pass(b->sim, 5000);
	assert_int_equal(run_wake(run, &timer, &next), RUN_WAITING);
	assert_int_equal(bench_rows(b, ROW_FAILED), 1);
	assert_int_equal(drive(run, &b->node.node, 0, NULL, NULL), RUN_STUCK);
	assert_non_null(strstr(run_error(run)->text, "the child was killed: -1"));
	assert_non_null(strstr(run_error(run)->text, "does not die"));
	assert_true(bench_there(b, "/a"));
	run_close(run);
	sim_find(b->sim, child.pid)->immortal = false;
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_false(bench_there(b, "/a"));
}
#endif

static int unsure(struct node *n, const struct ident *who, struct err *err)
{
	(void)n;
	return err_say(err, EIO, "/proc/%d can't be read", (int)who->pid);
}

/* The step goes on without waiting for its end; the fence does not. */
static void a_late_child_that_may_live_stops_the_undo(void **state)
{
	struct bench *b = *state;
	struct wake timer = { .why = WAKE_TIMER };
	struct ident child;
	struct run *run = with_child(b, &child);
	int (*alive)(struct node *n, const struct ident *who, struct err *err) = b->node.node.alive;
	struct wait next;

	sim_pass(b->sim, 1000);
	b->node.node.alive = unsure;
	assert_int_equal(run_wake(run, &timer, &next), RUN_STUCK);
	assert_non_null(strstr(run_error(run)->text, "can't be read"));
	assert_true(bench_there(b, "/a"));
	run_close(run);
	b->node.node.alive = alive;
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_false(bench_there(b, "/a"));
}

static void the_fence_kills_what_may_still_make_things(void **state)
{
	struct bench *b = *state;
	struct ident child;

	run_close(with_child(b, &child));
	assert_non_null(sim_find(b->sim, child.pid));
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_true(!sim_find(b->sim, child.pid) || sim_find(b->sim, child.pid)->zombie);
	assert_int_equal(bench_life(b), LIFE_GONE);
}

static void a_process_that_does_not_die_stops_the_undo(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;
	struct ident child;

	run_close(with_child(b, &child));
	sim_find(b->sim, child.pid)->immortal = true;
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, &err), RUN_STUCK);
	assert_non_null(strstr(err.text, "state D"));
	assert_true(bench_there(b, "/a"));
	assert_int_equal(bench_life(b), LIFE_STUCK);
	sim_find(b->sim, child.pid)->immortal = false;
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_false(bench_there(b, "/a"));
}

static void who_is_fenced_stops_acting(void **state)
{
	struct bench *b = *state;
	struct wake begin = { .why = WAKE_BEGIN };
	struct wake timer = { .why = WAKE_TIMER };
	struct run *run = bench_opened(b, EV_CREATE, TWO);
	struct wait next;

	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	/* As a process that took over would. */
	bench_sql(b, "UPDATE task SET lease=lease+1");
	sim_pass(b->sim, 30);
	assert_int_equal(run_wake(run, &timer, &next), RUN_STUCK);
	assert_int_equal(run_error(run)->code, ESTALE);
	run_close(run);
	b->j = journal_close(b->j);
	assert_int_equal(journal_open(&b->j, &b->place, &b->key, JOURNAL_OWN, NULL), 0);
	assert_int_equal(bench_life(b), LIFE_CREATING);
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_false(bench_there(b, "/a") || bench_there(b, "/b1"));
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
	struct run *run = bench_opened(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\"},"
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
	assert_false(bench_there(b, "/a") || bench_there(b, "/b1") || bench_there(b, "/c"));
	run_close(run);
	assert_int_equal(bench_life(b), LIFE_CREATING);
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_int_equal(bench_life(b), LIFE_GONE);
}

/* No row says that it was begun. */
static void without_a_journal_an_undo_that_takes_long_begins_once(void **state)
{
	struct bench *b = *state;
	struct wake begin = { .why = WAKE_BEGIN };
	struct wake timer = { .why = WAKE_TIMER };
	struct run *run;
	struct rlimit was;
	enum run_state waits, ends;
	struct wait next;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/a\","
				 "\"linger\":30}]}", NULL), RUN_DONE);
	run = bench_opened(b, EV_DELETE, NULL);
	fill_disk(&was);
	waits = run_wake(run, &begin, &next);
	sim_pass(b->sim, 30);
	ends = run_wake(run, &timer, &next);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(waits, RUN_WAITING);
	assert_int_equal(ends, RUN_STUCK);
	assert_non_null(strstr(run_error(run)->text, "nothing is left"));
	assert_false(bench_there(b, "/a"));
	run_close(run);
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
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
	assert_int_equal(bench_life(b), LIFE_NEW);
	assert_int_equal(bench_happens(b, EV_CREATE, TWO, NULL), RUN_DONE);
}

/* It might make more: the fence ends it, before anything is undone. */
static void the_old_shim_is_ended_by_the_fence(void **state)
{
	struct bench *b = *state;
	struct run_options o = RUN_OPTIONS_INIT;
	struct err err = ERR_INIT;
	struct ident shim = sim_proc_new(b->sim, "shim", 1)->ident;
	struct run *run;

	assert_int_equal(journal_set_shim(b->j, &shim, &err), 0);
	o.recovering = true;
	assert_int_equal(run_open(&run, &b->engine, b->j, EV_RECOVER, &o, &err), 0);
	assert_int_equal(drive(run, &b->node.node, 0, NULL, NULL), RUN_DONE);
	run_close(run);
	assert_null(sim_find(b->sim, shim.pid));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_old_shim_is_ended_by_the_fence),
		TEST(what_is_foreign_is_refused_and_left),
		TEST(what_cannot_be_undone_is_stuck_and_the_rest_goes_on),
		TEST(all_that_is_stuck_is_named),
		TEST(a_step_that_takes_too_long_fails),
		TEST(a_step_that_asks_for_more_than_its_time_fails),
		TEST(a_child_that_takes_too_long_is_killed_first),
#ifndef URUNC_AMNESIA
		TEST(a_late_child_that_does_not_die_is_given_up),
#endif
		TEST(a_late_child_that_may_live_stops_the_undo),
		TEST(the_fence_kills_what_may_still_make_things),
		TEST(a_process_that_does_not_die_stops_the_undo),
		TEST(who_is_fenced_stops_acting),
		TEST(without_a_journal_no_step_begins_and_all_is_undone),
		TEST(without_a_journal_an_undo_that_takes_long_begins_once),
		TEST(without_a_journal_nothing_is_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
