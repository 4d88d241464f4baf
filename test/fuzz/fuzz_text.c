/* SPDX-License-Identifier: Apache-2.0 */
/* Any text becomes one that a Go peer takes, and is not lengthened; the first byte
 * is the code whose class goes behind it, the second the room there is. */
#include "proto/ttrpc/status.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room;
	char *in, *out;

	if (size < 2)
		return 0;
	room = (size_t)data[1] + 1;
	in = malloc(size - 1);
	out = malloc(room);
	if (!in || !out)
		abort();
	memcpy(in, data + 2, size - 2);
	in[size - 2] = '\0';
	status_text(data[0] % 20, in, out, room);
	if (strlen(out) >= room)
		abort();
	room = strlen(out);
	status_clean(out);
	if (strlen(out) != room)
		abort();
	free(in);
	in = strdup(out);
	status_clean(out); /* clean already */
	if (!in || strcmp(in, out) != 0)
		abort();
	free(in);
	free(out);
	return 0;
}
