/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/launch/launch.h"

#include "journal/base/cleanup.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define BINDS_MAX 32

/* What is shown of the host: picked up first, for the root may be built over it. */
struct bind {
	char *path; /* on the host, and in the root */
	int fd;     /* its detached mount           */
	bool folder;
};
struct root {
	struct bind binds[BINDS_MAX];
	size_t n;
	struct launch_binds spec_binds; /* below the rootfs */
	int rootfs;
	int share; /* -1: none */
	int agent; /* -1: none */
};

/* ---- picked up ----------------------------------------------------------------------- */

static int clone_mount(const char *path, struct err *err)
{
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return fd < 0 ? err_set(err, errno, "take %s into the monitor's root", path) : fd;
}

static bool below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static bool is_shown(const struct root *r, const char *path)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(path, r->binds[i].path) == 0 ||
		    (r->binds[i].folder && below(path, r->binds[i].path)))
			return true;
	return false;
}

/* A link of the host's (/lib, /bin) becomes a link; what is not there is passed over. */
static int pick(struct root *r, const char *path, struct err *err)
{
	struct bind *b = &r->binds[r->n];
	struct stat st;

	if (path[0] != '/' || is_shown(r, path) || lstat(path, &st) < 0)
		return 0;
	if (r->n == BINDS_MAX)
		return err_say(err, E2BIG, "more than %d folders to be shown to a monitor", BINDS_MAX);
	*b = (struct bind){ .path = strdup(path), .fd = -1, .folder = S_ISDIR(st.st_mode) };
	if (!b->path)
		return err_set(err, ENOMEM, "take %s into the monitor's root", path);
	r->n++;
	if (S_ISLNK(st.st_mode))
		return 0;
	b->fd = clone_mount(path, err);
	return b->fd < 0 ? b->fd : 0;
}

/* The program's folder as well, wherever that is. */
static int pick_program(struct root *r, const char *program, struct err *err)
{
	auto_free char *folder = strdup(program);
	char *slash = folder ? strrchr(folder, '/') : NULL;

	if (!slash)
		return err_say(err, EINVAL, "the monitor \"%s\" is no absolute path", program);
	*slash = '\0';
	return folder[0] ? pick(r, folder, err) : 0;
}

/* @ret stays what it is if there is no such member. */
static int pick_folder(int *ret, json_object *args, const char *name, struct err *err)
{
	const char *folder = launch_text(args, name);

	if (!folder[0])
		return 0;
	*ret = clone_mount(folder, err);
	return *ret < 0 ? *ret : 0;
}

static int pick_all(struct root *r, json_object *args, struct err *err)
{
	static const char *const host[] = {
		"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
		"/etc/ld.so.cache", "/etc/alternatives",
	};
	json_object *list = launch_member(args, "shown", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(host) && rc == 0; i++)
		rc = pick(r, host[i], err);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = pick(r, json_object_get_string(json_object_array_get_idx(list, i)), err);
	if (rc == 0)
		rc = pick_program(r, launch_text(args, "program"), err);
	if (rc == 0)
		rc = pick_folder(&r->share, args, "share", err);
	if (rc == 0)
		rc = pick_folder(&r->agent, args, "agent", err);
	if (rc == 0)
		rc = launch_disk_hold(args, err);
	if (rc == 0)
		rc = launch_binds_pick(&r->spec_binds, args, err);
	if (rc == 0)
		rc = r->rootfs = clone_mount(launch_text(args, "rootfs"), err);
	return rc < 0 ? rc : 0;
}

static void root_clear(struct root *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->binds[i].path);
		cleanup_fd_(&r->binds[i].fd);
	}
	launch_binds_clear(&r->spec_binds);
	cleanup_fd_(&r->rootfs);
	cleanup_fd_(&r->share);
	cleanup_fd_(&r->agent);
}

/* ---- put together; the working folder is the new root --------------------------------- */

/* @path is relative. */
static int make_parents(const char *path, struct err *err)
{
	char part[PATH_MAX];

	for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
		(void)snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return err_set(err, errno, "make /%s in the monitor's root", part);
	}
	return 0;
}

static int protect(const char *path, unsigned long flags, struct err *err)
{
	if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | flags, NULL) < 0)
		return err_set(err, errno, "protect %s in the monitor's root", path);
	return 0;
}

static int attach(int fd, const char *path, struct err *err)
{
	if (move_mount(fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_set(err, errno, "put /%s into the monitor's root", path);
	return 0;
}

static int place(int fd, const char *path, unsigned long flags, struct err *err)
{
	int rc = attach(fd, path, err);

	return rc < 0 ? rc : protect(path, MS_NODEV | flags, err);
}

static int place_link(const struct bind *b, const char *path, struct err *err)
{
	char to[PATH_MAX];
	ssize_t n = readlink(b->path, to, sizeof(to) - 1);

	if (n < 0)
		return err_set(err, errno, "read the link %s", b->path);
	to[n] = '\0';
	return symlink(to, path) < 0 ? err_set(err, errno, "make the link %s", b->path) : 0;
}

static int make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : close(fd);
}

static int place_bind(const struct bind *b, struct err *err)
{
	const char *path = b->path + strspn(b->path, "/");
	int rc = make_parents(path, err);

	if (rc < 0)
		return rc;
	if (b->fd < 0)
		return place_link(b, path, err);
	rc = b->folder ? mkdir(path, 0755) : make_file(path);
	if (rc < 0 && errno != EEXIST)
		return err_set(err, errno, "make %s in the monitor's root", b->path);
	return place(b->fd, path, MS_RDONLY, err);
}

static int tmpfs(const char *path, unsigned long flags, const char *data, struct err *err)
{
	if (mount("tmpfs", path, "tmpfs", MS_NOSUID | flags, data) < 0)
		return err_set(err, errno, "mount a tmpfs on %s", path);
	return 0;
}

/* A node with the host's numbers, for any user: nobody but the monitor is in there. Where
 * nodes may not be made, the host's own. */
static int device(const char *name, bool must, struct err *err)
{
	char host[64];
	struct stat st;
	auto_fd int fd = -1;
	int rc;

	(void)snprintf(host, sizeof(host), "/dev/%s", name);
	if (stat(host, &st) < 0 || !S_ISCHR(st.st_mode))
		return must ? err_set(err, ENOENT, "%s", host) : 0;
	rc = make_parents(host + 1, err);
	if (rc < 0)
		return rc;
	if (mknod(host + 1, S_IFCHR | 0666, st.st_rdev) == 0)
		return chmod(host + 1, 0666) < 0 ? err_set(err, errno, "make %s", host) : 0;
	fd = clone_mount(host, err);
	if (fd < 0 || make_file(host + 1) < 0)
		return err_set(err, errno, "make %s", host);
	return attach(fd, host + 1, err);
}

static int devices(json_object *args, struct err *err)
{
	static const char *const always[] = { "null", "zero", "full", "random", "urandom" };
	bool kvm = strcmp(launch_text(args, "accel"), "none") != 0;
	int rc = mkdir("dev", 0755) < 0 ? err_set(err, errno, "make /dev") : 0;

	if (rc == 0)
		rc = tmpfs("dev", MS_NOEXEC, "mode=755,size=64k", err);
	for (size_t i = 0; i < ARRAY_SIZE(always) && rc == 0; i++)
		rc = device(always[i], true, err);
	if (rc == 0 && kvm)
		rc = device("kvm", false, err);
	if (rc == 0)
		rc = device("net/tun", false, err);
	if (rc == 0)
		rc = device("vhost-net", false, err);
	return rc;
}

/* Of what is masked, only /proc is in this root. */
static int mask(const char *path, struct err *err)
{
	struct stat st;

	if (!below(path, "/proc") || stat(++path, &st) < 0)
		return 0;
	if (S_ISDIR(st.st_mode))
		return tmpfs(path, MS_RDONLY | MS_NODEV | MS_NOEXEC, "mode=755,size=4k", err);
	if (mount("dev/null", path, NULL, MS_BIND, NULL) < 0)
		return err_set(err, errno, "mask /%s", path);
	return 0;
}

static int proc(json_object *args, struct err *err)
{
	json_object *list = launch_member(args, "masked", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;
	int rc = 0;

	if (mount("proc", "proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_set(err, errno, "mount /proc in the monitor's root");
	for (size_t i = 0; i < n && rc == 0; i++) {
		const char *path = json_object_get_string(json_object_array_get_idx(list, i));

		rc = path ? mask(path, err) : 0;
	}
	return rc;
}

static int proc_and_tmp(json_object *args, struct err *err)
{
	json_object *own = launch_member(args, "private_pids", json_type_boolean);
	int rc = 0;

	if (mkdir("proc", 0555) < 0 || mkdir("tmp", 01777) < 0)
		return err_set(err, errno, "make /proc and /tmp in the monitor's root");
	if (json_object_get_boolean(own))
		rc = proc(args, err);
	return rc < 0 ? rc : tmpfs("tmp", MS_NODEV | MS_NOEXEC, "mode=1777,size=64m", err);
}

/* Whoever mounted it so meant it. */
static bool is_read_only(int fd)
{
	struct statvfs st;

	return fstatvfs(fd, &st) < 0 || (st.f_flag & ST_RDONLY);
}

/* @path is below the root. */
static int place_folder(int fd, const char *path, bool writable, struct err *err)
{
	if (mkdir(path, 0755) < 0)
		return err_set(err, errno, "make /%s", path);
	return place(fd, path, MS_NOEXEC | (writable ? 0 : MS_RDONLY), err);
}

/* What is made in it for the bind mounts is made before it is read only. */
static int place_rootfs(struct root *r, json_object *args, struct err *err)
{
	const char *path = &LAUNCH_ROOTFS[1];
	json_object *writable = launch_member(args, "writable", json_type_boolean);
	bool writes = json_object_get_boolean(writable) && !is_read_only(r->rootfs);
	int rc = mkdir(path, 0755) < 0 ? err_set(err, errno, "make /%s", path) : 0;

	if (rc == 0)
		rc = attach(r->rootfs, path, err);
	if (rc == 0)
		rc = launch_binds_place(&r->spec_binds, args, r->rootfs, err);
	if (rc < 0)
		return rc;
	return protect(path, MS_NODEV | MS_NOEXEC | (writes ? 0 : MS_RDONLY), err);
}

/* The monitor has a name of its own beside each socket that its guest connects to; so they
 * are both in its own /tmp, and nothing is made in the node's folder. */
static int place_agent(int fd, const char *name, struct err *err)
{
	auto_free char *from = NULL;
	auto_free char *to = NULL;
	int rc = place_folder(fd, &LAUNCH_AGENT[1], false, err);

	if (rc < 0)
		return rc;
	if (asprintf(&from, "tmp/%s", name) < 0 || asprintf(&to, LAUNCH_AGENT "/%s", name) < 0)
		return err_set(err, ENOMEM, "lead to vAccel's agent");
	return symlink(to, from) < 0 ? err_set(err, errno, "make the link %s", from) : 0;
}

static int build(struct root *r, json_object *args, struct err *err)
{
	int rc = devices(args, err);

	/* What is shown may lie in /tmp. */
	if (rc == 0)
		rc = proc_and_tmp(args, err);
	for (size_t i = 0; i < r->n && rc == 0; i++)
		rc = place_bind(&r->binds[i], err);
	if (rc == 0)
		rc = launch_has_disk(args) ? launch_disk_place(args, r->rootfs, err)
					   : place_rootfs(r, args, err);
	if (rc == 0 && r->share >= 0)
		rc = place_folder(r->share, &LAUNCH_SHARE[1], launch_serves(args), err);
	if (rc == 0 && r->agent >= 0)
		rc = place_agent(r->agent, launch_text(args, "agent_name"), err);
	/* Nobody makes a node in it: what is there can be opened all the same. */
	return rc < 0 ? rc : protect("dev", MS_RDONLY | MS_NOEXEC, err);
}

/* The old root goes on top of the new one, and off again: no folder is needed for it. */
static int turn(struct err *err)
{
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_set(err, errno, "pivot_root to the monitor's root");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_set(err, errno, "leave the old root");
	return protect("/", MS_RDONLY | MS_NODEV, err);
}

/* Its mounts would hold on to those of the node, and who shares its pid namespace could
 * look through it at the node's files. */
int launch_empty_root(json_object *args, struct err *err)
{
	const char *where = launch_text(args, "place");
	int rc = tmpfs(where, MS_NODEV | MS_NOEXEC, "mode=555,size=4k", err);

	if (rc == 0 && chdir(where) < 0)
		rc = err_set(err, errno, "enter the sandbox's root");
	return rc < 0 ? rc : turn(err);
}

int launch_root(json_object *args, struct err *err)
{
	const char *where = launch_text(args, "place");
	struct root r = { .rootfs = -1, .share = -1, .agent = -1 };
	int rc = pick_all(&r, args, err);

	if (rc == 0)
		rc = tmpfs(where, 0, "mode=755,size=1m", err);
	if (rc == 0 && chdir(where) < 0)
		rc = err_set(err, errno, "enter the monitor's root");
	if (rc == 0)
		rc = build(&r, args, err);
	root_clear(&r);
	return rc < 0 ? rc : turn(err);
}
