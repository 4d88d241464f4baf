/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux_job.c - jobs of ours: which there are, and the small ones.
 */
#include "supervisor/node/linux.h"
#include "supervisor/node/node_linux.h"

#include "journal/base/cleanup.h"
#include "journal/base/file.h"
#include "proto/ttrpc/release.h"
#include "supervisor/bundle/json.h"
#include "supervisor/net/net.h"
#include "supervisor/launch/launch.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>

/* ---- remove a tree ----------------------------------------------------------- */

#define DEPTH_MAX 65536

/*
 * The walk holds one descriptor, however deep the tree is: it goes up by "..", and
 * looks whether that is the folder it came down from. So a folder that is moved
 * meanwhile ends the walk, and never leads it elsewhere.
 */
struct level {
	dev_t dev;
	ino_t ino;
	char *name; /* of the folder that we went down into */
};
struct walk {
	DIR *dir; /* where we are */
	struct level *up;
	size_t depth, room;
	const char *path; /* for errors */
};

static int tree_failed(const struct walk *w, int code, const char *name, struct err *err)
{
	if (code == EXDEV || code == EBUSY)
		return err_say(err, EXDEV, "remove %s: something is mounted on \"%s\" in it; "
			       "unmount that first", w->path, name);
	return err_set(err, code, "remove %s: \"%s\" in it", w->path, name);
}

/* A folder, neither through a link nor onto a mount. */
static int open_folder(int dir, const char *name)
{
	int fd = linux_openat2(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
			       RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);

	return fd < 0 ? -errno : fd;
}

static int go_into(struct walk *w, int fd)
{
	DIR *dir = fdopendir(fd);

	if (!dir) {
		int code = errno;

		(void)close(fd);
		return -code;
	}
	if (w->dir)
		(void)closedir(w->dir);
	w->dir = dir;
	return 0;
}

static int remember(struct walk *w, const char *name)
{
	struct stat here;
	struct level *l;

	if (w->depth >= DEPTH_MAX)
		return -ELOOP;
	if (w->depth == w->room) {
		size_t room = w->room ? w->room * 2 : 32;

		l = reallocarray(w->up, room, sizeof(*l));
		if (!l)
			return -ENOMEM;
		w->up = l;
		w->room = room;
	}
	if (fstat(dirfd(w->dir), &here) < 0)
		return -errno;
	l = &w->up[w->depth];
	*l = (struct level){ .dev = here.st_dev, .ino = here.st_ino, .name = strdup(name) };
	if (!l->name)
		return -ENOMEM;
	w->depth++;
	return 0;
}

static int go_down(struct walk *w, const char *name, struct err *err)
{
	int fd = open_folder(dirfd(w->dir), name);
	int rc;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return tree_failed(w, -fd, name, err);
	rc = remember(w, name);
	if (rc < 0)
		(void)close(fd);
	else
		rc = go_into(w, fd);
	return rc < 0 ? tree_failed(w, -rc, name, err) : 0;
}

/* Up, and remove the empty folder that we come from. */
static int go_up(struct walk *w, struct err *err)
{
	auto_free char *name = w->up[--w->depth].name;
	const struct level *l = &w->up[w->depth];
	struct stat st;
	int rc;
	int fd = openat(dirfd(w->dir), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return tree_failed(w, errno, name, err);
	rc = go_into(w, fd);
	if (rc < 0)
		return tree_failed(w, -rc, name, err);
	if (fstat(dirfd(w->dir), &st) < 0)
		return tree_failed(w, errno, name, err);
	if (st.st_dev != l->dev || st.st_ino != l->ino)
		return err_say(err, ESTALE, "remove %s: \"%s\" was moved out of it meanwhile",
			       w->path, name);
	if (unlinkat(dirfd(w->dir), name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return tree_failed(w, errno, name, err);
	return 0;
}

/* One name of the folder we are in. */
static int remove_name(struct walk *w, const char *name, struct err *err)
{
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (unlinkat(dirfd(w->dir), name, 0) == 0 || errno == ENOENT)
		return 0;
	return errno == EISDIR ? go_down(w, name, err) : tree_failed(w, errno, name, err);
}

static int walk_tree(struct walk *w, struct err *err)
{
	for (;;) {
		const struct dirent *de;
		int rc;

		errno = 0;
		de = readdir(w->dir);
		if (!de && errno)
			return tree_failed(w, errno, ".", err);
		if (!de && w->depth == 0)
			return 0;
		rc = de ? remove_name(w, de->d_name, err) : go_up(w, err);
		if (rc < 0)
			return rc;
	}
}

static void end_walk(struct walk *w)
{
	while (w->depth > 0)
		free(w->up[--w->depth].name);
	free(w->up);
	if (w->dir)
		(void)closedir(w->dir);
}

/* The folder @name, if it is the recorded one. 1: there is none. */
static int open_top(struct walk *w, int parent, const char *name, uint64_t dev, uint64_t ino,
		    struct err *err)
{
	int fd = open_folder(parent, name);
	struct stat st;

	if (fd == -ENOENT)
		return 1;
	if (fd == -EXDEV)
		return err_say(err, EXDEV, "remove %s: something is mounted on it; unmount that "
			       "first", w->path);
	if (fd < 0)
		return err_set(err, -fd, "remove %s", w->path);
	if (fstat(fd, &st) < 0 || st.st_dev != dev || st.st_ino != ino) {
		(void)close(fd);
		return err_say(err, ESTALE, "remove %s: it is not the folder that was recorded",
			       w->path);
	}
	return go_into(w, fd) < 0 ? err_set(err, ENOMEM, "remove %s", w->path) : 0;
}

static int remove_tree(json_object *args, struct err *err)
{
	struct walk w = { .path = linux_job_text(args, "path", err) };
	const char *name;
	auto_fd int parent = -1;
	uint64_t dev = 0;
	uint64_t ino = 0;
	int rc;

	if (!w.path || linux_job_number(args, "dev", &dev, err) < 0 ||
	    linux_job_number(args, "ino", &ino, err) < 0)
		return -EINVAL;
	parent = linux_open_parent(w.path, &name, err);
	if (parent < 0)
		return parent == -ENOENT ? 0 : parent;
	rc = open_top(&w, parent, name, dev, ino, err);
	if (rc == 0)
		rc = walk_tree(&w, err);
	end_walk(&w);
	if (rc != 0)
		return rc == 1 ? 0 : rc;
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_set(err, errno, "remove %s", w.path);
	return 0;
}

/* ---- sync -------------------------------------------------------------------- */

static int sync_file(json_object *args, struct err *err)
{
	const char *path = linux_job_text(args, "path", err);

	return path ? file_sync(path, err) : -EINVAL;
}

/* ---- ask a shim ------------------------------------------------------------------ */

#define RELEASE_MS 9000 /* to kill what runs, and take it back */

static int release(json_object *args, struct err *err)
{
	struct release r = { .timeout_ms = RELEASE_MS };
	struct release_end end;

	r.socket = linux_job_text(args, "socket", err);
	r.ns = r.socket ? linux_job_text(args, "ns", err) : NULL;
	r.id = r.ns ? linux_job_text(args, "id", err) : NULL;
	return r.id ? release_ask(&r, &end, err) : -EINVAL;
}

/* ---- which there are --------------------------------------------------------- */

static const struct {
	const char *name; /* of the process, at most 15 bytes */
	int (*run)(json_object *args, struct err *err);
} jobs[JOB_N] = {
	[JOB_MOUNT] = { "urunc-mount", linux_job_mount },
	[JOB_UNMOUNT] = { "urunc-unmount", linux_job_unmount },
	[JOB_REMOVE_TREE] = { "urunc-remove", remove_tree },
	[JOB_SYNC] = { "urunc-sync", sync_file },
	[JOB_LAUNCH] = { "urunc-launch", launch_init },
	[JOB_HOOK] = { "urunc-hook", linux_job_hook },
	[JOB_ASK] = { "urunc-ask", linux_job_ask },
	[JOB_RELEASE] = { "urunc-release", release },
	[JOB_LOOK] = { "urunc-look", linux_job_look },
	[JOB_NET_LOOK] = { "urunc-net-look", net_look },
	[JOB_NET_ATTACH] = { "urunc-net-add", net_attach },
	[JOB_NET_DETACH] = { "urunc-net-del", net_detach },
	[JOB_NET_LIST] = { "urunc-net-list", net_list },
};

const char *linux_job_name(enum job job)
{
	return job > JOB_NONE_ && job < JOB_N ? jobs[job].name : NULL;
}

const char *linux_job_text(json_object *args, const char *name, struct err *err)
{
	json_object *value = NULL;

	if (json_object_object_get_ex(args, name, &value) &&
	    json_object_is_type(value, json_type_string))
		return json_object_get_string(value);
	(void)err_say(err, EINVAL, "job: \"%s\" is missing", name);
	return NULL;
}

int linux_job_number(json_object *args, const char *name, uint64_t *ret, struct err *err)
{
	json_object *value = NULL;

	if (!json_object_object_get_ex(args, name, &value) ||
	    !json_object_is_type(value, json_type_int))
		return err_say(err, EINVAL, "job: \"%s\" is missing", name);
	*ret = json_object_get_uint64(value);
	return 0;
}

int linux_job(enum job job, const char *args, struct err *err)
{
	json_object *parsed = json_read(args);
	int rc = parsed ? jobs[job].run(parsed, err)
			: err_set(err, errno, "job: its arguments");

	json_object_put(parsed);
	return rc;
}
