/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/wire.h"

#include "journal/base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

uint8_t *wire_hex(const char *hex, size_t *len)
{
	uint8_t *out = malloc(strlen(hex) / 2 + 1);
	unsigned int byte;

	assert_non_null(out);
	for (*len = 0; *hex; hex += 2) {
		while (*hex == ' ')
			hex++;
		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		out[(*len)++] = (uint8_t)byte;
	}
	return out;
}

void wire_assert_packs(const ProtobufCMessage *msg, const char *hex)
{
	size_t len, n = protobuf_c_message_get_packed_size(msg);
	auto_free uint8_t *want = wire_hex(hex, &len);
	auto_free uint8_t *got = malloc(n + 1);
	auto_free uint8_t *again = malloc(n + 1);
	ProtobufCMessage *back;

	assert_non_null(got);
	assert_non_null(again);
	assert_int_equal(protobuf_c_message_pack(msg, got), n);
	assert_int_equal(n, len);
	assert_memory_equal(got, want, len);
	back = protobuf_c_message_unpack(msg->descriptor, NULL, len, want);
	assert_non_null(back);
	assert_int_equal(protobuf_c_message_get_packed_size(back), len);
	(void)protobuf_c_message_pack(back, again);
	assert_memory_equal(again, want, len);
	protobuf_c_message_free_unpacked(back, NULL);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void wire_turn(struct event_base *base, int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	(void)event_base_loopexit(base, &tv);
	(void)event_base_loop(base, EVLOOP_ONCE);
}

void wire_until(struct event_base *base, const bool *flag)
{
	int64_t end = now_ms() + WIRE_PATIENCE_MS;

	while (!*flag) {
		assert_true(now_ms() < end);
		wire_turn(base, 20);
	}
}

void wire_send(struct event_base *base, int fd, const void *data, size_t len)
{
	int64_t end = now_ms() + WIRE_PATIENCE_MS;
	const uint8_t *p = data;
	ssize_t n;

	while (len) {
		n = send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		assert_true(now_ms() < end);
		wire_turn(base, 5);
	}
}

/* False: end of file came first. */
static bool receive(struct event_base *base, int fd, uint8_t *buf, size_t len)
{
	int64_t end = now_ms() + WIRE_PATIENCE_MS;
	ssize_t n;

	while (len) {
		n = recv(fd, buf, len, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return false;
		if (n > 0) {
			buf += n;
			len -= (size_t)n;
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		assert_true(now_ms() < end);
		wire_turn(base, 2);
	}
	return true;
}

bool wire_receive(struct event_base *base, int fd, struct wire_frame *ret)
{
	uint8_t head[FRAME_HEAD];

	ret->payload = NULL;
	if (!receive(base, fd, head, sizeof(head)))
		return false;
	frame_decode(&ret->head, head);
	assert_true(ret->head.len <= FRAME_MAX);
	ret->payload = malloc(ret->head.len + 1);
	assert_non_null(ret->payload);
	return receive(base, fd, ret->payload, ret->head.len);
}

int wire_open_fds(void)
{
	auto_dir DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	return n - 3; /* ., .. and the folder itself */
}

size_t wire_anonymous_kb(void)
{
	auto_file FILE *f = fopen("/proc/self/smaps_rollup", "re");
	char line[256];
	size_t kb = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		(void)sscanf(line, "Anonymous: %zu kB", &kb);
	return kb;
}
