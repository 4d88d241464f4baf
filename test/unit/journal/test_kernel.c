/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the journal asks of the kernel: which files it flushes, and when; a lock file that
 * goes away between two of its calls; and a history that nothing can be added to. The calls
 * are caught here on their way.
 */
#include "journal/journal.h"
#include "test/lib/journal_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A caught call has no argument to keep this in. */
static struct {
	char flushed[4096];  /* their names, a space after each             */
	char replace[PATH_MAX]; /* once opened, its owner finishes; "": none */
	bool anew;              /* and another makes it                      */
	bool no_room;           /* in done/: for new files                   */
	const char *pinned;     /* what ends so is not moved to done/; NULL: all is */
} caught;

static int flush(long call, int fd)
{
	char link[32], path[1024];
	size_t len = strlen(caught.flushed);
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	snprintf(caught.flushed + len, sizeof(caught.flushed) - len, "%.*s ", (int)(n < 0 ? 0 : n), path);
	return (int)syscall(call, fd);
}

int fsync(int fd)
{
	return flush(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return flush(SYS_fdatasync, fd);
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	int mode, fd;

	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	if (caught.no_room && (flags & O_CREAT) && strstr(path, "/done/")) {
		errno = ENOSPC;
		return -1;
	}
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	if (fd >= 0 && strcmp(path, caught.replace) == 0) {
		caught.replace[0] = '\0';
		unlink(path);
		if (caught.anew)
			close((int)syscall(SYS_openat, AT_FDCWD, path, flags, mode));
	}
	return fd;
}

int rename(const char *from, const char *to)
{
	size_t n = strlen(from), tail = caught.pinned ? strlen(caught.pinned) : n + 1;

	if (tail <= n && strcmp(from + n - tail, caught.pinned) == 0 && strstr(to, "/done/")) {
		errno = EXDEV;
		return -1;
	}
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

struct world {
	struct test_place p;
	struct err err;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	test_place_make(&w->p, NULL);
	memset(&caught, 0, sizeof(caught));
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

static bool flushed(const char *path)
{
	char name[PATH_MAX + 2];

	snprintf(name, sizeof(name), "%s ", path);
	return strstr(caught.flushed, name) != NULL;
}

/* The file, its WAL, and every folder whose entry leads to it. */
static void all_is_flushed(struct journal *j)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s-wal", journal_file(j));
	assert_true(flushed(path));
	snprintf(path, sizeof(path), "%s", journal_file(j));
	assert_true(flushed(path));
	for (int i = 0; i < 5; i++) { /* ns, daemon, live, <root>, and where that is */
		*strrchr(path, '/') = '\0';
		if (!flushed(path))
			fail_msg("%s is not among %s", path, caught.flushed);
	}
}

static void a_volatile_intent_flushes_nothing(void **state)
{
	struct world *w = *state;
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);
	int64_t step = test_plan(j, 1);

	assert_int_equal(journal_intend(j, step, "e", false, 1, &w->err), 0);
	assert_int_equal(journal_settle(j, step, ROW_DONE, NULL, 1, &w->err), 0);
	assert_string_equal(caught.flushed, "");
	journal_close(j);
}

static void a_durable_intent_is_flushed_with_all_that_leads_to_it(void **state)
{
	struct world *w = *state;
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);
	int64_t step = test_plan(j, 2);

	assert_int_equal(journal_intend(j, step, "e", true, 1, &w->err), 0);
	all_is_flushed(j);
	caught.flushed[0] = '\0';
	assert_int_equal(journal_intend(j, step + 1, "e", true, 1, &w->err), 0);
	assert_non_null(strstr(caught.flushed, "-wal ")); /* the names last */
	journal_close(j);
}

static void a_durable_intent_in_a_transaction_is_flushed_with_it(void **state)
{
	struct world *w = *state;
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);
	int64_t step = test_plan(j, 1);

	assert_int_equal(journal_begin(j, &w->err), 0);
	assert_int_equal(journal_intend(j, step, "e", true, 1, &w->err), 0);
	assert_string_equal(caught.flushed, "");
	assert_int_equal(journal_commit(j, &w->err), 0);
	all_is_flushed(j);
	journal_close(j);
}

/* Who holds only a name that is gone holds nothing: the next one would have it, too. */
static void what_the_name_names_is_taken(struct world *w)
{
	struct task_key key = test_key("c1");
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);
	char lock[PATH_MAX];
	pid_t who = 0;

	journal_close(j);
	snprintf(lock, sizeof(lock), "%s/lock/%s/default/c1", w->p.run, key.daemon);
	assert_int_equal(access(lock, F_OK), 0);
	snprintf(caught.replace, sizeof(caught.replace), "%s", lock);
	j = test_open(&w->p, "c1", JOURNAL_OWN);
	assert_string_equal(caught.replace, "");
	assert_int_equal(journal_owner(&w->p.place, &key, &who, &w->err), 0);
	assert_int_equal(who, getpid());
	journal_close(j);
}

static void a_lock_file_that_went_away_is_not_taken(void **state)
{
	what_the_name_names_is_taken(*state);
}

static void a_lock_file_that_another_took_the_place_of_is_not_taken(void **state)
{
	caught.anew = true;
	what_the_name_names_is_taken(*state);
}

static struct journal *rescued(struct world *w)
{
	struct task_key key = test_key("c1");
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);

	test_plan(j, 1);
	journal_close(j);
	if (journal_open_rescue(&j, &w->p.place, &key, &w->err) < 0)
		fail_msg("%s", w->err.text);
	return j;
}

/* Neither live nor its litter: the next task of that name begins anew. */
static void it_is_gone(struct world *w)
{
	struct task_key key = test_key("c1");
	struct journal *j;

	assert_int_equal(test_count(&w->p, JOURNAL_LIVE), 0);
	assert_false(journal_has_lock(&w->p.place, &key));
	j = test_open(&w->p, "c1", JOURNAL_CREATE);
	assert_int_equal(journal_lease(j), 1);
	journal_close(j);
}

/* What the disk takes of it is kept: here the original, moved. */
static void a_rescued_task_without_room_for_its_copy_leaves_its_original(void **state)
{
	struct world *w = *state;
	struct journal *j = rescued(w);

	caught.no_room = true;
	assert_int_equal(journal_finish(&j, &w->err), 0);
	assert_int_equal(test_count(&w->p, JOURNAL_DONE), 1);
	caught.no_room = false;
	it_is_gone(w);
}

/* All that it held is given back, and the disk takes nothing. */
static void a_rescued_task_ends_without_a_history(void **state)
{
	struct world *w = *state;
	struct journal *j = rescued(w);

	caught.no_room = true;
	caught.pinned = ".db";
	assert_int_equal(journal_finish(&j, &w->err), 0);
	assert_int_equal(test_count(&w->p, JOURNAL_DONE), 0);
	caught.no_room = false;
	it_is_gone(w);
}

/* An operator who put back a database alone: there is no WAL to move along. */
static void an_original_without_a_wal_is_history_too(void **state)
{
	struct world *w = *state;
	struct task_key key = test_key("c1");
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);
	char wal[PATH_MAX];

	assert_int_equal(journal_fold(j, &w->err), 0);
	journal_close(j);
	test_live_path(&w->p, "c1", "-wal", wal);
	assert_int_equal(unlink(wal), 0);
	assert_int_equal(journal_open_rescue(&j, &w->p.place, &key, &w->err), 0);
	caught.no_room = true;
	assert_int_equal(journal_finish(&j, &w->err), 0);
	assert_int_equal(test_count(&w->p, JOURNAL_DONE), 1);
	caught.no_room = false;
	it_is_gone(w);
}

/* A reader in the middle of one of its looks. */
static sqlite3 *look(const char *file)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT * FROM task", NULL, NULL, NULL), SQLITE_OK);
	return db;
}

/* A reader is why it is not in the database. Who finished it is told, and the name is free
 * when what is left is swept. */
static void a_wal_that_can_not_be_moved_along_is_told(void **state)
{
	struct world *w = *state;
	struct task_key key = test_key("c1");
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);
	sqlite3 *reader = look(journal_file(j));

	test_plan(j, 1);
	caught.pinned = "-wal";
	assert_int_equal(journal_finish(&j, &w->err), -EXDEV);
	assert_non_null(strstr(w->err.text, ".db-wal"));
	sqlite3_close(reader);
	assert_int_equal(journal_sweep(&w->p.place, &key, &w->err), 0);
	it_is_gone(w);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_volatile_intent_flushes_nothing),
		T(a_durable_intent_is_flushed_with_all_that_leads_to_it),
		T(a_durable_intent_in_a_transaction_is_flushed_with_it),
		T(a_lock_file_that_went_away_is_not_taken),
		T(a_lock_file_that_another_took_the_place_of_is_not_taken),
		T(a_rescued_task_without_room_for_its_copy_leaves_its_original),
		T(a_rescued_task_ends_without_a_history),
		T(an_original_without_a_wal_is_history_too),
		T(a_wal_that_can_not_be_moved_along_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
