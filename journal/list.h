/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_JOURNAL_LIST_H
#define URUNC_JOURNAL_LIST_H

/*
 * list.h - walking <root>/live and <root>/done; for the files of this folder alone.
 */

#include "journal/journal.h"

/* A walk over <daemon>/<namespace>/<file>, in the order of the names. */
struct walk {
	struct task_key key; /* daemon and ns: where it is; id: see walk_id() */
	/* Every name in a namespace's folder, garbage included. 0 goes on; another
	 * value ends the walk and is returned. Files may be removed meanwhile. */
	int (*file)(struct walk *w, const char *path, const char *name, struct err *err);
};
int walk(struct walk *w, const char *root, const char *part, struct err *err);

/* @name is @head, an identifier, @tail: true, and the identifier is w->key.id. */
bool walk_id(struct walk *w, const char *name, const char *head, const char *tail);

/* The history, newest first. */
struct done_item {
	struct task_key key;
	int64_t ms; /* finished */
	char *path;
};
struct done {
	struct walk walk;
	struct done_item *at;
	size_t n;
};
int done_read(struct done *d, const struct journal_place *place, struct err *err);
void done_clear(struct done *d);

/* Remove what dead processes left in done/, torn/ and <run> under no task's name: see
 * drafts.c. < 0: what walk() says. What can't be removed stays until the next time. */
int drafts_prune(const struct journal_place *place, struct err *err);

#endif
