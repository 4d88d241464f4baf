/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TTRPC_FRAME_H
#define URUNC_TTRPC_FRAME_H

/*
 * frame.h - ttrpc's frames, in memory. No I/O: a fuzzer calls all of this.
 *
 *	0   4   length of the payload, big-endian, at most FRAME_MAX
 *	4   4   stream id, big-endian
 *	8   1   type
 *	9   1   flags
 *	10  n   payload
 */

#include <stddef.h>
#include <stdint.h>

#define FRAME_HEAD 10
#define FRAME_MAX  (4u << 20) /* bytes of payload */

enum frame_type { FRAME_REQUEST = 1, FRAME_RESPONSE = 2, FRAME_DATA = 3 };

struct frame {
	uint32_t len; /* of the payload */
	uint32_t id;
	uint8_t type;  /* enum frame_type, or what the peer thinks of next */
	uint8_t flags; /* streaming only, so 0 in all that we send */
};

void frame_encode(uint8_t head[FRAME_HEAD], const struct frame *f);
void frame_decode(struct frame *ret, const uint8_t head[FRAME_HEAD]);

/*
 * A reader makes frames out of bytes that come in pieces. An idle one holds no
 * memory, and a busy one at most 1 KiB or twice what it was given of a frame: a
 * length that was only announced costs nothing.
 */
struct frame_reader {
	uint8_t head[FRAME_HEAD];
	size_t have;   /* bytes of the frame taken so far, header included */
	uint8_t *body; /* NULL while the payload was never split           */
	size_t room;
};
#define FRAME_READER_INIT { .have = 0 }

enum { FRAME_MORE = 0, FRAME_READY = 1 };

/**
 * frame_read() - take bytes until a frame is complete
 * @data:	moved on over what was taken
 * @len:	lowered by as much
 * @ret:	the frame; set with FRAME_READY
 * @payload:	its @ret->len bytes, lent until the next call and for as long as
 *		the caller's data stays; NULL if @ret->len > FRAME_MAX: then they were
 *		read over, and the reader is at the next frame
 *
 * Return: FRAME_READY, and there may be more in @data; FRAME_MORE: all of @data was
 * taken; -ENOMEM, after which the reader is good for frame_reader_clear() only.
 */
int frame_read(struct frame_reader *r, const uint8_t **data, size_t *len, struct frame *ret,
	       const uint8_t **payload);

/* Free what it holds; it may be used again, for another stream. */
void frame_reader_clear(struct frame_reader *r);

#endif
