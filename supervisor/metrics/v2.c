/* SPDX-License-Identifier: Apache-2.0 */
/*
 * v2.c - io.containerd.cgroups.v2.Metrics. Times are microseconds, sizes bytes, and no
 * limit is 2^64-1, as in the files.
 */
#include "supervisor/metrics/build.h"

#include "journal/base/cleanup.h"
#include "proto/api/cgroups_v2.pb-c.h"

#include <string.h>

#define MSG(type)  struct Io__Containerd__Cgroups__V2__##type
#define TYPE(type) (&io__containerd__cgroups__v2__##type##__descriptor)

#define CPU(field)    { #field, offsetof(MSG(CPUStat), field) }
#define MEMORY(field) { #field, offsetof(MSG(MemoryStat), field) }
#define EVENT(field)  { #field, offsetof(MSG(MemoryEvents), field) }
#define IO(field)     { #field, offsetof(MSG(IOEntry), field) }

static const struct stat_key cpu_keys[] = {
	CPU(usage_usec),     CPU(user_usec),	  CPU(system_usec), CPU(nr_periods),
	CPU(nr_throttled),   CPU(throttled_usec), CPU(nr_bursts),   CPU(burst_usec),
};
static const struct stat_key memory_keys[] = {
	MEMORY(anon), MEMORY(file), MEMORY(kernel_stack), MEMORY(slab), MEMORY(sock),
	MEMORY(shmem), MEMORY(file_mapped), MEMORY(file_dirty), MEMORY(file_writeback),
	MEMORY(anon_thp), MEMORY(inactive_anon), MEMORY(active_anon), MEMORY(inactive_file),
	MEMORY(active_file), MEMORY(unevictable), MEMORY(slab_reclaimable),
	MEMORY(slab_unreclaimable), MEMORY(pgfault), MEMORY(pgmajfault),
	MEMORY(workingset_refault), MEMORY(workingset_activate),
	MEMORY(workingset_nodereclaim), MEMORY(pgrefill), MEMORY(pgscan), MEMORY(pgsteal),
	MEMORY(pgactivate), MEMORY(pgdeactivate), MEMORY(pglazyfree), MEMORY(pglazyfreed),
	MEMORY(thp_fault_alloc), MEMORY(thp_collapse_alloc),
};
static const struct stat_key event_keys[] = {
	EVENT(low), EVENT(high), EVENT(max), EVENT(oom), EVENT(oom_kill), EVENT(oom_group_kill),
};
static const struct stat_key io_keys[] = { IO(rbytes), IO(wbytes), IO(rios), IO(wios) };

/* ---- pressure ------------------------------------------------------------------ */

static MSG(PSIData) *pressure_line(struct build *b, const char *text, const char *which)
{
	struct pressure p;
	MSG(PSIData) *data;

	if (!stat_pressure(text, which, &p))
		return NULL;
	data = build_message(b, TYPE(psidata));
	if (!data)
		return NULL;
	data->avg10 = p.avg10;
	data->avg60 = p.avg60;
	data->avg300 = p.avg300;
	data->total = p.total;
	return data;
}

static MSG(PSIStats) *pressure(struct build *b, const char *folder, const char *file)
{
	auto_free char *text = build_read(b, folder, file);
	MSG(PSIStats) *psi = text ? build_message(b, TYPE(psistats)) : NULL;

	if (!psi)
		return NULL;
	psi->some = pressure_line(b, text, "some");
	psi->full = pressure_line(b, text, "full");
	return psi;
}

/* ---- one controller each --------------------------------------------------------- */

static MSG(PidsStat) *pids(struct build *b, const char *folder)
{
	MSG(PidsStat) *m = build_message(b, TYPE(pids_stat));

	if (!m)
		return NULL;
	m->current = build_number(b, folder, "pids.current", UINT64_MAX);
	m->limit = build_number(b, folder, "pids.max", UINT64_MAX);
	return m;
}

static MSG(CPUStat) *cpu(struct build *b, const char *folder)
{
	MSG(CPUStat) *m = build_message(b, TYPE(cpustat));

	if (!m)
		return NULL;
	(void)build_keys(b, folder, "cpu.stat", cpu_keys, ARRAY_SIZE(cpu_keys), m);
	m->psi = pressure(b, folder, "cpu.pressure");
	return m;
}

static MSG(MemoryStat) *memory(struct build *b, const char *folder)
{
	MSG(MemoryStat) *m = build_message(b, TYPE(memory_stat));

	if (!m)
		return NULL;
	(void)build_keys(b, folder, "memory.stat", memory_keys, ARRAY_SIZE(memory_keys), m);
	m->usage = build_number(b, folder, "memory.current", UINT64_MAX);
	m->usage_limit = build_number(b, folder, "memory.max", UINT64_MAX);
	m->max_usage = build_number(b, folder, "memory.peak", UINT64_MAX);
	m->swap_usage = build_number(b, folder, "memory.swap.current", UINT64_MAX);
	m->swap_limit = build_number(b, folder, "memory.swap.max", UINT64_MAX);
	m->swap_max_usage = build_number(b, folder, "memory.swap.peak", UINT64_MAX);
	m->psi = pressure(b, folder, "memory.pressure");
	return m;
}

static MSG(MemoryEvents) *memory_events(struct build *b, const char *folder)
{
	MSG(MemoryEvents) *m = build_message(b, TYPE(memory_events));

	if (!m || !build_keys(b, folder, "memory.events", event_keys, ARRAY_SIZE(event_keys), m))
		return NULL;
	return m;
}

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
	return m;
}

/* "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0" */
static void *io_line(struct build *b, struct span line, void *arg)
{
	struct span device, major, minor;
	MSG(IOEntry) *m;

	if (!span_word(&line, " \t", &device) || !span_word(&device, ":", &major) ||
	    !span_word(&device, ":", &minor))
		return NULL;
	m = build_message(b, arg);
	if (!m)
		return NULL;
	m->major = span_number(major, 0);
	m->minor = span_number(minor, 0);
	/* A device that nobody has used is a line without numbers. */
	return stat_words(line, UINT64_MAX, io_keys, ARRAY_SIZE(io_keys), m) > 0 ? m : NULL;
}

static MSG(IOStat) *io(struct build *b, const char *folder)
{
	MSG(IOStat) *m = build_message(b, TYPE(iostat));

	if (!m)
		return NULL;
	m->psi = pressure(b, folder, "io.pressure");
	m->usage = (MSG(IOEntry) **)build_lines(b, folder, "io.stat", io_line,
						(void *)TYPE(ioentry), &m->n_usage);
	return m;
}

/* ---- huge pages --------------------------------------------------------------------- */

static MSG(HugeTlbStat) *hugetlb_size(struct build *b, const char *folder, char *size)
{
	static const struct stat_key keys[] = {
		{ "max", offsetof(MSG(HugeTlbStat), failcnt) },
	};
	MSG(HugeTlbStat) *m = build_message(b, TYPE(huge_tlb_stat));
	char file[64];

	if (!m)
		return NULL;
	m->pagesize = size;
	m->current = build_hugetlb(b, folder, size, "current");
	m->max = build_hugetlb(b, folder, size, "max");
	snprintf(file, sizeof(file), "hugetlb.%s.events", size);
	(void)build_keys(b, folder, file, keys, ARRAY_SIZE(keys), m);
	return m;
}

static void hugetlb(struct build *b, const char *folder, MSG(Metrics) *m)
{
	size_t n;
	char **sizes = build_hugepages(b, &n);

	m->hugetlb = scratch_get(&b->mem, (n + 1) * sizeof(*m->hugetlb));
	for (size_t i = 0; m->hugetlb && i < n; i++) {
		m->hugetlb[m->n_hugetlb] = hugetlb_size(b, folder, sizes[i]);
		m->n_hugetlb += m->hugetlb[m->n_hugetlb] != NULL;
	}
}

const ProtobufCMessage *build_v2(struct build *b, const char *folder)
{
	MSG(Metrics) *m = build_message(b, TYPE(metrics));

	if (!m)
		return NULL;
	m->pids = pids(b, folder);
	m->cpu = cpu(b, folder);
	m->memory = memory(b, folder);
	m->rdma = rdma(b, folder);
	m->io = io(b, folder);
	m->memory_events = memory_events(b, folder);
	hugetlb(b, folder, m);
	return &m->base;
}
