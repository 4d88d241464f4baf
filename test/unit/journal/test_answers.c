/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What SQLite answers when the system, or its own files, are not as it expects: each
 * answer has a name that tells the callers what to do.
 */
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
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A replaced call has no argument to keep this in. */
static struct {
	int pwrite; /* errno of each, 0: none */
	int fcntl, command, type, times; /* errno of the next @times such locks */
	bool starved; /* no memory */
	sqlite3_mem_methods memory;
} fault;

int fcntl(int fd, int command, ...)
{
	struct flock *l;
	va_list ap;

	va_start(ap, command);
	l = va_arg(ap, struct flock *);
	va_end(ap);
	if (fault.times && command == F_SETLK && l->l_type == fault.type) {
		fault.times--;
		errno = fault.fcntl;
		return -1;
	}
	return (int)syscall(SYS_fcntl, fd, command, l);
}

/* SQLite waits for who has a lock: ten seconds in all, of which nothing is learnt here. */
int usleep(useconds_t us)
{
	(void)us;
	return 0;
}

static ssize_t faulty_pwrite(int fd, const void *buf, size_t n, off_t at)
{
	if (!fault.pwrite)
		return pwrite(fd, buf, n, at);
	errno = fault.pwrite;
	return -1;
}

static void *starved_malloc(int n)
{
	return fault.starved ? NULL : fault.memory.xMalloc(n);
}

static void replace(const char *name, sqlite3_syscall_ptr with)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	assert_int_equal(vfs->xSetSystemCall(vfs, name, with), SQLITE_OK);
}

static void change(const struct test_world *w, const char *sql)
{
	char file[PATH_MAX];
	sqlite3 *db;

	test_live_path(&w->p, "c1", "", file);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static int count_note(void *arg, const struct note_row *row, struct err *err)
{
	(void)row;
	(void)err;
	++*(int *)arg;
	return 0;
}

static void refuse_writes(void)
{
	replace("pwrite", (sqlite3_syscall_ptr)faulty_pwrite);
	replace("pwrite64", (sqlite3_syscall_ptr)faulty_pwrite);
}

static int restore(void **state)
{
	fault.pwrite = fault.times = 0;
	fault.starved = false;
	replace(NULL, NULL);
	return test_world_end(state);
}

/* Two fill a page. */
static void add_notes(struct test_world *w, int n)
{
	char text[401];

	memset(text, 'x', 400);
	text[400] = '\0';
	for (int i = 0; i < n; i++)
		assert_int_equal(journal_note(w->j, "n", text, &w->err), 0);
}

/* ---- the system ------------------------------------------------------------------ */

static void a_disk_says_why_it_takes_nothing(void **state)
{
	static const struct {
		int says, told;
	} t[] = {
		{ EDQUOT, ENOSPC }, { ENOSPC, ENOSPC }, { EROFS, EROFS }, { EIO, EIO },
		{ ENOTCONN, EIO },
	};
	struct test_world *w = *state;
	int notes = 0;

	refuse_writes();
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		fault.pwrite = t[i].says;
		assert_int_equal(journal_note(w->j, "n", "x", &w->err), -t[i].told);
		assert_int_equal(journal_error(w->j), t[i].told);
		fault.pwrite = 0;
		assert_int_equal(journal_note(w->j, "n", "x", &w->err), 0);
	}
	assert_int_equal(journal_each_note(w->j, count_note, &notes, &w->err), 0);
	assert_int_equal(notes, sizeof(t) / sizeof(*t));
}

static void a_quota_that_is_used_up_is_a_full_disk(void **state)
{
	struct test_world *w = *state;

	refuse_writes();
	fault.pwrite = EDQUOT;
	assert_int_equal(journal_fold(w->j, &w->err), -ENOSPC);
	assert_non_null(strstr(w->err.text, "the disk is full"));
	fault.pwrite = 0;
	assert_int_equal(journal_fold(w->j, &w->err), 0);
}

/* POSIX lets fcntl(2) say either of a lock that somebody has. */
static void a_lock_of_another_is_waited_for(void **state)
{
	static const int says[] = { EAGAIN, EACCES };
	struct test_world *w = *state;

	for (size_t i = 0; i < 2; i++) {
		fault.fcntl = says[i];
		fault.type = F_WRLCK;
		fault.times = 3;
		assert_int_equal(journal_note(w->j, "n", "x", &w->err), 0);
		assert_int_equal(fault.times, 0);
		fault.times = 1000000;
		assert_int_equal(journal_note(w->j, "n", "x", &w->err), -EBUSY);
		assert_non_null(strstr(w->err.text, "another process is writing it"));
		fault.times = 0;
	}
	assert_int_equal(journal_note(w->j, "n", "x", &w->err), 0);
}

/* SQLite would not know that it still has the lock, and wait for itself. */
static void an_unlock_that_fails_is_tried_again(void **state)
{
	struct test_world *w = *state;

	fault.fcntl = EIO;
	fault.type = F_UNLCK;
	fault.times = 4;
	assert_int_equal(journal_note(w->j, "n", "x", &w->err), 0);
	assert_int_equal(fault.times, 0);
	assert_int_equal(journal_note(w->j, "n", "x", &w->err), 0);
}

static void locks_that_the_system_can_not_keep_are_told_as_a_broken_disk(void **state)
{
	struct test_world *w = *state;

	fault.fcntl = EIO;
	fault.type = F_UNLCK;
	fault.times = 1000000;
	(void)journal_note(w->j, "n", "x", &w->err);
	assert_int_equal(journal_note(w->j, "n", "x", &w->err), -EIO);
	fault.times = 0;
	w->j = journal_close(w->j);
	w->j = test_open(&w->p, "c1", JOURNAL_OWN);
	assert_int_equal(journal_note(w->j, "n", "x", &w->err), 0);
}

/* ---- its files ------------------------------------------------------------------- */

/* What a power cut leaves of a page that the WAL still has. */
static void half_a_page_that_the_wal_has_is_no_damage(void **state)
{
	struct test_world *w = *state;
	char file[PATH_MAX];
	struct stat st;
	int notes = 0;

	add_notes(w, 20);
	assert_int_equal(journal_fold(w->j, &w->err), 0);
	add_notes(w, 1);
	change(w, "UPDATE note SET text='y'");
	w->j = journal_close(w->j);
	test_live_path(&w->p, "c1", "", file);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(truncate(file, st.st_size - 512), 0);
	w->j = test_open(&w->p, "c1", JOURNAL_OWN);
	assert_int_equal(journal_each_note(w->j, count_note, &notes, &w->err), 0);
	assert_int_equal(notes, 21);
	assert_int_equal(journal_check(w->j, &w->err), 0);
}

static int name_of(void *arg, const struct task_key *key, const char *file)
{
	(void)key;
	strcpy(arg, file);
	return 0;
}

static void a_history_that_is_cut_is_damage(void **state)
{
	struct test_world *w = *state;
	struct journal *j = NULL;
	char file[PATH_MAX];
	struct stat st;

	add_notes(w, 20);
	assert_int_equal(journal_finish(&w->j, &w->err), 0);
	assert_int_equal(journal_list(&w->p.place, JOURNAL_DONE, name_of, file, &w->err), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(truncate(file, st.st_size - 512), 0);
	assert_int_equal(journal_open_file(&j, file, &w->err), -EUCLEAN);
	assert_non_null(strstr(w->err.text, "its end is cut off"));
}

static void a_wal_that_somebody_cuts_is_damage(void **state)
{
	struct test_world *w = *state;
	char wal[PATH_MAX];
	int notes = 0;

	add_notes(w, 20);
	journal_rest(w->j);
	test_live_path(&w->p, "c1", "-wal", wal);
	assert_int_equal(truncate(wal, 100), 0);
	assert_int_equal(journal_each_note(w->j, count_note, &notes, &w->err), -EUCLEAN);
	assert_int_equal(journal_error(w->j), EUCLEAN);
}

/* An owner may have done it by hand: there is no WAL that could be flushed. */
static void without_a_wal_nothing_is_called_durable(void **state)
{
	struct test_world *w = *state;
	int64_t step = test_plan(w->j, 1);

	w->j = journal_close(w->j);
	change(w, "PRAGMA journal_mode=DELETE");
	w->j = test_open(&w->p, "c1", JOURNAL_OWN);
	assert_int_equal(journal_intend(w->j, step, "e", true, 1, &w->err), -EIO);
	assert_non_null(strstr(w->err.text, "no file is open"));
	fault.pwrite = EIO;
	refuse_writes();
	assert_int_equal(journal_note(w->j, "n", "x", &w->err), -EIO);
	fault.pwrite = 0;
	assert_int_equal(journal_note(w->j, "n", "x", &w->err), 0);
}

/* ---- memory ---------------------------------------------------------------------- */

static void without_memory_for_sqlite_itself_nothing_is_opened(void **state)
{
	struct test_world *w = *state;
	struct task_key key = test_key("c1");
	sqlite3_mem_methods m;
	struct journal *j = NULL;

	w->j = journal_close(w->j);
	assert_int_equal(sqlite3_shutdown(), SQLITE_OK);
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &fault.memory), SQLITE_OK);
	m = fault.memory;
	m.xMalloc = starved_malloc;
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &m), SQLITE_OK);
	fault.starved = true;
	assert_int_equal(journal_open(&j, &w->p.place, &key, JOURNAL_OWN, &w->err), -ENOMEM);
	fault.starved = false;
	w->j = test_open(&w->p, "c1", JOURNAL_OWN);
	assert_int_equal(journal_note(w->j, "n", "x", &w->err), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, test_world_make, restore)
	const struct CMUnitTest tests[] = {
		T(a_disk_says_why_it_takes_nothing),
		T(a_quota_that_is_used_up_is_a_full_disk),
		T(a_lock_of_another_is_waited_for),
		T(an_unlock_that_fails_is_tried_again),
		T(locks_that_the_system_can_not_keep_are_told_as_a_broken_disk),
		T(half_a_page_that_the_wal_has_is_no_damage),
		T(a_history_that_is_cut_is_damage),
		T(a_wal_that_somebody_cuts_is_damage),
		T(without_a_wal_nothing_is_called_durable),
		T(without_memory_for_sqlite_itself_nothing_is_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
