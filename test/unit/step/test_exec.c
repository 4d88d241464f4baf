/* SPDX-License-Identifier: Apache-2.0 */
/* The exec step: its files, its process, and how both are taken back. */
#include "test/lib/step_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CALL "'runtime':'/usr/bin/runc','root':'/r/default','id':'c1','bundle':'/b/c1'"
#define WANT "{" CALL ",'exec_id':'e1'}"
#define PROCESS "{\"args\":[\"true\"]}"

/* The names that were chosen; NULL-safe: the row has them before the call. */
struct files {
	char spec[128], pid[128];
};

static struct files files(struct rig *r)
{
	json_object *have;
	struct step_row row;
	struct files f;

	assert_int_equal(journal_step(r->j, r->seq, &row, NULL), 0);
	have = json_tokener_parse(row.have);
	(void)snprintf(f.spec, sizeof(f.spec), "%s", json_text(have, "spec", ""));
	(void)snprintf(f.pid, sizeof(f.pid), "%s", json_text(have, "pid_file", ""));
	json_object_put(have);
	step_row_clear(&row);
	return f;
}

static struct files rig_called(struct rig *r, const char *want)
{
	rig_open(r, "exec", want);
	assert_int_equal(rig_probe(r), FACT_ABSENT);
	r->env.input = PROCESS;
	assert_int_equal(rig_apply(r, WAKE_BEGIN), STEP_WAIT);
	return files(r);
}

/* The runtime left process 60, born at 9. */
static struct files rig_running(struct rig *r)
{
	struct files f = rig_called(r, WANT);

	fake_add_file(&r->f, f.pid, "60");
	fake_add_proc(&r->f, 60, 9, "0::/default/c1\n");
	assert_int_equal(rig_apply_child(r, 0, ""), STEP_DONE);
	r->f.log[0] = '\0';
	return f;
}

static void the_runtime_is_called_with_a_file_and_a_pid_file(void **state)
{
	char line[512];
	struct files f;
	struct rig r;

	(void)state;
	f = rig_called(&r, WANT);
	assert_non_null(strstr(f.spec, "/run/urunc/exec/"));
	(void)snprintf(line, sizeof(line), "/usr/bin/runc --root /r/default --log /b/c1/log.json "
		       "--log-format json exec --process %s --detach --pid-file %s c1", f.spec, f.pid);
	assert_string_equal(r.f.line, line);
	assert_string_equal(fake_find(&r.f, f.spec)->data, PROCESS);
	assert_int_equal(fake_find(&r.f, f.spec)->what.mode & 0777, 0600);
	assert_string_equal(r.f.cwd, "/b/c1");
	rig_close(&r);
}

static void the_process_is_known_and_the_files_are_gone(void **state)
{
	struct files f;
	struct rig r;

	(void)state;
	f = rig_running(&r);
	assert_null(fake_find(&r.f, f.spec));
	assert_null(fake_find(&r.f, f.pid));
	assert_non_null(strstr(rig_have(&r), "'process':{'pid':60,'start':9}"));
	assert_int_equal(rig_verify(&r), FACT_PRESENT);
	rig_close(&r);
}

static void two_execs_share_no_file(void **state)
{
	struct files f, g;
	struct rig r;

	(void)state;
	f = rig_called(&r, WANT);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	g = files(&r);
	assert_string_not_equal(f.spec, g.spec);
	assert_string_not_equal(f.pid, g.pid);
	rig_close(&r);
}

static void a_failure_has_the_runtimes_words(void **state)
{
	struct rig r;

	(void)state;
	(void)rig_called(&r, WANT);
	fake_add_file(&r.f, "/b/c1/log.json", "{\"level\":\"error\",\"msg\":\"no such file\"}");
	assert_int_equal(rig_apply_child(&r, EXITED(255), ""), -EIO);
	assert_string_equal(r.err.text, "OCI runtime exec failed: no such file");
	rig_close(&r);
}

static void without_a_process_nothing_is_called(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "exec", WANT);
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EINVAL);
	assert_string_equal(r.err.text, "OCI runtime exec failed: no process is given");
	assert_string_equal(r.f.line, "");
	rig_close(&r);
}

static void a_pid_file_that_names_no_process_is_a_failure(void **state)
{
	struct files f;
	struct rig r;

	(void)state;
	f = rig_called(&r, WANT);
	fake_add_file(&r.f, f.pid, "61");
	assert_int_equal(rig_apply_child(&r, 0, ""), -EIO);
	assert_non_null(strstr(r.err.text, "/usr/bin/runc ended well, but /run/urunc/exec/"));
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_null(fake_find(&r.f, f.pid));
	rig_close(&r);
}

static void a_terminal_has_its_own_socket(void **state)
{
	int console = -1;
	struct rig r;

	(void)state;
	rig_open(&r, "exec", "{" CALL ",'exec_id':'e1','console':'/run/urunc/pty/7/pty.sock'}");
	(void)rig_probe(&r);
	r.env.input = PROCESS;
	r.env.ret_console_fd = &console;
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_true(console >= 0);
	assert_non_null(strstr(r.f.line, " --console-socket /run/urunc/pty/7/pty.sock --detach "));
	assert_non_null(strstr(rig_have(&r), "'console_folder':{"));
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_null(fake_find(&r.f, "/run/urunc/pty/7/pty.sock"));
	assert_null(fake_find(&r.f, "/run/urunc/pty/7"));
	close(console);
	rig_close(&r);
}

static void undo_kills_the_process_and_waits_for_its_end(void **state)
{
	struct rig r;

	(void)state;
	(void)rig_running(&r);
	r.f.procs[r.f.n_procs - 1].immortal = 1;
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(rig_undo(&r, WAKE_TIMER), STEP_WAIT);
	assert_int_equal(rig_undo(&r, WAKE_TIMER), STEP_DONE);
	assert_non_null(strstr(r.f.log, "kill 60 9\nkill 60 9\n"));
	assert_int_equal(rig_verify(&r), FACT_ABSENT);
	assert_int_equal(rig_undo(&r, WAKE_RESUME), STEP_DONE);
	rig_close(&r);
}

/* Ours of the spec, and runc's of the pid file. */
static void undo_takes_the_half_written_files_too(void **state)
{
	char spec[160], pid[160];
	struct files f;
	struct rig r;

	(void)state;
	f = rig_called(&r, WANT);
	(void)snprintf(spec, sizeof(spec), "/run/urunc/exec/.%s.new", strrchr(f.spec, '/') + 1);
	(void)snprintf(pid, sizeof(pid), "/run/urunc/exec/.%s", strrchr(f.pid, '/') + 1);
	fake_remove(&r.f, f.spec);
	fake_add_file(&r.f, spec, "{\"ar");
	fake_add_file(&r.f, pid, "6");
	fake_add_file(&r.f, "/run/urunc/exec/.0000000000000001.json.new", "{\"ar");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_null(fake_find(&r.f, spec));
	assert_null(fake_find(&r.f, pid));
	assert_non_null(fake_find(&r.f, "/run/urunc/exec/.0000000000000001.json.new"));
	rig_close(&r);
}

static void undo_leaves_alone_who_has_the_pid_now(void **state)
{
	struct rig r;

	(void)state;
	(void)rig_running(&r);
	r.f.procs[r.f.n_procs - 1].gone = true;
	fake_add_proc(&r.f, 60, 99, "0::/other\n");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_null(strstr(r.f.log, "kill"));
	rig_close(&r);
}

static void undo_finds_the_process_of_a_lost_call(void **state)
{
	struct files f;
	struct rig r;

	(void)state;
	f = rig_called(&r, WANT);
	fake_add_file(&r.f, f.pid, "60");
	fake_add_proc(&r.f, 60, 9, "0::/default/c1\n");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_non_null(strstr(r.f.log, "kill 60 9\n"));
	assert_non_null(strstr(rig_have(&r), "'process':{'pid':60,'start':9}"));
	assert_int_equal(rig_undo(&r, WAKE_TIMER), STEP_DONE);
	assert_null(fake_find(&r.f, f.spec));
	assert_null(fake_find(&r.f, f.pid));
	rig_close(&r);
}

static void a_pid_file_that_names_a_stranger_kills_nobody(void **state)
{
	struct files f;
	struct rig r;

	(void)state;
	f = rig_called(&r, WANT);
	fake_add_file(&r.f, f.pid, "60");
	fake_add_proc(&r.f, 60, 9, "0::/somebody/else\n");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_null(strstr(r.f.log, "kill"));
	rig_close(&r);
}

static void the_pids_of_another_boot_are_nobodys(void **state)
{
	struct rig r;

	(void)state;
	(void)rig_running(&r);
	r.f.epoch = "boot-2 11 22";
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_null(strstr(r.f.log, "kill"));
	assert_int_equal(rig_verify(&r), FACT_ABSENT);
	rig_close(&r);
}

static void an_interrupted_exec_is_not_gone_on_with(void **state)
{
	struct rig r;

	(void)state;
	(void)rig_called(&r, WANT);
	assert_int_equal(rig_apply(&r, WAKE_RESUME), -EINTR);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_runtime_is_called_with_a_file_and_a_pid_file),
		cmocka_unit_test(the_process_is_known_and_the_files_are_gone),
		cmocka_unit_test(two_execs_share_no_file),
		cmocka_unit_test(a_failure_has_the_runtimes_words),
		cmocka_unit_test(without_a_process_nothing_is_called),
		cmocka_unit_test(a_pid_file_that_names_no_process_is_a_failure),
		cmocka_unit_test(a_terminal_has_its_own_socket),
		cmocka_unit_test(undo_kills_the_process_and_waits_for_its_end),
		cmocka_unit_test(undo_takes_the_half_written_files_too),
		cmocka_unit_test(undo_leaves_alone_who_has_the_pid_now),
		cmocka_unit_test(undo_finds_the_process_of_a_lost_call),
		cmocka_unit_test(a_pid_file_that_names_a_stranger_kills_nobody),
		cmocka_unit_test(the_pids_of_another_boot_are_nobodys),
		cmocka_unit_test(an_interrupted_exec_is_not_gone_on_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
