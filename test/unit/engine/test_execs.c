/* SPDX-License-Identifier: Apache-2.0 */
/* What the rows say about the processes that execs have started. */
#include "supervisor/engine/execs.h"
#include "test/lib/journal_place.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define E1 "{\"exec_id\":\"e1\"}"
#define E2 "{\"exec_id\":\"e2\"}"

static int first(void *arg, const struct step_row *row, struct err *err)
{
	(void)err;
	*(int64_t *)arg = row->seq;
	return 1;
}

/* A step of an exec run, done, with what it has. */
static int64_t ran(struct journal *j, const char *plan, const char *want, const char *have)
{
	struct planned step = { "exec", want };
	struct err err = ERR_INIT;
	int64_t run = 0, seq = 0;

	assert_int_equal(journal_plan(j, plan, &step, 1, 1, &run, &err), 0);
	assert_int_equal(journal_each_step(j, run, OLDEST_FIRST, first, &seq, &err), 1);
	assert_int_equal(journal_intend(j, seq, "e", false, 1, &err), 0);
	assert_int_equal(journal_have(j, seq, have, &err), 0);
	assert_int_equal(journal_settle(j, seq, ROW_DONE, NULL, 2, &err), 0);
	return seq;
}

static void the_newest_of_an_id_is_found_with_its_end(void **state)
{
	struct test_place p;
	struct journal *j;
	struct err err = ERR_INIT;
	struct exec_row row;
	int64_t old, seq;

	(void)state;
	test_place_make(&p, NULL);
	j = test_open(&p, "c1", JOURNAL_CREATE);
	assert_int_equal(exec_find(j, "e1", &row, &err), 0);
	old = ran(j, "exec", E1, "{\"process\":{\"pid\":7,\"start\":70}}");
	seq = ran(j, "exec", E1, "{\"process\":{\"pid\":8,\"start\":80}}");
	(void)ran(j, "exec", E2, "{\"process\":{\"pid\":9,\"start\":90}}");
	(void)ran(j, "create", E1, "{\"process\":{\"pid\":1,\"start\":1}}");
	assert_int_equal(exec_find(j, "e1", &row, &err), 1);
	assert_int_equal(row.step, seq);
	assert_int_equal(row.process.pid, 8);
	assert_int_equal(row.process.start, 80);
	assert_false(row.exited);
	assert_int_equal(exec_set_exit(j, "e1", 137, INT64_C(1700000000000000001), &err), 0);
	assert_int_equal(exec_find(j, "e1", &row, &err), 1);
	assert_true(row.exited);
	assert_int_equal(row.process.pid, 8);
	assert_int_equal(row.status, 137);
	assert_true(row.at_ns == INT64_C(1700000000000000001));
	assert_int_equal(journal_settle(j, seq, ROW_UNDOING, NULL, 3, &err), 0);
	assert_int_equal(exec_find(j, "e1", &row, &err), 1);
	assert_int_equal(row.step, old);
	journal_close(j);
	test_place_remove(&p);
}

static void an_end_without_a_process_is_enoent(void **state)
{
	struct test_place p;
	struct journal *j;
	struct err err = ERR_INIT;
	struct exec_row row;

	(void)state;
	test_place_make(&p, NULL);
	j = test_open(&p, "c1", JOURNAL_CREATE);
	(void)ran(j, "exec", E1, "{}");
	assert_int_equal(exec_find(j, "e1", &row, &err), 0);
	assert_int_equal(exec_set_exit(j, "e1", 0, 1, &err), -ENOENT);
	assert_string_equal(err.text, "process does not exist e1");
	journal_close(j);
	test_place_remove(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_of_an_id_is_found_with_its_end),
		cmocka_unit_test(an_end_without_a_process_is_enoent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
