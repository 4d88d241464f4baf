/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_node.c - the seam on top of the simulated machine.
 */
#include "test/lib/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WATCH_FD 100000 /* + pid: no descriptor of the test has such a number */

static struct sim *of(struct node *n)
{
	return ((struct sim_node *)n)->sim;
}

/* Every call passes here. Dying is real: no handler runs, nothing is flushed. */
static struct sim *call(struct node *n)
{
	struct sim *sim = of(n);

	if (++sim->calls == sim->die_at)
		(void)kill(getpid(), SIGKILL);
	return sim;
}

/* A call that can fail. */
static int call_err(struct node *n, struct sim **ret, const char *name, struct err *err)
{
	*ret = call(n);
	if ((*ret)->calls == (*ret)->fail_at)
		return err_set(err, (*ret)->fail_code, "simulated %s", name);
	return 0;
}

#define CALL(name)                                  \
	struct sim *sim;                            \
	int r_ = call_err(n, &sim, name, err);      \
	if (r_ < 0)                                 \
		return r_

/* ---- instant ---------------------------------------------------------------------------- */

static int64_t now_ms(struct node *n)
{
	return call(n)->now_ms;
}

static int64_t wall_ns(struct node *n)
{
	return (call(n)->now_ms + INT64_C(1700000000000)) * 1000000;
}

static uint64_t simple_random(struct node *n)
{
	return call(n)->next_ino++;
}

static const char *epoch(struct node *n)
{
	return of(n)->epoch;
}

/* ---- processes ---------------------------------------------------------------------------- */

static struct sim_proc *find(struct sim *sim, const struct ident *who)
{
	struct sim_proc *p = sim_find(sim, who->pid);

	return p && p->ident.start == who->start ? p : NULL;
}

static int self(struct node *n, struct ident *ret, struct err *err)
{
	CALL("self");
	*ret = sim_find(sim, sim->me)->ident;
	return 0;
}

static int alive(struct node *n, const struct ident *who, struct err *err)
{
	CALL("alive");
	return find(sim, who) && !find(sim, who)->zombie;
}

static void ids_of(struct sim *sim, const char *path, uint64_t *dev, uint64_t *ino)
{
	const struct sim_file *f = sim_file(sim, path);

	for (int i = 0; i < SIM_MOUNTS; i++)
		if (sim->mounts[i].id && strcmp(sim->mounts[i].target, path) == 0) {
			*dev = 1000 + sim->mounts[i].minor;
			*ino = 2;
		}
	if (f && !*dev) {
		*dev = f->what.dev;
		*ino = f->what.ino;
	}
}

static void describe(struct sim *sim, const struct sim_proc *p, struct proc_info *ret)
{
	*ret = (struct proc_info){ .ident = p->ident, .ppid = p->ppid, .sid = p->sid,
				   .state = p->zombie ? 'Z' : p->immortal ? 'D' : 'S' };
	(void)snprintf(ret->comm, sizeof(ret->comm), "%s", p->comm);
	ids_of(sim, p->cwd, &ret->cwd_dev, &ret->cwd_ino);
	ids_of(sim, p->root, &ret->root_dev, &ret->root_ino);
}

static int look(struct node *n, pid_t pid, struct proc_info *ret, struct err *err)
{
	struct sim_proc *p;

	CALL("look");
	p = sim_find(sim, pid);
	if (p)
		describe(sim, p, ret);
	return p != NULL;
}

static int scan(struct node *n, struct proc_info **ret, size_t *count, struct err *err)
{
	CALL("scan");
	*ret = calloc(SIM_PROCS, sizeof(**ret));
	*count = 0;
	for (int i = 0; i < SIM_PROCS; i++)
		if (sim->procs[i].ident.pid)
			describe(sim, &sim->procs[i], &(*ret)[(*count)++]);
	return 0;
}

static int cgroups_of(struct node *n, const struct ident *who, char **ret, struct err *err)
{
	const struct sim_proc *p;

	CALL("cgroups_of");
	p = find(sim, who);
	if (!p || p->zombie)
		return err_set(err, ESRCH, "process %d", (int)who->pid);
	return asprintf(ret, "0::%s\n", *(p->cgroup + strlen("/sys/fs/cgroup")) ?
			p->cgroup + strlen("/sys/fs/cgroup") : "/") < 0 ? -ENOMEM : 0;
}

/* Its locks on the journal go with it: wait for that. */
static void kill_real(pid_t pid)
{
	struct pollfd fd = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };

	(void)kill(pid, SIGKILL);
	if (fd.fd >= 0) {
		(void)poll(&fd, 1, 5000);
		close(fd.fd);
	}
}

static int simple_signal(struct node *n, const struct ident *who, int sig, struct err *err)
{
	struct sim_proc *p;

	CALL("signal");
	p = find(sim, who);
	if (!p || p->zombie)
		return err_set(err, ESRCH, "process %d", (int)who->pid);
	if (p->real && sig == SIGKILL)
		kill_real(p->ident.pid);
	if (!p->immortal && (sig == SIGKILL || sig == SIGTERM))
		sim_kill(sim, p, sig);
	return 0;
}

/* ---- children ------------------------------------------------------------------------------- */

static enum sim_program program_of(enum job job)
{
	switch (job) {
	case JOB_EXEC:
		return SIM_RUNTIME;
	case JOB_MOUNT:
		return SIM_MOUNT;
	case JOB_UNMOUNT:
		return SIM_UNMOUNT;
	case JOB_REMOVE_TREE:
		return SIM_REMOVE;
	case JOB_ASK:
		return SIM_ASK;
	case JOB_SYNC:
		return SIM_SYNC;
	case JOB_CALL:
	case JOB_NONE_:
	case JOB_N:
		break;
	}
	return SIM_STAY;
}

static int spawn(struct node *n, const struct spawn *what, struct ident *ret, struct err *err)
{
	struct sim_proc *p;
	size_t len = 0;

	CALL("spawn");
	p = sim_proc_new(sim, what->job == JOB_EXEC ? "runtime" : what->job == JOB_CALL ? "shim" : "job",
			 sim->me);
	p->held = true;
	p->die_with_us = what->die_with_us;
	p->program = program_of(what->job);
	(void)snprintf(p->cwd, sizeof(p->cwd), "%s", what->cwd ? what->cwd : "/");
	if (what->args)
		(void)snprintf(p->args, sizeof(p->args), "%s", what->args);
	for (size_t i = 0; what->job == JOB_EXEC && what->argv[i] && len < sizeof(p->args); i++)
		len += (size_t)snprintf(p->args + len, sizeof(p->args) - len, "%s\n", what->argv[i]);
	/* The server inherits what `start` listens on. */
	for (int i = 0; what->job == JOB_CALL && i < SIM_FILES; i++)
		if (S_ISSOCK(sim->files[i].what.mode) && sim->files[i].owner == sim->me)
			sim->files[i].owner = p->ident.pid;
	*ret = p->ident;
	return 0;
}

static int spawn_go(struct node *n, const struct ident *child, struct err *err)
{
	struct sim_proc *p;

	CALL("spawn_go");
	p = find(sim, child);
	if (!p || p->zombie)
		return err_set(err, ESRCH, "child %d", (int)child->pid);
	p->held = false;
	p->next_ms = sim->now_ms + 1;
	return 0;
}

static int watch(struct node *n, const struct ident *who, struct err *err)
{
	CALL("watch");
	if (!find(sim, who))
		return err_set(err, ESRCH, "process %d", (int)who->pid);
	return WATCH_FD + who->pid;
}

static int reap(struct node *n, const struct ident *who, int *status, struct err *err)
{
	struct sim_proc *p;

	CALL("reap");
	p = find(sim, who);
	*status = -1;
	if (!p)
		return 1;
	if (!p->zombie || p->ppid != sim->me)
		return 0;
	*status = p->status;
	/* The output is kept under the number until somebody reads it. */
	p->ident.start = 0;
	p->ident.pid = -who->pid;
	p->ppid = 0;
	return 1;
}

static int spawn_output(struct node *n, const struct ident *child, char **ret, struct err *err)
{
	struct sim_proc *p;

	CALL("spawn_output");
	p = sim_find(sim, -child->pid);
	*ret = strdup(p ? p->out : "");
	if (p)
		memset(p, 0, sizeof(*p));
	return *ret ? 0 : -ENOMEM;
}

static void forget(struct node *n, const struct ident *who)
{
	struct sim_proc *p = sim_find(call(n), -who->pid);

	if (p)
		memset(p, 0, sizeof(*p));
}

static bool ready(struct sim *sim, struct pollfd *fds, unsigned count)
{
	bool any = false;

	for (unsigned i = 0; i < count; i++) {
		const struct sim_proc *p = sim_find(sim, fds[i].fd - WATCH_FD);

		fds[i].revents = 0;
		if (fds[i].fd < WATCH_FD || (p && !p->zombie))
			continue;
		fds[i].revents = POLLIN;
		any = true;
	}
	return any;
}

static int simple_poll(struct node *n, struct pollfd *fds, unsigned count, int ms)
{
	struct sim *sim = call(n);
	int64_t end = sim->now_ms + ms;

	while (!ready(sim, fds, count) && sim->now_ms < end)
		sim_pass(sim, 1);
	return 0;
}

/* ---- files ------------------------------------------------------------------------------------ */

static int path(struct node *n, const char *name, struct path_ident *ret, struct err *err)
{
	const struct sim_file *f;

	CALL("path");
	f = sim_file(sim, name);
	if (!f)
		return 0;
	*ret = f->what;
	ret->size = (int64_t)strlen(f->data);
	ret->dev = ret->ino = 0;
	ids_of(sim, name, &ret->dev, &ret->ino);
	return 1;
}

static int read_file(struct node *n, const char *name, size_t max, char **ret, size_t *len,
		     struct err *err)
{
	const struct sim_file *f;

	CALL("read_file");
	f = sim_file(sim, name);
	if (!f || S_ISDIR(f->what.mode))
		return err_set(err, ENOENT, "%s", name);
	if (strlen(f->data) > max)
		return err_set(err, EFBIG, "%s", name);
	*ret = strdup(f->data);
	*len = strlen(f->data);
	return *ret ? 0 : -ENOMEM;
}

static int write_file(struct node *n, const char *name, const char *data, size_t len,
		      uint32_t mode, struct err *err)
{
	struct sim_file *f;

	CALL("write_file");
	f = sim_make(sim, name, S_IFREG | mode);
	(void)snprintf(f->data, sizeof(f->data), "%.*s", (int)len, data);
	return 0;
}

static int make_dir(struct node *n, const char *name, uint32_t mode, struct err *err)
{
	CALL("make_dir");
	if (sim_file(sim, name))
		return 0;
	sim_make(sim, name, S_IFDIR | mode);
	return 1;
}

static bool occupied(struct sim *sim, const char *name)
{
	size_t len = strlen(name);

	for (int i = 0; i < SIM_FILES; i++)
		if (strncmp(sim->files[i].path, name, len) == 0 && sim->files[i].path[len] == '/')
			return true;
	return false;
}

static bool inhabited(struct sim *sim, const char *name)
{
	for (int i = 0; i < SIM_PROCS; i++)
		if (sim->procs[i].ident.pid > 0 && !sim->procs[i].zombie &&
		    strcmp(sim->procs[i].cgroup, name) == 0)
			return true;
	return false;
}

static int unname(struct sim *sim, const char *name, const struct path_ident *who,
		  struct err *err)
{
	struct sim_file *f = sim_file(sim, name);

	if (!f)
		return 0;
	if (who && f->what.ino != who->ino)
		return err_set(err, ESTALE, "%s", name);
	if (S_ISDIR(f->what.mode) && occupied(sim, name))
		return err_set(err, ENOTEMPTY, "%s", name);
	if (S_ISDIR(f->what.mode) && inhabited(sim, name))
		return err_set(err, EBUSY, "%s", name);
	for (int i = 0; i < SIM_MOUNTS; i++)
		if (sim->mounts[i].id && strcmp(sim->mounts[i].target, name) == 0)
			return err_set(err, EBUSY, "%s", name);
	memset(f, 0, sizeof(*f));
	return 1;
}

static int remove_dir(struct node *n, const char *name, const struct path_ident *who,
		      struct err *err)
{
	CALL("remove_dir");
	return unname(sim, name, who, err);
}

static int remove_file(struct node *n, const char *name, const struct path_ident *who,
		       struct err *err)
{
	CALL("remove_file");
	return unname(sim, name, who, err);
}

/* Direct children only; sorted by where they are, which no caller minds. */
static int list_dir(struct node *n, const char *name, char ***ret, struct err *err)
{
	size_t len = strlen(name), count = 0, used = (SIM_FILES + 1) * sizeof(char *);
	char *block;

	CALL("list_dir");
	if (!sim_file(sim, name))
		return err_set(err, ENOENT, "%s", name);
	block = calloc(1, used + (size_t)SIM_FILES * SIM_PATH);
	*ret = (char **)(void *)block;
	for (int i = 0; block && i < SIM_FILES; i++) {
		const char *at = sim->files[i].path;

		if (strncmp(at, name, len) != 0 || at[len] != '/' || strchr(at + len + 1, '/'))
			continue;
		(*ret)[count++] = strcpy(block + used, at + len + 1);
		used += strlen(at + len + 1) + 1;
	}
	return block ? 0 : -ENOMEM;
}

static int lock(struct node *n, const char *name, struct err *err)
{
	struct sim_file *f;

	CALL("lock");
	f = sim_file(sim, name);
	if (f && f->owner && f->owner != sim->me)
		return 0;
	if (!f)
		f = sim_make(sim, name, S_IFREG | 0600);
	f->owner = sim->me;
	return 1;
}

static int unlock(struct node *n, const char *name, struct err *err)
{
	struct sim_file *f;

	CALL("unlock");
	f = sim_file(sim, name);
	if (f && f->owner == sim->me)
		memset(f, 0, sizeof(*f));
	return 0;
}

/* ---- mounts, cgroups, sockets -------------------------------------------------------------------- */

static int mounts(struct node *n, struct mount_list *ret, struct err *err)
{
	CALL("mounts");
	ret->at = calloc(SIM_MOUNTS, sizeof(*ret->at));
	ret->n = 0;
	for (int i = 0; i < SIM_MOUNTS; i++) {
		const struct sim_mount *m = &sim->mounts[i];

		if (!m->id)
			continue;
		ret->at[ret->n++] = (struct mount_info){
			.id = m->id, .parent = 1, .major = 0, .minor = m->minor,
			.root = strdup("/"), .target = strdup(m->target), .type = strdup(m->type),
			.source = strdup(m->source), .options = strdup("rw"), .super = strdup("rw"),
		};
	}
	return 0;
}

static int cgroup(struct node *n, const char *name, struct cgroup_info *ret, struct err *err)
{
	const struct sim_file *f;
	size_t len = strlen(name);

	CALL("cgroup");
	f = sim_file(sim, name);
	if (!f)
		return 0;
	*ret = (struct cgroup_info){ .path = f->what };
	for (int i = 0; i < SIM_PROCS; i++) {
		const struct sim_proc *p = &sim->procs[i];

		if (p->ident.pid <= 0 || p->zombie || strncmp(p->cgroup, name, len) != 0)
			continue;
		ret->procs += p->cgroup[len] == '\0';
		ret->populated = true;
	}
	return 1;
}

static int cgroup_pids(struct node *n, const char *name, struct ident **ret, size_t *count,
		       struct err *err)
{
	CALL("cgroup_pids");
	*ret = calloc(SIM_PROCS, sizeof(**ret));
	*count = 0;
	for (int i = 0; i < SIM_PROCS; i++)
		if (sim->procs[i].ident.pid > 0 && !sim->procs[i].zombie &&
		    strcmp(sim->procs[i].cgroup, name) == 0)
			(*ret)[(*count)++] = sim->procs[i].ident;
	return 0;
}

static int cgroup_write(struct node *n, const char *name, const char *file, const char *text,
			struct err *err)
{
	CALL("cgroup_write");
	(void)text;
	if (strcmp(file, "cgroup.kill") != 0)
		return err_set(err, ENOENT, "%s/%s", name, file);
	for (int i = 0; i < SIM_PROCS; i++)
		if (sim->procs[i].ident.pid > 0 && !sim->procs[i].zombie &&
		    strcmp(sim->procs[i].cgroup, name) == 0)
			sim_kill(sim, &sim->procs[i], SIGKILL);
	return 0;
}

static int simple_listen(struct node *n, const char *name, int *ret, struct err *err)
{
	struct sim_file *f;

	CALL("listen");
	if (sim_file(sim, name))
		return err_set(err, EADDRINUSE, "%s", name);
	*ret = open("/dev/null", O_RDWR | O_CLOEXEC);
	f = sim_make(sim, name, S_IFSOCK | 0600);
	f->owner = sim->me;
	(void)snprintf(f->data, sizeof(f->data), "%d", *ret);
	return 0;
}

static int answers(struct node *n, const char *name, struct err *err)
{
	const struct sim_file *f;

	CALL("answers");
	f = sim_file(sim, name);
	/* What the player listened on itself lives as long as its descriptor. */
	if (f && f->owner == sim->me && fcntl(atoi(f->data), F_GETFD) < 0)
		return 0;
	return f && f->owner;
}

static int peers(struct node *n, const char *name, struct err *err)
{
	CALL("peers");
	(void)name;
	return sim->peers;
}

void sim_node_init(struct sim_node *n, struct sim *sim)
{
	*n = (struct sim_node){
		.sim = sim,
		.node = {
			.now_ms = now_ms, .wall_ns = wall_ns, .random = simple_random,
			.epoch = epoch, .self = self, .alive = alive, .look = look, .scan = scan,
			.cgroups_of = cgroups_of, .signal = simple_signal, .spawn = spawn,
			.spawn_go = spawn_go, .watch = watch, .reap = reap,
			.spawn_output = spawn_output, .forget = forget, .poll = simple_poll,
			.path = path, .read_file = read_file, .write_file = write_file,
			.make_dir = make_dir, .remove_dir = remove_dir,
			.remove_file = remove_file, .list_dir = list_dir, .lock = lock,
			.unlock = unlock, .mounts = mounts, .cgroup = cgroup,
			.cgroup_pids = cgroup_pids, .cgroup_write = cgroup_write,
			.listen = simple_listen, .answers = answers, .peers = peers,
		},
	};
}
