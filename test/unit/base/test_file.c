/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/file.h"

#include "test/lib/journal_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
	struct test_place p;
	char path[PATH_MAX];
	struct err err;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	test_place_make(&w->p, NULL);
	snprintf(w->path, sizeof(w->path), "%s/file", w->p.top);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	test_place_remove(&w->p);
	free(w);
	return 0;
}

static void assert_content(const char *path, const char *want, size_t len)
{
	size_t n;
	char *text = test_read(path, &n);

	assert_int_equal(n, len);
	assert_memory_equal(text, want, len);
	free(text);
}

static void what_was_replaced_is_read_back(void **state)
{
	struct world *w = *state;
	struct stat st;

	assert_int_equal(file_replace(w->path, "old", 3, 0640, &w->err), 0);
	assert_content(w->path, "old", 3);
	assert_int_equal(file_replace(w->path, "a\0b", 3, 0600, &w->err), 0);
	assert_content(w->path, "a\0b", 3);
	assert_int_equal(file_replace(w->path, "", 0, 0600, &w->err), 0);
	assert_content(w->path, "", 0);
	assert_int_equal(stat(w->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void nothing_stays_of_a_replace_that_failed(void **state)
{
	struct world *w = *state;
	char draft[PATH_MAX];

	assert_int_equal(mkdir(w->path, 0700), 0);
	assert_int_equal(file_replace(w->path, "x", 1, 0600, &w->err), -EISDIR);
	assert_non_null(strstr(w->err.text, w->path));
	snprintf(draft, sizeof(draft), "%s/.file.new", w->p.top);
	assert_int_equal(access(draft, F_OK), -1);
	assert_int_equal(file_replace("/nowhere/file", "x", 1, 0600, &w->err), -ENOENT);
}

static void a_copy_of_any_size_is_the_same(void **state)
{
	static const size_t sizes[] = { 0, 1, 16383, 16384, 16385, 100000 };
	struct world *w = *state;
	char *data = malloc(100000), copy[PATH_MAX];

	for (int i = 0; i < 100000; i++)
		data[i] = (char)(i * 7 + i / 256);
	snprintf(copy, sizeof(copy), "%s/copy", w->p.top);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(file_replace(w->path, data, sizes[i], 0600, &w->err), 0);
		assert_int_equal(file_copy(w->path, copy, 0600, &w->err), 0);
		assert_content(copy, data, sizes[i]);
	}
	assert_int_equal(file_copy("/nowhere", copy, 0600, &w->err), -ENOENT);
	assert_content(copy, data, 100000);
	free(data);
}

static void folders_are_made_with_all_above(void **state)
{
	struct world *w = *state;
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/a/b/c", w->p.top);
	assert_int_equal(file_mkdirs(path, 0710, &w->err), 0);
	assert_int_equal(file_mkdirs(path, 0700, &w->err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0710);
	snprintf(path, sizeof(path), "%s/with/a/slash/", w->p.top);
	assert_int_equal(file_mkdirs(path, 0700, &w->err), 0);
	assert_int_equal(access(path, X_OK), 0);
	snprintf(path, sizeof(path), "%s/x/y/file", w->p.top);
	assert_int_equal(file_mkparents(path, 0700, &w->err), 0);
	assert_int_equal(file_replace(path, "x", 1, 0600, &w->err), 0);
	snprintf(path, sizeof(path), "%s/x/y/file/z", w->p.top);
	assert_int_equal(file_mkdirs(path, 0700, &w->err), -ENOTDIR);
}

static void below_a_link_to_nowhere_no_folder_is_made(void **state)
{
	struct world *w = *state;
	char path[PATH_MAX], want[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/link", w->p.top);
	assert_int_equal(symlink("/nowhere", path), 0);
	snprintf(want, sizeof(want), "make folder %s/a: No such file or directory", path);
	strcat(path, "/a/b");
	assert_int_equal(file_mkdirs(path, 0700, &w->err), -ENOENT);
	assert_string_equal(w->err.text, want);
}

static void removing_what_is_not_there_is_fine(void **state)
{
	struct world *w = *state;

	assert_int_equal(file_replace(w->path, "x", 1, 0600, &w->err), 0);
	assert_int_equal(file_unlink(w->path, &w->err), 0);
	assert_int_equal(file_unlink(w->path, &w->err), 0);
	assert_int_equal(file_unlink(w->p.top, &w->err), -EISDIR);
}

static void flushing_names_what_it_can_not_flush(void **state)
{
	struct world *w = *state;

	assert_int_equal(file_replace(w->path, "x", 1, 0600, &w->err), 0);
	assert_int_equal(file_sync(w->path, &w->err), 0);
	assert_int_equal(file_sync_dirs(w->path, 20, &w->err), 0);
	assert_int_equal(file_sync("/nowhere/file", &w->err), -ENOENT);
	assert_string_equal(w->err.text, "open /nowhere/file: No such file or directory");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_was_replaced_is_read_back),
		T(nothing_stays_of_a_replace_that_failed),
		T(a_copy_of_any_size_is_the_same),
		T(folders_are_made_with_all_above),
		T(below_a_link_to_nowhere_no_folder_is_made),
		T(removing_what_is_not_there_is_fine),
		T(flushing_names_what_it_can_not_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
