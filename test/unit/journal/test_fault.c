/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk says no at the Nth call, for N = 1, 2, 3 ... until none is refused: the
 * failure has a name and a sentence, what was answered stays written, and with a disk
 * that works again the same file goes on.
 *
 * SQLite lets a program replace the system calls it makes; here they count.
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
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* A replaced system call has no argument to keep this in. */
static struct {
	int countdown; /* fails when it reaches 0; < 0: never */
	int code;
	bool sticky;   /* and all that come after */
	int hits, opens;
} fault = { .countdown = -1 };

static bool refuse(void)
{
	if (fault.countdown < 0)
		return false;
	if (fault.countdown > 0 && --fault.countdown > 0)
		return false;
	if (!fault.sticky)
		fault.countdown = -1;
	fault.hits++;
	errno = fault.code;
	return true;
}

static ssize_t faulty_pwrite(int fd, const void *buf, size_t n, off_t at)
{
	return refuse() ? -1 : pwrite(fd, buf, n, at);
}

static int faulty_ftruncate(int fd, off_t size)
{
	return refuse() ? -1 : ftruncate(fd, size);
}

static int faulty_open(const char *path, int flags, int mode)
{
	if (!(flags & O_CREAT) || !refuse())
		return open(path, flags, mode);
	fault.opens++;
	return -1;
}

static void replace(const char *name, sqlite3_syscall_ptr with)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	assert_int_equal(vfs->xSetSystemCall(vfs, name, with), SQLITE_OK);
}

struct world {
	struct test_place p;
	struct err err;
	int planned, intended, settled;
};

/* The answer of each call; the first failure ends the life. */
static int live(struct world *w, struct journal **jp)
{
	static const struct planned steps[] = { { "mount", "{}" }, { "runtime", "{}" } };
	struct task_key key = test_key("c1");
	struct err *e = &w->err;
	struct journal *j;
	int64_t run;
	int r = journal_open(jp, &w->p.place, &key, JOURNAL_CREATE, e);

	j = *jp;
	if (r == 0)
		r = journal_plan(j, "create", steps, 2, 1, &run, e);
	w->planned = r == 0;
	for (int64_t s = 1; r == 0 && s <= 2; s++) {
		r = journal_intend(j, s, "e", false, 1, e);
		w->intended += r == 0;
		if (r == 0)
			r = journal_settle(j, s, ROW_DONE, NULL, 1, e);
		w->settled += r == 0;
	}
	return r;
}

static void keeps_its_word(struct world *w)
{
	struct task_key key = test_key("c1");
	struct journal *j = NULL;
	int r = journal_open(&j, &w->p.place, &key, JOURNAL_OWN, &w->err);

	if (r == -ENOENT) { /* a Create that was refused left nothing */
		assert_int_equal(w->planned, 0);
		journal_close(test_open(&w->p, "c1", JOURNAL_CREATE));
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(journal_check(j, &w->err), 0);
	if (!w->planned)
		test_plan(j, 2);
	for (int s = 1; s <= 2; s++) {
		enum row_state is = test_state(j, s);

		/* what failed was not written; what did not fail was */
		if (w->settled >= s)
			assert_int_equal(is, ROW_DONE);
		else if (w->intended >= s)
			assert_int_equal(is, ROW_INTENT);
		else
			assert_int_equal(is, ROW_PLANNED);
	}
	assert_int_equal(journal_finish(&j, &w->err), 0);
	assert_int_equal(test_count(&w->p, JOURNAL_LIVE), 0);
}

static void sweep(int code, bool sticky)
{
	int n = 0;

	do {
		struct world w = { .err = ERR_INIT };
		struct journal *j = NULL;
		int r;

		n++;
		test_place_make(&w.p, NULL);
		fault.countdown = n;
		fault.code = code;
		fault.sticky = sticky;
		fault.hits = fault.opens = 0;
		r = live(&w, &j);
		fault.countdown = -1;
		if (r < 0) {
			/* who was refused an open is asked why, and by then it works */
			assert_int_equal(r, fault.opens ? -EIO : -code);
			assert_true(w.err.text[0] != '\0');
		}
		journal_close(j);
		keeps_its_word(&w);
		test_place_remove(&w.p);
	} while (fault.hits);
	assert_true(n > 15);
	print_message("%d calls refused, one after the other\n", n - 1);
}

static int setup(void **state)
{
	(void)state;
	replace("pwrite", (sqlite3_syscall_ptr)faulty_pwrite);
	replace("pwrite64", (sqlite3_syscall_ptr)faulty_pwrite);
	replace("ftruncate", (sqlite3_syscall_ptr)faulty_ftruncate);
	replace("open", (sqlite3_syscall_ptr)faulty_open);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fault.countdown = -1;
	replace(NULL, NULL);
	return 0;
}

static void a_full_disk_is_enospc_and_loses_nothing(void **state)
{
	(void)state;
	sweep(ENOSPC, true);
}

static void a_disk_that_is_full_once_loses_nothing(void **state)
{
	(void)state;
	sweep(ENOSPC, false);
}

static void a_disk_that_fails_once_loses_nothing(void **state)
{
	(void)state;
	sweep(EIO, false);
}

static void a_commit_that_fails_rolls_back(void **state)
{
	struct test_place p;
	struct err err = ERR_INIT;
	struct journal *j;
	int64_t step;

	(void)state;
	test_place_make(&p, NULL);
	j = test_open(&p, "c1", JOURNAL_CREATE);
	step = test_plan(j, 1);
	assert_int_equal(journal_begin(j, &err), 0);
	assert_int_equal(journal_intend(j, step, "e", false, 1, &err), 0);
	fault.code = ENOSPC;
	fault.sticky = false;
	fault.countdown = 1;
	assert_int_equal(journal_commit(j, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "the disk is full"));
	assert_int_equal(journal_error(j), ENOSPC);
	assert_int_equal(test_state(j, step), ROW_PLANNED);
	assert_int_equal(journal_intend(j, step, "e", false, 1, &err), 0);
	journal_close(j);
	test_place_remove(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_full_disk_is_enospc_and_loses_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_disk_that_is_full_once_loses_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_disk_that_fails_once_loses_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_commit_that_fails_rolls_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
