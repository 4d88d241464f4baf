/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_METRICS_SCRATCH_H
#define URUNC_METRICS_SCRATCH_H

/*
 * scratch.h - memory for the pieces of one message, given back all at once.
 *
 * Whoever asks gets zeroed memory or NULL; after the first NULL .failed stays set, so
 * that one check at the end is enough for those who pass over what they did not get.
 */

#include "supervisor/metrics/parse.h"

#include <stdbool.h>
#include <stddef.h>

struct scratch_piece;
struct scratch {
	struct scratch_piece *last;
	bool failed;
};

void *scratch_get(struct scratch *s, size_t size);

/* @prefix and @text, as a string; a byte that is no printable ASCII becomes '?', for
 * callers refuse a message with a string that is not UTF-8. */
char *scratch_text(struct scratch *s, const char *prefix, struct span text);

/* Everything it gave is gone. */
void scratch_clear(struct scratch *s);

#endif
