/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/node/proc_stat.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define REST " 1 42 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 987654321 8192 18446744073709551615\n"

static void test_the_fields_are_found(void **state)
{
	struct proc_stat st;

	(void)state;
	assert_int_equal(proc_stat_parse("42 (sh) S" REST, &st), 0);
	assert_int_equal(st.pid, 42);
	assert_string_equal(st.comm, "sh");
	assert_int_equal(st.state, 'S');
	assert_int_equal(st.ppid, 1);
	assert_int_equal(st.sid, 7);
	assert_int_equal(st.threads, 3);
	assert_int_equal(st.start, 987654321);
	assert_false(st.exiting);
	assert_int_equal(proc_stat_parse("42 (sh) S 1 42 7 0 -1 4194564 1 2 3 4 5 6 7 8 20 0 3 0 9\n",
					 &st), 0);
	assert_true(st.exiting);
}

static void test_a_name_may_look_like_the_fields(void **state)
{
	struct proc_stat st;

	(void)state;
	assert_int_equal(proc_stat_parse("42 (a) Z 1 (b c) S" REST, &st), 0);
	assert_string_equal(st.comm, "a) Z 1 (b c");
	assert_int_equal(st.state, 'S');
	assert_int_equal(proc_stat_parse("42 ()) S" REST, &st), 0);
	assert_string_equal(st.comm, ")");
	assert_int_equal(proc_stat_parse("42 () S" REST, &st), 0);
	assert_string_equal(st.comm, "");
}

static void test_a_long_name_is_cut(void **state)
{
	struct proc_stat st;

	(void)state;
	assert_int_equal(proc_stat_parse("42 (kworker/u17:3-events_unbound_and_more) I" REST, &st),
			 0);
	assert_int_equal(strlen(st.comm), sizeof(st.comm) - 1);
}

static void test_what_is_no_such_line_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "42", "42 (sh", "42 sh) S", "42 )sh( S" REST, "42 (sh)", "42 (sh) S",
		"42 (sh) S 1 2 3", "x (sh) S" REST, "0 (sh) S" REST, "-1 (sh) S" REST,
		"42 (sh) 5" REST, "42 (sh)S" REST, "99999999999 (sh) S" REST,
	};
	struct proc_stat st = { .pid = 5 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(proc_stat_parse(bad[i], &st), -EINVAL);
	assert_int_equal(st.pid, 5);
}

static void test_a_zombie_lives_only_while_it_has_other_threads(void **state)
{
	(void)state;
	assert_true(proc_stat_alive(&(struct proc_stat){ .state = 'D', .threads = 1 }));
	assert_true(proc_stat_alive(&(struct proc_stat){ .state = 'Z', .threads = 2 }));
	assert_false(proc_stat_alive(&(struct proc_stat){ .state = 'Z', .threads = 1 }));
	assert_false(proc_stat_alive(&(struct proc_stat){ .state = 'X', .threads = 1 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_fields_are_found),
		cmocka_unit_test(test_a_name_may_look_like_the_fields),
		cmocka_unit_test(test_a_long_name_is_cut),
		cmocka_unit_test(test_what_is_no_such_line_is_refused),
		cmocka_unit_test(test_a_zombie_lives_only_while_it_has_other_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
