/* SPDX-License-Identifier: Apache-2.0 */
/* The server on the wire: golden frames, and every way to break the rules. */
#include "journal/base/cleanup.h"
#include "proto/api/task.pb-c.h"
#include "proto/api/ttrpc.pb-c.h"
#include "proto/ttrpc/client.h"
#include "proto/ttrpc/frame.h"
#include "proto/ttrpc/status.h"
#include "test/lib/task_server.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* ---- golden frames ---------------------------------------------------------------- */

static void a_golden_connect_is_answered(void **state)
{
	struct task_server *f = *state;

	ts_send_hex(f, TASK_CONNECT_GOLDEN);
	ts_expect_hex(f, "00000008 00000001 02 00 120608922110cc21");
}

static void the_request_we_encode_is_the_golden_one(void **state)
{
	Containerd__Task__V2__ConnectRequest in = CONTAINERD__TASK__V2__CONNECT_REQUEST__INIT;
	const struct client_request req = {
		.service = TASK_SERVICE, .method = "Connect", .ns = "default", .in = &in.base,
		.timeout_ms = 5000,
	};
	auto_free uint8_t *data = NULL;
	size_t len, want_len;
	auto_free uint8_t *want = wire_hex(TASK_CONNECT_GOLDEN, &want_len);

	(void)state;
	in.id = (char *)"c1";
	assert_int_equal(client_encode(&req, 1, &data, &len, NULL), 0);
	assert_int_equal(len, want_len);
	assert_memory_equal(data, want, len);
}

static void an_empty_answer_is_ten_bytes(void **state)
{
	struct task_server *f = *state;

	ts_send_call(f, 3, "Pause", 0);
	ts_expect_hex(f, "00000000 00000003 02 00");
}

static void a_failure_carries_code_and_class(void **state)
{
	struct task_server *f = *state;

	ts_send_call(f, 5, "Start", 0);
	ts_expect_hex(f, "00000026 00000005 02 00 0a2408051220636f6e7461696e6572206e6f742063726561"
		      "7465643a206e6f7420666f756e64");
}

static void an_unknown_service_is_unimplemented(void **state)
{
	struct task_server *f = *state;
	Ttrpc__Request r = TTRPC__REQUEST__INIT;
	uint8_t data[64];

	r.service = (char *)"containerd.task.v3.Task";
	ts_send_frame(f, 1, FRAME_REQUEST, data, ttrpc__request__pack(&r, data));
	ts_expect_hex(f, "00000025 00000001 02 00 0a23080c121f7365727669636520636f6e7461696e657264"
		      "2e7461736b2e76332e5461736b");
	ts_still_good(f, 3);
}

/* ---- breaking the rules ------------------------------------------------------------ */

static void an_unknown_method_is_unimplemented(void **state)
{
	struct task_server *f = *state;
	auto_free char *text = NULL;

	ts_send_call(f, 1, "Frobnicate", 0);
	text = ts_expect_status(f, 1, STATUS_UNIMPLEMENTED);
	assert_string_equal(text, "method Frobnicate");
	ts_still_good(f, 3);
}

static void an_oversize_request_is_read_over(void **state)
{
	struct task_server *f = *state;
	auto_free uint8_t *data = calloc(1, FRAME_MAX + 1);

	ts_send_frame(f, 1, FRAME_REQUEST, data, FRAME_MAX + 1);
	ts_expect(f, 1, STATUS_RESOURCE_EXHAUSTED);
	ts_still_good(f, 1); /* the id was never used */
}

static void an_even_id_is_invalid(void **state)
{
	struct task_server *f = *state;

	ts_send_call(f, 2, "Connect", 0);
	ts_expect(f, 2, STATUS_INVALID_ARGUMENT);
	ts_send_frame(f, 0, FRAME_REQUEST, "", 0);
	ts_expect(f, 0, STATUS_INVALID_ARGUMENT);
	ts_still_good(f, 1);
}

static void an_id_that_does_not_grow_is_invalid(void **state)
{
	struct task_server *f = *state;

	ts_still_good(f, 7);
	ts_send_call(f, 7, "Connect", 0);
	ts_expect(f, 7, STATUS_INVALID_ARGUMENT);
	ts_send_call(f, 5, "Connect", 0);
	ts_expect(f, 5, STATUS_INVALID_ARGUMENT);
	ts_still_good(f, 9);
}

static void a_data_frame_is_invalid_also_for_a_live_call(void **state)
{
	struct task_server *f = *state;

	ts_send_call(f, 1, "Wait", 0);
	ts_send_frame(f, 1, FRAME_DATA, "x", 1);
	ts_expect(f, 1, STATUS_INVALID_ARGUMENT);
	ts_send_frame(f, 9, FRAME_DATA, "", 0);
	ts_expect(f, 9, STATUS_INVALID_ARGUMENT);
	ts_answer_wait(f, 0, 7);
	ts_expect_hex(f, "00000004 00000001 02 00 12020807");
}

static void other_types_of_frames_are_ignored(void **state)
{
	struct task_server *f = *state;

	ts_send_frame(f, 1, FRAME_RESPONSE, "abc", 3);
	ts_send_frame(f, 3, 77, "abc", 3);
	ts_still_good(f, 5);
}

static void a_request_that_is_none_is_invalid(void **state)
{
	struct task_server *f = *state;

	ts_send_frame(f, 1, FRAME_REQUEST, "\xff\xff\xff", 3);
	ts_expect(f, 1, STATUS_INVALID_ARGUMENT);
	ts_still_good(f, 3);
}

static void a_payload_that_is_not_the_message_is_internal(void **state)
{
	struct task_server *f = *state;
	Ttrpc__Request r = TTRPC__REQUEST__INIT;
	uint8_t data[64];
	auto_free char *text = NULL;

	r.service = (char *)TASK_SERVICE;
	r.method = (char *)"Connect";
	r.payload.data = (uint8_t *)"\xff\xff";
	r.payload.len = 2;
	ts_send_frame(f, 1, FRAME_REQUEST, data, ttrpc__request__pack(&r, data));
	text = ts_expect_status(f, 1, STATUS_INTERNAL);
	assert_memory_equal(text, "ttrpc: error unmarshalling payload", 34);
	ts_still_good(f, 3);
}

static void a_request_that_unfolds_in_memory_is_refused(void **state)
{
	struct task_server *f = *state;
	auto_free uint8_t *data = malloc(FRAME_MAX);

	/* Two million empty metadata entries, of two bytes each. */
	for (size_t i = 0; i < FRAME_MAX; i += 2)
		memcpy(data + i, "\x2a\x00", 2);
	ts_send_frame(f, 1, FRAME_REQUEST, data, FRAME_MAX);
	ts_expect(f, 1, STATUS_INVALID_ARGUMENT);
	ts_still_good(f, 3);
}

static void an_answer_that_is_too_large_is_resource_exhausted(void **state)
{
	struct task_server *f = *state;

	f->answer_size = FRAME_MAX;
	ts_send_call(f, 1, "Pids", 0);
	ts_expect(f, 1, STATUS_RESOURCE_EXHAUSTED);
	f->answer_size = FRAME_MAX - 100;
	ts_send_call(f, 3, "Pids", 0);
	ts_expect(f, 3, 0);
	ts_still_good(f, 5);
}

static void an_answer_of_another_type_is_internal(void **state)
{
	struct task_server *f = *state;

	ts_send_call(f, 1, "State", 0);
	ts_expect(f, 1, STATUS_INTERNAL);
}

static void a_text_goes_out_as_utf8(void **state)
{
	struct task_server *f = *state;
	auto_free char *text = NULL;

	ts_send_call(f, 1, "Kill", 0);
	text = ts_expect_status(f, 1, STATUS_UNKNOWN);
	assert_string_equal(text, "a byte ? that Go would not take");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, task_server_setup, task_server_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_golden_connect_is_answered),
		TEST(the_request_we_encode_is_the_golden_one),
		TEST(an_empty_answer_is_ten_bytes),
		TEST(a_failure_carries_code_and_class),
		TEST(an_unknown_service_is_unimplemented),
		TEST(an_unknown_method_is_unimplemented),
		TEST(an_oversize_request_is_read_over),
		TEST(an_even_id_is_invalid),
		TEST(an_id_that_does_not_grow_is_invalid),
		TEST(a_data_frame_is_invalid_also_for_a_live_call),
		TEST(other_types_of_frames_are_ignored),
		TEST(a_request_that_is_none_is_invalid),
		TEST(a_payload_that_is_not_the_message_is_internal),
		TEST(a_request_that_unfolds_in_memory_is_refused),
		TEST(an_answer_that_is_too_large_is_resource_exhausted),
		TEST(an_answer_of_another_type_is_internal),
		TEST(a_text_goes_out_as_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
