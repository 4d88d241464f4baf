/* SPDX-License-Identifier: Apache-2.0 */
/* The frame reader gives the same frames whether bytes come at once or in pieces, and
 * holds no more than it says. The first byte is the size of the pieces. */
#include "proto/ttrpc/frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A number that stands for all frames and how they ended. */
struct sum {
	uint64_t hash, frames;
};

static void add(struct sum *s, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		s->hash = (s->hash ^ p[i]) * 0x100000001b3u;
}

static void feed(struct frame_reader *r, const uint8_t *data, size_t size, struct sum *s)
{
	uint8_t *copy = malloc(size ? size : 1); /* exact, so that ASan sees its end */
	const uint8_t *p = copy, *payload;
	uint8_t head[FRAME_HEAD];
	struct frame f;

	if (!copy)
		return;
	memcpy(copy, data, size);
	while (size && frame_read(r, &p, &size, &f, &payload) == FRAME_READY) {
		frame_encode(head, &f);
		add(s, head, sizeof(head));
		if ((f.len > FRAME_MAX) != (payload == NULL))
			abort();
		add(s, payload, payload ? f.len : 0);
		s->frames++;
	}
	if (size || r->room > FRAME_MAX)
		abort();
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_reader whole = FRAME_READER_INIT, cut = FRAME_READER_INIT;
	struct sum a = { 0, 0 }, b = { 0, 0 };
	size_t piece, n;

	if (!size)
		return 0;
	piece = data[0] % 16 + 1;
	data++, size--;
	feed(&whole, data, size, &a);
	for (; size; data += n, size -= n) {
		n = size < piece ? size : piece;
		feed(&cut, data, n, &b);
	}
	if (a.hash != b.hash || a.frames != b.frames || whole.have != cut.have)
		abort();
	frame_reader_clear(&whole);
	frame_reader_clear(&cut);
	return 0;
}
