/* SPDX-License-Identifier: Apache-2.0 */
/* What uruncctl prints: columns that line up, texts that can't steer a terminal, and
 * JSON that is JSON whatever a runtime wrote into the journal. */
#include "cmd/uruncctl/out.c" /* cmd is in no library */

#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

static const char *const heads[] = { "NAME", "SIZE", "NOTE", NULL };

/* What table_print() writes for these cells, row by row; the caller frees. */
static char *printed(const char *const *cells, size_t n, int width, bool color)
{
	struct out out = { .width = width, .color = color };
	auto_table struct table t;
	struct err err = ERR_INIT;
	FILE *saved = stdout;
	char *text = NULL;
	size_t size = 0;

	table_init(&t, heads);
	for (size_t i = 0; i < n; i++)
		table_cell(&t, i == 0 ? TONE_BAD : TONE_PLAIN, "%s", cells[i]);
	stdout = open_memstream(&text, &size);
	assert_non_null(stdout);
	assert_int_equal(table_print(&t, &out, &err), 0);
	(void)fclose(stdout);
	stdout = saved;
	return text;
}

static const char *const cells[] = { "a", "1000000", "first", "longer name", "", "" };

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
	auto_free char *text = printed(cells, ARRAY_SIZE(cells), 0, false);

	(void)state;
	assert_string_equal(text, "NAME         SIZE     NOTE\n"
				  "a            1000000  first\n"
				  "longer name  -        -\n");
}

static void characters_are_counted_not_bytes(void **state)
{
	static const char *const greek[] = { "\xce\xb1\xce\xb2", "1", "x", "abc", "2", "y" };
	auto_free char *text = printed(greek, ARRAY_SIZE(greek), 0, false);

	(void)state;
	assert_string_equal(text, "NAME  SIZE  NOTE\n"
				  "\xce\xb1\xce\xb2    1     x\n"
				  "abc   2     y\n");
}

static void a_narrow_terminal_gets_paragraphs(void **state)
{
	auto_free char *text = printed(cells, ARRAY_SIZE(cells), 20, false);

	(void)state;
	assert_string_equal(text, "a\n"
				  "  SIZE  1000000\n"
				  "  NOTE  first\n"
				  "longer name\n");
}

static void colours_do_not_move_columns(void **state)
{
	auto_free char *text = printed(cells, 3, 80, true);

	(void)state;
	assert_string_equal(text, "NAME  SIZE     NOTE\n"
				  "\033[31ma\033[0m     1000000  first\n");
}

static void no_cell_can_steer_a_terminal(void **state)
{
	static const char *const bad[] = { "\033[2J", "a\nb\tc", "\xc2\x9b\xff\x7f" };
	auto_free char *text = printed(bad, ARRAY_SIZE(bad), 0, false);

	(void)state;
	assert_string_equal(text, "NAME  SIZE   NOTE\n"
				  "?[2J  a b c  ????\n");
}

static void bytes_that_are_no_utf8_become_question_marks(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "plain", "plain" },
		{ "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "\xc3", "?" },             /* cut short        */
		{ "\xc0\xaf", "??" },        /* overlong         */
		{ "\xed\xa0\x80", "???" },   /* a surrogate      */
		{ "\xf5\x80\x80\x80", "????" }, /* above the last */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_json json_object *o = json_string_of(rows[i].in);

		assert_string_equal(json_object_get_string(o), rows[i].out);
	}
	assert_null(json_string_of(""));
	assert_null(json_string_of(NULL));
}

static void json_in_a_row_stays_json(void **state)
{
	auto_json json_object *value = json_value_of("{\"pid\":18446744073709551615}");
	auto_json json_object *garbage = json_value_of("{\"pid\":");

	(void)state;
	assert_true(json_object_is_type(value, json_type_object));
	assert_true(json_object_get_uint64(json_object_object_get(value, "pid")) == UINT64_MAX);
	assert_string_equal(json_object_get_string(garbage), "{\"pid\":");
}

static void spans_are_told_in_the_unit_people_would_use(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
		{ -1, "-" },      { 0, "0s" },         { 119999, "119s" },  { 120000, "2m" },
		{ 7200000, "2h" }, { 172799999, "47h" }, { 172800000, "2d" },
	};
	char buf[SPAN_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(span_text(buf, rows[i].ms), rows[i].text);
	assert_string_equal(time_text(buf, 0), "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
		cmocka_unit_test(characters_are_counted_not_bytes),
		cmocka_unit_test(a_narrow_terminal_gets_paragraphs),
		cmocka_unit_test(colours_do_not_move_columns),
		cmocka_unit_test(no_cell_can_steer_a_terminal),
		cmocka_unit_test(bytes_that_are_no_utf8_become_question_marks),
		cmocka_unit_test(json_in_a_row_stays_json),
		cmocka_unit_test(spans_are_told_in_the_unit_people_would_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
