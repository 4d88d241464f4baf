/* SPDX-License-Identifier: Apache-2.0 */
/* The recovery of all tasks, one after another, and of what they shared. */
#include "test/lib/pod.h"

#include "supervisor/bundle/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FILE_MAX 256

struct visits {
	struct pod *p;
	int n, stop_at, of;
	bool one_goes; /* its file, when the first was visited */
	int64_t takes_ms;
};

static void one_goes(struct pod *p)
{
	char file[FILE_MAX], id[] = "a";

	while (!pod_live(p, id))
		(*id)++;
	assert_int_equal(unlink(pod_file(p, id, file, sizeof(file))), 0);
}

static int visited(void *arg, const struct recover_report *report, int at, int of)
{
	struct visits *v = arg;

	(void)at;
	assert_int_equal(report->result, RECOVER_DONE);
	v->of = of;
	sim_pass(v->p->sim, v->takes_ms);
	if (++v->n == 1 && v->one_goes)
		one_goes(v->p);
	return v->n == v->stop_at;
}

/* Five tasks, all dead; how many were visited. */
static int visits(struct pod *p, struct visits *v, int64_t deadline_ms)
{
	v->p = p;
	for (char id[] = "a"; *id < 'f'; (*id)++)
		if (!pod_live(p, id))
			pod_dead(p, id);
	assert_int_equal(recover_all(&p->engine, &p->b->place, 0, deadline_ms, visited, v, &p->err),
			 0);
	return v->n;
}

static void all_are_visited_until_somebody_says_stop(void **state)
{
	struct pod *p = *state;
	struct visits two = { .stop_at = 2 }, all = { .stop_at = 0 };

	assert_int_equal(visits(p, &two, 0), 2);
	assert_int_equal(two.of, 5);
	assert_int_equal(visits(p, &all, 0), 5);
}

static void one_that_went_away_meanwhile_is_no_news(void **state)
{
	struct pod *p = *state;
	struct visits v = { .one_goes = true };

	assert_int_equal(visits(p, &v, 0), 4);
}

static void a_dry_run_needs_nobody_who_listens(void **state)
{
	struct pod *p = *state;

	pod_dead(p, "a");
	pod_dead(p, "b");
	assert_int_equal(recover_all(&p->engine, &p->b->place, RECOVER_DRY, 0, NULL, NULL, &p->err),
			 0);
	assert_true(pod_live(p, "a") && pod_live(p, "b"));
}

static void the_rest_waits_when_the_time_is_over(void **state)
{
	struct pod *p = *state;
	struct visits v = { .takes_ms = 400 };

	assert_int_equal(visits(p, &v, p->sim->now_ms + 1000), 3);
	assert_int_equal(visits(p, &v, p->sim->now_ms - 1), 3);
}

/* A lock of somebody who died can be had, and is removed then. */
static void locks_of_the_dead_are_removed(void **state)
{
	struct pod *p = *state;
	struct config config = { .history_days = 1, .history_count = 10 };
	char folder[SIM_PATH - 8], dead[SIM_PATH], held[SIM_PATH];

	p->engine.config = &config;
	(void)snprintf(folder, sizeof(folder), "%s/lock/socket", p->b->run);
	(void)snprintf(dead, sizeof(dead), "%s/dead", folder);
	(void)snprintf(held, sizeof(held), "%s/held", folder);
	sim_make(p->sim, folder, S_IFDIR | 0700);
	sim_make(p->sim, dead, S_IFREG | 0600);
	sim_make(p->sim, held, S_IFREG | 0600)->owner = 1;
	assert_int_equal(recover_all(&p->engine, &p->b->place, 0, 0, NULL, NULL, &p->err), 0);
	assert_false(bench_there(p->b, dead));
	assert_true(bench_there(p->b, held));
}

#define T(name) cmocka_unit_test_setup_teardown(name, pod_open, pod_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(all_are_visited_until_somebody_says_stop),
		T(one_that_went_away_meanwhile_is_no_news),
		T(a_dry_run_needs_nobody_who_listens),
		T(the_rest_waits_when_the_time_is_over),
		T(locks_of_the_dead_are_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
