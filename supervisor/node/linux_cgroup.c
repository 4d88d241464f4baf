/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux_cgroup.c - cgroup folders, of either version.
 *
 * Version 2 says in cgroup.events whether anybody lives in it or below; version 1 is
 * walked. A folder whose files can't be read, because it vanishes under our hands, has
 * nobody in it.
 */
#include "supervisor/node/linux.h"

#include "journal/base/cleanup.h"
#include "journal/base/text.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_MAX  (8u << 20) /* of cgroup.procs: half a million processes */
#define DEPTH_MAX 64

static bool vanished(int rc)
{
	return rc == -ENOENT || rc == -ENODEV || rc == -ENOTDIR;
}

/* A control file of the folder @dir; *ret is "" if the folder is being removed. */
static int read_control(int dir, const char *name, char **ret, struct err *err)
{
	auto_fd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct err why = ERR_INIT;
	int rc = fd < 0 ? err_set(&why, errno, "open %s", name)
			: linux_read(fd, name, TEXT_MAX, ret, NULL, &why);

	if (vanished(rc)) {
		*ret = strdup("");
		return *ret ? 0 : err_set(err, ENOMEM, "read %s", name);
	}
	if (rc < 0 && err)
		*err = why;
	return rc;
}

/* Pids, one a line. A threaded cgroup of version 2 names threads only. */
static int read_procs(int dir, char **ret, struct err *err)
{
	int rc = read_control(dir, "cgroup.procs", ret, err);

	return rc == -EOPNOTSUPP ? read_control(dir, "cgroup.threads", ret, err) : rc;
}

static int count_lines(const char *text)
{
	int n = 0;

	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

static int populated_below(int dir, int depth, struct err *err);

/* Version 1: this one, or any below. */
static int populated_v1(int dir, int depth, struct err *err)
{
	auto_free char *text = NULL;
	int rc = read_procs(dir, &text, err);

	if (rc < 0)
		return rc;
	return *text ? 1 : populated_below(dir, depth, err);
}

static int populated_below(int dir, int depth, struct err *err)
{
	auto_fd int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *list = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *de;
	int rc = 0;

	if (!list)
		return vanished(-errno) ? 0 : err_set(err, errno, "list a cgroup");
	copy = -1; /* the list's now */
	if (depth >= DEPTH_MAX)
		return err_say(err, ELOOP, "cgroups are nested more than %d deep", DEPTH_MAX);
	while (rc == 0 && (de = readdir(list))) {
		auto_fd int sub = -1;

		if (de->d_type != DT_DIR || de->d_name[0] == '.')
			continue;
		sub = openat(dir, de->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			rc = populated_v1(sub, depth + 1, err);
	}
	return rc;
}

static int populated(int dir, struct err *err)
{
	auto_free char *text = NULL;
	int rc;

	if (faccessat(dir, "cgroup.events", F_OK, 0) < 0)
		return populated_v1(dir, 0, err);
	rc = read_control(dir, "cgroup.events", &text, err);
	if (rc < 0)
		return rc;
	return strncmp(text, "populated 1", 11) == 0 || strstr(text, "\npopulated 1") != NULL;
}

static int cgroup_op(struct node *n, const char *path, struct cgroup_info *ret, struct err *err)
{
	auto_fd int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_free char *procs = NULL;
	struct stat st;
	int rc;

	(void)n;
	if (dir < 0)
		return vanished(-errno) ? 0 : err_set(err, errno, "cgroup %s", path);
	if (fstat(dir, &st) < 0)
		return err_set(err, errno, "cgroup %s", path);
	rc = read_procs(dir, &procs, err);
	if (rc == 0)
		rc = populated(dir, err);
	if (rc < 0)
		return err_wrap(err, "cgroup %s", path);
	*ret = (struct cgroup_info){
		.path = { .dev = st.st_dev, .ino = st.st_ino, .mode = st.st_mode,
			  .size = st.st_size },
		.populated = rc > 0,
		.procs = count_lines(procs),
	};
	return 1;
}

static int cgroup_pids(struct node *n, const char *path, struct ident **ret, size_t *count,
		       struct err *err)
{
	auto_fd int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_free char *text = NULL;
	auto_free struct ident *list = NULL;
	char *rest;
	size_t used = 0;
	int rc;

	(void)n;
	if (dir < 0)
		return err_set(err, errno, "cgroup %s", path);
	rc = read_procs(dir, &text, err);
	if (rc < 0)
		return err_wrap(err, "cgroup %s", path);
	list = calloc((size_t)count_lines(text) + 1, sizeof(*list));
	if (!list)
		return err_set(err, ENOMEM, "cgroup %s", path);
	rest = text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		struct proc_stat st;
		int64_t pid;

		/* 0 is a process that our pid namespace can't name. */
		if (text_int64(line, 1, INT_MAX, &pid) < 0)
			continue;
		rc = linux_stat((pid_t)pid, &st, err);
		if (rc < 0)
			return rc;
		if (rc > 0)
			list[used++] = (struct ident){ .pid = st.pid, .start = st.start };
	}
	*count = used;
	*ret = TAKE_PTR(list);
	return 0;
}

static int cgroup_write(struct node *n, const char *path, const char *file, const char *text,
			struct err *err)
{
	auto_fd int dir = -1;
	auto_fd int fd = -1;

	(void)n;
	if (strchr(file, '/') || !*text)
		return err_say(err, EINVAL, "cgroup %s: \"%s\" is no control file", path, file);
	dir = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_set(err, errno, "cgroup %s", path);
	fd = openat(dir, file, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return err_set(err, errno, "cgroup %s: write \"%s\" to %s", path, text, file);
	return 0;
}

void linux_cgroup_ops(struct node *n)
{
	n->cgroup = cgroup_op;
	n->cgroup_pids = cgroup_pids;
	n->cgroup_write = cgroup_write;
}
