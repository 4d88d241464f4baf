/* SPDX-License-Identifier: Apache-2.0 */
/*
 * v1.c - io.containerd.cgroups.v1.Metrics. Times are nanoseconds and sizes bytes; no
 * limit is what the kernel writes for it, but 0 for pids.
 *
 * cpu and memory are there with all they are made of, even if that is all zero: old
 * clients read memory.usage.limit without asking.
 */
#include "supervisor/metrics/build.h"

#include "journal/base/cleanup.h"
#include "proto/api/cgroups_v1.pb-c.h"

#include <string.h>

#define MSG(type)  struct Io__Containerd__Cgroups__V1__##type
#define TYPE(type) (&io__containerd__cgroups__v1__##type##__descriptor)

#define TICK_NS (1000000000 / 100) /* the kernel's unit for other programs, everywhere */

#define MEMORY(key, field) { key, offsetof(MSG(MemoryStat), field) }
#define BOTH(key, field)   MEMORY(key, field), MEMORY("total_" key, total_##field)

static const struct stat_key memory_keys[] = {
	BOTH("cache", cache),
	BOTH("rss", rss),
	BOTH("rss_huge", rss_huge),
	BOTH("mapped_file", mapped_file),
	BOTH("dirty", dirty),
	BOTH("writeback", writeback),
	BOTH("pgpgin", pg_pg_in),
	BOTH("pgpgout", pg_pg_out),
	BOTH("pgfault", pg_fault),
	BOTH("pgmajfault", pg_maj_fault),
	BOTH("inactive_anon", inactive_anon),
	BOTH("active_anon", active_anon),
	BOTH("inactive_file", inactive_file),
	BOTH("active_file", active_file),
	BOTH("unevictable", unevictable),
	MEMORY("hierarchical_memory_limit", hierarchical_memory_limit),
	MEMORY("hierarchical_memsw_limit", hierarchical_swap_limit),
};
static const struct stat_key oom_keys[] = {
	{ "oom_kill_disable", offsetof(MSG(MemoryOomControl), oom_kill_disable) },
	{ "under_oom", offsetof(MSG(MemoryOomControl), under_oom) },
	{ "oom_kill", offsetof(MSG(MemoryOomControl), oom_kill) },
};
static const struct stat_key throttle_keys[] = {
	{ "nr_periods", offsetof(MSG(Throttle), periods) },
	{ "nr_throttled", offsetof(MSG(Throttle), throttled_periods) },
	{ "throttled_time", offsetof(MSG(Throttle), throttled_time) },
};
static const struct stat_key ticks_keys[] = {
	{ "user", offsetof(MSG(CPUUsage), user) },
	{ "system", offsetof(MSG(CPUUsage), kernel) },
};

/* ---- pids, cpu --------------------------------------------------------------------- */

static MSG(PidsStat) *pids(struct build *b, const char *folder)
{
	auto_free char *text = build_read(b, folder, "pids.current");
	MSG(PidsStat) *m = text ? build_message(b, TYPE(pids_stat)) : NULL;

	if (!m)
		return NULL;
	m->current = stat_number(text, 0);
	m->limit = build_number(b, folder, "pids.max", 0);
	return m;
}

/* A number for each processor, in one line. */
static void per_cpu(struct build *b, const char *folder, MSG(CPUUsage) *m)
{
	auto_free char *text = build_read(b, folder, "cpuacct.usage_percpu");
	struct span rest = { text, text ? strcspn(text, "\n") : 0 }, word;
	size_t n = rest.len / 2 + 1;

	m->per_cpu = text ? scratch_get(&b->mem, n * sizeof(*m->per_cpu)) : NULL;
	while (m->per_cpu && m->n_per_cpu < n && span_word(&rest, " ", &word))
		m->per_cpu[m->n_per_cpu++] = span_number(word, 0);
}

static uint64_t ns_of_ticks(uint64_t ticks)
{
	return ticks > UINT64_MAX / TICK_NS ? UINT64_MAX : ticks * TICK_NS;
}

static MSG(CPUUsage) *cpu_usage(struct build *b, const char *folder)
{
	MSG(CPUUsage) *m = build_message(b, TYPE(cpuusage));

	if (!m)
		return NULL;
	(void)build_keys(b, folder, "cpuacct.stat", ticks_keys, ARRAY_SIZE(ticks_keys), m);
	m->user = ns_of_ticks(m->user);
	m->kernel = ns_of_ticks(m->kernel);
	m->total = build_number(b, folder, "cpuacct.usage", 0);
	per_cpu(b, folder, m);
	return m;
}

static MSG(CPUStat) *cpu(struct build *b, const struct cgroup_folders *folders)
{
	MSG(CPUStat) *m = build_message(b, TYPE(cpustat));

	if (!m)
		return NULL;
	m->usage = cpu_usage(b, folders->of[CGROUP_CPUACCT]);
	m->throttling = build_message(b, TYPE(throttle));
	if (m->throttling)
		(void)build_keys(b, folders->of[CGROUP_CPU], "cpu.stat", throttle_keys,
				 ARRAY_SIZE(throttle_keys), m->throttling);
	return m;
}

/* ---- memory -------------------------------------------------------------------------- */

static uint64_t memory_number(struct build *b, const char *folder, const char *module,
			      const char *what)
{
	char file[64];

	snprintf(file, sizeof(file), "memory%s.%s", module, what);
	return build_number(b, folder, file, UINT64_MAX);
}

static MSG(MemoryEntry) *memory_entry(struct build *b, const char *folder, const char *module)
{
	MSG(MemoryEntry) *m = build_message(b, TYPE(memory_entry));

	if (!m)
		return NULL;
	m->limit = memory_number(b, folder, module, "limit_in_bytes");
	m->usage = memory_number(b, folder, module, "usage_in_bytes");
	m->max = memory_number(b, folder, module, "max_usage_in_bytes");
	m->failcnt = memory_number(b, folder, module, "failcnt");
	return m;
}

static MSG(MemoryStat) *memory(struct build *b, const char *folder)
{
	MSG(MemoryStat) *m = build_message(b, TYPE(memory_stat));

	if (!m)
		return NULL;
	(void)build_keys(b, folder, "memory.stat", memory_keys, ARRAY_SIZE(memory_keys), m);
	m->usage = memory_entry(b, folder, "");
	m->swap = memory_entry(b, folder, ".memsw");
	m->kernel = memory_entry(b, folder, ".kmem");
	m->kernel_tcp = memory_entry(b, folder, ".kmem.tcp");
	return m;
}

static MSG(MemoryOomControl) *oom_control(struct build *b, const char *folder)
{
	MSG(MemoryOomControl) *m = build_message(b, TYPE(memory_oom_control));

	if (!m || !build_keys(b, folder, "memory.oom_control", oom_keys, ARRAY_SIZE(oom_keys), m))
		return NULL;
	return m;
}

/* ---- rdma, huge pages ----------------------------------------------------------------- */

static MSG(RdmaStat) *rdma(struct build *b, const char *folder)
{
	void *type = (void *)TYPE(rdma_entry);
	MSG(RdmaStat) *m = build_message(b, TYPE(rdma_stat));

	if (!m)
		return NULL;
	m->current = (MSG(RdmaEntry) **)build_lines(b, folder, "rdma.current", build_rdma_line,
						    type, &m->n_current);
	m->limit = (MSG(RdmaEntry) **)build_lines(b, folder, "rdma.max", build_rdma_line, type,
						  &m->n_limit);
	return m->current || m->limit ? m : NULL;
}

static MSG(HugetlbStat) *hugetlb_size(struct build *b, const char *folder, char *size)
{
	MSG(HugetlbStat) *m = build_message(b, TYPE(hugetlb_stat));

	if (!m)
		return NULL;
	m->pagesize = size;
	m->usage = build_hugetlb(b, folder, size, "usage_in_bytes");
	m->max = build_hugetlb(b, folder, size, "max_usage_in_bytes");
	m->failcnt = build_hugetlb(b, folder, size, "failcnt");
	return m;
}

static void hugetlb(struct build *b, const char *folder, MSG(Metrics) *m)
{
	size_t n;
	char **sizes;

	if (!folder)
		return;
	sizes = build_hugepages(b, &n);
	m->hugetlb = scratch_get(&b->mem, (n + 1) * sizeof(*m->hugetlb));
	for (size_t i = 0; m->hugetlb && i < n; i++) {
		m->hugetlb[m->n_hugetlb] = hugetlb_size(b, folder, sizes[i]);
		m->n_hugetlb += m->hugetlb[m->n_hugetlb] != NULL;
	}
}

/* ---- blkio ---------------------------------------------------------------------------- */

/* Devices have names in /proc/partitions; the lines of one device follow each other. */
struct devices {
	const char *partitions; /* NULL: not readable */
	uint64_t major, minor;
	char *name;
};

static char *device_name(struct build *b, struct devices *d, uint64_t major, uint64_t minor)
{
	struct partition_line p;
	const char *rest = d->partitions;
	struct span line;

	if (d->name && d->major == major && d->minor == minor)
		return d->name;
	d->major = major;
	d->minor = minor;
	while (rest && span_line(&rest, &line))
		if (stat_partition(line, &p) && p.major == major && p.minor == minor)
			return d->name = scratch_text(&b->mem, "/dev/", p.name);
	return d->name = scratch_text(&b->mem, "", (struct span){ "", 0 });
}

static void *blkio_line(struct build *b, struct span line, void *devices)
{
	struct blkio_line numbers;
	MSG(BlkIOEntry) *m = NULL;

	if (stat_blkio(line, &numbers))
		m = build_message(b, TYPE(blk_ioentry));
	if (!m)
		return NULL;
	m->device = device_name(b, devices, numbers.major, numbers.minor);
	m->op = scratch_text(&b->mem, "", numbers.op);
	m->major = numbers.major;
	m->minor = numbers.minor;
	m->value = numbers.value;
	return m->device && m->op ? m : NULL;
}

#define BLKIO(field, file) \
	m->field = (MSG(BlkIOEntry) **)build_lines(b, folder, "blkio." file, blkio_line, &d, \
						   &m->n_##field)

static MSG(BlkIOStat) *blkio(struct build *b, const char *folder)
{
	auto_free char *partitions = build_read(b, folder ? "/proc" : NULL, "partitions");
	MSG(BlkIOStat) *m = folder ? build_message(b, TYPE(blk_iostat)) : NULL;
	struct devices d = { .partitions = partitions };

	if (!m)
		return NULL;
	/* What the CFQ scheduler counted, up to Linux 4.20 and where it was ported to. */
	BLKIO(io_service_bytes_recursive, "io_service_bytes_recursive");
	BLKIO(io_serviced_recursive, "io_serviced_recursive");
	BLKIO(io_queued_recursive, "io_queued_recursive");
	BLKIO(io_service_time_recursive, "io_service_time_recursive");
	BLKIO(io_wait_time_recursive, "io_wait_time_recursive");
	BLKIO(io_merged_recursive, "io_merged_recursive");
	BLKIO(io_time_recursive, "time_recursive");
	BLKIO(sectors_recursive, "sectors_recursive");
	if (m->n_io_service_bytes_recursive || m->n_io_serviced_recursive ||
	    m->n_io_queued_recursive || m->n_io_service_time_recursive ||
	    m->n_io_wait_time_recursive || m->n_io_merged_recursive ||
	    m->n_io_time_recursive || m->n_sectors_recursive)
		return m;
	BLKIO(io_serviced_recursive, "throttle.io_serviced");
	BLKIO(io_service_bytes_recursive, "throttle.io_service_bytes");
	return m;
}

const ProtobufCMessage *build_v1(struct build *b, const struct cgroup_folders *folders)
{
	MSG(Metrics) *m = build_message(b, TYPE(metrics));

	if (!m)
		return NULL;
	hugetlb(b, folders->of[CGROUP_HUGETLB], m);
	m->pids = pids(b, folders->of[CGROUP_PIDS]);
	m->cpu = cpu(b, folders);
	m->memory = memory(b, folders->of[CGROUP_MEMORY]);
	m->blkio = blkio(b, folders->of[CGROUP_BLKIO]);
	m->rdma = rdma(b, folders->of[CGROUP_RDMA]);
	m->memory_oom_control = oom_control(b, folders->of[CGROUP_MEMORY]);
	return &m->base;
}
