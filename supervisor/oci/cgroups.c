/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/oci/cgroups.h"

#include "journal/base/cleanup.h"

#include <limits.h>
#include <string.h>

#define PLACE "/sys/fs/cgroup" /* others are somebody's private copies */

typedef int each_fn(void *arg, const char *folder, size_t root, struct err *err);

struct text {
	char at[CGROUP_PATH_MAX];
	size_t len;
	bool full;
};

static void add(struct text *t, const char *part, size_t len)
{
	if (t->len + len + 2 > sizeof(t->at)) {
		t->full = true;
		return;
	}
	memcpy(t->at + t->len, part, len);
	t->len += len;
	t->at[t->len] = '\0';
}

/* Append the components of @path, each after a slash; .. goes up, never above @floor. */
static void add_path(struct text *t, const char *path, size_t floor)
{
	while (*path) {
		size_t len = strcspn(path, "/");

		if (len == 2 && path[0] == '.' && path[1] == '.') {
			while (t->len > floor && t->at[t->len - 1] != '/')
				t->len--;
			if (t->len > floor)
				t->len--;
			t->at[t->len] = '\0';
		} else if (len > 0 && !(len == 1 && path[0] == '.')) {
			add(t, "/", 1);
			add(t, path, len);
		}
		path += len;
		path += strspn(path, "/");
	}
}

static bool is_hierarchy(const struct mount_info *m)
{
	size_t len = strlen(PLACE);

	return (strcmp(m->type, "cgroup") == 0 || strcmp(m->type, "cgroup2") == 0) &&
	       strncmp(m->target, PLACE, len) == 0 &&
	       (m->target[len] == '\0' || m->target[len] == '/');
}

/* Is @word one of the words with commas between them? */
static bool has_word(const char *list, const char *word, size_t len)
{
	while (*list) {
		size_t n = strcspn(list, ",");

		if (n == len && memcmp(list, word, len) == 0)
			return true;
		list += n;
		list += *list == ',';
	}
	return false;
}

/* A line is "N:controllers:/path"; version 2 has none, and the number 0. */
static bool line_is_of(const char *line, const struct mount_info *m)
{
	const char *words = strchr(line, ':');
	size_t len;

	if (!words)
		return false;
	words++;
	if (strcmp(m->type, "cgroup2") == 0)
		return words[0] == ':';
	len = strcspn(words, ",:");
	return len > 0 && has_word(m->super, words, len);
}

/* The path in the line for this hierarchy: lent, ended by a newline; NULL: none. */
static const char *path_in(const char *text, const struct mount_info *m)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		const char *colon;

		line += *line == '\n';
		if (!line_is_of(line, m))
			continue;
		colon = strchr(strchr(line, ':') + 1, ':');
		return colon ? colon + 1 : NULL;
	}
	return NULL;
}

/* The part below the mount's root: in a container the mount shows only a part. */
static void add_line_path(struct text *t, const char *path, const struct mount_info *m)
{
	auto_free char *copy = strndup(path, strcspn(path, "\n"));
	size_t len = strlen(m->root);
	size_t floor = t->len;
	const char *rest = copy;

	if (!copy) {
		t->full = true;
		return;
	}
	if (len > 1 && strncmp(copy, m->root, len) == 0 && (copy[len] == '/' || !copy[len]))
		rest = copy + len;
	add_path(t, rest, floor);
}

/* ---- the systemd driver -------------------------------------------------------- */

/* a-b.slice is in a.slice: one folder for each dash. */
static void add_slice(struct text *t, const char *slice, size_t len)
{
	if (len >= 6 && memcmp(slice + len - 6, ".slice", 6) == 0)
		len -= 6;
	if (len == 1 && slice[0] == '-')
		return;
	for (size_t i = 1; i <= len; i++) {
		if (i < len && slice[i] != '-')
			continue;
		add(t, "/", 1);
		add(t, slice, i);
		add(t, ".slice", 6);
	}
}

static void add_scope(struct text *t, const struct cgroup_ask *ask)
{
	const char *prefix = ask->kind == RUNTIME_CRUN ? "crun" : "runc";
	const char *first = strchr(ask->cgroups_path, ':');
	const char *second = first ? strchr(first + 1, ':') : NULL;

	if (!first) {
		add_slice(t, "system.slice", 12);
		add(t, "/", 1);
		add(t, prefix, strlen(prefix));
		add(t, "-", 1);
		add(t, ask->id, strlen(ask->id));
		add(t, ".scope", 6);
		return;
	}
	if (first == ask->cgroups_path)
		add_slice(t, "system.slice", 12);
	else
		add_slice(t, ask->cgroups_path, (size_t)(first - ask->cgroups_path));
	add(t, "/", 1);
	if (second) {
		add(t, first + 1, (size_t)(second - first - 1));
		add(t, "-", 1);
		first = second;
	}
	add(t, first + 1, strlen(first + 1));
	add(t, ".scope", 6);
}

/* ---- the cgroupfs driver ------------------------------------------------------- */

static void add_plain(struct text *t, const struct cgroup_ask *ask, const struct mount_info *m)
{
	const char *path = ask->cgroups_path[0] ? ask->cgroups_path : ask->id;
	size_t floor = t->len;

	if (path[0] != '/' && ask->kind != RUNTIME_CRUN) {
		const char *own = path_in(ask->own, m);

		if (own)
			add_line_path(t, own, m);
		/* Version 2: its own cgroup holds processes, so it takes the one above. */
		if (own && strcmp(m->type, "cgroup2") == 0)
			add_path(t, "..", floor);
	}
	add_path(t, path, floor);
}

int cgroups_predict(const struct cgroup_ask *ask, each_fn *each, void *arg, struct err *err)
{
	for (size_t i = 0; i < ask->mounts->n; i++) {
		const struct mount_info *m = &ask->mounts->at[i];
		struct text t = { .len = 0 };
		size_t root = strlen(m->target);
		int rc;

		if (!is_hierarchy(m))
			continue;
		add(&t, m->target, root);
		if (ask->systemd)
			add_scope(&t, ask);
		else
			add_plain(&t, ask, m);
		if (t.full)
			return err_say(err, EINVAL, "cgroupsPath \"%.64s...\" is too long",
				       ask->cgroups_path);
		rc = t.len > root ? each(arg, t.at, root, err) : 0;
		if (rc < 0)
			return rc;
	}
	return 0;
}

int cgroups_of_text(const struct mount_list *mounts, const char *text, each_fn *each, void *arg,
		    struct err *err)
{
	for (size_t i = 0; i < mounts->n; i++) {
		const struct mount_info *m = &mounts->at[i];
		const char *path = is_hierarchy(m) ? path_in(text, m) : NULL;
		struct text t = { .len = 0 };
		size_t root = strlen(m->target);
		int rc;

		if (!path)
			continue;
		add(&t, m->target, root);
		add_line_path(&t, path, m);
		rc = t.len > root && !t.full ? each(arg, t.at, root, err) : 0;
		if (rc < 0)
			return rc;
	}
	return 0;
}

bool cgroup_names(const char *path, const char *id)
{
	const char *name = strrchr(path, '/');
	size_t len = strlen(id);
	size_t have;

	name = name ? name + 1 : path;
	have = strlen(name);
	if (have > 6 && strcmp(name + have - 6, ".scope") == 0)
		have -= 6;
	if (len == 0 || have < len || memcmp(name + have - len, id, len) != 0)
		return false;
	/* A whole word: not the tail of a longer id, unless a prefix ends before it. */
	return have == len || name[have - len - 1] == '-' || name[have - len - 1] == ':';
}
