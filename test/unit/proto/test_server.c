/* SPDX-License-Identifier: Apache-2.0 */
/* Calls answered late, out of order or after everybody left; and stopping. */
#include "journal/base/cleanup.h"
#include "proto/api/task.pb-c.h"
#include "proto/ttrpc/status.h"
#include "test/lib/task_server.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* ---- time and order ----------------------------------------------------------------- */

static void answers_go_out_in_the_order_they_are_given(void **state)
{
	struct task_server *f = *state;

	for (uint32_t i = 0; i < 50; i++)
		ts_send_call(f, 2 * i + 1, "Wait", 0);
	ts_still_good(f, 101); /* overtakes them all */
	assert_int_equal(server_pending(f->server), 50);
	for (size_t i = 50; i-- > 0;) {
		ts_answer_wait(f, i, (uint32_t)i);
		ts_expect(f, (uint32_t)(2 * i + 1), 0);
	}
	assert_int_equal(server_pending(f->server), 0);
}

static void a_client_may_send_one_byte_at_a_time(void **state)
{
	struct task_server *f = *state;
	size_t len;
	auto_free uint8_t *data = wire_hex(TASK_CONNECT_GOLDEN, &len);

	for (size_t i = 0; i < len; i++) {
		assert_int_equal(f->n_started, 0);
		wire_send(f->base, f->peer, data + i, 1);
		wire_turn(f->base, 0);
	}
	ts_expect(f, 1, 0);
}

static void a_deadline_answers_while_the_work_goes_on(void **state)
{
	struct task_server *f = *state;

	ts_send_call(f, 1, "Delete", 30);
	ts_expect(f, 1, STATUS_DEADLINE_EXCEEDED);
	assert_int_equal(f->n_kept, 1);
	assert_true(call_gone(f->kept[0]));
	assert_int_equal(server_pending(f->server), 0);
	{
		Containerd__Task__V2__DeleteResponse out = CONTAINERD__TASK__V2__DELETE_RESPONSE__INIT;

		call_answer(f->kept[0], &out.base); /* to nobody */
		f->kept[0] = NULL;
	}
	ts_still_good(f, 3);
}

static void a_wait_is_told_that_its_deadline_was_reached(void **state)
{
	struct task_server *f = *state;

	ts_send_call(f, 1, "Wait", 30);
	ts_expect(f, 1, STATUS_DEADLINE_EXCEEDED);
	assert_int_equal(f->n_gone, 1);
	ts_still_good(f, 3);
}

static void a_timeout_that_is_over_calls_nobody(void **state)
{
	struct task_server *f = *state;

	ts_send_call(f, 1, "Pids", -1);
	ts_expect(f, 1, STATUS_DEADLINE_EXCEEDED);
	assert_int_equal(f->n_started, 0);
}

static void a_lost_connection_ends_only_the_waiting(void **state)
{
	struct task_server *f = *state;

	ts_send_call(f, 1, "Wait", 0);
	ts_send_call(f, 3, "Delete", 5000);
	ts_send_call(f, 5, "Wait", 0);
	ts_until_kept(f, 3);
	(void)close(f->peer);
	f->peer = -1;
	while (server_peers(f->server))
		wire_turn(f->base, 10);
	assert_int_equal(f->n_gone, 2);
	assert_int_equal(f->closed, 1);
	assert_int_equal(server_pending(f->server), 0);
	assert_true(call_gone(f->kept[1]));
	call_fail_code(f->kept[1], STATUS_UNKNOWN, "told to nobody");
	f->kept[1] = NULL;
}

static void drop_all(struct call *call, void *arg)
{
	struct task_server *f = arg;

	assert_true(call_gone(call));
	for (size_t i = 0; i < f->n_kept; i++) {
		if (f->kept[i])
			call_drop(f->kept[i]);
		f->kept[i] = NULL;
	}
	f->n_gone++;
}

static void who_is_told_may_end_every_other_call_too(void **state)
{
	struct task_server *f = *state;

	for (uint32_t id = 1; id <= 9; id += 2)
		ts_send_call(f, id, "Delete", 5000);
	ts_until_kept(f, 5);
	for (size_t i = 0; i < 5; i++)
		call_when_gone(f->kept[i], drop_all, f);
	call_when_gone(f->kept[4], NULL, NULL); /* taken back */
	(void)close(f->peer);
	f->peer = -1;
	while (server_peers(f->server))
		wire_turn(f->base, 10);
	assert_int_equal(f->n_gone, 1);
	assert_int_equal(server_pending(f->server), 0);
}

static void a_frame_that_breaks_off_ends_that_connection_only(void **state)
{
	struct task_server *f = *state;
	int other = ts_connect(f);

	wire_send(f->base, other, "\0\0\0\x55\0\0", 6);
	wire_turn(f->base, 10);
	assert_int_equal(server_peers(f->server), 2);
	(void)close(other);
	while (server_peers(f->server) > 1)
		wire_turn(f->base, 10);
	ts_still_good(f, 1);
}

static void calls_outlive_the_server(void **state)
{
	struct task_server *f = *state;

	ts_send_call(f, 1, "Wait", 0);
	ts_send_call(f, 3, "Delete", 5000);
	ts_until_kept(f, 2);
	f->server = server_free(f->server);
	assert_int_equal(f->n_gone, 0);
	ts_answer_wait(f, 0, 1);
	assert_true(call_gone(f->kept[1]));
}

/* ---- stopping -------------------------------------------------------------------------- */

static void a_stop_in_a_handler_sends_its_answer_first(void **state)
{
	struct task_server *f = *state;
	struct wire_frame got;

	ts_send_call(f, 1, "Wait", 0);
	ts_send_call(f, 3, "Shutdown", 0);
	ts_send_call(f, 5, "Connect", 0); /* too late: never handled */
	ts_expect_hex(f, "00000000 00000003 02 00");
	wire_until(f->base, &f->stopped);
	assert_int_equal(f->n_gone, 1);
	assert_int_equal(f->n_started, 0);
	assert_false(wire_receive(f->base, f->peer, &got));
	assert_int_equal(server_adopt(f->server, -1, NULL), -ESHUTDOWN);
}

static void a_stop_does_not_wait_for_ever_for_a_peer_that_does_not_read(void **state)
{
	struct task_server *f = *state;

	f->answer_size = FRAME_MAX / 2;
	ts_send_call(f, 1, "Pids", 0);
	while (f->n_started < 1)
		wire_turn(f->base, 10);
	server_stop(f->server, 50);
	wire_until(f->base, &f->stopped);
	assert_int_equal(f->closed, 1);
}

static void a_stop_waits_for_a_peer_that_reads(void **state)
{
	struct task_server *f = *state;
	struct wire_frame got;

	f->answer_size = FRAME_MAX / 2;
	ts_send_call(f, 1, "Pids", 0);
	while (f->n_started < 1)
		wire_turn(f->base, 10);
	server_stop(f->server, WIRE_PATIENCE_MS);
	assert_true(wire_receive(f->base, f->peer, &got));
	assert_true(got.head.len > FRAME_MAX / 2);
	free(got.payload);
	wire_until(f->base, &f->stopped);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, task_server_setup, task_server_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_go_out_in_the_order_they_are_given),
		TEST(a_client_may_send_one_byte_at_a_time),
		TEST(a_deadline_answers_while_the_work_goes_on),
		TEST(a_wait_is_told_that_its_deadline_was_reached),
		TEST(a_timeout_that_is_over_calls_nobody),
		TEST(a_lost_connection_ends_only_the_waiting),
		TEST(who_is_told_may_end_every_other_call_too),
		TEST(a_frame_that_breaks_off_ends_that_connection_only),
		TEST(calls_outlive_the_server),
		TEST(a_stop_in_a_handler_sends_its_answer_first),
		TEST(a_stop_does_not_wait_for_ever_for_a_peer_that_does_not_read),
		TEST(a_stop_waits_for_a_peer_that_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
