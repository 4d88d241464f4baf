/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as mountinfo: it is refused, or every field is a text no longer than it. */
#include "supervisor/node/mountinfo.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text, size_t size)
{
	if (!text || strlen(text) > size)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mount_list list = { 0 };

	if (mountinfo_parse((const char *)data, size, &list, NULL) < 0) {
		if (list.at || list.n)
			abort();
		return 0;
	}
	for (size_t i = 0; i < list.n; i++) {
		const struct mount_info *m = &list.at[i];

		check(m->root, size);
		check(m->target, size);
		check(m->options, size);
		check(m->type, size);
		check(m->source, size);
		check(m->super, size);
		if (m->id < 0 || m->parent < 0)
			abort();
	}
	mount_list_clear(&list);
	return 0;
}
