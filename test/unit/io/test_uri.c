/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/io/uri.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The words, joined by '|'. */
static void assert_words(const char *uri, const char *want)
{
	struct err err = ERR_INIT;
	char **argv = NULL;
	char got[512] = "";

	if (uri_argv(&argv, uri, &err) < 0)
		fail_msg("%s", err.text);
	for (char **a = argv; *a; a++) {
		strcat(got, a == argv ? "" : "|");
		strcat(got, *a);
	}
	assert_string_equal(got, want);
	free(argv);
}

static void a_query_becomes_keys_and_values_in_their_order(void **state)
{
	(void)state;
	assert_words("binary:///bin/log", "/bin/log");
	assert_words("binary:///bin/log?", "/bin/log");
	assert_words("binary:///bin/log?b=1&a=2", "/bin/log|b|1|a|2");
	assert_words("binary-v2:///bin/log?x=a=b#end&y=1", "/bin/log|x|a=b");
	assert_words("binary:///bin/echo?test", "/bin/echo|test|");
	assert_words("binary:///l?&&a=1&", "/l|a|1");
	assert_words("binary:///l?=v", "/l||v");
}

static void only_the_first_value_of_a_key_counts(void **state)
{
	(void)state;
	assert_words("binary:///l?a=1&b=2&a=3&%61=4", "/l|a|1|b|2");
}

static void percent_signs_are_decoded_and_a_plus_is_a_blank_in_the_query_alone(void **state)
{
	(void)state;
	assert_words("binary:///a%20b+c%2fd?k+e%3Dy=v%26w+x", "/a b+c/d|k e=y|v&w x");
}

static void what_is_no_such_uri_is_refused_and_named(void **state)
{
	static const char *const bad[] = {
		"binary://log", "binary:/bin/log", "", "binary://", "binary://host/bin/log",
		"binary:///a%", "binary:///a%2", "binary:///a%zz", "binary:///a%00b",
		"binary:///a?%", "binary:///a?k=%1", "binary:///a?k%00=1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		char **argv = NULL;

		assert_int_equal(uri_argv(&argv, bad[i], &err), -EINVAL);
		assert_ptr_equal(strstr(err.text, bad[i]), err.text);
		assert_null(argv);
	}
}

static void everything_is_bounded(void **state)
{
	struct err err = ERR_INIT;
	char *uri = malloc(URI_MAX + 64), **argv = NULL, path[8];

	(void)state;
	strcpy(uri, "binary:///l?k=");
	memset(uri + strlen(uri), 'v', URI_MAX);
	uri[URI_MAX + 1] = '\0';
	assert_int_equal(uri_argv(&argv, uri, &err), -ENAMETOOLONG);
	uri[URI_MAX] = '\0';
	assert_int_equal(uri_argv(&argv, uri, &err), 0);
	assert_int_equal(strlen(argv[2]), URI_MAX - strlen("binary:///l?k="));
	free(argv);
	strcpy(uri, "binary:///l?");
	for (int i = 0; i < URI_PAIRS_MAX; i++)
		sprintf(uri + strlen(uri), "%d&", i);
	assert_int_equal(uri_argv(&argv, uri, &err), 0);
	assert_string_equal(argv[1 + 2 * URI_PAIRS_MAX - 2], "63");
	assert_null(argv[1 + 2 * URI_PAIRS_MAX]);
	free(argv);
	strcat(uri, "one more");
	assert_int_equal(uri_argv(&argv, uri, &err), -E2BIG);
	free(uri);
	assert_int_equal(uri_path(path, sizeof(path), "file:///1234567", &err), -ENAMETOOLONG);
	assert_int_equal(uri_path(path, sizeof(path), "file:///123456", &err), 0);
	assert_string_equal(path, "/123456");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_query_becomes_keys_and_values_in_their_order),
		cmocka_unit_test(only_the_first_value_of_a_key_counts),
		cmocka_unit_test(percent_signs_are_decoded_and_a_plus_is_a_blank_in_the_query_alone),
		cmocka_unit_test(what_is_no_such_uri_is_refused_and_named),
		cmocka_unit_test(everything_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
