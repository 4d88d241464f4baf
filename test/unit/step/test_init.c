/* SPDX-License-Identifier: Apache-2.0 */
/* The init step: the words it calls the runtime with, what it believes, how it undoes. */
#include "test/lib/step_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CALL(rt) "'runtime':'" rt "','root':'/r/default','id':'c1','bundle':'/b/c1'"
#define RUNC "{" CALL("/usr/bin/runc") "}"
#define CREATE "/usr/bin/runc --root /r/default --log /b/c1/log.json --log-format json "
#define DELETE "spawn /usr/bin/runc --root /r/default delete --force c1\n"

static void rig_runc(struct rig *r, const char *want)
{
	rig_open(r, "init", want);
	fake_add_program(&r->f, "/usr/bin/runc");
	fake_add_program(&r->f, "/usr/bin/urunc");
	assert_int_equal(rig_probe(r), FACT_ABSENT);
}

/* A task that was created: init is 42, born at 7. */
static void rig_created(struct rig *r)
{
	rig_runc(r, RUNC);
	assert_int_equal(rig_apply(r, WAKE_BEGIN), STEP_WAIT);
	fake_add_proc(&r->f, 42, 7, "0::/default/c1\n");
	fake_add_file(&r->f, "/b/c1/init.pid", "42");
	fake_add_dir(&r->f, "/r/default/c1");
	assert_int_equal(rig_apply_child(r, 0, ""), STEP_DONE);
	r->f.log[0] = '\0';
}

static void create_is_called_with_the_words_that_every_runtime_knows(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, RUNC);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_string_equal(r.f.line,
			    CREATE "create --bundle /b/c1 --pid-file /b/c1/init.pid c1");
	assert_string_equal(r.f.cwd, "/b/c1");
	rig_close(&r);
}

static void options_become_words(void **state)
{
	int console = -1;
	struct rig r;

	(void)state;
	rig_runc(&r, "{" CALL("/usr/bin/runc") ",'systemd':true,'no_pivot':true,"
		     "'no_new_keyring':true,'console':'/run/urunc/pty/7/pty.sock'}");
	r.env.ret_console_fd = &console;
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_string_equal(r.f.line, CREATE "--systemd-cgroup create --bundle /b/c1 --pid-file "
				      "/b/c1/init.pid --console-socket /run/urunc/pty/7/pty.sock "
				      "--no-pivot --no-new-keyring c1");
	assert_true(console >= 0);
	close(console);
	rig_close(&r);
}

static void urunc_is_spared_the_words_it_does_not_know(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, "{" CALL("/usr/bin/urunc") ",'no_pivot':true,'no_new_keyring':true}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_null(strstr(r.f.line, "--no-"));
	rig_close(&r);
}

static void a_missing_runtime_is_named_in_quotes(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, "{" CALL("/opt/foo") "}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EIO);
	assert_string_equal(r.err.text, "OCI runtime create failed: exec: \"/opt/foo\": "
					"executable file not found in $PATH");
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void success_is_committed_with_the_identity_of_init(void **state)
{
	struct rig r;
	struct err err = ERR_INIT;

	(void)state;
	rig_created(&r);
	assert_string_equal(rig_have(&r), "{'log_from':0,'cgroups':'0::\\/default\\/c1\\n',"
					  "'init':{'pid':42,'start':7}}");
	task_row_clear(&r.task);
	assert_int_equal(journal_task(r.j, &r.task, &err), 0);
	assert_int_equal(r.task.init.pid, 42);
	assert_int_equal(rig_verify(&r), FACT_PRESENT);
	rig_close(&r);
}

static void an_old_pid_file_is_removed_before_the_call(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, RUNC);
	fake_add_file(&r.f, "/b/c1/init.pid", "1");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_non_null(strstr(r.f.log, "remove_file /b/c1/init.pid\nspawn "));
	rig_close(&r);
}

static void success_without_a_believable_pid_file_is_a_failure(void **state)
{
	static const char *const texts[] = { NULL, "", "x42", "42 43", "-1", "99999", "4294967338" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct rig r;

		rig_runc(&r, RUNC);
		fake_add_proc(&r.f, 42, 7, "");
		(void)rig_apply(&r, WAKE_BEGIN);
		if (texts[i])
			fake_add_file(&r.f, "/b/c1/init.pid", texts[i]);
		assert_int_equal(rig_apply_child(&r, 0, ""), -EIO);
		assert_string_equal(r.err.text, "OCI runtime create failed: /usr/bin/runc ended "
						"well, but /b/c1/init.pid names no process");
		rig_close(&r);
	}
}

static void only_what_this_call_logged_is_the_reason(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, RUNC);
	fake_add_file(&r.f, "/b/c1/log.json", "{\"level\":\"error\",\"msg\":\"old\"}\n");
	(void)rig_apply(&r, WAKE_BEGIN);
	assert_int_equal(rig_apply_child(&r, EXITED(1), ""), -EIO);
	assert_string_equal(r.err.text, "OCI runtime create failed: /usr/bin/runc did not "
					"terminate successfully: exit status 1");
	fake_remove(&r.f, "/b/c1/log.json");
	fake_add_file(&r.f, "/b/c1/log.json",
		      "{\"level\":\"error\",\"msg\":\"old\"}\n"
		      "{\"level\":\"error\",\"msg\":\" exec: no such file or directory\\n\"}\n");
	assert_int_equal(rig_apply_child(&r, EXITED(1), ""), -EIO);
	assert_string_equal(r.err.text,
			    "OCI runtime create failed: exec: no such file or directory");
	rig_close(&r);
}

static void a_signal_and_a_deadline_are_said(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, RUNC);
	(void)rig_apply(&r, WAKE_BEGIN);
	assert_int_equal(rig_apply_child(&r, KILLED_BY(9), ""), -EIO);
	assert_string_equal(r.err.text,
			    "OCI runtime create failed: /usr/bin/runc was killed by signal 9");
	assert_int_equal(rig_apply(&r, WAKE_DEADLINE), -ETIMEDOUT);
	assert_string_equal(r.err.text, "OCI runtime create failed: /usr/bin/runc did not end within "
					"120 s and was killed; see runtime_timeout_s in the config "
					"file");
	rig_close(&r);
}

static void undo_kills_init_waits_and_asks_the_runtime_to_delete(void **state)
{
	struct rig r;
	struct err err = ERR_INIT;

	(void)state;
	rig_created(&r);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_string_equal(r.f.log, "kill 42 9\n");
	assert_true(r.next.at_ms > 0);
	assert_int_equal(rig_undo(&r, WAKE_TIMER), STEP_WAIT);
	assert_string_equal(r.f.log, "kill 42 9\n" DELETE);
	assert_int_equal(rig_undo_child(&r, 0, ""), STEP_DONE);
	task_row_clear(&r.task);
	assert_int_equal(journal_task(r.j, &r.task, &err), 0);
	assert_int_equal(r.task.exit_how, EXIT_KILLED);
	assert_int_equal(r.task.exit_status, 137);
	rig_close(&r);
}

static void an_init_that_has_exited_keeps_its_true_status(void **state)
{
	struct rig r;
	struct err err = ERR_INIT;

	(void)state;
	rig_created(&r);
	r.f.procs[1].info.state = 'Z';
	r.f.procs[1].status = EXITED(3);
	assert_int_equal(r.f.procs[1].info.ident.pid, 42);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_string_equal(r.f.log, DELETE);
	task_row_clear(&r.task);
	assert_int_equal(journal_task(r.j, &r.task, &err), 0);
	assert_int_equal(r.task.exit_how, EXIT_REAPED);
	assert_int_equal(r.task.exit_status, 3);
	rig_close(&r);
}

static void another_process_with_that_pid_is_not_touched(void **state)
{
	struct rig r;

	(void)state;
	rig_created(&r);
	r.f.procs[1].gone = true;
	fake_add_proc(&r.f, 42, 8, "");
	fake_remove(&r.f, "/r/default/c1");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void without_a_state_folder_the_runtime_is_not_asked(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, RUNC);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void a_missing_runtime_does_not_stop_the_undo(void **state)
{
	struct rig r;

	(void)state;
	rig_created(&r);
	r.f.procs[1].gone = true;
	fake_remove(&r.f, "/usr/bin/runc");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_true(rig_noted(&r, "the binary is gone"));
	rig_close(&r);
}

static void a_runtime_that_refuses_to_delete_is_noted(void **state)
{
	struct rig r;

	(void)state;
	rig_created(&r);
	r.f.procs[1].gone = true;
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(rig_undo_child(&r, EXITED(1), "hook failed\n"), STEP_DONE);
	assert_true(rig_noted(&r, "exit status 1: hook failed"));
	rig_close(&r);
}

static void a_runtime_that_hangs_in_delete_is_done_without(void **state)
{
	struct rig r;

	(void)state;
	rig_created(&r);
	r.f.procs[1].gone = true;
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(rig_undo_late(&r), STEP_DONE);
	assert_true(rig_noted(&r, "runtime delete of c1 took too long and was killed"));
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(rig_undo(&r, WAKE_DEADLINE), -ETIMEDOUT); /* nobody could kill it */
	rig_close(&r);
}

static void an_init_that_nobody_noted_is_found_in_the_runtimes_state(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, RUNC);
	(void)rig_apply(&r, WAKE_BEGIN);
	fake_add_dir(&r.f, "/r/default/c1");
	fake_add_file(&r.f, "/r/default/c1/state.json",
		      "{\"init_process_pid\":42,\"init_process_start\":7}");
	fake_add_proc(&r.f, 42, 7, "");
	r.f.log[0] = '\0';
	assert_int_equal(rig_undo(&r, WAKE_RESUME), STEP_WAIT);
	assert_string_equal(r.f.log, "kill 42 9\n");
	assert_non_null(strstr(rig_have(&r), "'init':{'pid':42,'start':7}"));
	rig_close(&r);
}

static void crun_writes_it_into_status(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, RUNC);
	fake_add_dir(&r.f, "/r/default/c1");
	fake_add_file(&r.f, "/r/default/c1/status", "{\"pid\":42,\"process-start-time\":7}");
	fake_add_proc(&r.f, 42, 7, "");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_string_equal(r.f.log, "kill 42 9\n");
	rig_close(&r);
}

static void a_stale_pid_file_kills_nobody(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, RUNC);
	fake_add_file(&r.f, "/b/c1/init.pid", "42");
	fake_add_proc(&r.f, 42, 7, "0::/system.slice/sshd.service\n");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void a_pid_file_counts_if_the_cgroup_carries_the_id(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, RUNC);
	fake_add_file(&r.f, "/b/c1/init.pid", "42");
	fake_add_proc(&r.f, 42, 7, "0::/system.slice/cri-containerd-c1.scope\n");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_string_equal(r.f.log, "kill 42 9\n");
	rig_close(&r);
}

static void urunc_is_not_asked_when_it_would_kill_another_process(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, "{" CALL("/usr/bin/urunc") "}");
	rig_set_have(&r, "{'init':{'pid':42,'start':7}}");
	fake_add_dir(&r.f, "/r/default/c1");
	fake_add_proc(&r.f, 42, 8, "");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	assert_true(rig_noted(&r, "is another process now"));
	rig_close(&r);
}

static void after_a_reboot_no_pid_is_believed(void **state)
{
	struct rig r;

	(void)state;
	rig_created(&r);
	r.f.epoch = "boot-2 11 22";
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	assert_int_equal(rig_verify(&r), FACT_ABSENT);
	rig_close(&r);
}

static void the_console_socket_goes_with_init(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, "{" CALL("/usr/bin/runc") ",'console':'/run/urunc/pty/7/pty.sock'}");
	fake_add_dir(&r.f, "/run/urunc/pty/7");
	fake_add_socket(&r.f, "/run/urunc/pty/7/pty.sock", true);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "remove_file /run/urunc/pty/7/pty.sock\n"
				     "remove_dir /run/urunc/pty/7\n");
	rig_close(&r);
}

static void a_terminal_that_nobody_takes_is_refused(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, "{" CALL("/usr/bin/runc") ",'console':'/run/urunc/pty/7/pty.sock'}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EINVAL);
	assert_string_equal(r.err.text, "OCI runtime create failed: nobody is there to take the "
					"terminal");
	rig_close(&r);
}

#define RESTORE ",'checkpoint':'/img','work':'/b/c1/work','no_pivot':true"

static void a_checkpoint_is_restored_with_words_of_its_own(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, "{" CALL("/usr/bin/runc") RESTORE ",'parent_checkpoint':'/old'}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_string_equal(r.f.line, CREATE "restore --image-path /img --work-path /b/c1/work "
				      "--parent-path /old --detach --pid-file /b/c1/init.pid "
				      "--no-pivot -no-subreaper --bundle /b/c1 c1");
	assert_int_equal(rig_apply_child(&r, EXITED(1), ""), -EIO);
	assert_string_equal(r.err.text, "OCI runtime restore failed: /usr/bin/runc did not "
					"terminate successfully: exit status 1");
	rig_close(&r);
}

static void crun_restores_without_a_word_it_does_not_know(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, "{" CALL("/usr/bin/crun") RESTORE "}");
	fake_add_program(&r.f, "/usr/bin/crun");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_null(strstr(r.f.line, "subreaper"));
	assert_non_null(strstr(r.f.line, " restore --image-path /img "));
	rig_close(&r);
}

static void a_frozen_init_is_thawed_so_that_it_can_die(void **state)
{
	struct rig r;

	(void)state;
	rig_created(&r);
	fake_add_mount(&r.f, 30, 1, "/sys/fs/cgroup", "cgroup2", "cgroup2");
	fake_add_cgroup(&r.f, "/sys/fs/cgroup/default/c1");
	r.f.procs[r.f.n_procs - 1].immortal = 1;
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_non_null(strstr(r.f.log, "kill 42 9\n/sys/fs/cgroup/default/c1/"
					"cgroup.freeze=0\n"));
	rig_close(&r);
}

static void an_interrupted_create_is_not_gone_on_with(void **state)
{
	struct rig r;

	(void)state;
	rig_runc(&r, RUNC);
	assert_int_equal(rig_apply(&r, WAKE_RESUME), -EINTR);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_is_called_with_the_words_that_every_runtime_knows),
		cmocka_unit_test(options_become_words),
		cmocka_unit_test(urunc_is_spared_the_words_it_does_not_know),
		cmocka_unit_test(a_missing_runtime_is_named_in_quotes),
		cmocka_unit_test(success_is_committed_with_the_identity_of_init),
		cmocka_unit_test(an_old_pid_file_is_removed_before_the_call),
		cmocka_unit_test(success_without_a_believable_pid_file_is_a_failure),
		cmocka_unit_test(only_what_this_call_logged_is_the_reason),
		cmocka_unit_test(a_signal_and_a_deadline_are_said),
		cmocka_unit_test(undo_kills_init_waits_and_asks_the_runtime_to_delete),
		cmocka_unit_test(an_init_that_has_exited_keeps_its_true_status),
		cmocka_unit_test(another_process_with_that_pid_is_not_touched),
		cmocka_unit_test(without_a_state_folder_the_runtime_is_not_asked),
		cmocka_unit_test(a_missing_runtime_does_not_stop_the_undo),
		cmocka_unit_test(a_runtime_that_refuses_to_delete_is_noted),
		cmocka_unit_test(a_runtime_that_hangs_in_delete_is_done_without),
		cmocka_unit_test(an_init_that_nobody_noted_is_found_in_the_runtimes_state),
		cmocka_unit_test(crun_writes_it_into_status),
		cmocka_unit_test(a_stale_pid_file_kills_nobody),
		cmocka_unit_test(a_pid_file_counts_if_the_cgroup_carries_the_id),
		cmocka_unit_test(urunc_is_not_asked_when_it_would_kill_another_process),
		cmocka_unit_test(after_a_reboot_no_pid_is_believed),
		cmocka_unit_test(the_console_socket_goes_with_init),
		cmocka_unit_test(a_terminal_that_nobody_takes_is_refused),
		cmocka_unit_test(a_checkpoint_is_restored_with_words_of_its_own),
		cmocka_unit_test(crun_restores_without_a_word_it_does_not_know),
		cmocka_unit_test(a_frozen_init_is_thawed_so_that_it_can_die),
		cmocka_unit_test(an_interrupted_create_is_not_gone_on_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
