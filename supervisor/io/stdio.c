/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/io/stdio.h"

#include "journal/base/cleanup.h"
#include "supervisor/io/uri.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const which[3] = { "stdin", "stdout", "stderr" };

static void fd_close(int *fd)
{
	if (*fd >= 0)
		(void)close(TAKE_FD(*fd));
}

static int fd_reopen(int path, int flags)
{
	char name[32];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", path);
	return open(name, flags | O_CLOEXEC | O_NOCTTY);
}

static int fd_block(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ? -errno : 0;
}

/* The part of a name behind its scheme; NULL: there is none. */
static const char *behind(const char *name, const char *scheme)
{
	size_t n = strlen(scheme);

	return strncmp(name, scheme, n) == 0 && strncmp(name + n, "://", 3) == 0 ? name + n + 3
										  : NULL;
}

bool stdio_wants_logger(const struct stdio_names *names)
{
	const char *out = names->name[1];

	return behind(out, "binary") || behind(out, "binary-v2");
}

/* Of stdout alone: is this something that we can do? */
static int scheme_check(const struct stdio_names *names, struct err *err)
{
	const char *out = names->name[1], *colon = strstr(out, "://");

	if (out[0] == '/' || !colon || behind(out, "fifo") || behind(out, "file") ||
	    stdio_wants_logger(names))
		return 0;
	return err_say(err, EINVAL, "unknown STDIO scheme %.*s", (int)(colon - out), out);
}

/* How many of the three are opened here: a terminal has no stderr. */
static int last(const struct stdio_names *names)
{
	return stdio_wants_logger(names) ? 1 : names->terminal ? 2 : 3;
}

static int make_parents(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		int rc;

		*p = '\0';
		rc = mkdir(path, 0755);
		*p = '/';
		if (rc < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

/* file://: one descriptor each for both outputs. */
static int log_open(struct stdio *s, const struct stdio_names *names, struct err *err)
{
	const char *uri = names->name[1];
	char path[PATH_MAX];
	int rc = uri_path(path, sizeof(path), uri, err);

	if (rc < 0)
		return rc;
	rc = make_parents(path);
	for (int i = 1; i < last(names) && rc == 0; i++) {
		s->fd[i] = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
		if (s->fd[i] < 0)
			rc = -errno;
	}
	return rc < 0 ? err_set(err, -rc, "can't append the output to %s", uri) : 0;
}

static int in_open(struct stdio *s, bool fifo)
{
	s->fd[0] = fd_reopen(s->path[0], O_RDONLY | (fifo ? O_NONBLOCK : 0));
	if (s->fd[0] < 0)
		return -errno;
	if (!fifo)
		return STDIO_READY;
	s->keep[0] = fd_reopen(s->path[0], O_WRONLY | O_NONBLOCK);
	if (s->keep[0] < 0)
		return -errno;
	return fd_block(s->fd[0]);
}

static int out_open(struct stdio *s, int i, bool fifo)
{
	s->fd[i] = fd_reopen(s->path[i], O_WRONLY | (fifo ? O_NONBLOCK : O_APPEND));
	if (s->fd[i] < 0)
		return fifo && errno == ENXIO ? STDIO_WAIT : -errno;
	if (!fifo)
		return STDIO_READY;
	s->keep[i] = fd_reopen(s->path[i], O_RDONLY | O_NONBLOCK);
	if (s->keep[i] < 0)
		return -errno;
	return fd_block(s->fd[i]);
}

static int one_open(struct stdio *s, int i, const struct stdio_names *names, struct err *err)
{
	const char *path = behind(names->name[i], "fifo");
	struct stat st;
	bool fifo;
	int rc;

	path = path ? path : names->name[i];
	if (s->path[i] < 0)
		s->path[i] = open(*path ? path : "/dev/null", O_PATH | O_CLOEXEC);
	if (s->path[i] < 0 || fstat(s->path[i], &st) < 0)
		return err_set(err, errno, "can't open %s %s", which[i], path);
	if (*path == '\0') {
		s->fd[i] = fd_reopen(s->path[i], O_RDWR);
		rc = s->fd[i] < 0 ? -errno : 0;
	} else {
		fifo = S_ISFIFO(st.st_mode);
		if (i == 0 && names->terminal && !fifo)
			return err_say(err, EINVAL, "stdin %s of a terminal is not a FIFO", path);
		rc = i == 0 ? in_open(s, fifo) : out_open(s, i, fifo);
	}
	if (rc == STDIO_READY && *path && !names->terminal && (names->uid || names->gid) &&
	    fchown(s->fd[i], names->uid, names->gid) < 0)
		rc = -errno;
	if (rc == STDIO_READY)
		fd_close(&s->path[i]);
	return rc < 0 ? err_set(err, -rc, "can't open %s %s", which[i], path) : rc;
}

int stdio_open(struct stdio *s, const struct stdio_names *names, struct err *err)
{
	int rc = scheme_check(names, err);

	if (rc == 0 && behind(names->name[1], "file") && s->fd[1] < 0)
		rc = log_open(s, names, err);
	for (int i = 0; i < last(names) && rc == 0; i++)
		if (s->fd[i] < 0)
			rc = one_open(s, i, names, err);
	if (rc < 0)
		stdio_close(s);
	return rc;
}

const char *stdio_missing(const struct stdio *s, const struct stdio_names *names)
{
	return s->fd[1] < 0 || names->terminal ? names->name[1] : names->name[2];
}

void stdio_given(struct stdio *s)
{
	for (int i = 0; i < 3; i++)
		fd_close(&s->fd[i]);
}

void stdio_close_in(struct stdio *s)
{
	fd_close(&s->keep[0]);
}

void stdio_close(struct stdio *s)
{
	stdio_given(s);
	for (int i = 0; i < 3; i++) {
		fd_close(&s->keep[i]);
		fd_close(&s->path[i]);
	}
}
