/* SPDX-License-Identifier: Apache-2.0 */
/* Files: made, opened, listed, finished, swept; and the names they have. */
#include "journal/base/cleanup.h"
#include "journal/base/file.h"
#include "journal/journal.h"
#include "test/lib/journal_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct world {
	struct test_place p;
	struct err err;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	test_place_make(&w->p, NULL);
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

static int try_open(struct world *w, const char *id, enum journal_open how)
{
	struct task_key key = test_key(id);
	struct journal *j = NULL;
	int r;

	w->err = (struct err)ERR_INIT;
	r = journal_open(&j, &w->p.place, &key, how, &w->err);
	assert_int_equal(r == 0, j != NULL);
	journal_close(j);
	return r;
}

static void make(struct world *w, const char *id)
{
	journal_close(test_open(&w->p, id, JOURNAL_CREATE));
}

static void finish(struct world *w, const char *id)
{
	struct journal *j = test_open(&w->p, id, JOURNAL_OWN);

	if (journal_finish(&j, &w->err) < 0)
		fail_msg("%s", w->err.text);
	assert_null(j);
}

static void put(struct world *w, const char *id, const char *tail)
{
	char path[PATH_MAX];

	test_live_path(&w->p, id, tail, path);
	if (file_replace(path, "x", 1, 0600, &w->err) < 0)
		fail_msg("%s", w->err.text);
}

static bool there(struct world *w, const char *id, const char *tail)
{
	char path[PATH_MAX];

	test_live_path(&w->p, id, tail, path);
	return access(path, F_OK) == 0;
}

static void the_daemon_is_twelve_digits_of_its_address(void **state)
{
	struct task_key a, b;

	(void)state;
	assert_int_equal(task_key_make(&a, "abc", "moby", "c-1_x.y", NULL), 0);
	assert_string_equal(a.daemon, "ba7816bf8f01"); /* SHA-256 of "abc", FIPS 180 */
	assert_string_equal(a.ns, "moby");
	assert_string_equal(a.id, "c-1_x.y");
	assert_int_equal(task_key_make(&b, "abd", "moby", "c1", NULL), 0);
	assert_string_not_equal(a.daemon, b.daemon);
}

static void names_that_are_no_identifiers_are_refused(void **state)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "../x", "-a", "a-", "a..b", "a b",
					   ".hidden", "a\n", "\xc3\xa4" };
	char long_name[JOURNAL_ID_MAX + 2];
	struct task_key key;
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(task_key_make(&key, "a", "ns", bad[i], &err), -EINVAL);
		assert_int_equal(task_key_make(&key, "a", bad[i], "id", &err), -EINVAL);
	}
	memset(long_name, 'a', sizeof(long_name));
	long_name[JOURNAL_ID_MAX + 1] = '\0';
	assert_int_equal(task_key_make(&key, "a", "ns", long_name, &err), -EINVAL);
	long_name[JOURNAL_ID_MAX] = '\0';
	assert_int_equal(task_key_make(&key, "a", "ns", long_name, &err), 0);
}

static void a_task_is_made_once(void **state)
{
	struct world *w = *state;

	assert_int_equal(try_open(w, "c1", JOURNAL_OWN), -ENOENT);
	assert_int_equal(try_open(w, "c1", JOURNAL_READ), -ENOENT);
	assert_int_equal(try_open(w, "c1", JOURNAL_CREATE), 0);
	assert_int_equal(try_open(w, "c1", JOURNAL_CREATE), -EEXIST);
	assert_string_equal(w->err.text, "task default/c1 is in the journal already");
	assert_int_equal(try_open(w, "c1", JOURNAL_OWN), 0);
	assert_int_equal(try_open(w, "c1", JOURNAL_READ), 0);
}

static void looking_for_a_task_that_is_not_there_leaves_nothing(void **state)
{
	struct world *w = *state;

	assert_int_equal(try_open(w, "c1", JOURNAL_OWN), -ENOENT);
	assert_int_equal(access(w->p.root, F_OK), -1);
	assert_int_equal(access(w->p.run, F_OK), -1);
}

static void folders_are_for_their_owner_alone(void **state)
{
	struct world *w = *state;
	char path[PATH_MAX], *slash;
	struct stat st;

	make(w, "c1");
	test_live_path(&w->p, "c1", "", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	while (strcmp(path, w->p.root) != 0) {
		slash = strrchr(path, '/');
		*slash = '\0';
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0700);
	}
}

static void every_owner_has_a_higher_lease(void **state)
{
	struct world *w = *state;
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);

	assert_int_equal(journal_lease(j), 1);
	journal_close(j);
	j = test_open(&w->p, "c1", JOURNAL_OWN);
	assert_int_equal(journal_lease(j), 2);
	assert_string_equal(journal_key(j)->id, "c1");
	assert_false(journal_is_rescue(j));
	assert_int_equal(journal_error(j), 0);
	journal_close(j);
	j = test_open(&w->p, "c1", JOURNAL_READ);
	assert_int_equal(journal_lease(j), 0);
	journal_close(j);
}

static void a_reader_can_not_write(void **state)
{
	struct world *w = *state;
	struct journal *j;

	make(w, "c1");
	j = test_open(&w->p, "c1", JOURNAL_READ);
	assert_int_equal(journal_note(j, "a", "b", &w->err), -EROFS);
	assert_int_equal(journal_finish(&j, &w->err), -ESTALE);
	assert_null(j);
	assert_true(there(w, "c1", ""));
}

static void a_finished_task_is_history_and_its_name_free(void **state)
{
	struct world *w = *state;

	make(w, "c1");
	finish(w, "c1");
	assert_int_equal(test_count(&w->p, JOURNAL_LIVE), 0);
	assert_int_equal(test_count(&w->p, JOURNAL_DONE), 1);
	assert_false(there(w, "c1", "-wal") || there(w, "c1", "-shm"));
	make(w, "c1");
	finish(w, "c1");
	assert_int_equal(test_count(&w->p, JOURNAL_DONE), 2);
}

static int read_done(void *arg, const struct task_key *key, const char *file)
{
	struct world *w = arg;
	struct journal *j;
	struct task_row t;
	char side[PATH_MAX];

	assert_string_equal(key->id, "c1");
	assert_int_equal(journal_open_file(&j, file, &w->err), 0);
	assert_string_equal(journal_key(j)->ns, "default");
	assert_int_equal(journal_task(j, &t, &w->err), 0);
	assert_string_equal(t.bundle, "/bundle");
	task_row_clear(&t);
	assert_int_equal(journal_check(j, &w->err), 0);
	journal_close(j);
	snprintf(side, sizeof(side), "%s-shm", file);
	assert_int_equal(access(side, F_OK), -1);
	return 7;
}

static void history_can_be_read_and_leaves_no_trace(void **state)
{
	struct world *w = *state;
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);

	journal_set_text(j, TASK_BUNDLE, "/bundle", &w->err);
	assert_int_equal(journal_finish(&j, &w->err), 0);
	assert_int_equal(journal_list(&w->p.place, JOURNAL_DONE, read_done, w, &w->err), 7);
	assert_int_equal(journal_open_file(&j, "/nowhere/c1.5.db", &w->err), -ENOENT);
}

static void a_reader_does_not_hold_up_the_finish(void **state)
{
	struct world *w = *state;
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);
	struct journal *reader = test_open(&w->p, "c1", JOURNAL_READ);
	struct task_row t;

	journal_set_text(j, TASK_BUNDLE, "/bundle", &w->err);
	assert_int_equal(journal_begin(reader, &w->err), -EROFS);
	assert_int_equal(journal_task(reader, &t, &w->err), 0);
	assert_int_equal(journal_finish(&j, &w->err), 0);
	assert_string_equal(t.bundle, "/bundle");
	task_row_clear(&t);
	journal_close(reader);
	assert_int_equal(journal_list(&w->p.place, JOURNAL_DONE, read_done, w, &w->err), 7);
}

struct names {
	char text[256];
};

static int add_name(void *arg, const struct task_key *key, const char *file)
{
	struct names *n = arg;

	assert_non_null(strstr(file, key->id));
	strcat(n->text, key->id);
	strcat(n->text, " ");
	return 0;
}

static void a_listing_has_the_tasks_and_passes_over_the_rest(void **state)
{
	struct world *w = *state;
	struct names live = { "" }, none = { "" };
	char path[PATH_MAX];

	assert_int_equal(journal_list(&w->p.place, JOURNAL_LIVE, add_name, &none, &w->err), 0);
	make(w, "b");
	make(w, "a.db");
	make(w, "c-1");
	put(w, "x", "~");
	put(w, "x", ".swp");
	put(w, "b", "-wal");
	test_live_path(&w->p, "b", "", path);
	strcpy(strrchr(path, '/'), "/-x.db");
	assert_int_equal(file_replace(path, "x", 1, 0600, &w->err), 0);
	test_live_path(&w->p, "b", "", path);
	*strrchr(path, '/') = '\0';
	strcpy(strrchr(path, '/'), "/no namespace/x.db");
	assert_int_equal(file_mkparents(path, 0700, &w->err), 0);
	assert_int_equal(file_replace(path, "x", 1, 0600, &w->err), 0);
	snprintf(path, sizeof(path), "%s/live/lost+found/x.db", w->p.root);
	assert_int_equal(file_mkparents(path, 0700, &w->err), 0);
	assert_int_equal(file_replace(path, "x", 1, 0600, &w->err), 0);
	assert_int_equal(journal_list(&w->p.place, JOURNAL_LIVE, add_name, &live, &w->err), 0);
	assert_string_equal(live.text, "a.db b c-1 ");
	assert_string_equal(none.text, "");
}

static void history_is_newest_first(void **state)
{
	struct world *w = *state;
	struct names done = { "" };

	for (const char *id = "cab"; *id; id++) {
		char name[2] = { *id, '\0' };
		make(w, name);
		finish(w, name);
		usleep(2000); /* names have milliseconds: not a wait for anything else */
	}
	assert_int_equal(journal_list(&w->p.place, JOURNAL_DONE, add_name, &done, &w->err), 0);
	assert_string_equal(done.text, "b a c ");
}

static void pruning_keeps_the_newest_and_the_young(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 5; i++) {
		make(w, "c1");
		finish(w, "c1");
	}
	make(w, "alive");
	assert_int_equal(journal_prune(&w->p.place, INT64_MAX, 5, &w->err), 0);
	assert_int_equal(test_count(&w->p, JOURNAL_DONE), 5);
	assert_int_equal(journal_prune(&w->p.place, 3600, 2, &w->err), 0);
	assert_int_equal(test_count(&w->p, JOURNAL_DONE), 2);
	assert_int_equal(journal_prune(&w->p.place, -1, 2, &w->err), 0);
	assert_int_equal(test_count(&w->p, JOURNAL_DONE), 0);
	assert_int_equal(test_count(&w->p, JOURNAL_LIVE), 1);
}

static void pruning_sweeps_what_the_dead_left_half_made(void **state)
{
	struct world *w = *state;
	char draft[PATH_MAX], *slash;

	make(w, "c1");
	test_live_path(&w->p, "gone", "", draft);
	slash = strrchr(draft, '/');
	strcpy(slash, "/.gone.db.new");
	assert_int_equal(file_replace(draft, "x", 1, 0600, &w->err), 0);
	put(w, "gone", "-wal");
	put(w, "gone", "-shm");
	assert_int_equal(journal_prune(&w->p.place, 3600, 10, &w->err), 0);
	assert_int_equal(access(draft, F_OK), -1);
	assert_false(there(w, "gone", "-wal") || there(w, "gone", "-shm"));
	assert_true(there(w, "c1", "") && there(w, "c1", "-wal"));
	assert_int_equal(try_open(w, "c1", JOURNAL_OWN), 0);
}

/* Nobody can be asked whether their makers live: time tells. */
static void what_died_while_it_copied_is_removed_an_hour_later(void **state)
{
	const struct timespec old[2] = { { .tv_sec = time(NULL) - 7200 },
					 { .tv_sec = time(NULL) - 7200 } };
	struct world *w = *state;
	char path[3][PATH_MAX], folder[PATH_MAX];

	snprintf(path[2], PATH_MAX, "%s/done/%s/t/.c1.5.db.new", w->p.place.root,
		 test_key("c1").daemon);
	snprintf(path[0], PATH_MAX, "%s/torn/.d.t.c1.5.db.new", w->p.place.root);
	snprintf(path[1], PATH_MAX, "%s/read.a1b2c3/db", w->p.place.run);
	snprintf(folder, PATH_MAX, "%s/read.a1b2c3", w->p.place.run);
	for (size_t i = 0; i < ARRAY_SIZE(path); i++) {
		assert_int_equal(file_mkparents(path[i], 0700, &w->err), 0);
		assert_int_equal(file_replace(path[i], "x", 1, 0600, &w->err), 0);
	}
	assert_int_equal(journal_prune(&w->p.place, 3600, 10, &w->err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(path); i++)
		assert_int_equal(access(path[i], F_OK), 0);
	assert_int_equal(utimensat(AT_FDCWD, path[0], old, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, path[2], old, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, folder, old, 0), 0);
	assert_int_equal(journal_prune(&w->p.place, 3600, 10, &w->err), 0);
	assert_int_equal(access(path[0], F_OK), -1);
	assert_int_equal(access(path[2], F_OK), -1);
	assert_int_equal(access(folder, F_OK), -1);
}

static void what_a_dead_finish_left_of_one_task_is_swept(void **state)
{
	struct world *w = *state;
	struct task_key gone = test_key("gone");
	struct task_key c1 = test_key("c1");

	make(w, "c1");
	put(w, "gone", "-wal");
	put(w, "gone", "-shm");
	put(w, "c2", "-wal");
	assert_int_equal(journal_sweep(&w->p.place, &gone, &w->err), 0);
	assert_false(there(w, "gone", "-wal") || there(w, "gone", "-shm"));
	assert_int_equal(journal_sweep(&w->p.place, &c1, &w->err), 0);
	assert_true(there(w, "c1", "") && there(w, "c1", "-wal") && there(w, "c2", "-wal"));
}

/* SQLite would play a WAL that it finds beside the new file into it. */
static void a_new_file_does_not_inherit_an_old_wal(void **state)
{
	struct world *w = *state;
	struct journal *j;
	struct task_row t;
	char path[PATH_MAX];

	j = test_open(&w->p, "c1", JOURNAL_CREATE);
	journal_set_text(j, TASK_BUNDLE, "/old", &w->err);
	journal_close(j);
	test_live_path(&w->p, "c1", "", path);
	assert_int_equal(unlink(path), 0);
	assert_true(there(w, "c1", "-wal"));
	j = test_open(&w->p, "c1", JOURNAL_CREATE);
	assert_int_equal(journal_task(j, &t, &w->err), 0);
	assert_string_equal(t.bundle, "");
	task_row_clear(&t);
	journal_close(j);
}

static void a_rescue_copy_is_gone_on_with_and_ends_with_the_task(void **state)
{
	struct world *w = *state;
	struct task_key key = test_key("c1");
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);
	char copy[PATH_MAX];
	struct task_row t;

	journal_set_text(j, TASK_BUNDLE, "/bundle", &w->err);
	journal_close(j);
	assert_int_equal(journal_open_rescue(&j, &w->p.place, &key, &w->err), 0);
	assert_true(journal_is_rescue(j));
	assert_int_equal(journal_lease(j), 2);
	assert_int_equal(journal_set_text(j, TASK_ERROR, "disk full", &w->err), 0);
	(void)snprintf(copy, sizeof(copy), "%s", journal_file(j));
	journal_close(j);
	j = test_open(&w->p, "c1", JOURNAL_OWN); /* never the older original */
	assert_true(journal_is_rescue(j));
	assert_int_equal(journal_task(j, &t, &w->err), 0);
	assert_string_equal(t.bundle, "/bundle");
	assert_string_equal(t.error, "disk full");
	task_row_clear(&t);
	assert_int_equal(journal_finish(&j, &w->err), 0);
	assert_int_equal(access(copy, F_OK), -1);
	assert_int_equal(test_count(&w->p, JOURNAL_LIVE), 0);
	assert_int_equal(journal_list(&w->p.place, JOURNAL_DONE, read_done, w, &w->err), 7);
	j = test_open(&w->p, "c1", JOURNAL_CREATE);
	assert_false(journal_is_rescue(j));
	journal_close(j);
}

static void a_long_life_can_be_folded(void **state)
{
	struct world *w = *state;
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);
	struct journal *reader = test_open(&w->p, "c1", JOURNAL_READ);
	int64_t step = test_plan(j, 1);

	assert_true(journal_wal_size(j) > 1024);
	assert_int_equal(journal_fold(j, &w->err), 0);
	assert_int_equal(journal_wal_size(j), 0);
	assert_int_equal(journal_intend(j, step, "e", true, 1, &w->err), 0);
	assert_int_equal(test_state(reader, step), ROW_INTENT);
	journal_close(reader);
	journal_close(j);
	j = test_open(&w->p, "c1", JOURNAL_OWN);
	assert_int_equal(test_state(j, step), ROW_INTENT);
	journal_close(j);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_daemon_is_twelve_digits_of_its_address),
		cmocka_unit_test(names_that_are_no_identifiers_are_refused),
		T(a_task_is_made_once),
		T(looking_for_a_task_that_is_not_there_leaves_nothing),
		T(folders_are_for_their_owner_alone),
		T(every_owner_has_a_higher_lease),
		T(a_reader_can_not_write),
		T(a_finished_task_is_history_and_its_name_free),
		T(history_can_be_read_and_leaves_no_trace),
		T(a_reader_does_not_hold_up_the_finish),
		T(a_listing_has_the_tasks_and_passes_over_the_rest),
		T(history_is_newest_first),
		T(pruning_keeps_the_newest_and_the_young),
		T(pruning_sweeps_what_the_dead_left_half_made),
		T(what_died_while_it_copied_is_removed_an_hour_later),
		T(what_a_dead_finish_left_of_one_task_is_swept),
		T(a_new_file_does_not_inherit_an_old_wal),
		T(a_long_life_can_be_folded),
		T(a_rescue_copy_is_gone_on_with_and_ends_with_the_task),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
