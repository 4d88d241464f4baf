/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/engine/search.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where runtimes keep their containers; containerd puts the namespace below. */
const char *const host_state_roots[] = {
	"/run/containerd/runc", "/run/containerd/crun", "/run/containerd/urunc",
	"/run/docker/runtime-runc", "/run/runc", "/run/crun", "/run/urunc", NULL,
};

struct search {
	struct engine *e;
	const struct task_key *key;
	int (*each)(void *arg, const struct task_key *key, const char *what);
	void *arg;
	int n, stop;
	int failed; /* 0, or of the first look that failed, as *err is */
	struct err *err;
};

static void tell(struct search *s, const char *what, const char *path)
{
	char text[PATH_MAX + 64];

	(void)snprintf(text, sizeof(text), "%s %s", what, path);
	s->n++;
	if (!s->stop)
		s->stop = s->each(s->arg, s->key, text);
}

/* "/<id>/" as one whole part of the path, after a part that is the namespace. */
static bool names_task(const char *path, const struct task_key *key)
{
	char part[2 * JOURNAL_ID_MAX + 8];
	const char *at;
	size_t len;

	(void)snprintf(part, sizeof(part), "/%s/%s", key->ns, key->id);
	len = strlen(part);
	at = strstr(path, part);
	return at && (at[len] == '/' || at[len] == '\0');
}

static void search_mounts(struct search *s, const struct mount_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (names_task(list->at[i].target, s->key))
			tell(s, "mount", list->at[i].target);
}

static void look_at(struct search *s, const char *what, const char *path)
{
	struct node *n = s->e->node;
	struct path_ident ident;
	int r = n->path(n, path, &ident, s->failed ? NULL : s->err);

	if (r == 1)
		tell(s, what, path);
	else if (r < 0 && !s->failed)
		s->failed = r;
}

/* Every hierarchy that is mounted; containerd's own default path is /<ns>/<id>. */
static void search_cgroups(struct search *s, const struct mount_list *list)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < list->n; i++) {
		if (strncmp(list->at[i].type, "cgroup", strlen("cgroup")) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s/%s", list->at[i].target, s->key->ns,
			       s->key->id);
		look_at(s, "cgroup", path);
	}
}

static void search_states(struct search *s)
{
	char path[PATH_MAX];

	for (size_t i = 0; host_state_roots[i]; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s/%s", host_state_roots[i], s->key->ns,
			       s->key->id);
		look_at(s, "runtime state", path);
		(void)snprintf(path, sizeof(path), "%s/%s", host_state_roots[i], s->key->id);
		look_at(s, "runtime state", path);
	}
}

int host_search(struct engine *e, const struct task_key *key,
		int (*each)(void *arg, const struct task_key *key, const char *what), void *arg,
		struct err *err)
{
	struct search s = { .e = e, .key = key, .each = each, .arg = arg, .err = err };
	struct mount_list list = { 0 };
	int r = e->node->mounts(e->node, &list, err);

	if (r < 0)
		return r;
	search_mounts(&s, &list);
	search_cgroups(&s, &list);
	search_states(&s);
	mount_list_clear(&list);
	return s.failed ? s.failed : s.n;
}
