/* SPDX-License-Identifier: Apache-2.0 */
/* The frame reader gives the same frames, however the bytes are cut. */
#include "proto/ttrpc/frame.h"

#include "journal/base/cleanup.h"
#include "test/lib/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void a_header_encodes_and_decodes(void **state)
{
	const struct frame f = { .len = 0x55, .id = 0x01020304, .type = 3, .flags = 5 };
	const uint8_t want[FRAME_HEAD] = { 0, 0, 0, 0x55, 1, 2, 3, 4, 3, 5 };
	uint8_t got[FRAME_HEAD];
	struct frame back;

	(void)state;
	frame_encode(got, &f);
	assert_memory_equal(got, want, FRAME_HEAD);
	frame_decode(&back, got);
	assert_int_equal(back.len, 0x55);
	assert_int_equal(back.id, 0x01020304);
	assert_int_equal(back.type, 3);
	assert_int_equal(back.flags, 5);
}

/* Three frames: 3 bytes, none, 5 bytes. */
static const uint8_t three[] = { 0, 0, 0, 3, 0, 0, 0, 1, 1, 0, 'a', 'b', 'c',
				 0, 0, 0, 0, 0, 0, 0, 3, 2, 0,
				 0, 0, 0, 5, 0, 0, 0, 5, 1, 0, 'd', 'e', 'f', 'g', 'h' };

struct seen {
	int frames;
	char text[16];
};

static void feed(struct frame_reader *r, const uint8_t *data, size_t len, struct seen *seen)
{
	const uint8_t *payload;
	struct frame f;

	while (len) {
		if (frame_read(r, &data, &len, &f, &payload) != FRAME_READY) {
			assert_int_equal(len, 0);
			return;
		}
		assert_int_equal(f.id, seen->frames * 2 + 1);
		seen->frames++;
		strncat(seen->text, (const char *)payload, f.len);
	}
}

static void every_cut_in_two_gives_the_same_frames(void **state)
{
	(void)state;
	for (size_t cut = 0; cut <= sizeof(three); cut++) {
		struct frame_reader r = FRAME_READER_INIT;
		struct seen seen = { 0 };
		auto_free uint8_t *a = malloc(cut + 1); /* exact sizes, for ASan to see */
		auto_free uint8_t *b = malloc(sizeof(three) - cut + 1);

		memcpy(a, three, cut);
		memcpy(b, three + cut, sizeof(three) - cut);
		feed(&r, a, cut, &seen);
		feed(&r, b, sizeof(three) - cut, &seen);
		assert_int_equal(seen.frames, 3);
		assert_string_equal(seen.text, "abcdefgh");
		frame_reader_clear(&r);
	}
}

static void single_bytes_give_the_same_frames(void **state)
{
	struct frame_reader r = FRAME_READER_INIT;
	struct seen seen = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(three); i++)
		feed(&r, three + i, 1, &seen);
	assert_int_equal(seen.frames, 3);
	assert_string_equal(seen.text, "abcdefgh");
	frame_reader_clear(&r);
}

static void the_largest_payload_is_kept_and_one_byte_more_is_read_over(void **state)
{
	struct frame_reader r = FRAME_READER_INIT;
	auto_free uint8_t *data = calloc(1, FRAME_HEAD + FRAME_MAX + 1 + FRAME_HEAD);
	const uint8_t *payload, *p;
	struct frame f;
	size_t len;

	(void)state;
	assert_non_null(data);
	for (uint32_t n = FRAME_MAX; n <= FRAME_MAX + 1; n++) {
		frame_encode(data, &(struct frame){ .len = n, .id = 7, .type = 1 });
		frame_encode(data + FRAME_HEAD + n, &(struct frame){ .id = 9, .type = 1 });
		p = data;
		len = 100; /* split, so that it has to be kept */
		assert_int_equal(frame_read(&r, &p, &len, &f, &payload), FRAME_MORE);
		len = FRAME_HEAD + n + FRAME_HEAD - 100;
		assert_int_equal(frame_read(&r, &p, &len, &f, &payload), FRAME_READY);
		assert_int_equal(f.len, n);
		if (n > FRAME_MAX)
			assert_null(payload);
		else
			assert_non_null(payload);
		assert_int_equal(frame_read(&r, &p, &len, &f, &payload), FRAME_READY);
		assert_int_equal(f.id, 9);
		assert_int_equal(len, 0);
	}
	frame_reader_clear(&r);
}

static void an_announced_length_costs_nothing(void **state)
{
	struct frame_reader r = FRAME_READER_INIT;
	uint8_t data[FRAME_HEAD + 1] = { 0 };
	const uint8_t *payload, *p = data;
	size_t len = sizeof(data);
	struct frame f;

	(void)state;
	frame_encode(data, &(struct frame){ .len = FRAME_MAX, .id = 1, .type = 1 });
	assert_int_equal(frame_read(&r, &p, &len, &f, &payload), FRAME_MORE);
	assert_true(r.room <= 1024);
	frame_reader_clear(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_encodes_and_decodes),
		cmocka_unit_test(every_cut_in_two_gives_the_same_frames),
		cmocka_unit_test(single_bytes_give_the_same_frames),
		cmocka_unit_test(the_largest_payload_is_kept_and_one_byte_more_is_read_over),
		cmocka_unit_test(an_announced_length_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
