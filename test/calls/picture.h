/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_CALLS_PICTURE_H
#define URUNC_CALLS_PICTURE_H

/*
 * picture.h - what the private node holds: the picture of test/lib/picture.sh, taken
 * in milliseconds.
 *
 * One thing a line, sorted: processes, mounts, links, cgroups, files. Processes that
 * were there when the first picture was taken (the test itself) are in none.
 */

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct picture {
	char **lines;
	size_t n, room;
};

struct picture_places {
	const char *root;    /* the test's folder: tmp, run* and journal below it */
	regex_t except[32];  /* what may come and go and is no leak               */
	size_t n_except;
	pid_t known[256];    /* processes that were there before                  */
	size_t n_known;
};

/* The patterns of test/lib/picture.except. false: they can't be used. */
bool picture_except(struct picture_places *places, const char *path);

/* Whoever runs now is part of the test. */
void picture_know(struct picture_places *places);

void picture_take(struct picture *p, const struct picture_places *places);

/* What came (+) and went (-), a line each, the caller's to free; NULL: nothing that is
 * not excepted. */
char *picture_diff(const struct picture *before, const struct picture *after,
		   const struct picture_places *places);

/* Is there a line that begins so? */
bool picture_has(const struct picture *p, const char *prefix);

void picture_clear(struct picture *p);

#endif
