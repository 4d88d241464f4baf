/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk.c - the block device under the container's rootfs becomes the guest's disk. Two
 * kernels that write to one file system destroy it: so the node's lets go of it first.
 *
 * The device is held open from before the node unmounts it until the monitor ends: a loop
 * device that frees itself after its last user is there until then, and goes then. The
 * kernel of the guest is copied into memory, as it lies on that file system.
 */
#include "supervisor/launch/launch.h"

#include "journal/base/cleanup.h"
#include "supervisor/node/node_linux.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define KERNEL &LAUNCH_KERNEL[1] /* while the working folder is the root to be */
#define DISK   &LAUNCH_DISK[1]
#define KERNEL_MAX (256 << 20) /* bytes: its size is the image's word */

static json_object *disk_of(json_object *args)
{
	return launch_member(args, "disk", json_type_object);
}

bool launch_has_disk(json_object *args)
{
	return disk_of(args) != NULL;
}

static dev_t number_of(json_object *disk)
{
	json_object *major = launch_member(disk, "major", json_type_int);
	json_object *minor = launch_member(disk, "minor", json_type_int);

	return makedev((unsigned int)json_object_get_int64(major),
		       (unsigned int)json_object_get_int64(minor));
}

/* A duplicate stays open over the exec, for nobody, and closes with the monitor. */
static int keep(int fd, const char *what, struct err *err)
{
	return dup(fd) < 0 ? err_set(err, errno, "keep %s", what) : 0;
}

int launch_disk_hold(json_object *args, struct err *err)
{
	json_object *disk = disk_of(args);
	const char *path = launch_text(disk, "path");
	auto_fd int fd = -1;
	struct stat st;

	if (!disk)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, errno, "open %s", path);
	if (!S_ISBLK(st.st_mode) || st.st_rdev != number_of(disk))
		return err_say(err, ESTALE, "%s is not the device that is mounted as the rootfs", path);
	return keep(fd, path, err);
}

/* ---- in its root ------------------------------------------------------------------------ */

static int copy(int from, int to, off_t size)
{
	while (size > 0) {
		ssize_t n = sendfile(to, from, NULL, size > INT32_MAX ? INT32_MAX : (size_t)size);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		size -= n;
	}
	return 0;
}

/* Links on the way lead nowhere else than within the rootfs. */
static int open_kernel(const char *path, int rootfs, struct stat *st, struct err *err)
{
	int fd = linux_openat2(rootfs, path, O_RDONLY | O_NONBLOCK, RESOLVE_IN_ROOT);

	if (fd < 0)
		return err_set(err, errno, "open %s in the rootfs", path);
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	(void)close(fd);
	return err_say(err, EINVAL, "%s in the rootfs is no regular file", path);
}

static int copy_kernel(const char *path, int rootfs, struct err *err)
{
	struct stat st;
	auto_fd int from = open_kernel(path, rootfs, &st, err);
	auto_fd int to = -1;
	char data[64];
	int rc;

	if (from < 0)
		return from;
	if (st.st_size > KERNEL_MAX)
		return err_say(err, EFBIG, "%s in the rootfs has %lld bytes, and is copied into memory; "
			       "a kernel may have %d", path, (long long)st.st_size, KERNEL_MAX);
	(void)snprintf(data, sizeof(data), "mode=755,size=%lld", (long long)st.st_size + 65536);
	if (mkdir("boot", 0755) < 0 ||
	    mount("tmpfs", "boot", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, data) < 0)
		return err_set(err, errno, "make /boot in the monitor's root");
	to = open(KERNEL, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	rc = to < 0 ? -errno : copy(from, to, st.st_size);
	return rc < 0 ? err_set(err, -rc, "copy %s of the rootfs", path) : 0;
}

/* Where no node can be made, the host's own. */
static int place_node(json_object *disk, struct err *err)
{
	const char *path = launch_text(disk, "path");

	if (mknod(DISK, S_IFBLK | 0666, number_of(disk)) == 0)
		return chmod(DISK, 0666) < 0 ? err_set(err, errno, "make " LAUNCH_DISK) : 0;
	if (mknod(DISK, S_IFREG | 0644, 0) < 0 || mount(path, DISK, NULL, MS_BIND, NULL) < 0)
		return err_set(err, errno, "put %s into the monitor's root", path);
	return 0;
}

int launch_disk_place(json_object *args, int rootfs, struct err *err)
{
	json_object *disk = disk_of(args);
	const char *kernel = launch_text(disk, "kernel");
	int rc = copy_kernel(kernel + strspn(kernel, "/"), rootfs, err);

	return rc < 0 ? rc : place_node(disk, err);
}

/* ---- alone with it -------------------------------------------------------------------------- */

int launch_disk_claim(struct err *err)
{
	auto_fd int fd = open(LAUNCH_DISK, O_RDONLY | O_EXCL | O_CLOEXEC);

	return fd < 0 ? err_set(err, errno, "claim the disk") : keep(fd, LAUNCH_DISK, err);
}
