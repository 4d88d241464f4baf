/* SPDX-License-Identifier: Apache-2.0 */
/* The settings reader: what it takes, and how it refuses the rest. */
#include "supervisor/bundle/toml.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Settings as "key=value;", and what was said. */
struct heard {
	char text[2048];
	struct err err;
	int rc;
};

static int hear(void *arg, const struct toml_value *v, struct err *err)
{
	struct heard *h = arg;
	size_t used = strlen(h->text);
	char *at = h->text + used;
	size_t left = sizeof(h->text) - used;

	if (strcmp(v->key, "refuse") == 0)
		return err_say(err, ENOTSUP, "not this one");
	switch (v->type) {
	case TOML_TEXT:
		(void)snprintf(at, left, "%s='%s';", v->key, v->text);
		break;
	case TOML_INT:
		(void)snprintf(at, left, "%s=%lld;", v->key, (long long)v->number);
		break;
	case TOML_BOOL:
		(void)snprintf(at, left, "%s=%s;", v->key, v->yes ? "yes" : "no");
		break;
	case TOML_LIST:
		(void)snprintf(at, left, "%s=[", v->key);
		for (size_t i = 0; v->list[i]; i++) {
			used = strlen(h->text);
			(void)snprintf(h->text + used, sizeof(h->text) - used, "%s,", v->list[i]);
		}
		used = strlen(h->text);
		(void)snprintf(h->text + used, sizeof(h->text) - used, "];");
		break;
	case TOML_NONE_:
		fail();
	}
	return 0;
}

static struct heard read_text(const char *text)
{
	struct heard h = { .err = ERR_INIT };

	h.rc = toml_read(text, strlen(text), hear, &h, &h.err);
	return h;
}

static void takes(const char *text, const char *expected)
{
	struct heard h = read_text(text);

	if (h.rc < 0)
		fail_msg("%s: %s", text, h.err.text);
	assert_string_equal(h.text, expected);
}

static void refuses(const char *text, const char *why)
{
	struct heard h = read_text(text);

	assert_int_equal(h.rc, -EINVAL);
	assert_string_equal(h.err.text, why);
}

static void an_empty_document_has_no_settings(void **state)
{
	(void)state;
	takes("", "");
	takes("\n\n# only a comment", "");
	takes(" \t \r\n", "");
}

static void strings_numbers_flags_and_lists_are_read(void **state)
{
	(void)state;
	takes("a = \"x\"\n", "a='x';");
	takes("a='C:\\x'", "a='C:\\x';");
	takes("a = \"\"", "a='';");
	takes("n = -1_000 # less\nm=+5\nz=0", "n=-1000;m=5;z=0;");
	takes("y = true\nn = false", "y=yes;n=no;");
	takes("l = [\n 'a', # one\n \"b\",\n]\n", "l=[a,b,];");
	takes("l = []", "l=[];");
}

static void escapes_are_decoded_to_utf8(void **state)
{
	(void)state;
	takes("a = \"\\t\\\"\\\\\\u00e9\\U0001F600\"", "a='\t\"\\\xc3\xa9\xf0\x9f\x98\x80';");
	refuses("a = \"\\x41\"", "line 1: unknown escape in a string");
	refuses("a = \"\\u12\"", "line 1: \\u wants 4 hex digits");
	refuses("a = \"\\ud800\"", "line 1: not a character: U+D800");
	refuses("a = \"\\u0000\"", "line 1: not a character: U+0");
}

static void tables_and_dotted_keys_are_put_in_front(void **state)
{
	(void)state;
	takes("[a]\nb=1\n[a . \"c d\"]\ne.f=2", "a.b=1;a.c d.e.f=2;");
}

static void the_borders_of_64_bits_are_kept(void **state)
{
	(void)state;
	takes("n = 9223372036854775807", "n=9223372036854775807;");
	takes("n = -9223372036854775808", "n=-9223372036854775808;");
	refuses("n = 9223372036854775808", "line 1: the number does not fit 64 bits");
}

static void what_is_not_of_the_subset_is_refused_by_name(void **state)
{
	(void)state;
	refuses("a = 1.5", "line 1: only decimal integers are read here");
	refuses("a = 0x10", "line 1: only decimal integers are read here");
	refuses("a = 2026-01-01", "line 1: only decimal integers are read here");
	refuses("a = 012", "line 1: a number must not begin with 0");
	refuses("a = 1__0", "line 1: _ stands between digits only");
	refuses("a = {}", "line 1: inline tables are not read here");
	refuses("a = [1]", "line 1: an array must be of strings");
	refuses("[[a]]", "line 1: arrays of tables are not read here");
	refuses("a = \"\"\"x\"\"\"", "line 1: multi-line strings are not read here");
}

static void a_mistake_is_found_on_its_line(void **state)
{
	(void)state;
	refuses("a=1\n\nb", "line 3: expected = after b");
	refuses("a=1 b=2", "line 1: expected the end of the line");
	refuses("a=\n", "line 1: expected a value");
	refuses("a=yes", "line 1: expected a value");
	refuses("a=truely", "line 1: expected a value");
	refuses("=1", "line 1: expected a key");
	refuses("a=\"x", "line 1: a string without its closing quote");
	refuses("a=\"x\ny\"", "line 1: a string without its closing quote");
	refuses("l=[\n'a'\n'b']", "line 3: expected , or ] in an array");
	refuses("[a", "line 1: expected ] after the table's name");
	refuses("\"\" = 1", "line 1: an empty key");
	refuses("a=\"\x01\"", "line 1: a control character in a string");
}

static void a_key_given_twice_is_refused(void **state)
{
	(void)state;
	refuses("a=1\na=2", "line 2: a is given twice");
	refuses("[t]\na=1\n[t]\na=2", "line 4: t.a is given twice");
}

static void the_visitor_refuses_with_the_line_in_front(void **state)
{
	struct heard h = read_text("a=1\nrefuse=2");

	(void)state;
	assert_int_equal(h.rc, -ENOTSUP);
	assert_string_equal(h.err.text, "line 2: not this one");
}

static void a_nul_byte_is_no_end_of_text(void **state)
{
	struct heard h = { .err = ERR_INIT };

	(void)state;
	h.rc = toml_read("a=1\n\0b=2", 8, hear, &h, &h.err);
	assert_int_equal(h.rc, -EINVAL);
}

static void a_wrong_type_is_named(void **state)
{
	struct toml_value v = { .type = TOML_INT, .key = "journal" };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(toml_want(&v, TOML_INT, &err), 0);
	assert_int_equal(toml_want(&v, TOML_TEXT, &err), -EINVAL);
	assert_string_equal(err.text, "journal must be a string");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_document_has_no_settings),
		cmocka_unit_test(strings_numbers_flags_and_lists_are_read),
		cmocka_unit_test(escapes_are_decoded_to_utf8),
		cmocka_unit_test(tables_and_dotted_keys_are_put_in_front),
		cmocka_unit_test(the_borders_of_64_bits_are_kept),
		cmocka_unit_test(what_is_not_of_the_subset_is_refused_by_name),
		cmocka_unit_test(a_mistake_is_found_on_its_line),
		cmocka_unit_test(a_key_given_twice_is_refused),
		cmocka_unit_test(the_visitor_refuses_with_the_line_in_front),
		cmocka_unit_test(a_nul_byte_is_no_end_of_text),
		cmocka_unit_test(a_wrong_type_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
