/* SPDX-License-Identifier: Apache-2.0 */
/* Errors keep their class on the way out and back, and their text can be sent. */
#include "proto/ttrpc/status.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void classes_survive_the_way_out_and_back(void **state)
{
	static const int kept[] = { ENOENT, EEXIST, EINVAL,    EBADFD,
				    ENOSYS, ESHUTDOWN, ETIMEDOUT, ECANCELED };

	(void)state;
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		assert_int_equal(status_to_errno(status_of_errno(kept[i])), kept[i]);
		assert_int_equal(status_of_errno(-kept[i]), status_of_errno(kept[i]));
	}
	assert_int_equal(status_of_errno(0), STATUS_OK);
	assert_int_equal(status_to_errno(STATUS_OK), 0);
}

static void what_old_daemons_do_not_know_is_unknown(void **state)
{
	static const int known[] = { 0, 1, 3, 4, 5, 6, 9, 12, 14, 2 };

	(void)state;
	for (int e = 0; e < 200; e++) {
		int code = (int)status_of_errno(e), found = 0;

		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
			found |= known[i] == code;
		assert_true(found);
	}
	assert_int_equal(status_of_errno(EIO), STATUS_UNKNOWN);
	assert_int_equal(status_of_errno(EPERM), STATUS_UNKNOWN);
	assert_int_equal(status_of_errno(EBUSY), STATUS_UNKNOWN);
}

static void every_code_has_a_name_and_an_errno(void **state)
{
	(void)state;
	for (int code = 1; code <= 16; code++) {
		assert_string_not_equal(status_name(code), "?");
		assert_int_not_equal(status_to_errno(code), 0);
		assert_int_not_equal(status_to_errno(code), EPROTO);
	}
	assert_string_equal(status_name(-1), "?");
	assert_string_equal(status_name(17), "?");
	assert_int_equal(status_to_errno(-1), EPROTO);
	assert_int_equal(status_to_errno(1000), EPROTO);
}

static void a_text_ends_with_its_class_once(void **state)
{
	char text[64];

	(void)state;
	status_text(STATUS_NOT_FOUND, "container not created", text, sizeof(text));
	assert_string_equal(text, "container not created: not found");
	status_text(STATUS_NOT_FOUND, text, text + 40, 24);
	assert_string_equal(text + 40, "container not created: "); /* cut to 24 with its NUL */
	status_text(STATUS_NOT_FOUND, "task x: not found", text, sizeof(text));
	assert_string_equal(text, "task x: not found");
	status_text(STATUS_UNKNOWN, "no class", text, sizeof(text));
	assert_string_equal(text, "no class");
	status_text(STATUS_DEADLINE_EXCEEDED, "", text, sizeof(text));
	assert_string_equal(text, "context deadline exceeded");
}

static void bytes_that_are_no_utf8_become_question_marks(void **state)
{
	static const char *const rows[][2] = {
		{ "plain", "plain" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "\xe2\x82\xac", "\xe2\x82\xac" },
		{ "\xf0\x9f\x90\xa7", "\xf0\x9f\x90\xa7" },
		{ "cut \xe2\x82", "cut ??" },
		{ "cut \xf0\x9f\x90", "cut ???" },
		{ "\xff\xfe", "??" },
		{ "\xc0\xaf", "??" },
		{ "\xe0\x80\xaf", "???" },
		{ "\xed\xa0\x80", "???" },
		{ "\xf4\x90\x80\x80", "????" },
		{ "\x80x", "?x" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char text[32];

		strcpy(text, rows[i][0]);
		status_clean(text);
		assert_string_equal(text, rows[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_survive_the_way_out_and_back),
		cmocka_unit_test(what_old_daemons_do_not_know_is_unknown),
		cmocka_unit_test(every_code_has_a_name_and_an_errno),
		cmocka_unit_test(a_text_ends_with_its_class_once),
		cmocka_unit_test(bytes_that_are_no_utf8_become_question_marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
