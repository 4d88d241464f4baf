/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_journal [FOLDER] - what the journal costs: medians in microseconds.
 *
 * FOLDER (default: $TMPDIR or /tmp) decides the disk that is measured.
 */
#include "journal/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 400

struct bench {
	struct journal_place place;
	char root[256], run[256];
	struct err err;
	struct journal *j;
	struct task_key key;
	int64_t step;
	int n;
};

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a;
	const double *y = b;

	return (*x > *y) - (*x < *y);
}

static void must(struct bench *b, int r)
{
	if (r >= 0)
		return;
	fprintf(stderr, "bench_journal: %s\n", b->err.text);
	exit(1);
}

static void measure(struct bench *b, const char *what, int rounds, void (*fn)(struct bench *b),
		    void (*after)(struct bench *b))
{
	double at[ROUNDS], t;

	for (int i = 0; i < rounds; i++) {
		t = now_us();
		fn(b);
		at[i] = now_us() - t;
		if (after)
			after(b);
	}
	qsort(at, (size_t)rounds, sizeof(at[0]), by_value);
	printf("%-44s %8.1f %8.1f %8.1f\n", what, at[0], at[rounds / 2], at[rounds * 99 / 100]);
}

static void name_next(struct bench *b)
{
	char id[32];

	snprintf(id, sizeof(id), "task-%d", b->n++);
	must(b, task_key_make(&b->key, "/run/containerd/containerd.sock", "default", id, &b->err));
}

static void create(struct bench *b)
{
	name_next(b);
	must(b, journal_open(&b->j, &b->place, &b->key, JOURNAL_CREATE, &b->err));
}

static void shut(struct bench *b)
{
	b->j = journal_close(b->j);
}

/* Each round opens another task, as recovery does. */
static void own(struct bench *b)
{
	name_next(b);
	must(b, journal_open(&b->j, &b->place, &b->key, JOURNAL_OWN, &b->err));
}

static void look(struct bench *b)
{
	name_next(b);
	must(b, journal_open(&b->j, &b->place, &b->key, JOURNAL_READ, &b->err));
}

static void have(struct bench *b)
{
	must(b, journal_have(b->j, b->step, "{\"mount_id\":4711,\"target\":\"/run/x\"}", &b->err));
}

static void note(struct bench *b)
{
	must(b, journal_note(b->j, "bench", "one line of the life", &b->err));
}

static void move(struct bench *b)
{
	must(b, journal_move(b->j, "new", "new", "bench", &b->err));
}

static void init(struct bench *b)
{
	must(b, journal_set_init(b->j, &(struct ident){ .pid = 7, .start = 8 }, &b->err));
}

static void plan(struct bench *b)
{
	static const struct planned steps[] = {
		{ "cgroup", "{}" }, { "mount", "{}" }, { "fifo", "{}" }, { "runtime", "{}" },
	};
	int64_t run;

	must(b, journal_plan(b->j, "create", steps, 4, 1, &run, &b->err));
	b->step = run * 4 - 3;
}

static void intend(struct bench *b)
{
	must(b, journal_intend(b->j, b->step++, "epoch 1 2", false, 1, &b->err));
}

static void intend_durable(struct bench *b)
{
	must(b, journal_intend(b->j, b->step++, "epoch 1 2", true, 1, &b->err));
}

static void life(struct bench *b)
{
	create(b);
	plan(b);
	for (int i = 0; i < 4; i++) {
		intend(b);
		b->step--;
		have(b);
		must(b, journal_settle(b->j, b->step++, ROW_DONE, NULL, 1, &b->err));
	}
	b->step -= 4;
	for (int i = 0; i < 4; i++) {
		must(b, journal_settle(b->j, b->step, ROW_UNDOING, NULL, 1, &b->err));
		must(b, journal_settle(b->j, b->step++, ROW_UNDONE, NULL, 1, &b->err));
	}
	must(b, journal_finish(&b->j, &b->err));
}

static void retire(struct bench *b)
{
	own(b);
	must(b, journal_finish(&b->j, &b->err));
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	struct bench b = { .n = 0 };
	char dir[200], rm[256];

	snprintf(dir, sizeof(dir), "%s/bench-journal.XXXXXX", argc > 1 ? argv[1] : tmp ? tmp : "/tmp");
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	snprintf(b.root, sizeof(b.root), "%s/root", dir);
	snprintf(b.run, sizeof(b.run), "%s/run", dir);
	if (journal_place_make(&b.place, b.root, b.run, NULL) < 0)
		return 1;
	printf("%-44s %8s %8s %8s\n", "microseconds", "best", "median", "p99");
	measure(&b, "create", ROUNDS, create, shut);
	b.n = 0;
	measure(&b, "open to own", ROUNDS, own, shut);
	b.n = 0;
	measure(&b, "open to read", ROUNDS, look, shut);
	create(&b);
	plan(&b);
	measure(&b, "commit: have (one row, NORMAL)", ROUNDS, have, NULL);
	measure(&b, "commit: note (one row, NORMAL)", ROUNDS, note, NULL);
	measure(&b, "commit: init (the task's row)", ROUNDS, init, NULL);
	measure(&b, "commit: move (two rows)", ROUNDS, move, NULL);
	measure(&b, "commit: plan of 4 steps", ROUNDS, plan, NULL);
	b.step = 1;
	measure(&b, "commit: intend (NORMAL)", ROUNDS, intend, NULL);
	measure(&b, "commit: intend (durable)", 50, intend_durable, NULL);
	shut(&b);
	b.n = 0;
	measure(&b, "open to own, and finish", ROUNDS, retire, NULL);
	b.n = 2 * ROUNDS;
	measure(&b, "a whole life: 4 steps done and undone", ROUNDS, life, NULL);
	snprintf(rm, sizeof(rm), "rm -rf '%s'", dir);
	return system(rm) == 0 ? 0 : 1;
}
