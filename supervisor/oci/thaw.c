/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/oci/cli.h"

#include "journal/base/cleanup.h"
#include "supervisor/node/cgroup_paths.h"

void oci_thaw(struct node *n, const struct ident *who, const char *id)
{
	auto_free char *text = NULL;
	struct mount_list mounts = { .at = NULL };
	struct cgroup_paths paths = { .at = NULL };

	if (n->cgroups_of(n, who, &text, NULL) < 0 || n->mounts(n, &mounts, NULL) < 0)
		return;
	if (cgroup_paths_of(text, &mounts, &paths, NULL) < 0)
		paths.n = 0;
	for (size_t i = 0; i < paths.n; i++) {
		if (!oci_cgroup_names(paths.at[i].path, id))
			continue;
		/* Only the one that freezes has such a file. */
		(void)n->cgroup_write(n, paths.at[i].path, "cgroup.freeze", "0", NULL);
		(void)n->cgroup_write(n, paths.at[i].path, "freezer.state", "THAWED", NULL);
	}
	cgroup_paths_clear(&paths);
	mount_list_clear(&mounts);
}
