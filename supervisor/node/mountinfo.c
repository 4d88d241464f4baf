/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/node/mountinfo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is left of a line. */
struct span {
	const char *at, *end;
};

static bool is_octal(const char *p)
{
	return p[0] >= '0' && p[0] <= '3' && p[1] >= '0' && p[1] <= '7' && p[2] >= '0' &&
	       p[2] <= '7';
}

/* Up to the next blank; fields may be empty, so each blank ends one. false: no more. */
static bool next_field(struct span *line, struct span *ret)
{
	const char *blank;

	if (!line->at)
		return false;
	blank = memchr(line->at, ' ', (size_t)(line->end - line->at));
	ret->at = line->at;
	ret->end = blank ? blank : line->end;
	line->at = blank ? blank + 1 : NULL;
	return true;
}

/* \ooo is a byte; any other backslash is itself. An escaped NUL would end the text:
 * the kernel never writes one. */
static char *decode(struct span f)
{
	char *ret = malloc((size_t)(f.end - f.at) + 1);
	char *to = ret;

	if (!ret)
		return NULL;
	for (const char *p = f.at; p < f.end; p++) {
		if (*p == '\\' && f.end - p > 3 && is_octal(p + 1)) {
			*to++ = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
			p += 3;
		} else {
			*to++ = *p;
		}
	}
	*to = '\0';
	return ret;
}

static int number(struct span *f, int64_t max, int64_t *ret)
{
	int64_t n = 0;
	const char *p = f->at;

	for (; p < f->end && *p >= '0' && *p <= '9'; p++) {
		n = n * 10 + (*p - '0');
		if (n > max)
			return -EINVAL;
	}
	if (p == f->at)
		return -EINVAL;
	f->at = p;
	*ret = n;
	return 0;
}

static int whole_number(struct span *line, int64_t max, int64_t *ret)
{
	struct span f;

	if (!next_field(line, &f) || number(&f, max, ret) < 0 || f.at != f.end)
		return -EINVAL;
	return 0;
}

static int device(struct span *line, struct mount_info *m)
{
	struct span f;
	int64_t major;
	int64_t minor;

	if (!next_field(line, &f) || number(&f, UINT32_MAX, &major) < 0 || f.at == f.end ||
	    *f.at++ != ':' || number(&f, UINT32_MAX, &minor) < 0 || f.at != f.end)
		return -EINVAL;
	m->major = (uint32_t)major;
	m->minor = (uint32_t)minor;
	return 0;
}

static int text(struct span *line, char **ret)
{
	struct span f;

	if (!next_field(line, &f))
		return -EINVAL;
	*ret = decode(f);
	return *ret ? 0 : -ENOMEM;
}

/* The optional fields, up to the lone hyphen. */
static int optional(struct span *line, struct mount_info *m)
{
	struct span f;

	while (next_field(line, &f)) {
		size_t n = (size_t)(f.end - f.at);

		if (n == 1 && *f.at == '-')
			return 0;
		if (n > 7 && memcmp(f.at, "shared:", 7) == 0)
			m->shared = true;
	}
	return -EINVAL;
}

static int parse_line(struct span line, struct mount_info *m)
{
	int rc = whole_number(&line, INT64_MAX / 100, &m->id);

	if (rc == 0)
		rc = whole_number(&line, INT64_MAX / 100, &m->parent);
	if (rc == 0)
		rc = device(&line, m);
	if (rc == 0)
		rc = text(&line, &m->root);
	if (rc == 0)
		rc = text(&line, &m->target);
	if (rc == 0)
		rc = text(&line, &m->options);
	if (rc == 0)
		rc = optional(&line, m);
	if (rc == 0)
		rc = text(&line, &m->type);
	if (rc == 0)
		rc = text(&line, &m->source);
	return rc == 0 ? text(&line, &m->super) : rc;
}

static void clear_one(struct mount_info *m)
{
	free(m->root);
	free(m->target);
	free(m->type);
	free(m->source);
	free(m->options);
	free(m->super);
}

void mount_list_clear(struct mount_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		clear_one(&list->at[i]);
	free(list->at);
	*list = (struct mount_list){ 0 };
}

static struct mount_info *add(struct mount_list *list, size_t *room)
{
	struct mount_info *grown;

	if (list->n == *room) {
		*room = *room ? *room * 2 : 64;
		grown = reallocarray(list->at, *room, sizeof(*grown));
		if (!grown)
			return NULL;
		list->at = grown;
	}
	list->at[list->n] = (struct mount_info){ 0 };
	return &list->at[list->n++];
}

int mountinfo_parse(const char *from, size_t len, struct mount_list *ret, struct err *err)
{
	struct mount_list list = { 0 };
	size_t room = 0;
	size_t number_of_line = 0;
	int rc = 0;

	if (memchr(from, '\0', len))
		return err_say(err, EINVAL, "mountinfo: a NUL byte in it");
	for (const char *p = from, *end = from + len; rc == 0 && p < end;) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		struct span line = { p, nl ? nl : end };
		struct mount_info *m = add(&list, &room);

		number_of_line++;
		rc = m ? parse_line(line, m) : -ENOMEM;
		p = line.end + 1;
	}
	if (rc < 0) {
		mount_list_clear(&list);
		return err_set(err, -rc, "mountinfo: line %zu", number_of_line);
	}
	*ret = list;
	return 0;
}
