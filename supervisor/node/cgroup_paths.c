/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/node/cgroup_paths.h"

#include "journal/base/cleanup.h"
#include "journal/base/text.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

#define BASE           "/sys/fs/cgroup"
#define HIERARCHIES    32 /* the kernel has 16 controllers; some are only a name */
#define COMPONENTS_MAX 128

/* ---- the list ---------------------------------------------------------------- */

void cgroup_paths_clear(struct cgroup_paths *paths)
{
	for (size_t i = 0; i < paths->n; i++)
		free(paths->at[i].path);
	free(paths->at);
	*paths = (struct cgroup_paths){ 0 };
}

/* Once; a leaf stays a leaf. */
static int add(struct cgroup_paths *to, const char *path, size_t len, struct cgroup_path like)
{
	struct cgroup_path *grown;

	for (size_t i = 0; i < to->n; i++)
		if (strncmp(to->at[i].path, path, len) == 0 && !to->at[i].path[len]) {
			to->at[i].leaf |= like.leaf;
			return 0;
		}
	grown = reallocarray(to->at, to->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	to->at = grown;
	grown[to->n] = like;
	grown[to->n].path = strndup(path, len);
	return grown[to->n].path ? (to->n++, 0) : -ENOMEM;
}

/* ---- hierarchies ------------------------------------------------------------- */

/* @path is @top, or lies below it. The rest of it begins at *rest. */
static bool within(const char *path, const char *top, const char **rest)
{
	size_t n = strlen(top);

	while (n > 0 && top[n - 1] == '/')
		n--;
	if (strncmp(path, top, n) != 0 || (path[n] && path[n] != '/'))
		return false;
	*rest = path + n;
	return true;
}

static const struct mount_info *by_id(const struct mount_list *mounts, int64_t id)
{
	for (size_t i = 0; i < mounts->n; i++)
		if (mounts->at[i].id == id)
			return &mounts->at[i];
	return NULL;
}

/* Another mount stands on @m's root. */
static bool is_stacked_on(const struct mount_list *mounts, const struct mount_info *m)
{
	for (size_t i = 0; i < mounts->n; i++)
		if (mounts->at[i].parent == m->id && mounts->at[i].id != m->id &&
		    strcmp(mounts->at[i].target, m->target) == 0)
			return true;
	return false;
}

/* In the mount that @m is mounted in, another one stands on its place or above it. The
 * root that a machine booted with is its own parent, and stands on nothing. */
static bool is_covered(const struct mount_list *mounts, const struct mount_info *m)
{
	const char *rest;

	for (size_t i = 0; i < mounts->n; i++)
		if (mounts->at[i].parent == m->parent && mounts->at[i].id != m->id &&
		    mounts->at[i].id != m->parent &&
		    within(m->target, mounts->at[i].target, &rest))
			return true;
	return false;
}

static bool is_visible(const struct mount_list *mounts, const struct mount_info *m)
{
	if (is_stacked_on(mounts, m))
		return false;
	/* Bounded, for what we are given may be a ring. */
	for (int i = 0; m && i < COMPONENTS_MAX; i++) {
		if (is_covered(mounts, m))
			return false;
		m = by_id(mounts, m->parent);
	}
	return true;
}

static bool is_unified(const struct mount_info *m)
{
	return strcmp(m->type, "cgroup2") == 0;
}

static bool is_better(const struct mount_info *a, const struct mount_info *b)
{
	const char *rest;
	bool a_base = within(a->target, BASE, &rest);
	bool b_base = within(b->target, BASE, &rest);

	return a_base != b_base ? a_base : strlen(a->target) < strlen(b->target);
}

struct hierarchies {
	const struct mount_info *at[HIERARCHIES];
	size_t n;
};

static void take_mount(struct hierarchies *to, const struct mount_info *m)
{
	for (size_t i = 0; i < to->n; i++) {
		if (to->at[i]->major != m->major || to->at[i]->minor != m->minor)
			continue;
		if (is_better(m, to->at[i]))
			to->at[i] = m;
		return;
	}
	if (to->n < HIERARCHIES)
		to->at[to->n++] = m;
}

static void find_hierarchies(const struct mount_list *mounts, struct hierarchies *ret)
{
	ret->n = 0;
	for (size_t i = 0; i < mounts->n; i++) {
		const struct mount_info *m = &mounts->at[i];

		if ((is_unified(m) || strcmp(m->type, "cgroup") == 0) && is_visible(mounts, m))
			take_mount(ret, m);
	}
}

/* @word is one of the words, with commas between, of @list. */
static bool has_word(const char *list, const char *word, size_t len)
{
	for (const char *p = list; *p; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ','))
		if (strcspn(p, ",") == len && memcmp(p, word, len) == 0)
			return true;
	return false;
}

/* ---- /proc/PID/cgroup -------------------------------------------------------- */

/* A line "id:controllers:path". Lent, from the text. */
struct line {
	const char *controllers, *path;
	size_t controllers_len, path_len;
};

static bool next_line(const char **text, struct line *ret, bool *broken)
{
	const char *p = *text;
	size_t len = strcspn(p, "\n");
	const char *one = memchr(p, ':', len);
	const char *two = one ? memchr(one + 1, ':', (size_t)(p + len - one - 1)) : NULL;

	*broken = *p && (!two || two[1] != '/');
	if (!*p || *broken)
		return false;
	ret->controllers = one + 1;
	ret->controllers_len = (size_t)(two - one - 1);
	ret->path = two + 1;
	ret->path_len = (size_t)(p + len - two - 1);
	*text = p + len + (p[len] == '\n');
	return true;
}

static bool is_of(const struct mount_info *m, const struct line *line)
{
	size_t first = line->controllers_len;
	const char *comma = memchr(line->controllers, ',', first);

	if (!first || is_unified(m))
		return !first && is_unified(m);
	if (comma)
		first = (size_t)(comma - line->controllers);
	return has_word(m->super, line->controllers, first);
}

/* Copy the path, if it is one that can be seen and still exists. What lies outside of
 * our cgroup namespace begins with "/..". */
static bool path_of(const struct line *line, char ret[PATH_MAX])
{
	if (line->path_len >= PATH_MAX)
		return false;
	memcpy(ret, line->path, line->path_len);
	ret[line->path_len] = '\0';
	return !text_ends(ret, " (deleted)") && !text_ends(ret, "/..") && !strstr(ret, "/../");
}

/* Where the process of @text is in the hierarchy @m, as a folder. 1, 0: not to be
 * seen, or < 0. */
static int folder_of(const char *text, const struct mount_info *m, char ret[PATH_MAX])
{
	char path[PATH_MAX];
	struct line line;
	const char *rest;
	bool broken;

	while (next_line(&text, &line, &broken)) {
		if (!is_of(m, &line))
			continue;
		if (!path_of(&line, path) || !within(path, m->root, &rest))
			return 0;
		if (strcmp(rest, "/") == 0)
			rest = "";
		return snprintf(ret, PATH_MAX, "%s%s", m->target, rest) < PATH_MAX
			       ? 1
			       : -ENAMETOOLONG;
	}
	return broken ? -EINVAL : 0;
}

int cgroup_paths_of(const char *text, const struct mount_list *mounts, struct cgroup_paths *ret,
		    struct err *err)
{
	struct cgroup_paths paths = { 0 };
	struct hierarchies all;
	char folder[PATH_MAX];
	int rc = 0;

	find_hierarchies(mounts, &all);
	for (size_t i = 0; rc >= 0 && i < all.n; i++) {
		rc = folder_of(text, all.at[i], folder);
		if (rc > 0)
			rc = add(&paths, folder, strlen(folder),
				 (struct cgroup_path){ .leaf = true,
						       .unified = is_unified(all.at[i]) });
	}
	if (rc < 0) {
		cgroup_paths_clear(&paths);
		return err_set(err, -rc, "the cgroups of a process");
	}
	*ret = paths;
	return 0;
}

/* ---- the forecast ------------------------------------------------------------ */

/* One question: this wish, in this hierarchy, as that runtime does it. */
struct place {
	const struct cgroup_wish *wish;
	const struct mount_info *m;
	bool crun;
	bool hybrid; /* there are hierarchies of version 1, too */
};

/* Text that grows to the right and never past its end. */
struct path {
	char text[PATH_MAX];
	size_t len;
	bool cut;
};

static void put(struct path *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct path *p, const char *fmt, ...)
{
	size_t room = sizeof(p->text) - p->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(p->text + p->len, room, fmt, ap);
	va_end(ap);
	p->cut |= n < 0 || (size_t)n >= room;
	p->len = strlen(p->text);
}

/* Append the components, without "." and empty ones; ".." takes one back, at most to
 * @floor bytes. */
static void put_clean(struct path *p, const char *path, size_t floor)
{
	for (size_t n; *path; path += n) {
		n = strcspn(path, "/");
		if (n == 2 && memcmp(path, "..", 2) == 0) {
			while (p->len > floor && p->text[--p->len] != '/')
				;
			p->text[p->len] = '\0';
		} else if (n > 0 && !(n == 1 && *path == '.')) {
			put(p, "/%.*s", (int)n, path);
		}
		n += path[n] == '/';
	}
}

/* "a-b.slice" lies in "a.slice". "-.slice" is the root. */
static bool put_slice(struct path *p, const char *slice)
{
	size_t stem = strlen(slice) - (text_ends(slice, ".slice") ? strlen(".slice") : 0);

	if (!slice[stem] || strchr(slice, '/'))
		return false;
	if (stem == 1 && slice[0] == '-')
		return true;
	for (size_t i = 1; i <= stem; i++)
		if (i == stem || slice[i] == '-')
			put(p, "/%.*s.slice", (int)i, slice);
	return true;
}

/* "slice:prefix:name", and what stands for the parts that are not given. */
static bool put_unit(struct path *p, const struct cgroup_wish *wish, bool crun)
{
	const char *one = strchr(wish->path, ':');
	const char *two = one ? strchr(one + 1, ':') : NULL;
	char slice[NAME_MAX];

	if (!*wish->path) {
		put(p, "/system.slice/%s-%s.scope", crun ? "crun" : "runc", wish->id);
		return true;
	}
	if (!one && crun && !strchr(wish->path, '/')) {
		put(p, "/system.slice/%s.scope", wish->path);
		return true;
	}
	if (!two || strchr(two + 1, ':') || strchr(two, '/') || strchr(one, '/') ||
	    (size_t)(one - wish->path) >= sizeof(slice))
		return false;
	snprintf(slice, sizeof(slice), "%.*s", (int)(one - wish->path), wish->path);
	if (!put_slice(p, *slice ? slice : "system.slice"))
		return false;
	if (text_ends(two, ".slice"))
		put(p, "/%s", two + 1);
	else
		put(p, "/%.*s-%s.scope", (int)(two - one - 1), one + 1, two + 1);
	return true;
}

/* systemd counts from where it is itself, and that is not in its own "init.scope". */
static void put_systemd_top(struct path *p, const struct place *in)
{
	char folder[PATH_MAX];
	const char *rest; /* the mount's own folder may have that name, too */
	size_t len;

	if (is_unified(in->m) || folder_of(in->wish->init, in->m, folder) <= 0)
		snprintf(folder, sizeof(folder), "%s", in->m->target);
	len = strlen(folder);
	if (within(folder, in->m->target, &rest) && text_ends(rest, "/init.scope"))
		len -= strlen("/init.scope");
	put(p, "%.*s", (int)len, folder);
}

/* A relative path, or none: runc starts at its caller's cgroup. In version 2 alone, at
 * that one's parent, since a cgroup with processes can't have children with
 * controllers; in version 2 beside version 1, at the top. crun always at the top. */
static void put_own_top(struct path *p, const struct place *in)
{
	const struct mount_info *m = in->m;
	char folder[PATH_MAX];
	const char *rest;

	if (in->crun || (is_unified(m) && in->hybrid) ||
	    folder_of(in->wish->own, m, folder) <= 0)
		snprintf(folder, sizeof(folder), "%s", m->target);
	else if (is_unified(m) && within(folder, m->target, &rest) && *rest)
		*strrchr(folder, '/') = '\0';
	put(p, "%s", folder);
}

static bool put_leaf(struct path *p, const struct place *in)
{
	const struct cgroup_wish *wish = in->wish;

	if (wish->systemd) {
		put_systemd_top(p, in);
		return put_unit(p, wish, in->crun);
	}
	if (wish->path[0] == '/')
		put(p, "%s", in->m->target);
	else
		put_own_top(p, in);
	put_clean(p, *wish->path ? wish->path : wish->id, p->len);
	return true;
}

/* The leaf, and each folder between the mount and it. */
static int add_with_ancestors(struct cgroup_paths *to, const struct path *p, size_t top,
			      struct cgroup_path like)
{
	int components = 0;
	int rc = 0;

	for (size_t i = top + 1; rc == 0 && i <= p->len; i++) {
		if (p->text[i] && p->text[i] != '/')
			continue;
		if (++components > COMPONENTS_MAX)
			return -ENAMETOOLONG;
		like.leaf = i == p->len;
		rc = add(to, p->text, i, like);
	}
	return rc;
}

static int forecast_in(const struct place *in, struct cgroup_path like, struct cgroup_paths *to)
{
	struct path p = { .len = 0 };
	size_t top = strlen(in->m->target);
	int rc;

	like.unified = is_unified(in->m);
	if (!put_leaf(&p, in))
		return 0;
	if (p.cut)
		return -ENAMETOOLONG;
	rc = add_with_ancestors(to, &p, top, like);
	if (rc < 0 || !in->wish->systemd || !in->crun)
		return rc;
	/* crun puts the container below the scope, which it gets delegated. */
	put(&p, "/container");
	return p.cut ? -ENAMETOOLONG : add_with_ancestors(to, &p, top, like);
}

static bool has_version(const struct hierarchies *all, bool unified)
{
	for (size_t i = 0; i < all->n; i++)
		if (is_unified(all->at[i]) == unified)
			return true;
	return false;
}

/* The tmpfs that version 1 is mounted in, if version 2 is not mounted there. */
static const struct mount_info *bare_base(const struct mount_list *mounts,
					  const struct hierarchies *all)
{
	if (has_version(all, true))
		return NULL;
	for (size_t i = 0; i < mounts->n; i++)
		if (strcmp(mounts->at[i].target, BASE) == 0 &&
		    strcmp(mounts->at[i].type, "tmpfs") == 0 && is_visible(mounts, &mounts->at[i]))
			return &mounts->at[i];
	return NULL;
}

static int forecast_bare(const struct cgroup_wish *wish, const struct mount_list *mounts,
			 const struct hierarchies *all, struct cgroup_paths *to)
{
	const struct mount_info *base = bare_base(mounts, all);
	char target[] = BASE "/unified";
	struct mount_info m;

	if (!base)
		return 0;
	m = *base;
	m.target = target;
	return forecast_in(&(struct place){ wish, &m, .crun = true, .hybrid = true },
			   (struct cgroup_path){ .plain = true }, to);
}

int cgroup_forecast(const struct cgroup_wish *wish, const struct mount_list *mounts,
		    struct cgroup_paths *ret, struct err *err)
{
	struct cgroup_paths paths = { 0 };
	struct cgroup_path like = { 0 };
	struct hierarchies all;
	int rc = 0;

	find_hierarchies(mounts, &all);
	for (size_t i = 0; rc == 0 && i < all.n; i++) {
		struct place in = { wish, all.at[i], .hybrid = has_version(&all, false) };

		if (wish->habit != CGROUP_HABIT_CRUN)
			rc = forecast_in(&in, like, &paths);
		in.crun = true;
		if (rc == 0 && wish->habit != CGROUP_HABIT_RUNC)
			rc = forecast_in(&in, like, &paths);
	}
	if (rc == 0 && wish->habit != CGROUP_HABIT_RUNC)
		rc = forecast_bare(wish, mounts, &all, &paths);
	if (rc < 0) {
		cgroup_paths_clear(&paths);
		return err_set(err, -rc, "the cgroups for \"%s\"", wish->path);
	}
	*ret = paths;
	return 0;
}
