/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/journal_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void test_place_make(struct test_place *p, const char *where)
{
	const char *tmp = where ? where : getenv("TMPDIR");

	snprintf(p->top, sizeof(p->top), "%s/journal.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(p->top));
	snprintf(p->root, sizeof(p->root), "%s/root", p->top);
	snprintf(p->run, sizeof(p->run), "%s/run", p->top);
	assert_int_equal(journal_place_make(&p->place, p->root, p->run, NULL), 0);
}

void test_place_remove(struct test_place *p)
{
	char *top[] = { p->top, NULL };
	FTS *fts = fts_open(top, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *e;

	assert_non_null(fts);
	while ((e = fts_read(fts))) {
		if (e->fts_info == FTS_DP)
			assert_int_equal(rmdir(e->fts_path), 0);
		else if (e->fts_info != FTS_D)
			assert_int_equal(unlink(e->fts_path), 0);
	}
	fts_close(fts);
}

struct task_key test_key(const char *id)
{
	struct err err = ERR_INIT;
	struct task_key key;

	if (task_key_make(&key, "/run/containerd/containerd.sock", "default", id, &err) < 0)
		fail_msg("%s", err.text);
	return key;
}

struct journal *test_open(const struct test_place *p, const char *id, enum journal_open how)
{
	struct err err = ERR_INIT;
	struct task_key key = test_key(id);
	struct journal *j = NULL;

	if (journal_open(&j, &p->place, &key, how, &err) < 0)
		fail_msg("%s", err.text);
	return j;
}

void test_live_path(const struct test_place *p, const char *id, const char *tail,
		    char ret[PATH_MAX])
{
	struct task_key key = test_key(id);

	snprintf(ret, PATH_MAX, "%s/live/%s/%s/%s.db%s", p->root, key.daemon, key.ns, key.id,
		 tail);
}

char *test_read(const char *path, size_t *len)
{
	char *text = malloc(1 << 20);
	FILE *f = fopen(path, "re");

	assert_non_null(f);
	*len = fread(text, 1, 1 << 20, f);
	fclose(f);
	return text;
}

static int count(void *arg, const struct task_key *key, const char *file)
{
	(void)key;
	(void)file;
	(*(int *)arg)++;
	return 0;
}

int test_count(const struct test_place *p, enum journal_where where)
{
	struct err err = ERR_INIT;
	int n = 0;

	if (journal_list(&p->place, where, count, &n, &err) < 0)
		fail_msg("%s", err.text);
	return n;
}

static int first(void *arg, const struct step_row *row, struct err *err)
{
	(void)err;
	*(int64_t *)arg = row->seq;
	return 1;
}

int64_t test_plan(struct journal *j, int n)
{
	struct planned *steps = calloc((size_t)n, sizeof(*steps));
	struct err err = ERR_INIT;
	int64_t run, seq = 0;

	assert_non_null(steps);
	for (int i = 0; i < n; i++)
		steps[i] = (struct planned){ "kind", "{\"path\":\"/x\"}" };
	if (journal_plan(j, "create", steps, (size_t)n, 1000, &run, &err) < 0)
		fail_msg("%s", err.text);
	free(steps);
	assert_int_equal(journal_each_step(j, run, OLDEST_FIRST, first, &seq, &err), n > 0);
	return seq;
}

enum row_state test_state(struct journal *j, int64_t step)
{
	struct err err = ERR_INIT;
	struct step_row row;
	enum row_state s;

	if (journal_step(j, step, &row, &err) < 0)
		fail_msg("%s", err.text);
	s = row.state;
	step_row_clear(&row);
	return s;
}

int test_world_make(void **state)
{
	struct test_world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	test_place_make(&w->p, NULL);
	w->j = test_open(&w->p, "c1", JOURNAL_CREATE);
	*state = w;
	return 0;
}

int test_world_end(void **state)
{
	struct test_world *w = *state;

	journal_close(w->j);
	test_place_remove(&w->p);
	free(w);
	return 0;
}
