/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/node/mountinfo.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *text, struct mount_list *ret)
{
	return mountinfo_parse(text, strlen(text), ret, NULL);
}

static void test_every_field_of_a_line_is_found(void **state)
{
	struct mount_list list;

	(void)state;
	assert_int_equal(parse("36 35 98:7 /mnt1 /mnt2 rw,noatime master:1 shared:4 - ext3 "
			       "/dev/root rw,errors=continue\n",
			       &list),
			 0);
	assert_int_equal(list.n, 1);
	assert_int_equal(list.at[0].id, 36);
	assert_int_equal(list.at[0].parent, 35);
	assert_int_equal(list.at[0].major, 98);
	assert_int_equal(list.at[0].minor, 7);
	assert_string_equal(list.at[0].root, "/mnt1");
	assert_string_equal(list.at[0].target, "/mnt2");
	assert_string_equal(list.at[0].options, "rw,noatime");
	assert_true(list.at[0].shared);
	assert_string_equal(list.at[0].type, "ext3");
	assert_string_equal(list.at[0].source, "/dev/root");
	assert_string_equal(list.at[0].super, "rw,errors=continue");
	mount_list_clear(&list);
	assert_null(list.at);
}

static void test_octal_escapes_are_decoded_and_other_backslashes_kept(void **state)
{
	struct mount_list list;

	(void)state;
	assert_int_equal(parse("1 1 0:1 / /a\\040b\\011c\\134d\\x\\04 rw - t s\\012 rw\n", &list),
			 0);
	assert_string_equal(list.at[0].target, "/a b\tc\\d\\x\\04");
	assert_string_equal(list.at[0].source, "s\n");
	mount_list_clear(&list);
}

static void test_optional_fields_may_be_none_or_many(void **state)
{
	struct mount_list list;

	(void)state;
	assert_int_equal(parse("1 1 0:1 / /a rw - t s rw\n"
			       "2 1 0:1 / /b rw master:2 propagate_from:3 unbindable new:9 - t s rw\n",
			       &list),
			 0);
	assert_int_equal(list.n, 2);
	assert_false(list.at[0].shared);
	assert_false(list.at[1].shared);
	assert_string_equal(list.at[1].type, "t");
	mount_list_clear(&list);
}

static void test_a_source_may_be_empty(void **state)
{
	struct mount_list list;

	(void)state;
	assert_int_equal(parse("1 1 0:1 / /a rw - tmpfs  rw,size=1k\n", &list), 0);
	assert_string_equal(list.at[0].source, "");
	assert_string_equal(list.at[0].super, "rw,size=1k");
	mount_list_clear(&list);
}

static void test_a_hyphen_in_a_target_is_no_end_of_fields(void **state)
{
	struct mount_list list;

	(void)state;
	assert_int_equal(parse("1 1 0:1 - - rw - t s rw", &list), 0);
	assert_string_equal(list.at[0].target, "-");
	mount_list_clear(&list);
}

static void test_an_empty_text_is_an_empty_list(void **state)
{
	struct mount_list list;

	(void)state;
	assert_int_equal(parse("", &list), 0);
	assert_int_equal(list.n, 0);
	mount_list_clear(&list);
}

static void test_a_line_that_is_none_is_refused_with_its_number(void **state)
{
	static const char *const bad[] = {
		"\n", "x", "1", "1 1 0:1 / /a rw", "1 1 0:1 / /a rw - t s", "1 1 0 / /a rw - t s rw",
		"1 1 0:1x / /a rw - t s rw", "-1 1 0:1 / /a rw - t s rw",
		"99999999999999999999 1 0:1 / /a rw - t s rw", "1 1 4294967296:1 / /a rw - t s rw",
		"1  1 0:1 / /a rw - t s rw",
	};
	struct mount_list list = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(bad[i], &list), -EINVAL);
	assert_int_equal(mountinfo_parse("1 1 0:1 / /a rw - t s rw\nx\n", 27, &list, &err), -EINVAL);
	assert_non_null(strstr(err.text, "line 2"));
	assert_int_equal(mountinfo_parse("1 1 0:1 / /a rw - t s r\0w", 25, &list, NULL), -EINVAL);
	assert_null(list.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_field_of_a_line_is_found),
		cmocka_unit_test(test_octal_escapes_are_decoded_and_other_backslashes_kept),
		cmocka_unit_test(test_optional_fields_may_be_none_or_many),
		cmocka_unit_test(test_a_source_may_be_empty),
		cmocka_unit_test(test_a_hyphen_in_a_target_is_no_end_of_fields),
		cmocka_unit_test(test_an_empty_text_is_an_empty_list),
		cmocka_unit_test(test_a_line_that_is_none_is_refused_with_its_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
