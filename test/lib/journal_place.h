/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_JOURNAL_PLACE_H
#define URUNC_TEST_JOURNAL_PLACE_H

/*
 * journal_place.h - a place for journals that a test makes and removes.
 *
 * Every call ends the test with the sentence of the failure, so that a test reads as
 * what it is about.
 */

#include "journal/journal.h"

#include <limits.h>

struct test_place {
	struct journal_place place;
	char top[PATH_MAX / 4], root[PATH_MAX / 4 + 8], run[PATH_MAX / 4 + 8];
};

/* Below $TMPDIR or /tmp, or below @where if that is not NULL. */
void test_place_make(struct test_place *p, const char *where);
void test_place_remove(struct test_place *p);

/* The key of task @id in namespace "default" of "/run/containerd/containerd.sock". */
struct task_key test_key(const char *id);

struct journal *test_open(const struct test_place *p, const char *id, enum journal_open how);

/* <root>/live/.../<id>.db with @tail behind; one buffer a call. */
void test_live_path(const struct test_place *p, const char *id, const char *tail,
		    char ret[PATH_MAX]);

/* All of a file, of up to 1 MiB; the caller's to free(). */
char *test_read(const char *path, size_t *len);

/* How many tasks are listed there. */
int test_count(const struct test_place *p, enum journal_where where);

/* A place with the task c1 open, for cmocka_unit_test_setup_teardown(). */
struct test_world {
	struct test_place p;
	struct journal *j;
	struct err err;
};
int test_world_make(void **state);
int test_world_end(void **state);

/* A plan of @n steps of the kind "kind", with the seq of the first. */
int64_t test_plan(struct journal *j, int n);

/* The state of a step. */
enum row_state test_state(struct journal *j, int64_t step);

#endif
