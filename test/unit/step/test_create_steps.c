/* SPDX-License-Identifier: Apache-2.0 */
/* The smaller steps of the create plan: bundle, state. */
#include "test/lib/step_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BUNDLE "{'path':'/b/c1'}"
#define STATE "{'runtime':'/usr/bin/runc','root':'/r/default','id':'c1','bundle':'/b/c1'}"

/* ---- bundle -------------------------------------------------------------------- */

static void the_bundle_is_recorded_by_identity(void **state)
{
	struct rig r;
	struct err err = ERR_INIT;

	(void)state;
	rig_open(&r, "bundle", BUNDLE);
	fake_add_dir(&r.f, "/b/c1");
	fake_add_file(&r.f, "/b/c1/config.json", "{}");
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	task_row_clear(&r.task);
	assert_int_equal(journal_task(r.j, &r.task, &err), 0);
	assert_int_equal(r.task.bundle_ino, fake_find(&r.f, "/b/c1")->what.ino);
	assert_int_equal(rig_verify(&r), FACT_PRESENT);
	rig_close(&r);
}

static void a_bundle_that_can_not_work_fails_before_anything_is_made(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "bundle", BUNDLE);
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EINVAL);
	assert_string_equal(r.err.text, "bundle /b/c1: there is no such folder");
	fake_add_dir(&r.f, "/b/c1");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EINVAL);
	assert_string_equal(r.err.text, "/b/c1/config.json: there is no such file; the bundle is "
					"not complete");
	fake_add_file(&r.f, "/b/c1/config.json", "{");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EINVAL);
	assert_string_equal(r.err.text,
			    "/b/c1/config.json: not JSON: it ends too early at byte 1");
	rig_close(&r);
}

static void the_bundle_stays_for_containerd_unless_it_has_forgotten_it(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "bundle", BUNDLE);
	fake_add_dir(&r.f, "/b/c1");
	fake_add_file(&r.f, "/b/c1/config.json", "{}");
	(void)rig_probe(&r);
	(void)rig_apply(&r, WAKE_BEGIN);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	r.env.forgotten = true;
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(r.f.job, JOB_REMOVE_TREE);
	assert_string_equal(r.f.line, "{\"path\":\"\\/b\\/c1\",\"dev\":1,\"ino\":100}");
	assert_int_equal(rig_undo_child(&r, EXITED(EXDEV), "rootfs: something is mounted there"),
			 -EXDEV);
	assert_string_equal(r.err.text, "remove the bundle: rootfs: something is mounted there");
	fake_remove(&r.f, "/b/c1");
	assert_int_equal(rig_undo_child(&r, EXITED(0), ""), STEP_DONE);
	rig_close(&r);
}

static void another_folder_of_that_name_is_left_alone(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "bundle", BUNDLE);
	rig_set_have(&r, "{'dir':{'dev':1,'ino':7,'mode':0}}");
	fake_add_dir(&r.f, "/b/c1");
	r.env.forgotten = true;
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_true(rig_noted(&r, "left alone: /b/c1 is another folder now"));
	assert_int_equal(rig_verify(&r), FACT_FOREIGN);
	rig_close(&r);
}

/* ---- state --------------------------------------------------------------------- */

static void an_id_that_is_taken_is_foreign_and_says_what_to_do(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "state", STATE);
	fake_add_dir(&r.f, "/r/default/c1");
	assert_int_equal(rig_probe(&r), FACT_FOREIGN);
	assert_int_equal(r.err.code, EEXIST);
	assert_string_equal(r.err.text,
			    "container c1: /r/default/c1 already exists: another container has this "
			    "id there; to remove it: /usr/bin/runc --root /r/default delete c1");
	/* A probe only reads: a lock is a file, which would outlive our death here. */
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void an_id_that_another_shim_holds_is_refused(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "state", STATE);
	r.f.locked_by_others = "/run/urunc/lock/state/";
	assert_int_equal(rig_probe(&r), FACT_ABSENT);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EEXIST);
	assert_string_equal(r.err.text, "container c1 already exists: another shim holds this id in "
					"/r/default");
	fake_add_dir(&r.f, "/r/default/c1");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_true(rig_noted(&r, "left alone: /r/default/c1, another shim has taken the id"));
	rig_close(&r);
}

static void an_id_that_is_taken_after_the_probe_is_not_ours_to_undo(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "state", STATE);
	assert_int_equal(rig_probe(&r), FACT_ABSENT);
	fake_add_dir(&r.f, "/r/default/c1");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EEXIST);
	assert_string_equal(rig_have(&r), "{'foreign':1}");
	assert_string_equal(r.f.log, "lock\nunlock\n");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_int_equal(r.f.job, 0);
	assert_true(rig_noted(&r, "left alone: /r/default/c1 is another container's"));
	/* What we would have left by dying with the lock, the undo removes. */
	assert_string_equal(r.f.log, "lock\nunlock\nlock\nunlock\n");
	rig_close(&r);
}

static void what_the_runtime_left_is_removed_and_the_lock_is_let_go(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "state", STATE);
	assert_int_equal(rig_probe(&r), FACT_ABSENT);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	fake_add_dir(&r.f, "/r/default/c1");
	assert_int_equal(rig_verify(&r), FACT_PRESENT);
	r.f.log[0] = '\0';
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(r.f.job, JOB_REMOVE_TREE);
	fake_remove(&r.f, "/r/default/c1");
	r.f.log[0] = '\0';
	assert_int_equal(rig_undo_child(&r, 0, ""), STEP_DONE);
	assert_string_equal(r.f.log, "lock\nunlock\n");
	assert_int_equal(rig_undo(&r, WAKE_RESUME), STEP_DONE);
	rig_close(&r);
}

static void an_id_that_another_shim_has_taken_since_is_left_alone(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "state", STATE);
	(void)rig_probe(&r);
	fake_add_dir(&r.f, "/r/default/c1");
	r.f.locked_by_others = "/lock/state/";
	r.f.log[0] = '\0';
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	assert_true(rig_noted(&r, "left alone: /r/default/c1"));
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bundle_is_recorded_by_identity),
		cmocka_unit_test(a_bundle_that_can_not_work_fails_before_anything_is_made),
		cmocka_unit_test(the_bundle_stays_for_containerd_unless_it_has_forgotten_it),
		cmocka_unit_test(another_folder_of_that_name_is_left_alone),
		cmocka_unit_test(an_id_that_is_taken_is_foreign_and_says_what_to_do),
		cmocka_unit_test(an_id_that_another_shim_holds_is_refused),
		cmocka_unit_test(an_id_that_is_taken_after_the_probe_is_not_ours_to_undo),
		cmocka_unit_test(what_the_runtime_left_is_removed_and_the_lock_is_let_go),
		cmocka_unit_test(an_id_that_another_shim_has_taken_since_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
