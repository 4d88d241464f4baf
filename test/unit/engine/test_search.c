/* SPDX-License-Identifier: Apache-2.0 */
/* What the host has under a task's name. */
#include "supervisor/engine/search.h"
#include "test/lib/engine_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct told {
	int n, stop_at;
	char last[256];
};

static int tell(void *arg, const struct task_key *key, const char *what)
{
	struct told *t = arg;

	assert_string_equal(key->id, "t1");
	(void)strncpy(t->last, what, sizeof(t->last) - 1);
	return ++t->n == t->stop_at;
}

static void have_three(struct bench *b)
{
	sim_mount_new(b->sim, "overlay", "overlay", "/run/c/default/t1/rootfs");
	sim_make(b->sim, "/sys/fs/cgroup/default/t1", S_IFDIR | 0755);
	sim_make(b->sim, "/run/runc/t1", S_IFDIR | 0700);
}

static void all_that_has_the_name_is_told(void **state)
{
	struct bench *b = *state;
	struct told t = { 0 };

	assert_int_equal(host_search(&b->engine, &b->key, tell, &t, NULL), 0);
	have_three(b);
	assert_int_equal(host_search(&b->engine, &b->key, tell, &t, NULL), 3);
	assert_int_equal(t.n, 3);
	assert_string_equal(t.last, "runtime state /run/runc/t1");
}

static void who_has_heard_enough_is_told_no_more(void **state)
{
	struct bench *b = *state;
	struct told t = { .stop_at = 1 };

	have_three(b);
	assert_int_equal(host_search(&b->engine, &b->key, tell, &t, NULL), 3);
	assert_int_equal(t.n, 1);
	assert_string_equal(t.last, "mount /run/c/default/t1/rootfs");
}

static void a_host_that_does_not_answer_is_no_empty_one(void **state)
{
	struct bench *b = *state;
	int before = b->sim->calls, asked;

	have_three(b);
	assert_int_equal(host_search(&b->engine, &b->key, tell, &(struct told){ 0 }, NULL), 3);
	asked = b->sim->calls - before;
	for (int at = 1; at <= asked; at++) {
		struct told t = { 0 };
		struct err err = ERR_INIT;

		b->sim->fail_at = b->sim->calls + at;
		b->sim->fail_code = EIO;
		assert_int_equal(host_search(&b->engine, &b->key, tell, &t, &err), -EIO);
		assert_int_equal(err.code, EIO);
		assert_true(at == 1 ? t.n == 0 : t.n >= 2);
	}
}

static int no_path(struct node *n, const char *path, struct path_ident *ret, struct err *err)
{
	(void)n;
	(void)ret;
	return err_set(err, EACCES, "%s", path);
}

static void of_many_paths_that_do_not_answer_the_first_is_named(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;
	struct told t = { 0 };

	have_three(b);
	b->node.node.path = no_path;
	assert_int_equal(host_search(&b->engine, &b->key, tell, &t, &err), -EACCES);
	assert_string_equal(err.text, "/sys/fs/cgroup/default/t1: Permission denied");
	assert_string_equal(t.last, "mount /run/c/default/t1/rootfs");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_that_has_the_name_is_told),
		TEST(who_has_heard_enough_is_told_no_more),
		TEST(a_host_that_does_not_answer_is_no_empty_one),
		TEST(of_many_paths_that_do_not_answer_the_first_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
