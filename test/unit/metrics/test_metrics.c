/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole messages from the texts of control files: as a kernel writes them, missing,
 * and damaged.
 */
#include "supervisor/metrics/metrics.h"

#include "journal/base/cleanup.h"
#include "proto/api/cgroups_v1.pb-c.h"
#include "proto/api/cgroups_v2.pb-c.h"

#include <errno.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define metrics_v1 struct Io__Containerd__Cgroups__V1__Metrics
#define metrics_v2 struct Io__Containerd__Cgroups__V2__Metrics

/* A node that has these files, and nothing else. */
struct file {
	const char *path, *text;
};
struct texts {
	struct node node; /* first */
	const struct file *at;
	size_t n;
	const char *instead; /* of every text that is there */
	int code;            /* every read fails with; 0: none */
};

static int read_text(struct node *n, const char *path, size_t max, char **ret, size_t *len,
		     struct err *err)
{
	struct texts *t = (struct texts *)n;

	(void)max;
	(void)len;
	if (t->code)
		return err_set(err, t->code, "%s", path);
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->at[i].path, path) != 0)
			continue;
		*ret = strdup(t->instead ? t->instead : t->at[i].text);
		return *ret ? 0 : -ENOMEM;
	}
	return err_set(err, ENOENT, "%s", path);
}

static int list_sizes(struct node *n, const char *path, char ***ret, struct err *err)
{
	static char names[][24] = { "hugepages-1048576kB", "hugepages-2048kB", "not-a-size" };
	struct texts *t = (struct texts *)n;

	if (t->code || strcmp(path, "/sys/kernel/mm/hugepages") != 0)
		return err_set(err, t->code ? t->code : ENOENT, "%s", path);
	*ret = calloc(4, sizeof(**ret));
	for (int i = 0; i < 3; i++)
		(*ret)[i] = names[i];
	return 0;
}

static struct texts texts(const struct file *at, size_t n)
{
	return (struct texts){ .node = { .read_file = read_text, .list_dir = list_sizes },
			       .at = at, .n = n };
}

static void *message(struct texts *t, const struct cgroup_folders *f,
		     const ProtobufCMessageDescriptor *type)
{
	struct err err = ERR_INIT;
	struct metrics m;
	void *ret;

	assert_int_equal(metrics_read(&t->node, f, &m, &err), 0);
	assert_string_equal(m.type, type->name);
	ret = protobuf_c_message_unpack(type, NULL, m.len, m.data);
	assert_non_null(ret);
	metrics_clear(&m);
	return ret;
}

/* ---- version 2 ------------------------------------------------------------------- */

#define G(name) "/g/" name

static const struct file v2_files[] = {
	{ G("pids.current"), "3\n" },
	{ G("pids.max"), "max\n" },
	{ G("cpu.stat"), "usage_usec 1000\nuser_usec 600\nsystem_usec 400\nnice_usec 5\n"
			 "nr_periods 10\nnr_throttled 2\nthrottled_usec 77\nnr_bursts 1\n"
			 "burst_usec 8\n" },
	{ G("cpu.pressure"), "some avg10=1.25 avg60=0.50 avg300=0.00 total=42\n"
			     "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n" },
	{ G("memory.stat"), "anon 4096\nfile 8192\nkernel 1\nkernel_stack 16384\nslab 3\nsock 4\n"
			    "shmem 5\nfile_mapped 6\nfile_dirty 7\nfile_writeback 8\nanon_thp 9\n"
			    "inactive_anon 10\nactive_anon 11\ninactive_file 12\nactive_file 13\n"
			    "unevictable 14\nslab_reclaimable 15\nslab_unreclaimable 16\n"
			    "workingset_refault_anon 99\nworkingset_refault 20\n"
			    "workingset_activate 21\nworkingset_nodereclaim 22\npgscan 24\n"
			    "pgsteal 25\npgfault 18\npgmajfault 19\npgrefill 23\npgactivate 26\n"
			    "pgdeactivate 27\npglazyfree 28\npglazyfreed 29\nthp_fault_alloc 30\n"
			    "thp_collapse_alloc 31\n" },
	{ G("memory.current"), "1048576\n" },
	{ G("memory.max"), "2097152\n" },
	{ G("memory.peak"), "1572864\n" },
	{ G("memory.swap.current"), "0\n" },
	{ G("memory.swap.max"), "max\n" },
	{ G("memory.swap.peak"), "12\n" },
	{ G("memory.pressure"), "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n" },
	{ G("memory.events"), "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\n" },
	{ G("io.stat"), "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n"
			"7:1 \n8:16 rbytes=1 wbytes=2 rios=3 wios=4\n" },
	{ G("io.pressure"), "some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n" },
	{ G("rdma.current"), "mlx5_0 hca_handle=2 hca_object=2000\n" },
	{ G("rdma.max"), "mlx5_0 hca_handle=max hca_object=10\nbad\n" },
	{ G("hugetlb.2MB.current"), "2097152\n" },
	{ G("hugetlb.2MB.max"), "max\n" },
	{ G("hugetlb.2MB.events"), "max 3\n" },
};

static metrics_v2 *read_v2(struct texts *t)
{
	struct cgroup_folders f = { .unified = (char[]){ "/g" } };

	return message(t, &f, &io__containerd__cgroups__v2__metrics__descriptor);
}

static void free_v2(metrics_v2 *m)
{
	io__containerd__cgroups__v2__metrics__free_unpacked(m, NULL);
}

static void test_v2_cpu_and_pids_are_as_in_the_files(void **state)
{
	struct texts t = texts(v2_files, ARRAY_SIZE(v2_files));
	metrics_v2 *m = read_v2(&t);

	(void)state;
	assert_int_equal(m->pids->current, 3);
	assert_true(m->pids->limit == UINT64_MAX);
	assert_int_equal(m->cpu->usage_usec, 1000);
	assert_int_equal(m->cpu->user_usec, 600);
	assert_int_equal(m->cpu->system_usec, 400);
	assert_int_equal(m->cpu->nr_periods, 10);
	assert_int_equal(m->cpu->nr_throttled, 2);
	assert_int_equal(m->cpu->throttled_usec, 77);
	assert_int_equal(m->cpu->nr_bursts, 1);
	assert_int_equal(m->cpu->burst_usec, 8);
	assert_true(m->cpu->psi->some->avg10 == 1.25);
	assert_true(m->cpu->psi->some->avg60 == 0.5);
	assert_int_equal(m->cpu->psi->some->total, 42);
	assert_int_equal(m->cpu->psi->full->total, 7);
	free_v2(m);
}

static void test_v2_memory_is_as_in_the_files(void **state)
{
	struct texts t = texts(v2_files, ARRAY_SIZE(v2_files));
	metrics_v2 *m = read_v2(&t);

	(void)state;
	assert_int_equal(m->memory->anon, 4096);
	assert_int_equal(m->memory->file, 8192);
	assert_int_equal(m->memory->kernel_stack, 16384);
	/* The rest of the keys has the number of its field, moved by what has its own. */
	assert_int_equal(m->memory->slab, 3);
	assert_int_equal(m->memory->anon_thp, 9);
	assert_int_equal(m->memory->inactive_file, 12);
	assert_int_equal(m->memory->slab_unreclaimable, 16);
	assert_int_equal(m->memory->pgfault, 18);
	assert_int_equal(m->memory->workingset_refault, 20);
	assert_int_equal(m->memory->pglazyfreed, 29);
	assert_int_equal(m->memory->thp_collapse_alloc, 31);
	assert_int_equal(m->memory->usage, 1048576);
	assert_int_equal(m->memory->usage_limit, 2097152);
	assert_int_equal(m->memory->max_usage, 1572864);
	assert_int_equal(m->memory->swap_usage, 0);
	assert_true(m->memory->swap_limit == UINT64_MAX);
	assert_int_equal(m->memory->swap_max_usage, 12);
	assert_int_equal(m->memory->psi->some->total, 1);
	assert_null(m->memory->psi->full);
	assert_int_equal(m->memory_events->low, 1);
	assert_int_equal(m->memory_events->oom_kill, 5);
	assert_int_equal(m->memory_events->oom_group_kill, 6);
	free_v2(m);
}

/* Every field of these has a key of its name in the texts above. */
static void test_v2_no_number_is_forgotten(void **state)
{
	struct texts t = texts(v2_files, ARRAY_SIZE(v2_files));
	metrics_v2 *m = read_v2(&t);
	const ProtobufCMessage *parts[] = { &m->cpu->base, &m->memory->base,
					    &m->memory_events->base };

	(void)state;
	m->memory->swap_usage = 1; /* the one that is 0 */
	for (size_t p = 0; p < ARRAY_SIZE(parts); p++) {
		const ProtobufCMessageDescriptor *d = parts[p]->descriptor;

		for (unsigned i = 0; i < d->n_fields; i++) {
			const char *at = (const char *)parts[p] + d->fields[i].offset;

			if (d->fields[i].type == PROTOBUF_C_TYPE_UINT64 &&
			    *(const uint64_t *)at == 0)
				fail_msg("%s.%s", d->name, d->fields[i].name);
		}
	}
	free_v2(m);
}

static void test_v2_devices_and_sizes_are_lists(void **state)
{
	struct texts t = texts(v2_files, ARRAY_SIZE(v2_files));
	metrics_v2 *m = read_v2(&t);

	(void)state;
	assert_int_equal(m->io->n_usage, 2); /* a device without numbers is left out */
	assert_int_equal(m->io->usage[0]->major, 254);
	assert_int_equal(m->io->usage[0]->wbytes, 8192);
	assert_int_equal(m->io->usage[1]->minor, 16);
	assert_int_equal(m->io->usage[1]->rios, 3);
	assert_int_equal(m->io->psi->some->total, 9);
	assert_int_equal(m->rdma->n_current, 1);
	assert_string_equal(m->rdma->current[0]->device, "mlx5_0");
	assert_int_equal(m->rdma->current[0]->hca_objects, 2000);
	assert_int_equal(m->rdma->n_limit, 1);
	assert_true(m->rdma->limit[0]->hca_handles == UINT32_MAX);
	assert_int_equal(m->n_hugetlb, 2); /* one for each size of the machine */
	assert_string_equal(m->hugetlb[0]->pagesize, "1GB");
	assert_int_equal(m->hugetlb[0]->max, 0);
	assert_string_equal(m->hugetlb[1]->pagesize, "2MB");
	assert_int_equal(m->hugetlb[1]->current, 2097152);
	assert_true(m->hugetlb[1]->max == UINT64_MAX);
	assert_int_equal(m->hugetlb[1]->failcnt, 3);
	assert_int_equal(m->n_network, 0);
	free_v2(m);
}

static void test_v2_a_cgroup_that_is_gone_is_an_almost_empty_message(void **state)
{
	struct texts t = texts(NULL, 0);
	metrics_v2 *m = read_v2(&t);

	(void)state;
	assert_non_null(m->cpu);
	assert_int_equal(protobuf_c_message_get_packed_size(&m->cpu->base), 0);
	assert_non_null(m->memory);
	assert_int_equal(protobuf_c_message_get_packed_size(&m->memory->base), 0);
	assert_null(m->memory_events);
	assert_int_equal(m->io->n_usage, 0);
	free_v2(m);
}

/* ---- version 1 --------------------------------------------------------------------- */

static const struct file v1_files[] = {
	{ "/m/memory.stat", "cache 1\nrss 2\nrss_huge 3\nshmem 99\nmapped_file 4\ndirty 5\n"
			    "writeback 6\nswap 99\npgpgin 7\npgpgout 8\npgfault 9\n"
			    "pgmajfault 10\ninactive_anon 11\nactive_anon 12\ninactive_file 13\n"
			    "active_file 14\nunevictable 15\n"
			    "hierarchical_memory_limit 9223372036854771712\n"
			    "hierarchical_memsw_limit 17\ntotal_cache 18\ntotal_rss 19\n"
			    "total_rss_huge 20\ntotal_mapped_file 21\ntotal_dirty 22\n"
			    "total_writeback 23\ntotal_pgpgin 24\ntotal_pgpgout 25\n"
			    "total_pgfault 26\ntotal_pgmajfault 27\ntotal_inactive_anon 28\n"
			    "total_active_anon 29\ntotal_inactive_file 30\n"
			    "total_active_file 31\ntotal_unevictable 32\n" },
	{ "/m/memory.limit_in_bytes", "67108864\n" },
	{ "/m/memory.usage_in_bytes", "4096\n" },
	{ "/m/memory.max_usage_in_bytes", "8192\n" },
	{ "/m/memory.failcnt", "5\n" },
	{ "/m/memory.memsw.usage_in_bytes", "6\n" },
	{ "/m/memory.kmem.failcnt", "-1\n" },
	{ "/m/memory.kmem.tcp.max_usage_in_bytes", "7\n" },
	{ "/m/memory.oom_control", "oom_kill_disable 1\nunder_oom 1\noom_kill 4\n" },
	{ "/a/cpuacct.usage", "123456789\n" },
	{ "/a/cpuacct.stat", "user 15\nsystem 4\n" },
	{ "/a/cpuacct.usage_percpu", "516566096203 590724400240 \n" },
	{ "/c/cpu.stat", "nr_periods 9\nnr_throttled 8\nthrottled_time 700\n" },
	{ "/p/pids.current", "2\n" },
	{ "/p/pids.max", "max\n" },
	{ "/b/blkio.throttle.io_serviced", "254:0 Read 10\n254:0 Total 10\n9:9 Read 1\nTotal 11\n" },
	{ "/b/blkio.throttle.io_service_bytes", "Total 0\n" },
	{ "/proc/partitions", "major minor  #blocks  name\n\n 254        0  268435456 vda\n" },
	{ "/r/rdma.current", "mlx5_0 hca_handle=2 hca_object=3\n" },
	{ "/h/hugetlb.2MB.usage_in_bytes", "2097152\n" },
	{ "/h/hugetlb.2MB.max_usage_in_bytes", "4194304\n" },
	{ "/h/hugetlb.2MB.failcnt", "1\n" },
};

static const struct cgroup_folders v1_folders = {
	.of = { [CGROUP_CPU] = (char[]){ "/c" }, [CGROUP_CPUACCT] = (char[]){ "/a" },
		[CGROUP_MEMORY] = (char[]){ "/m" }, [CGROUP_PIDS] = (char[]){ "/p" },
		[CGROUP_BLKIO] = (char[]){ "/b" }, [CGROUP_RDMA] = (char[]){ "/r" },
		[CGROUP_HUGETLB] = (char[]){ "/h" } },
};

static metrics_v1 *read_v1(struct texts *t, const struct cgroup_folders *f)
{
	return message(t, f, &io__containerd__cgroups__v1__metrics__descriptor);
}

static void free_v1(metrics_v1 *m)
{
	io__containerd__cgroups__v1__metrics__free_unpacked(m, NULL);
}

static void test_v1_cpu_is_in_nanoseconds(void **state)
{
	struct texts t = texts(v1_files, ARRAY_SIZE(v1_files));
	metrics_v1 *m = read_v1(&t, &v1_folders);

	(void)state;
	assert_int_equal(m->cpu->usage->total, 123456789);
	assert_int_equal(m->cpu->usage->user, 150000000);
	assert_int_equal(m->cpu->usage->kernel, 40000000);
	assert_int_equal(m->cpu->usage->n_per_cpu, 2);
	assert_true(m->cpu->usage->per_cpu[1] == 590724400240);
	assert_int_equal(m->cpu->throttling->periods, 9);
	assert_int_equal(m->cpu->throttling->throttled_periods, 8);
	assert_int_equal(m->cpu->throttling->throttled_time, 700);
	assert_int_equal(m->pids->current, 2);
	assert_int_equal(m->pids->limit, 0);
	free_v1(m);
}

/* In the texts above a key of memory.stat has the number of its field. */
static void test_v1_memory_is_as_in_the_files(void **state)
{
	struct texts t = texts(v1_files, ARRAY_SIZE(v1_files));
	metrics_v1 *m = read_v1(&t, &v1_folders);
	const ProtobufCMessageDescriptor *d = m->memory->base.descriptor;

	(void)state;
	assert_true(m->memory->hierarchical_memory_limit == 9223372036854771712u);
	m->memory->hierarchical_memory_limit = 16;
	for (unsigned i = 0; i < d->n_fields; i++)
		if (d->fields[i].type == PROTOBUF_C_TYPE_UINT64)
			assert_int_equal(*(uint64_t *)((char *)m->memory + d->fields[i].offset),
					 d->fields[i].id);
	assert_int_equal(m->memory->usage->limit, 67108864);
	assert_int_equal(m->memory->usage->usage, 4096);
	assert_int_equal(m->memory->usage->max, 8192);
	assert_int_equal(m->memory->usage->failcnt, 5);
	assert_int_equal(m->memory->swap->usage, 6);
	assert_int_equal(m->memory->kernel->failcnt, 0); /* negative */
	assert_int_equal(m->memory->kernel_tcp->max, 7);
	assert_int_equal(m->memory_oom_control->oom_kill_disable, 1);
	assert_int_equal(m->memory_oom_control->under_oom, 1);
	assert_int_equal(m->memory_oom_control->oom_kill, 4);
	free_v1(m);
}

static void test_v1_devices_have_the_names_of_partitions(void **state)
{
	struct texts t = texts(v1_files, ARRAY_SIZE(v1_files));
	metrics_v1 *m = read_v1(&t, &v1_folders);

	(void)state;
	assert_int_equal(m->blkio->n_io_serviced_recursive, 3);
	assert_string_equal(m->blkio->io_serviced_recursive[0]->op, "Read");
	assert_string_equal(m->blkio->io_serviced_recursive[0]->device, "/dev/vda");
	assert_int_equal(m->blkio->io_serviced_recursive[0]->major, 254);
	assert_int_equal(m->blkio->io_serviced_recursive[0]->value, 10);
	assert_string_equal(m->blkio->io_serviced_recursive[1]->op, "Total");
	assert_string_equal(m->blkio->io_serviced_recursive[2]->device, "");
	assert_int_equal(m->blkio->n_io_service_bytes_recursive, 0);
	assert_int_equal(m->rdma->n_current, 1);
	assert_int_equal(m->rdma->n_limit, 0);
	assert_int_equal(m->n_hugetlb, 2);
	assert_string_equal(m->hugetlb[1]->pagesize, "2MB");
	assert_int_equal(m->hugetlb[1]->usage, 2097152);
	assert_int_equal(m->hugetlb[1]->max, 4194304);
	assert_int_equal(m->hugetlb[1]->failcnt, 1);
	free_v1(m);
}

static void test_v1_what_cfq_counted_comes_before_throttling(void **state)
{
	static const struct file files[] = {
		{ "/b/blkio.time_recursive", "8:0 12\n" },
		{ "/b/blkio.sectors_recursive", "8:0 34\n" },
		{ "/b/blkio.io_queued_recursive", "8:0 Sync 0\n8:0 Total 0\nTotal 0\n" },
		{ "/b/blkio.throttle.io_serviced", "8:0 Read 10\n" },
	};
	struct texts t = texts(files, ARRAY_SIZE(files));
	metrics_v1 *m = read_v1(&t, &v1_folders);

	(void)state;
	assert_int_equal(m->blkio->n_io_time_recursive, 1);
	assert_int_equal(m->blkio->io_time_recursive[0]->value, 12);
	assert_string_equal(m->blkio->io_time_recursive[0]->op, "");
	assert_int_equal(m->blkio->sectors_recursive[0]->value, 34);
	assert_int_equal(m->blkio->n_io_queued_recursive, 2);
	assert_int_equal(m->blkio->n_io_serviced_recursive, 0);
	free_v1(m);
}

static void test_v1_a_cgroup_that_is_gone_is_an_almost_empty_message(void **state)
{
	static const struct cgroup_folders none = { .unified = NULL };
	struct texts t = texts(NULL, 0);
	metrics_v1 *m = read_v1(&t, &v1_folders);

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(m->cpu->usage->total, 0);
		assert_int_equal(m->cpu->throttling->periods, 0);
		assert_int_equal(m->memory->usage->limit, 0);
		assert_int_equal(m->memory->kernel_tcp->limit, 0);
		assert_null(m->pids);
		assert_null(m->memory_oom_control);
		free_v1(m);
		/* Nor are there hierarchies. */
		m = read_v1(&t, &none);
	}
	assert_null(m->blkio);
	assert_int_equal(m->n_hugetlb, 0);
	free_v1(m);
}

/* ---- both ---------------------------------------------------------------------------- */

static void assert_ascii(const char *text)
{
	for (; *text; text++)
		assert_in_range(*text, ' ', '~');
}

static void test_garbage_is_no_failure_and_strings_stay_valid(void **state)
{
	static const char *const garbage[] = {
		"", "\n\n\n", " ", "=", "max", "\xff\xfe\x80", "8:0", "8:0 \xff\xff 7",
		"\xff\xff hca_handle=1 hca_object=2", "some", "some avg10", "a\tb\tc", "::::",
		"1 1 1 \x80", "-9223372036854775809 -1", "some avg10=.=.=",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		struct texts one = texts(v1_files, ARRAY_SIZE(v1_files));
		struct texts two = texts(v2_files, ARRAY_SIZE(v2_files));
		metrics_v1 *v1;
		metrics_v2 *v2;

		one.instead = two.instead = garbage[i];
		v1 = read_v1(&one, &v1_folders);
		v2 = read_v2(&two);
		for (size_t k = 0; k < v1->blkio->n_io_serviced_recursive; k++)
			assert_ascii(v1->blkio->io_serviced_recursive[k]->op);
		for (size_t k = 0; k < v2->rdma->n_limit; k++)
			assert_ascii(v2->rdma->limit[k]->device);
		free_v1(v1);
		free_v2(v2);
	}
}

static void test_files_that_fail_are_left_out_but_missing_memory_is_said(void **state)
{
	struct cgroup_folders f = { .unified = (char[]){ "/g" } };
	struct texts t = texts(v2_files, ARRAY_SIZE(v2_files));
	struct err err = ERR_INIT;
	struct metrics m;

	(void)state;
	t.code = EIO;
	free_v2(read_v2(&t));
	t.code = ENOMEM;
	assert_int_equal(metrics_read(&t.node, &f, &m, &err), -ENOMEM);
	metrics_clear(&m);
	assert_int_equal(metrics_read(&t.node, &v1_folders, &m, &err), -ENOMEM);
	metrics_clear(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v2_cpu_and_pids_are_as_in_the_files),
		cmocka_unit_test(test_v2_memory_is_as_in_the_files),
		cmocka_unit_test(test_v2_no_number_is_forgotten),
		cmocka_unit_test(test_v2_devices_and_sizes_are_lists),
		cmocka_unit_test(test_v2_a_cgroup_that_is_gone_is_an_almost_empty_message),
		cmocka_unit_test(test_v1_cpu_is_in_nanoseconds),
		cmocka_unit_test(test_v1_memory_is_as_in_the_files),
		cmocka_unit_test(test_v1_devices_have_the_names_of_partitions),
		cmocka_unit_test(test_v1_what_cfq_counted_comes_before_throttling),
		cmocka_unit_test(test_v1_a_cgroup_that_is_gone_is_an_almost_empty_message),
		cmocka_unit_test(test_garbage_is_no_failure_and_strings_stay_valid),
		cmocka_unit_test(test_files_that_fail_are_left_out_but_missing_memory_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
