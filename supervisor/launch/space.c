/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/launch/launch.h"

#include "journal/base/cleanup.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>

/* pid: it was born in it. mount: always a new one. */
static const struct {
	const char *type;
	int flag;
} kinds[] = {
	{ "network", CLONE_NEWNET }, { "uts", CLONE_NEWUTS },	    { "ipc", CLONE_NEWIPC },
	{ "cgroup", CLONE_NEWCGROUP }, { "time", 0 /* CLONE_NEWTIME */ },
};
#define KINDS ARRAY_SIZE(kinds)

static int join_cgroup(const char *folder, struct err *err)
{
	auto_free char *path = NULL;
	auto_fd int fd = -1;

	if (asprintf(&path, "%s/cgroup.procs", folder) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "join cgroup %s", folder);
	}
	fd = open(path, O_WRONLY | O_CLOEXEC);
	/* 0 is whoever writes. */
	if (fd < 0 || write(fd, "0", 1) != 1)
		return err_set(err, errno, "join cgroup %s", folder);
	return 0;
}

static int join_cgroups(json_object *args, struct err *err)
{
	json_object *list = launch_member(args, "cgroups", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = join_cgroup(json_object_get_string(json_object_array_get_idx(list, i)), err);
	return rc;
}

/* All are opened before the first is entered: a path may lead over another's /proc. */
struct wish {
	int flags;      /* to be made           */
	int fd[KINDS];  /* to be entered; -1    */
};

static int note(struct wish *w, json_object *one, struct err *err)
{
	const char *type = launch_text(one, "type");
	const char *path = launch_text(one, "path");

	if (strcmp(type, "pid") == 0 || (strcmp(type, "mount") == 0 && !path[0]))
		return 0;
	for (size_t i = 0; i < KINDS; i++) {
		if (strcmp(type, kinds[i].type) != 0 || !kinds[i].flag)
			continue;
		if (!path[0]) {
			w->flags |= kinds[i].flag;
			return 0;
		}
		w->fd[i] = open(path, O_RDONLY | O_CLOEXEC);
		return w->fd[i] < 0 ? err_set(err, errno, "open the %s namespace %s", type, path) : 0;
	}
	return err_say(err, ENOTSUP, "a monitor can't be put into %s %s namespace%s%s",
		       path[0] ? "the" : "a", type, path[0] ? " " : "", path);
}

static int enter(struct wish *w, struct err *err)
{
	for (size_t i = 0; i < KINDS; i++)
		if (w->fd[i] >= 0 && setns(w->fd[i], kinds[i].flag) < 0)
			return err_set(err, errno, "enter the %s namespace", kinds[i].type);
	if (unshare(w->flags | CLONE_NEWNS) < 0)
		return err_set(err, errno, "make its namespaces");
	/* From here on nothing that is mounted is seen by others. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(err, errno, "keep its mounts to itself");
	return 0;
}

static int namespaces(json_object *args, struct wish *w, struct err *err)
{
	json_object *list = launch_member(args, "namespaces", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = note(w, json_object_array_get_idx(list, i), err);
	return rc < 0 ? rc : enter(w, err);
}

/* The keys of the node's daemons are not the monitor's. */
static int leave_keyring(struct err *err)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		return err_set(err, errno, "give it a keyring of its own");
	return 0;
}

int launch_space(json_object *args, struct err *err)
{
	const char *name = launch_text(args, "hostname");
	struct wish w = { .fd = { -1, -1, -1, -1, -1 } };
	int rc = leave_keyring(err);

	if (rc == 0)
		rc = join_cgroups(args, err);
	if (rc == 0)
		rc = namespaces(args, &w, err);
	for (size_t i = 0; i < KINDS; i++)
		cleanup_fd_(&w.fd[i]);
	if (rc == 0 && name[0] && (w.flags & CLONE_NEWUTS) && sethostname(name, strlen(name)) < 0)
		rc = err_set(err, errno, "set the host name %s", name);
	return rc;
}
