/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each call that the system may refuse (see test/lib/refused.h), while rows are written and
 * read: an answer that all was read is right.
 */
#include "journal/journal.h"
#include "test/lib/refused.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

REFUSED_FLUSHES

/* Notes that don't fit into a page, so that reading them wants memory: one of each length
 * up to what malloc(3) rounds up to. */
#define LONG 16

static const struct planned steps[] = { { "mount", "{}" }, { "runtime", "{}" } };

struct seen {
	int runs, steps, notes, children, live, done;
};

static int see_run(void *arg, const struct run_row *row, struct err *err)
{
	(void)row;
	(void)err;
	((struct seen *)arg)->runs++;
	return 0;
}

static int see_step(void *arg, const struct step_row *row, struct err *err)
{
	(void)row;
	(void)err;
	((struct seen *)arg)->steps++;
	return 0;
}

static int see_note(void *arg, const struct note_row *row, struct err *err)
{
	(void)row;
	(void)err;
	((struct seen *)arg)->notes++;
	return 0;
}

static int see_child(void *arg, const struct child_row *row, struct err *err)
{
	(void)row;
	(void)err;
	((struct seen *)arg)->children++;
	return 0;
}

static int see_live(void *arg, const struct task_key *key, const char *file)
{
	(void)key;
	(void)file;
	((struct seen *)arg)->live++;
	return 0;
}

/* The one file in done/; its name is @arg's. */
static int see_done(void *arg, const struct task_key *key, const char *file)
{
	(void)key;
	snprintf(arg, PATH_MAX, "%s", file);
	return 0;
}

/* All of a task that make_told() made. An answer that all was read is right. */
static int read_all(struct world *w, struct journal *j)
{
	struct event_row event = { 0 };
	struct task_row task = { 0 };
	struct seen seen = { 0 };
	int r;

	journal_hold(j);
	r = journal_task(j, &task, &w->err);
	if (r == 0)
		r = journal_each_run(j, OLDEST_FIRST, see_run, &seen, &w->err);
	if (r == 0)
		r = journal_each_step(j, 0, NEWEST_FIRST, see_step, &seen, &w->err);
	if (r == 0)
		r = journal_each_note(j, see_note, &seen, &w->err);
	if (r == 0)
		r = journal_each_child(j, false, see_child, &seen, &w->err);
	if (r == 0)
		r = journal_untold(j, &event, &w->err);
	journal_let(j);
	if (r >= 0) {
		assert_string_equal(task.address, "/a");
		assert_int_equal(r, 1);
		assert_string_equal(event.topic, "/t");
		assert_int_equal(seen.runs, 1);
		assert_int_equal(seen.steps, 2);
		assert_int_equal(seen.children, 1);
		assert_int_equal(seen.notes, 1 + LONG);
		r = journal_check(j, &w->err);
	}
	task_row_clear(&task);
	event_row_clear(&event);
	return r;
}

/* Each kind of row, and what can be written into the task's. */
static int write_all(struct world *w, struct journal *j)
{
	const struct ident ident = { 7, 8 };
	int64_t run, child;
	int r = journal_set_text(j, TASK_ADDRESS, "/a", &w->err);

	if (r == 0)
		r = journal_set_bundle(j, "/b", 1, 2, &w->err);
	if (r == 0)
		r = journal_set_shim(j, &ident, &w->err);
	if (r == 0)
		r = journal_set_init(j, &ident, &w->err);
	if (r == 0)
		r = journal_set_exit(j, EXIT_REAPED, 3, 4, &w->err);
	if (r >= 0)
		r = journal_plan(j, "p", NULL, 0, 1, &run, &w->err);
	if (r == 0)
		r = journal_close_run(j, run, RUN_FAILED_ROW, "no", 1, &w->err);
	if (r == 0)
		r = journal_plan(j, "q", steps, 1, 1, &run, &w->err);
	if (r == 0)
		r = journal_plan_more(j, run, steps + 1, 1, &w->err);
	if (r == 0)
		r = journal_drop_run(j, run - 1, &w->err);
	if (r == 0)
		r = journal_have(j, 1, "{}", &w->err);
	if (r == 0)
		r = journal_child(j, 1, &ident, "runc", "e", 1, 0, &child, &w->err);
	if (r == 0)
		r = journal_child_ended(j, child, 0, &w->err);
	if (r == 0)
		r = journal_tell(j, "/t", "T", "x", 1, 5, &w->err);
	if (r == 0)
		r = journal_note(j, "what", "text", &w->err);
	return r;
}

static int note_long(struct world *w, struct journal *j)
{
	char text[3000 + LONG + 1] = "";
	int r = 0;

	memset(text, 'x', 3000);
	for (size_t i = 0; r == 0 && i < LONG; i++) {
		text[3000 + i] = 'x';
		r = journal_note(j, "long", text, &w->err);
	}
	return r;
}

static void make_told(struct world *w)
{
	struct journal *j = test_open(&w->p, "h1", JOURNAL_CREATE);

	assert_int_equal(journal_finish(&j, &w->err), 0);
	j = test_open(&w->p, "c1", JOURNAL_CREATE);
	if (write_all(w, j) < 0 || note_long(w, j) < 0)
		fail_msg("%s", w->err.text);
	journal_close(j);
}

/* All or nothing: a transaction that could not be ended was not begun. */
static int a_writing(struct world *w)
{
	struct journal *j = NULL;
	int r = refused_open_task(w, &j, JOURNAL_OWN);

	if (r == 0)
		r = journal_begin(j, &w->err);
	if (r == 0) {
		r = write_all(w, j);
		if (r == 0)
			r = journal_intend(j, 1, "e", true, 1, &w->err);
		if (r == 0)
			r = journal_told(j, 1, &w->err);
		if (r == 0)
			r = journal_close_outbox(j, &w->err);
		journal_rollback(j);
	}
	if (r == 0)
		r = journal_fold(j, &w->err);
	journal_close(j);
	return r;
}

static void make_empty(struct world *w)
{
	journal_close(test_open(&w->p, "c1", JOURNAL_CREATE));
}

static int a_reading(struct world *w)
{
	struct task_key key = test_key("c1");
	char done[PATH_MAX] = "";
	struct seen seen = { 0 };
	struct journal *j = NULL;
	pid_t who = -1;
	int r = journal_list(&w->p.place, JOURNAL_LIVE, see_live, &seen, &w->err);

	assert_true(r < 0 || seen.live == 1);
	if (r == 0)
		r = journal_owner(&w->p.place, &key, &who, &w->err);
	assert_true(r < 0 || who == 0);
	assert_true(journal_has_lock(&w->p.place, &key));
	if (r == 0)
		r = refused_open_task(w, &j, JOURNAL_READ);
	if (r == 0)
		r = read_all(w, j);
	j = journal_close(j);
	if (r == 0)
		r = journal_list(&w->p.place, JOURNAL_DONE, see_done, done, &w->err);
	assert_true(r < 0 || *done);
	if (r == 0)
		r = journal_open_file(&j, done, &w->err);
	journal_close(j);
	return r;
}

/* As it was brought here: without the shared memory that reading a WAL needs. */
static void make_brought(struct world *w)
{
	char path[PATH_MAX];

	make_told(w);
	test_live_path(&w->p, "c1", "-shm", path);
	assert_int_equal(unlink(path), 0);
}

static int a_reading_where_nothing_is_written(struct world *w)
{
	struct journal *j = NULL;
	int r;

	refused_readonly(w->p.root);
	r = refused_open_task(w, &j, JOURNAL_READ);
	if (r == 0)
		r = read_all(w, j);
	journal_close(j);
	refused_readonly(NULL);
	return r;
}

static int a_reading_of_a_copy(struct world *w)
{
	return a_reading_where_nothing_is_written(w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		ERRAND(make_empty, a_writing, false),
		ERRAND(make_told, a_reading, false),
		ERRAND(make_told, a_reading_where_nothing_is_written, false),
		ERRAND(make_brought, a_reading_of_a_copy, false),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, refused_setup, NULL);
}
