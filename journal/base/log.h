/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_BASE_LOG_H
#define URUNC_BASE_LOG_H

/*
 * log.h - one line per event, for people and for grep:
 *
 *	time="2026-01-31T23:59:59.123456Z" level=warning msg="..." task=default/c1
 *
 * the form in which containerd writes its own log. Libraries never log: they return
 * a sentence (err.h), and a program decides.
 *
 * A log never holds its program up and never ends it: a line that does not fit into
 * the pipe now, or that nobody reads any more, is dropped. A program must ignore
 * SIGPIPE. A line is one write of at most LOG_LINE_MAX bytes (below PIPE_BUF, so
 * lines of several processes don't mix); the tail of a longer one is lost.
 */

#define LOG_LINE_MAX 4000

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Nothing to open or close: the descriptor is lent. */
struct log {
	int fd;               /* < 0: nothing is written        */
	enum log_level level; /* what is below is not written    */
};

/**
 * log_line() - write one event
 * @msg:	what happened
 * @...:	pairs of strings, key and value, then NULL. A NULL value leaves the pair
 *		out. Values are quoted when they have to be.
 */
void log_line(const struct log *log, enum log_level level, const char *msg, ...)
	__attribute__((sentinel));

/* "debug", "info", "warning" ("warn"), "error": 0 and *ret, or -EINVAL. */
int log_level_parse(const char *name, enum log_level *ret);

#endif
