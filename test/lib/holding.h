/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_LIB_HOLDING_H
#define URUNC_TEST_LIB_HOLDING_H

/*
 * holding.h - what a private node (node.sh) holds, for programs that look often:
 * processes, mounts, links, cgroups, files and journals, one sorted line each, without
 * numbers that change by themselves. picture.sh is the same for scripts.
 */

#include <regex.h>
#include <stddef.h>
#include <stdio.h>

#define HOLDING_EXCEPT_MAX 32

struct holding {
	char **at;
	size_t n, room;
};

/* Patterns of what may come and go without being a leak: test/lib/picture.except. */
struct holding_except {
	regex_t at[HOLDING_EXCEPT_MAX];
	size_t n;
};

/* 0, or -1 if the file can't be used; then a sentence is on stderr. */
int holding_except_read(struct holding_except *ret, const char *path);
void holding_except_clear(struct holding_except *except);

/* @t: the node's own folder, $T; its journal is in $T/journal, its state in $T/run.
 * Aborts when short of memory. */
void holding_take(struct holding *ret, const char *t);
void holding_clear(struct holding *h);

/* How many lines came since @before or went, but the excepted ones; each is written to
 * @out, behind @prefix, unless that is NULL. */
size_t holding_diff(const struct holding *before, const struct holding *now,
		    const struct holding_except *except, const char *prefix, FILE *out);

#endif
