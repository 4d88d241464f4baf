/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux_proc.c - processes, as /proc shows them.
 *
 * A process may end, and its pid be given to another, between any two lines here. So
 * whatever was done by pid is followed by a look at the start time: if that is still
 * the one asked for, it was the right process all along.
 */
#include "supervisor/node/linux.h"

#include "journal/base/cleanup.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define CGROUP_TEXT_MAX 65536

int linux_stat(pid_t pid, struct proc_stat *ret, struct err *err)
{
	char path[32];
	char text[1024];
	auto_fd int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* ESRCH: it went away after its folder had been found. */
	if (fd < 0)
		return errno == ENOENT || errno == ESRCH ? 0 : err_set(err, errno, "%s", path);
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return errno == ESRCH ? 0 : err_set(err, errno, "read %s", path);
	text[n] = '\0';
	if (n == 0)
		return 0;
	if (proc_stat_parse(text, ret) < 0)
		return err_say(err, EINVAL, "%s: this is not what proc(5) says it is: %s", path,
			       text);
	return 1;
}

/* The process with this identity: 1 and *ret, or 0. A zombie counts. */
static int same_process(const struct ident *who, struct proc_stat *ret, struct err *err)
{
	int rc;

	if (who->pid <= 0)
		return 0;
	rc = linux_stat(who->pid, ret, err);
	return rc <= 0 ? rc : ret->start == who->start;
}

static int self(struct node *n, struct ident *ret, struct err *err)
{
	struct proc_stat st;
	int rc = linux_stat(getpid(), &st, err);

	(void)n;
	if (rc <= 0)
		return rc < 0 ? rc : err_say(err, ESRCH, "/proc does not know this process: it "
					     "is of another pid namespace");
	*ret = (struct ident){ .pid = st.pid, .start = st.start };
	return 0;
}

static int alive(struct node *n, const struct ident *who, struct err *err)
{
	struct proc_stat st;
	int rc = same_process(who, &st, err);

	(void)n;
	return rc <= 0 ? rc : proc_stat_alive(&st);
}

/* Follow a link of /proc/PID, without waking a file server. */
static bool where(int dir, const char *name, uint64_t *dev, uint64_t *ino)
{
	struct statx st;

	if (statx(dir, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &st) < 0)
		return false;
	if (dev)
		*dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	*ino = st.stx_ino;
	return true;
}

static int look(struct node *n, pid_t pid, struct proc_info *ret, struct err *err)
{
	char path[32];
	auto_fd int dir = -1;
	struct proc_stat st;
	struct proc_info p = { 0 };
	int rc;

	(void)n;
	/* The folder is bound to the process, not to the number. */
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0 : err_set(err, errno, "%s", path);
	(void)where(dir, "cwd", &p.cwd_dev, &p.cwd_ino);
	(void)where(dir, "root", &p.root_dev, &p.root_ino);
	(void)where(dir, "ns/mnt", NULL, &p.mntns);
	(void)where(dir, "ns/net", NULL, &p.netns);
	(void)where(dir, "ns/pid", NULL, &p.pidns);
	rc = linux_stat(pid, &st, err);
	if (rc <= 0)
		return rc;
	p.ident = (struct ident){ .pid = pid, .start = st.start };
	p.ppid = st.ppid;
	p.sid = st.sid;
	p.state = st.state;
	p.exiting = st.exiting;
	memcpy(p.comm, st.comm, sizeof(p.comm));
	*ret = p;
	return 1;
}

static struct proc_info *more(struct proc_info **list, size_t count, size_t *room)
{
	struct proc_info *grown;

	if (count == *room) {
		*room = *room ? *room * 2 : 256;
		grown = reallocarray(*list, *room, sizeof(*grown));
		if (!grown)
			return NULL;
		*list = grown;
	}
	return &(*list)[count];
}

static int scan(struct node *n, struct proc_info **ret, size_t *count, struct err *err)
{
	auto_dir DIR *dir = opendir("/proc");
	auto_free struct proc_info *list = NULL;
	const struct dirent *de;
	size_t room = 0;
	size_t used = 0;

	if (!dir)
		return err_set(err, errno, "/proc");
	while ((de = readdir(dir))) {
		struct proc_info *p;
		int rc;

		if (!isdigit((unsigned char)de->d_name[0]))
			continue;
		p = more(&list, used, &room);
		if (!p)
			return err_set(err, ENOMEM, "list the processes");
		rc = look(n, (pid_t)atoi(de->d_name), p, err);
		if (rc < 0)
			return rc;
		used += (size_t)rc;
	}
	*count = used;
	*ret = TAKE_PTR(list);
	return 0;
}

static int gone(const struct ident *who, struct err *err)
{
	return err_say(err, ESRCH, "process %d (started at tick %llu) is gone", (int)who->pid,
		       (unsigned long long)who->start);
}

static int cgroups_of(struct node *n, const struct ident *who, char **ret, struct err *err)
{
	char path[40];
	auto_free char *text = NULL;
	struct err why = ERR_INIT;
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)who->pid);
	rc = linux_read_path(path, CGROUP_TEXT_MAX, &text, NULL, &why);
	if (rc < 0 && rc != -ENOENT && rc != -ESRCH) {
		if (err)
			*err = why;
		return rc;
	}
	if (rc == 0)
		rc = alive(n, who, err);
	if (rc <= 0)
		return rc < 0 && rc != -ENOENT && rc != -ESRCH ? rc : gone(who, err);
	*ret = TAKE_PTR(text);
	return 0;
}

/* Opened by number, so the look at the start time comes after. */
static int open_pidfd(const struct ident *who, struct proc_stat *st, struct err *err)
{
	auto_fd int fd = -1;
	int rc;

	if (who->pid <= 0)
		return gone(who, err);
	fd = pidfd_open(who->pid, 0);
	if (fd < 0)
		return errno == ESRCH || errno == EINVAL
			       ? gone(who, err)
			       : err_set(err, errno, "watch process %d", (int)who->pid);
	rc = same_process(who, st, err);
	if (rc < 0)
		return rc;
	return rc ? TAKE_FD(fd) : gone(who, err);
}

static int send_signal(struct node *n, const struct ident *who, int sig, struct err *err)
{
	struct proc_stat st;
	auto_fd int fd = open_pidfd(who, &st, err);

	(void)n;
	if (fd < 0)
		return fd;
	if (!proc_stat_alive(&st))
		return gone(who, err);
	if (pidfd_send_signal(fd, sig, NULL, 0) < 0)
		return errno == ESRCH ? gone(who, err)
				      : err_set(err, errno, "signal %d to process %d", sig,
						(int)who->pid);
	return 0;
}

static int watch(struct node *n, const struct ident *who, struct err *err)
{
	struct linux_node *ln = linux_of(n);
	struct child *c = linux_child(ln, who);
	struct proc_stat st;
	auto_fd int fd = -1;

	if (c)
		return c->pidfd >= 0 ? c->pidfd : gone(who, err);
	fd = open_pidfd(who, &st, err);
	if (fd < 0)
		return fd;
	c = linux_child_add(ln, who);
	if (!c)
		return err_set(err, ENOMEM, "watch process %d", (int)who->pid);
	c->pidfd = TAKE_FD(fd);
	return c->pidfd;
}

void linux_proc_ops(struct node *n)
{
	n->self = self;
	n->alive = alive;
	n->look = look;
	n->scan = scan;
	n->cgroups_of = cgroups_of;
	n->signal = send_signal;
	n->watch = watch;
}
