/* SPDX-License-Identifier: Apache-2.0 */
/* What a fence ends, what it leaves alone, and what it says when it can't. */
#include "supervisor/engine/run.h"
#include "test/lib/engine_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#define A     "{\"create\":[{\"path\":\"/a\"}]}"
#define CHILD "{\"create\":[{\"path\":\"/a\"},{\"kind\":\"child\"}]}"

static const struct wake begin = { .why = WAKE_BEGIN };
static const struct wake timer = { .why = WAKE_TIMER };

/* ---- a task with a child -------------------------------------------------------------------- */

/* A child of the task without a step, as its row says. */
static int64_t recorded(struct bench *b, const struct ident *who, const char *epoch)
{
	int64_t seq = 0;

	assert_int_equal(journal_child(b->j, 0, who, "late", epoch, 0, 0, &seq, NULL), 0);
	return seq;
}

static int count_child(void *arg, const struct child_row *row, struct err *err)
{
	(void)row;
	(void)err;
	++*(int *)arg;
	return 0;
}

static int open_children(struct bench *b)
{
	int n = 0;

	assert_int_equal(journal_each_child(b->j, true, count_child, &n, NULL), 0);
	return n;
}

/* A create that waits for its child; the child. */
static struct sim_proc *child_of_a_create(struct bench *b)
{
	struct run *run = bench_opened(b, EV_CREATE, CHILD);
	struct wait next;
	struct ident child;

	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	assert_int_equal(run_child(run, &child), 0);
	run_close(run);
	return sim_find(b->sim, child.pid);
}

static bool lives(struct bench *b, const struct ident *who)
{
	return b->node.node.alive(&b->node.node, who, NULL) == 1;
}

/* As a recovery of a task whose shim stays, for other tasks. */
static enum run_state recover_shared(struct bench *b)
{
	struct run_options o = RUN_OPTIONS_INIT;
	struct run *run = NULL;
	enum run_state s;

	o.recovering = true;
	o.shared = true;
	assert_int_equal(run_open(&run, &b->engine, b->j, EV_RECOVER, &o, NULL), 0);
	s = drive(run, &b->node.node, 0, NULL, NULL);
	run_close(run);
	return s;
}

static void sql(struct bench *b, const char *text)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(journal_file(b->j), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* ---- whom it ends, of those who have a row -------------------------------------------------- */

static void a_child_whose_number_is_now_ours_is_gone(void **state)
{
	struct bench *b = *state;
	struct ident was = sim_find(b->sim, b->sim->me)->ident;

	was.start++;
	(void)recorded(b, &was, b->sim->epoch);
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_int_equal(open_children(b), 0);
}

static void who_recovers_does_not_end_itself(void **state)
{
	struct bench *b = *state;
	struct ident self = sim_find(b->sim, b->sim->me)->ident;

	assert_int_equal(journal_set_shim(b->j, &self, NULL), 0);
	(void)recorded(b, &self, b->sim->epoch);
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_true(lives(b, &self));
	assert_int_equal(open_children(b), 1);
}

static struct ident a_shim(struct bench *b)
{
	struct sim_proc *shim = sim_proc_new(b->sim, "shim", 1);

	assert_int_equal(journal_set_bundle(b->j, "/b/t1", 1, sim_make(b->sim, "/b/t1", 0)->what.ino,
					    NULL), 0);
	(void)snprintf(shim->cwd, sizeof(shim->cwd), "/b/t1");
	assert_int_equal(journal_set_shim(b->j, &shim->ident, NULL), 0);
	(void)recorded(b, &shim->ident, b->sim->epoch);
	return shim->ident;
}

static void a_shim_is_ended_and_its_row_with_it(void **state)
{
	struct bench *b = *state;
	struct ident shim = a_shim(b);

	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_false(lives(b, &shim));
	assert_int_equal(open_children(b), 0);
}

/* Even if it stands in the task's bundle. */
static void a_shim_of_other_tasks_stays_and_its_row_with_it(void **state)
{
	struct bench *b = *state;
	struct ident shim = a_shim(b);

	assert_int_equal(recover_shared(b), RUN_DONE);
	assert_true(lives(b, &shim));
	assert_int_equal(open_children(b), 1);
}

#define EXEC(id, more) "{\"exec\":[{\"exec_id\":\"" id "\"," more "}]}"

static struct run *exec_opened(struct bench *b, const char *args, const char *request)
{
	struct run_options o = RUN_OPTIONS_INIT;
	struct run *run = NULL;

	assert_int_equal(journal_set_text(b->j, TASK_REQUEST, request, NULL), 0);
	o.args = args;
	assert_int_equal(run_open(&run, &b->engine, b->j, EV_EXEC, &o, NULL), 0);
	return run;
}

/* An exec that fails while another's child lives, and one of no step; what the two are. */
static enum run_state fail_an_exec(struct bench *b, const char *meanwhile, struct ident who[2])
{
	struct wait next;
	struct run *one, *two;
	enum run_state s;

	assert_int_equal(bench_happens(b, EV_CREATE, A, NULL), RUN_DONE);
	one = exec_opened(b, "{\"exec_id\":\"e1\"}", EXEC("e1", "\"kind\":\"child\""));
	assert_int_equal(run_wake(one, &begin, &next), RUN_WAITING);
	assert_int_equal(run_child(one, &who[0]), 0);
	who[1] = sim_proc_new(b->sim, "late", 1)->ident;
	(void)recorded(b, &who[1], b->sim->epoch);
	two = exec_opened(b, "{\"exec_id\":\"e2\"}", EXEC("e2", "\"path\":\"/e2\",\"fail\":true"));
	if (meanwhile)
		sql(b, meanwhile);
	s = drive(two, &b->node.node, 0, NULL, NULL);
	run_close(two);
	run_close(one);
	return s;
}

static void a_failed_exec_ends_its_own_children_alone(void **state)
{
	struct bench *b = *state;
	struct ident who[2];

	assert_int_equal(fail_an_exec(b, NULL, who), RUN_UNDONE);
	assert_true(lives(b, &who[0]) && lives(b, &who[1]));
	assert_false(bench_there(b, "/e2"));
}

static void is_stuck_and_ends_nobody(struct bench *b, const char *meanwhile)
{
	struct ident who[2];

	assert_int_equal(fail_an_exec(b, meanwhile, who), RUN_STUCK);
	assert_true(lives(b, &who[0]) && lives(b, &who[1]));
}

static void a_failed_exec_is_stuck_where_nobody_knows_whose_a_child_is(void **state)
{
	is_stuck_and_ends_nobody(*state, "UPDATE step SET want='{' WHERE want LIKE '%child%'");
}

static void a_failed_exec_is_stuck_where_a_childs_step_cannot_be_read(void **state)
{
	is_stuck_and_ends_nobody(*state, "UPDATE step SET state='new' WHERE want LIKE '%child%'");
}

/* ---- a process that can't be killed ------------------------------------------------------------ */

static int refuse_signal(struct node *n, const struct ident *who, int sig, struct err *err)
{
	(void)n;
	(void)who;
	(void)sig;
	return err_say(err, EPERM, "not allowed");
}

static void a_signal_that_is_refused_stops_the_undo_and_names_whom(void **state)
{
	struct bench *b = *state;
	struct ident child = child_of_a_create(b)->ident;
	int (*allowed)(struct node *, const struct ident *, int, struct err *) = b->node.node.signal;
	struct err err = ERR_INIT;
	char text[64];

	b->node.node.signal = refuse_signal;
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, &err), RUN_STUCK);
	(void)snprintf(text, sizeof(text), "kill a child, process %d: not allowed", (int)child.pid);
	assert_non_null(strstr(err.text, text));
	assert_true(bench_there(b, "/a"));
	b->node.node.signal = allowed;
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_false(lives(b, &child) || bench_there(b, "/a"));
}

static int too_late(struct node *n, const struct ident *who, int sig, struct err *err)
{
	struct sim_node *s = (struct sim_node *)n;
	struct sim_proc *p = sim_find(s->sim, who->pid);

	if (p)
		sim_kill(s->sim, p, sig);
	return err_set(err, ESRCH, "process %d", (int)who->pid);
}

static void who_ends_just_before_the_signal_is_gone_at_the_next_look(void **state)
{
	struct bench *b = *state;
	struct ident child = child_of_a_create(b)->ident;

	b->node.node.signal = too_late;
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_false(lives(b, &child) || bench_there(b, "/a"));
	assert_int_equal(open_children(b), 0);
}

/* A list of whom it killed that is not what it wrote: it goes on in it. */
static void a_row_that_names_nobody_stops_no_fence(void **state)
{
	struct bench *b = *state;
	struct sim_proc *child = child_of_a_create(b);
	struct run *run = bench_opened(b, EV_RECOVER, NULL);
	struct ident who = child->ident;

	sql(b, "UPDATE step SET have='{\"killed\":[7]}' WHERE kind='fence'");
	assert_int_equal(drive(run, &b->node.node, 0, NULL, NULL), RUN_DONE);
	run_close(run);
	assert_false(lives(b, &who) || bench_there(b, "/a"));
}

/* ---- a journal that can't be written -------------------------------------------------------------- */

/* The run of a fence that waits for somebody who does not die. */
static struct run *waits_for(struct bench *b, struct sim_proc *who)
{
	struct run *run = bench_opened(b, EV_RECOVER, NULL);
	struct wait next;

	who->immortal = true;
	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	return run;
}

/* The lease is raised, he dies, and the run looks again. */
static void is_fenced(struct bench *b, struct run *run, struct sim_proc *who)
{
	struct wait next;

	sql(b, "UPDATE task SET lease=lease+1");
	who->immortal = false;
	sim_kill(b->sim, who, SIGKILL);
	assert_int_equal(run_wake(run, &timer, &next), RUN_STUCK);
	assert_int_equal(run_error(run)->code, ESTALE);
	run_close(run);
}

static void who_is_fenced_does_not_say_that_a_child_ended(void **state)
{
	struct bench *b = *state;
	struct sim_proc *child = child_of_a_create(b);

	is_fenced(b, waits_for(b, child), child);
	assert_int_equal(open_children(b), 1);
	assert_true(bench_there(b, "/a"));
}

static void who_is_fenced_does_not_say_that_all_are_dead(void **state)
{
	struct bench *b = *state;
	struct sim_proc *shim = sim_proc_new(b->sim, "shim", 1);

	assert_int_equal(bench_happens(b, EV_CREATE, A, NULL), RUN_DONE);
	assert_int_equal(journal_set_shim(b->j, &shim->ident, NULL), 0);
	is_fenced(b, waits_for(b, shim), shim);
	assert_true(bench_there(b, "/a"));
}

/* The disk fills, the child ends: what the create made goes all the same. */
static void a_child_that_ends_while_nothing_can_be_written_is_gone(void **state)
{
	struct bench *b = *state;
	struct run *run = bench_opened(b, EV_CREATE, CHILD);
	struct wake ended = { .why = WAKE_CHILD };
	struct rlimit was, none = { .rlim_cur = 0 };
	enum run_state s;
	struct wait next;
	struct ident child;

	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	assert_int_equal(run_child(run, &child), 0);
	sim_kill(b->sim, sim_find(b->sim, child.pid), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	none.rlim_max = was.rlim_max;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	s = run_wake(run, &ended, &next);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(s, RUN_STUCK);
	assert_non_null(strstr(run_error(run)->text, "nothing is left"));
	assert_false(bench_there(b, "/a"));
	run_close(run);
	assert_int_equal(open_children(b), 1);
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_int_equal(open_children(b), 0);
}

/* While another process writes, the run asks to be woken again. */
static void is_busy(struct bench *b, struct run *run)
{
	int64_t now = b->sim->now_ms;
	struct wait next;
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(journal_file(b->j), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	assert_true(next.at_ms > now);
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* Its many tries are over but for one: that would take ten seconds. */
static void a_writer_that_stays_stops_no_undo(void **state)
{
	struct bench *b = *state;
	struct wait next;
	struct run *run;
	sqlite3 *db = NULL;

	assert_int_equal(bench_happens(b, EV_CREATE, A, NULL), RUN_DONE);
	run = bench_opened(b, EV_RECOVER, NULL);
	run->busy = BUSY_TRIES - 1;
	assert_int_equal(sqlite3_open(journal_file(b->j), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(run_wake(run, &begin, &next), RUN_STUCK);
	assert_non_null(strstr(run_error(run)->text, "nothing is left"));
	assert_non_null(strstr(run_error(run)->text, "another process is writing it"));
	assert_false(bench_there(b, "/a"));
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	run_close(run);
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_int_equal(bench_life(b), LIFE_GONE);
}

static void ends_well(struct bench *b, struct run *run)
{
	assert_int_equal(drive(run, &b->node.node, 0, NULL, NULL), RUN_DONE);
	run_close(run);
	assert_false(bench_there(b, "/a"));
	assert_int_equal(bench_life(b), LIFE_GONE);
}

static void a_fence_that_is_done_waits_for_another_writer(void **state)
{
	struct bench *b = *state;
	struct run *run;

	assert_int_equal(bench_happens(b, EV_CREATE, A, NULL), RUN_DONE);
	run = bench_opened(b, EV_RECOVER, NULL);
	is_busy(b, run);
	assert_true(bench_there(b, "/a"));
	ends_well(b, run);
}

static void a_fence_that_killed_waits_for_another_writer(void **state)
{
	struct bench *b = *state;
	struct sim_proc *child = child_of_a_create(b);
	struct run *run = bench_opened(b, EV_RECOVER, NULL);

	child->immortal = true;
	is_busy(b, run);
	child->immortal = false;
	ends_well(b, run);
}

static void a_fence_that_failed_waits_for_another_writer(void **state)
{
	struct bench *b = *state;
	int (*allowed)(struct node *, const struct ident *, int, struct err *) = b->node.node.signal;
	struct run *run;

	(void)child_of_a_create(b);
	run = bench_opened(b, EV_RECOVER, NULL);
	b->node.node.signal = refuse_signal;
	is_busy(b, run);
	b->node.node.signal = allowed;
	ends_well(b, run);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_child_whose_number_is_now_ours_is_gone),
		TEST(who_recovers_does_not_end_itself),
		TEST(a_shim_is_ended_and_its_row_with_it),
		TEST(a_shim_of_other_tasks_stays_and_its_row_with_it),
		TEST(a_failed_exec_ends_its_own_children_alone),
		TEST(a_failed_exec_is_stuck_where_nobody_knows_whose_a_child_is),
		TEST(a_failed_exec_is_stuck_where_a_childs_step_cannot_be_read),
		TEST(a_signal_that_is_refused_stops_the_undo_and_names_whom),
		TEST(who_ends_just_before_the_signal_is_gone_at_the_next_look),
		TEST(a_row_that_names_nobody_stops_no_fence),
		TEST(who_is_fenced_does_not_say_that_a_child_ended),
		TEST(who_is_fenced_does_not_say_that_all_are_dead),
		TEST(a_child_that_ends_while_nothing_can_be_written_is_gone),
		TEST(a_writer_that_stays_stops_no_undo),
		TEST(a_fence_that_is_done_waits_for_another_writer),
		TEST(a_fence_that_killed_waits_for_another_writer),
		TEST(a_fence_that_failed_waits_for_another_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
