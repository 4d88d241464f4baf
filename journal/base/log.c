/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_name[] = { "debug", "info", "warning", "error" };

struct line {
	char text[LOG_LINE_MAX];
	size_t n;
};

/* One byte is kept for the newline. */
static void put(struct line *l, const char *s, size_t n)
{
	size_t room = sizeof(l->text) - 1 - l->n;

	if (n > room)
		n = room;
	memcpy(l->text + l->n, s, n);
	l->n += n;
}

static void put_quoted(struct line *l, const char *s)
{
	char hex[8];

	put(l, "\"", 1);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\') {
			put(l, "\\", 1);
			put(l, s, 1);
		} else if (*s == '\n') {
			put(l, "\\n", 2);
		} else if ((unsigned char)*s < ' ' || *s == 127) {
			snprintf(hex, sizeof(hex), "\\x%02x", (unsigned char)*s);
			put(l, hex, 4);
		} else {
			put(l, s, 1);
		}
	}
	put(l, "\"", 1);
}

static void put_value(struct line *l, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._/@^+:";

	if (*s && !s[strspn(s, plain)])
		put(l, s, strlen(s));
	else
		put_quoted(l, s);
}

static void put_head(struct line *l, enum log_level level)
{
	struct timespec now;
	struct tm tm;
	char head[96];
	int n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = (int)strftime(head, 32, "time=\"%Y-%m-%dT%H:%M:%S", &tm);
	n += snprintf(head + n, sizeof(head) - (size_t)n, ".%06ldZ\" level=%s msg=",
		      now.tv_nsec / 1000, level_name[level]);
	put(l, head, (size_t)n);
}

/* A full pipe would block: ask first. The descriptor may be shared with others, so
 * it is not ours to make it O_NONBLOCK. */
static void emit(int fd, const struct line *l)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT))
		(void)!write(fd, l->text, l->n);
}

void log_line(const struct log *log, enum log_level level, const char *msg, ...)
{
	int saved = errno;
	struct line l = { .n = 0 };
	const char *key, *value;
	va_list ap;

	if (log->fd < 0 || level < log->level)
		return;
	put_head(&l, level);
	put_quoted(&l, msg);
	va_start(ap, msg);
	while ((key = va_arg(ap, const char *))) {
		value = va_arg(ap, const char *);
		if (!value)
			continue;
		put(&l, " ", 1);
		put(&l, key, strlen(key));
		put(&l, "=", 1);
		put_value(&l, value);
	}
	va_end(ap);
	l.text[l.n++] = '\n';
	emit(log->fd, &l);
	errno = saved;
}

int log_level_parse(const char *name, enum log_level *ret)
{
	for (size_t i = 0; i < sizeof(level_name) / sizeof(level_name[0]); i++) {
		if (strcmp(name, level_name[i]) == 0) {
			*ret = (enum log_level)i;
			return 0;
		}
	}
	if (strcmp(name, "warn") != 0)
		return -EINVAL;
	*ret = LOG_WARNING;
	return 0;
}
