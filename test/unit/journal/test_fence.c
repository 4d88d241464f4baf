/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several processes and one task: who owns it, who is fenced off, who may look. Each
 * process is a fork that opens for itself (J4) and is told what to do over a pipe.
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
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct world {
	struct test_place p;
	struct err err;
	pid_t pid;
	int fd; /* to the other process */
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	test_place_make(&w->p, NULL);
	w->fd = -1;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	if (w->pid > 0) {
		kill(w->pid, SIGKILL);
		waitpid(w->pid, NULL, 0);
		close(w->fd);
	}
	test_place_remove(&w->p);
	free(w);
	return 0;
}

/* The other process: one letter is one thing to do, the answer is what came of it. */
static void other(struct world *w, int fd)
{
	struct task_key key = test_key("c1");
	struct journal *j = NULL;
	char what;
	int r;

	while (read(fd, &what, 1) == 1) {
		r = 0;
		if (what == 'c')
			r = journal_open(&j, &w->p.place, &key, JOURNAL_CREATE, &w->err);
		else if (what == 'o')
			r = journal_open(&j, &w->p.place, &key, JOURNAL_OWN, &w->err);
		else if (what == 'b')
			r = journal_begin(j, &w->err);
		else if (what == 'n')
			r = journal_note(j, "other", "wrote", &w->err);
		else if (what == 'm')
			r = journal_commit(j, &w->err);
		else if (what == 'x')
			j = journal_close(j);
		if (write(fd, &r, sizeof(r)) != sizeof(r))
			break;
	}
	_exit(0);
}

static void start(struct world *w)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	w->pid = fork();
	assert_true(w->pid >= 0);
	if (w->pid == 0) {
		close(sv[0]);
		other(w, sv[1]);
	}
	close(sv[1]);
	w->fd = sv[0];
}

static int tell(struct world *w, char what)
{
	int r = -1;

	assert_int_equal(write(w->fd, &what, 1), 1);
	assert_int_equal(read(w->fd, &r, sizeof(r)), sizeof(r));
	return r;
}

static void end(struct world *w)
{
	kill(w->pid, SIGKILL);
	assert_int_equal(waitpid(w->pid, NULL, 0), w->pid);
	close(w->fd);
	w->pid = 0;
}

static int try_own(struct world *w, struct journal **j)
{
	struct task_key key = test_key("c1");

	return journal_open(j, &w->p.place, &key, JOURNAL_OWN, &w->err);
}

static pid_t owner(struct world *w)
{
	struct task_key key = test_key("c1");
	pid_t pid = -2;

	assert_int_equal(journal_owner(&w->p.place, &key, &pid, &w->err), 0);
	return pid;
}

static void lose_lock_file(struct world *w)
{
	struct task_key key = test_key("c1");
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/lock/%s/%s/%s", w->p.run, key.daemon, key.ns, key.id);
	assert_int_equal(unlink(path), 0);
}

static void one_process_owns_a_task(void **state)
{
	struct world *w = *state;
	struct journal *j = NULL;
	char pid[32];

	assert_int_equal(owner(w), 0);
	start(w);
	assert_int_equal(tell(w, 'c'), 0);
	assert_int_equal(owner(w), w->pid);
	assert_int_equal(try_own(w, &j), -EAGAIN);
	snprintf(pid, sizeof(pid), "process %d,", (int)w->pid);
	assert_non_null(strstr(w->err.text, pid));
	assert_int_equal(tell(w, 'x'), 0);
	assert_int_equal(owner(w), 0);
	assert_int_equal(try_own(w, &j), 0);
	assert_int_equal(tell(w, 'o'), -EAGAIN);
	assert_int_equal(owner(w), getpid());
	journal_close(j);
}

static void death_releases_a_task(void **state)
{
	struct world *w = *state;
	struct journal *j = NULL;

	start(w);
	assert_int_equal(tell(w, 'c'), 0);
	end(w);
	assert_int_equal(owner(w), 0);
	assert_int_equal(try_own(w, &j), 0);
	assert_int_equal(journal_lease(j), 2);
	journal_close(j);
}

/* Asking must not release: the lock of a process goes with any descriptor it closes. */
static void a_process_does_not_own_twice_and_asking_keeps_the_lock(void **state)
{
	struct world *w = *state;
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);
	struct journal *again = NULL;

	start(w);
	assert_int_equal(try_own(w, &again), -EAGAIN);
	assert_non_null(strstr(w->err.text, "this very process"));
	assert_int_equal(owner(w), getpid());
	assert_int_equal(journal_prune(&w->p.place, 1, 1, &w->err), 0);
	assert_int_equal(tell(w, 'o'), -EAGAIN);
	assert_int_equal(journal_note(j, "still", "mine", &w->err), 0);
	journal_close(j);
}

static void a_forked_child_does_not_inherit_the_task(void **state)
{
	struct world *w = *state;
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		pid_t who = owner(w);

		journal_forget(j);
		_exit(who == getppid() && owner(w) == getppid() ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	start(w);
	assert_int_equal(tell(w, 'o'), -EAGAIN);
	assert_int_equal(journal_note(j, "still", "mine", &w->err), 0);
	journal_close(j);
}

/* Every kind of write, by an owner that was fenced off. */
static void try_all_writes(struct world *w, struct journal *j, int64_t step, int64_t child)
{
	const struct ident who = { .pid = 1, .start = 2 };
	const struct planned p = { "kind", "{}" };
	int64_t seq = 0;
	struct err *e = &w->err;

	for (int i = 0; i < TASK_TEXT_N; i++)
		assert_int_equal(journal_set_text(j, (enum task_text)i, "x", e), -ESTALE);
	assert_int_equal(journal_set_bundle(j, "/b", 1, 2, e), -ESTALE);
	assert_int_equal(journal_set_shim(j, &who, e), -ESTALE);
	assert_int_equal(journal_set_init(j, &who, e), -ESTALE);
	assert_int_equal(journal_set_exit(j, EXIT_KILLED, 137, 1, e), -ESTALE);
	assert_int_equal(journal_move(j, "new", "x", "E", e), -ESTALE);
	assert_int_equal(journal_plan(j, "create", &p, 1, 1, &seq, e), -ESTALE);
	assert_int_equal(journal_close_run(j, 1, RUN_DONE_ROW, "", 1, e), -ESTALE);
	assert_int_equal(journal_intend(j, step, "e", false, 1, e), -ESTALE);
	assert_int_equal(journal_have(j, step, "{}", e), -ESTALE);
	assert_int_equal(journal_settle(j, step, ROW_SKIPPED, NULL, 1, e), -ESTALE);
	assert_int_equal(journal_child(j, step, &who, "x", "e", 1, 0, &seq, e), -ESTALE);
	assert_int_equal(journal_child_ended(j, child, 0, e), -ESTALE);
	assert_int_equal(journal_tell(j, "t", "y", "d", 1, 1, e), -ESTALE);
	assert_int_equal(journal_told(j, 1, e), -ESTALE);
	assert_int_equal(journal_close_outbox(j, e), -ESTALE);
	assert_int_equal(journal_note(j, "a", "b", e), -ESTALE);
	assert_int_equal(journal_error(j), ESTALE);
}

static void a_former_owner_changes_nothing(void **state)
{
	struct world *w = *state;
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);
	const struct ident who = { .pid = 7, .start = 8 };
	struct task_row t;
	int64_t step = test_plan(j, 1);
	int64_t child;

	assert_int_equal(journal_child(j, 0, &who, "x", "e", 1, 0, &child, &w->err), 0);
	assert_int_equal(journal_tell(j, "t", "y", "d", 1, 1, &w->err), 0);
	lose_lock_file(w); /* by whoever cleans /run: then only the lease is left */
	start(w);
	assert_int_equal(tell(w, 'o'), 0);
	try_all_writes(w, j, step, child);
	assert_non_null(strstr(w->err.text, "(lease 2, ours was 1)"));
	assert_int_equal(journal_task(j, &t, &w->err), 0);
	assert_string_equal(t.state, "new");
	assert_string_equal(t.bundle, "");
	task_row_clear(&t);
	assert_int_equal(test_state(j, step), ROW_PLANNED);
	assert_int_equal(journal_finish(&j, &w->err), -ESTALE);
	assert_int_equal(tell(w, 'n'), 0);
}

static void a_former_owner_is_stopped_within_a_transaction(void **state)
{
	struct world *w = *state;
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);

	lose_lock_file(w);
	start(w);
	assert_int_equal(tell(w, 'o'), 0);
	assert_int_equal(journal_begin(j, &w->err), 0);
	assert_int_equal(journal_note(j, "a", "b", &w->err), -ESTALE);
	journal_rollback(j);
	journal_close(j);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void a_writer_in_the_way_is_busy_after_fifty_milliseconds(void **state)
{
	struct world *w = *state;
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);
	sqlite3 *db;
	char path[PATH_MAX];
	int64_t t;

	test_live_path(&w->p, "c1", "", path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	t = now_ms();
	assert_int_equal(journal_note(j, "a", "b", &w->err), -EBUSY);
	t = now_ms() - t;
	assert_in_range(t, JOURNAL_BUSY_MS - 5, 1000);
	assert_non_null(strstr(w->err.text, "try again"));
	assert_int_equal(journal_begin(j, &w->err), -EBUSY);
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(journal_note(j, "a", "b", &w->err), 0);
	sqlite3_close(db);
	journal_close(j);
}

static int count(void *arg, const struct note_row *row, struct err *err)
{
	(void)row;
	(void)err;
	(*(int *)arg)++;
	return 0;
}

static int notes(struct world *w, struct journal *j)
{
	int n = 0;

	assert_int_equal(journal_each_note(j, count, &n, &w->err), 0);
	return n;
}

static void readers_see_what_is_committed_beside_a_writer(void **state)
{
	struct world *w = *state;
	struct journal *j;

	start(w);
	assert_int_equal(tell(w, 'c'), 0);
	j = test_open(&w->p, "c1", JOURNAL_READ);
	assert_int_equal(notes(w, j), 0);
	assert_int_equal(tell(w, 'n'), 0);
	assert_int_equal(notes(w, j), 1);
	assert_int_equal(tell(w, 'b'), 0);
	assert_int_equal(tell(w, 'n'), 0);
	assert_int_equal(notes(w, j), 1);
	assert_int_equal(tell(w, 'm'), 0);
	assert_int_equal(notes(w, j), 2);
	journal_close(j);
	assert_int_equal(tell(w, 'n'), 0);
}

/* One state is read while holding; what others write meanwhile is in the way until then. */
static void a_held_state_stays_and_a_former_owner_learns_it_after(void **state)
{
	struct world *w = *state;
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);

	assert_int_equal(journal_note(j, "a", "b", &w->err), 0);
	journal_hold(j);
	assert_int_equal(notes(w, j), 1);
	journal_hold(j);
	assert_int_equal(journal_note(j, "a", "own writes are seen", &w->err), 0);
	journal_let(j);
	assert_int_equal(notes(w, j), 2);
	lose_lock_file(w);
	start(w);
	assert_int_equal(tell(w, 'o'), 0);
	assert_int_equal(tell(w, 'n'), 0);
	assert_int_equal(notes(w, j), 2);
	assert_int_equal(journal_note(j, "a", "b", &w->err), -EBUSY);
	journal_let(j);
	assert_int_equal(notes(w, j), 3);
	assert_int_equal(journal_note(j, "a", "b", &w->err), -ESTALE);
	journal_close(j);
}

static void who_only_locks_writes_nothing_until_it_claims(void **state)
{
	struct world *w = *state;
	struct journal *j = test_open(&w->p, "c1", JOURNAL_CREATE);
	struct task_row t;

	journal_close(j);
	j = test_open(&w->p, "c1", JOURNAL_LOCK);
	start(w);
	assert_int_equal(tell(w, 'o'), -EAGAIN);
	assert_int_equal(journal_note(j, "a", "b", &w->err), -ESTALE);
	assert_int_equal(journal_task(j, &t, &w->err), 0);
	assert_int_equal(t.lease, 1);
	task_row_clear(&t);
	assert_int_equal(journal_claim(j, &w->err), 0);
	assert_int_equal(journal_lease(j), 2);
	assert_int_equal(journal_note(j, "a", "b", &w->err), 0);
	journal_close(j);
}

/* J5. A checkpoint would empty the WAL or write the database. */
static void a_reader_that_is_last_changes_no_file(void **state)
{
	struct world *w = *state;
	char path[PATH_MAX], wal[PATH_MAX], *before, *after, *wal_before, *wal_after;
	size_t n, m, wn, wm;
	struct journal *j;

	start(w);
	assert_int_equal(tell(w, 'c'), 0);
	assert_int_equal(tell(w, 'n'), 0);
	end(w);
	test_live_path(&w->p, "c1", "", path);
	test_live_path(&w->p, "c1", "-wal", wal);
	before = test_read(path, &n);
	wal_before = test_read(wal, &wn);
	j = test_open(&w->p, "c1", JOURNAL_READ);
	assert_int_equal(notes(w, j), 1);
	journal_close(j);
	after = test_read(path, &m);
	wal_after = test_read(wal, &wm);
	assert_true(n == m && !memcmp(before, after, n));
	assert_true(wn == wm && !memcmp(wal_before, wal_after, wn));
	free(before);
	free(after);
	free(wal_before);
	free(wal_after);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(one_process_owns_a_task),
		T(death_releases_a_task),
		T(a_process_does_not_own_twice_and_asking_keeps_the_lock),
		T(a_forked_child_does_not_inherit_the_task),
		T(a_former_owner_changes_nothing),
		T(a_former_owner_is_stopped_within_a_transaction),
		T(a_writer_in_the_way_is_busy_after_fifty_milliseconds),
		T(readers_see_what_is_committed_beside_a_writer),
		T(a_held_state_stays_and_a_former_owner_learns_it_after),
		T(who_only_locks_writes_nothing_until_it_claims),
		T(a_reader_that_is_last_changes_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
