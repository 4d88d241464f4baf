/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/io/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 2048 /* below PIPE_BUF: a line is written whole or not at all */

void log_open(struct log *log, const char *bundle, bool debug)
{
	*log = (struct log){ .fd = -1, .debug = debug };
	if (asprintf(&log->path, "%s/log", bundle) < 0)
		log->path = NULL;
}

void log_close(struct log *log)
{
	if (log->fd >= 0)
		(void)close(log->fd);
	free(log->path);
	*log = (struct log){ .fd = -1 };
}

static bool ready(struct log *log)
{
	if (log->fd < 0 && log->path)
		log->fd = open(log->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);
	return log->fd >= 0;
}

/* As Go's %q, as far as a reader of logs cares. */
static size_t quote(char *ret, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text && n + 3 < size; text++) {
		if (*text == '"' || *text == '\\')
			ret[n++] = '\\';
		ret[n++] = (unsigned char)*text < ' ' ? ' ' : *text;
	}
	ret[n] = '\0';
	return n;
}

void log_say(struct log *log, enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "debug", "info", "warning", "error" };
	char msg[1200], quoted[1600], when[32], line[LINE_BYTES];
	struct timespec now;
	struct tm tm;
	va_list ap;
	int n;

	if ((level == LOG_LEVEL_DEBUG && !log->debug) || !ready(log))
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	quote(quoted, sizeof(quoted), msg);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	n = snprintf(line, sizeof(line), "time=\"%s.%09ldZ\" level=%s msg=\"%s\"\n", when,
		     now.tv_nsec, names[level], quoted);
	/* Nobody reads, or too slowly: the line is lost, the shim goes on. */
	if (n > 0 && write(log->fd, line, (size_t)n) < 0 && errno != EAGAIN && errno != EPIPE) {
		(void)close(log->fd);
		log->fd = -1;
	}
}
