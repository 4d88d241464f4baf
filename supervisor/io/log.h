/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_IO_LOG_H
#define URUNC_IO_LOG_H

/*
 * log.h - a serving shim's log: lines that containerd copies into its own.
 *
 * They go into the FIFO "log" of the bundle, which containerd reads while it lives.
 * Writing never blocks: what finds no reader, or a full pipe, is lost.
 */

#include <stdbool.h>

struct log {
	char *path;
	int fd;     /* -1: not open; tried again with each line */
	bool debug; /* log_debug() lines are written too        */
};

/* @bundle: its folder. Never fails: without memory it is a log that loses all. */
void log_open(struct log *log, const char *bundle, bool debug);
void log_close(struct log *log);

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

void log_say(struct log *log, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
