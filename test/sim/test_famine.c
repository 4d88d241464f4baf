/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is not there, once, for the Nth who asks, N = 1, 2, 3 ...: in a life, and
 * in the recovery of one. Whoever could not go on says so; a recovery with memory then
 * leaves nothing.
 *
 * Linked with libhungry.a, where what the supervisor asks for memory has these names
 * (Makefile); the simulated machine itself is never hungry.
 *
 *   FAMINE_STRIDE=1   each N (default: see below)
 *   FAMINE_AT=123     that one alone; FAMINE_WHERE=1: say who asked, for addr2line(1)
 */
#include "test/lib/sim_call.h"
#include "test/lib/sim_life.h"

#include <errno.h>
#include <execinfo.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(URUNC_AMNESIA)
#define STRIDE 197
#else
#define STRIDE 43
#endif

/* A replaced call has no argument to keep this in. */
static struct sim *world;

static bool starves(void)
{
	void *at[32];

	if (!world || ++world->meals != world->starve_at)
		return false;
	if (getenv("FAMINE_WHERE"))
		backtrace_symbols_fd(at, backtrace(at, 32), 2);
	errno = ENOMEM;
	return true;
}

/* ---- who asks for memory ----------------------------------------------------------------- */

#define HUNGRY(type, name, params, args)    \
	type hungry_##name params;          \
	type hungry_##name params           \
	{                                   \
		if (starves())              \
			return NULL;        \
		return name args;           \
	}

HUNGRY(void *, malloc, (size_t n), (n))
HUNGRY(void *, calloc, (size_t n, size_t size), (n, size))
HUNGRY(void *, realloc, (void *p, size_t n), (p, n))
HUNGRY(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size))
HUNGRY(char *, strdup, (const char *s), (s))
HUNGRY(char *, strndup, (const char *s, size_t n), (s, n))
HUNGRY(json_object *, json_object_new_object, (void), ())
HUNGRY(json_object *, json_object_new_array, (void), ())
HUNGRY(json_object *, json_object_new_string, (const char *s), (s))
HUNGRY(json_object *, json_object_new_int64, (int64_t i), (i))
HUNGRY(json_object *, json_object_new_uint64, (uint64_t i), (i))
HUNGRY(json_object *, json_object_new_boolean, (json_bool b), (b))
HUNGRY(const char *, json_object_to_json_string_ext, (json_object *o, int flags), (o, flags))

int hungry_vasprintf(char **ret, const char *fmt, va_list ap);
int hungry_vasprintf(char **ret, const char *fmt, va_list ap)
{
	return starves() ? -1 : vasprintf(ret, fmt, ap);
}

__attribute__((format(printf, 2, 3)))
int hungry_asprintf(char **ret, const char *fmt, ...);
int hungry_asprintf(char **ret, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = hungry_vasprintf(ret, fmt, ap);
	va_end(ap);
	return n;
}

/* What _FORTIFY_SOURCE makes of it. */
__attribute__((format(printf, 3, 4)))
int hungry_asprintf_chk(char **ret, int flag, const char *fmt, ...);
int hungry_asprintf_chk(char **ret, int flag, const char *fmt, ...)
{
	va_list ap;
	int n;

	(void)flag;
	va_start(ap, fmt);
	n = hungry_vasprintf(ret, fmt, ap);
	va_end(ap);
	return n;
}

int hungry_json_object_object_add(json_object *o, const char *name, json_object *value);
int hungry_json_object_object_add(json_object *o, const char *name, json_object *value)
{
	return starves() ? -1 : json_object_object_add(o, name, value);
}

int hungry_json_object_array_add(json_object *o, json_object *value);
int hungry_json_object_array_add(json_object *o, json_object *value)
{
	return starves() ? -1 : json_object_array_add(o, value);
}

/* ---- lives ---------------------------------------------------------------------------------- */

static int number(const char *name, int or_else)
{
	const char *text = getenv(name);

	return text ? atoi(text) : or_else;
}

/* How often each kind of life is lived, and how many of them ended badly. */
struct sum {
	int at, step, n, bad;
	bool starved, native;
};

static struct sum begins(void **state)
{
	return (struct sum){ .at = number("FAMINE_AT", 1), .native = *state != NULL, .starved = true,
			     .step = number("FAMINE_STRIDE", STRIDE) };
}

/* Is there one more? */
static bool next(struct sum *sum)
{
	if (sum->n++ > 0)
		sum->at += sum->step;
	return sum->starved && (sum->n == 1 || !getenv("FAMINE_AT"));
}

static void ends(const struct sum *sum)
{
	print_message("# %d times\n", sum->n - 1);
	assert_int_equal(sum->bad, 0);
}

static void open_hungry(struct stage *s, int at)
{
	stage_open(s);
	world = s->sim;
	world->starve_at = at;
}

static void close_hungry(struct stage *s)
{
	world = NULL;
	stage_close(s);
}

/* Its memory is there again: nothing may be left, and nobody may have crashed. */
static void ends_well(struct stage *s, struct sum *sum, enum part p)
{
	enum part then;
	char left[4096];

	sum->starved = s->sim->meals >= sum->at;
	s->sim->starve_at = 0;
	sim_pass(s->sim, OLD_MS);
	then = stage_recover(s);
	stage_left(s, left, sizeof(left));
	if (p == PART_DIED || p == PART_BROKEN || then != PART_OK || *left) {
		sum->bad++;
		print_error("FAMINE_AT=%d: it ended %d, its recovery %d; left: %s\n", sum->at, p,
			    then, left);
	}
}

static void a_life_without_memory_at_any_point_is_taken_back(void **state)
{
	struct sum sum = begins(state);

	while (next(&sum)) {
		struct stage s = { .until = UNTIL_GONE, .native = sum.native };

		open_hungry(&s, sum.at);
		ends_well(&s, &sum, stage_life(&s));
		close_hungry(&s);
	}
	ends(&sum);
}

static void a_recovery_without_memory_at_any_point_is_done_later(void **state)
{
	struct sum sum = begins(state);

	while (next(&sum)) {
		struct stage s = { .until = UNTIL_STARTED, .native = sum.native };

		open_hungry(&s, 0);
		assert_int_equal(stage_life(&s), PART_OK);
		sim_pass(s.sim, OLD_MS);
		s.sim->meals = 0;
		s.sim->starve_at = sum.at;
		ends_well(&s, &sum, stage_recover(&s));
		close_hungry(&s);
	}
	ends(&sum);
}

#define TEST(f) cmocka_unit_test(f)
/* The same with a unikernel that no OCI runtime makes. */
#define UNIKERNEL(f) { #f "_unikernel", f, NULL, NULL, &unikernel }

int main(void)
{
	bool unikernel = true;
	const struct CMUnitTest tests[] = {
		TEST(a_life_without_memory_at_any_point_is_taken_back),
		UNIKERNEL(a_life_without_memory_at_any_point_is_taken_back),
		TEST(a_recovery_without_memory_at_any_point_is_done_later),
		UNIKERNEL(a_recovery_without_memory_at_any_point_is_done_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
