/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux_mount.c - the job that mounts.
 *
 * The target is opened below the root without following any symbolic link, and mounted
 * on through /proc/self/fd, so that nobody can move it under our hands. After the first
 * call it is opened again: the old descriptor is what lies below now.
 *
 * Killed between its calls it leaves a mount without its flags, which undo finds as it
 * finds any other.
 */
#include "supervisor/node/linux.h"
#include "supervisor/node/node_linux.h"

#include "journal/base/cleanup.h"
#include "supervisor/node/mount_words.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#define LOOP_TRIES 32

/* Flags of the mount, not of the file system: a bind takes them in a second call. */
#define PER_MOUNT                                                                     \
	(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME |  \
	 MS_RELATIME | MS_STRICTATIME)

struct mount_job {
	const char *type, *source, *target, *root; /* lent, from the arguments */
	struct mount_words words;
};

static int read_words(json_object *args, struct mount_job *o, struct err *err)
{
	auto_free const char **list = NULL;
	json_object *options = NULL;
	size_t n = 0;

	if (json_object_object_get_ex(args, "options", &options) &&
	    json_object_is_type(options, json_type_array))
		n = json_object_array_length(options);
	list = calloc(n + 1, sizeof(*list));
	if (!list)
		return err_set(err, ENOMEM, "mount options");
	for (size_t i = 0; i < n; i++) {
		list[i] = json_object_get_string(json_object_array_get_idx(options, i));
		if (!list[i])
			return err_say(err, EINVAL, "mount option %zu is no text", i);
	}
	return mount_words_sort(o->type, list, n, &o->words, err);
}

static int read_order(json_object *args, struct mount_job *o, struct err *err)
{
	o->type = linux_job_text(args, "type", err);
	o->source = o->type ? linux_job_text(args, "source", err) : NULL;
	o->target = o->source ? linux_job_text(args, "target", err) : NULL;
	o->root = o->target ? linux_job_text(args, "root", err) : NULL;
	if (!o->root)
		return -EINVAL;
	if (strncmp(o->type, "fuse.", 5) == 0 || strncmp(o->type, "fuse3.", 6) == 0)
		return err_say(err, ENOTSUP, "mount type \"%s\" needs a mount helper, which is "
			       "not supported", o->type);
	return read_words(args, o, err);
}

/* ---- the target -------------------------------------------------------------- */

static int target_failed(const struct mount_job *o, const char *below, int code, struct err *err)
{
	if (code == ELOOP)
		return err_say(err, ELOOP, "mount target \"%s\" in %s: there is a symbolic link "
			       "on the way, and none is followed", below, o->root);
	if (code == EXDEV)
		return err_say(err, EXDEV, "mount target \"%s\" leads out of %s", below, o->root);
	return err_set(err, code, "mount target \"%s\" in %s", below, o->root);
}

/* What the target is now, with whatever is mounted on it. */
static int open_target(const struct mount_job *o, struct err *err)
{
	auto_fd int root = open(o->root, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	const char *below = o->target + strspn(o->target, "/");
	int fd;

	if (root < 0)
		return err_set(err, errno, "mount root %s", o->root);
	fd = linux_openat2(root, *below ? below : ".", O_PATH,
			   RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	return fd < 0 ? target_failed(o, below, errno, err) : fd;
}

/* mount(2) on what @fd is. */
static int mount_on(int fd, const char *source, const char *type, unsigned long flags,
		    const char *data)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return mount(source, path, type, flags, data) < 0 ? -errno : 0;
}

/* ---- loop -------------------------------------------------------------------- */

static int set_loop(int device, int backing, const struct mount_job *o)
{
	struct loop_config config = { .fd = (uint32_t)backing };

	config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
	if (o->words.flags & MS_RDONLY)
		config.info.lo_flags |= LO_FLAGS_READ_ONLY;
	if (o->words.direct_io)
		config.info.lo_flags |= LO_FLAGS_DIRECT_IO;
	snprintf((char *)config.info.lo_file_name, sizeof(config.info.lo_file_name), "%s",
		 o->source);
	return ioctl(device, LOOP_CONFIGURE, &config) < 0 ? -errno : 0;
}

/* The device frees itself: when we close it, or after that when it is unmounted. */
static int open_loop(const struct mount_job *o, char *ret_path, size_t size, struct err *err)
{
	int mode = o->words.flags & MS_RDONLY ? O_RDONLY : O_RDWR;
	auto_fd int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	auto_fd int backing = open(o->source, mode | O_CLOEXEC);
	int rc = -EBUSY;

	if (backing < 0)
		return err_set(err, errno, "open %s", o->source);
	if (control < 0)
		return err_set(err, errno, "a loop device for %s: /dev/loop-control", o->source);
	/* A free one may be taken by somebody else before we configure it. */
	for (int i = 0; i < LOOP_TRIES && rc == -EBUSY; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		auto_fd int device = -1;

		if (number < 0)
			return err_set(err, errno, "a loop device for %s", o->source);
		snprintf(ret_path, size, "/dev/loop%d", number);
		device = open(ret_path, mode | O_CLOEXEC);
		if (device < 0)
			return err_set(err, errno, "%s for %s", ret_path, o->source);
		rc = set_loop(device, backing, o);
		if (rc == 0)
			return TAKE_FD(device);
	}
	return err_set(err, -rc, "a loop device for %s", o->source);
}

/* ---- the calls --------------------------------------------------------------- */

static int mount_failed(const struct mount_job *o, int code, struct err *err)
{
	if (code == ENODEV)
		return err_say(err, ENODEV, "mount: the kernel does not know the file system "
			       "type \"%s\"", o->type);
	return err_set(err, code, "mount %s \"%s\" on %s%s%s", o->type, o->source, o->root,
		       *o->target && o->target[0] != '/' ? "/" : "", o->target);
}

static int too_long(const struct mount_job *o, size_t len, struct err *err)
{
	return err_say(err, E2BIG, "mount %s on %s: its options have %zu bytes; the kernel takes "
		       "no more than a page (%ld)", o->type, o->root, len, sysconf(_SC_PAGESIZE));
}

/* More than a page is cut off by the kernel without a word, so lower folders are named
 * from where we stand. */
static int fit_data(struct mount_job *o, struct err *err)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t len = strlen(o->words.data);
	auto_free char *dir = NULL;
	char *data = NULL;

	if (len < page)
		return 0;
	if (strcmp(o->type, "overlay") != 0)
		return too_long(o, len, err);
	if (overlay_shorten(o->words.data, &dir, &data) < 0)
		return err_set(err, ENOMEM, "mount options");
	if (!data)
		return too_long(o, len, err);
	free(o->words.data);
	o->words.data = data;
	if (strlen(data) >= page)
		return too_long(o, len, err);
	return chdir(dir) < 0 ? err_set(err, errno, "lower folders: %s", dir) : 0;
}

/* What the first call could not say. */
static int finish(const struct mount_job *o, struct err *err)
{
	unsigned long flags = o->words.flags;
	unsigned long later = flags & MS_BIND && !(flags & MS_REMOUNT) ? flags & PER_MOUNT : 0;
	auto_fd int fd = -1;
	int rc = 0;

	if (!later && !o->words.propagation)
		return 0;
	fd = open_target(o, err);
	if (fd < 0)
		return fd;
	if (later)
		rc = mount_on(fd, NULL, NULL, MS_REMOUNT | MS_BIND | later, NULL);
	if (rc == 0 && o->words.propagation)
		rc = mount_on(fd, NULL, NULL, o->words.propagation, NULL);
	return rc < 0 ? mount_failed(o, -rc, err) : 0;
}

static int run(struct mount_job *o, struct err *err)
{
	const char *type = o->words.flags & (MS_BIND | MS_REMOUNT) ? NULL : o->type;
	char device[32];
	auto_fd int loop = -1;
	auto_fd int target = open_target(o, err);
	int rc;

	if (target < 0)
		return target;
	if (o->words.loop) {
		loop = open_loop(o, device, sizeof(device), err);
		if (loop < 0)
			return loop;
	}
	rc = fit_data(o, err);
	if (rc < 0)
		return rc;
	rc = mount_on(target, loop < 0 ? o->source : device, type, o->words.flags, o->words.data);
	return rc < 0 ? mount_failed(o, -rc, err) : finish(o, err);
}

int linux_job_mount(json_object *args, struct err *err)
{
	struct mount_job o = { 0 };
	int rc = read_order(args, &o, err);

	if (rc == 0)
		rc = run(&o, err);
	free(o.words.data);
	return rc;
}

/* ---- unmount ----------------------------------------------------------------- */

/* The id of the mount that @name in @dir leads onto. No file server is asked. */
static int top_mount(int dir, const char *name, uint64_t *ret, struct err *err)
{
	auto_fd int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	auto_free char *text = NULL;
	char path[40];
	const char *line;
	int rc;

	if (fd < 0)
		return err_set(err, errno, "%s", name);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	rc = linux_read_path(path, 4096, &text, NULL, err);
	if (rc < 0)
		return rc;
	line = strstr(text, "\nmnt_id:");
	if (!line)
		return err_say(err, EIO, "%s names no mount", path);
	*ret = strtoull(line + strlen("\nmnt_id:"), NULL, 10);
	return 0;
}

/*
 * From within the folder above it, by the bare name: no path to be led astray on, and
 * no descriptor in the mount that would keep it busy.
 */
int linux_job_unmount(json_object *args, struct err *err)
{
	const char *target = linux_job_text(args, "target", err);
	const char *name;
	uint64_t want = 0;
	uint64_t top = 0;
	int dir;
	int rc;

	if (!target || linux_job_number(args, "id", &want, err) < 0)
		return -EINVAL;
	dir = linux_open_parent(target, &name, err);
	if (dir < 0)
		return dir;
	rc = fchdir(dir) < 0 ? err_set(err, errno, "the folder of %s", target) : 0;
	(void)close(dir);
	if (rc == 0)
		rc = top_mount(AT_FDCWD, name, &top, err);
	if (rc < 0)
		return rc;
	if (top != want)
		return err_say(err, ESTALE, "unmount %s: mount %llu is what is seen there, not %llu",
			       target, (unsigned long long)top, (unsigned long long)want);
	return umount2(name, UMOUNT_NOFOLLOW) < 0 ? err_set(err, errno, "unmount %s", target) : 0;
}
