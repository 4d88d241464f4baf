/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.c - walking the folders. What is no identifier is not ours and passed over:
 * an editor's copy, a half-made file (".<name>.new"), a file system's lost+found.
 */
#include "journal/base/cleanup.h"
#include "journal/base/text.h"
#include "journal/list.h"
#include "journal/store/place.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int keep_all(const struct dirent *e)
{
	return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

static void names_free(struct dirent **names, int n)
{
	while (n > 0)
		free(names[--n]);
	free(names);
}

/* Sorted, so that a listing is the same every time, and read to its end before
 * anything is visited, since a visitor may remove what it is shown. */
static int names_of(const char *dir, struct dirent ***ret, struct err *err)
{
	int n = scandir(dir, ret, keep_all, alphasort);

	if (n >= 0)
		return n;
	*ret = NULL;
	return errno == ENOENT || errno == ENOTDIR ? 0 : err_set(err, errno, "list %s", dir);
}

static int walk_level(struct walk *w, const char *dir, int level, struct err *err);

static int enter_name(struct walk *w, const char *dir, const char *name, int level,
		      struct err *err)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (level == 0 && !text_is_hex(name, JOURNAL_DAEMON))
		return 0;
	if (level == 1 && !text_is_identifier(name, JOURNAL_ID_MAX))
		return 0;
	if (level == 0)
		snprintf(w->key.daemon, sizeof(w->key.daemon), "%s", name);
	if (level == 1)
		snprintf(w->key.ns, sizeof(w->key.ns), "%s", name);
	return level < 2 ? walk_level(w, path, level + 1, err) : w->file(w, path, name, err);
}

static int walk_level(struct walk *w, const char *dir, int level, struct err *err)
{
	struct dirent **names;
	int r = 0, n = names_of(dir, &names, err);

	if (n < 0)
		return n;
	for (int i = 0; r == 0 && i < n; i++)
		r = enter_name(w, dir, names[i]->d_name, level, err);
	names_free(names, n);
	return r;
}

int walk(struct walk *w, const char *root, const char *part, struct err *err)
{
	char dir[PATH_MAX];

	(void)snprintf(dir, sizeof(dir), "%s/%s", root, part);
	return walk_level(w, dir, 0, err);
}

bool walk_id(struct walk *w, const char *name, const char *head, const char *tail)
{
	size_t h = strlen(head), n = strlen(name), t = strlen(tail);

	if (n <= h + t || n - h - t > JOURNAL_ID_MAX || strncmp(name, head, h) != 0 ||
	    !text_ends(name, tail))
		return false;
	memcpy(w->key.id, name + h, n - h - t);
	w->key.id[n - h - t] = '\0';
	return text_is_identifier(w->key.id, JOURNAL_ID_MAX);
}

/* ---- live -------------------------------------------------------------------- */

struct live {
	struct walk walk; /* first: the callback gets this */
	int (*visit)(void *arg, const struct task_key *key, const char *file);
	void *arg;
};

static int live_file(struct walk *w, const char *path, const char *name, struct err *err)
{
	struct live *l = (struct live *)w;

	(void)err;
	return walk_id(w, name, "", ".db") ? l->visit(l->arg, &w->key, path) : 0;
}

/* ---- done -------------------------------------------------------------------- */

static int done_file(struct walk *w, const char *path, const char *name, struct err *err)
{
	struct done *d = (struct done *)w;
	struct done_item *grown;

	(void)name;
	if (d->n % 64 == 0) {
		grown = realloc(d->at, (d->n + 64) * sizeof(*grown));
		if (!grown)
			return err_set(err, ENOMEM, "list the history");
		d->at = grown;
	}
	if (place_parse_done(path, &d->at[d->n].key, &d->at[d->n].ms) < 0)
		return 0;
	d->at[d->n].path = strdup(path);
	if (!d->at[d->n].path)
		return err_set(err, ENOMEM, "list the history");
	d->n++;
	return 0;
}

static int newer(const void *a, const void *b)
{
	const struct done_item *x = a;
	const struct done_item *y = b;

	return x->ms != y->ms ? (x->ms < y->ms) - (x->ms > y->ms) : strcmp(x->path, y->path);
}

int done_read(struct done *d, const struct journal_place *place, struct err *err)
{
	int r;

	memset(d, 0, sizeof(*d));
	d->walk.file = done_file;
	r = walk(&d->walk, place->root, "done", err);
	if (r < 0)
		done_clear(d);
	else if (d->n)
		qsort(d->at, d->n, sizeof(*d->at), newer);
	return r;
}

void done_clear(struct done *d)
{
	while (d->n)
		free(d->at[--d->n].path);
	free(d->at);
	d->at = NULL;
}

int journal_list(const struct journal_place *place, enum journal_where where,
		 int (*visit)(void *arg, const struct task_key *key, const char *file),
		 void *arg, struct err *err)
{
	struct live l = { .walk = { .file = live_file }, .visit = visit, .arg = arg };
	struct done d;
	int r;

	if (where == JOURNAL_LIVE)
		return walk(&l.walk, place->root, "live", err);
	r = done_read(&d, place, err);
	for (size_t i = 0; r == 0 && i < d.n; i++)
		r = visit(arg, &d.at[i].key, d.at[i].path);
	done_clear(&d);
	return r;
}
