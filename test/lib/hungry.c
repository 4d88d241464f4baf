/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/hungry.h"

#include <errno.h>
#include <execinfo.h>
#include <json-c/json.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A replaced call has no argument to keep this in. */
static struct {
	struct sim *sim; /* NULL: nothing is refused */
	struct lack lack;
	int refused;     /* SQLite's last answer, if it was ours */
	bool taken_over;
} world;

static void say_where(void)
{
	void *at[32];

	if (getenv("FAMINE_WHERE"))
		backtrace_symbols_fd(at, backtrace(at, 32), 2);
}

static bool starves(void)
{
	if (!world.sim || world.lack.name || ++world.sim->meals != world.sim->starve_at)
		return false;
	say_where();
	errno = ENOMEM;
	return true;
}

/* ---- who asks for memory ----------------------------------------------------------------- */

#define HUNGRY(type, name, params, args)    \
	type hungry_##name params;          \
	type hungry_##name params           \
	{                                   \
		if (starves())              \
			return NULL;        \
		return name args;           \
	}

HUNGRY(void *, malloc, (size_t n), (n))
HUNGRY(void *, calloc, (size_t n, size_t size), (n, size))
HUNGRY(void *, realloc, (void *p, size_t n), (p, n))
HUNGRY(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size))
HUNGRY(char *, strdup, (const char *s), (s))
HUNGRY(char *, strndup, (const char *s, size_t n), (s, n))
HUNGRY(json_object *, json_object_new_object, (void), ())
HUNGRY(json_object *, json_object_new_array, (void), ())
HUNGRY(json_object *, json_object_new_string, (const char *s), (s))
HUNGRY(json_object *, json_object_new_int64, (int64_t i), (i))
HUNGRY(json_object *, json_object_new_uint64, (uint64_t i), (i))
HUNGRY(json_object *, json_object_new_boolean, (json_bool b), (b))
HUNGRY(const char *, json_object_to_json_string_ext, (json_object *o, int flags), (o, flags))

int hungry_vasprintf(char **ret, const char *fmt, va_list ap);
int hungry_vasprintf(char **ret, const char *fmt, va_list ap)
{
	return starves() ? -1 : vasprintf(ret, fmt, ap);
}

__attribute__((format(printf, 2, 3)))
int hungry_asprintf(char **ret, const char *fmt, ...);
int hungry_asprintf(char **ret, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = hungry_vasprintf(ret, fmt, ap);
	va_end(ap);
	return n;
}

/* What _FORTIFY_SOURCE makes of it. */
__attribute__((format(printf, 3, 4)))
int hungry_asprintf_chk(char **ret, int flag, const char *fmt, ...);
int hungry_asprintf_chk(char **ret, int flag, const char *fmt, ...)
{
	va_list ap;
	int n;

	(void)flag;
	va_start(ap, fmt);
	n = hungry_vasprintf(ret, fmt, ap);
	va_end(ap);
	return n;
}

int hungry_json_object_object_add(json_object *o, const char *name, json_object *value);
int hungry_json_object_object_add(json_object *o, const char *name, json_object *value)
{
	return starves() ? -1 : json_object_object_add(o, name, value);
}

int hungry_json_object_array_add(json_object *o, json_object *value);
int hungry_json_object_array_add(json_object *o, json_object *value)
{
	return starves() ? -1 : json_object_array_add(o, value);
}

/* ---- who asks the journal ------------------------------------------------------------------ */

/* Who has it now has raised the lease; our own transaction would have been in its way. */
static void take_over(sqlite3 *db)
{
	if (world.taken_over || !sqlite3_get_autocommit(db))
		return;
	world.taken_over = true;
	(void)sqlite3_exec(db, "UPDATE task SET lease=lease+1", NULL, NULL, NULL);
}

/* What SQLite answers to the statement instead of doing it; SQLITE_OK: it is done. A
 * rollback is: it needs nothing that could be missing. */
static int refusal(sqlite3_stmt *stmt)
{
	struct sim *sim = world.sim;

	if (!sim || !world.lack.name || strcmp(sqlite3_sql(stmt), "ROLLBACK") == 0)
		return SQLITE_OK;
	sim->meals++;
	if (!sim->starve_at || sim->meals < sim->starve_at ||
	    (sim->meals > sim->starve_at && !world.lack.for_ever))
		return SQLITE_OK;
	if (sim->meals == sim->starve_at)
		say_where();
	if (world.lack.code == SQLITE_OK)
		take_over(sqlite3_db_handle(stmt));
	return world.lack.code;
}

int hungry_sqlite3_step(sqlite3_stmt *stmt);
int hungry_sqlite3_step(sqlite3_stmt *stmt)
{
	world.refused = refusal(stmt);
	return world.refused != SQLITE_OK ? world.refused : sqlite3_step(stmt);
}

int hungry_sqlite3_extended_errcode(sqlite3 *db);
int hungry_sqlite3_extended_errcode(sqlite3 *db)
{
	return world.refused != SQLITE_OK ? world.refused : sqlite3_extended_errcode(db);
}

/* ---- when ------------------------------------------------------------------------------------ */

void hungry_begin(struct sim *sim, const struct lack *lack, int n)
{
	world.lack = *lack;
	world.taken_over = false;
	sim->meals = 0;
	sim->starve_at = n;
	world.sim = sim;
}

bool hungry_end(void)
{
	struct sim *sim = world.sim;

	world.sim = NULL;
	world.refused = SQLITE_OK;
	return sim->meals >= sim->starve_at;
}
