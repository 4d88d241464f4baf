/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ttrpc/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 1024 /* bytes; doubled as they fill */

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void frame_encode(uint8_t head[FRAME_HEAD], const struct frame *f)
{
	put32(head, f->len);
	put32(head + 4, f->id);
	head[8] = f->type;
	head[9] = f->flags;
}

void frame_decode(struct frame *ret, const uint8_t head[FRAME_HEAD])
{
	ret->len = get32(head);
	ret->id = get32(head + 4);
	ret->type = head[8];
	ret->flags = head[9];
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void take(struct frame_reader *r, const uint8_t **data, size_t *len, size_t n)
{
	r->have += n;
	*data += n;
	*len -= n;
}

/* Keep the next @n bytes of a payload of @total. */
static int keep(struct frame_reader *r, const uint8_t *data, size_t n, size_t total)
{
	size_t at = r->have - FRAME_HEAD;
	size_t room = r->room;
	uint8_t *body;

	while (room < at + n)
		room = least(room ? room * 2 : FIRST_ROOM, total);
	if (room != r->room) {
		body = realloc(r->body, room);
		if (!body)
			return -ENOMEM;
		r->body = body;
		r->room = room;
	}
	memcpy(r->body + at, data, n);
	return 0;
}

/* The bytes of a payload over the limit: counted, not kept. */
static int skip_payload(struct frame_reader *r, const uint8_t **data, size_t *len,
			const struct frame *f)
{
	size_t want = (size_t)f->len + FRAME_HEAD - r->have;

	take(r, data, len, least(want, *len));
	if (r->have < (size_t)f->len + FRAME_HEAD)
		return FRAME_MORE;
	r->have = 0;
	return FRAME_READY;
}

static int read_payload(struct frame_reader *r, const uint8_t **data, size_t *len,
			const struct frame *f, const uint8_t **payload)
{
	size_t want = (size_t)f->len + FRAME_HEAD - r->have;
	size_t n = least(want, *len);

	if (r->have == FRAME_HEAD && n == want) {
		*payload = *data; /* in one piece: no copy */
	} else {
		if (n && keep(r, *data, n, f->len) < 0)
			return -ENOMEM;
		*payload = r->body;
	}
	take(r, data, len, n);
	if (n < want)
		return FRAME_MORE;
	r->have = 0;
	return FRAME_READY;
}

int frame_read(struct frame_reader *r, const uint8_t **data, size_t *len, struct frame *ret,
	       const uint8_t **payload)
{
	struct frame f;
	size_t n;
	int rc;

	if (r->have == 0)
		frame_reader_clear(r); /* the last payload was lent until now */
	if (!*len)
		return FRAME_MORE;
	if (r->have < FRAME_HEAD) {
		n = least(FRAME_HEAD - r->have, *len);
		memcpy(r->head + r->have, *data, n);
		take(r, data, len, n);
		if (r->have < FRAME_HEAD)
			return FRAME_MORE;
	}
	frame_decode(&f, r->head);
	*payload = NULL;
	rc = f.len > FRAME_MAX ? skip_payload(r, data, len, &f)
			       : read_payload(r, data, len, &f, payload);
	if (rc == FRAME_READY)
		*ret = f;
	return rc;
}

void frame_reader_clear(struct frame_reader *r)
{
	free(r->body);
	*r = (struct frame_reader)FRAME_READER_INIT;
}
