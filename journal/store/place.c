/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/store/place.h"

#include "journal/base/file.h"
#include "journal/base/text.h"
#include "journal/handle.h"

#include <errno.h>
#include <sha2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int task_key_make(struct task_key *ret, const char *address, const char *ns, const char *id,
		  struct err *err)
{
	char hex[SHA256_DIGEST_STRING_LENGTH];

	if (!text_is_identifier(ns, JOURNAL_ID_MAX))
		return err_say(err, EINVAL, "namespace \"%s\" is no identifier: 1 to %d letters and "
			       "digits, in runs joined by single . _ or -", ns, JOURNAL_ID_MAX);
	if (!text_is_identifier(id, JOURNAL_ID_MAX))
		return err_say(err, EINVAL, "id \"%s\" is no identifier: 1 to %d letters and "
			       "digits, in runs joined by single . _ or -", id, JOURNAL_ID_MAX);
	if (!SHA256Data((const uint8_t *)address, strlen(address), hex))
		return err_set(err, ENOMEM, "hash %s", address);
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->daemon, hex, JOURNAL_DAEMON);
	strcpy(ret->ns, ns);
	strcpy(ret->id, id);
	return 0;
}

static bool copy_name(char *ret, size_t max, const char *name)
{
	size_t n = strlen(name);

	if (n >= max)
		return false;
	memcpy(ret, name, n + 1);
	return true;
}

int journal_place_make(struct journal_place *ret, const char *root, const char *run,
		       struct err *err)
{
	const char *far = copy_name(ret->root, sizeof(ret->root), root) ? NULL : root;

	if (!copy_name(ret->run, sizeof(ret->run), run))
		far = run;
	return far ? err_say(err, ENAMETOOLONG, "the folder %s has a name of over %d bytes; "
			     "journals are kept in one with a shorter name", far,
			     JOURNAL_PLACE_MAX) : 0;
}

__attribute__((format(printf, 2, 3))) static void
make_path(char ret[PATH_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(ret, PATH_MAX, fmt, ap);
	va_end(ap);
}

void place_path(char ret[PATH_MAX], const struct journal_place *place,
		const struct task_key *key, enum place_file which)
{
	static const char *const part[] = { "live", "rescue", "lock" };

	make_path(ret, "%s/%s/%s/%s/%s%s", which == PLACE_LIVE ? place->root : place->run,
		  part[which], key->daemon, key->ns, key->id, which == PLACE_LOCK ? "" : ".db");
}

void place_side(char ret[PATH_MAX], const char *path, const char *tail)
{
	make_path(ret, "%s%s", path, tail);
}

int place_drop_sides(const char *path, struct err *err)
{
	char side[PATH_MAX];
	int r;

	place_side(side, path, "-wal");
	r = file_unlink(side, err);
	if (r < 0)
		return r;
	place_side(side, path, "-shm");
	return file_unlink(side, err);
}

int place_done_name(char ret[PATH_MAX], const struct journal_place *place,
		    const struct task_key *key, struct err *err)
{
	int64_t ms = journal_now_ms();
	int r;

	do {
		make_path(ret, "%s/done/%s/%s/%s.%lld.db", place->root, key->daemon, key->ns,
			  key->id, (long long)ms++);
		r = file_look(ret, err);
	} while (r == 1);
	return r < 0 ? r : file_mkparents(ret, 0700, err);
}

int place_torn_name(char ret[PATH_MAX], const struct journal_place *place,
		    const struct task_key *key, struct err *err)
{
	int64_t ms = journal_now_ms();
	int r;

	do {
		make_path(ret, "%s/torn/%s.%s.%s.%lld.db", place->root, key->daemon, key->ns,
			  key->id, (long long)ms++);
		r = file_look(ret, err);
	} while (r == 1);
	return r < 0 ? r : file_mkparents(ret, 0700, err);
}

/* The last part of @path, cut off; NULL: none is left. */
static char *take_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash)
		return NULL;
	*slash = '\0';
	return slash + 1;
}

int place_parse_done(const char *path, struct task_key *ret, int64_t *ms)
{
	char copy[PATH_MAX];
	char *name, *ns, *daemon, *dot;
	int64_t when;

	if (!copy_name(copy, sizeof(copy), path) || !text_ends(copy, ".db"))
		return -EINVAL;
	name = take_last(copy);
	ns = name ? take_last(copy) : NULL;
	daemon = ns ? take_last(copy) : NULL;
	if (!daemon || !text_is_hex(daemon, JOURNAL_DAEMON) ||
	    !text_is_identifier(ns, JOURNAL_ID_MAX))
		return -EINVAL;
	name[strlen(name) - 3] = '\0';
	dot = strrchr(name, '.');
	if (!dot || text_int64(dot + 1, 0, INT64_MAX, &when) < 0)
		return -EINVAL;
	*dot = '\0';
	if (!text_is_identifier(name, JOURNAL_ID_MAX))
		return -EINVAL;
	memset(ret, 0, sizeof(*ret));
	copy_name(ret->daemon, sizeof(ret->daemon), daemon);
	copy_name(ret->ns, sizeof(ret->ns), ns);
	copy_name(ret->id, sizeof(ret->id), name);
	if (ms)
		*ms = when;
	return 0;
}
