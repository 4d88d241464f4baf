/* SPDX-License-Identifier: Apache-2.0 */
/*
 * axe.c - a tracer that dies when it is done: the kernel then lets go of everybody.
 */
#include "test/calls/axe.h"

#include "journal/base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACED_MAX 512
#define CALL_EXIT  (-1L) /* no system call: the kernel answers ENOSYS, we put it right */

struct traced {
	pid_t pid, parent;
};

/* Shared between the axe and who raised it. */
struct axe {
	pid_t tracer;
	volatile long seen, number;
	volatile bool fell;
	volatile long each[AXE_ERRORS];
	struct famine *famine; /* instead of a tracer */
};

struct tracer {
	struct axe *axe;
	const struct axe_order *order;
	struct traced at[TRACED_MAX];
	size_t count;
	bool armed, failing;
	unsigned long long loader, loader_end; /* its code, in the target */
};

/* ---- which calls can fail how ------------------------------------------------------------ */

/* What the manual pages name. Memory is denied where the kernel needs it, and where the
 * C library asks for it: a brk() that fails makes malloc() try mmap(). */
static const long no_space[] = { SYS_write, SYS_pwrite64, SYS_writev, SYS_mkdir, SYS_mkdirat,
				 SYS_ftruncate, SYS_rename, SYS_renameat, SYS_link, SYS_symlink,
				 SYS_fsync, SYS_fdatasync, SYS_fallocate, SYS_mknod, SYS_mknodat,
				 SYS_bind, SYS_openat, SYS_unshare, SYS_clone };
static const long bad_disk[] = { SYS_read, SYS_pread64, SYS_write, SYS_pwrite64, SYS_fsync,
				 SYS_fdatasync, SYS_openat, SYS_getdents64, SYS_newfstatat,
				 SYS_ftruncate, SYS_mkdir, SYS_unlink, SYS_unlinkat, SYS_rmdir,
				 SYS_rename, SYS_mount, SYS_readlink, SYS_readlinkat, SYS_execve,
				 SYS_fcntl };
static const long no_memory[] = { SYS_mmap, SYS_clone, SYS_fork, SYS_openat, SYS_mount,
				  SYS_socket, SYS_socketpair, SYS_epoll_create1, SYS_epoll_ctl,
				  SYS_newfstatat, SYS_getdents64, SYS_memfd_create,
				  SYS_pidfd_open, SYS_mkdir, SYS_execve, SYS_pipe2 };
static const long no_files[] = { SYS_openat, SYS_socket, SYS_socketpair, SYS_accept4, SYS_pipe2,
				 SYS_epoll_create1, SYS_memfd_create, SYS_pidfd_open, SYS_dup,
				 SYS_signalfd4, SYS_timerfd_create, SYS_eventfd2 };
static const long interrupted[] = { SYS_read, SYS_pread64, SYS_write, SYS_pwrite64, SYS_openat,
				    SYS_accept4, SYS_connect, SYS_poll, SYS_ppoll, SYS_epoll_wait,
				    SYS_wait4, SYS_sendto, SYS_sendmsg, SYS_recvfrom, SYS_recvmsg,
				    SYS_fcntl, SYS_ftruncate, SYS_fallocate, SYS_nanosleep,
				    SYS_clock_nanosleep, SYS_dup2, SYS_dup3, SYS_statfs };
static const long busy[] = { SYS_mount, SYS_umount2, SYS_mkdir, SYS_rmdir, SYS_unlink, SYS_unlinkat,
			     SYS_rename, SYS_openat, SYS_dup2, SYS_write, SYS_move_mount };
static const long forbidden[] = { SYS_openat, SYS_mkdir, SYS_rmdir, SYS_unlink, SYS_unlinkat,
				  SYS_rename, SYS_link, SYS_symlink, SYS_mknod, SYS_mknodat,
				  SYS_mount, SYS_umount2, SYS_setns, SYS_unshare, SYS_chmod,
				  SYS_fchmod, SYS_fchmodat, SYS_chown, SYS_fchownat, SYS_kill,
				  SYS_pidfd_send_signal, SYS_pidfd_open, SYS_fcntl, SYS_write,
				  SYS_connect, SYS_bind, SYS_socket, SYS_sendto, SYS_prctl,
				  SYS_epoll_ctl, SYS_clone, SYS_execve, SYS_ioctl };

const struct axe_error axe_errors[AXE_ERRORS] = {
	{ ENOSPC, "ENOSPC" }, { EIO, "EIO" },	  { ENOMEM, "ENOMEM" }, { EMFILE, "EMFILE" },
	{ EINTR, "EINTR" },   { EBUSY, "EBUSY" }, { EPERM, "EPERM" },
};

static const struct {
	const long *calls;
	size_t n;
} failing[AXE_ERRORS] = {
	{ no_space, ARRAY_SIZE(no_space) },   { bad_disk, ARRAY_SIZE(bad_disk) },
	{ no_memory, ARRAY_SIZE(no_memory) }, { no_files, ARRAY_SIZE(no_files) },
	{ interrupted, ARRAY_SIZE(interrupted) }, { busy, ARRAY_SIZE(busy) },
	{ forbidden, ARRAY_SIZE(forbidden) },
};

static bool may_fail(size_t with, long number)
{
	for (size_t i = 0; i < failing[with].n; i++)
		if (failing[with].calls[i] == number)
			return true;
	return false;
}

/* ---- the fall -------------------------------------------------------------------------------- */

static bool is_spared(const struct axe_order *o, pid_t pid)
{
	for (size_t i = 0; i < o->n_spared; i++)
		if (o->spared[i] == pid)
			return true;
	return pid == getpid() || pid == getppid();
}

/* Until a round finds nobody: one may fork while we look. */
static void kill_everybody(const struct axe_order *o)
{
	for (int found = 1, rounds = 0; found && rounds < 100; rounds++) {
		DIR *d = opendir("/proc");
		struct dirent *e;

		found = 0;
		while (d && (e = readdir(d)) != NULL) {
			pid_t pid = atoi(e->d_name);

			if (pid > 0 && !is_spared(o, pid) && kill(pid, SIGKILL) == 0)
				found = rounds < 2; /* zombies can be killed for ever */
		}
		if (d)
			closedir(d);
	}
}

static _Noreturn void fall(struct tracer *t)
{
	const struct axe_order *o = t->order;

	kill(o->target, SIGKILL);
	for (size_t i = 0; i < t->count && o->who == AXE_CLI; i++)
		if (t->at[i].parent == o->target)
			kill(t->at[i].pid, SIGKILL);
	if (o->who == AXE_ALL)
		kill_everybody(o);
	t->axe->fell = true;
	_exit(0);
}

/* ---- following --------------------------------------------------------------------------------- */

static struct traced *find(struct tracer *t, pid_t pid)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->at[i].pid == pid)
			return &t->at[i];
	if (t->count == TRACED_MAX)
		_exit(1);
	t->at[t->count] = (struct traced){ .pid = pid };
	return &t->at[t->count++];
}

static void set_regs(pid_t pid, long number, long result)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, 0, &regs) < 0)
		return;
	if (number)
		regs.orig_rax = (unsigned long long)number;
	else
		regs.rax = (unsigned long long)result;
	(void)ptrace(PTRACE_SETREGS, pid, 0, &regs);
}

/* What stands where AT_BASE points is the dynamic loader, and so is all of its file. */
static void find_loader(struct tracer *t)
{
	unsigned long aux[2], base = 0;
	char path[64], name[256], seen[256] = "";
	auto_file FILE *auxv = NULL;
	auto_file FILE *maps = NULL;
	auto_free char *line = NULL;
	unsigned long long from, to;
	size_t room = 0;

	snprintf(path, sizeof(path), "/proc/%d/auxv", (int)t->order->target);
	auxv = fopen(path, "re");
	while (auxv && fread(aux, sizeof(aux), 1, auxv) == 1)
		if (aux[0] == AT_BASE)
			base = aux[1];
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)t->order->target);
	maps = fopen(path, "re");
	while (maps && base && getline(&line, &room, maps) > 0) {
		if (sscanf(line, "%llx-%llx %*s %*s %*s %*s %255s", &from, &to, name) != 3)
			continue;
		if (from == base) {
			t->loader = from;
			snprintf(seen, sizeof(seen), "%s", name);
		}
		if (strcmp(name, seen) == 0)
			t->loader_end = to;
	}
}

/* Before main() there is nobody to answer: the loader says so, or dies of it. */
static bool counts(const struct tracer *t, const struct __ptrace_syscall_info *info)
{
	const struct axe_order *o = t->order;
	unsigned long long at = info->instruction_pointer;
	bool any = false;

	if (!o->error || !t->armed)
		return t->armed;
	if (at >= t->loader && at < t->loader_end)
		return false;
	for (size_t i = 0; i < AXE_ERRORS; i++) {
		if ((o->n && axe_errors[i].code != o->error) ||
		    !may_fail(i, (long)info->entry.nr))
			continue;
		t->axe->each[i]++;
		any = true;
	}
	return any;
}

static void on_entry(struct tracer *t, pid_t pid, const struct __ptrace_syscall_info *info)
{
	const struct axe_order *o = t->order;
	long number = (long)info->entry.nr;

	if (!counts(t, info))
		return;
	t->axe->number = number;
	t->axe->seen++;
	if (t->axe->seen != o->n)
		return;
	if (!o->error)
		fall(t);
	set_regs(pid, CALL_EXIT, 0);
	t->failing = true;
}

static void on_call(struct tracer *t, pid_t pid)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0)
		return;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		on_entry(t, pid, &info);
	} else if (info.op == PTRACE_SYSCALL_INFO_EXIT && t->failing) {
		set_regs(pid, 0, -t->order->error);
		t->axe->fell = true;
		_exit(0);
	}
}

/* The signal to go on with. */
static int on_stop(struct tracer *t, pid_t pid, int status)
{
	int event = status >> 16;
	int sig = WSTOPSIG(status);
	unsigned long child = 0;

	if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
	    event == PTRACE_EVENT_CLONE) {
		if (ptrace(PTRACE_GETEVENTMSG, pid, 0, &child) == 0)
			find(t, (pid_t)child)->parent = pid;
	} else if (event == PTRACE_EVENT_EXEC && pid == t->order->target) {
		t->armed = true;
		find_loader(t);
	} else if (sig == (SIGTRAP | 0x80)) {
		on_call(t, pid);
	} else if (!event) {
		return sig;
	}
	return 0;
}

static bool is_group_stop(int status)
{
	int sig = WSTOPSIG(status);

	return status >> 16 == PTRACE_EVENT_STOP && sig != SIGTRAP;
}

/* The calls of others are not looked at: they run at their own speed. */
static void follow(struct tracer *t)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		int sig;

		if (pid <= 0 || !WIFSTOPPED(status))
			continue;
		(void)find(t, pid);
		if (is_group_stop(status)) {
			ptrace(PTRACE_LISTEN, pid, 0, 0);
			continue;
		}
		sig = on_stop(t, pid, status);
		ptrace(pid == t->order->target ? PTRACE_SYSCALL : PTRACE_CONT, pid, 0, sig);
	}
}

static _Noreturn void trace(struct axe *axe, const struct axe_order *order, int ready)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
			     PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
	struct tracer t = { .axe = axe, .order = order, .armed = !order->from_exec };

	if (ptrace(PTRACE_SEIZE, order->target, 0, options) < 0 ||
	    ptrace(PTRACE_INTERRUPT, order->target, 0, 0) < 0)
		_exit(1);
	if (write(ready, "", 1) == 1)
		follow(&t);
	_exit(0);
}

/* ---- outside ------------------------------------------------------------------------------------- */

/* The target does it to itself. */
static struct axe *famine_raise(struct axe *axe, const struct axe_order *order)
{
	axe->famine = order->famine;
	*axe->famine = (struct famine){ .n = order->n };
	axe->famine->target = order->target;
	return axe;
}

struct axe *axe_raise(const struct axe_order *order)
{
	struct axe *axe = mmap(NULL, sizeof(*axe), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ready[2];
	char byte;
	pid_t pid;

	if (axe == MAP_FAILED)
		return NULL;
	if (order->famine)
		return famine_raise(axe, order);
	if (pipe2(ready, O_CLOEXEC) < 0)
		return NULL;
	pid = fork(); /* its 0 must not be written into what both share */
	if (pid == 0)
		trace(axe, order, ready[1]);
	axe->tracer = pid;
	close(ready[1]);
	if (pid < 0 || read(ready[0], &byte, 1) != 1) {
		close(ready[0]);
		(void)axe_lower(axe);
		errno = EPERM;
		return NULL;
	}
	close(ready[0]);
	return axe;
}

long axe_seen(const struct axe *axe)
{
	return axe->famine ? axe->famine->seen : axe->seen;
}

struct axe_result axe_lower(struct axe *axe)
{
	struct axe_result result = { .fell = false };

	if (axe->famine) {
		axe->famine->target = 0;
		result = (struct axe_result){ .fell = axe->famine->fell,
					      .seen = axe->famine->seen };
	} else if (axe->tracer > 0) {
		kill(axe->tracer, SIGKILL);
		waitpid(axe->tracer, NULL, 0);
		result = (struct axe_result){ .fell = axe->fell, .seen = axe->seen,
					      .number = axe->number };
		memcpy(result.each, (const void *)axe->each, sizeof(result.each));
	}
	munmap(axe, sizeof(*axe));
	return result;
}
