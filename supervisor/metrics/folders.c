/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/metrics/folders.h"

#include "supervisor/metrics/parse.h"
#include "supervisor/node/cgroup_paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLACE "/sys/fs/cgroup"

static const char *const names[CGROUP_N] = {
	[CGROUP_CPU] = "cpu",	[CGROUP_CPUACCT] = "cpuacct", [CGROUP_MEMORY] = "memory",
	[CGROUP_PIDS] = "pids", [CGROUP_BLKIO] = "blkio",     [CGROUP_RDMA] = "rdma",
	[CGROUP_HUGETLB] = "hugetlb",
};

/* Version 2 alone: the upper of the mounts at PLACE says so. */
static bool is_unified(const struct mount_list *mounts)
{
	for (size_t i = mounts->n; i > 0; i--)
		if (strcmp(mounts->at[i - 1].target, PLACE) == 0)
			return strcmp(mounts->at[i - 1].type, "cgroup2") == 0;
	return false;
}

/* The mount that a folder is seen through; NULL: none. */
static const struct mount_info *mount_of(const struct mount_list *mounts, const char *folder)
{
	const struct mount_info *ret = NULL;
	size_t best = 0;

	for (size_t i = 0; i < mounts->n; i++) {
		const struct mount_info *m = &mounts->at[i];
		size_t len = strlen(m->target);

		if (len >= best && strncmp(m->target, folder, len) == 0 &&
		    (folder[len] == '/' || !folder[len])) {
			ret = m;
			best = len;
		}
	}
	return ret;
}

static int keep(char **where, const char *folder, struct err *err)
{
	if (*where)
		return 0;
	*where = strdup(folder);
	return *where ? 0 : err_set(err, ENOMEM, "note cgroup %s", folder);
}

/* A hierarchy may have several controllers: "rw,cpu,cpuacct". */
static int keep_controllers(struct cgroup_folders *ret, const char *super, const char *folder,
			    struct err *err)
{
	struct span rest = { super, strlen(super) }, word;
	int rc = 0;

	while (rc == 0 && span_word(&rest, ",", &word))
		for (int c = 0; rc == 0 && c < CGROUP_N; c++)
			if (span_is(word, names[c]))
				rc = keep(&ret->of[c], folder, err);
	return rc;
}

static int keep_path(struct cgroup_folders *ret, const struct mount_list *mounts,
		     const struct cgroup_path *p, struct err *err)
{
	const struct mount_info *m = mount_of(mounts, p->path);

	/* The root of a hierarchy is the machine's, not the container's. */
	if (!m || strcmp(m->target, p->path) == 0)
		return 0;
	if (is_unified(mounts))
		return strcmp(m->target, PLACE) == 0 ? keep(&ret->unified, p->path, err) : 0;
	return p->unified ? 0 : keep_controllers(ret, m->super, p->path, err);
}

static bool is_empty(const struct cgroup_folders *f)
{
	for (int c = 0; c < CGROUP_N; c++)
		if (f->of[c])
			return false;
	return !f->unified;
}

int cgroup_folders_find(struct cgroup_folders *ret, const struct mount_list *mounts,
			const char *text, struct err *err)
{
	struct cgroup_paths paths = { .n = 0 };
	int rc;

	*ret = (struct cgroup_folders){ .unified = NULL };
	rc = cgroup_paths_of(text, mounts, &paths, err);
	for (size_t i = 0; rc == 0 && i < paths.n; i++)
		rc = keep_path(ret, mounts, &paths.at[i], err);
	cgroup_paths_clear(&paths);
	if (rc == 0 && is_empty(ret))
		return err_say(err, ENOENT, "the container has no cgroup below " PLACE);
	return rc;
}

void cgroup_folders_clear(struct cgroup_folders *f)
{
	free(f->unified);
	for (int c = 0; c < CGROUP_N; c++)
		free(f->of[c]);
	*f = (struct cgroup_folders){ .unified = NULL };
}
