/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux_file.c - files, folders and locks.
 *
 * What is removed is removed by its last component, from a descriptor of its folder,
 * after its identity was looked at there.
 */
#include "supervisor/node/linux.h"
#include "supervisor/node/node_linux.h"

#include "journal/base/cleanup.h"
#include "journal/base/file.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

/* ---- for the other files ----------------------------------------------------- */

int linux_openat2(int dir, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = { .flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC),
				.resolve = resolve };
	int fd;

	/* EAGAIN: somebody renamed a folder meanwhile; it is the kernel's "again". */
	for (int i = 0; i < 16; i++) {
		fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd;
}

int linux_open_parent(const char *path, const char **name, struct err *err)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;
	int fd;

	if (path[0] != '/' || !slash[1] || strcmp(slash, "/.") == 0 || strcmp(slash, "/..") == 0)
		return err_say(err, EINVAL, "\"%s\" is no absolute path of something", path);
	if (n >= sizeof(folder))
		return err_set(err, ENAMETOOLONG, "%s", path);
	memcpy(folder, path, n);
	folder[n] = '\0';
	fd = open(n ? folder : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "%s", n ? folder : "/");
	*name = slash + 1;
	return fd;
}

int linux_read(int fd, const char *name, size_t max, char **ret, size_t *len, struct err *err)
{
	auto_free char *text = NULL;
	size_t room = 0;
	size_t used = 0;
	ssize_t n;

	do {
		/* Files in /proc don't say how long they are. */
		if (used + 1 >= room) {
			char *grown;

			room = room ? room * 2 : 4096;
			grown = realloc(text, room);
			if (!grown)
				return err_set(err, ENOMEM, "read %s", name);
			text = grown;
		}
		n = read(fd, text + used, room - used - 1);
		if (n < 0 && errno != EINTR)
			return err_set(err, errno, "read %s", name);
		used += n > 0 ? (size_t)n : 0;
		if (used > max)
			return err_say(err, EFBIG, "%s is longer than %zu bytes, which is too "
				       "long for it", name, max);
	} while (n != 0);
	text[used] = '\0';
	*ret = TAKE_PTR(text);
	if (len)
		*len = used;
	return 0;
}

int linux_read_path(const char *path, size_t max, char **ret, size_t *len, struct err *err)
{
	/* Not blocking: it may be a FIFO by now. */
	auto_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return err_set(err, errno, "open %s", path);
	if (fstat(fd, &st) < 0)
		return err_set(err, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_say(err, EINVAL, "%s is no regular file", path);
	return linux_read(fd, path, max, ret, len, err);
}

/* ---- the operations ---------------------------------------------------------- */

static int path_op(struct node *n, const char *path, struct path_ident *ret, struct err *err)
{
	struct statx st;

	(void)n;
	/* What is mounted there is not asked: its server may hang, and with it we. */
	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
		  STATX_BASIC_STATS, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_set(err, errno, "%s", path);
	*ret = (struct path_ident){ .dev = makedev(st.stx_dev_major, st.stx_dev_minor),
				    .ino = st.stx_ino, .mode = st.stx_mode, .size = st.stx_size };
	return 1;
}

static int read_file(struct node *n, const char *path, size_t max, char **ret, size_t *len,
		     struct err *err)
{
	(void)n;
	return linux_read_path(path, max, ret, len, err);
}

static int write_file(struct node *n, const char *path, const char *data, size_t len,
		      uint32_t mode, struct err *err)
{
	(void)n;
	return file_replace(path, data, len, mode, err);
}

static int make_dir(struct node *n, const char *path, uint32_t mode, struct err *err)
{
	struct stat st;
	int code;

	(void)n;
	if (mkdir(path, mode) == 0)
		return 1;
	code = errno;
	if (code == EEXIST && lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	return err_set(err, code == EEXIST ? ENOTDIR : code, "make folder %s", path);
}

static int remove_one(const char *path, const struct path_ident *who, int flags, struct err *err)
{
	const char *name;
	auto_fd int dir = -1;
	struct err why = ERR_INIT;
	struct stat st;

	dir = linux_open_parent(path, &name, &why);
	if (dir < 0) {
		if (dir == -ENOENT || dir == -ENOTDIR)
			return 0;
		if (err)
			*err = why;
		return dir;
	}
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_set(err, errno, "remove %s", path);
	if (st.st_dev != who->dev || st.st_ino != who->ino)
		return err_say(err, ESTALE, "remove %s: it is not the one that was recorded "
			       "(inode %ju, not %ju)", path, (uintmax_t)st.st_ino,
			       (uintmax_t)who->ino);
	if (unlinkat(dir, name, flags) < 0)
		return errno == ENOENT ? 0 : err_set(err, errno, "remove %s", path);
	return 1;
}

static int remove_dir(struct node *n, const char *path, const struct path_ident *who,
		      struct err *err)
{
	(void)n;
	return remove_one(path, who, AT_REMOVEDIR, err);
}

static int remove_file(struct node *n, const char *path, const struct path_ident *who,
		       struct err *err)
{
	(void)n;
	return remove_one(path, who, 0, err);
}

/* ---- a folder's names -------------------------------------------------------- */

struct names {
	char *text; /* one after the other, each with its NUL */
	size_t used, room, n;
};

static int add_name(struct names *to, const char *name)
{
	size_t len = strlen(name) + 1;
	char *grown;

	if (to->used + len > to->room) {
		to->room = to->room * 2 + 1024;
		grown = realloc(to->text, to->room);
		if (!grown)
			return -ENOMEM;
		to->text = grown;
	}
	memcpy(to->text + to->used, name, len);
	to->used += len;
	to->n++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The array and, behind it, the text that it points to. */
static char **sorted(const struct names *from)
{
	size_t head = (from->n + 1) * sizeof(char *);
	char **ret = malloc(head + from->used + 1);
	char *text;

	if (!ret)
		return NULL;
	text = (char *)ret + head;
	if (from->used)
		memcpy(text, from->text, from->used);
	for (size_t i = 0; i < from->n; i++) {
		ret[i] = text;
		text += strlen(text) + 1;
	}
	ret[from->n] = NULL;
	qsort(ret, from->n, sizeof(*ret), by_name);
	return ret;
}

static int list_dir(struct node *n, const char *path, char ***ret, struct err *err)
{
	auto_dir DIR *dir = opendir(path);
	struct names names = { 0 };
	const struct dirent *de;
	int rc = 0;

	(void)n;
	if (!dir)
		return err_set(err, errno, "list %s", path);
	while (rc == 0 && (errno = 0, de = readdir(dir)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			rc = add_name(&names, de->d_name);
	if (rc == 0 && errno)
		rc = -errno;
	if (rc == 0) {
		*ret = sorted(&names);
		rc = *ret ? 0 : -ENOMEM;
	}
	free(names.text);
	return rc < 0 ? err_set(err, -rc, "list %s", path) : 0;
}

/* ---- locks ------------------------------------------------------------------- */

static struct held *find_lock(struct linux_node *n, const char *path)
{
	for (size_t i = 0; i < n->nlocks; i++)
		if (strcmp(n->locks[i].path, path) == 0)
			return &n->locks[i];
	return NULL;
}

static int remember_lock(struct linux_node *n, const char *path, int *fd)
{
	struct held *grown = reallocarray(n->locks, n->nlocks + 1, sizeof(*grown));
	char *copy = strdup(path);

	if (grown)
		n->locks = grown;
	if (!grown || !copy) {
		free(copy);
		return -ENOMEM;
	}
	grown[n->nlocks++] = (struct held){ .path = copy, .fd = TAKE_FD(*fd) };
	return 0;
}

/* 1 held; 0 another holds it; -ESTALE: the file was removed before we had it. */
static int try_lock(const char *path, int *ret_fd)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	auto_fd int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat mine;
	struct stat named;

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_SETLK, &whole) < 0)
		return errno == EAGAIN || errno == EACCES ? 0 : -errno;
	if (fstat(fd, &mine) < 0 || lstat(path, &named) < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	if (mine.st_dev != named.st_dev || mine.st_ino != named.st_ino)
		return -ESTALE;
	*ret_fd = TAKE_FD(fd);
	return 1;
}

static int lock_op(struct node *node, const char *path, struct err *err)
{
	struct linux_node *n = linux_of(node);
	auto_fd int fd = -1;
	int rc;

	/* Opening and closing it again would drop it: the lock is the process's. */
	if (find_lock(n, path))
		return 1;
	rc = file_mkparents(path, 0700, err);
	if (rc < 0)
		return rc;
	/* Each round that fails here is somebody else's unlock(). */
	do
		rc = try_lock(path, &fd);
	while (rc == -ESTALE);
	if (rc == 1 && remember_lock(n, path, &fd) < 0)
		rc = -ENOMEM;
	return rc < 0 ? err_set(err, -rc, "lock %s", path) : rc;
}

static int unlock_op(struct node *node, const char *path, struct err *err)
{
	struct linux_node *n = linux_of(node);
	struct held *h = find_lock(n, path);
	int rc = 0;

	if (!h)
		return 0;
	/* While it is still held, so that nobody is left holding a file without a name. */
	if (unlink(path) < 0 && errno != ENOENT)
		rc = err_set(err, errno, "remove the lock %s", path);
	free(h->path);
	(void)close(h->fd);
	*h = n->locks[--n->nlocks];
	return rc;
}

void linux_file_ops(struct node *n)
{
	n->path = path_op;
	n->read_file = read_file;
	n->write_file = write_file;
	n->make_dir = make_dir;
	n->remove_dir = remove_dir;
	n->remove_file = remove_file;
	n->list_dir = list_dir;
	n->lock = lock_op;
	n->unlock = unlock_op;
}
