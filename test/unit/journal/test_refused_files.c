/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each call that the system may refuse (see test/lib/refused.h), in the lives of a task's
 * file: made, rescued, set aside, finished, swept, pruned.
 */
#include "journal/base/file.h"
#include "journal/journal.h"
#include "test/lib/refused.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

REFUSED_FLUSHES

static const struct planned steps[] = { { "mount", "{}" }, { "runtime", "{}" } };

/* What was answered is there; what was not is done. */
static int settle_both(struct world *w, struct journal *j)
{
	struct step_row row = { 0 };
	int r = 0;

	for (int s = 1; r == 0 && s <= 2; s++) {
		r = journal_step(j, s, &row, &w->err);
		if (r < 0)
			break;
		if (row.state != ROW_DONE) {
			assert_true(w->settled < s);
			if (row.state != ROW_INTENT) /* an intent whose flush was refused is one */
				r = journal_intend(j, s, "e", true, 1, &w->err);
			if (r == 0)
				r = journal_settle(j, s, ROW_DONE, NULL, 1, &w->err);
		}
		step_row_clear(&row);
		if (r == 0 && w->settled < s)
			w->settled = s;
	}
	return r;
}

/* The end of a life. After one that failed, the file may have left live/ already. */
static int end(struct world *w, struct journal *j, int r)
{
	struct task_key key = test_key("c1");

	if (r == -ENOENT && w->ending)
		return journal_sweep(&w->p.place, &key, &w->err);
	if (r < 0) {
		journal_close(j);
		return r;
	}
	w->ending = true;
	if (journal_is_rescue(j)) /* it goes first: see finish_rescue() there */
		w->settled = 1;
	return journal_finish(&j, &w->err);
}

static int a_life(struct world *w)
{
	struct journal *j = NULL;
	int64_t run;
	int r = refused_open_task(w, &j, w->planned ? JOURNAL_OWN : JOURNAL_CREATE);

	if (r == -EEXIST) /* half made, and not taken away */
		r = refused_open_task(w, &j, JOURNAL_OWN);
	if (r == 0 && !w->planned) {
		r = journal_plan(j, "create", steps, 2, 1, &run, &w->err);
		w->planned = r == 0;
	}
	if (r == 0)
		r = settle_both(w, j);
	return end(w, j, r);
}

static void make_one(struct world *w, const char *id)
{
	struct journal *j = test_open(&w->p, id, JOURNAL_CREATE);
	int64_t run;

	assert_int_equal(journal_plan(j, "create", steps, 2, 1, &run, &w->err), 0);
	assert_int_equal(journal_intend(j, 1, "e", false, 1, &w->err), 0);
	assert_int_equal(journal_settle(j, 1, ROW_DONE, NULL, 1, &w->err), 0);
	w->settled = 1;
	journal_close(j);
}

static void make(struct world *w)
{
	make_one(w, "c1");
}

static int a_rescue(struct world *w)
{
	struct task_key key = test_key("c1");
	struct journal *j = NULL;
	int r = journal_open_rescue(&j, &w->p.place, &key, &w->err);

	return end(w, j, r == 0 ? settle_both(w, j) : r);
}

/* A copy that its owner died with: it, not the original, has what was settled last. */
static void make_rescued(struct world *w)
{
	struct task_key key = test_key("c1");
	struct journal *j = NULL;

	make(w);
	assert_int_equal(journal_open_rescue(&j, &w->p.place, &key, &w->err), 0);
	assert_int_equal(settle_both(w, j), 0);
	journal_close(j);
}

static int an_own(struct world *w)
{
	struct journal *j = NULL;
	int r = refused_open_task(w, &j, JOURNAL_OWN);

	return end(w, j, r == 0 ? settle_both(w, j) : r);
}

/* Its maker died before it owned it: the file is there, and no WAL. */
static void make_unowned(struct world *w)
{
	char path[PATH_MAX];

	journal_close(test_open(&w->p, "c1", JOURNAL_CREATE));
	test_live_path(&w->p, "c1", "-wal", path);
	assert_int_equal(unlink(path), 0);
	test_live_path(&w->p, "c1", "-shm", path);
	assert_int_equal(unlink(path), 0);
}

static int a_rescue_of_nothing(struct world *w)
{
	struct task_key key = test_key("c1");
	struct journal *j = NULL;
	int r = journal_open_rescue(&j, &w->p.place, &key, &w->err);

	return end(w, j, r);
}

static void spoil(const char *path)
{
	char zeros[8192] = "";
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 0), sizeof(zeros));
	close(fd);
}

static void make_damaged(struct world *w)
{
	char path[PATH_MAX];

	make(w);
	test_live_path(&w->p, "c1", "", path);
	spoil(path);
	test_live_path(&w->p, "c1", "-wal", path);
	spoil(path);
}

static int a_setting_aside(struct world *w)
{
	struct task_key key = test_key("c1");
	char torn[ERR_TEXT_MAX] = "";
	struct journal *j = NULL;
	int r = refused_open_task(w, &j, JOURNAL_OWN);

	if (r == -EUCLEAN) {
		r = journal_set_aside(&j, &w->p.place, &key, torn, &w->err);
		assert_true(r < 0 || file_missing(torn) == false);
	}
	return end(w, j, r);
}

static void put(const char *dir, const char *name)
{
	struct err err = ERR_INIT;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (file_mkparents(path, 0700, &err) < 0 || file_replace(path, "x", 1, 0600, &err) < 0)
		fail_msg("%s", err.text);
}

/* What the task @id left in @part. */
static void put_of(struct world *w, const char *part, const char *id)
{
	struct task_key key = test_key("c1");
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s/%s/%s/%s",
		 strcmp(part, "live") == 0 || strcmp(part, "done") == 0 ? w->p.root : w->p.run,
		 part, key.daemon, key.ns);
	put(dir, id);
}

static void leave(struct world *w)
{
	put_of(w, "live", "c1.db-wal");
	put_of(w, "live", "c1.db-shm");
	put_of(w, "rescue", "c1.db");
	put_of(w, "rescue", "c1.db-wal");
	put_of(w, "lock", "c1");
}

static int a_sweep(struct world *w)
{
	struct task_key key = test_key("c1");

	return journal_sweep(&w->p.place, &key, &w->err);
}

static void make_history(struct world *w, const char *id)
{
	struct journal *j;

	make_one(w, id);
	j = test_open(&w->p, id, JOURNAL_OWN);
	assert_int_equal(journal_finish(&j, &w->err), 0);
}

static void leave_all(struct world *w)
{
	leave(w);
	put_of(w, "live", ".c2.db.new");
	put_of(w, "live", "..db.new"); /* nobody's */
	put_of(w, "rescue", ".c3.db.new");
	put_of(w, "rescue", ".c3.db-wal.new");
	put_of(w, "rescue", "c3.db-shm");
	put_of(w, "rescue", "README"); /* nobody's */
	put_of(w, "lock", "c4");
	put_of(w, "lock", "c_"); /* nobody's */
	put_of(w, "done", ".c5.1.db.new");
	put(w->p.root, "torn/.c6.db.new");
	put(w->p.run, "read.abcdef/db");
	put(w->p.run, "read.abcdef/db-wal");
	put(w->p.root, "live/lost+found/x/y");
	put_of(w, "done", "h1.1001.db");
	put_of(w, "done", "h2.1002.db");
	put_of(w, "done", "h3.1003.db");
	make_one(w, "l1"); /* has a lock, and lives */
	put_of(w, "live", ".l1.db.new");
}

#define EVER_S ((int64_t)1 << 40)

static int a_pruning(struct world *w)
{
	return journal_prune(&w->p.place, EVER_S, 2, &w->err);
}

static int spoil_done(void *arg, const struct task_key *key, const char *file)
{
	(void)arg;
	if (strcmp(key->id, "h2") == 0)
		spoil(file);
	return 0;
}

static void leave_torn(struct world *w)
{
	make_history(w, "h1");
	make_history(w, "h2");
	make_history(w, "h3");
	assert_int_equal(journal_list(&w->p.place, JOURNAL_DONE, spoil_done, NULL, &w->err), 0);
}

static int a_dropping(struct world *w)
{
	return journal_drop_torn(&w->p.place, &w->err);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		ERRAND(NULL, a_life, false),
		ERRAND(make, a_rescue, true),
		ERRAND(make_unowned, a_rescue_of_nothing, true),
		ERRAND(make_rescued, an_own, true),
		ERRAND(make_damaged, a_setting_aside, false),
		ERRAND(leave, a_sweep, false),
		ERRAND(leave_all, a_pruning, false),
		ERRAND(leave_torn, a_dropping, false),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, refused_setup, NULL);
}
