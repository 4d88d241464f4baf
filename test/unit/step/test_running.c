/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to a running container: pause, resume, update, checkpoint. */
#include "test/lib/step_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define CALL "'runtime':'/usr/bin/runc','root':'/r/default','id':'c1','bundle':'/b/c1'"
#define RUNC "/usr/bin/runc --root /r/default --log /b/c1/log.json --log-format json "

static void rig_kind(struct rig *r, const char *kind, const char *want)
{
	rig_open(r, kind, want);
	assert_int_equal(rig_probe(r), FACT_ABSENT);
}

static void pause_and_resume_are_the_runtimes(void **state)
{
	static const char *const kinds[] = { "pause", "resume" };
	char text[256];
	struct rig r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		rig_kind(&r, kinds[i], "{" CALL "}");
		assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
		(void)snprintf(text, sizeof(text), RUNC "%s c1", kinds[i]);
		assert_string_equal(r.f.line, text);
		assert_int_equal(rig_apply_child(&r, 0, ""), STEP_DONE);
		assert_int_equal(rig_apply_child(&r, EXITED(1), "not now"), -EIO);
		(void)snprintf(text, sizeof(text), "OCI runtime %s failed: /usr/bin/runc did not "
			       "terminate successfully: exit status 1: not now", kinds[i]);
		assert_string_equal(r.err.text, text);
		assert_int_equal(rig_apply(&r, WAKE_RESUME), -EINTR);
		assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
		rig_close(&r);
	}
}

static void update_gives_the_resources_on_standard_input(void **state)
{
	struct rig r;

	(void)state;
	rig_kind(&r, "update", "{" CALL "}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EINVAL);
	assert_string_equal(r.err.text, "OCI runtime update failed: no resources are given");
	r.env.stdio[0] = 0;
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_string_equal(r.f.line, RUNC "update --resources - c1");
	assert_int_equal(rig_apply_child(&r, 0, ""), STEP_DONE);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	rig_close(&r);
}

static void a_checkpoint_has_the_words_that_were_asked_for(void **state)
{
	struct rig r;

	(void)state;
	rig_kind(&r, "checkpoint", "{" CALL ",'path':'/img','work':'/w','parent':'/old',"
		 "'open_tcp':true,'external_unix_sockets':true,'terminal':true,'file_locks':true,"
		 "'empty_namespaces':['network','ipc'],'exit':true}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_string_equal(r.f.line, RUNC "checkpoint --image-path /img --work-path /w "
			    "--parent-path /old --tcp-established --ext-unix-sk --shell-job "
			    "--file-locks --empty-ns network --empty-ns ipc c1");
	assert_int_equal(rig_apply_child(&r, 0, ""), STEP_DONE);
	assert_null(strstr(r.f.log, "make_dir"));
	rig_close(&r);
}

#define OWN "{" CALL ",'path':'/img','work':'/b/c1/work/criu-work','own_work':true}"
#define WORK "/b/c1/work/criu-work"

static void its_own_work_folder_is_removed(void **state)
{
	struct rig r;

	(void)state;
	rig_kind(&r, "checkpoint", OWN);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_non_null(fake_find(&r.f, WORK));
	assert_string_equal(r.f.line, RUNC "checkpoint --image-path /img --work-path " WORK
			    " --leave-running c1");
	assert_int_equal(rig_apply_child(&r, 0, ""), STEP_WAIT);
	assert_int_equal(r.f.job, JOB_REMOVE_TREE);
	assert_non_null(strstr(r.f.line, "criu-work"));
	fake_remove(&r.f, WORK);
	assert_int_equal(rig_apply_child(&r, 0, ""), STEP_DONE);
	rig_close(&r);
}

static void a_failed_checkpoint_keeps_criu_s_log_and_says_where(void **state)
{
	struct rig r;

	(void)state;
	rig_kind(&r, "checkpoint", OWN);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	fake_add_file(&r.f, WORK "/dump.log", "criu says");
	assert_int_equal(rig_apply_child(&r, EXITED(1), "criu failed"), STEP_WAIT);
	assert_string_equal(fake_find(&r.f, "/b/c1/criu-dump.log")->data, "criu says");
	assert_int_equal(rig_apply_child(&r, EXITED(ENOTEMPTY), "not empty"), -EIO);
	assert_string_equal(r.err.text, "OCI runtime checkpoint failed: /usr/bin/runc did not "
			    "terminate successfully: exit status 1: criu failed path= "
			    "/b/c1/criu-dump.log");
	assert_true(rig_noted(&r, "remove criu's work folder: not empty"));
	rig_close(&r);
}

static void undo_removes_the_work_folder_alone(void **state)
{
	struct rig r;

	(void)state;
	rig_kind(&r, "checkpoint", OWN);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	fake_add_dir(&r.f, WORK);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(r.f.job, JOB_REMOVE_TREE);
	assert_int_equal(rig_undo_child(&r, EXITED(EBUSY), "busy"), -EBUSY);
	assert_int_equal(rig_undo_child(&r, EXITED(ENOENT), ""), STEP_DONE);
	assert_int_equal(rig_undo_child(&r, 0, ""), STEP_DONE);
	rig_close(&r);
	rig_kind(&r, "checkpoint", "{" CALL ",'path':'/img','work':'/w'}");
	fake_add_dir(&r.f, "/w");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_non_null(fake_find(&r.f, "/w"));
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pause_and_resume_are_the_runtimes),
		cmocka_unit_test(update_gives_the_resources_on_standard_input),
		cmocka_unit_test(a_checkpoint_has_the_words_that_were_asked_for),
		cmocka_unit_test(its_own_work_folder_is_removed),
		cmocka_unit_test(a_failed_checkpoint_keeps_criu_s_log_and_says_where),
		cmocka_unit_test(undo_removes_the_work_folder_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
