/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/life/life.h"
#include "supervisor/life/print.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EACH_STATE(s) for (enum life_state s = LIFE_NONE_ + 1; s < LIFE_N; s++)
#define EACH_EVENT(e) for (enum life_event e = EV_NONE_ + 1; e < EV_N; e++)

static void every_pair_has_an_arrow_or_words(void **state)
{
	(void)state;
	EACH_STATE(s)
		EACH_EVENT(e) {
			const struct arrow *a = life_arrow(s, e);

			if (a->to == LIFE_NONE_) {
				assert_non_null(a->why);
				assert_true(*a->why && a->code > 0);
				assert_int_equal(a->run, PLAN_NONE);
			} else {
				assert_null(a->why);
				assert_int_equal(a->code, 0);
			}
		}
}

static void mark(bool *seen, enum life_state from)
{
	if (seen[from])
		return;
	seen[from] = true;
	EACH_EVENT(e)
		if (life_arrow(from, e)->to)
			mark(seen, life_arrow(from, e)->to);
}

static void every_state_can_be_reached_from_new(void **state)
{
	bool seen[LIFE_N] = { false };

	(void)state;
	mark(seen, LIFE_NEW);
	EACH_STATE(s)
		assert_true(seen[s]);
}

static void every_state_but_gone_can_end(void **state)
{
	(void)state;
	EACH_STATE(s) {
		bool seen[LIFE_N] = { false };

		mark(seen, s);
		assert_true(seen[LIFE_GONE]);
	}
}

static void every_state_but_gone_can_be_recovered(void **state)
{
	(void)state;
	EACH_STATE(s)
		if (s != LIFE_GONE)
			assert_int_equal(life_arrow(s, EV_RECOVER)->run, PLAN_TAKEDOWN);
}

static void gone_is_final(void **state)
{
	(void)state;
	EACH_EVENT(e)
		assert_int_equal(life_arrow(LIFE_GONE, e)->to, LIFE_NONE_);
}

static void who_runs_a_plan_hears_done_and_fail(void **state)
{
	(void)state;
	EACH_STATE(s)
		EACH_EVENT(e) {
			const struct arrow *a = life_arrow(s, e);

			if (a->run == PLAN_NONE || plan_beside(a->run))
				continue;
			assert_int_not_equal(life_arrow(a->to, EV_DONE)->to, LIFE_NONE_);
			assert_int_not_equal(life_arrow(a->to, EV_FAIL)->to, LIFE_NONE_);
		}
}

static void what_runs_beside_moves_no_state(void **state)
{
	static const enum plan of[EV_N] = {
		[EV_KILL] = PLAN_KILL, [EV_UPDATE] = PLAN_UPDATE, [EV_CHECKPOINT] = PLAN_CHECKPOINT,
		[EV_EXEC] = PLAN_EXEC, [EV_EXEC_DELETE] = PLAN_EXEC_UNDO,
	};

	(void)state;
	EACH_STATE(s)
		EACH_EVENT(e) {
			const struct arrow *a = life_arrow(s, e);

			assert_true(!of[e] || !a->to || a->run == of[e]);
			assert_int_equal(plan_beside(a->run), a->run && of[e] == a->run);
			if (plan_beside(a->run))
				assert_int_equal(a->to, s);
		}
}

/* The table of section 3.6 of what containerd's own shim answers, by its words. */
static void what_does_not_fit_is_refused_in_the_words_that_clients_know(void **state)
{
	static const struct {
		enum life_state from;
		enum life_event ev;
		int code;
		const char *why;
	} of[] = {
		{ LIFE_CREATED, EV_PAUSE, EPROTO, "cannot pause task in created state" },
		{ LIFE_CREATED, EV_RESUME, EPROTO, "cannot resume task in created state" },
		{ LIFE_CREATED, EV_CHECKPOINT, EPROTO, "cannot checkpoint a task in created state" },
		{ LIFE_RUNNING, EV_START, EPROTO, "cannot start a running process" },
		{ LIFE_RUNNING, EV_RESUME, EPROTO, "cannot resume a running process" },
		{ LIFE_RUNNING, EV_DELETE, EPROTO, "cannot delete a running process" },
		{ LIFE_PAUSED, EV_START, EPROTO, "cannot start a paused process" },
		{ LIFE_PAUSED, EV_DELETE, EPROTO, "cannot delete a paused process" },
		{ LIFE_PAUSED, EV_PAUSE, EPROTO, "cannot pause a paused container" },
		{ LIFE_PAUSED, EV_EXEC, EPROTO, "cannot exec in a paused state" },
		{ LIFE_STOPPED, EV_START, EPROTO, "cannot start a stopped process" },
		{ LIFE_STOPPED, EV_PAUSE, EPROTO, "cannot pause a stopped container" },
		{ LIFE_STOPPED, EV_RESUME, EPROTO, "cannot resume a stopped container" },
		{ LIFE_STOPPED, EV_UPDATE, EPROTO, "cannot update a stopped container" },
		{ LIFE_STOPPED, EV_CHECKPOINT, EPROTO, "cannot checkpoint a stopped container" },
		{ LIFE_STOPPED, EV_EXEC, EPROTO, "cannot exec in a stopped state" },
		{ LIFE_DELETING, EV_PAUSE, EPROTO, "cannot pause a deleted process" },
		{ LIFE_DELETING, EV_EXEC, EPROTO, "cannot exec in a deleted state" },
		{ LIFE_DELETING, EV_KILL, ENOENT, "cannot kill a deleted process" },
		{ LIFE_DELETED, EV_EXEC, ENOENT, "container not created" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		const struct arrow *a = life_arrow(of[i].from, of[i].ev);

		assert_int_equal(a->to, LIFE_NONE_);
		assert_int_equal(a->code, of[i].code);
		assert_string_equal(a->why, of[i].why);
	}
}

/* What an undo could not do makes no new undo: that would turn for ever. */
static void a_failed_undo_ends_stuck(void **state)
{
	(void)state;
	EACH_STATE(s)
		EACH_EVENT(e) {
			const struct arrow *a = life_arrow(s, e);
			enum plan p = a->run;

			if (p != PLAN_UNDO && p != PLAN_FINISH && p != PLAN_TAKEDOWN)
				continue;
			assert_int_equal(life_arrow(a->to, EV_FAIL)->to, LIFE_STUCK);
			assert_int_equal(life_arrow(a->to, EV_FAIL)->run, PLAN_NONE);
		}
}

static void names_are_unique_and_come_back(void **state)
{
	(void)state;
	EACH_STATE(s) {
		assert_int_equal(life_state_of(life_state_name(s)), s);
		assert_true(*life_state_text(s));
	}
	EACH_EVENT(e)
		EACH_EVENT(f)
			assert_true(e == f || strcmp(life_event_name(e), life_event_name(f)) != 0);
	for (enum plan p = PLAN_NONE + 1; p < PLAN_N; p++) {
		assert_int_equal(plan_of(plan_name(p)), p);
		assert_true(*plan_text(p));
	}
}

static void what_is_out_of_range_is_refused(void **state)
{
	(void)state;
	assert_int_equal(life_arrow(LIFE_NONE_, EV_CREATE)->to, LIFE_NONE_);
	assert_int_equal(life_arrow(LIFE_N, EV_CREATE)->to, LIFE_NONE_);
	assert_non_null(life_arrow(LIFE_NEW, EV_N)->why);
	assert_null(life_state_name(LIFE_N));
	assert_null(life_event_name(EV_NONE_));
	assert_null(plan_name(PLAN_N));
	assert_int_equal(life_state_of("no such"), LIFE_NONE_);
	assert_int_equal(plan_of("no such"), PLAN_NONE);
}

static char *printed(enum life_format format)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(life_print(out, format), 0);
	fclose(out);
	return text;
}

static int count(const char *text, const char *what)
{
	int n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

static void every_arrow_is_printed(void **state)
{
	int going = 0;
	char *text;

	(void)state;
	EACH_STATE(s)
		EACH_EVENT(e)
			going += life_arrow(s, e)->to != LIFE_NONE_;
	text = printed(LIFE_PLAIN);
	assert_int_equal(count(text, "\n"), 1 + (LIFE_N - 1) * (EV_N - 1));
	free(text);
	text = printed(LIFE_MDOC);
	assert_int_equal(count(text, ".It Em"), (LIFE_N - 1) * (EV_N - 1));
	assert_int_equal(count(text, "refused: "), (LIFE_N - 1) * (EV_N - 1) - going);
	free(text);
	text = printed(LIFE_PROMELA);
	assert_int_equal(count(text, ":: atomic"), going);
	free(text);
	assert_int_equal(life_format_of("mdoc"), LIFE_MDOC);
	assert_int_equal(life_format_of("no such"), LIFE_FORMAT_N);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_has_an_arrow_or_words),
		cmocka_unit_test(every_state_can_be_reached_from_new),
		cmocka_unit_test(every_state_but_gone_can_end),
		cmocka_unit_test(every_state_but_gone_can_be_recovered),
		cmocka_unit_test(gone_is_final),
		cmocka_unit_test(who_runs_a_plan_hears_done_and_fail),
		cmocka_unit_test(what_runs_beside_moves_no_state),
		cmocka_unit_test(what_does_not_fit_is_refused_in_the_words_that_clients_know),
		cmocka_unit_test(a_failed_undo_ends_stuck),
		cmocka_unit_test(names_are_unique_and_come_back),
		cmocka_unit_test(what_is_out_of_range_is_refused),
		cmocka_unit_test(every_arrow_is_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
