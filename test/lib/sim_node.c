/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_node.c - the seam on top of the simulated machine.
 */
#include "test/lib/sim_call.h"

#include <errno.h>
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

extern void __gcov_dump(void) __attribute__((weak));

void sim_leave(int status)
{
	if (__gcov_dump)
		__gcov_dump();
	_exit(status);
}

void sim_die(void)
{
	if (__gcov_dump)
		__gcov_dump();
	(void)kill(getpid(), SIGKILL);
}

/* After a slice of calls, wait until it is our turn again. */
static void take_turns(struct sim_node *n)
{
	struct sim *sim = n->sim;
	pid_t me = sim->me;
	char c = 'y';

	if (n->conductor <= 0 || sim->slice <= 0 || --sim->slice > 0)
		return;
	if (write(n->conductor, &c, 1) != 1 || read(n->conductor, &c, 1) != 1)
		_exit(1);
	sim->me = me;
}

struct sim *sim_call(struct node *n)
{
	struct sim *sim = of(n);

	if (++sim->calls == sim->die_at)
		sim_die();
	if (sim->calls_max && sim->calls > sim->calls_max)
		sim_leave(SIM_ENDLESS);
	take_turns((struct sim_node *)n);
	return sim;
}

/* A call that can fail. */
int sim_call_err(struct node *n, struct sim **ret, const char *name, struct err *err)
{
	*ret = sim_call(n);
	if ((*ret)->calls == (*ret)->fail_at)
		return err_set(err, (*ret)->fail_code, "simulated %s", name);
	return 0;
}

int sim_tell(struct node *n, const char *topic, int life)
{
	struct sim *sim = sim_call(n);

	if (sim->containerd_down || sim->containerd_silent)
		return -EAGAIN;
	if (sim->ntold == SIM_TOLD)
		abort();
	sim->told[sim->ntold].life = life;
	(void)snprintf(sim->told[sim->ntold++].topic, sizeof(sim->told[0].topic), "%s", topic);
	(void)sim_call(n); /* told, and not yet off the list */
	return 0;
}

/* ---- instant ---------------------------------------------------------------------------- */

static int64_t now_ms(struct node *n)
{
	return sim_call(n)->now_ms;
}

static int64_t wall_ns(struct node *n)
{
	return (sim_call(n)->now_ms + INT64_C(1700000000000)) * 1000000;
}

static uint64_t simple_random(struct node *n)
{
	return sim_call(n)->next_ino++;
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

void sim_ids(struct sim *sim, const char *path, uint64_t *dev, uint64_t *ino)
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
	sim_ids(sim, p->cwd, &ret->cwd_dev, &ret->cwd_ino);
	sim_ids(sim, p->root, &ret->root_dev, &ret->root_ino);
	ret->netns = p->zombie ? 0 : p->netns;
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
	if (p->played_by && p->played_by != getpid() && sig == SIGKILL)
		kill_real(p->played_by);
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
	case JOB_LOOK:
		return SIM_LOOK;
	case JOB_SYNC:
		return SIM_SYNC;
	case JOB_NET_LOOK:
	case JOB_NET_ATTACH:
	case JOB_NET_DETACH:
	case JOB_NET_LIST:
		return SIM_NET;
	case JOB_LAUNCH:
		return SIM_LAUNCH;
	case JOB_HOOK:
		return SIM_HOOK;
	case JOB_RELEASE:
	case JOB_CALL:
	case JOB_NONE_:
	case JOB_N:
		break;
	}
	return SIM_STAY;
}

static const char *comm_of(enum job job)
{
	return job == JOB_EXEC ? "runtime" : job == JOB_CALL ? "shim"
	     : job == JOB_LAUNCH ? "init" : "job";
}

static int spawn(struct node *n, const struct spawn *what, struct ident *ret, struct err *err)
{
	struct sim_proc *p;
	size_t len = 0;

	CALL("spawn");
	p = sim_proc_new(sim, comm_of(what->job), sim->me);
	p->held = true;
	p->die_with_us = what->die_with_us;
	p->program = program_of(what->job);
	p->hangs = ++sim->spawns == sim->hang_at;
	if (p->hangs && what->job != JOB_HOOK)
		p->program = SIM_STAY;
	p->hearer = what->talks ? sim->me : 0;
	p->job = what->job;
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
	struct sim_proc *p = sim_find(sim_call(n), -who->pid);

	if (p)
		memset(p, 0, sizeof(*p));
}

static bool ready(struct sim *sim, struct pollfd *fds, unsigned count)
{
	bool any = false;

	for (unsigned i = 0; i < count; i++) {
		const struct sim_proc *p = sim_find(sim, fds[i].fd - WATCH_FD);
		bool talks = fds[i].fd >= SIM_TALK_FD;

		fds[i].revents = 0;
		if (talks ? !sim_talk_ready(sim, fds[i].fd)
			  : fds[i].fd < WATCH_FD || (p && !p->zombie))
			continue;
		fds[i].revents = POLLIN;
		any = true;
	}
	return any;
}

static int simple_poll(struct node *n, struct pollfd *fds, unsigned count, int ms)
{
	struct sim *sim = sim_call(n);
	int64_t end = sim->now_ms + ms;

	while (!ready(sim, fds, count) && sim->now_ms < end)
		sim_pass(sim, 1);
	return 0;
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
		},
	};
	sim_files_init(&n->node);
	sim_talk_init(&n->node);
}
