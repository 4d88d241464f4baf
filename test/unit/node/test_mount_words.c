/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/node/mount_words.h"

#include "journal/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

#define WORDS(...) (const char *const[]){ __VA_ARGS__ }, ARRAY_SIZE(((const char *const[]){ __VA_ARGS__ }))

static void test_known_words_are_flags_and_others_data(void **state)
{
	struct mount_words w;

	(void)state;
	assert_int_equal(mount_words_sort("overlay",
					  WORDS("ro", "lowerdir=/a:/b", "nosuid", "", "upperdir=/u"),
					  &w, NULL),
			 0);
	assert_int_equal(w.flags, MS_RDONLY | MS_NOSUID);
	assert_string_equal(w.data, "lowerdir=/a:/b,upperdir=/u");
	assert_false(w.loop);
	assert_int_equal(w.propagation, 0);
	free(w.data);
}

static void test_the_last_of_two_words_wins(void **state)
{
	struct mount_words w;

	(void)state;
	assert_int_equal(mount_words_sort("ext4", WORDS("ro", "noexec", "rw", "exec", "nodev"), &w,
					  NULL),
			 0);
	assert_int_equal(w.flags, MS_NODEV);
	assert_string_equal(w.data, "");
	free(w.data);
}

static void test_bind_is_a_word_and_a_type(void **state)
{
	struct mount_words w;

	(void)state;
	assert_int_equal(mount_words_sort("bind", WORDS("ro"), &w, NULL), 0);
	assert_int_equal(w.flags, MS_BIND | MS_RDONLY);
	free(w.data);
	assert_int_equal(mount_words_sort("none", WORDS("rbind", "rslave"), &w, NULL), 0);
	assert_int_equal(w.flags, MS_BIND | MS_REC);
	assert_int_equal(w.propagation, MS_SLAVE | MS_REC);
	free(w.data);
	assert_int_equal(mount_words_sort("rbind", NULL, 0, &w, NULL), 0);
	assert_int_equal(w.flags, MS_BIND | MS_REC);
	free(w.data);
}

static void test_defaults_is_nothing(void **state)
{
	struct mount_words w;

	(void)state;
	assert_int_equal(mount_words_sort("ext4", WORDS("defaults"), &w, NULL), 0);
	assert_int_equal(w.flags, 0);
	assert_string_equal(w.data, "");
	free(w.data);
}

static void test_loop_and_direct_io_ask_for_a_device(void **state)
{
	struct mount_words w;

	(void)state;
	assert_int_equal(mount_words_sort("erofs", WORDS("loop", "direct-io", "ro"), &w, NULL), 0);
	assert_true(w.loop && w.direct_io);
	assert_string_equal(w.data, "");
	free(w.data);
}

static void test_what_can_not_be_honoured_is_refused_by_name(void **state)
{
	static const char *const words[] = { "uidmap=0:1000:1", "gidmap=0:1000:1",
					     "X-containerd.mkdir.path=/x", "X-containerd.foo" };
	struct mount_words w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(mount_words_sort("overlay", &words[i], 1, &w, &err), -ENOTSUP);
		assert_non_null(strstr(err.text, words[i]));
	}
}

static void check_shorten(const char *data, const char *dir, const char *want)
{
	char *ret_dir;
	char *ret_data;

	assert_int_equal(overlay_shorten(data, &ret_dir, &ret_data), 0);
	if (dir) {
		assert_string_equal(ret_dir, dir);
		assert_string_equal(ret_data, want);
	} else {
		assert_null(ret_dir);
		assert_null(ret_data);
	}
	free(ret_dir);
	free(ret_data);
}

static void test_lower_folders_become_relative_to_their_parent(void **state)
{
	(void)state;
	check_shorten("upperdir=/s/3/fs,lowerdir=/s/1/fs:/s/2/fs,workdir=/s/3/w", "/s/",
		      "upperdir=/s/3/fs,lowerdir=1/fs:2/fs,workdir=/s/3/w");
	check_shorten("lowerdir=/s/10/fs:/s/11/fs", "/s/", "lowerdir=10/fs:11/fs");
	check_shorten("lowerdir=/s/10/fs", "/s/10/", "lowerdir=fs");
}

static void test_lower_folders_that_share_nothing_are_left(void **state)
{
	(void)state;
	check_shorten("lowerdir=/a/fs:/b/fs", NULL, NULL);
	check_shorten("lowerdir=a/fs:a/fs2", NULL, NULL);
	check_shorten("lowerdir=/s/a\\:b:/s/c", NULL, NULL);
	check_shorten("lowerdir=/s/:/s/c", NULL, NULL);
	check_shorten("lowerdir=", NULL, NULL);
	check_shorten("xlowerdir=/s/a:/s/b", NULL, NULL);
	check_shorten("", NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_words_are_flags_and_others_data),
		cmocka_unit_test(test_the_last_of_two_words_wins),
		cmocka_unit_test(test_bind_is_a_word_and_a_type),
		cmocka_unit_test(test_defaults_is_nothing),
		cmocka_unit_test(test_loop_and_direct_io_ask_for_a_device),
		cmocka_unit_test(test_what_can_not_be_honoured_is_refused_by_name),
		cmocka_unit_test(test_lower_folders_become_relative_to_their_parent),
		cmocka_unit_test(test_lower_folders_that_share_nothing_are_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
