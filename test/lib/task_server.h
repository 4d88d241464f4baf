/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_LIB_TASK_SERVER_H
#define URUNC_TEST_LIB_TASK_SERVER_H

/*
 * task_server.h - a ttrpc server with a task service that behaves on order, and the
 * other end of one connection to it, spoken to byte by byte. All of it asserts.
 *
 *	Connect		answers 4242, 4300; counts
 *	Pause		answers an Empty
 *	Start		fails: ENOENT, "container not created"
 *	Kill		fails with a text that is no UTF-8
 *	Wait		keeps the call, and drops it when nobody waits any more
 *	Delete		keeps the call, and does not ask who waits; counts
 *	Pids		answers answer_size bytes and a few; counts
 *	State		answers with a message of a wrong type
 *	Shutdown	answers an Empty and stops the server
 */

#include "proto/ttrpc/server.h"
#include "test/lib/wire.h"

#define TASK_SERVICE "containerd.task.v2.Task"

/* Connect for c1 in namespace default on stream 1, with 5 s, as containerd sends it. */
#define TASK_CONNECT_GOLDEN                                                              \
	"00000055 00000001 01 00 0a17636f6e7461696e6572642e7461736b2e76322e5461736b1207436f" \
	"6e6e6563741a040a0263312080e497d0122a250a1a636f6e7461696e6572642d6e616d657370616365" \
	"2d7474727063120764656661756c74"

struct task_server {
	struct event_base *base;
	struct server *server;
	int peer; /* our end of a connection */
	struct call *kept[64];
	size_t n_kept, n_gone, n_started;
	size_t answer_size;
	size_t opened, closed; /* by the hooks */
	bool stopped;
};

/* For cmocka_unit_test_setup_teardown(); *state is a struct task_server. */
int task_server_setup(void **state);
int task_server_teardown(void **state);

int ts_connect(struct task_server *f); /* one more connection; our end of it */

void ts_send_hex(struct task_server *f, const char *hex);
void ts_send_frame(struct task_server *f, uint32_t id, int type, const void *data, size_t len);
/* Any method: all requests with an id as their first field look the same. */
void ts_send_call(struct task_server *f, uint32_t id, const char *method, int timeout_ms);

void ts_expect_hex(struct task_server *f, const char *hex);
void ts_expect(struct task_server *f, uint32_t id, int code);
/* The same; returns the text, the caller's to free. */
char *ts_expect_status(struct task_server *f, uint32_t id, int code);
/* The connection is as good as ever. */
void ts_still_good(struct task_server *f, uint32_t id);

void ts_answer_wait(struct task_server *f, size_t kept, uint32_t status);
/* Turn the loop until so many calls are kept. */
void ts_until_kept(struct task_server *f, size_t n);

#endif
