/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Killed at the Nth crash point, for N = 1, 2, 3 ... until a whole life is reached; and
 * what comes after is killed in the same way. After each kill the promise is asked:
 *
 *   - the task is listed, or its file is finished, or it was never made;
 *   - what was answered before the kill is there, what was not begun is not;
 *   - the next owner gets in, with a higher lease, and can bring it to its end;
 *   - after that, and a prune, nothing is left in live/, lock/ and rescue/.
 *
 * Needs MODE=crash; otherwise it says so and is skipped.
 */
#include "journal/journal.h"
#include "test/lib/journal_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#ifndef URUNC_CRASH_POINTS

int main(void)
{
	printf("nothing dies at a crash point but in MODE=crash\n");
	return 77;
}

#else

#include "journal/base/crash.h"

#include <errno.h>
#include <fts.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a life told the outside before it was killed; shared with its process. */
struct told {
	int created, planned, intended, settled, undone, finished, failed;
};

struct world {
	struct test_place p;
	struct told *told;
	struct err err;
};

static int must(struct world *w, int r)
{
	if (r >= 0)
		return r;
	fprintf(stderr, "%s\n", w->err.text);
	w->told->failed = 1;
	_exit(1);
}

/* A whole life, as the engine would write it down. */
static void live(struct world *w)
{
	static const struct planned steps[] = { { "mount", "{}" }, { "runtime", "{}" } };
	struct task_key key = test_key("c1");
	struct err *e = &w->err;
	struct journal *j;
	int64_t run;

	must(w, journal_open(&j, &w->p.place, &key, JOURNAL_CREATE, e));
	w->told->created = 1;
	must(w, journal_plan(j, "create", steps, 2, 1, &run, e));
	w->told->planned = 1;
	for (int64_t s = 1; s <= 2; s++) {
		must(w, journal_intend(j, s, "e", s == 2, 1, e));
		w->told->intended = (int)s;
		must(w, journal_settle(j, s, ROW_DONE, NULL, 1, e));
		w->told->settled = (int)s;
	}
	for (int64_t s = 2; s >= 1; s--) {
		must(w, journal_settle(j, s, ROW_UNDOING, NULL, 1, e));
		must(w, journal_settle(j, s, ROW_UNDONE, NULL, 1, e));
		w->told->undone++;
	}
	must(w, journal_finish(&j, e));
	w->told->finished = 1;
}

static void own_and_finish(struct world *w)
{
	struct task_key key = test_key("c1");
	struct journal *j;
	int r = journal_open(&j, &w->p.place, &key, JOURNAL_OWN, &w->err);

	if (r == -ENOENT)
		return;
	must(w, r);
	must(w, journal_note(j, "recover", "taken up", &w->err));
	must(w, journal_finish(&j, &w->err));
}

static void rescue_and_finish(struct world *w)
{
	struct task_key key = test_key("c1");
	struct journal *j;
	int r = journal_open_rescue(&j, &w->p.place, &key, &w->err);

	if (r == -ENOENT)
		return;
	must(w, r);
	must(w, journal_note(j, "recover", "taken up", &w->err));
	must(w, journal_finish(&j, &w->err));
}

static void aside(struct world *w)
{
	struct task_key key = test_key("c1");
	char path[ERR_TEXT_MAX];
	struct journal *j;
	int r = journal_set_aside(&j, &w->p.place, &key, path, &w->err);

	if (r == -ENOENT)
		return;
	must(w, r);
	journal_close(j);
}

static void sweep(struct world *w)
{
	must(w, journal_prune(&w->p.place, 3600, 100, &w->err));
}

/* Run @what in a process that dies at its Nth point. True: it was killed. */
static bool killed(struct world *w, void (*what)(struct world *), int n)
{
	char at[16];
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		snprintf(at, sizeof(at), "%d", n);
		setenv("URUNC_CRASH_AT", at, 1);
		crash_role("test");
		what(w);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_false(w->told->failed);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGKILL);
		return true;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

/* Files, not folders, below @part of @top. */
static int files_below(const char *top, const char *part)
{
	char path[PATH_MAX];
	char *paths[] = { path, NULL };
	int n = 0;
	FTSENT *e;
	FTS *fts;

	snprintf(path, sizeof(path), "%s/%s", top, part);
	fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	while ((e = fts_read(fts)))
		n += e->fts_info == FTS_F;
	fts_close(fts);
	return n;
}

static void is_clean(struct world *w)
{
	assert_int_equal(test_count(&w->p, JOURNAL_LIVE), 0);
	assert_int_equal(files_below(w->p.root, "live"), 0);
	assert_int_equal(files_below(w->p.run, "lock"), 0);
	assert_int_equal(files_below(w->p.run, "rescue"), 0);
}

static int64_t lease_of(struct world *w)
{
	struct journal *j = test_open(&w->p, "c1", JOURNAL_READ);
	struct task_row t;
	int64_t lease;

	assert_int_equal(journal_task(j, &t, &w->err), 0);
	lease = t.lease;
	task_row_clear(&t);
	journal_close(j);
	return lease;
}

/* What was answered is written; at most the next thing is written, too. */
static void keeps_its_word(struct world *w)
{
	struct told t = *w->told;
	struct journal *j;

	if (test_count(&w->p, JOURNAL_LIVE) == 0) {
		assert_true(!t.created || t.undone == 2);
		assert_int_equal(test_count(&w->p, JOURNAL_DONE), t.undone == 2);
		return;
	}
	assert_false(t.finished);
	assert_true(lease_of(w) >= t.created);
	j = test_open(&w->p, "c1", JOURNAL_READ);
	assert_int_equal(journal_check(j, &w->err), 0);
	for (int s = 1; s <= 2 && t.planned; s++) {
		enum row_state is = test_state(j, s);

		if (t.intended >= s)
			assert_int_not_equal(is, ROW_PLANNED);
		if (t.intended < s - 1)
			assert_int_equal(is, ROW_PLANNED);
		if (t.settled >= s)
			assert_int_not_equal(is, ROW_INTENT);
		if (t.undone > 2 - s)
			assert_int_equal(is, ROW_UNDONE);
	}
	journal_close(j);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->told = mmap(NULL, sizeof(*w->told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	assert_true(w->told != MAP_FAILED);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	munmap(w->told, sizeof(*w->told));
	free(w);
	return 0;
}

static void begin(struct world *w)
{
	memset(w->told, 0, sizeof(*w->told));
	test_place_make(&w->p, NULL);
}

/* A life killed at its Nth point, then @after, killed at its Mth, then in peace. */
static int sweep_after(struct world *w, int n, void (*after)(struct world *))
{
	int m = 0;
	bool more;

	do {
		m++;
		begin(w);
		killed(w, live, n);
		keeps_its_word(w);
		more = killed(w, after, m);
		assert_true(test_count(&w->p, JOURNAL_LIVE) <= 1);
		assert_false(killed(w, own_and_finish, 0));
		assert_false(killed(w, sweep, 0));
		is_clean(w);
		test_place_remove(&w->p);
	} while (more);
	return m;
}

static void sweep_both(struct world *w, void (*after)(struct world *))
{
	int kills = 0, n = 0;
	bool more;

	do {
		n++;
		begin(w);
		more = killed(w, live, n);
		test_place_remove(&w->p);
		kills += sweep_after(w, n, after);
	} while (more);
	assert_true(n > 15);
	assert_true(kills > n);
	print_message("%d points of a life, %d pairs of kills\n", n - 1, kills);
}

static void a_killed_life_is_taken_up(void **state)
{
	sweep_both(*state, own_and_finish);
}

static void a_killed_life_is_taken_up_from_a_rescue_copy(void **state)
{
	sweep_both(*state, rescue_and_finish);
}

static void a_killed_set_aside_is_a_task_or_none(void **state)
{
	sweep_both(*state, aside);
}

static void a_name_can_be_used_again_after_any_kill(void **state)
{
	struct world *w = *state;
	bool more = true;

	for (int n = 1; more; n++) {
		begin(w);
		more = killed(w, live, n);
		assert_false(killed(w, own_and_finish, 0));
		assert_false(killed(w, live, 0));
		assert_true(w->told->finished);
		assert_false(killed(w, sweep, 0));
		is_clean(w);
		test_place_remove(&w->p);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_killed_life_is_taken_up),
		T(a_killed_life_is_taken_up_from_a_rescue_copy),
		T(a_killed_set_aside_is_a_task_or_none),
		T(a_name_can_be_used_again_after_any_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
