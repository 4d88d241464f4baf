/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is not there for the Nth who asks, N = 1, 2, 3 ..., and a journal that
 * refuses the Nth statement, or all from there on: in a life, and in the recovery of one.
 * Whoever could not go on says so; a recovery with all of it then leaves nothing.
 *
 * See test/lib/hungry.h.
 *
 *   FAMINE_STRIDE=1   each case: N, times what can go wrong there (default: see below)
 *   FAMINE_TEST=*up*  those tests alone
 *   FAMINE_AT=123     that one alone; FAMINE_WHERE=1: say who asked, for addr2line(1)
 */
#include "supervisor/engine/execs.h"
#include "supervisor/engine/plan.h"
#include "supervisor/oci/runtime.h"
#include "test/lib/doctor_bench.h"
#include "test/lib/hungry.h"
#include "test/lib/journal_place.h"
#include "test/lib/sim_call.h"
#include "test/lib/sim_life.h"

#include <errno.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <signal.h>
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
}

static const struct lack *lack_of(const struct sum *sum)
{
	return &sum->kind->lacks[(sum->at - 1) % sum->kind->n];
}

/* The case of now: who is the one, and what is refused. */
static void begin_famine(struct sim *sim, const struct sum *sum)
{
	hungry_begin(sim, lack_of(sum), (sum->at - 1) / sum->kind->n + 1);
}

/* All is there again: nothing may be left, and nobody may have crashed, or gone on for
 * ever. */
static void ends_well(struct stage *s, struct sum *sum, enum part p)
{
	enum part then;
	char left[4096];

	sum->starved = hungry_end();
	sim_pass(s->sim, OLD_MS);
	then = stage_recover(s);
	stage_left(s, left, sizeof(left));
	if (p == PART_DIED || p >= PART_BROKEN || then != PART_OK || *left) {
		sum->bad++;
		print_error("FAMINE_AT=%d: %s: it ended %d, its recovery %d; left: %s\n", sum->at,
			    lack_of(sum)->name ? lack_of(sum)->name : "no memory", p, then, left);
	}
}

static void a_life_that_lacks_something_is_taken_back(void **state)
{
	struct sum sum = begins(state);

	while (next(&sum)) {
		struct stage s = { .until = UNTIL_GONE, .native = sum.kind->native };

		open_hungry(&s);
		begin_famine(s.sim, &sum);
		ends_well(&s, &sum, stage_life(&s));
		stage_close(&s);
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
		begin_famine(s.sim, &sum);
		ends_well(&s, &sum, stage_recover(&s));
		stage_close(&s);
	}
	ends(&sum);
}

/* ---- single calls ------------------------------------------------------------------------- */

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

			hungry_begin(sim, &memory, n);
			r = plan_make(list, asked[i].plan, &task, request, args, &err);
			if (r != (hungry_end() ? -ENOMEM : 0))
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

		hungry_begin(sim, lack, n);
		found = exec_find(j, "e1", &row, &err);
		noted = found < 0 ? found : exec_set_exit(j, "e1", (uint32_t)n, n, &err);
		refused = hungry_end();
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

/* ---- the doctor ------------------------------------------------------------------------------ */

/* What the task holds is in its rows: all that there can be told is what can't be. */
static bool true_of_it(const char *told)
{
	for (; *told; told = strchr(told, '\n') + 1)
		if (strncmp(told, "UR005", 5) != 0 && strncmp(told, "UR013", 5) != 0)
			return false;
	return true;
}

static bool looks(struct bench *b, const struct lack *lack, int n)
{
	struct engine e = { .node = &b->node.node, .kinds = doctor_kinds };
	struct doctor_told told = { "" };
	struct err err = ERR_INIT;
	bool starved;
	int found;

	hungry_begin(b->sim, lack, n);
	found = doctor(&e, &b->place, doctor_tell, &told, &err);
	starved = hungry_end();
	if ((!starved && found) || (found < 0) != (err.code != 0) || !true_of_it(told.text))
		fail_msg("%s, FAMINE_AT=%d: %d %s%s", lack->name ? lack->name : "no memory", n,
			 found, err.text, told.text);
	return starved;
}

static void a_doctor_that_lacks_something_does_not_say_what_is_not(void **state)
{
	static const struct lack lacks[] = {
		{ .name = NULL }, { "an I/O error", SQLITE_IOERR_READ, false },
		{ "no memory for SQLite", SQLITE_NOMEM, false },
	};
	struct bench *b = *state;

	assert_int_equal(bench_happens(b, EV_CREATE, "{\"create\":[{\"path\":\"/run/runc/t1\"},"
				       "{\"path\":\"/x/default/t1/monRootfs\"}]}", NULL), RUN_DONE);
	sim_mount_new(b->sim, "tmpfs", "none", "/x/default/t1/monRootfs");
	for (size_t i = 0; i < sizeof(lacks) / sizeof(lacks[0]); i++)
		for (int n = 1; looks(b, &lacks[i], n); n++)
			continue;
}

/* ---- a task's events, one after another ---------------------------------------------------- */

#define REQUEST                                                                                \
	"{\"create\":[{\"path\":\"/a\"},{\"kind\":\"turn\",\"then\":{\"create\":[{\"path\":\"/a\"},"  \
	"{\"kind\":\"turn\"},{\"path\":\"/b1\"}],\"start\":[{\"path\":\"/s\"}],"                       \
	"\"exec\":[{\"exec_id\":\"e1\",\"path\":\"/e1\"}]}},{\"path\":\"/old\"}]}"

/* What is refused is said. */
static void happens(struct bench *b, enum life_event ev)
{
	struct run_options o = RUN_OPTIONS_INIT;
	struct err err = ERR_INIT;
	struct run *run = NULL;
	enum run_state s;
	int r;

	o.request = ev == EV_CREATE ? REQUEST : NULL;
	o.args = "{\"exec_id\":\"e1\"}";
	o.input = "{}";
	o.signal = SIGKILL;
	r = run_open(&run, &b->engine, b->j, ev, &o, &err);
	assert_int_equal(r < 0, err.code != 0);
	if (r < 0)
		return;
	s = drive(run, &b->node.node, 0, NULL, NULL);
	assert_true(s == RUN_DONE || (s > RUN_DONE && run_error(run)->code));
	run_close(run);
}

/* Whoever owns it next. */
static void recovers(struct bench *b)
{
	b->j = journal_close(b->j);
	assert_int_equal(journal_open(&b->j, &b->place, &b->key, JOURNAL_OWN, NULL), 0);
	if (bench_life(b) != LIFE_GONE)
		assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
	assert_int_equal(bench_life(b), LIFE_GONE);
	assert_int_equal(bench_open_runs(b), 0);
	assert_false(bench_there(b, "/a") || bench_there(b, "/b1") || bench_there(b, "/old") ||
		     bench_there(b, "/s") || bench_there(b, "/e1"));
}

static void any_event_that_lacks_something_is_taken_back(void **state)
{
	static const enum life_event events[] = { EV_CREATE, EV_START, EV_EXEC, EV_KILL, EV_PAUSE,
						  EV_RESUME, EV_EXEC_DELETE };
	struct sum sum = begins(state);

	while (next(&sum)) {
		void *bench = NULL;
		struct bench *b;

		bench_open(&bench);
		b = bench;
		begin_famine(b->sim, &sum);
		for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
			happens(b, events[i]);
		sum.starved = hungry_end();
		recovers(b);
		bench_close(&bench);
	}
	ends(&sum);
}

/* ---- who takes up what another has begun --------------------------------------------------- */

#define SLOWLY                                                                                 \
	"{\"create\":[{\"path\":\"/a\"},{\"path\":\"/b1\",\"wait\":30,\"linger\":30}],"            \
	"\"exec\":[{\"exec_id\":\"e1\",\"path\":\"/e1\",\"wait\":30,\"linger\":30}]}"

static struct run *opened(struct bench *b, enum life_event ev)
{
	struct run_options o = RUN_OPTIONS_INIT;
	struct run *run = NULL;

	o.request = ev == EV_CREATE ? SLOWLY : NULL;
	o.args = "{\"exec_id\":\"e1\"}";
	assert_int_equal(run_open(&run, &b->engine, b->j, ev, &o, NULL), 0);
	return run;
}

/* All of @events happen; who did the last died while it waited. */
static void begins_and_dies(struct bench *b, const enum life_event *events)
{
	struct wake begin = { .why = WAKE_BEGIN };
	struct run *run = opened(b, *events);
	struct wait next;

	for (; events[1] != EV_NONE_; run = opened(b, *++events)) {
		assert_int_equal(drive(run, &b->node.node, 0, NULL, NULL), RUN_DONE);
		run_close(run);
	}
	assert_int_equal(run_wake(run, &begin, &next), RUN_WAITING);
	run_close(run);
}

static void goes_on(struct bench *b)
{
	struct err err = ERR_INIT;
	struct run *run = NULL;
	enum run_state s;
	int r = run_resume(&run, &b->engine, b->j, NULL, &err);

	assert_true(r == 1 || (r < 0 && err.code));
	if (r < 0)
		return;
	s = drive(run, &b->node.node, 0, NULL, NULL);
	assert_true(s == RUN_DONE || (s > RUN_DONE && run_error(run)->code));
	run_close(run);
}

static void takes_back(struct bench *b)
{
	happens(b, EV_RECOVER);
}

/* Was there something to refuse? */
static bool takes_up(const struct sum *sum, const enum life_event *events,
		     void (*how)(struct bench *b))
{
	void *bench = NULL;
	struct bench *b;
	bool starved;

	bench_open(&bench);
	b = bench;
	begins_and_dies(b, events);
	begin_famine(b->sim, sum);
	how(b);
	starved = hungry_end();
	recovers(b);
	bench_close(&bench);
	return starved;
}

static void what_was_begun_is_taken_up_by_who_lacks_nothing(void **state)
{
	static const enum life_event begun[][4] = {
		{ EV_CREATE }, { EV_CREATE, EV_DELETE }, { EV_CREATE, EV_EXEC },
		{ EV_CREATE, EV_EXEC, EV_EXEC_DELETE },
	};
	struct sum sum = begins(state);

	while (next(&sum)) {
		sum.starved = false;
		for (size_t i = 0; i < sizeof(begun) / sizeof(begun[0]); i++) {
			sum.starved |= takes_up(&sum, begun[i], goes_on);
			sum.starved |= takes_up(&sum, begun[i], takes_back);
		}
	}
	ends(&sum);
}

#define TESTS(kind)                                                                            \
	{ "a_life_that_lacks_" #kind "_is_taken_back",                                         \
	  a_life_that_lacks_something_is_taken_back, NULL, NULL, &kind },                      \
	{ "a_recovery_that_lacks_" #kind "_is_done_later",                                     \
	  a_recovery_that_lacks_something_is_done_later, NULL, NULL, &kind }
#define EVENTS(kind)                                                                           \
	{ "any_event_that_lacks_" #kind "_is_taken_back",                                      \
	  any_event_that_lacks_something_is_taken_back, NULL, NULL, &kind },                   \
	{ "what_was_begun_is_taken_up_by_who_does_not_lack_" #kind,                            \
	  what_was_begun_is_taken_up_by_who_lacks_nothing, NULL, NULL, &kind }

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
		EVENTS(memory),
		EVENTS(its_journal),
		cmocka_unit_test(a_plan_that_lacks_memory_is_none),
		cmocka_unit_test_setup_teardown(
			a_doctor_that_lacks_something_does_not_say_what_is_not, bench_open, bench_close),
		cmocka_unit_test_setup_teardown(the_end_of_an_exec_that_lacks_something_is_not_noted,
						test_world_make, test_world_end),
	};

	memory_as_a_unikernel.native = its_journal_as_a_unikernel.native = true;
	cmocka_set_test_filter(getenv("FAMINE_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
