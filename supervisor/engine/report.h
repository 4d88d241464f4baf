/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_ENGINE_REPORT_H
#define URUNC_ENGINE_REPORT_H

/*
 * report.h - what a task holds, counted from its rows, in words.
 */

#include "journal/journal.h"

#define PICTURE_KINDS 24

/* What the rows of the serve and create plans say is held, kind by kind. */
struct picture {
	struct {
		char kind[32];
		int n;
	} at[PICTURE_KINDS];
	size_t n;
	int total;
	char rows[ERR_TEXT_MAX];   /* "mount: target is busy; cgroup" newest first */
	char killed[ERR_TEXT_MAX]; /* whom the newest fence killed, "" nobody       */
};

int picture_take(struct picture *ret, struct journal *j, struct err *err);
/* "2 mounts, 1 init"; @less: without these, may be NULL. Returns @buf. */
char *picture_words(const struct picture *p, const struct picture *less, char *buf,
		    size_t size);

#endif
