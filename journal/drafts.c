/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drafts.c - what a process that died while it copied a journal left under no task's
 * name: half a file in done/ or torn/, or the folder of a reader.
 *
 * Their makers hold no lock that could be asked. But they take moments; what is an hour
 * old has none.
 */
#include "journal/base/cleanup.h"
#include "journal/base/file.h"
#include "journal/base/text.h"
#include "journal/list.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define DEAD_S 3600

static bool is_old(int dir, const char *name, mode_t type)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (st.st_mode & S_IFMT) == type &&
	       time(NULL) - st.st_mtime > DEAD_S;
}

static bool is_draft(const char *name)
{
	return name[0] == '.' && text_ends(name, ".new");
}

static void drop_draft(int dir, const char *name)
{
	if (is_draft(name) && is_old(dir, name, S_IFREG))
		(void)unlinkat(dir, name, 0);
}

static void drop_copy(int dir, const char *name)
{
	auto_dir DIR *d = NULL;
	struct dirent *e;
	int fd;

	if (strncmp(name, "read.", 5) != 0 || !is_old(dir, name, S_IFDIR))
		return;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (fd >= 0 && !d)
		(void)close(fd);
	while (d && (e = readdir(d)) != NULL)
		if (e->d_type == DT_REG)
			(void)unlinkat(fd, e->d_name, 0);
	(void)unlinkat(dir, name, AT_REMOVEDIR);
}

static void each_name(const char *path, void (*drop)(int dir, const char *name))
{
	auto_dir DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL)
		drop(dirfd(d), e->d_name);
}

static int drop_half(struct walk *w, const char *path, const char *name, struct err *err)
{
	(void)w;
	(void)err;
	if (is_draft(name) && is_old(AT_FDCWD, path, S_IFREG))
		(void)unlink(path);
	return 0;
}

int drafts_prune(const struct journal_place *place, struct err *err)
{
	struct walk done = { .file = drop_half };
	char torn[PATH_MAX];

	(void)snprintf(torn, sizeof(torn), "%s/torn", place->root);
	each_name(torn, drop_draft);
	each_name(place->run, drop_copy);
	return walk(&done, place->root, "done", err);
}
