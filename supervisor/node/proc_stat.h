/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_NODE_PROC_STAT_H
#define URUNC_NODE_PROC_STAT_H

/*
 * proc_stat.h - the line in /proc/PID/stat. Pure.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
	pid_t pid, ppid, sid;
	char comm[32]; /* cut if longer; may hold blanks, parentheses, anything */
	char state;    /* R S D Z T ...                                         */
	bool exiting;  /* on its way out, or out: set before it closes anything */
	int64_t threads;
	uint64_t start; /* clock ticks since boot                               */
};

/* @text: NUL-terminated. 0, or -EINVAL: not such a line, *ret untouched. */
int proc_stat_parse(const char *text, struct proc_stat *ret);

/* It still runs something: not dead, and no zombie, unless only its first thread is. */
bool proc_stat_alive(const struct proc_stat *st);

#endif
