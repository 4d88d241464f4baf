/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroup step: what is written down, what is killed, what is removed. */
#include "test/lib/step_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define WANT "{'runtime':'/usr/bin/runc','root':'/r/default','id':'c1','bundle':'/b/c1'," \
	     "'cgroups_path':'/default/c1'}"
#define CG "/sys/fs/cgroup"

static void rig_v2(struct rig *r)
{
	rig_open(r, "cgroup", WANT);
	fake_add_proc(&r->f, 1, 1, "0::/system.slice/containerd.service\n");
	fake_add_mount(&r->f, 30, 20, CG, "cgroup2", "cgroup2");
	fake_add_dir(&r->f, CG);
}

/* The file table has what path() sees, the cgroup table what cgroup files hold. */
static struct fake_cgroup *add_cgroup(struct rig *r, const char *path)
{
	fake_add_dir(&r->f, path)->what.ino = r->f.next_ino;
	return fake_add_cgroup(&r->f, path);
}

static void add_process(struct rig *r, struct fake_cgroup *cg, pid_t pid)
{
	cg->procs[cg->n_procs++] = fake_add_proc(&r->f, pid, 5, NULL)->info.ident;
}

static void the_folder_is_written_down_with_what_was_there(void **state)
{
	struct rig r;

	(void)state;
	rig_v2(&r);
	assert_int_equal(rig_probe(&r), FACT_ABSENT);
	assert_string_equal(rig_have(&r), "{'folders':[{'path':'\\/sys\\/fs\\/cgroup\\/default\\/c1'"
					  ",'had':14}]}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void nothing_made_is_nothing_to_undo(void **state)
{
	struct rig r;

	(void)state;
	rig_v2(&r);
	(void)rig_probe(&r);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	assert_int_equal(rig_verify(&r), FACT_ABSENT);
	rig_close(&r);
}

static void who_is_in_there_is_killed_and_the_folders_go_inside_out(void **state)
{
	struct rig r;

	(void)state;
	rig_v2(&r);
	(void)rig_probe(&r);
	add_cgroup(&r, CG "/default");
	add_process(&r, add_cgroup(&r, CG "/default/c1"), 77);
	add_cgroup(&r, CG "/default/c1/inner");
	assert_int_equal(rig_verify(&r), FACT_PRESENT);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_string_equal(r.f.log, CG "/default/c1/cgroup.kill=1\n");
	r.f.log[0] = '\0';
	assert_int_equal(rig_undo(&r, WAKE_TIMER), STEP_DONE);
	assert_string_equal(r.f.log, "remove_dir " CG "/default/c1/inner\n"
				     "remove_dir " CG "/default/c1\n"
				     "remove_dir " CG "/default\n");
	rig_close(&r);
}

static void an_ancestor_with_another_task_in_it_stays(void **state)
{
	struct rig r;

	(void)state;
	rig_v2(&r);
	(void)rig_probe(&r);
	add_cgroup(&r, CG "/default");
	add_cgroup(&r, CG "/default/c1");
	add_process(&r, add_cgroup(&r, CG "/default/c2"), 78);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "remove_dir " CG "/default/c1\n");
	rig_close(&r);
}

static void a_cgroup_that_was_there_before_is_never_touched(void **state)
{
	struct rig r;

	(void)state;
	rig_v2(&r);
	add_cgroup(&r, CG "/default");
	add_process(&r, add_cgroup(&r, CG "/default/c1"), 78);
	(void)rig_probe(&r);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void without_cgroup_kill_it_is_frozen_killed_and_thawed(void **state)
{
	struct rig r;

	(void)state;
	rig_v2(&r);
	(void)rig_probe(&r);
	r.f.no_kill_file = true;
	add_process(&r, add_cgroup(&r, CG "/default/c1"), 77);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_string_equal(r.f.log, CG "/default/c1/cgroup.freeze=1\nkill 77 9\n"
				     CG "/default/c1/cgroup.freeze=0\n");
	rig_close(&r);
}

static void busy_is_tried_again_and_then_says_who_is_in_there(void **state)
{
	struct rig r;
	int rc;

	(void)state;
	rig_v2(&r);
	(void)rig_probe(&r);
	r.f.no_kill_file = true;
	add_process(&r, add_cgroup(&r, CG "/default/c1"), 77);
	r.f.procs[1].immortal = 1000;
	rc = rig_undo(&r, WAKE_BEGIN);
	for (int i = 0; i < 200 && rc == STEP_WAIT; i++) {
		r.f.log[0] = '\0';
		rc = rig_undo(&r, WAKE_TIMER);
	}
	assert_int_equal(rc, -EBUSY);
	assert_string_equal(r.err.text, "cgroup " CG "/default/c1: 1 processes do not die, the first "
					"is pid 77");
	rig_close(&r);
}

static void it_never_kills_the_one_who_undoes(void **state)
{
	struct rig r;
	struct fake_cgroup *cg;
	int rc;

	(void)state;
	rig_v2(&r);
	(void)rig_probe(&r);
	cg = add_cgroup(&r, CG "/default/c1");
	cg->procs[cg->n_procs++] = r.f.self;
	rc = rig_undo(&r, WAKE_BEGIN);
	assert_int_equal(rc, STEP_WAIT);
	assert_int_equal(rig_undo(&r, WAKE_DEADLINE), -EBUSY);
	assert_string_equal(r.f.log, "");
	assert_non_null(strstr(r.err.text, "process 1, which takes it back, is in there itself"));
	rig_close(&r);
}

static void after_a_reboot_there_is_nothing(void **state)
{
	struct rig r;

	(void)state;
	rig_v2(&r);
	(void)rig_probe(&r);
	add_process(&r, add_cgroup(&r, CG "/default/c1"), 77);
	r.f.epoch = "boot-2 11 22";
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void where_init_really_was_counts_if_it_carries_the_id(void **state)
{
	struct planned init = { .kind = "init", .want = "{}" };
	struct rig r;
	struct err err = ERR_INIT;
	int64_t run = 0;

	(void)state;
	rig_v2(&r);
	(void)rig_probe(&r);
	assert_int_equal(journal_plan(r.j, "create", &init, 1, 1, &run, &err), 0);
	assert_int_equal(journal_have(r.j, r.seq + 1, "{\"cgroups\":\"0::/moved/x-c1.scope\\n\"}",
				      &err), 0);
	add_cgroup(&r, CG "/moved");
	add_cgroup(&r, CG "/moved/x-c1.scope");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "remove_dir " CG "/moved/x-c1.scope\n");
	r.f.log[0] = '\0';
	assert_int_equal(journal_have(r.j, r.seq + 1, "{\"cgroups\":\"0::/moved\\n\"}", &err), 0);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_folder_is_written_down_with_what_was_there),
		cmocka_unit_test(nothing_made_is_nothing_to_undo),
		cmocka_unit_test(who_is_in_there_is_killed_and_the_folders_go_inside_out),
		cmocka_unit_test(an_ancestor_with_another_task_in_it_stays),
		cmocka_unit_test(a_cgroup_that_was_there_before_is_never_touched),
		cmocka_unit_test(without_cgroup_kill_it_is_frozen_killed_and_thawed),
		cmocka_unit_test(busy_is_tried_again_and_then_says_who_is_in_there),
		cmocka_unit_test(it_never_kills_the_one_who_undoes),
		cmocka_unit_test(after_a_reboot_there_is_nothing),
		cmocka_unit_test(where_init_really_was_counts_if_it_carries_the_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
