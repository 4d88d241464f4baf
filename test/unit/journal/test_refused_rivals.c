/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes and one task: whatever one does with its file, before each of its system
 * calls another comes, and goes at once, or a call later, or stays.
 *
 * Nobody's task is lost: each that was made is live, or in the history, once. Who loses is
 * told so, and nothing is left of a task that is not there.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

REFUSED_FLUSHES

static const struct planned steps[] = { { "mount", "{}" } };

static int make(struct journal **j, const struct journal_place *place, struct err *err)
{
	struct task_key key = test_key("c1");
	int64_t run;
	int r = journal_open(j, place, &key, JOURNAL_CREATE, err);

	return r < 0 ? r : journal_plan(*j, "create", steps, 1, 1, &run, err);
}

/* ---- the rival --------------------------------------------------------------------------- */

/* Its byte: how many tasks it made. */
static int rival_main(const char *what, const char *root, const char *run)
{
	struct task_key key = test_key("c1");
	struct err err = ERR_INIT;
	struct journal_place place;
	struct journal *j = NULL;
	char made = '0';
	int r = journal_place_make(&place, root, run, &err);

	if (r == 0 && strcmp(what, "make") != 0)
		r = journal_open(&j, &place, &key, JOURNAL_OWN, &err);
	if (r == 0 && (strcmp(what, "finish") == 0 || strcmp(what, "remake") == 0))
		r = journal_finish(&j, &err);
	if (r == 0 && (strcmp(what, "make") == 0 || strcmp(what, "remake") == 0)) {
		r = make(&j, &place, &err);
		made = r == 0 ? '1' : '0';
	}
	rival_stay(made);
	journal_close(j);
	return 0;
}

/* ---- who it comes to --------------------------------------------------------------------- */

static int open_as(struct world *w, enum journal_open how)
{
	struct journal *j = NULL;
	int r = refused_open_task(w, &j, how);

	journal_close(j);
	return r;
}

static int an_owner(struct world *w)
{
	return open_as(w, JOURNAL_OWN);
}

static int a_holder(struct world *w)
{
	return open_as(w, JOURNAL_LOCK);
}

static int a_reader(struct world *w)
{
	return open_as(w, JOURNAL_READ);
}

static int a_rescuer(struct world *w)
{
	struct task_key key = test_key("c1");
	struct journal *j = NULL;
	int r = journal_open_rescue(&j, &w->p.place, &key, &w->err);

	journal_close(j);
	return r;
}

static int a_setter_aside(struct world *w)
{
	struct task_key key = test_key("c1");
	char torn[ERR_TEXT_MAX];
	struct journal *j = NULL;
	int r = journal_set_aside(&j, &w->p.place, &key, torn, &w->err);

	journal_close(j);
	return r;
}

static int a_finisher(struct world *w)
{
	struct journal *j = NULL;
	int r = refused_open_task(w, &j, JOURNAL_OWN);

	return r < 0 ? r : journal_finish(&j, &w->err);
}

static int a_maker(struct world *w)
{
	struct journal *j = NULL;
	int r = make(&j, &w->p.place, &w->err);

	w->planned = r == 0;
	journal_close(j);
	return r;
}

static int a_sweeper(struct world *w)
{
	struct task_key key = test_key("c1");

	return journal_sweep(&w->p.place, &key, &w->err);
}

static int a_pruner(struct world *w)
{
	return journal_prune(&w->p.place, (int64_t)1 << 40, 100, &w->err);
}

/* ---- what it finds ------------------------------------------------------------------------ */

static void a_task(struct world *w)
{
	struct journal *j = NULL;

	assert_int_equal(make(&j, &w->p.place, &w->err), 0);
	w->planned = true;
	journal_close(j);
}

static void put(const char *dir, const struct task_key *key, const char *tail)
{
	struct err err = ERR_INIT;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/%s/c1%s", dir, key->daemon, key->ns, tail);
	assert_int_equal(file_mkparents(path, 0700, &err), 0);
	assert_int_equal(file_replace(path, "x", 1, 0600, &err), 0);
}

/* What the dead left, and no task. */
static void litter(struct world *w)
{
	struct task_key key = test_key("c1");
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s/live", w->p.root);
	put(dir, &key, ".db-wal");
	snprintf(dir, sizeof(dir), "%s/lock", w->p.run);
	put(dir, &key, "");
	snprintf(dir, sizeof(dir), "%s/rescue", w->p.run);
	put(dir, &key, ".db");
	put(dir, &key, ".db-wal");
}

/* ---- the contest --------------------------------------------------------------------------- */

static const struct rival rivals[] = {
	{ "finish", 0, 0 }, { "remake", 0, 0 }, { "own", 0, 0 },  { "own", 0, 1 },
	{ "own", 0, 999 },  { "make", 0, 0 },	{ "make", 0, 1 }, { "make", 0, 999 },
};

struct contest {
	void (*before)(struct world *w);
	int (*act)(struct world *w);
	bool keeps; /* the rows that were there are still */
};

static bool is_lost(int r)
{
	return r == -ENOENT || r == -EEXIST || r == -EAGAIN || r == -ESTALE;
}

static void look_after(struct world *w, const struct contest *c, int made)
{
	int live = test_count(&w->p, JOURNAL_LIVE);
	struct task_key key = test_key("c1");
	struct journal *j;

	assert_int_equal(live + test_count(&w->p, JOURNAL_DONE), made);
	if (!live) {
		assert_int_equal(a_sweeper(w), 0);
		assert_false(journal_has_lock(&w->p.place, &key));
		return;
	}
	j = test_open(&w->p, "c1", JOURNAL_OWN);
	assert_int_equal(journal_check(j, &w->err), 0);
	if (c->keeps)
		assert_int_equal(test_state(j, 1), ROW_PLANNED);
	assert_int_equal(journal_finish(&j, &w->err), 0);
	assert_false(journal_has_lock(&w->p.place, &key));
}

/* Return: did it come? */
static bool once(const struct contest *c, const struct rival *rival)
{
	struct world w = { .err = ERR_INIT };
	int r, made;
	char byte;

	test_place_make(&w.p, NULL);
	if (c->before)
		c->before(&w);
	made = w.planned;
	w.planned = false;
	rival_begin(rival, &w.p.place);
	r = c->act(&w);
	byte = rival_end();
	if (r < 0 && (!byte || !is_lost(r) || w.err.code != -r || !w.err.text[0]))
		fail_msg("%s at %d, for %d: %d, %s", rival->what, rival->at, rival->stay, r,
			 w.err.text);
	made += w.planned + (byte == '1');
	look_after(&w, c, made);
	test_place_remove(&w.p);
	return byte;
}

static void before_each_call(void **state)
{
	const struct contest *c = *state;
	const char *text = getenv("FAMINE_STRIDE");
	int stride = text ? atoi(text) : 97, points = 0;

	for (size_t i = 0; i < sizeof(rivals) / sizeof(*rivals); i++) {
		struct rival rival = rivals[i];

		rival.at = 1 + (int)i * 7 % stride; /* others for each, where not all are tried */
		for (; once(c, &rival); rival.at += stride)
			points++;
	}
	print_message("# rivals: %d\n", points);
}

#define CONTEST(b, f, k) { #f, before_each_call, NULL, NULL, &(struct contest){ b, f, k } }

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CONTEST(a_task, an_owner, true),       CONTEST(a_task, a_holder, true),
		CONTEST(a_task, a_reader, true),       CONTEST(a_task, a_rescuer, true),
		CONTEST(a_task, a_setter_aside, false), CONTEST(a_task, a_finisher, true),
		CONTEST(NULL, a_maker, true),	       CONTEST(litter, a_maker, true),
		CONTEST(litter, a_sweeper, true),      CONTEST(litter, a_pruner, true),
		CONTEST(a_task, a_pruner, true),
	};

	if (argc == 5 && strcmp(argv[1], "rival") == 0)
		return rival_main(argv[2], argv[3], argv[4]);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, refused_setup, NULL);
}
