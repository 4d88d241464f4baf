/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_LIB_WIRE_H
#define URUNC_TEST_LIB_WIRE_H

/*
 * wire.h - for tests that speak ttrpc byte by byte. Everything here asserts (cmocka)
 * instead of failing, and nothing waits for longer than WIRE_PATIENCE_MS.
 */

#include "proto/ttrpc/frame.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_PATIENCE_MS 10000

struct event_base;

/* Bytes from hex digits, spaces allowed; the caller frees. */
uint8_t *wire_hex(const char *hex, size_t *len);

/* The packed message is exactly these bytes, and unpacking them gives it back. */
void wire_assert_packs(const ProtobufCMessage *msg, const char *hex);

/* A frame from the other end of a socket; the caller frees the payload. */
struct wire_frame {
	struct frame head;
	uint8_t *payload;
};

/* Write all; a full socket turns the loop of @base. */
void wire_send(struct event_base *base, int fd, const void *data, size_t len);

/* Turn the loop of @base until a whole frame arrived on the blocking or non-blocking
 * @fd. Return: false if end of file came first. */
bool wire_receive(struct event_base *base, int fd, struct wire_frame *ret);

/* Turn the loop until *flag is true. */
void wire_until(struct event_base *base, const bool *flag);

/* Turn the loop once, without blocking for longer than @ms. */
void wire_turn(struct event_base *base, int ms);

int wire_open_fds(void);       /* how many descriptors this process has */
size_t wire_anonymous_kb(void); /* its anonymous memory */

#endif
