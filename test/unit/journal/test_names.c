/* SPDX-License-Identifier: Apache-2.0 */
/* Names that are too long, and names that are not the journal's. */
#include "journal/base/file.h"
#include "journal/journal.h"
#include "journal/store/place.h"
#include "test/lib/journal_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int see(void *arg, const struct task_key *key, const char *file)
{
	(void)arg;
	(void)key;
	(void)file;
	fail_msg("there is nothing to see");
	return -1;
}

static void is_refused(int r, const struct err *err)
{
	if ((r != -ENAMETOOLONG && r != -ENOTDIR && r != -ENOENT) || err->text[0] == '\0')
		fail_msg("%d, %s", r, err->text);
}

/* Nothing is there, which is no failure of these. */
static void is_refused_or_empty(int r, const struct err *err)
{
	if (r != 0)
		is_refused(r, err);
}

static void nothing_works_at(const struct journal_place *place)
{
	struct task_key key = test_key("c1");
	struct journal *j = NULL;
	char torn[ERR_TEXT_MAX];
	struct err err = ERR_INIT;
	pid_t who;

	for (int how = JOURNAL_READ; how <= JOURNAL_CREATE; how++)
		is_refused(journal_open(&j, place, &key, (enum journal_open)how, &err), &err);
	is_refused(journal_open_rescue(&j, place, &key, &err), &err);
	is_refused(journal_set_aside(&j, place, &key, torn, &err), &err);
	is_refused_or_empty(journal_sweep(place, &key, &err), &err);
	is_refused_or_empty(journal_prune(place, 1, 1, &err), &err);
	is_refused_or_empty(journal_drop_torn(place, &err), &err);
	is_refused_or_empty(journal_list(place, JOURNAL_LIVE, see, NULL, &err), &err);
	is_refused_or_empty(journal_list(place, JOURNAL_DONE, see, NULL, &err), &err);
	is_refused_or_empty(journal_owner(place, &key, &who, &err), &err);
	(void)journal_has_lock(place, &key); /* yes or no */
	assert_null(j);
}

/* Below a file no folder can be made, so the test makes none. */
static void a_place_too_long_for_its_names_is_refused(void **state)
{
	char far[PATH_MAX + 16] = "/dev/null/";
	struct test_place p;

	(void)state;
	test_place_make(&p, NULL);
	memset(far + 10, 'x', sizeof(far) - 11);
	for (size_t at = 200; at < sizeof(far) - 1; at += 200)
		far[at] = '/';
	for (size_t n = sizeof(far) - 1; n > PATH_MAX - 160; n--) {
		struct journal_place place = { far, p.run };

		far[n] = '\0';
		nothing_works_at(&place);
		place = (struct journal_place){ p.root, far };
		nothing_works_at(&place);
		place = (struct journal_place){ far, far };
		nothing_works_at(&place);
	}
	test_place_remove(&p);
}

static void a_file_of_the_history_too_long_or_misnamed_is_refused(void **state)
{
	static const char *const bad[] = {
		"c1.1.db", "default/c1.1.db", "x/123456789abc/d/c1.1",
		"/x/123456789abX/d/c1.1.db", "/x/123456789abc/d_/c1.1.db", "/x/123456789abc/d/c1.db",
		"/x/123456789abc/d/c1.x.db", "/x/123456789abc/d/c_.1.db",
	};
	char far[PATH_MAX + 2];
	struct err err = ERR_INIT;
	struct journal *j = NULL;
	struct task_key key;
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (place_parse_done(bad[i], &key, &ms) != -EINVAL)
			fail_msg("%s", bad[i]);
	assert_int_equal(place_parse_done("/x/123456789abc/d/c1.1.db", &key, NULL), 0);
	assert_int_equal(place_parse_done("/x/123456789abc/d/c1.1.db", &key, &ms), 0);
	assert_string_equal(key.id, "c1");
	assert_int_equal(ms, 1);
	memset(far, 'x', sizeof(far));
	far[sizeof(far) - 1] = '\0';
	assert_int_equal(place_parse_done(far, &key, &ms), -EINVAL);
	assert_int_equal(journal_open_file(&j, far, &err), -ENAMETOOLONG);
}

static void a_name_without_a_folder_is_one_of_this_folder(void **state)
{
	char draft[PATH_MAX], far[PATH_MAX + 2];
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(file_draft(draft, "name", &err), 0);
	assert_string_equal(draft, ".name.new");
	assert_int_equal(file_draft(draft, "/a/name", &err), 0);
	assert_string_equal(draft, "/a/.name.new");
	assert_int_equal(file_mkparents("name", 0700, &err), 0);
	assert_int_equal(file_mkparents("/name", 0700, &err), 0);
	memset(far, 'x', sizeof(far));
	far[sizeof(far) - 1] = '\0';
	assert_int_equal(file_draft(draft, far, &err), -ENAMETOOLONG);
	assert_int_equal(file_replace(far, "", 0, 0600, &err), -ENAMETOOLONG);
	far[0] = '/';
	far[PATH_MAX] = '/';
	assert_int_equal(file_mkparents(far, 0700, &err), -ENAMETOOLONG);
	assert_int_equal(file_mkdirs(far, 0700, &err), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_place_too_long_for_its_names_is_refused),
		cmocka_unit_test(a_file_of_the_history_too_long_or_misnamed_is_refused),
		cmocka_unit_test(a_name_without_a_folder_is_one_of_this_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
