/* SPDX-License-Identifier: Apache-2.0 */
/*
 * done.c - how a task's file leaves live/: finished, or set aside; and what is swept.
 */
#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "journal/base/file.h"
#include "journal/handle.h"
#include "journal/list.h"
#include "journal/store/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The kernel writes by itself what is older than half a minute; a disk may take its time. */
#define UNFLUSHED_MS (5 * 60 * 1000)

/*
 * Move a database under its new name, with its WAL if that still has content. The
 * database goes first: what a crash leaves in live/ is then a WAL without a
 * database, which is no task, and not an older state of one.
 */
static int move_database(const char *from, const char *to, bool with_wal, struct err *err)
{
	char wal[PATH_MAX], wal_to[PATH_MAX];
	int r;

	place_side(wal, from, "-wal");
	place_side(wal_to, to, "-wal");
	if (rename(from, to) < 0)
		return err_set(err, errno, "move %s to %s", from, to);
	crash_point("journal.moved");
	if (with_wal && rename(wal, wal_to) < 0 && errno != ENOENT)
		return err_set(err, errno, "move %s to %s", wal, wal_to);
	r = place_drop_sides(from, err);
	crash_point("journal.swept");
	return r;
}

/*
 * Bring the WAL into the database, without a flush: what a power cut could take now is
 * history. A reader in the way is no reason to wait; the WAL then moves along.
 */
static bool fold_wal(struct journal *j)
{
	bool folded;

	if (sql_exec(&j->sql, "PRAGMA synchronous=OFF", NULL) < 0)
		return false;
	folded = sqlite3_wal_checkpoint_v2(j->sql.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
					   NULL) == SQLITE_OK;
	crash_point("journal.folded");
	return folded;
}

/*
 * The copy is the history, if the disk takes it; else the original is. The copy under
 * <run> goes before the original: one that outlived it would be taken for the journal
 * of the next task of that name.
 */
static int finish_rescue(struct journal *j, const char *live, bool folded, struct err *err)
{
	char done[PATH_MAX];
	bool named = place_done_name(done, &j->place, &j->key, NULL) == 0;
	bool kept = named && folded && file_copy(j->file, done, 0600, NULL) == 0;
	int r = file_unlink(j->file, err);

	if (r == 0)
		r = place_drop_sides(j->file, err);
	crash_point("journal.rescue.removed");
	if (r == 0 && named && !kept && move_database(live, done, true, NULL) == 0)
		return 0;
	if (r == 0)
		r = file_unlink(live, err);
	return r == 0 ? place_drop_sides(live, err) : r;
}

static int finish_live(struct journal *j, const char *live, bool folded, struct err *err)
{
	char done[PATH_MAX];
	int r = place_done_name(done, &j->place, &j->key, err);

	return r == 0 ? move_database(live, done, !folded, err) : r;
}

/* Still ours? Else the file is not ours to move. */
static int check_owned(struct journal *j, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_LEASE);
	int r = sql_step(&j->sql, s, "finish", err);

	if (r < 0)
		return r;
	if (r == 1 && sqlite3_column_int64(s, 0) == j->lease && j->lease > 0)
		return 0;
	return journal_say(j, ESTALE, err, "somebody took it over; it is theirs to finish");
}

int journal_finish(struct journal **jp, struct err *err)
{
	struct journal *j = *jp;
	char live[PATH_MAX], lock[PATH_MAX];
	bool folded;
	int r;

	*jp = NULL;
	r = check_owned(j, err);
	place_path(live, &j->place, &j->key, PLACE_LIVE);
	place_path(lock, &j->place, &j->key, PLACE_LOCK);
	if (r == 0) {
		journal_rollback(j);
		folded = fold_wal(j);
		sql_close(&j->sql);
		r = j->rescue ? finish_rescue(j, live, folded, err) :
				finish_live(j, live, folded, err);
	}
	if (r == 0)
		r = file_unlink(lock, err);
	journal_close(j);
	return r;
}

static bool there(const char *path, const char *tail)
{
	char side[PATH_MAX];

	place_side(side, path, tail);
	return !file_missing(side);
}

static bool any_left(const char *live, const char *rescue, const char *lock)
{
	return there(lock, "") || there(live, "-wal") || there(live, "-shm") ||
	       there(rescue, "") || there(rescue, "-wal") || there(rescue, "-shm");
}

static int sweep_sides(const char *live, const char *rescue, const char *lock, struct err *err)
{
	int r = place_drop_sides(live, err);

	if (r == 0)
		r = file_unlink(rescue, err);
	if (r == 0)
		r = place_drop_sides(rescue, err);
	return r == 0 ? file_unlink(lock, err) : r;
}

int journal_sweep(const struct journal_place *place, const struct task_key *key,
		  struct err *err)
{
	char live[PATH_MAX], rescue[PATH_MAX], lock[PATH_MAX];
	auto_fd int fd = -1;
	int r;

	place_path(live, place, key, PLACE_LIVE);
	place_path(rescue, place, key, PLACE_RESCUE);
	place_path(lock, place, key, PLACE_LOCK);
	if (!file_missing(live) || !any_left(live, rescue, lock))
		return 0;
	r = journal_lock(place, key, &fd, err);
	/* Under the lock: nobody makes the task meanwhile. */
	if (r == 0 && file_missing(live))
		r = sweep_sides(live, rescue, lock, err);
	return r;
}

/* ---- sweeping ---------------------------------------------------------------- */

struct sweep {
	struct walk walk; /* first: the callback gets this */
	const struct journal_place *place;
};

/*
 * Remove @path, unless the task of w->key lives or has an owner. Under its lock: a
 * process that is just making the task has that while such a name stands.
 */
static int sweep_one(struct sweep *s, const char *path, bool draft, struct err *err)
{
	char live[PATH_MAX], lock[PATH_MAX];
	auto_fd int fd = -1;
	int r;

	place_path(live, s->place, &s->walk.key, PLACE_LIVE);
	place_path(lock, s->place, &s->walk.key, PLACE_LOCK);
	if (!draft && !file_missing(live))
		return 0;
	r = journal_lock(s->place, &s->walk.key, &fd, err);
	if (r == -EAGAIN)
		return 0;
	if (r == 0 && (draft || file_missing(live)))
		r = file_unlink(path, err);
	if (r == 0 && file_missing(live))
		r = file_unlink(lock, err);
	return r;
}

/* What a dead creator, finisher or reader left in live/. */
static int sweep_file(struct walk *w, const char *path, const char *name, struct err *err)
{
	struct sweep *s = (struct sweep *)w;

	if (walk_id(w, name, ".", ".db.new"))
		return sweep_one(s, path, true, err);
	if (walk_id(w, name, "", ".db-wal") || walk_id(w, name, "", ".db-shm"))
		return sweep_one(s, path, false, err);
	return 0;
}

/* The lock of a task that was never made, or is finished. */
static int sweep_lock(struct walk *w, const char *path, const char *name, struct err *err)
{
	struct sweep *s = (struct sweep *)w;

	return walk_id(w, name, "", "") ? sweep_one(s, path, false, err) : 0;
}

/* A copy whose original is gone, whole or half made. */
static int sweep_rescue(struct walk *w, const char *path, const char *name, struct err *err)
{
	struct sweep *s = (struct sweep *)w;

	if (walk_id(w, name, "", ".db") || walk_id(w, name, "", ".db-wal") ||
	    walk_id(w, name, "", ".db-shm") || walk_id(w, name, ".", ".db.new") ||
	    walk_id(w, name, ".", ".db-wal.new"))
		return sweep_one(s, path, false, err);
	return 0;
}

static int drop_done(const struct done_item *item, struct err *err)
{
	int r = file_unlink(item->path, err);

	return r < 0 ? r : place_drop_sides(item->path, err);
}

static int whole(const char *path, struct err *err)
{
	struct journal *j = NULL;
	int r = journal_open_file(&j, path, err);

	if (r == 0)
		r = journal_check(j, err);
	journal_close(j);
	return r;
}

/* Twice: SQLite takes a read that failed for damage, and the disk may have failed but once. */
static bool is_torn(const char *path)
{
	return whole(path, NULL) == -EUCLEAN && whole(path, NULL) == -EUCLEAN;
}

int journal_drop_torn(const struct journal_place *place, struct err *err)
{
	struct done d;
	int r = done_read(&d, place, err);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < d.n && d.at[0].ms - d.at[i].ms < UNFLUSHED_MS; i++) {
		if (is_torn(d.at[i].path))
			r = drop_done(&d.at[i], err);
	}
	done_clear(&d);
	return r;
}

int journal_prune(const struct journal_place *place, int64_t max_age_s, int max_count,
		  struct err *err)
{
	struct sweep live = { .walk = { .file = sweep_file }, .place = place };
	struct sweep locks = { .walk = { .file = sweep_lock }, .place = place };
	int64_t now_s = journal_now_ms() / 1000;
	struct sweep copies = { .walk = { .file = sweep_rescue }, .place = place };
	struct done d;
	int r = walk(&live.walk, place->root, "live", err);

	if (r == 0)
		r = walk(&locks.walk, place->run, "lock", err);
	if (r == 0)
		r = walk(&copies.walk, place->run, "rescue", err);
	if (r == 0)
		r = drafts_prune(place, err);
	if (r < 0)
		return r;
	r = done_read(&d, place, err);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < d.n; i++)
		if (now_s - d.at[i].ms / 1000 > max_age_s || i >= (size_t)max_count)
			r = drop_done(&d.at[i], err);
	done_clear(&d);
	return r;
}
