/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/node/mount_words.h"

#include "journal/base/cleanup.h"

#include <string.h>
#include <sys/mount.h>

static const struct word {
	const char *word;
	bool clears;
	unsigned long flag;
} table[] = {
	{ "async", true, MS_SYNCHRONOUS },
	{ "atime", true, MS_NOATIME },
	{ "bind", false, MS_BIND },
	{ "defaults", false, 0 },
	{ "dev", true, MS_NODEV },
	{ "diratime", true, MS_NODIRATIME },
	{ "dirsync", false, MS_DIRSYNC },
	{ "exec", true, MS_NOEXEC },
	{ "mand", false, MS_MANDLOCK },
	{ "noatime", false, MS_NOATIME },
	{ "nodev", false, MS_NODEV },
	{ "nodiratime", false, MS_NODIRATIME },
	{ "noexec", false, MS_NOEXEC },
	{ "nomand", true, MS_MANDLOCK },
	{ "norelatime", true, MS_RELATIME },
	{ "nostrictatime", true, MS_STRICTATIME },
	{ "nosuid", false, MS_NOSUID },
	{ "rbind", false, MS_BIND | MS_REC },
	{ "relatime", false, MS_RELATIME },
	{ "remount", false, MS_REMOUNT },
	{ "ro", false, MS_RDONLY },
	{ "rw", true, MS_RDONLY },
	{ "strictatime", false, MS_STRICTATIME },
	{ "suid", true, MS_NOSUID },
	{ "sync", false, MS_SYNCHRONOUS },
};

static const struct word propagation[] = {
	{ "private", false, MS_PRIVATE },
	{ "rprivate", false, MS_PRIVATE | MS_REC },
	{ "rshared", false, MS_SHARED | MS_REC },
	{ "rslave", false, MS_SLAVE | MS_REC },
	{ "runbindable", false, MS_UNBINDABLE | MS_REC },
	{ "shared", false, MS_SHARED },
	{ "slave", false, MS_SLAVE },
	{ "unbindable", false, MS_UNBINDABLE },
};

/* Words that change who owns the files, or who makes the target: doing without them
 * would give the container something else than what was asked for. */
static const char *const refused[] = { "uidmap=", "gidmap=", "X-containerd." };

static const struct word *find(const struct word *in, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(in[i].word, word) == 0)
			return &in[i];
	return NULL;
}

static int check(const char *word, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (strncmp(word, refused[i], strlen(refused[i])) == 0)
			return err_say(err, ENOTSUP, "mount option \"%s\" is not supported", word);
	return 0;
}

/* Everything that is not data. */
static bool take(struct mount_words *to, const char *word)
{
	const struct word *w = find(table, ARRAY_SIZE(table), word);

	if (w) {
		to->flags = w->clears ? to->flags & ~w->flag : to->flags | w->flag;
		return true;
	}
	w = find(propagation, ARRAY_SIZE(propagation), word);
	if (w) {
		to->propagation = w->flag;
		return true;
	}
	if (strcmp(word, "loop") == 0)
		return to->loop = true;
	if (strcmp(word, "direct-io") == 0)
		return to->direct_io = true;
	return false;
}

int mount_words_sort(const char *type, const char *const *words, size_t n,
		     struct mount_words *ret, struct err *err)
{
	struct mount_words to = { 0 };
	auto_free char *data = NULL;
	size_t room = 1;
	size_t used = 0;

	for (size_t i = 0; i < n; i++)
		room += strlen(words[i]) + 1;
	data = calloc(1, room);
	if (!data)
		return err_set(err, ENOMEM, "mount options");
	if (strcmp(type, "bind") == 0 || strcmp(type, "rbind") == 0)
		(void)take(&to, type);
	for (size_t i = 0; i < n; i++) {
		int rc = check(words[i], err);

		if (rc < 0)
			return rc;
		if (!*words[i] || take(&to, words[i]))
			continue;
		if (used)
			data[used++] = ',';
		memcpy(data + used, words[i], strlen(words[i]));
		used += strlen(words[i]);
	}
	to.data = TAKE_PTR(data);
	*ret = to;
	return 0;
}

/* ---- overlay ----------------------------------------------------------------- */

/* The value of lowerdir=, and how long it is. */
static const char *lowerdir(const char *data, size_t *len)
{
	const char *p = data;

	while (p && strncmp(p, "lowerdir=", 9) != 0) {
		p = strchr(p, ',');
		p = p ? p + 1 : NULL;
	}
	if (!p)
		return NULL;
	p += 9;
	*len = strcspn(p, ",");
	return p;
}

/* How many bytes, ending with a slash, all paths in the list begin with. 0: none. */
static size_t common(const char *list, size_t len)
{
	size_t n = strcspn(list, ":,");

	for (const char *p = list; p < list + len; p += strcspn(p, ":,") + 1) {
		size_t same = 0;

		while (same < n && p[same] == list[same])
			same++;
		n = same;
	}
	while (n > 0 && list[n - 1] != '/')
		n--;
	return n;
}

/* The list without the first @cut bytes of each of its paths. */
static char *relative(const char *data, const char *list, size_t len, size_t cut)
{
	char *ret = malloc(strlen(data) + 1);
	char *to = ret;

	if (!ret)
		return NULL;
	memcpy(to, data, (size_t)(list - data));
	to += list - data;
	for (const char *p = list; p < list + len;) {
		size_t n = strcspn(p, ":,");

		memcpy(to, p + cut, n - cut);
		to += n - cut;
		p += n;
		if (p < list + len)
			*to++ = *p++;
	}
	strcpy(to, list + len);
	return ret;
}

/* A path that is the common parent itself would become "", which is no path. */
static bool any_ends_at(const char *list, size_t len, size_t cut)
{
	for (const char *p = list; p < list + len; p += strcspn(p, ":,") + 1)
		if (strcspn(p, ":,") <= cut)
			return true;
	return false;
}

int overlay_shorten(const char *data, char **ret_dir, char **ret_data)
{
	size_t len = 0;
	const char *list = lowerdir(data, &len);
	size_t cut = list ? common(list, len) : 0;
	char *dir;
	char *text;

	*ret_dir = NULL;
	*ret_data = NULL;
	/* Escaped colons and commas, relative paths: not ours to take apart. */
	if (cut < 2 || list[0] != '/' || memchr(list, '\\', len) || any_ends_at(list, len, cut))
		return 0;
	dir = strndup(list, cut);
	text = dir ? relative(data, list, len, cut) : NULL;
	if (!text) {
		free(dir);
		return -ENOMEM;
	}
	*ret_dir = dir;
	*ret_data = text;
	return 0;
}
