/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/file.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* Copy up to the last slash: the folder of @path. */
static int parent_of(const char *path, char ret[PATH_MAX], struct err *err)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (n >= PATH_MAX)
		return err_set(err, ENAMETOOLONG, "%s", path);
	memcpy(ret, path, n);
	ret[n] = '\0';
	if (!n)
		strcpy(ret, slash ? "/" : ".");
	return 0;
}

static int read_upto(int fd, char *buf, size_t max, size_t *len)
{
	size_t n = 0;
	ssize_t r;

	while (n < max) {
		r = read(fd, buf + n, max - n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (!r)
			break;
		n += (size_t)r;
	}
	*len = n;
	return 0;
}

static int write_all(int fd, const char *data, size_t len)
{
	ssize_t r;

	while (len) {
		r = write(fd, data, len);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		data += r;
		len -= (size_t)r;
	}
	return 0;
}

/* What is written before it gets its name. */
struct draft {
	char path[PATH_MAX]; /* "": given up or named */
	int fd;
};

static void draft_drop(struct draft *d)
{
	int saved = errno;

	if (d->path[0])
		(void)unlink(d->path);
	if (d->fd >= 0)
		(void)close(d->fd);
	errno = saved;
}

int file_draft(char ret[PATH_MAX], const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	int at = slash ? (int)(slash + 1 - path) : 0;
	int n = snprintf(ret, PATH_MAX, "%.*s.%s.new", at, path, path + at);

	return (size_t)n >= PATH_MAX ? err_set(err, ENAMETOOLONG, "%s", path) : 0;
}

static int draft_open(struct draft *d, const char *path, mode_t mode, struct err *err)
{
	int r = file_draft(d->path, path, err);

	if (r == 0) {
		d->fd = open(d->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
		if (d->fd >= 0)
			return 0;
		r = err_set(err, errno, "create %s", d->path);
	}
	d->path[0] = '\0';
	return r;
}

static int draft_name(struct draft *d, const char *path, struct err *err)
{
	crash_point("file.draft");
	if (rename(d->path, path) < 0)
		return err_set(err, errno, "rename %s to %s", d->path, path);
	crash_point("file.named");
	d->path[0] = '\0';
	return 0;
}

int file_replace(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
	__attribute__((cleanup(draft_drop))) struct draft d = { "", -1 };
	int r = draft_open(&d, path, mode, err);

	if (r < 0)
		return r;
	r = write_all(d.fd, data, len);
	if (r < 0)
		return err_set(err, -r, "write %s", d.path);
	return draft_name(&d, path, err);
}

static int pour(int from, int to)
{
	char buf[16384];
	size_t n;
	int r;

	do {
		r = read_upto(from, buf, sizeof(buf), &n);
		if (r == 0)
			r = write_all(to, buf, n);
	} while (r == 0 && n == sizeof(buf));
	return r;
}

int file_copy(const char *from, const char *path, mode_t mode, struct err *err)
{
	auto_fd int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	__attribute__((cleanup(draft_drop))) struct draft d = { "", -1 };
	int r;

	if (fd < 0)
		return err_set(err, errno, "open %s", from);
	r = draft_open(&d, path, mode, err);
	if (r < 0)
		return r;
	r = pour(fd, d.fd);
	if (r < 0)
		return err_set(err, -r, "copy %s to %s", from, d.path);
	return draft_name(&d, path, err);
}

int file_mkdirs(const char *path, mode_t mode, struct err *err)
{
	char part[PATH_MAX];
	size_t n = strlen(path);
	char *at = part;

	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return err_set(err, errno, "make folder %s", path);
	/* No ENAMETOOLONG: so it is shorter than PATH_MAX. */
	memcpy(part, path, n + 1);
	while ((at = strchr(at + 1, '/'))) {
		*at = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST)
			return err_set(err, errno, "make folder %s", part);
		*at = '/';
	}
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_set(err, errno, "make folder %s", path);
	return 0;
}

int file_mkparents(const char *path, mode_t mode, struct err *err)
{
	char dir[PATH_MAX];
	int r = parent_of(path, dir, err);

	return r < 0 ? r : file_mkdirs(dir, mode, err);
}

int file_look(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) == 0)
		return 1;
	return errno == ENOENT || errno == ENOTDIR ? 0 : err_set(err, errno, "look for %s", path);
}

bool file_missing(const char *path)
{
	return file_look(path, NULL) == 0;
}

int file_unlink(const char *path, struct err *err)
{
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set(err, errno, "remove %s", path);
	return 0;
}

static int sync_one(const char *path, int flags, struct err *err)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	if (fd < 0)
		return err_set(err, errno, "open %s", path);
	if (fsync(fd) < 0)
		return err_set(err, errno, "flush %s", path);
	return 0;
}

int file_sync(const char *path, struct err *err)
{
	int r = sync_one(path, 0, err);

	return r < 0 ? r : file_sync_dirs(path, 1, err);
}

int file_sync_dirs(const char *path, int levels, struct err *err)
{
	char at[PATH_MAX], dir[PATH_MAX];
	int r = parent_of(path, dir, err);

	while (r == 0 && levels-- > 0) {
		r = sync_one(dir, O_DIRECTORY, err);
		memcpy(at, dir, sizeof(at));
		if (r == 0)
			r = parent_of(at, dir, err);
	}
	return r;
}
