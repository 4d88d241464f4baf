/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/shim/flags.c" /* programs are no library */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define PARSE(f, err, ...)                                                     \
	flags_parse((f), (int)ARRAY_SIZE(((const char *[]){ "shim", __VA_ARGS__ })), \
		    (const char *const[]){ "shim", __VA_ARGS__, NULL }, (err))

static void containerd_s_own_order_is_read(void **state)
{
	struct flags f;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(PARSE(&f, &err, "-namespace", "default", "-address", "/run/c.sock",
			       "-publish-binary", "/usr/bin/containerd", "-id", "c1", "-bundle",
			       "/b", "-debug", "delete"), 0);
	assert_string_equal(f.ns, "default");
	assert_string_equal(f.address, "/run/c.sock");
	assert_string_equal(f.publish_binary, "/usr/bin/containerd");
	assert_string_equal(f.id, "c1");
	assert_string_equal(f.bundle, "/b");
	assert_string_equal(f.action, "delete");
	assert_true(f.debug);
}

static void all_four_spellings_are_one_and_the_last_wins(void **state)
{
	struct flags f;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(PARSE(&f, &err, "-id", "a", "--id", "b", "-id=c", "--id=d=e"), 0);
	assert_string_equal(f.id, "d=e");
	assert_string_equal(f.action, "");
	assert_int_equal(PARSE(&f, &err, "-debug=false", "--debug=1", "-debug=F"), 0);
	assert_false(f.debug);
}

static void flags_end_at_the_first_word_that_is_none(void **state)
{
	struct flags f;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(PARSE(&f, &err, "-id", "a", "start", "-id", "b"), 0);
	assert_string_equal(f.id, "a");
	assert_string_equal(f.action, "start");
	assert_int_equal(PARSE(&f, &err, "-debug", "false", "-v"), 0);
	assert_true(f.debug);
	assert_false(f.version);
	assert_string_equal(f.action, "false");
	assert_int_equal(PARSE(&f, &err, "--", "-v"), 0);
	assert_string_equal(f.action, "-v");
	assert_int_equal(PARSE(&f, &err, "-"), 0);
	assert_string_equal(f.action, "-");
}

static void what_is_no_flag_is_refused_by_name(void **state)
{
	struct flags f;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(PARSE(&f, &err, "-idx", "a"), -EINVAL);
	assert_string_equal(err.text, "flag -idx is not known");
	assert_int_equal(PARSE(&f, &err, "-i", "a"), -EINVAL);
	assert_int_equal(PARSE(&f, &err, "-id"), -EINVAL);
	assert_string_equal(err.text, "flag -id needs a value");
	assert_int_equal(PARSE(&f, &err, "-debug=maybe"), -EINVAL);
	assert_int_equal(PARSE(&f, &err, "---id", "a"), -EINVAL);
	assert_int_equal(PARSE(&f, &err, "-=a"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(containerd_s_own_order_is_read),
		cmocka_unit_test(all_four_spellings_are_one_and_the_last_wins),
		cmocka_unit_test(flags_end_at_the_first_word_that_is_none),
		cmocka_unit_test(what_is_no_flag_is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
