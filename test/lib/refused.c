/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/refused.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <fts.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* Who is refused: the journal's system calls, SQLite's, or whoever wants memory. */
enum whose { NOBODYS, OURS, SQLITES, MEMORY };
static const char *const names[] = { "", "a call", "SQLite's call", "memory" };

/* A replaced call has no argument to keep this in. */
static struct {
	enum whose whose;
	int at, n, code;
	bool sticky;   /* and all that come after */
	const char *readonly; /* the folder that is, or NULL */
	sqlite3_mem_methods memory;
} fault;

static struct {
	const struct rival *it; /* NULL: none is expected */
	const struct journal_place *place;
	int n;
	pid_t pid;
	int hold; /* it stays as long as this is open */
	char byte;
} rival;

/* ---- rivals ------------------------------------------------------------------------------ */

static void rival_come(void)
{
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	rival.pid = fork();
	assert_true(rival.pid >= 0);
	if (rival.pid == 0) {
		if (dup2(in[0], 0) == 0 && dup2(out[1], 1) == 1)
			execl("/proc/self/exe", "rival", "rival", rival.it->what, rival.place->root,
			      rival.place->run, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	rival.hold = in[1];
	if (read(out[0], &rival.byte, 1) != 1)
		fail_msg("rival \"%s\" at %d came to nothing", rival.it->what, rival.it->at);
	close(out[0]);
}

static void rival_go(void)
{
	int status;

	close(rival.hold);
	assert_int_equal(waitpid(rival.pid, &status, 0), rival.pid);
	assert_int_equal(status, 0);
	rival.pid = 0;
}

static void rival_turn(void)
{
	rival.n++;
	if (rival.n == rival.it->at)
		rival_come();
	if (rival.pid && rival.n == rival.it->at + rival.it->stay)
		rival_go();
}

void rival_begin(const struct rival *it, const struct journal_place *place)
{
	rival.it = it;
	rival.place = place;
	rival.n = 0;
	rival.byte = '\0';
}

char rival_end(void)
{
	rival.it = NULL;
	if (rival.pid)
		rival_go();
	return rival.byte;
}

void rival_stay(char byte)
{
	assert_int_equal(write(1, &byte, 1), 1);
	assert_int_equal(read(0, &byte, 1), 0);
}

/* ---- refusals ---------------------------------------------------------------------------- */

static bool refuse(enum whose whose)
{
	void *at[24];

	if (whose == OURS && rival.it)
		rival_turn();
	if (fault.whose != whose || ++fault.n < fault.at || (fault.n > fault.at && !fault.sticky))
		return false;
	if (getenv("REFUSED_WHERE"))
		backtrace_symbols_fd(at, backtrace(at, 24), 2);
	errno = fault.code;
	return true;
}

/* ---- the journal's calls --------------------------------------------------------------- */

#define REFUSED(whose, type, name, no, params, args) \
	type refused_##name params;                  \
	type refused_##name params                   \
	{                                            \
		return refuse(whose) ? no : name args; \
	}

REFUSED(OURS, int, access, -1, (const char *path, int mode), (path, mode))
REFUSED(OURS, DIR *, fdopendir, NULL, (int fd), (fd))
REFUSED(OURS, int, fstat, -1, (int fd, struct stat *st), (fd, st))
REFUSED(OURS, int, fstatat, -1, (int dir, const char *path, struct stat *st, int flags),
	(dir, path, st, flags))
REFUSED(OURS, int, lstat, -1, (const char *path, struct stat *st), (path, st))
REFUSED(OURS, int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
REFUSED(OURS, char *, mkdtemp, NULL, (char *path), (path))
REFUSED(OURS, DIR *, opendir, NULL, (const char *path), (path))
REFUSED(OURS, ssize_t, read, -1, (int fd, void *buf, size_t n), (fd, buf, n))
REFUSED(OURS, struct dirent *, readdir, NULL, (DIR *d), (d))
REFUSED(OURS, int, rename, -1, (const char *from, const char *to), (from, to))
REFUSED(OURS, int, rmdir, -1, (const char *path), (path))
REFUSED(OURS, int, scandir, -1, (const char *path, struct dirent ***ret,
	int (*keep)(const struct dirent *), int (*order)(const struct dirent **,
	const struct dirent **)), (path, ret, keep, order))
REFUSED(OURS, int, stat, -1, (const char *path, struct stat *st), (path, st))
REFUSED(OURS, int, unlink, -1, (const char *path), (path))
REFUSED(OURS, int, unlinkat, -1, (int dir, const char *path, int flags), (dir, path, flags))
REFUSED(OURS, ssize_t, write, -1, (int fd, const void *buf, size_t n), (fd, buf, n))
REFUSED(MEMORY, void *, calloc, NULL, (size_t n, size_t size), (n, size))
REFUSED(MEMORY, void *, malloc, NULL, (size_t n), (n))
REFUSED(MEMORY, void *, realloc, NULL, (void *p, size_t n), (p, n))
REFUSED(MEMORY, char *, strdup, NULL, (const char *s), (s))

int refused_fsync(int fd);
int refused_fsync(int fd)
{
	(void)fd;
	return refuse(OURS) ? -1 : 0;
}

int refused_flush(void)
{
	return refuse(SQLITES) ? -1 : 0;
}

int refused_open(const char *path, int flags, ...);
int refused_open(const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	return refuse(OURS) ? -1 : open(path, flags, mode);
}

int refused_openat(int dir, const char *path, int flags, ...);
int refused_openat(int dir, const char *path, int flags, ...)
{
	return refuse(OURS) ? -1 : openat(dir, path, flags);
}

/*
 * SQLite's calls of it, too: see be_patient() there. Not all that come: it would wait for
 * itself, ten seconds.
 */
int refused_fcntl(int fd, int command, ...);
int refused_fcntl(int fd, int command, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, command);
	arg = va_arg(ap, void *);
	va_end(ap);
	return !fault.sticky && refuse(OURS) ? -1 : fcntl(fd, command, arg);
}

int refused_statvfs(const char *path, struct statvfs *ret);
int refused_statvfs(const char *path, struct statvfs *ret)
{
	int r = refuse(OURS) ? -1 : statvfs(path, ret);

	if (r == 0 && fault.readonly)
		ret->f_flag |= ST_RDONLY;
	return r;
}

/* ---- SQLite's -------------------------------------------------------------------------- */

static ssize_t sqlite_pread(int fd, void *buf, size_t n, off_t at)
{
	return refuse(SQLITES) ? -1 : pread(fd, buf, n, at);
}

static ssize_t sqlite_pwrite(int fd, const void *buf, size_t n, off_t at)
{
	return refuse(SQLITES) ? -1 : pwrite(fd, buf, n, at);
}

static int sqlite_ftruncate(int fd, off_t size)
{
	return refuse(SQLITES) ? -1 : ftruncate(fd, size);
}

static int sqlite_fstat(int fd, struct stat *st)
{
	return refuse(SQLITES) ? -1 : fstat(fd, st);
}

static int sqlite_open(const char *path, int flags, int mode)
{
	if (fault.readonly && strncmp(path, fault.readonly, strlen(fault.readonly)) == 0 &&
	    (flags & (O_CREAT | O_RDWR))) {
		errno = EROFS;
		return -1;
	}
	return refuse(SQLITES) ? -1 : open(path, flags, mode);
}

static void *sqlite_malloc(int n)
{
	return refuse(MEMORY) ? NULL : fault.memory.xMalloc(n);
}

static void *sqlite_realloc(void *p, int n)
{
	return refuse(MEMORY) ? NULL : fault.memory.xRealloc(p, n);
}

int refused_setup(void **state)
{
	static const struct {
		const char *name;
		sqlite3_syscall_ptr with;
	} calls[] = {
		{ "open", (sqlite3_syscall_ptr)sqlite_open },
		{ "fstat", (sqlite3_syscall_ptr)sqlite_fstat },
		{ "ftruncate", (sqlite3_syscall_ptr)sqlite_ftruncate },
		{ "pread", (sqlite3_syscall_ptr)sqlite_pread },
		{ "pread64", (sqlite3_syscall_ptr)sqlite_pread },
		{ "pwrite", (sqlite3_syscall_ptr)sqlite_pwrite },
		{ "pwrite64", (sqlite3_syscall_ptr)sqlite_pwrite },
	};
	sqlite3_mem_methods m;
	sqlite3_vfs *vfs;

	(void)state;
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &fault.memory), SQLITE_OK);
	m = fault.memory;
	m.xMalloc = sqlite_malloc;
	m.xRealloc = sqlite_realloc;
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &m), SQLITE_OK);
	vfs = sqlite3_vfs_find(NULL);
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		assert_int_equal(vfs->xSetSystemCall(vfs, calls[i].name, calls[i].with), SQLITE_OK);
	return 0;
}

void refused_readonly(const char *root)
{
	fault.readonly = root;
}

/* ---- again and again ------------------------------------------------------------------- */

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/*
 * Append @path without the milliseconds in it, unless such a one is there: what is torn may be
 * kept twice. Or a database in done/ is, and this its WAL: it may move along.
 */
static void add_name(char *ret, size_t max, const char *path)
{
	char line[1024] = "";
	size_t n = 0, len;

	for (; *path && n + 2 < sizeof(line); path++)
		if (*path < '0' || *path > '9' || path[-1] != '.')
			line[n++] = *path;
		else
			path += strspn(path, "0123456789") - 1;
	line[n] = '\0';
	len = strlen(ret);
	if (strstr(line, "/done/") && n > 4 && strcmp(line + n - 4, "-wal") == 0) {
		strcpy(line + n - 4, "\n");
		if (strstr(ret, line))
			return;
		strcpy(line + n - 4, "-wal");
	}
	strcpy(line + n, "\n");
	if (!strstr(ret, line))
		snprintf(ret + len, max - len, "%s", line);
}

/* What is there, sorted; and make it old. */
static void list_all(struct world *w, char *ret, size_t max)
{
	const struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
	char *top[] = { w->p.top, NULL };
	FTS *fts = fts_open(top, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	FTSENT *e;

	assert_non_null(fts);
	*ret = '\0';
	while ((e = fts_read(fts))) {
		utimensat(AT_FDCWD, e->fts_path, old, AT_SYMLINK_NOFOLLOW);
		if (e->fts_info == FTS_F)
			add_name(ret, max, e->fts_path + strlen(w->p.top));
	}
	fts_close(fts);
}

/* @left: what is there in the end. Return: was a call refused? */
static bool once(const struct errand *e, char *left, size_t max)
{
	struct world w = { .err = ERR_INIT };
	enum whose whose = fault.whose;
	int r, count;

	test_place_make(&w.p, NULL);
	fault.whose = NOBODYS;
	if (e->before)
		e->before(&w);
	list_all(&w, left, max); /* it makes it old */
	fault.n = 0;
	fault.whose = whose;
	r = e->act(&w);
	fault.whose = NOBODYS;
	count = fault.n;
	if (r < 0 && (count < fault.at || w.err.text[0] == '\0' || w.err.code != -r))
		fail_msg("%s, REFUSED_AT=%d: %d, %s", names[whose], fault.at, r, w.err.text);
	/* What is called damaged is set aside. SQLite says busy if it can't ask who else is. */
	if (whose == MEMORY && r < 0 && r != -ENOMEM && r != -EBUSY)
		fail_msg("%s, REFUSED_AT=%d: told as %s", names[whose], fault.at, w.err.text);
	r = e->act(&w);
	if (r < 0)
		fail_msg("%s, REFUSED_AT=%d: again: %s", names[whose], fault.at, w.err.text);
	list_all(&w, left, max);
	assert_int_equal(journal_prune(&w.p.place, (int64_t)1 << 40, 9, &w.err), 0);
	list_all(&w, left, max);
	test_place_remove(&w.p);
	fault.whose = whose;
	return count >= fault.at;
}

static int number(const char *name, int or_else)
{
	const char *text = getenv(name);

	return text ? atoi(text) : or_else;
}

static void each_call(const struct errand *e, enum whose whose, int code, bool sticky)
{
	char all[8192], left[8192];
	int stride = number("FAMINE_STRIDE", whose == MEMORY ? 997 : 89);
	int only = number("REFUSED_AT", 0), at = only ? only : 1;

	fault.code = code;
	fault.sticky = sticky;
	fault.whose = NOBODYS;
	fault.at = 1;
	(void)once(e, all, sizeof(all));
	for (;; at += stride) {
		bool refused;

		fault.whose = whose;
		fault.at = at;
		refused = once(e, left, sizeof(left));
		fault.whose = NOBODYS;
		/* Who can't remove what he made leaves it; a rescue needs no history. */
		if (!sticky && strcmp(all, left) != 0 && (*left || !e->forgets))
			fail_msg("%s, REFUSED_AT=%d: left:\n%swithout:\n%s", names[whose], at, left, all);
		if (!refused || only)
			break;
	}
	print_message("# %s: %d\n", names[whose], at);
}

int refused_open_task(struct world *w, struct journal **j, enum journal_open how)
{
	struct task_key key = test_key("c1");

	return journal_open(j, &w->p.place, &key, how, &w->err);
}

void refused_each(void **state)
{
	const struct errand *e = *state;

	each_call(e, OURS, EIO, false);
	if (e->waits)
		return;
	each_call(e, OURS, EIO, true);
	each_call(e, OURS, EINTR, false);
	each_call(e, SQLITES, EIO, false);
	each_call(e, SQLITES, ENOSPC, true);
	each_call(e, MEMORY, ENOMEM, false);
}
