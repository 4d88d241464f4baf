/* SPDX-License-Identifier: Apache-2.0 */
/*
 * binds.c - the spec's bind mounts, below a rootfs that is shared with the guest. They are
 * mounts of this process's namespace alone. Who is shared to can do nothing by them that
 * the rootfs would not let him: no programs, no devices.
 */
#include "supervisor/launch/launch.h"

#include "journal/base/cleanup.h"
#include "supervisor/node/node_linux.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static json_object *bind_at(json_object *args, size_t i)
{
	return json_object_array_get_idx(launch_member(args, "binds", json_type_array), i);
}

static bool flag_of(json_object *bind, const char *name)
{
	return json_object_get_boolean(launch_member(bind, name, json_type_boolean));
}

/* ---- picked up ----------------------------------------------------------------------- */

static uint64_t attributes(json_object *bind)
{
	int64_t flags = json_object_get_int64(launch_member(bind, "flags", json_type_int));

	return (flags & MS_RDONLY ? MOUNT_ATTR_RDONLY : 0) |
	       (flags & MS_NODIRATIME ? MOUNT_ATTR_NODIRATIME : 0) |
	       (flags & MS_NOATIME ? MOUNT_ATTR_NOATIME : 0) |
	       (flags & MS_STRICTATIME && !(flags & MS_NOATIME) ? MOUNT_ATTR_STRICTATIME : 0);
}

static int protect(int fd, json_object *bind, struct err *err)
{
	struct mount_attr all = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
	struct mount_attr own = { .attr_set = attributes(bind) };

	if (own.attr_set & (MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME))
		own.attr_clr = MOUNT_ATTR__ATIME;
	if (mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &all, sizeof(all)) < 0 ||
	    mount_setattr(fd, "", AT_EMPTY_PATH, &own, sizeof(own)) < 0)
		return err_set(err, errno, "protect %s for a guest", launch_text(bind, "source"));
	return 0;
}

static int pick(int *ret, json_object *bind, struct err *err)
{
	const char *source = launch_text(bind, "source");
	unsigned int deep = flag_of(bind, "recursive") ? AT_RECURSIVE : 0;

	*ret = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | deep);
	return *ret < 0 ? err_set(err, errno, "take %s, a bind mount of its spec", source)
			: protect(*ret, bind, err);
}

int launch_binds_pick(struct launch_binds *b, json_object *args, struct err *err)
{
	json_object *list = launch_member(args, "binds", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;
	int rc = 0;

	b->fds = calloc(n + 1, sizeof(*b->fds));
	if (!b->fds)
		return err_set(err, ENOMEM, "take its bind mounts");
	while (b->n < n && rc == 0) {
		b->fds[b->n] = -1;
		rc = pick(&b->fds[b->n], bind_at(args, b->n), err);
		b->n++;
	}
	return rc;
}

void launch_binds_clear(struct launch_binds *b)
{
	for (size_t i = 0; i < b->n; i++)
		cleanup_fd_(&b->fds[i]);
	free(b->fds);
}

/* ---- put below the rootfs ------------------------------------------------------------- */

/* Links on the way lead nowhere else than within the rootfs. */
static int open_in(int rootfs, const char *path)
{
	return linux_openat2(rootfs, path, O_PATH, RESOLVE_IN_ROOT);
}

/* What is not there is made, as every runtime does: it is the container's, and goes with
 * its rootfs. */
static int make_in(int rootfs, const char *path, size_t len, bool folder)
{
	char part[PATH_MAX];
	const char *name;
	auto_fd int above = -1;
	char *slash;

	(void)snprintf(part, sizeof(part), "%.*s", (int)len, path);
	slash = strrchr(part, '/');
	name = slash ? slash + 1 : part;
	if (slash)
		*slash = '\0';
	above = open_in(rootfs, slash ? part : ".");
	if (above < 0)
		return -errno;
	return (folder ? mkdirat(above, name, 0755) : mknodat(above, name, S_IFREG | 0644, 0)) < 0
		       ? -errno : 0;
}

/* A descriptor, or -errno. */
static int reach(int rootfs, const char *path, bool folder)
{
	size_t len = 0;
	int fd;

	while (path[len]) {
		char part[PATH_MAX];
		int rc = 0;

		len += strspn(path + len, "/");
		len += strcspn(path + len, "/");
		(void)snprintf(part, sizeof(part), "%.*s", (int)len, path);
		fd = open_in(rootfs, part);
		if (fd >= 0)
			(void)close(fd);
		else
			rc = errno == ENOENT ? make_in(rootfs, path, len, folder || path[len]) : -errno;
		if (rc < 0)
			return rc;
	}
	fd = open_in(rootfs, path);
	return fd < 0 ? -errno : fd;
}

static int place(int fd, const char *path, int rootfs, struct err *err)
{
	struct stat st;
	auto_fd int at = -1;

	if (strlen(path) >= PATH_MAX)
		return err_set(err, ENAMETOOLONG, "bind %s", path);
	if (fstat(fd, &st) < 0)
		return err_set(err, errno, "look at what is bound to /%s", path);
	at = reach(rootfs, path, S_ISDIR(st.st_mode));
	if (at == -EROFS)
		return err_say(err, EROFS, "there is no /%s in the root file system for a bind mount, and "
			       "that is read only; make it in the image", path);
	if (at < 0)
		return err_set(err, -at, "find or make /%s in the root file system", path);
	if (move_mount(fd, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_set(err, errno, "bind /%s in the root file system", path);
	return 0;
}

int launch_binds_place(const struct launch_binds *b, json_object *args, int rootfs,
		       struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < b->n && rc == 0; i++)
		rc = place(b->fds[i], launch_text(bind_at(args, i), "to"), rootfs, err);
	return rc;
}
