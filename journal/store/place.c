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

__attribute__((format(printf, 3, 4))) static int
make_path(char ret[PATH_MAX], struct err *err, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(ret, PATH_MAX, fmt, ap);
	va_end(ap);
	return n < 0 || n >= PATH_MAX ? err_set(err, ENAMETOOLONG, "%s", ret) : 0;
}

int place_path(char ret[PATH_MAX], const struct journal_place *place,
	       const struct task_key *key, enum place_file which, struct err *err)
{
	switch (which) {
	case PLACE_LIVE:
		return make_path(ret, err, "%s/live/%s/%s/%s.db", place->root, key->daemon,
				 key->ns, key->id);
	case PLACE_RESCUE:
		return make_path(ret, err, "%s/rescue/%s/%s/%s.db", place->run, key->daemon,
				 key->ns, key->id);
	case PLACE_LOCK:
		break;
	}
	return make_path(ret, err, "%s/lock/%s/%s/%s", place->run, key->daemon, key->ns, key->id);
}

int place_side(char ret[PATH_MAX], const char *path, const char *tail, struct err *err)
{
	return make_path(ret, err, "%s%s", path, tail);
}

int place_drop_sides(const char *path, struct err *err)
{
	char side[PATH_MAX];
	int r = place_side(side, path, "-wal", err);

	if (r == 0)
		r = file_unlink(side, err);
	if (r == 0)
		r = place_side(side, path, "-shm", err);
	return r == 0 ? file_unlink(side, err) : r;
}

int place_done_name(char ret[PATH_MAX], const struct journal_place *place,
		    const struct task_key *key, struct err *err)
{
	int64_t ms = journal_now_ms();
	int r;

	do {
		r = make_path(ret, err, "%s/done/%s/%s/%s.%lld.db", place->root, key->daemon,
			      key->ns, key->id, (long long)ms++);
		if (r == 0)
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
		r = make_path(ret, err, "%s/torn/%s.%s.%s.%lld.db", place->root, key->daemon,
			      key->ns, key->id, (long long)ms++);
		if (r == 0)
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

static bool copy_name(char *ret, size_t max, const char *name)
{
	size_t n = strlen(name);

	if (n >= max)
		return false;
	memcpy(ret, name, n + 1);
	return true;
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
