/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.c - the option shim_cgroup: where the client wants the server to be counted.
 *
 * The starter goes there, before it forks the server, and is gone a moment later.
 */
#include "cmd/shim/shim.h"

#include "supervisor/bundle/options.h"
#include "supervisor/service/bootstrap.h"

#include "journal/base/cleanup.h" /* after json.h */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *wanted(struct node *n, const struct bootstrap *boot)
{
	auto_json json_object *options = NULL;
	const char *path;

	/* What can't be decoded is Create's to refuse. */
	if (options_decode(&options, boot->options_type, boot->options, boot->options_len,
			   NULL) < 0 ||
	    options_follow(options, n, NULL) < 0)
		return NULL;
	path = json_text(options, "shim_cgroup", "");
	return path[0] ? strdup(path) : NULL;
}

/* 1: joined; 0: it is not in this hierarchy. */
static int join(struct node *n, const struct mount_info *hierarchy, const char *path,
		struct err *err)
{
	auto_free char *folder = NULL;
	int rc;

	if (strncmp(hierarchy->target, "/sys/fs/cgroup", 14) != 0 ||
	    strncmp(hierarchy->type, "cgroup", 6) != 0)
		return 0;
	if (asprintf(&folder, "%s/%s", hierarchy->target, path) < 0)
		return err_set(err, ENOMEM, "shim_cgroup");
	rc = n->cgroup_write(n, folder, "cgroup.procs", "0", err);
	return rc == -ENOENT ? 0 : rc < 0 ? rc : 1;
}

int shim_join_cgroup(struct shim *shim, const struct bootstrap *boot, struct err *err)
{
	auto_free char *path = wanted(shim->node, boot);
	struct node *n = shim->node;
	struct mount_list mounts = { .at = NULL };
	int joined = 0, rc;

	if (!path)
		return 0;
	rc = n->mounts(n, &mounts, err);
	for (size_t i = 0; i < mounts.n && rc >= 0; i++) {
		rc = join(n, &mounts.at[i], path, err);
		joined += rc > 0;
	}
	mount_list_clear(&mounts);
	if (rc < 0)
		return err_wrap(err, "shim_cgroup %s", path);
	return joined ? 0 : err_say(err, ENOENT, "shim_cgroup %s: there is no such cgroup", path);
}
