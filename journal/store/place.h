/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_STORE_PLACE_H
#define URUNC_STORE_PLACE_H

/*
 * place.h - where the files of a task are. See journal.h for the folders.
 */

#include "journal/journal.h"

#include <limits.h>

/* Paths of one task. Only names that are complete are ever read: what is being
 * written is called ".<name>.new" (file.h). */
enum place_file { PLACE_LIVE, PLACE_RESCUE, PLACE_LOCK };

/* No name can be too long: a journal_place leaves room for the longest. */
void place_path(char ret[PATH_MAX], const struct journal_place *place,
		const struct task_key *key, enum place_file which);

/* @path, which is below a place, with "-wal" or "-shm" behind. */
void place_side(char ret[PATH_MAX], const char *path, const char *tail);

/* Remove the -wal and -shm of a database that is not there (any more). */
int place_drop_sides(const char *path, struct err *err);

/* A name in done/ (.. torn/) for a task, that is not taken; its folder is made. */
int place_done_name(char ret[PATH_MAX], const struct journal_place *place,
		    const struct task_key *key, struct err *err);
int place_torn_name(char ret[PATH_MAX], const struct journal_place *place,
		    const struct task_key *key, struct err *err);

/* Take daemon, namespace and id from "<daemon>/<ns>/<id>.<ms>.db" at the end of
 * @path. @ms may be NULL. -EINVAL: no such name. */
int place_parse_done(const char *path, struct task_key *ret, int64_t *ms);

#endif
