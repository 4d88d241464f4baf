/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/metrics/scratch.h"

#include <stdlib.h>
#include <string.h>

struct scratch_piece {
	struct scratch_piece *before;
	max_align_t data[];
};

void *scratch_get(struct scratch *s, size_t size)
{
	struct scratch_piece *p = calloc(1, sizeof(*p) + size);

	if (!p) {
		s->failed = true;
		return NULL;
	}
	p->before = s->last;
	s->last = p;
	return p->data;
}

char *scratch_text(struct scratch *s, const char *prefix, struct span text)
{
	size_t len = strlen(prefix);
	char *ret = scratch_get(s, len + text.len + 1);

	if (!ret)
		return NULL;
	memcpy(ret, prefix, len);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];

		ret[len + i] = c >= ' ' && c <= '~' ? c : '?';
	}
	return ret;
}

void scratch_clear(struct scratch *s)
{
	while (s->last) {
		struct scratch_piece *p = s->last;

		s->last = p->before;
		free(p);
	}
}
