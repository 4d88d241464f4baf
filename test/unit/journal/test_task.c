/* SPDX-License-Identifier: Apache-2.0 */
/* The task's row, its children, what must be told, and the notes. */
#include "journal/journal.h"
#include "test/lib/journal_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

static void read_task(struct test_world *w, struct task_row *ret)
{
	if (journal_task(w->j, ret, &w->err) < 0)
		fail_msg("%s", w->err.text);
}

static void a_new_task_is_new_and_empty(void **state)
{
	struct test_world *w = *state;
	struct task_row t;

	read_task(w, &t);
	assert_string_equal(t.key.id, "c1");
	assert_string_equal(t.key.ns, "default");
	assert_string_equal(t.state, "new");
	assert_string_equal(t.bundle, "");
	assert_string_equal(t.error, "");
	assert_int_equal(t.exit_how, EXIT_NONE_);
	assert_int_equal(t.lease, 1);
	assert_true(t.created_ms > 0);
	assert_int_equal(t.created_ms, t.changed_ms);
	task_row_clear(&t);
	assert_null(t.state);
}

static void every_text_is_read_back_where_it_was_written(void **state)
{
	struct test_world *w = *state;
	struct task_row t;
	char text[32];

	for (int i = 0; i < TASK_TEXT_N; i++) {
		snprintf(text, sizeof(text), "text %d", i);
		assert_int_equal(journal_set_text(w->j, (enum task_text)i, text, &w->err), 0);
	}
	read_task(w, &t);
	assert_string_equal(t.address, "text 0");
	assert_string_equal(t.ttrpc_address, "text 1");
	assert_string_equal(t.epoch, "text 2");
	assert_string_equal(t.bundle, "text 3");
	assert_string_equal(t.group, "text 4");
	assert_string_equal(t.socket, "text 5");
	assert_string_equal(t.runtime, "text 6");
	assert_string_equal(t.runtime_root, "text 7");
	assert_string_equal(t.request, "text 8");
	assert_string_equal(t.error, "text 9");
	task_row_clear(&t);
}

static void identities_keep_all_their_bits(void **state)
{
	struct test_world *w = *state;
	const struct ident shim = { .pid = 4194304, .start = UINT64_MAX };
	const struct ident init = { .pid = 1, .start = 0 };
	struct task_row t;

	assert_int_equal(journal_set_shim(w->j, &shim, &w->err), 0);
	assert_int_equal(journal_set_init(w->j, &init, &w->err), 0);
	assert_int_equal(journal_set_bundle(w->j, "/b", UINT64_MAX, 1ull << 63, &w->err), 0);
	read_task(w, &t);
	assert_memory_equal(&t.shim, &shim, sizeof(shim.pid));
	assert_true(t.shim.start == UINT64_MAX);
	assert_int_equal(t.init.pid, 1);
	assert_string_equal(t.bundle, "/b");
	assert_true(t.bundle_dev == UINT64_MAX && t.bundle_ino == 1ull << 63);
	task_row_clear(&t);
}

static void the_first_exit_wins(void **state)
{
	struct test_world *w = *state;
	struct task_row t;

	assert_int_equal(journal_set_exit(w->j, EXIT_NONE_, 0, 0, &w->err), -EINVAL);
	assert_int_equal(journal_set_exit(w->j, EXIT_REAPED, 3, 77, &w->err), 0);
	assert_int_equal(journal_set_exit(w->j, EXIT_KILLED, 137, 88, &w->err), 1);
	read_task(w, &t);
	assert_int_equal(t.exit_how, EXIT_REAPED);
	assert_int_equal(t.exit_status, 3);
	assert_int_equal(t.exit_at_ns, 77);
	task_row_clear(&t);
}

struct notes {
	int n;
	char last[128];
};

static int see_note(void *arg, const struct note_row *row, struct err *err)
{
	struct notes *n = arg;

	(void)err;
	assert_int_equal(row->seq, ++n->n);
	assert_int_equal(row->lease, 1);
	assert_true(row->at_ms > 0);
	snprintf(n->last, sizeof(n->last), "%s: %s", row->what, row->text);
	return 0;
}

static void a_move_is_compared_and_noted(void **state)
{
	struct test_world *w = *state;
	struct notes n = { .n = 0 };
	struct task_row t;

	assert_int_equal(journal_move(w->j, "new", "creating", "CREATE", &w->err), 0);
	assert_int_equal(journal_move(w->j, "new", "running", "START", &w->err), -EPROTO);
	assert_non_null(strstr(w->err.text, "it is creating, so it can't go from new to running"));
	read_task(w, &t);
	assert_string_equal(t.state, "creating");
	task_row_clear(&t);
	assert_int_equal(journal_each_note(w->j, see_note, &n, &w->err), 0);
	assert_int_equal(n.n, 1);
	assert_string_equal(n.last, "CREATE: new -> creating");
}

static void notes_come_in_the_order_they_were_written(void **state)
{
	struct test_world *w = *state;
	struct notes n = { .n = 0 };
	char text[32];

	for (int i = 1; i <= 20; i++) {
		snprintf(text, sizeof(text), "%d", i);
		assert_int_equal(journal_note(w->j, "n", text, &w->err), 0);
	}
	assert_int_equal(journal_each_note(w->j, see_note, &n, &w->err), 0);
	assert_int_equal(n.n, 20);
	assert_string_equal(n.last, "n: 20");
}

static void events_are_told_in_order_and_once(void **state)
{
	struct test_world *w = *state;
	struct event_row e;
	int64_t seq;

	assert_int_equal(journal_untold(w->j, &e, &w->err), 0);
	journal_tell(w->j, "/tasks/create", "T1", "\0\1\2", 3, 5, &w->err);
	journal_tell(w->j, "/tasks/start", "T2", NULL, 0, 6, &w->err);
	assert_int_equal(journal_untold(w->j, &e, &w->err), 1);
	assert_string_equal(e.topic, "/tasks/create");
	assert_string_equal(e.type, "T1");
	assert_int_equal(e.len, 3);
	assert_memory_equal(e.data, "\0\1\2", 3);
	assert_int_equal(e.at_ns, 5);
	seq = e.seq;
	event_row_clear(&e);
	assert_int_equal(journal_told(w->j, seq, &w->err), 0);
	assert_int_equal(journal_told(w->j, seq, &w->err), 0);
	assert_int_equal(journal_untold(w->j, &e, &w->err), 1);
	assert_string_equal(e.topic, "/tasks/start");
	assert_int_equal(e.len, 0);
	assert_int_equal(journal_told(w->j, e.seq, &w->err), 0);
	seq = e.seq;
	event_row_clear(&e);
	journal_tell(w->j, "/tasks/exit", "T3", "x", 1, 7, &w->err);
	assert_int_equal(journal_untold(w->j, &e, &w->err), 1);
	assert_true(e.seq > seq); /* never reused */
	event_row_clear(&e);
}

static void a_closed_outbox_has_nothing_to_tell(void **state)
{
	struct test_world *w = *state;
	struct event_row e;

	assert_int_equal(journal_close_outbox(w->j, &w->err), 0);
	journal_tell(w->j, "/tasks/exit", "T", "x", 1, 5, &w->err);
	journal_tell(w->j, "/tasks/delete", "T", "x", 1, 5, &w->err);
	assert_int_equal(journal_close_outbox(w->j, &w->err), 0);
	assert_int_equal(journal_untold(w->j, &e, &w->err), 0);
}

static int count_child(void *arg, const struct child_row *row, struct err *err)
{
	(void)err;
	(void)row;
	(*(int *)arg)++;
	return 0;
}

static int see_child(void *arg, const struct child_row *row, struct err *err)
{
	(void)err;
	(void)arg;
	assert_int_equal(row->step, 3);
	assert_int_equal(row->ident.pid, 42);
	assert_true(row->ident.start == 4242);
	assert_string_equal(row->what, "runc create");
	assert_string_equal(row->epoch, "boot 1 2");
	assert_int_equal(row->since_ms, 10);
	assert_int_equal(row->deadline_ms, 20);
	assert_true(row->ended);
	assert_int_equal(row->status, 256);
	return 9;
}

static void a_child_is_living_until_it_ended(void **state)
{
	struct test_world *w = *state;
	const struct ident who = { .pid = 42, .start = 4242 };
	int64_t seq = 0;
	int n = 0;

	assert_int_equal(journal_child(w->j, 3, &who, "runc create", "boot 1 2", 10, 20, &seq,
				       &w->err), 0);
	journal_each_child(w->j, true, count_child, &n, &w->err);
	assert_int_equal(n, 1);
	assert_int_equal(journal_child_ended(w->j, seq, 256, &w->err), 0);
	journal_each_child(w->j, true, count_child, &n, &w->err);
	assert_int_equal(n, 1);
	assert_int_equal(journal_each_child(w->j, false, see_child, NULL, &w->err), 9);
	assert_int_equal(journal_child_ended(w->j, 99, 0, &w->err), -ENOENT);
}

static void of_ended_children_the_last_are_kept_and_of_living_all(void **state)
{
	struct test_world *w = *state;
	const struct ident who = { .pid = 42, .start = 4242 };
	int64_t seq = 0;
	int all = 0, living = 0;

	for (int i = 0; i < 1000; i++) {
		assert_int_equal(journal_child(w->j, 0, &who, "exec", "e", 0, 0, &seq, &w->err), 0);
		if (i % 100)
			assert_int_equal(journal_child_ended(w->j, seq, 0, &w->err), 0);
	}
	journal_each_child(w->j, false, count_child, &all, &w->err);
	journal_each_child(w->j, true, count_child, &living, &w->err);
	assert_int_equal(living, 10);
	assert_true(all >= 256 && all < 256 + 64 + 10);
	assert_int_equal(seq, 1000);
}

static void rest_loses_nothing(void **state)
{
	struct test_world *w = *state;
	struct task_row t;

	journal_set_text(w->j, TASK_BUNDLE, "/b", &w->err);
	journal_rest(w->j);
	read_task(w, &t);
	assert_string_equal(t.bundle, "/b");
	task_row_clear(&t);
}

static void a_text_that_is_too_long_is_refused(void **state)
{
	struct test_world *w = *state;
	char *big = malloc(JOURNAL_TEXT_MAX + 2);
	const struct ident who = { .pid = 42, .start = 4242 };
	int64_t seq = 0;

	memset(big, 'x', JOURNAL_TEXT_MAX + 1);
	big[JOURNAL_TEXT_MAX + 1] = '\0';
	assert_int_equal(journal_set_text(w->j, TASK_REQUEST, big, &w->err), -E2BIG);
	assert_int_equal(journal_note(w->j, "a", big, &w->err), -E2BIG);
	assert_int_equal(journal_child(w->j, 0, &who, big, "e", 0, 0, &seq, &w->err), -E2BIG);
	assert_int_equal(journal_tell(w->j, "t", "y", big, JOURNAL_TEXT_MAX + 1, 1, &w->err),
			 -E2BIG);
	free(big);
}

static void an_exit_that_is_none_is_refused(void **state)
{
	struct test_world *w = *state;

	assert_int_equal(journal_set_exit(w->j, EXIT_NONE_, 0, 1, &w->err), -EINVAL);
	assert_int_equal(journal_set_exit(w->j, EXIT_UNKNOWN + 1, 0, 1, &w->err), -EINVAL);
	assert_non_null(strstr(w->err.text, "an exit that nobody learnt can't be written"));
}

/* Another writer has it, and stays: nothing that begins a transaction does anything. */
static void a_writer_that_stays_is_ebusy(void **state)
{
	struct test_world *w = *state;
	const struct planned more = { "kind", "{}" };
	const struct ident who = { .pid = 42, .start = 4242 };
	char live[PATH_MAX];
	int64_t seq = 0;
	sqlite3 *db;

	test_live_path(&w->p, "c1", "", live);
	assert_int_equal(sqlite3_open(live, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(journal_move(w->j, "new", "creating", "e", &w->err), -EBUSY);
	assert_int_equal(journal_plan_more(w->j, 1, &more, 1, &w->err), -EBUSY);
	assert_int_equal(journal_drop_run(w->j, 1, &w->err), -EBUSY);
	assert_int_equal(journal_child(w->j, 0, &who, "exec", "e", 0, 0, &seq, &w->err), -EBUSY);
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(journal_move(w->j, "new", "creating", "e", &w->err), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, test_world_make, test_world_end)
	const struct CMUnitTest tests[] = {
		T(a_new_task_is_new_and_empty),
		T(every_text_is_read_back_where_it_was_written),
		T(identities_keep_all_their_bits),
		T(the_first_exit_wins),
		T(a_move_is_compared_and_noted),
		T(notes_come_in_the_order_they_were_written),
		T(events_are_told_in_order_and_once),
		T(a_closed_outbox_has_nothing_to_tell),
		T(a_child_is_living_until_it_ended),
		T(of_ended_children_the_last_are_kept_and_of_living_all),
		T(rest_loses_nothing),
		T(a_text_that_is_too_long_is_refused),
		T(an_exit_that_is_none_is_refused),
		T(a_writer_that_stays_is_ebusy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
