/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_ENGINE_BENCH_H
#define URUNC_TEST_ENGINE_BENCH_H

/*
 * engine_bench.h - one task, a simulated machine, a real journal, and kinds of steps
 * made for the purpose.
 *
 * The request is the plan: { "create": [ want ], "start": [ want ], ... }. A want is
 *
 *   { "path": make this file, "wait": ms before, "deaf": true: again when its time is
 *     over, "fail": true: make it, then fail,
 *     "linger": ms before it is undone, "stuck": true: can't be undone until there is a
 *     file /melt, "code": of these failures, "probe": what its probe tells }
 *   { "kind": "slow", ... }: the same, with no limit
 *   { "kind": "child" }: wait for a child that never ends by itself
 *   { "kind": "turn", "then": the request as it is from now on }
 *
 * But for the slow, they have a second for each apply and undo. Use it with cmocka, whose asserts
 * it calls.
 */

#include "supervisor/engine/engine.h"
#include "test/lib/sim.h"

struct bench {
	char folder[64];
	char root[96], run[96];
	struct journal_place place;
	struct task_key key;
	struct sim *sim;
	struct sim_node node;
	struct engine engine;
	struct journal *j;
};

/* cmocka's setup and teardown: *state is a struct bench with a task in state new. */
int bench_open(void **state);
int bench_close(void **state);

bool bench_there(struct bench *b, const char *path);
/* Open the run of an event; it must be accepted. */
struct run *bench_opened(struct bench *b, enum life_event ev, const char *request);
/* Open, drive, close; *err is the run's, may be NULL. */
enum run_state bench_happens(struct bench *b, enum life_event ev, const char *request,
			     struct err *err);
/* As journalled. */
enum life_state bench_life(struct bench *b);
int bench_rows(struct bench *b, enum row_state state); /* without fences */
int bench_open_runs(struct bench *b);
/* Somebody else writes to the task's file. */
void bench_sql(struct bench *b, const char *text);

#endif
