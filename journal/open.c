/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open.c - the ways into a task's file.
 *
 * CREATE, crash by crash: a lock file; then the image under a name nobody reads; then
 * that has its name, and is a whole journal of a new task that nobody owned yet (lease
 * 0), which recovery finds to hold nothing.
 */
#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "journal/base/file.h"
#include "journal/handle.h"
#include "journal/store/lock.h"
#include "journal/store/place.h"
#include "journal/store/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int say_missing(const struct task_key *key, struct err *err)
{
	return err_say(err, ENOENT, "task %s/%s is not in the journal", key->ns, key->id);
}

static struct journal *handle_make(const struct journal_place *place, const struct task_key *key)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->lock = -1;
	if (place)
		j->place = *place;
	if (key)
		j->key = *key;
	return j;
}

static int set_file(struct journal *j, const char *path, struct err *err)
{
	free(j->file);
	j->file = strdup(path);
	return j->file ? 0 : err_set(err, ENOMEM, "open %s", path);
}

/* ---- owners ------------------------------------------------------------------ */

int journal_lock(const struct journal_place *place, const struct task_key *key, int *ret,
		 struct err *err)
{
	char path[PATH_MAX];
	pid_t who = 0;
	int r;

	place_path(path, place, key, PLACE_LOCK);
	r = lock_take(path, ret, &who, err);
	if (r != -EAGAIN || !who)
		return r;
	if (who < 0)
		return err_say(err, EAGAIN, "task %s/%s is owned by a process of another pid "
			       "namespace, which lives", key->ns, key->id);
	if (who == getpid())
		return err_say(err, EAGAIN, "task %s/%s is owned by this very process (%d)",
			       key->ns, key->id, (int)who);
	return err_say(err, EAGAIN, "task %s/%s is owned by process %d, which lives", key->ns,
		       key->id, (int)who);
}

/* There is no task after all: take the name of the lock away, too, if we hold it. */
static void unlink_lock(struct journal *j)
{
	char path[PATH_MAX];

	if (j->lock < 0)
		return;
	place_path(path, &j->place, &j->key, PLACE_LOCK);
	(void)unlink(path);
}

/* Raise the lease: from here on a former owner's writes change nothing (J2). */
static int claim(struct journal *j, struct err *err)
{
	auto_stmt sqlite3_stmt *s = sql_get(&j->sql, SQL_CLAIM);
	int r;

	sql_bind_text(s, 1, j->key.daemon);
	sql_bind_text(s, 2, j->key.ns);
	sql_bind_text(s, 3, j->key.id);
	sqlite3_bind_int64(s, 4, journal_now_ms());
	r = sql_step(&j->sql, s, "take the lease", err);
	if (r < 0)
		return r;
	if (r == 0)
		return journal_say(j, EUCLEAN, err, "the file %s is another task's", j->file);
	j->lease = sqlite3_column_int64(s, 0);
	r = sql_step(&j->sql, s, "take the lease", err); /* RETURNING commits at its end */
	crash_point("journal.lease");
	return r;
}

static int can_make(const char *file, const char *tail, struct err *err)
{
	char path[PATH_MAX];
	auto_fd int fd = -1;

	place_side(path, file, tail);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? err_set(err, errno, "make %s", path) : 0;
}

/* SQLite, when it can't make one of its two files, looks for one to read instead, and
 * then says that there is none, or nothing. Make them to learn the reason. */
static int why_not(struct journal *j, int r, struct err *err)
{
	int made;

	if (r != -ENOENT && r != -EIO)
		return r;
	made = can_make(j->file, "-wal", err);
	if (made == 0)
		made = can_make(j->file, "-shm", err);
	if (made < 0 && made != -ENOENT)
		return made;
	return r == -EIO ? r : err_set(err, EIO, "open the database %s", j->file);
}

/*
 * The first commit into a new WAL is made with synchronous OFF: NORMAL would flush the
 * WAL's header. That flush guards what a checkpoint moved before, and nothing was.
 */
int journal_claim(struct journal *j, struct err *err)
{
	int r = claim(j, err);

	return r < 0 ? r : sql_exec(&j->sql, "PRAGMA synchronous=NORMAL", err);
}

static int hold_file(struct journal *j, const char *path, struct err *err)
{
	int r = set_file(j, path, err);

	if (r == 0)
		r = sql_open(&j->sql, j->file, SQL_WRITE, false, err);
	return r < 0 ? why_not(j, r, err) : 0;
}

static int own_file(struct journal *j, const char *path, struct err *err)
{
	int r = hold_file(j, path, err);

	return r < 0 ? r : journal_claim(j, err);
}

static int remove_database(const char *path, struct err *err)
{
	int r = file_unlink(path, err);

	return r < 0 ? r : place_drop_sides(path, err);
}

static int write_image(const char *live, struct err *err)
{
	int r = file_mkparents(live, 0700, err);

	return r < 0 ? r : file_replace(live, journal_image, journal_image_size, 0600, err);
}

static int create(struct journal *j, const char *live, const char *rescue, struct err *err)
{
	int r;

	if (!file_missing(live))
		return err_say(err, EEXIST, "task %s/%s is in the journal already", j->key.ns,
			       j->key.id);
	/* What a dead finish or reader left must not be taken for this file's WAL. */
	r = place_drop_sides(live, err);
	if (r == 0 && !file_missing(rescue))
		r = remove_database(rescue, err);
	if (r == 0)
		r = write_image(live, err);
	if (r == 0)
		r = own_file(j, live, err);
	if (r < 0) {
		sql_close(&j->sql);
		(void)remove_database(live, NULL);
		unlink_lock(j);
	}
	return r;
}

static int hold(struct journal *j, const char *live, const char *rescue, struct err *err)
{
	j->rescue = !file_missing(rescue);
	return hold_file(j, j->rescue ? rescue : live, err);
}

static int own(struct journal *j, const char *live, const char *rescue, struct err *err)
{
	int r = hold(j, live, rescue, err);

	return r < 0 ? r : journal_claim(j, err);
}

/* ---- rescue ------------------------------------------------------------------ */

/* The WAL first: a copy of the database alone would be an older state of it. */
static int copy_database(const char *from, const char *to, struct err *err)
{
	char wal[PATH_MAX], wal_to[PATH_MAX];
	int r = file_mkparents(to, 0700, err);

	place_side(wal, from, "-wal");
	place_side(wal_to, to, "-wal");
	if (r == 0)
		r = place_drop_sides(to, err);
	if (r == 0 && !file_missing(wal))
		r = file_copy(wal, wal_to, 0600, err);
	crash_point("journal.rescue.wal");
	if (r == 0)
		r = file_copy(from, to, 0600, err);
	if (r < 0) /* a WAL without a database is nobody's */
		(void)place_drop_sides(to, NULL);
	return r;
}

static int own_rescue(struct journal *j, const char *live, const char *rescue, struct err *err)
{
	int r = 0;

	if (file_missing(rescue))
		r = copy_database(live, rescue, err);
	j->rescue = true;
	return r == 0 ? own_file(j, rescue, err) : r;
}

/* ---- damaged ------------------------------------------------------------------- */

static bool has_bytes(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 || st.st_size > 0;
}

/* All of it may be in the WAL. */
static bool has_content(const char *path)
{
	char wal[PATH_MAX];

	place_side(wal, path, "-wal");
	return has_bytes(path) || (!file_missing(wal) && has_bytes(wal));
}

static int keep_torn(struct journal *j, const char *from, char torn[PATH_MAX], struct err *err)
{
	int r;

	*torn = '\0';
	if (!has_content(from))
		return 0;
	r = place_torn_name(torn, &j->place, &j->key, err);
	return r == 0 ? copy_database(from, torn, err) : r;
}

/*
 * Crash by crash: an incomplete copy nobody reads; a whole one; the WAL is gone, and the
 * file as damaged as before, or all of it was in the WAL and it is an empty one; it is
 * an empty one.
 */
static int set_aside(struct journal *j, const char *live, const char *rescue, struct err *err)
{
	char torn[PATH_MAX];
	int r = keep_torn(j, file_missing(rescue) ? live : rescue, torn, err);

	crash_point("journal.torn.kept");
	if (r == 0)
		r = remove_database(rescue, err);
	if (r == 0)
		r = place_drop_sides(live, err);
	crash_point("journal.torn.dropped");
	if (r == 0)
		r = write_image(live, err);
	if (r == 0)
		r = own_file(j, live, err);
	if (r < 0)
		return r;
	j->torn = strdup(torn);
	return j->torn ? 0 : err_set(err, ENOMEM, "set aside %s", live);
}

/* ---- readers ----------------------------------------------------------------- */

/*
 * On a read-only disk SQLite can't make the shared memory that reading a WAL needs.
 * A copy is read instead; its names are gone as soon as it is open.
 */
static int read_copy(struct journal *j, const char *run, struct err *err)
{
	char dir[PATH_MAX], copy[PATH_MAX];
	int r = file_mkdirs(run, 0700, err);

	if (r < 0)
		return r;
	place_side(dir, run, "/read.XXXXXX");
	if (!mkdtemp(dir))
		return err_set(err, errno, "make folder %s", dir);
	place_side(copy, dir, "/db");
	r = copy_database(j->file, copy, err);
	if (r == 0)
		r = sql_open(&j->sql, copy, SQL_READ, false, err);
	j->sql.file = j->file;
	(void)remove_database(copy, NULL);
	(void)rmdir(dir);
	return r;
}

static int read_file(struct journal *j, const char *run, struct err *err)
{
	int r = sql_open(&j->sql, j->file, SQL_READ, false, err);
	struct statvfs fs;

	if (r == 0 || r == -EUCLEAN || r == -EPROTO || r == -EBUSY || r == -ENOMEM)
		return r;
	if (statvfs(j->file, &fs) < 0 || !(fs.f_flag & ST_RDONLY))
		return r;
	return read_copy(j, run, err);
}

static int look(struct journal *j, const char *live, const char *rescue, struct err *err)
{
	int r;

	j->rescue = !file_missing(rescue);
	r = set_file(j, j->rescue ? rescue : live, err);
	return r == 0 ? read_file(j, j->place.run, err) : r;
}

/* ---- the doors --------------------------------------------------------------- */

typedef int way_fn(struct journal *j, const char *live, const char *rescue, struct err *err);

static int enter(struct journal **ret, const struct journal_place *place,
		 const struct task_key *key, way_fn *way, struct err *err)
{
	char live[PATH_MAX], rescue[PATH_MAX];
	struct journal *j;
	int r = 0;

	place_path(live, place, key, PLACE_LIVE);
	place_path(rescue, place, key, PLACE_RESCUE);
	if (way != create && file_missing(live)) /* without leaving a lock file behind */
		return say_missing(key, err);
	j = handle_make(place, key);
	if (!j)
		return err_set(err, ENOMEM, "open the journal of %s/%s", key->ns, key->id);
	if (way != look)
		r = journal_lock(place, key, &j->lock, err);
	if (r == 0 && way != create && file_missing(live)) { /* finished meanwhile */
		unlink_lock(j);
		r = say_missing(key, err);
	}
	if (r == 0)
		r = way(j, live, rescue, err);
	if (r == 0)
		*ret = j;
	else
		journal_close(j);
	return r;
}

int journal_open(struct journal **ret, const struct journal_place *place,
		 const struct task_key *key, enum journal_open how, struct err *err)
{
	switch (how) {
	case JOURNAL_READ:
		return enter(ret, place, key, look, err);
	case JOURNAL_CREATE:
		return enter(ret, place, key, create, err);
	case JOURNAL_LOCK:
		return enter(ret, place, key, hold, err);
	case JOURNAL_OWN:
		break;
	}
	return enter(ret, place, key, own, err);
}

int journal_open_rescue(struct journal **ret, const struct journal_place *place,
			const struct task_key *key, struct err *err)
{
	return enter(ret, place, key, own_rescue, err);
}

int journal_set_aside(struct journal **ret, const struct journal_place *place,
		      const struct task_key *key, char *ret_path, struct err *err)
{
	struct journal *j = NULL;
	int r = enter(&j, place, key, set_aside, err);

	if (r < 0)
		return r;
	(void)snprintf(ret_path, ERR_TEXT_MAX, "%s", j->torn);
	*ret = j;
	return 0;
}

/* A finished file is never written again and, as a rule, has no WAL beside it. */
int journal_open_file(struct journal **ret, const char *file, struct err *err)
{
	char wal[PATH_MAX];
	struct journal *j;
	int r;

	if (strlen(file) + sizeof("-wal") > sizeof(wal))
		return err_set(err, ENAMETOOLONG, "%s", file);
	place_side(wal, file, "-wal");
	if (file_missing(file))
		return err_say(err, ENOENT, "there is no %s in the history", file);
	j = handle_make(NULL, NULL);
	if (!j)
		return err_set(err, ENOMEM, "open %s", file);
	r = set_file(j, file, err);
	if (r == 0 && place_parse_done(file, &j->key, NULL) < 0)
		r = err_say(err, EINVAL, "%s has no name of a finished task", file);
	if (r == 0)
		r = file_look(wal, err);
	if (r >= 0)
		r = sql_open(&j->sql, j->file, SQL_READ, r == 0, err);
	if (r == 0)
		*ret = j;
	else
		journal_close(j);
	return r;
}

bool journal_has_lock(const struct journal_place *place, const struct task_key *key)
{
	char path[PATH_MAX];

	place_path(path, place, key, PLACE_LOCK);
	return !file_missing(path);
}

int journal_owner(const struct journal_place *place, const struct task_key *key, pid_t *ret,
		  struct err *err)
{
	char path[PATH_MAX];

	place_path(path, place, key, PLACE_LOCK);
	return lock_look(path, ret, err);
}
