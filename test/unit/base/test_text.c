/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static int64_t i64(const char *s)
{
	int64_t v = 77;

	assert_int_equal(text_int64(s, INT64_MIN, INT64_MAX, &v), 0);
	return v;
}

static void a_number_is_read_to_its_limits(void **state)
{

	(void)state;
	assert_int_equal(i64("0"), 0);
	assert_int_equal(i64("-0"), 0);
	assert_int_equal(i64("007"), 7);
	assert_true(i64("9223372036854775807") == INT64_MAX);
	assert_true(i64("-9223372036854775808") == INT64_MIN);
}

static void what_is_not_only_a_number_is_einval(void **state)
{
	static const char *const bad[] = { "", "-", "+1", " 1", "1 ", "1x", "0x1", "1.0", "1e3",
					   "--1", "\n1", "1\n" };
	int64_t v = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text_int64(bad[i], INT64_MIN, INT64_MAX, &v), -EINVAL);
	assert_int_equal(text_int64(NULL, 0, 1, &v), -EINVAL);
	assert_int_equal(v, 77);
}

static void what_is_out_of_range_is_erange(void **state)
{
	int64_t v = 77;

	(void)state;
	assert_int_equal(text_int64("9223372036854775808", INT64_MIN, INT64_MAX, &v), -ERANGE);
	assert_int_equal(text_int64("4", 5, 9, &v), -ERANGE);
	assert_int_equal(text_int64("10", 5, 9, &v), -ERANGE);
	assert_int_equal(v, 77);
}

static void identifiers_are_runs_with_single_joints(void **state)
{
	static const char *const good[] = { "a", "A9", "a.b", "a_b-c.d", "0", "k8s.io" };
	static const char *const bad[] = { "", ".", "a.", ".a", "a..b", "a-_b", "a/b", "a b",
					   "\xc3\xbc", "a\n", "-o", "a[", "a{", "a:" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(text_is_identifier(good[i], 76));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(text_is_identifier(bad[i], 76));
	assert_true(text_is_identifier("abc", 3));
	assert_false(text_is_identifier("abcd", 3));
}

static void tails_and_digits(void **state)
{
	(void)state;
	assert_true(text_ends("c1.db", ".db"));
	assert_true(text_ends(".db", ".db"));
	assert_false(text_ends("db", ".db"));
	assert_true(text_is_hex("0123456789ab", 12));
	assert_false(text_is_hex("0123456789aB", 12));
	assert_false(text_is_hex("0123456789a", 12));
	assert_false(text_is_hex("0123456789abc", 12));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_is_read_to_its_limits),
		cmocka_unit_test(what_is_not_only_a_number_is_einval),
		cmocka_unit_test(what_is_out_of_range_is_erange),
		cmocka_unit_test(identifiers_are_runs_with_single_joints),
		cmocka_unit_test(tails_and_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
