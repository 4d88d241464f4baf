/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/holding.h"

#include "journal/base/cleanup.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <fts.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((format(printf, 2, 3)))
static void add(struct holding *h, const char *fmt, ...)
{
	va_list ap;
	char *line;

	if (h->n == h->room) {
		h->room = h->room ? 2 * h->room : 256;
		h->at = realloc(h->at, h->room * sizeof(*h->at));
	}
	va_start(ap, fmt);
	if (!h->at || vasprintf(&line, fmt, ap) < 0)
		abort();
	va_end(ap);
	h->at[h->n++] = line;
}

/* The file's text, ended; false: it is gone. */
static bool slurp(const char *path, char *buf, size_t size, size_t *len)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n < 0)
		return false;
	buf[n] = '\0';
	*len = (size_t)n;
	return true;
}

/* "pid (comm) S ...": a comm may hold anything, so the last bracket ends it. */
static void add_process(struct holding *h, const char *pid)
{
	char path[64], stat[512], line[4096];
	char *begin, *end;
	size_t len;

	(void)snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	if (!slurp(path, stat, sizeof(stat), &len))
		return;
	begin = strchr(stat, '(');
	end = strrchr(stat, ')');
	if (!begin || !end)
		return;
	*end = '\0';
	if (end[2] == 'Z') {
		add(h, "process zombie: %s", begin + 1);
		return;
	}
	(void)snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
	if (!slurp(path, line, sizeof(line), &len) || len == 0)
		return;
	for (size_t i = 0; i + 1 < len; i++)
		if (line[i] == '\0')
			line[i] = ' ';
	add(h, "process %s", line);
}

static void add_processes(struct holding *h)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;

	while (proc && (e = readdir(proc)) != NULL)
		if (isdigit((unsigned char)e->d_name[0]))
			add_process(h, e->d_name);
	if (proc)
		(void)closedir(proc);
}

/* Place, type, source and root; ids and options change by themselves. */
static void add_mounts(struct holding *h)
{
	auto_file FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[8192], root[4096], at[4096], type[64], source[4096];

	while (f && fgets(line, sizeof(line), f)) {
		char *rest = strstr(line, " - ");

		if (rest && sscanf(line, "%*s %*s %*s %4095s %4095s", root, at) == 2 &&
		    sscanf(rest, " - %63s %4095s", type, source) == 2)
			add(h, "mount %s %s %s %s", at, type, source, root);
	}
}

static void add_links(struct holding *h)
{
	auto_file FILE *f = fopen("/proc/net/dev", "re");
	char line[512], name[64];

	while (f && fgets(line, sizeof(line), f))
		if (strchr(line, ':') && sscanf(line, " %63[^:]", name) == 1)
			add(h, "link %s", name);
}

enum wanted { ALL, FILES, FOLDERS };

static void add_tree(struct holding *h, const char *what, const char *top, enum wanted wanted)
{
	char *const tops[] = { (char *)top, NULL };
	FTS *tree = fts_open(tops, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *e;

	while (tree && (e = fts_read(tree)) != NULL) {
		bool folder = e->fts_info == FTS_D;

		if (e->fts_level == 0 || e->fts_info == FTS_DP || e->fts_info == FTS_NS)
			continue;
		if (wanted == ALL || folder == (wanted == FOLDERS))
			add(h, "%s %s%s", what,
			    wanted != ALL ? "" : folder ? "d " : S_ISFIFO(e->fts_statp->st_mode) ?
			    "p " : S_ISSOCK(e->fts_statp->st_mode) ? "s " : "f ", e->fts_path);
	}
	if (tree)
		(void)fts_close(tree);
}

static void add_files(struct holding *h, const char *t)
{
	/* History may grow; what is live or damaged may not. */
	static const struct {
		const char *what, *below;
		enum wanted wanted;
	} own[] = {
		{ "file", "tmp", ALL },
		{ "file", "run", FILES },
		{ "journal", "journal/live", FILES },
		{ "journal", "journal/torn", FILES },
	};
	char path[4096];

	add_tree(h, "file", "/run", ALL);
	add_tree(h, "file", "/var/tmp", ALL);
	add_tree(h, "file", "/var/lib/urunc", ALL);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", t, own[i].below);
		add_tree(h, own[i].what, path, own[i].wanted);
	}
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void holding_take(struct holding *ret, const char *t)
{
	*ret = (struct holding){ .n = 0 };
	add_processes(ret);
	add_mounts(ret);
	add_links(ret);
	add_tree(ret, "cgroup", "/sys/fs/cgroup", FOLDERS);
	add_files(ret, t);
	qsort(ret->at, ret->n, sizeof(*ret->at), by_text);
}

void holding_clear(struct holding *h)
{
	while (h->n)
		free(h->at[--h->n]);
	free(h->at);
	*h = (struct holding){ .n = 0 };
}

/* ---- compare ------------------------------------------------------------------------- */

static bool excepted(const struct holding_except *except, const char *line)
{
	for (size_t i = 0; i < except->n; i++)
		if (regexec(&except->at[i], line, 0, NULL, 0) == 0)
			return true;
	return false;
}

size_t holding_diff(const struct holding *before, const struct holding *now,
		    const struct holding_except *except, const char *prefix, FILE *out)
{
	size_t b = 0, n = 0, found = 0;

	while (b < before->n || n < now->n) {
		int order = b == before->n ? 1 : n == now->n ? -1 :
			    strcmp(before->at[b], now->at[n]);
		const char *line = order < 0 ? before->at[b] : n < now->n ? now->at[n] : "";

		b += order <= 0;
		n += order >= 0;
		if (order == 0 || excepted(except, line))
			continue;
		found++;
		if (out)
			fprintf(out, "%s%c %s\n", prefix, order < 0 ? '-' : '+', line);
	}
	return found;
}

/* "pattern  # reason", or a comment. */
int holding_except_read(struct holding_except *ret, const char *path)
{
	auto_file FILE *f = fopen(path, "re");
	char line[512];

	ret->n = 0;
	while (f && fgets(line, sizeof(line), f)) {
		char *reason = strstr(line, " # ");
		size_t len;

		if (reason)
			*reason = '\0';
		len = strlen(line);
		while (len && isspace((unsigned char)line[len - 1]))
			line[--len] = '\0';
		if (!len || line[0] == '#')
			continue;
		if (ret->n == HOLDING_EXCEPT_MAX ||
		    regcomp(&ret->at[ret->n], line, REG_EXTENDED | REG_NOSUB) != 0) {
			fprintf(stderr, "%s: can't use the pattern %s\n", path, line);
			return -1;
		}
		ret->n++;
	}
	if (!ret->n)
		fprintf(stderr, "%s: no patterns\n", path);
	return ret->n ? 0 : -1;
}

void holding_except_clear(struct holding_except *except)
{
	while (except->n)
		regfree(&except->at[--except->n]);
}
