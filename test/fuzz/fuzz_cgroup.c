/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts, /proc/PID/cgroup, linux.cgroupsPath and habits, each ended by a NUL byte:
 * no folder is named that lies outside of the mounts.
 */
#include "supervisor/node/cgroup_paths.h"
#include "supervisor/node/mountinfo.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* The kernel writes no others, and of others nothing is promised. */
static bool are_canonical(const struct mount_list *mounts)
{
	for (size_t i = 0; i < mounts->n; i++) {
		const char *target = mounts->at[i].target;

		if (target[0] != '/' || strstr(target, "//") || strstr(target, "/."))
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The text up to the next NUL, terminated. The caller frees. */
static char *part(const uint8_t **data, size_t *size)
{
	const uint8_t *nul = memchr(*data, '\0', *size);
	size_t n = nul ? (size_t)(nul - *data) : *size;
	char *ret = strndup((const char *)*data, n);

	if (!ret)
		abort();
	*data += nul ? n + 1 : n;
	*size -= nul ? n + 1 : n;
	return ret;
}

static bool is_below(const char *path, const char *target)
{
	size_t n = strlen(target);

	if (strncmp(path, target, n) != 0 || strstr(path + n, "/../"))
		return false;
	return strlen(path + n) < 3 || strcmp(path + strlen(path) - 3, "/..") != 0;
}

static void check(const struct cgroup_paths *paths, const struct mount_list *mounts)
{
	for (size_t i = 0; i < paths->n; i++) {
		const char *path = paths->at[i].path;
		bool ok = is_below(path, "/sys/fs/cgroup/unified");

		if (strlen(path) >= PATH_MAX)
			abort();
		for (size_t k = 0; !ok && k < mounts->n; k++)
			ok = is_below(path, mounts->at[k].target);
		if (!ok)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *mounts = part(&data, &size);
	char *cgroups = part(&data, &size);
	char *path = part(&data, &size);
	unsigned int bits = size ? data[0] : 0;
	struct cgroup_wish wish = { .path = path, .id = "c1", .own = cgroups, .init = cgroups,
				    .systemd = bits & 1, .habit = (enum cgroup_habit)(bits / 2 % 3) };
	struct cgroup_paths paths = { 0 };
	struct mount_list list = { 0 };

	if (mountinfo_parse(mounts, strlen(mounts), &list, NULL) == 0 && are_canonical(&list)) {
		if (cgroup_paths_of(cgroups, &list, &paths, NULL) == 0)
			check(&paths, &list);
		cgroup_paths_clear(&paths);
		if (cgroup_forecast(&wish, &list, &paths, NULL) == 0)
			check(&paths, &list);
		cgroup_paths_clear(&paths);
	}
	mount_list_clear(&list);
	free(mounts);
	free(cgroups);
	free(path);
	return 0;
}
