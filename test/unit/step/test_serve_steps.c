/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of the serve plan: socket, address file, server. */
#include "test/lib/step_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SOCKET "{'path':'/s/abc'}"
#define ADDRESS "{'path':'/b/c1/address','text':'unix:///s/abc'}"

/* ---- socket -------------------------------------------------------------------- */

static void the_socket_is_bound_under_its_lock_and_handed_over(void **state)
{
	struct rig r;
	int fd = -1;

	(void)state;
	rig_open(&r, "socket", SOCKET);
	r.env.ret_listen_fd = &fd;
	assert_int_equal(rig_probe(&r), FACT_ABSENT);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "lock\nlisten /s/abc\nunlock\n");
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(rig_verify(&r), FACT_PRESENT);
	rig_close(&r);
}

static void a_living_shim_under_the_name_is_foreign(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "socket", SOCKET);
	fake_add_socket(&r.f, "/s/abc", true);
	assert_int_equal(rig_probe(&r), FACT_FOREIGN);
	assert_int_equal(r.err.code, EEXIST);
	assert_string_equal(r.err.text, "socket /s/abc: a living shim answers there");
	rig_close(&r);
}

static void a_dead_name_is_removed_and_bound_again(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "socket", SOCKET);
	fake_add_socket(&r.f, "/s/abc", false);
	assert_int_equal(rig_probe(&r), FACT_ABSENT);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "lock\nremove_file /s/abc\nlisten /s/abc\nunlock\n");
	rig_close(&r);
}

static void a_name_that_is_no_socket_is_never_removed(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "socket", SOCKET);
	fake_add_file(&r.f, "/s/abc", "precious");
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EADDRINUSE);
	assert_string_equal(r.err.text, "socket /s/abc: the name is taken by something that is no "
					"socket; remove it");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_true(rig_noted(&r, "left alone: /s/abc is no socket"));
	assert_non_null(fake_find(&r.f, "/s/abc"));
	rig_close(&r);
}

static void two_starts_of_a_group_take_turns(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "socket", SOCKET);
	(void)rig_probe(&r);
	r.f.locked_by_others = "/lock/socket/abc";
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(r.next.at_ms, r.f.now_ms + 20);
	/* The other one has bound it and let go. */
	r.f.locked_by_others = NULL;
	fake_add_socket(&r.f, "/s/abc", true);
	assert_int_equal(rig_apply(&r, WAKE_TIMER), -EEXIST);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_non_null(fake_find(&r.f, "/s/abc"));
	rig_close(&r);
}

static void waiting_for_the_lock_ends(void **state)
{
	struct rig r;
	int rc;

	(void)state;
	rig_open(&r, "socket", SOCKET);
	(void)rig_probe(&r);
	r.f.locked_by_others = "/lock/socket/abc";
	rc = rig_apply(&r, WAKE_BEGIN);
	for (int i = 0; i < 200 && rc == STEP_WAIT; i++)
		rc = rig_apply(&r, WAKE_TIMER);
	assert_int_equal(rc, -EAGAIN);
	rig_close(&r);
}

static void undo_removes_the_name_it_bound(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "socket", SOCKET);
	(void)rig_probe(&r);
	(void)rig_apply(&r, WAKE_BEGIN);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_null(fake_find(&r.f, "/s/abc"));
	assert_int_equal(rig_undo(&r, WAKE_RESUME), STEP_DONE);
	rig_close(&r);
}

static void undo_leaves_another_socket_of_that_name(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "socket", SOCKET);
	(void)rig_probe(&r);
	(void)rig_apply(&r, WAKE_BEGIN);
	fake_remove(&r.f, "/s/abc");
	fake_add_socket(&r.f, "/s/abc", true);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_non_null(fake_find(&r.f, "/s/abc"));
	assert_true(rig_noted(&r, "left alone: /s/abc is another shim's socket now"));
	rig_close(&r);
}

static void undo_finds_a_socket_bound_but_never_noted(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "socket", SOCKET);
	(void)rig_probe(&r);
	fake_add_socket(&r.f, "/s/abc", false);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_null(fake_find(&r.f, "/s/abc"));
	rig_close(&r);
}

static void one_more_task_of_a_shim_notes_its_socket_and_the_last_removes_it(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "socket", "{'path':'/s/abc','join':true}");
	fake_add_socket(&r.f, "/s/abc", true);
	assert_int_equal(rig_probe(&r), FACT_ABSENT);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	assert_int_equal(rig_verify(&r), FACT_PRESENT);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_null(fake_find(&r.f, "/s/abc"));
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -ENOENT);
	rig_close(&r);
}

static void the_socket_of_a_shared_shim_stays(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "socket", SOCKET);
	(void)rig_probe(&r);
	(void)rig_apply(&r, WAKE_BEGIN);
	r.env.shared = true;
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_non_null(fake_find(&r.f, "/s/abc"));
	rig_close(&r);
}

/* ---- address ------------------------------------------------------------------- */

static void the_address_file_has_no_newline(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "address", ADDRESS);
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(fake_find(&r.f, "/b/c1/address")->data, "unix:///s/abc");
	assert_int_equal(rig_verify(&r), FACT_PRESENT);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_null(fake_find(&r.f, "/b/c1/address"));
	rig_close(&r);
}

static void a_half_written_address_file_is_taken_back(void **state)
{
	static const char draft[] = "/b/c1/.address.new";
	struct rig r;

	(void)state;
	rig_open(&r, "address", ADDRESS);
	(void)rig_probe(&r);
	fake_add_file(&r.f, draft, "unix:///s/a");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_null(fake_find(&r.f, draft));
	fake_add_file(&r.f, draft, "somebody's");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_non_null(fake_find(&r.f, draft));
	rig_close(&r);
}

static void an_address_file_never_noted_is_known_by_its_text(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "address", ADDRESS);
	(void)rig_probe(&r);
	fake_add_file(&r.f, "/b/c1/address", "unix:///s/abc");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_null(fake_find(&r.f, "/b/c1/address"));
	fake_add_file(&r.f, "/b/c1/address", "unix:///s/other");
	assert_int_equal(rig_verify(&r), FACT_FOREIGN);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_non_null(fake_find(&r.f, "/b/c1/address"));
	rig_close(&r);
}

/* ---- server -------------------------------------------------------------------- */

static int serve(void *arg)
{
	(void)arg;
	return 0;
}

static void the_server_is_known_before_it_may_act(void **state)
{
	struct rig r;
	struct err err = ERR_INIT;

	(void)state;
	rig_open(&r, "server", "{}");
	r.env.serve = serve;
	(void)rig_probe(&r);
	r.f.fail = "spawn_go";
	r.f.fail_code = EPIPE;
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EPIPE);
	/* The gate was never opened, the row was there, the child was killed. */
	assert_string_equal(rig_have(&r), "{'shim':{'pid':900,'start':5000}}");
	assert_string_equal(r.f.log, "spawn call\nkill 900 9\n");
	task_row_clear(&r.task);
	assert_int_equal(journal_task(r.j, &r.task, &err), 0);
	assert_int_equal(r.task.shim.pid, 900);
	rig_close(&r);
}

static void the_server_runs_on_after_the_step(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "server", "{}");
	r.env.serve = serve;
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	assert_int_equal(r.f.job, JOB_CALL);
	assert_ptr_equal(r.f.call, serve);
	assert_true(r.f.gate_open);
	assert_int_equal(rig_verify(&r), FACT_PRESENT);
	rig_close(&r);
}

static void the_server_itself_goes_on_with_the_plan_of_a_dead_start(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "server", "{}");
	(void)rig_probe(&r);
	fake_add_proc(&r.f, 1, 1, NULL);
	rig_set_have(&r, "{'shim':{'pid':1,'start':1}}");
	assert_int_equal(rig_apply(&r, WAKE_RESUME), STEP_DONE);
	rig_set_have(&r, "{'shim':{'pid':77,'start':5}}");
	assert_int_equal(rig_apply(&r, WAKE_RESUME), -EINTR);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void undo_kills_the_server_and_waits_for_it(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "server", "{}");
	rig_set_have(&r, "{'shim':{'pid':77,'start':5}}");
	fake_add_proc(&r.f, 77, 5, NULL)->immortal = 1;
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(rig_undo(&r, WAKE_TIMER), STEP_WAIT);
	assert_int_equal(rig_undo(&r, WAKE_TIMER), STEP_DONE);
	assert_string_equal(r.f.log, "kill 77 9\nkill 77 9\n");
	rig_close(&r);
}

static void a_server_that_undoes_itself_does_not_kill_itself(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "server", "{}");
	rig_set_have(&r, "{'shim':{'pid':1,'start':1}}");
	fake_add_proc(&r.f, 1, 1, NULL);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void one_more_task_of_a_server_notes_whose_it_is(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "server", "{'join':true}");
	assert_int_equal(rig_probe(&r), FACT_ABSENT);
	fake_add_proc(&r.f, 1, 1, NULL);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(rig_have(&r), "{'shim':{'pid':1,'start':1}}");
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void a_server_of_another_boot_or_shared_is_not_killed(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "server", "{}");
	rig_set_have(&r, "{'shim':{'pid':77,'start':5}}");
	fake_add_proc(&r.f, 77, 5, NULL);
	r.env.shared = true;
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_int_equal(rig_verify(&r), FACT_PRESENT);
	r.env.shared = false;
	r.f.epoch = "boot-2 11 22";
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_socket_is_bound_under_its_lock_and_handed_over),
		cmocka_unit_test(a_living_shim_under_the_name_is_foreign),
		cmocka_unit_test(a_dead_name_is_removed_and_bound_again),
		cmocka_unit_test(a_name_that_is_no_socket_is_never_removed),
		cmocka_unit_test(two_starts_of_a_group_take_turns),
		cmocka_unit_test(waiting_for_the_lock_ends),
		cmocka_unit_test(undo_removes_the_name_it_bound),
		cmocka_unit_test(undo_leaves_another_socket_of_that_name),
		cmocka_unit_test(undo_finds_a_socket_bound_but_never_noted),
		cmocka_unit_test(the_socket_of_a_shared_shim_stays),
		cmocka_unit_test(one_more_task_of_a_shim_notes_its_socket_and_the_last_removes_it),
		cmocka_unit_test(the_address_file_has_no_newline),
		cmocka_unit_test(a_half_written_address_file_is_taken_back),
		cmocka_unit_test(an_address_file_never_noted_is_known_by_its_text),
		cmocka_unit_test(the_server_is_known_before_it_may_act),
		cmocka_unit_test(the_server_runs_on_after_the_step),
		cmocka_unit_test(the_server_itself_goes_on_with_the_plan_of_a_dead_start),
		cmocka_unit_test(undo_kills_the_server_and_waits_for_it),
		cmocka_unit_test(a_server_that_undoes_itself_does_not_kill_itself),
		cmocka_unit_test(one_more_task_of_a_server_notes_whose_it_is),
		cmocka_unit_test(a_server_of_another_boot_or_shared_is_not_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
