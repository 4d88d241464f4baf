/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/node/node.h"

#include <string.h>

/* Word @n (0, 1, 2) of an epoch; *len is 0 if there is none. */
static const char *word(const char *epoch, int n, size_t *len)
{
	while (n-- > 0) {
		epoch += strcspn(epoch, " ");
		epoch += strspn(epoch, " ");
	}
	*len = strcspn(epoch, " ");
	return epoch;
}

static bool same_word(const char *a, const char *b, int n)
{
	size_t la;
	size_t lb;
	const char *wa = word(a, n, &la);
	const char *wb = word(b, n, &lb);

	return la > 0 && la == lb && memcmp(wa, wb, la) == 0;
}

bool epoch_same_boot(const char *a, const char *b)
{
	return same_word(a, b, 0);
}

bool epoch_same_pids(const char *a, const char *b)
{
	return same_word(a, b, 0) && same_word(a, b, 1);
}

bool epoch_same_mounts(const char *a, const char *b)
{
	return same_word(a, b, 0) && same_word(a, b, 2);
}
