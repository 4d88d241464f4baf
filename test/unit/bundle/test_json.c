/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/bundle/json.h"

#include "journal/base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#ifdef __SANITIZE_ADDRESS__
static const bool may_limit = false;
#else
static const bool may_limit = true;
#endif

static void what_is_written_reads_as_itself(void **state)
{
	static const char *const texts[] = {
		"{}", "{\"a\":\"b\\/c\",\"n\":18446744073709551615,\"l\":[{\"x\":-1},true,null]}",
		"{ \"spaces\" : [ 1, 2 ] }", /* another's hand */
	};
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		auto_json json_object *o = NULL;
		auto_json json_object *again = NULL;

		assert_int_equal(json_read_row(&o, texts[i], "a row", &err), 0);
		again = json_read(json_write(o));
		assert_true(json_object_equal(o, again));
	}
}

static void what_is_no_object_is_damage(void **state)
{
	static const char *const texts[] = { "", "{", "[]", "7", "{\"a\":}" };
	struct err err = ERR_INIT;
	json_object *o = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(json_read_row(&o, texts[i], "a row", &err), -EUCLEAN);
	assert_null(o);
	assert_string_equal(err.text, "a row is not a JSON object");
}

static void a_lack_of_memory_is_no_damage(void **state)
{
	const size_t len = 64 << 20;
	char *text;
	struct rlimit all, little;
	struct err err = ERR_INIT;
	json_object *o = NULL;

	(void)state;
	if (!may_limit) {
		print_message("# skip: the sanitizer's own memory is over any limit\n");
		skip();
	}
	text = malloc(len + 1);
	assert_non_null(text);
	memset(text, ' ', len);
	memcpy(text, "{}", 2);
	text[len] = '\0';
	assert_int_equal(getrlimit(RLIMIT_AS, &all), 0);
	little = all;
	little.rlim_cur = 512 << 20; /* its room would be a GiB */
	assert_int_equal(setrlimit(RLIMIT_AS, &little), 0);
	assert_int_equal(json_read_row(&o, text, "a row", &err), -ENOMEM);
	assert_int_equal(setrlimit(RLIMIT_AS, &all), 0);
	assert_null(o);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_reads_as_itself),
		cmocka_unit_test(what_is_no_object_is_damage),
		cmocka_unit_test(a_lack_of_memory_is_no_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
