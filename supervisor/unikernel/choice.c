/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/unikernel/choice.h"

#include "journal/base/cleanup.h"

#include <stdarg.h>
#include <string.h>

#define KEY "com.urunc.unikernel."

static const char *value(const struct choice_in *in, const char *name)
{
	json_object *o = NULL;

	if (!json_object_object_get_ex(in->unikernel, name, &o) ||
	    !json_object_is_type(o, json_type_string))
		return "";
	return json_object_get_string(o);
}

static bool wants_rootfs(const struct choice_in *in)
{
	json_object *o = NULL;

	return json_object_object_get_ex(in->unikernel, "mount_rootfs", &o) &&
	       json_object_get_boolean(o);
}

/* One more clause of the reason. */
__attribute__((format(printf, 2, 3)))
static void because(struct choice *c, const char *fmt, ...)
{
	size_t used = strlen(c->reason);
	va_list ap;

	if (used > 0 && used + 2 < sizeof(c->reason)) {
		(void)strcat(c->reason, "; ");
		used += 2;
	}
	va_start(ap, fmt);
	(void)vsnprintf(c->reason + used, sizeof(c->reason) - used, fmt, ap);
	va_end(ap);
}

/* ---- what must be right in any case ---------------------------------------------- */

int choice_pair(const char *type, const char *name, struct err *err)
{
	const struct monitor *monitor = monitor_find(name);
	char names[256];

	if (!monitor) {
		monitor_names("", names, sizeof(names));
		return err_say(err, ENOTSUP, "monitor \"%s\" is not known; use one of %s", name,
			       names);
	}
	if (!monitor_type_known(type) || !guest_find(type))
		return err_say(err, ENOTSUP, "unikernel type \"%s\" is not known; correct the "
			       "annotation " KEY "unikernelType", type);
	if (!monitor_runs(monitor, type)) {
		monitor_names(type, names, sizeof(names));
		return err_say(err, ENOTSUP, "monitor \"%s\" can't run type \"%s\"; use one of %s",
			       name, type, names);
	}
	return 0;
}

/* It names one file below the rootfs, and can't be taken for an option. */
static bool is_path(const char *path)
{
	const char *at = path + strspn(path, "/");

	if (!*at || path[0] == '-')
		return false;
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	for (; *at; at += strspn(at, "/")) {
		size_t len = strcspn(at, "/");

		if ((len == 1 && at[0] == '.') || (len == 2 && at[0] == '.' && at[1] == '.'))
			return false;
		at += len;
	}
	return true;
}

static int check_file(const struct choice_in *in, const char *name, const char *key,
		      enum choice_file there, struct err *err)
{
	const char *path = value(in, name);

	if (!path[0])
		return 0;
	if (!is_path(path))
		return err_say(err, EINVAL, "annotation " KEY "%s: \"%s\" is no path of a file in "
			       "the rootfs", key, path);
	if (there == FILE_MISSING)
		return err_say(err, ENOENT, "annotation " KEY "%s: there is no file %s in the rootfs "
			       "%s; correct the image or the annotation", key, path, in->root);
	return 0;
}

/* We hand it over to be written to, and know what it is only if no link leads to it. */
static int check_image(const struct choice_in *in, struct err *err)
{
	int rc = check_file(in, "block", "block", in->block, err);

	if (rc == 0 && in->native && value(in, "block")[0] && in->block != FILE_THERE)
		return err_say(err, EINVAL, "annotation " KEY "block: a symbolic link is on the way to "
			       "%s in the rootfs; name the file itself", value(in, "block"));
	return rc;
}

static bool has_disks(const struct choice_in *in)
{
	return in->guest->block && in->monitor->block;
}

static int check(const struct choice_in *in, struct err *err)
{
	int rc = check_file(in, "binary", "binary", in->binary, err);

	if (rc == 0)
		rc = check_file(in, "initrd", "initrd", in->initrd, err);
	if (rc == 0 && has_disks(in))
		rc = check_image(in, err);
	if (rc == 0 && has_disks(in) && value(in, "block")[0] && !value(in, "block_mount")[0])
		return err_say(err, EINVAL, "annotation " KEY "block is given without " KEY
			       "blkMntPoint; say where the guest is to mount it, / for its root");
	return rc;
}

/* ---- 3: the block device under the rootfs ---------------------------------------- */

/* The topmost mount at the rootfs. */
static const struct mount_info *mount_at(const struct choice_in *in)
{
	const struct mount_info *found = NULL;

	for (size_t i = 0; i < in->mounts->n; i++)
		if (strcmp(in->mounts->at[i].target, in->root) == 0)
			found = &in->mounts->at[i];
	return found;
}

/* Another place where the same device is mounted; NULL: none. Two kernels that write
 * to one file system destroy it. */
static const char *also_at(const struct choice_in *in, const struct mount_info *m)
{
	for (size_t i = 0; i < in->mounts->n; i++) {
		const struct mount_info *other = &in->mounts->at[i];

		if (other->major == m->major && other->minor == m->minor &&
		    strcmp(other->target, in->root) != 0)
			return other->target;
	}
	return NULL;
}

static bool is_device(const char *source)
{
	return strncmp(source, "/dev/", 5) == 0;
}

/* What Create mounted, for a rootfs that is not mounted any more. */
static bool take_made(struct choice *c, const struct choice_in *in)
{
	if (!in->made_type || !is_device(in->made_source) ||
	    !guest_mounts(in->guest, in->made_type))
		return false;
	because(c, "mountRootfs is true, and Create mounted %s (%s) as the rootfs",
		in->made_source, in->made_type);
	c->path = in->made_source;
	return true;
}

/* Is this mount a whole device that can be given away? If not, say why. */
static bool can_give(struct choice *c, const struct choice_in *in, const struct mount_info *m)
{
	const char *other = also_at(in, m);

	if (!guest_mounts(in->guest, m->type))
		because(c, "type \"%s\" can't mount %s, which the rootfs is", in->guest->name,
			m->type);
	else if (!is_device(m->source))
		because(c, "the rootfs is on no block device");
	else if (strcmp(m->root, "/") != 0)
		because(c, "the rootfs is only the folder %s of %s", m->root, m->source);
	else if (other)
		because(c, "%s is mounted at %s too", m->source, other);
	else if (in->native && (strcmp(m->options, "ro") == 0 || strncmp(m->options, "ro,", 3) == 0))
		because(c, "the rootfs is mounted read only");
	else if (in->native && !in->made_type)
		because(c, "the rootfs was not mounted by Create, in one piece, and so is not ours to "
			"unmount");
	else
		return true;
	return false;
}

static bool try_container(struct choice *c, const struct choice_in *in)
{
	const struct mount_info *m = in->mounts ? mount_at(in) : NULL;

	if (!in->guest->block || !in->monitor->block) {
		because(c, "%s \"%s\" has no disks", in->guest->block ? "monitor" : "type",
			in->guest->block ? in->monitor->name : in->guest->name);
		return false;
	}
	if (!m && !in->native && take_made(c, in))
		return true;
	if (!in->mounts)
		because(c, "the mounts of this node could not be read");
	else if (!m)
		because(c, "%s is no mount point", in->root);
	if (!m || !can_give(c, in, m))
		return false;
	because(c, "mountRootfs is true, and the rootfs is %s (%s)", m->source, m->type);
	c->path = m->source;
	c->mounted = in->root;
	c->mount = m;
	return true;
}

/* ---- 4: shared ------------------------------------------------------------------- */

static bool try_virtiofs(struct choice *c, const struct choice_in *in)
{
	if (!guest_mounts(in->guest, "virtiofs"))
		because(c, "type \"%s\" has no virtiofs", in->guest->name);
	else if (!in->monitor->virtiofs)
		because(c, "monitor \"%s\" has no virtiofs", in->monitor->name);
	else if (!in->virtiofsd)
		because(c, "%s is not installed", in->native ? "virtiofsd" : CHOICE_VIRTIOFSD);
	else
		return true;
	return false;
}

static bool try_9pfs(struct choice *c, const struct choice_in *in)
{
	if (!guest_mounts(in->guest, "9pfs"))
		because(c, "type \"%s\" has no 9pfs", in->guest->name);
	else if (!in->monitor->p9)
		because(c, "monitor \"%s\" has no 9pfs", in->monitor->name);
	else
		return true;
	return false;
}

static void share(struct choice *c, const struct choice_in *in, enum guest_rootfs how)
{
	because(c, "mountRootfs is true, so it is shared by %s", guest_rootfs_name(how));
	c->rootfs = how;
	c->path = c->mounted = in->root;
}

static int choose_container(struct choice *c, const struct choice_in *in, struct err *err)
{
	if (try_container(c, in))
		c->rootfs = ROOTFS_CONTAINER;
	else if (try_virtiofs(c, in))
		share(c, in, ROOTFS_VIRTIOFS);
	else if (try_9pfs(c, in))
		share(c, in, ROOTFS_9PFS);
	else
		return err_say(err, ENOTSUP, "annotation " KEY "mountRootfs can't be followed: %s",
			       c->reason);
	return 0;
}

/* ---- in order --------------------------------------------------------------------- */

/* An image that is not the root is one more disk. */
static void place_block(struct choice *c, const struct choice_in *in)
{
	if (!value(in, "block")[0])
		return;
	if (!has_disks(in))
		because(c, "block is passed over: %s \"%s\" has no disks",
			in->guest->block ? "monitor" : "type",
			in->guest->block ? in->monitor->name : in->guest->name);
	else if (in->native && c->rootfs == ROOTFS_CONTAINER)
		because(c, "block is passed over: its image is on the device that the guest has");
	else if (c->rootfs != ROOTFS_BLOCK && strcmp(value(in, "block_mount"), "/") != 0)
		c->extra_block = true;
	else if (c->rootfs != ROOTFS_BLOCK)
		because(c, "block is passed over: it can't be the root beside it");
}

static int choose(struct choice *c, const struct choice_in *in, struct err *err)
{
	const char *unclear = value(in, "mount_rootfs_text");

	if (unclear[0])
		because(c, "mountRootfs \"%.40s\" is no boolean and counts as false", unclear);
	if (value(in, "initrd")[0]) {
		because(c, "the annotation initrd names it");
		c->rootfs = ROOTFS_INITRD;
		c->path = value(in, "initrd");
	} else if (value(in, "block")[0] && strcmp(value(in, "block_mount"), "/") == 0 &&
		   has_disks(in)) {
		because(c, "the annotation block names it, and blkMntPoint is /");
		c->rootfs = ROOTFS_BLOCK;
		c->path = value(in, "block");
	} else if (wants_rootfs(in)) {
		return choose_container(c, in, err);
	} else {
		because(c, "no annotation asks for one");
	}
	return 0;
}

int choice_make(struct choice *ret, const struct choice_in *in, struct err *err)
{
	struct choice c = { .rootfs = ROOTFS_NONE };
	int rc = check(in, err);

	if (rc == 0)
		rc = choose(&c, in, err);
	if (rc < 0)
		return rc;
	place_block(&c, in);
	*ret = c;
	return 0;
}
