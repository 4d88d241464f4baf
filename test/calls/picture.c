/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picture.c - looking at /proc, the cgroups and the folders where things are left.
 *
 * There is no network device that these lives make, so links are looked at by name only.
 */
#include "test/calls/picture.h"

#include "journal/base/cleanup.h"

#include <limits.h>
#include <stdarg.h>
#include <string.h>

struct walk {
	struct picture *to;
	const char *what;
	const char *mark; /* of a folder */
	bool folders, files;
};

static void add(struct picture *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct picture *p, const char *fmt, ...)
{
	va_list ap;

	if (p->n == p->room) {
		p->room = p->room ? 2 * p->room : 256;
		p->lines = reallocarray(p->lines, p->room, sizeof(*p->lines));
	}
	va_start(ap, fmt);
	if (!p->lines || vasprintf(&p->lines[p->n++], fmt, ap) < 0)
		abort();
	va_end(ap);
}

void picture_clear(struct picture *p)
{
	while (p->n)
		free(p->lines[--p->n]);
	free(p->lines);
	*p = (struct picture){ .lines = NULL };
}

/* ---- processes ------------------------------------------------------------------------------- */

static bool is_known(const struct picture_places *places, pid_t pid)
{
	for (size_t i = 0; i < places->n_known; i++)
		if (places->known[i] == pid)
			return true;
	return pid == getpid();
}

/* Of a zombie the name is all that is left, and whose child it is. */
static void look_at_process(struct picture *p, pid_t pid)
{
	char path[64], line[512] = "";
	auto_file FILE *stat = NULL;
	auto_file FILE *words = NULL;
	const char *rest;
	size_t n = 0;
	int c;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	stat = fopen(path, "re");
	if (!stat || !fgets(line, sizeof(line), stat) || !(rest = strrchr(line, ')')))
		return;
	if (rest[2] == 'Z') {
		add(p, "process zombie %.*s of %d", (int)(rest + 1 - line), line, atoi(rest + 3));
		return;
	}
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	words = fopen(path, "re");
	for (; words && n < sizeof(line) - 1 && (c = fgetc(words)) != EOF; n++)
		line[n] = c ? (char)c : ' ';
	line[n] = '\0';
	add(p, "process %d %s", (int)pid, line);
}

static void look_at_processes(struct picture *p, const struct picture_places *places)
{
	auto_dir DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL) {
		pid_t pid = atoi(e->d_name);

		if (pid > 0 && !is_known(places, pid))
			look_at_process(p, pid);
	}
}

void picture_know(struct picture_places *places)
{
	auto_dir DIR *d = opendir("/proc");
	struct dirent *e;

	places->n_known = 0;
	while (d && (e = readdir(d)) != NULL && places->n_known < ARRAY_SIZE(places->known))
		if (atoi(e->d_name) > 0)
			places->known[places->n_known++] = atoi(e->d_name);
}

/* ---- mounts and links -------------------------------------------------------------------------- */

static void look_at_mounts(struct picture *p)
{
	auto_file FILE *f = fopen("/proc/self/mountinfo", "re");
	auto_free char *line = NULL;
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0) {
		char root[PATH_MAX], target[PATH_MAX], type[64], source[PATH_MAX];
		const char *rest = strstr(line, " - ");

		if (rest && sscanf(line, "%*d %*d %*s %4095s %4095s", root, target) == 2 &&
		    sscanf(rest, " - %63s %4095s", type, source) == 2)
			add(p, "mount %s %s %s %s", target, type, source, root);
	}
}

static void look_at_links(struct picture *p)
{
	auto_file FILE *f = fopen("/proc/net/dev", "re");
	auto_free char *line = NULL;
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0) {
		char *colon = strchr(line, ':');

		if (colon) {
			*colon = '\0';
			add(p, "link %s", line + strspn(line, " "));
		}
	}
}

/* ---- folders ------------------------------------------------------------------------------------- */

/* By the kind that the folder itself tells: nobody is asked about every file. */
static void look_into(const struct walk *w, const char *folder)
{
	auto_dir DIR *d = opendir(folder);
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL) {
		auto_free char *path = NULL;
		bool is_folder = e->d_type == DT_DIR;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (asprintf(&path, "%s/%s", folder, e->d_name) < 0)
			abort();
		if (is_folder ? w->folders : w->files)
			add(w->to, "%s %s%s", w->what, is_folder ? w->mark : "", path);
		if (is_folder)
			look_into(w, path);
	}
}

static void look_below(struct picture *p, const char *root, const char *folder, bool folders)
{
	struct walk w = { .to = p, .what = "file", .mark = "d ", .folders = folders,
			  .files = true };
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", root, folder);
	look_into(&w, path);
}

static void look_at_cgroups(struct picture *p)
{
	struct walk w = { .to = p, .what = "cgroup", .mark = "", .folders = true };

	look_into(&w, "/sys/fs/cgroup");
}

/* ---- the whole ------------------------------------------------------------------------------------ */

static int in_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void picture_take(struct picture *p, const struct picture_places *places)
{
	picture_clear(p);
	look_at_processes(p, places);
	look_at_mounts(p);
	look_at_links(p);
	look_at_cgroups(p);
	look_below(p, "/run", "", true);
	look_below(p, "/var/tmp", "", true);
	look_below(p, "/var/lib/urunc", "", true);
	look_below(p, places->root, "/tmp", true);
	look_below(p, places->root, "/run", false);
	/* History may grow; what is live or damaged may not. */
	look_below(p, places->root, "/journal/live", false);
	look_below(p, places->root, "/journal/torn", false);
	if (p->n)
		qsort(p->lines, p->n, sizeof(*p->lines), in_order);
}

bool picture_has(const struct picture *p, const char *prefix)
{
	for (size_t i = 0; i < p->n; i++)
		if (strncmp(p->lines[i], prefix, strlen(prefix)) == 0)
			return true;
	return false;
}

/* ---- what may come and go -------------------------------------------------------------------------- */

/* "pattern  # its reason", or a comment. */
bool picture_except(struct picture_places *places, const char *path)
{
	auto_file FILE *f = fopen(path, "re");
	auto_free char *line = NULL;
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0) {
		char *reason = strstr(line, " # ");
		size_t len;

		if (reason)
			*reason = '\0';
		len = strcspn(line, "\n");
		while (len && line[len - 1] == ' ')
			len--;
		line[len] = '\0';
		if (!len || *line == '#')
			continue;
		if (places->n_except == ARRAY_SIZE(places->except) ||
		    regcomp(&places->except[places->n_except], line, REG_EXTENDED | REG_NOSUB) != 0)
			return false;
		places->n_except++;
	}
	return places->n_except > 0;
}

static bool excepted(const struct picture_places *places, const char *line)
{
	for (size_t i = 0; i < places->n_except; i++)
		if (regexec(&places->except[i], line, 0, NULL, 0) == 0)
			return true;
	return false;
}

char *picture_diff(const struct picture *before, const struct picture *after,
		   const struct picture_places *places)
{
	char *text = NULL;
	size_t len, i = 0, k = 0;
	FILE *f = open_memstream(&text, &len);

	while (f && (i < before->n || k < after->n)) {
		int way = i == before->n  ? 1
			  : k == after->n ? -1
					  : strcmp(before->lines[i], after->lines[k]);
		const char *line = way < 0 ? before->lines[i] : way > 0 ? after->lines[k] : NULL;

		if (line && !excepted(places, line))
			fprintf(f, "%c %s\n", way < 0 ? '-' : '+', line);
		i += way <= 0;
		k += way >= 0;
	}
	if (!f || fclose(f) != 0)
		abort();
	if (len)
		return text;
	free(text);
	return NULL;
}
