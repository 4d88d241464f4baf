/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/sim.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define EPOCH "boot-%d 4026531836 4026531841"

/* ---- processes ------------------------------------------------------------------------ */

struct sim_proc *sim_find(struct sim *sim, pid_t pid)
{
	for (int i = 0; i < SIM_PROCS; i++)
		if (pid && sim->procs[i].ident.pid == pid)
			return &sim->procs[i];
	return NULL;
}

struct sim_proc *sim_proc_new(struct sim *sim, const char *comm, pid_t ppid)
{
	for (int i = 0; i < SIM_PROCS; i++) {
		struct sim_proc *p = &sim->procs[i];

		if (p->ident.pid)
			continue;
		*p = (struct sim_proc){
			.ident = { .pid = sim->real_pid ? sim->real_pid : sim->next_pid++,
				   .start = (uint64_t)sim->now_ms / 10 },
			.ppid = ppid, .cwd = "/", .root = "/", .cgroup = "/sys/fs/cgroup",
		};
		sim->real_pid = 0;
		p->sid = p->ident.pid;
		(void)snprintf(p->comm, sizeof(p->comm), "%s", comm);
		return p;
	}
	abort();
}

/* Its children go to who plays its parent, a subreaper, or to init, which reaps; who
 * asked for it dies too. */
static void orphan(struct sim *sim, pid_t pid, const struct sim_proc *parent)
{
	pid_t heir = parent && parent->played_by ? parent->ident.pid : 1;

	for (int i = 0; i < SIM_PROCS; i++) {
		struct sim_proc *p = &sim->procs[i];

		if (!p->ident.pid || p->ppid != pid)
			continue;
		p->ppid = heir;
		if (p->zombie && heir == 1)
			memset(p, 0, sizeof(*p));
		else if (!p->zombie && (p->held || p->die_with_us))
			sim_kill(sim, p, SIGKILL);
	}
}

/* The first process of a pid namespace takes the others with it. */
static void end_namespace(struct sim *sim, const struct sim_proc *init)
{
	for (int i = 0; i < SIM_PROCS; i++) {
		struct sim_proc *p = &sim->procs[i];

		if (p->ident.pid > 0 && !p->zombie && strcmp(init->cgroup, "/sys/fs/cgroup") != 0 &&
		    strcmp(p->cgroup, init->cgroup) == 0)
			sim_kill(sim, p, SIGKILL);
	}
}

/* A namespace that is mounted on a file outlives its processes. */
static bool has_name(const struct sim *sim, uint64_t netns)
{
	for (int i = 0; i < SIM_FILES; i++)
		if (*sim->files[i].path && sim->files[i].what.ino == netns)
			return true;
	return false;
}

void sim_kill(struct sim *sim, struct sim_proc *p, int status)
{
	const struct sim_proc *parent = sim_find(sim, p->ppid);
	pid_t pid = p->ident.pid;
	struct sim_proc was = *p;

	for (int i = 0; p->netns && !has_name(sim, p->netns) && i < SIM_LINKS; i++) /* its last process */
		if (sim->links[i].netns == p->netns)
			memset(&sim->links[i], 0, sizeof(sim->links[i]));
	p->zombie = true;
	p->status = status;
	p->program = SIM_STAY;
	/* Only players reap; everybody else's children are gone at once. */
	if (!parent || !parent->played_by || parent->zombie)
		memset(p, 0, sizeof(*p));
	orphan(sim, pid, parent);
	if (strcmp(was.comm, "init") == 0)
		end_namespace(sim, &was);
	for (int i = 0; i < SIM_FILES; i++)
		if (sim->files[i].owner == pid)
			sim->files[i].owner = 0;
}

pid_t sim_play(struct sim *sim, const char *comm)
{
	struct sim_proc *p = sim_proc_new(sim, comm, 2);

	p->played_by = getpid();
	sim->me = p->ident.pid;
	return sim->me;
}

void sim_play_as(struct sim *sim, pid_t pid)
{
	struct sim_proc *p = sim_find(sim, pid);

	if (p)
		p->played_by = getpid();
	sim->me = pid;
}

void sim_dead(struct sim *sim)
{
	struct sim_proc *p = sim_find(sim, sim->me);

	sim->me = 0;
	if (p)
		sim_kill(sim, p, SIGKILL);
	for (int i = 0; i < SIM_PROCS; i++) /* outputs that nobody will read */
		if (sim->procs[i].ident.pid < 0)
			memset(&sim->procs[i], 0, sizeof(sim->procs[i]));
}

/* The next child that has something to do by @end. */
static struct sim_proc *next_actor(struct sim *sim, int64_t end)
{
	struct sim_proc *found = NULL;

	for (int i = 0; i < SIM_PROCS; i++) {
		struct sim_proc *p = &sim->procs[i];

		if (!p->ident.pid || p->zombie || p->held || p->program == SIM_STAY ||
		    p->program == SIM_NONE || p->next_ms > end)
			continue;
		if (!found || p->next_ms < found->next_ms)
			found = p;
	}
	return found;
}

static bool act_until(struct sim *sim, int64_t end)
{
	struct sim_proc *p = next_actor(sim, end);

	if (!p)
		return false;
	if (p->next_ms > sim->now_ms)
		sim->now_ms = p->next_ms;
	p->next_ms = sim->now_ms + 1;
	sim_act(sim, p);
	return true;
}

void sim_pass(struct sim *sim, int64_t ms)
{
	int64_t end = sim->now_ms + ms;

	while (act_until(sim, end))
		;
	sim->now_ms = end;
}

/* ---- files ------------------------------------------------------------------------------- */

struct sim_file *sim_file(struct sim *sim, const char *path)
{
	for (int i = 0; i < SIM_FILES; i++)
		if (*path && strcmp(sim->files[i].path, path) == 0)
			return &sim->files[i];
	return NULL;
}

struct sim_file *sim_make(struct sim *sim, const char *path, uint32_t mode)
{
	struct sim_file *f = sim_file(sim, path);

	for (int i = 0; !f && i < SIM_FILES; i++)
		if (!*sim->files[i].path)
			f = &sim->files[i];
	if (!f)
		abort();
	memset(f, 0, sizeof(*f));
	(void)snprintf(f->path, sizeof(f->path), "%s", path);
	f->what = (struct path_ident){ .dev = 1, .ino = sim->next_ino++, .mode = mode };
	return f;
}

struct sim_mount *sim_mount_new(struct sim *sim, const char *type, const char *source,
				const char *target)
{
	for (int i = 0; i < SIM_MOUNTS; i++) {
		struct sim_mount *m = &sim->mounts[i];

		if (m->id)
			continue;
		m->id = sim->next_mount++;
		m->minor = (uint32_t)m->id;
		(void)snprintf(m->type, sizeof(m->type), "%s", type);
		(void)snprintf(m->source, sizeof(m->source), "%s", source);
		(void)snprintf(m->target, sizeof(m->target), "%s", target);
		return m;
	}
	abort();
}

/* ---- the world ----------------------------------------------------------------------------- */

static void populate(struct sim *sim)
{
	static const char *const folders[] = {
		"/", "/run", "/run/urunc", "/run/urunc/exec", "/run/containerd/s", "/run/containerd", "/run/containerd/runc",
		"/run/containerd/runc/default", "/b", "/sys/fs/cgroup",
	};

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		sim_make(sim, folders[i], S_IFDIR | 0711);
	sim_mount_new(sim, "ext4", "/dev/vda1", "/");
	sim_mount_new(sim, "cgroup2", "cgroup2", "/sys/fs/cgroup");
	sim_proc_new(sim, "init", 0);
	sim_proc_new(sim, "containerd", 1);
	sim->next_pid = SIM_PIDS;
}

struct sim *sim_new(void)
{
	struct sim *sim = mmap(NULL, sizeof(*sim), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (sim == MAP_FAILED)
		abort();
	sim->now_ms = 1000000;
	sim->next_ino = 100;
	sim->next_pid = 1;
	sim->next_mount = 20;
	sim->containerd_knows = true;
	(void)snprintf(sim->epoch, sizeof(sim->epoch), EPOCH, 1);
	populate(sim);
	return sim;
}

void sim_free(struct sim *sim)
{
	munmap(sim, sizeof(*sim));
}

void sim_reboot(struct sim *sim)
{
	int boot = atoi(sim->epoch + strlen("boot-")) + 1;

	memset(sim->procs, 0, sizeof(sim->procs));
	memset(sim->mounts, 0, sizeof(sim->mounts));
	memset(sim->links, 0, sizeof(sim->links));
	for (int i = 0; i < SIM_FILES; i++)
		if (strncmp(sim->files[i].path, "/run", 4) == 0 ||
		    strncmp(sim->files[i].path, "/sys", 4) == 0)
			memset(&sim->files[i], 0, sizeof(sim->files[i]));
	sim->me = 0;
	sim->next_pid = 1;
	(void)snprintf(sim->epoch, sizeof(sim->epoch), EPOCH, boot);
	populate(sim);
}

/* ---- what is left ---------------------------------------------------------------------------- */

static void say(char *buf, size_t size, const char *what, const char *name, long n)
{
	size_t len = strlen(buf);

	if (n)
		(void)snprintf(buf + len, size - len, "%s %s %ld\n", what, name, n);
	else
		(void)snprintf(buf + len, size - len, "%s %s\n", what, name);
}

static bool was_proc(const struct sim *before, const struct ident *who)
{
	for (int i = 0; i < SIM_PROCS; i++)
		if (before->procs[i].ident.pid == who->pid &&
		    before->procs[i].ident.start == who->start)
			return true;
	return false;
}

static bool was_file(const struct sim *before, const char *path)
{
	for (int i = 0; i < SIM_FILES; i++)
		if (strcmp(before->files[i].path, path) == 0)
			return true;
	return false;
}

static bool was_mount(const struct sim *before, int64_t id)
{
	for (int i = 0; i < SIM_MOUNTS; i++)
		if (before->mounts[i].id == id)
			return true;
	return false;
}

static bool in_bundle(const char *path)
{
	return strncmp(path, "/b/", 3) == 0;
}

/* A lock nobody has is a name, and the next one of that name takes it. */
static bool is_lock(const struct sim_file *f)
{
	return !f->owner && strncmp(f->path, "/run/urunc/lock/", 16) == 0;
}

/* Of one boot: who was there before, and is no more. */
static void say_lost(const struct sim *now, const struct sim *before, char *buf, size_t size)
{
	if (strcmp(now->epoch, before->epoch) != 0)
		return;
	for (int i = 0; i < SIM_PROCS; i++)
		if (before->procs[i].ident.pid > 0 && !was_proc(now, &before->procs[i].ident))
			say(buf, size, "lost process", before->procs[i].comm,
			    before->procs[i].ident.pid);
	for (int i = 0; i < SIM_MOUNTS; i++)
		if (before->mounts[i].id && !was_mount(now, before->mounts[i].id))
			say(buf, size, "lost mount", before->mounts[i].target, 0);
}

static uint64_t mix(uint64_t sum, const void *data, size_t len)
{
	const unsigned char *at = data;

	while (len-- > 0)
		sum = (sum ^ *at++) * UINT64_C(1099511628211);
	return sum;
}

uint64_t sim_digest(const struct sim *sim)
{
	uint64_t sum = UINT64_C(14695981039346656037);

	for (int i = 0; i < SIM_PROCS; i++)
		if (sim->procs[i].ident.pid > 0 && sim->procs[i].ident.pid != sim->me) {
			sum = mix(sum, &sim->procs[i].ident, sizeof(sim->procs[i].ident));
			sum = mix(sum, &sim->procs[i].zombie, sizeof(sim->procs[i].zombie));
		}
	for (int i = 0; i < SIM_FILES; i++)
		if (*sim->files[i].path && !is_lock(&sim->files[i])) {
			sum = mix(sum, sim->files[i].path, strlen(sim->files[i].path));
			sum = mix(sum, &sim->files[i].what.ino, sizeof(sim->files[i].what.ino));
		}
	for (int i = 0; i < SIM_MOUNTS; i++)
		sum = mix(sum, &sim->mounts[i].id, sizeof(sim->mounts[i].id));
	return sum;
}

char *sim_left(const struct sim *now, const struct sim *before, char *buf, size_t size)
{
	*buf = '\0';
	for (int i = 0; i < SIM_PROCS; i++) {
		const struct sim_proc *p = &now->procs[i];

		if (p->ident.pid && !p->zombie && p->ident.pid != now->me &&
		    !was_proc(before, &p->ident))
			say(buf, size, "process", p->comm, p->ident.pid);
	}
	for (int i = 0; i < SIM_FILES; i++) {
		const struct sim_file *f = &now->files[i];

		if (*f->path && !in_bundle(f->path) && !is_lock(f) &&
		    !was_file(before, f->path))
			say(buf, size, "file", f->path, 0);
		f = &before->files[i];
		if (*f->path && !in_bundle(f->path) && !was_file(now, f->path))
			say(buf, size, "lost file", f->path, 0);
	}
	for (int i = 0; i < SIM_MOUNTS; i++)
		if (now->mounts[i].id && !was_mount(before, now->mounts[i].id))
			say(buf, size, "mount", now->mounts[i].target, (long)now->mounts[i].id);
	for (int i = 0; i < SIM_LINKS; i++)
		if (now->links[i].netns && now->links[i].netns != before->links[i].netns)
			say(buf, size, "link", now->links[i].name, now->links[i].index);
	say_lost(now, before, buf, size);
	return buf;
}
