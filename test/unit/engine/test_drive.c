/* SPDX-License-Identifier: Apache-2.0 */
/* The driver that waits with poll(2), on a simulated machine that does not always answer. */
#include "supervisor/engine/drive.h"
#include "test/lib/engine_bench.h"

#include "journal/base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CHILD "{\"create\":[{\"path\":\"/a\"}]}"
#define WAITS "{\"create\":[{\"path\":\"/a\",\"wait\":900}]}"
#define ASKED "{\"address\":\"/run/c.sock\",\"ns\":\"default\",\"id\":\"t1\"}"

/* ---- steps without a limit ----------------------------------------------------------------- */

static int child_apply(struct step *step, struct step_env *env, const struct wake *wake,
		       struct wait *next, struct err *err)
{
	struct spawn spawn = { .job = JOB_CALL, .in = -1, .out = -1, .err = -1 };

	return wake->why == WAKE_CHILD ? 0 : step_spawn(step, env, &spawn, "a child", next, err);
}

/* A child may take as long as it likes: nothing but its end is waited for. */
static const struct step_ops child_kind = { .kind = "file", .effect = EFFECT_VOLATILE,
	.apply = child_apply, .undo = step_nothing };
static const struct step_ops *const child_kinds[] = { &child_kind, NULL };

static struct run *with_child(struct bench *b)
{
	b->engine.kinds = child_kinds;
	return bench_opened(b, EV_CREATE, CHILD);
}

static struct sim_proc *child_of(struct bench *b)
{
	for (int i = 0; i < SIM_PROCS; i++)
		if (b->sim->procs[i].ident.pid > 0 && b->sim->procs[i].ppid == b->sim->me)
			return &b->sim->procs[i];
	return NULL;
}

/* ---- what a tick does ------------------------------------------------------------------------ */

struct ticks {
	struct bench *b;
	int n, stop_at, kill_at;
	int64_t pass_ms; /* the first one takes so long */
};

static int tick(void *arg)
{
	struct ticks *t = arg;

	if (++t->n == t->kill_at)
		sim_kill(t->b->sim, child_of(t->b), 0);
	if (t->n == 1 && t->pass_ms)
		sim_pass(t->b->sim, t->pass_ms);
	return t->n == t->stop_at;
}

static void a_driver_that_is_told_to_stop_leaves_the_child_to_the_next(void **state)
{
	struct bench *b = *state;
	struct run *run = with_child(b);
	struct ticks t = { .b = b, .stop_at = 3 };
	int64_t since = b->sim->now_ms;

	assert_int_equal(drive(run, &b->node.node, 0, tick, &t), RUN_WAITING);
	assert_int_equal(t.n, 3);
	assert_int_equal(b->sim->now_ms - since, 200);
	run_close(run);
	assert_non_null(child_of(b));
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_null(child_of(b));
	assert_int_equal(bench_life(b), LIFE_GONE);
}

static void a_child_without_a_limit_is_waited_for_to_its_end(void **state)
{
	struct bench *b = *state;
	struct run *run = with_child(b);
	struct ticks t = { .b = b, .kill_at = 100 };

	assert_int_equal(drive(run, &b->node.node, 0, tick, &t), RUN_DONE);
	/* And once when it was over. */
	assert_int_equal(t.n, 101);
	run_close(run);
}

static void a_deadline_between_two_ticks_is_kept(void **state)
{
	struct bench *b = *state;
	struct run *run = with_child(b);
	int64_t since = b->sim->now_ms;

	assert_int_equal(drive(run, &b->node.node, since + 150, NULL, NULL), RUN_WAITING);
	assert_int_equal(b->sim->now_ms - since, 150);
	run_close(run);
}

static void time_that_a_tick_took_is_not_waited_for_again(void **state)
{
	struct bench *b = *state;
	struct run *run = bench_opened(b, EV_CREATE, WAITS);
	struct ticks t = { .b = b, .pass_ms = 950 };
	int64_t since = b->sim->now_ms;

	assert_int_equal(drive(run, &b->node.node, 0, tick, &t), RUN_DONE);
	assert_int_equal(b->sim->now_ms - since, 950);
	run_close(run);
}

/* ---- a machine that does not answer ----------------------------------------------------------- */

static int no_watch(struct node *n, const struct ident *who, struct err *err)
{
	(void)n;
	(void)who;
	return err_say(err, EMFILE, "no descriptor is left");
}

static int no_reap(struct node *n, const struct ident *who, int *status, struct err *err)
{
	(void)n;
	(void)who;
	(void)status;
	return err_say(err, EIO, "nobody can be reaped");
}

static void a_child_that_can_be_neither_watched_nor_reaped_is_waited_for(void **state)
{
	struct bench *b = *state;
	struct run *run = with_child(b);
	struct ticks t = { .b = b, .kill_at = 10 };

	b->node.node.watch = no_watch;
	b->node.node.reap = no_reap;
	assert_int_equal(drive(run, &b->node.node, 0, tick, &t), RUN_DONE);
	assert_int_equal(t.n, 11);
	run_close(run);
}

/* The first poll is interrupted, the third fails. */
static struct {
	int (*poll)(struct node *n, struct pollfd *fds, unsigned count, int ms);
	int n, broken_at;
} polls;

static int bad_poll(struct node *n, struct pollfd *fds, unsigned count, int ms)
{
	if (++polls.n == 1 || polls.n == polls.broken_at) {
		errno = polls.n == 1 ? EINTR : ENOMEM;
		return -1;
	}
	return polls.poll(n, fds, count, ms);
}

static void break_polls(struct bench *b)
{
	polls.poll = b->node.node.poll;
	polls.n = 0;
	polls.broken_at = 3;
	b->node.node.poll = bad_poll;
}

static void a_driver_that_cannot_wait_stops_and_the_next_goes_on(void **state)
{
	struct bench *b = *state;
	struct run *run = bench_opened(b, EV_CREATE, WAITS);

	break_polls(b);
	assert_int_equal(drive(run, &b->node.node, 0, NULL, NULL), RUN_WAITING);
	assert_int_equal(polls.n, 3);
	run_close(run);
	assert_int_equal(run_resume(&run, &b->engine, b->j, NULL, NULL), 1);
	assert_int_equal(drive(run, &b->node.node, 0, NULL, NULL), RUN_DONE);
	run_close(run);
}

static void a_pause_is_whole_though_it_is_interrupted(void **state)
{
	struct bench *b = *state;
	int64_t since = b->sim->now_ms;

	break_polls(b);
	drive_pause(&b->node.node, 250);
	assert_int_equal(b->sim->now_ms - since, 250);
	assert_int_equal(polls.n, 2);
	drive_pause(&b->node.node, 250); /* no poll, no pause: better than for ever */
	assert_int_equal(b->sim->now_ms - since, 250);
}

/* ---- a job ----------------------------------------------------------------------------------------- */

static int asked(struct bench *b, char **out, struct err *err)
{
	struct node *n = &b->node.node;

	return drive_job(n, JOB_ASK, ASKED, n->now_ms(n) + 1000, out, err);
}

static void nobody_is_left(struct bench *b)
{
	struct sim_proc *p = child_of(b);

	assert_true(!p || p->zombie);
}

static void a_job_says_what_it_found(void **state)
{
	struct bench *b = *state;
	auto_free char *out = NULL;

	b->sim->containerd_knows = true;
	assert_int_equal(asked(b, &out, NULL), 0);
	assert_non_null(strstr(out, "\"known\":true"));
	nobody_is_left(b);
}

/* Whichever call of the machine fails: an answer or an error, and no process stays. */
static void a_job_that_the_machine_fails_is_an_error_and_ends(void **state)
{
	struct bench *b = *state;
	int failed = 0;

	b->sim->containerd_knows = true;
	b->sim->fail_code = EIO;
	b->sim->calls = 0;
	for (int at = 1; b->sim->calls >= at - 1; at++) {
		auto_free char *out = NULL;
		struct err err = ERR_INIT;
		int r;

		b->sim->calls = 0;
		b->sim->fail_at = at;
		r = asked(b, &out, &err);
		b->sim->fail_at = 0;
		assert_true(r <= 0);
		failed += r < 0;
		if (r < 0)
			assert_int_equal(err.code, EIO);
		else
			assert_non_null(strstr(out, "\"known\":true"));
		nobody_is_left(b);
	}
	assert_true(failed >= 4);
}

static void a_job_that_does_not_end_is_killed_at_its_deadline(void **state)
{
	struct bench *b = *state;
	auto_free char *out = NULL;
	struct err err = ERR_INIT;
	int64_t since = b->sim->now_ms;

	b->sim->containerd_silent = true;
	assert_int_equal(asked(b, &out, &err), -ETIMEDOUT);
	assert_in_range(b->sim->now_ms - since, 1000, 1100);
	nobody_is_left(b);
}

static int kill_first(struct node *n, struct pollfd *fds, unsigned count, int ms)
{
	struct sim_node *s = (struct sim_node *)n;

	sim_kill(s->sim, sim_find(s->sim, s->sim->next_pid - 1), SIGKILL);
	return polls.poll(n, fds, count, ms);
}

static void a_job_that_somebody_killed_is_no_answer(void **state)
{
	struct bench *b = *state;
	auto_free char *out = NULL;
	struct err err = ERR_INIT;

	b->sim->containerd_silent = true;
	polls.poll = b->node.node.poll;
	b->node.node.poll = kill_first;
	assert_int_equal(asked(b, &out, &err), -EIO);
	assert_non_null(strstr(err.text, "was killed"));
	nobody_is_left(b);
}

static void a_job_that_cannot_be_waited_for_is_killed(void **state)
{
	struct bench *b = *state;
	auto_free char *out = NULL;
	struct err err = ERR_INIT;

	b->sim->containerd_silent = true;
	break_polls(b);
	assert_int_equal(asked(b, &out, &err), -ENOMEM);
	assert_non_null(strstr(err.text, "wait for process"));
	nobody_is_left(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_driver_that_is_told_to_stop_leaves_the_child_to_the_next),
		TEST(a_child_without_a_limit_is_waited_for_to_its_end),
		TEST(a_deadline_between_two_ticks_is_kept),
		TEST(time_that_a_tick_took_is_not_waited_for_again),
		TEST(a_child_that_can_be_neither_watched_nor_reaped_is_waited_for),
		TEST(a_driver_that_cannot_wait_stops_and_the_next_goes_on),
		TEST(a_pause_is_whole_though_it_is_interrupted),
		TEST(a_job_says_what_it_found),
		TEST(a_job_that_the_machine_fails_is_an_error_and_ends),
		TEST(a_job_that_does_not_end_is_killed_at_its_deadline),
		TEST(a_job_that_somebody_killed_is_no_answer),
		TEST(a_job_that_cannot_be_waited_for_is_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
