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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A path of @n bytes below @top; a component is as long as one may be. */
static void spell(char *ret, const char *top, size_t n)
{
	size_t at = strlen(top);

	assert_true(at + 1 < n);
	memset(ret, 'x', n);
	memcpy(ret, top, at);
	for (; at + 1 < n; at += 200)
		ret[at] = '/';
	ret[n] = '\0';
}

static void a_place_with_a_longer_name_is_refused(void **state)
{
	char far[JOURNAL_PLACE_MAX + 2], fits[JOURNAL_PLACE_MAX + 2];
	struct journal_place place;
	struct err err = ERR_INIT;

	(void)state;
	spell(far, "/a", JOURNAL_PLACE_MAX + 1);
	spell(fits, "/b", JOURNAL_PLACE_MAX);
	assert_int_equal(journal_place_make(&place, far, fits, &err), -ENAMETOOLONG);
	assert_non_null(strstr(err.text, "the folder /a/xxx"));
	assert_non_null(strstr(err.text, "over 256 bytes"));
	assert_int_equal(journal_place_make(&place, fits, far, &err), -ENAMETOOLONG);
	assert_non_null(strstr(err.text, "the folder /a/xxx"));
	assert_int_equal(journal_place_make(&place, fits, fits, &err), 0);
	assert_string_equal(place.root, fits);
	assert_string_equal(place.run, fits);
}

/* Everything that a task's file can be, below names as long as they may be. */
struct longest {
	struct test_place p;
	struct journal_place place;
	struct task_key key;
	struct err err;
	int seen;
	char done[PATH_MAX];
};

static void must(struct longest *w, int r)
{
	if (r < 0)
		fail_msg("%s", w->err.text);
}

static int setup(void **state)
{
	char root[JOURNAL_PLACE_MAX + 1], run[JOURNAL_PLACE_MAX + 1], id[JOURNAL_ID_MAX + 1];
	struct longest *w = calloc(1, sizeof(*w));

	test_place_make(&w->p, NULL);
	spell(root, w->p.root, JOURNAL_PLACE_MAX);
	spell(run, w->p.run, JOURNAL_PLACE_MAX);
	memset(id, 'i', JOURNAL_ID_MAX);
	id[JOURNAL_ID_MAX] = '\0';
	must(w, journal_place_make(&w->place, root, run, &w->err));
	must(w, task_key_make(&w->key, "/c.sock", id, id, &w->err));
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct longest *w = *state;

	test_place_remove(&w->p);
	free(w);
	return 0;
}

/* The file of the task, with a note, and closed. */
static void make(struct longest *w)
{
	struct journal *j = NULL;

	must(w, journal_open(&j, &w->place, &w->key, JOURNAL_CREATE, &w->err));
	must(w, journal_set_text(j, TASK_GROUP, "g", &w->err));
	journal_close(j);
}

static void reads_back(struct longest *w, struct journal *j)
{
	struct task_row row = { 0 };

	must(w, journal_check(j, &w->err));
	must(w, journal_task(j, &row, &w->err));
	assert_string_equal(row.group, "g");
	task_row_clear(&row);
	journal_close(j);
}

static int see(void *arg, const struct task_key *key, const char *file)
{
	struct longest *w = arg;

	assert_memory_equal(key, &w->key, sizeof(*key));
	snprintf(w->done, sizeof(w->done), "%s", file);
	w->seen++;
	return 0;
}

static int count(struct longest *w, enum journal_where where)
{
	w->seen = 0;
	must(w, journal_list(&w->place, where, see, w, &w->err));
	return w->seen;
}

/* Finished by who owns it: the one file in done/ says what it said. */
static void ends(struct longest *w, struct journal *j)
{
	must(w, journal_finish(&j, &w->err));
	assert_int_equal(count(w, JOURNAL_LIVE), 0);
	assert_int_equal(count(w, JOURNAL_DONE), 1);
	must(w, journal_open_file(&j, w->done, &w->err));
	reads_back(w, j);
	must(w, journal_drop_torn(&w->place, &w->err));
	assert_int_equal(count(w, JOURNAL_DONE), 1);
	must(w, journal_prune(&w->place, 1000, 0, &w->err));
	assert_int_equal(count(w, JOURNAL_DONE), 0);
}

static void a_task_of_the_longest_name_is_read_owned_and_finished(void **state)
{
	struct longest *w = *state;
	struct journal *j = NULL;
	pid_t owner;

	make(w);
	assert_int_equal(count(w, JOURNAL_LIVE), 1);
	must(w, journal_open(&j, &w->place, &w->key, JOURNAL_READ, &w->err));
	reads_back(w, j);
	must(w, journal_open(&j, &w->place, &w->key, JOURNAL_OWN, &w->err));
	assert_true(journal_has_lock(&w->place, &w->key));
	must(w, journal_owner(&w->place, &w->key, &owner, &w->err));
	assert_int_equal(owner, getpid());
	ends(w, j);
	assert_false(journal_has_lock(&w->place, &w->key));
	must(w, journal_sweep(&w->place, &w->key, &w->err));
}

static void a_task_of_the_longest_name_is_rescued(void **state)
{
	struct longest *w = *state;
	struct journal *j = NULL;

	make(w);
	must(w, journal_open_rescue(&j, &w->place, &w->key, &w->err));
	journal_close(j);
	must(w, journal_open(&j, &w->place, &w->key, JOURNAL_READ, &w->err));
	assert_true(journal_is_rescue(j));
	reads_back(w, j);
	must(w, journal_open(&j, &w->place, &w->key, JOURNAL_OWN, &w->err));
	ends(w, j);
}

static void a_task_of_the_longest_name_is_set_aside(void **state)
{
	struct longest *w = *state;
	struct journal *j = NULL;
	char torn[ERR_TEXT_MAX];

	make(w);
	must(w, journal_set_aside(&j, &w->place, &w->key, torn, &w->err));
	assert_false(file_missing(torn));
	must(w, journal_set_text(j, TASK_GROUP, "g", &w->err));
	ends(w, j);
	assert_false(file_missing(torn));
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
	assert_int_equal(journal_open_file(&j, "/dev/null", &err), -EINVAL);
	assert_string_equal(err.text, "/dev/null has no name of a finished task");
	assert_null(j);
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

static void put_file(const char *dir, const char *part, const char *name)
{
	struct err err = ERR_INIT;
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s/%s", dir, part, name);
	assert_int_equal(file_mkparents(path, 0700, &err), 0);
	assert_int_equal(file_replace(path, "x", 1, 0600, &err), 0);
}

/* There is nothing below it, and nothing can be made there. */
static void a_file_in_a_folders_place_has_no_task(void **state)
{
	struct task_key key = test_key("c1");
	struct err err = ERR_INIT;
	struct journal *j = NULL;
	struct test_place p;
	pid_t who = 1;

	(void)state;
	test_place_make(&p, NULL);
	put_file(p.run, "lock", key.daemon);
	assert_int_equal(journal_owner(&p.place, &key, &who, &err), 0);
	assert_int_equal(who, 0);
	assert_int_equal(journal_open(&j, &p.place, &key, JOURNAL_CREATE, &err), -ENOTDIR);
	put_file(p.root, "live", key.daemon);
	assert_int_equal(journal_open(&j, &p.place, &key, JOURNAL_OWN, &err), -ENOENT);
	assert_int_equal(test_count(&p, JOURNAL_LIVE), 0);
	assert_null(j);
	test_place_remove(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_place_with_a_longer_name_is_refused),
		cmocka_unit_test_setup_teardown(a_task_of_the_longest_name_is_read_owned_and_finished,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_task_of_the_longest_name_is_rescued,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_task_of_the_longest_name_is_set_aside,
						setup, teardown),
		cmocka_unit_test(a_file_of_the_history_too_long_or_misnamed_is_refused),
		cmocka_unit_test(a_name_without_a_folder_is_one_of_this_folder),
		cmocka_unit_test(a_file_in_a_folders_place_has_no_task),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
