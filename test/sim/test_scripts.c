/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that can happen to a task in up to four steps, and at sampled calls of the
 * last one a death, a failure, a full disk; then longer scripts from a seed, with all
 * kinds of faults, for SIM_SECONDS.
 *
 *   SIM_SECONDS=600  how long random scripts are played (default 3)
 *   SIM_FIRST=1      the first seed; the others count up from it
 *   SIM_STRIDE=1     every call (default: see below)
 *   SEED=77          that one alone, talking; SCRIPT="c sD34 v" too
 */
#include "test/lib/sim_crew.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define KEPT "test/sim/seeds"

#if defined(__SANITIZE_ADDRESS__) || defined(URUNC_AMNESIA)
#define DEPTH  2 /* the same lives, in a slower build */
#define STRIDE 17
#else
#define DEPTH  4
#define STRIDE 23
#endif

static long number(const char *name, long or_else)
{
	const char *text = getenv(name);

	return text ? atol(text) : or_else;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 0: all rules hold. */
static int plays(const struct script *s, struct ending *end, const char *from)
{
	char text[256];

	crew_play(s, end);
	if (!*end->broken)
		return 0;
	print_error("%s SCRIPT=\"%s\":\n%s\n", from, script_text(s, text, sizeof(text)), end->broken);
	return 1;
}

/* ---- all of them ------------------------------------------------------------------------- */

struct sum {
	int lives, scripts, failed, stride;
};

static void with_fault(struct sum *sum, const struct script *s, char fault, int n)
{
	struct script with = *s;
	struct ending end;

	with.at[with.n - 1].fault = fault;
	with.at[with.n - 1].n = n;
	sum->failed += plays(&with, &end, "");
	sum->lives++;
}

/* At which call each kind begins differs from script to script. */
static void with_faults(struct sum *sum, const struct script *s, int calls)
{
	int from = 1 + sum->scripts % sum->stride;

	if (s->at[s->n - 1].op == 'z')
		return;
	for (int at = from; at <= calls; at += sum->stride)
		with_fault(sum, s, 'D', at);
	for (int at = 1 + (from * 5) % sum->stride; at <= calls; at += 2 * sum->stride)
		with_fault(sum, s, 'E', at);
	for (int at = 1 + (from * 3) % sum->stride; at <= calls; at += 3 * sum->stride)
		with_fault(sum, s, 'G', at);
	with_fault(sum, s, 'H', 1);
	with_fault(sum, s, 'F', 0);
}

static void enumerate(struct sum *sum, struct script *s, int depth)
{
	static const char ops[] = "csxkprdzvR2B";
	struct ending end;

	for (const char *op = ops; *op; op++) {
		s->at[s->n++] = (struct act){ .op = *op, .n = *op == '2' ? 1 + sum->lives % 40 : 0 };
		sum->failed += plays(s, &end, "");
		sum->lives++;
		sum->scripts++;
		/* What is refused, or finds nothing to do, leaves the machine as it was: the
		 * rest is the same as without it. */
		if (end.last != PART_REFUSED && end.last != PART_HEALTHY && end.calls > 3) {
			with_faults(sum, s, end.calls);
			if (depth > 1)
				enumerate(sum, s, depth - 1);
		}
		s->n--;
	}
}

static void every_short_script_keeps_the_rules(void **state)
{
	struct sum sum = { .stride = (int)number("SIM_STRIDE", STRIDE) };
	struct script s = { .native = *state != NULL };
	double since = seconds();

	/* What an operation is to the engine was played above: a step less is enough here. */
	enumerate(&sum, &s, (int)number("SIM_DEPTH", s.native && DEPTH > 3 ? 3 : DEPTH));
	print_message("# note: %d scripts, %d lives, %.0f a second\n", sum.scripts, sum.lives,
		      sum.lives / (seconds() - since));
	assert_int_equal(sum.failed, 0);
}

/* ---- kept ---------------------------------------------------------------------------------- */

static void every_script_that_once_failed_keeps_the_rules(void **state)
{
	FILE *f = fopen(KEPT, "r");
	char line[512];
	int n = 0, failed = 0;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		struct ending end;
		struct script s;

		assert_int_equal(script_parse(&s, line), 0);
		if (s.n == 0)
			continue;
		failed += plays(&s, &end, KEPT);
		n++;
	}
	fclose(f);
	assert_true(n > 0);
	assert_int_equal(failed, 0);
}

/* ---- random ---------------------------------------------------------------------------------- */

static void random_scripts_keep_the_rules(void **state)
{
	uint64_t first = (uint64_t)number("SIM_FIRST", 1);
	double since = seconds(), end_at = since + (double)number("SIM_SECONDS", 3);
	int n = 0, failed = 0;
	char from[64];

	(void)state;
	while (seconds() < end_at && failed < 5) {
		struct ending end;
		struct script s;

		script_random(&s, first + (uint64_t)n);
		(void)snprintf(from, sizeof(from), "SEED=%llu", (unsigned long long)first + n);
		failed += plays(&s, &end, from);
		n++;
	}
	print_message("# note: seeds from %llu, %d lives, %.0f a second\n", (unsigned long long)first,
		      n, n / (seconds() - since));
	assert_int_equal(failed, 0);
}

static int one(void)
{
	struct ending end;
	struct script s;
	char text[256];

	if (getenv("SEED"))
		script_random(&s, strtoull(getenv("SEED"), NULL, 10));
	else if (script_parse(&s, getenv("SCRIPT")) < 0)
		return 2;
	printf("%s\n", script_text(&s, text, sizeof(text)));
	setenv("SIM_TALK", "1", 1);
	return plays(&s, &end, "");
}

int main(void)
{
	bool unikernel = true;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_short_script_keeps_the_rules),
		{ "every_short_script_of_a_unikernel_keeps_the_rules",
		  every_short_script_keeps_the_rules, NULL, NULL, &unikernel },
		cmocka_unit_test(every_script_that_once_failed_keeps_the_rules),
		cmocka_unit_test(random_scripts_keep_the_rules),
	};

	if (getenv("SEED") || getenv("SCRIPT"))
		return one();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
