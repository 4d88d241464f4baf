/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What metrics_read() says about real processes, beside what the kernel's files say, in
 * the version of cgroups that this machine has in use.
 */
#include "supervisor/metrics/metrics.h"

#include "journal/base/cleanup.h"
#include "proto/api/cgroups_v1.pb-c.h"
#include "proto/api/cgroups_v2.pb-c.h"
#include "test/lib/cgroup_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct numbers {
	uint64_t cpu_ns, pids, usage, limit, failures, kills;
};

static void v1_numbers(const struct metrics *m, struct numbers *ret)
{
	struct Io__Containerd__Cgroups__V1__Metrics *v =
		io__containerd__cgroups__v1__metrics__unpack(NULL, m->len, m->data);

	assert_non_null(v);
	*ret = (struct numbers){ .cpu_ns = v->cpu->usage->total,
				 .pids = v->pids ? v->pids->current : 0,
				 .usage = v->memory->usage->usage,
				 .limit = v->memory->usage->limit,
				 .failures = v->memory->usage->failcnt };
	if (v->memory_oom_control)
		ret->kills = v->memory_oom_control->oom_kill;
	io__containerd__cgroups__v1__metrics__free_unpacked(v, NULL);
}

static void v2_numbers(const struct metrics *m, struct numbers *ret)
{
	struct Io__Containerd__Cgroups__V2__Metrics *v =
		io__containerd__cgroups__v2__metrics__unpack(NULL, m->len, m->data);

	assert_non_null(v);
	*ret = (struct numbers){ .cpu_ns = v->cpu->usage_usec * 1000,
				 .pids = v->pids->current,
				 .usage = v->memory->usage,
				 .limit = v->memory->usage_limit };
	if (v->memory_events) {
		ret->failures = v->memory_events->max;
		ret->kills = v->memory_events->oom_kill;
	}
	io__containerd__cgroups__v2__metrics__free_unpacked(v, NULL);
}

static struct numbers numbers(struct cgroup_rig *r)
{
	struct err err = ERR_INIT;
	struct metrics m;
	struct numbers ret;

	if (metrics_read(r->node->n, &r->folders, &m, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(m.type, r->unified ? "io.containerd.cgroups.v2.Metrics"
					       : "io.containerd.cgroups.v1.Metrics");
	if (r->unified)
		v2_numbers(&m, &ret);
	else
		v1_numbers(&m, &ret);
	metrics_clear(&m);
	return ret;
}

static void test_time_memory_and_processes_are_as_the_kernel_counts_them(void **state)
{
	struct cgroup_rig *r = *state;
	const char *usage = r->unified ? "memory.current" : "memory.usage_in_bytes";
	pid_t busy = cgroup_rig_child(r, act_burn, true);
	pid_t fat = cgroup_rig_child(r, act_eat_some, true);
	struct numbers n;
	uint64_t direct;

	cgroup_rig_find(r, busy);
	n = numbers(r);
	direct = cgroup_rig_get(r->memory, usage);
	assert_in_range(n.cpu_ns, 100000000, 60000000000);
	assert_int_equal(n.pids, 2);
	assert_int_equal(n.limit, CGROUP_RIG_LIMIT);
	assert_in_range(n.usage, 4 << 20, CGROUP_RIG_LIMIT);
	/* Both sleep; the kernel's own batches are all that may move it. */
	assert_in_range(n.usage + (1 << 20), direct, direct + (2 << 20));
	assert_int_equal(n.kills, 0);
	cgroup_rig_end(busy);
	cgroup_rig_end(fat);
}

static void test_a_container_that_is_gone_has_no_numbers(void **state)
{
	struct cgroup_rig *r = *state;
	struct numbers n;
	pid_t pid = cgroup_rig_child(r, act_nothing, true);

	cgroup_rig_find(r, pid);
	cgroup_rig_end(pid);
	cgroup_rig_remove(r);
	n = numbers(r);
	assert_int_equal(n.cpu_ns, 0);
	assert_int_equal(n.usage, 0);
	assert_int_equal(n.limit, 0);
}

static void test_reading_keeps_no_descriptor(void **state)
{
	struct cgroup_rig *r = *state;
	pid_t pid = cgroup_rig_child(r, act_nothing, true);
	int before;

	cgroup_rig_find(r, pid);
	before = node_rig_descriptors();
	for (int i = 0; i < 50; i++)
		(void)numbers(r);
	assert_int_equal(node_rig_descriptors(), before);
	cgroup_rig_end(pid);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, cgroup_rig_up, cgroup_rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_time_memory_and_processes_are_as_the_kernel_counts_them),
		TEST(test_a_container_that_is_gone_has_no_numbers),
		TEST(test_reading_keeps_no_descriptor),
	};

	if (!cgroup_rig_possible()) {
		puts("needs root and a memory controller");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
