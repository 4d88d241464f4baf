/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is not there for the Nth who asks, N = 1, 2, 3 ..., and a journal that
 * refuses the Nth statement, or all from there on: in a life, and in the recovery of one.
 * Whoever could not go on says so; a recovery with all of it then leaves nothing.
 *
 * Linked with libhungry.a, where what the supervisor asks of memory and of SQLite has
 * these names (Makefile); the simulated machine itself is never hungry.
 *
 *   FAMINE_STRIDE=1   each case: N, times what can go wrong there (default: see below)
 *   FAMINE_AT=123     that one alone; FAMINE_WHERE=1: say who asked, for addr2line(1)
 */
#include "supervisor/engine/execs.h"
#include "supervisor/engine/plan.h"
#include "supervisor/oci/runtime.h"
#include "test/lib/journal_place.h"
#include "test/lib/sim_call.h"
#include "test/lib/sim_life.h"

#include <errno.h>
#include <execinfo.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(URUNC_AMNESIA)
#define STRIDE 197
#define JOURNAL_STRIDE 397 /* no multiple of what can go wrong with it */
#else
#define STRIDE 43
#define JOURNAL_STRIDE 97
#endif

/* What is refused; memory, if there is no name. */
struct lack {
	const char *name;
	int code;    /* SQLite's; SQLITE_OK: somebody else takes the task over */
	bool for_ever;
};

/* A replaced call has no argument to keep this in. */
static struct {
	struct sim *sim; /* NULL: nothing is refused */
	struct lack lack;
	int refused;     /* SQLite's last answer, if it was ours */
	bool taken_over;
} world;

static void say_where(void)
{
	void *at[32];

	if (getenv("FAMINE_WHERE"))
		backtrace_symbols_fd(at, backtrace(at, 32), 2);
}

static bool starves(void)
{
	if (!world.sim || world.lack.name || ++world.sim->meals != world.sim->starve_at)
		return false;
	say_where();
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

/* ---- who asks the journal ------------------------------------------------------------------ */

/* Who has it now has raised the lease; our own transaction would have been in its way. */
static void take_over(sqlite3 *db)
{
	if (world.taken_over || !sqlite3_get_autocommit(db))
		return;
	world.taken_over = true;
	(void)sqlite3_exec(db, "UPDATE task SET lease=lease+1", NULL, NULL, NULL);
}

/* What SQLite answers to the statement instead of doing it; SQLITE_OK: it is done. A
 * rollback is: it needs nothing that could be missing. */
static int refusal(sqlite3_stmt *stmt)
{
	struct sim *sim = world.sim;

	if (!sim || !world.lack.name || strcmp(sqlite3_sql(stmt), "ROLLBACK") == 0)
		return SQLITE_OK;
	sim->meals++;
	if (!sim->starve_at || sim->meals < sim->starve_at ||
	    (sim->meals > sim->starve_at && !world.lack.for_ever))
		return SQLITE_OK;
	if (sim->meals == sim->starve_at)
		say_where();
	if (world.lack.code == SQLITE_OK)
		take_over(sqlite3_db_handle(stmt));
	return world.lack.code;
}

int hungry_sqlite3_step(sqlite3_stmt *stmt);
int hungry_sqlite3_step(sqlite3_stmt *stmt)
{
	world.refused = refusal(stmt);
	return world.refused != SQLITE_OK ? world.refused : sqlite3_step(stmt);
}

int hungry_sqlite3_extended_errcode(sqlite3 *db);
int hungry_sqlite3_extended_errcode(sqlite3 *db)
{
	return world.refused != SQLITE_OK ? world.refused : sqlite3_extended_errcode(db);
}

/* ---- lives ---------------------------------------------------------------------------------- */

#define CALLS_MAX 100000 /* who makes more never ends */

/* What is lived, and what can be refused in it. */
struct kind {
	bool native; /* a unikernel that no OCI runtime makes */
	int stride, n;
	struct lack lacks[8];
};

static int number(const char *name, int or_else)
{
	const char *text = getenv(name);

	return text ? atoi(text) : or_else;
}

/* How often each kind of life is lived, and how many of them ended badly. */
struct sum {
	const struct kind *kind;
	int at, step, n, bad;
	bool starved;
};

static struct sum begins(void **state)
{
	const struct kind *kind = *state;

	return (struct sum){ .kind = kind, .at = number("FAMINE_AT", 1), .starved = true,
			     .step = number("FAMINE_STRIDE", kind->stride) };
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

static void open_hungry(struct stage *s)
{
	stage_open(s);
	s->sim->calls_max = CALLS_MAX;
	world.sim = s->sim;
}

static void close_hungry(struct stage *s)
{
	world.sim = NULL;
	stage_close(s);
}

/* The case of now: who is the one, and what is refused. */
static void begin_famine(struct stage *s, const struct sum *sum)
{
	world.lack = sum->kind->lacks[(sum->at - 1) % sum->kind->n];
	s->sim->meals = 0;
	s->sim->starve_at = (sum->at - 1) / sum->kind->n + 1;
}

/* All is there again: nothing may be left, and nobody may have crashed, or gone on for
 * ever. */
static void ends_well(struct stage *s, struct sum *sum, enum part p)
{
	enum part then;
	char left[4096];

	sum->starved = s->sim->meals >= s->sim->starve_at;
	s->sim->starve_at = 0;
	sim_pass(s->sim, OLD_MS);
	then = stage_recover(s);
	stage_left(s, left, sizeof(left));
	if (p == PART_DIED || p >= PART_BROKEN || then != PART_OK || *left) {
		sum->bad++;
		print_error("FAMINE_AT=%d: %s: it ended %d, its recovery %d; left: %s\n", sum->at,
			    world.lack.name ? world.lack.name : "no memory", p, then, left);
	}
}

static void a_life_that_lacks_something_is_taken_back(void **state)
{
	struct sum sum = begins(state);

	while (next(&sum)) {
		struct stage s = { .until = UNTIL_GONE, .native = sum.kind->native };

		open_hungry(&s);
		begin_famine(&s, &sum);
		ends_well(&s, &sum, stage_life(&s));
		close_hungry(&s);
	}
	ends(&sum);
}

static void a_recovery_that_lacks_something_is_done_later(void **state)
{
	struct sum sum = begins(state);

	while (next(&sum)) {
		struct stage s = { .until = UNTIL_STARTED, .native = sum.kind->native };

		open_hungry(&s);
		assert_int_equal(stage_life(&s), PART_OK);
		sim_pass(s.sim, OLD_MS);
		begin_famine(&s, &sum);
		ends_well(&s, &sum, stage_recover(&s));
		close_hungry(&s);
	}
	ends(&sum);
}

/* ---- single calls ------------------------------------------------------------------------- */

/* Is the Nth refused now, of those who ask until sated()? */
static void starve_at(struct sim *sim, const struct lack *lack, int n)
{
	world.lack = *lack;
	sim->meals = 0;
	sim->starve_at = n;
	world.sim = sim;
}

/* Nothing is refused any more. Was it? */
static bool sated(void)
{
	struct sim *sim = world.sim;

	world.sim = NULL;
	world.refused = SQLITE_OK;
	return sim->meals >= sim->starve_at;
}

static const struct {
	enum plan plan;
	const char *runtime, *request, *args;
} asked[] = {
	{ PLAN_SERVE, "/bin/runc", "{}", "{\"socket\":\"/s\",\"join\":{\"id\":\"c2\"}}" },
	{ PLAN_CREATE, "/bin/runc", "{\"rootfs\":[{\"type\":\"tmpfs\",\"options\":[\"ro\"]}],"
	  "\"console\":\"/c\"}", NULL },
	{ PLAN_CREATE, "/bin/runc", "{\"checkpoint\":\"/img\"}", NULL },
	{ PLAN_CREATE, RUNTIME_NATIVE_NAME, "{\"unikernel\":{\"type\":\"mirage\","
	  "\"mount_rootfs\":true},\"netns\":\"/n\",\"hooks\":{\"prestart\":[{\"path\":\"/h\"}],"
	  "\"createContainer\":[{\"path\":\"/h\"}],\"poststop\":[{\"path\":\"/h\"}]}}", NULL },
	{ PLAN_START, "/bin/runc", "{}", NULL },
	{ PLAN_START, "/bin/runc", "{\"checkpoint\":\"/img\"}", NULL },
	{ PLAN_START, "/bin/runc", "{\"checkpoint\":\"/img\",\"options\":{\"criu_work_path\":"
	  "\"/w\"}}", NULL },
	{ PLAN_START, RUNTIME_NATIVE_NAME, "{\"hooks\":{\"startContainer\":[{\"path\":\"/h\"}],"
	  "\"poststart\":[{\"path\":\"/h\"}]}}", NULL },
	{ PLAN_KILL, "/bin/runc", "{}", "{\"signal\":9,\"all\":true}" },
	{ PLAN_PAUSE, "/bin/runc", "{}", NULL },
	{ PLAN_EXEC, "/bin/runc", "{}", "{\"exec_id\":\"e1\",\"console\":\"/c\"}" },
	{ PLAN_CHECKPOINT, "/bin/runc", "{}", "{\"path\":\"/img\"}" },
	{ PLAN_CHECKPOINT, "/bin/runc", "{}", "{\"path\":\"/img\",\"work\":\"/w\"}" },
};

/* Never one that lacks a step, or a word that there was no memory for. */
static void a_plan_that_lacks_memory_is_none(void **state)
{
	static const struct lack memory;
	struct plan_list *list = calloc(1, sizeof(*list));
	struct sim *sim = sim_new();

	(void)state;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		struct task_row task = { .bundle = (char *)"/b", .runtime = (char *)asked[i].runtime,
					 .runtime_root = (char *)"/r" };
		json_object *request = json_tokener_parse(asked[i].request);
		json_object *args = asked[i].args ? json_tokener_parse(asked[i].args) : NULL;
		int r = -ENOMEM;

		for (int n = 1; r < 0; n++) {
			struct err err = ERR_INIT;

			starve_at(sim, &memory, n);
			r = plan_make(list, asked[i].plan, &task, request, args, &err);
			if (r != (sated() ? -ENOMEM : 0))
				fail_msg("plan %zu, FAMINE_AT=%d: %d %s", i, n, r, err.text);
			assert_int_equal(list->n > 0, r == 0);
			plan_clear(list);
		}
		json_object_put(request);
		json_object_put(args);
	}
	sim_free(sim);
	free(list);
}

/* Said, and noted whole, or refused, and nothing noted. */
static void note_an_end(struct journal *j, struct sim *sim, const struct lack *lack)
{
	struct exec_row row;
	bool refused = true;

	for (int n = 1; refused; n++) {
		struct err err = ERR_INIT;
		int found, noted;

		starve_at(sim, lack, n);
		found = exec_find(j, "e1", &row, &err);
		noted = found < 0 ? found : exec_set_exit(j, "e1", (uint32_t)n, n, &err);
		refused = sated();
		if (refused != (noted < 0) || refused != (err.code != 0))
			fail_msg("%s, FAMINE_AT=%d: %d %d %s", lack->name, n, found, noted, err.text);
		assert_int_equal(exec_find(j, "e1", &row, &err), 1);
		assert_int_equal(row.process.pid, 7);
		assert_int_equal(row.status == (uint32_t)n, !refused);
	}
}

static void the_end_of_an_exec_that_lacks_something_is_not_noted(void **state)
{
	static const struct lack lacks[] = {
		{ .name = NULL }, { "an I/O error", SQLITE_IOERR_WRITE, false },
		{ "no memory for SQLite", SQLITE_NOMEM, false },
	};
	struct test_world *w = *state;
	struct sim *sim = sim_new();
	struct planned step = { "exec", "{\"exec_id\":\"e1\"}" };
	int64_t run;

	assert_int_equal(journal_plan(w->j, "exec", &step, 1, 1, &run, &w->err), 0);
	assert_int_equal(journal_intend(w->j, 1, "e", false, 1, &w->err), 0);
	assert_int_equal(journal_have(w->j, 1, "{\"process\":{\"pid\":7,\"start\":1}}", &w->err), 0);
	assert_int_equal(journal_settle(w->j, 1, ROW_DONE, NULL, 2, &w->err), 0);
	for (size_t i = 0; i < sizeof(lacks) / sizeof(lacks[0]); i++)
		note_an_end(w->j, sim, &lacks[i]);
	sim_free(sim);
}

#define TESTS(kind)                                                                            \
	{ "a_life_that_lacks_" #kind "_is_taken_back",                                         \
	  a_life_that_lacks_something_is_taken_back, NULL, NULL, &kind },                      \
	{ "a_recovery_that_lacks_" #kind "_is_done_later",                                     \
	  a_recovery_that_lacks_something_is_done_later, NULL, NULL, &kind }

int main(void)
{
	struct kind memory = { .stride = STRIDE, .n = 1 };
	struct kind its_journal = { .stride = JOURNAL_STRIDE, .n = 8, .lacks = {
		{ "an I/O error", SQLITE_IOERR_WRITE, false },
		{ "a disk that reads and writes", SQLITE_IOERR_READ, true },
		{ "a full disk", SQLITE_FULL, true },
		{ "a disk to write to", SQLITE_READONLY, true },
		{ "a writer", SQLITE_BUSY, false },
		{ "a writer that stays", SQLITE_BUSY, true },
		{ "no memory for SQLite", SQLITE_NOMEM, false },
		{ "a new owner", SQLITE_OK, true },
	} };
	struct kind memory_as_a_unikernel = memory, its_journal_as_a_unikernel = its_journal;
	const struct CMUnitTest tests[] = {
		TESTS(memory),
		TESTS(memory_as_a_unikernel),
		TESTS(its_journal),
		TESTS(its_journal_as_a_unikernel),
		cmocka_unit_test(a_plan_that_lacks_memory_is_none),
		cmocka_unit_test_setup_teardown(the_end_of_an_exec_that_lacks_something_is_not_noted,
						test_world_make, test_world_end),
	};

	memory_as_a_unikernel.native = its_journal_as_a_unikernel.native = true;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
