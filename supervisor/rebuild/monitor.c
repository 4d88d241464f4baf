/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor.c - a monitor of our own launch, by what it was told.
 *
 * Its environment names the task. Anybody may write that into his own, so a cgroup of it
 * has to carry the id as well, and it has to be in the network namespace that it was told
 * of. Who is root in a container with cgroups of its own can do even that, for himself: of
 * two who are left nobody can tell which one it is, and neither is touched.
 */
#include "supervisor/rebuild/evidence.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/json.h"
#include "supervisor/oci/cli.h"
#include "supervisor/oci/runtime.h"
#include "supervisor/unikernel/order.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENVIRONMENT_MAX (1024 * 1024) /* bytes */

/* What the environment @text says of @name; NULL: nothing. */
static const char *value_of(const char *text, size_t len, const char *name)
{
	for (const char *at = text; at < text + len; at += strlen(at) + 1)
		if (strncmp(at, name, strlen(name)) == 0)
			return at + strlen(name);
	return NULL;
}

/* 1 or 0. Lines as "4:memory:/t1/g1". */
static int in_cgroup_of(struct node *n, const struct ident *who, const char *id, struct err *err)
{
	auto_free char *text = NULL;
	char *rest = NULL;
	int r = n->cgroups_of(n, who, &text, err);

	if (r < 0)
		return evidence_unseen(r) ? r : 0;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		const char *path = strchr(line, '/');

		if (path && oci_cgroup_names(path, id))
			return 1;
	}
	return 0;
}

/* Is @p in the namespace that @network, if anything, speaks of? */
static bool in_network(const struct proc_info *p, const char *network)
{
	auto_json json_object *known = network ? json_read(network) : NULL;
	struct path_ident netns;

	return !json_path(known, "netns", &netns) || netns.ino == p->netns;
}

/* It is, or somebody wants it to be. */
static int take(struct evidence *ev, const struct proc_info *p, const char *network,
		struct err *err)
{
	if (ev->monitor.pid && p->ppid == ev->monitor.pid) /* its child, told the same */
		return 0;
	if (ev->monitor.pid)
		return err_say(err, EBUSY, "its journal says nothing, and both process %d and process "
			       "%d say that they are its monitor: end the one that is not",
			       (int)ev->monitor.pid, (int)p->ident.pid);
	ev->network = network ? strdup(network) : NULL;
	if (network && !ev->network)
		return err_set(err, ENOMEM, "look for a monitor");
	ev->monitor = p->ident;
	return 0;
}

/* Is it this task's? */
static int look(struct evidence *ev, struct work *w, const struct proc_info *p, const char *name,
		struct err *err)
{
	auto_free char *text = NULL;
	const char *task, *network;
	char path[64];
	size_t len = 0;
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)p->ident.pid);
	r = w->node->read_file(w->node, path, ENVIRONMENT_MAX, &text, &len, err);
	if (r < 0)
		return evidence_unseen(r) ? r : 0;
	task = value_of(text, len, ORDER_TASK);
	if (!task || strcmp(task, name) != 0)
		return 0;
	r = in_cgroup_of(w->node, &p->ident, w->ret->key.id, err);
	if (r <= 0)
		return r;
	network = value_of(text, len, ORDER_NETWORK);
	return in_network(p, network) ? take(ev, p, network, err) : 0;
}

int evidence_monitor(struct evidence *ev, struct work *w, struct err *err)
{
	const struct task_key *key = &w->ret->key;
	auto_free struct proc_info *procs = NULL;
	auto_free char *name = NULL;
	size_t n = 0;
	int r = 0;

	if (ev->state || !ev->bundle)
		return 0;
	if (asprintf(&name, "%s/%s/%s", key->daemon, key->ns, key->id) < 0) {
		name = NULL;
		return err_set(err, ENOMEM, "look for a monitor");
	}
	r = w->node->scan(w->node, &procs, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = look(ev, w, &procs[i], name, err);
	if (r < 0 || !ev->monitor.pid)
		return r;
	free(ev->runtime);
	ev->runtime = strdup(RUNTIME_NATIVE_NAME);
	return ev->runtime ? 0 : err_set(err, ENOMEM, "look for a monitor");
}
