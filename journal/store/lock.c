/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/store/lock.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "journal/base/file.h"
#include "journal/base/text.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

/* Who stands in the way of our locking @fd; 0: nobody. */
static int conflict(int fd, pid_t *who)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_GETLK, &l) < 0)
		return -errno;
	*who = l.l_type == F_UNLCK ? 0 : l.l_pid > 0 ? l.l_pid : -1;
	return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* A descriptor of ours for the file that is @st, or -1. Opens nothing in there. */
static int own_descriptor(const struct stat *st)
{
	auto_dir DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	struct stat other;
	int64_t fd;

	if (!d)
		return -errno;
	while (errno = 0, (e = readdir(d))) {
		if (text_int64(e->d_name, 0, INT_MAX, &fd) < 0 || fstat((int)fd, &other) < 0)
			continue;
		if (same_file(st, &other))
			return (int)fd;
	}
	return errno ? -errno : -ENOENT;
}

/* 1: asked through a descriptor that we have; *who. 0: we have none. */
static int ask_own(const char *path, pid_t *who, struct err *err)
{
	struct stat st;
	int fd, r;

	*who = 0;
	if (stat(path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_set(err, errno, "%s", path);
	fd = own_descriptor(&st);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return err_set(err, -fd, "list /proc/self/fd");
	r = conflict(fd, who);
	if (r < 0)
		return err_set(err, -r, "ask for the lock on %s", path);
	if (*who == 0)
		*who = getpid();
	return 1;
}

static int open_lock(const char *path, struct err *err)
{
	const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
	int fd = open(path, flags, 0600);

	if (fd < 0 && errno == ENOENT) {
		int r = file_mkparents(path, 0700, err);

		if (r < 0)
			return r;
		fd = open(path, flags, 0600);
	}
	return fd < 0 ? err_set(err, errno, "open lock %s", path) : fd;
}

/* 1: locked and still what the path names; 0: it went away meanwhile, again. */
static int try_lock(int fd, const char *path, pid_t *who, struct err *err)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat mine, named;

	*who = 0;
	if (fcntl(fd, F_SETLK, &l) < 0) {
		int code = errno;

		if (code != EAGAIN && code != EACCES)
			return err_set(err, code, "lock %s", path);
		if (conflict(fd, who) == 0 && *who == 0)
			return 0; /* released just now */
		return err_set(err, EAGAIN, "lock %s", path);
	}
	if (fstat(fd, &mine) < 0)
		return err_set(err, errno, "lock %s", path);
	return stat(path, &named) == 0 && same_file(&mine, &named);
}

int lock_take(const char *path, int *ret, pid_t *who, struct err *err)
{
	int r = ask_own(path, who, err);

	if (r != 0)
		return r < 0 ? r : err_set(err, EAGAIN, "lock %s", path);
	for (int tries = 0; tries < 100; tries++) {
		auto_fd int fd = open_lock(path, err);

		if (fd < 0)
			return fd;
		r = try_lock(fd, path, who, err);
		if (r < 0)
			return r;
		if (r == 1) {
			crash_point("journal.lock");
			*ret = TAKE_FD(fd);
			return 0;
		}
	}
	return err_say(err, EAGAIN, "lock %s: it comes and goes, try again", path);
}

int lock_look(const char *path, pid_t *who, struct err *err)
{
	int r = ask_own(path, who, err);
	auto_fd int fd = -1;

	if (r != 0)
		return r < 0 ? r : 0;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 :
							     err_set(err, errno, "open lock %s", path);
	r = conflict(fd, who);
	return r < 0 ? err_set(err, -r, "ask for the lock on %s", path) : 0;
}
