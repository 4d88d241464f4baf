/* SPDX-License-Identifier: Apache-2.0 */
/* The mount step: what is ours on the rootfs, and what is not. */
#include "test/lib/step_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ROOT "/b/c1/rootfs"
#define WANT "{'type':'overlay','source':'overlay','target':'','options':['lowerdir=/l']," \
	     "'root':'" ROOT "'}"
#define UNMOUNT(id) "spawn {\"target\":\"\\/b\\/c1\\/rootfs\",\"id\":" #id "}\n"

static void apply_until_mounted(struct rig *r)
{
	assert_int_equal(rig_probe(r), FACT_ABSENT);
	assert_int_equal(rig_apply(r, WAKE_BEGIN), STEP_WAIT);
	fake_add_mount(&r->f, 40, 20, ROOT, "overlay", "overlay");
	assert_int_equal(rig_apply_child(r, 0, ""), STEP_DONE);
	r->f.log[0] = '\0';
}

static void a_mount_makes_its_folder_and_notes_its_identity(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "mount", WANT);
	assert_int_equal(rig_probe(&r), FACT_ABSENT);
	assert_string_equal(rig_have(&r), "{'below':[]}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(r.f.job, JOB_MOUNT);
	assert_true(r.f.gate_open);
	assert_non_null(strstr(r.f.log, "make_dir /b/c1/rootfs 711\n"));
	fake_add_mount(&r.f, 40, 20, ROOT, "overlay", "overlay");
	assert_int_equal(rig_apply_child(&r, 0, ""), STEP_DONE);
	assert_non_null(strstr(rig_have(&r), "'mount':{'id':40,'type':'overlay',"
				       "'source':'overlay','target':'\\/b\\/c1\\/rootfs'}"));
	assert_int_equal(rig_verify(&r), FACT_PRESENT);
	rig_close(&r);
}

static void a_refused_mount_says_component_source_and_reason(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "mount", WANT);
	(void)rig_probe(&r);
	(void)rig_apply(&r, WAKE_BEGIN);
	assert_int_equal(rig_apply_child(&r, EXITED(ENODEV), "No such device"), -EIO);
	assert_string_equal(r.err.text, "failed to mount rootfs component: overlay from \"overlay\" "
					"on /b/c1/rootfs: mount: No such device");
	rig_close(&r);
}

static void undo_unmounts_by_id_and_removes_the_folder_it_made(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "mount", WANT);
	apply_until_mounted(&r);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_string_equal(r.f.log, UNMOUNT(40));
	fake_remove_mount(&r.f, 40);
	r.f.log[0] = '\0';
	assert_int_equal(rig_undo_child(&r, 0, ""), STEP_DONE);
	assert_string_equal(r.f.log, "remove_dir /b/c1/rootfs\n");
	rig_close(&r);
}

static void what_stood_there_before_is_never_unmounted(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "mount", WANT);
	fake_add_mount(&r.f, 30, 20, ROOT, "overlay", "overlay");
	assert_int_equal(rig_probe(&r), FACT_ABSENT);
	assert_string_equal(rig_have(&r), "{'below':[30]}");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void a_mount_whose_id_was_never_noted_is_found_above_the_stack(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "mount", WANT);
	fake_add_mount(&r.f, 30, 20, ROOT, "ext4", "/dev/sda");
	(void)rig_probe(&r);
	(void)rig_apply(&r, WAKE_BEGIN);
	fake_add_mount(&r.f, 41, 30, ROOT, "overlay", "overlay");
	r.f.log[0] = '\0';
	assert_int_equal(rig_undo(&r, WAKE_RESUME), STEP_WAIT);
	assert_string_equal(r.f.log, UNMOUNT(41));
	rig_close(&r);
}

static void a_mount_of_another_type_is_left_alone(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "mount", WANT);
	(void)rig_probe(&r);
	fake_add_mount(&r.f, 41, 20, ROOT, "tmpfs", "none");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void an_id_used_again_by_another_mount_is_not_ours(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "mount", WANT);
	apply_until_mounted(&r);
	fake_remove_mount(&r.f, 40);
	fake_add_mount(&r.f, 40, 20, "/home", "ext4", "/dev/sda");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_null(strstr(r.f.log, "spawn"));
	rig_close(&r);
}

static void a_bind_is_known_by_its_place_alone(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "mount", "{'type':'bind','source':'/x','target':'','options':['rbind'],"
			      "'root':'" ROOT "'}");
	(void)rig_probe(&r);
	fake_add_mount(&r.f, 41, 20, ROOT, "ext4", "/dev/sda");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_string_equal(r.f.log, UNMOUNT(41));
	rig_close(&r);
}

static void busy_is_tried_fifty_times_and_then_says_who_holds_it(void **state)
{
	struct rig r;
	struct fake_proc *p;
	int rc = STEP_WAIT;
	int unmounts = 0;

	(void)state;
	rig_open(&r, "mount", WANT);
	apply_until_mounted(&r);
	p = fake_add_proc(&r.f, 7, 1, NULL);
	p->info.cwd_dev = 40; /* minor 40, major 0: the mount's device */
	rc = rig_undo(&r, WAKE_BEGIN);
	for (int i = 0; i < 300 && rc == STEP_WAIT; i++) {
		if (r.next.child_seq) {
			r.f.n_procs = 2; /* the table is small */
			unmounts++;
			rc = rig_undo_child(&r, EXITED(EBUSY), "Device or resource busy");
			continue;
		}
		assert_int_equal(r.next.at_ms, r.f.now_ms + 50);
		rc = rig_undo(&r, WAKE_TIMER);
	}
	assert_int_equal(rc, -EBUSY);
	assert_int_equal(unmounts, 50);
	assert_string_equal(r.err.text,
			    "unmount /b/c1/rootfs: busy for 2500 ms; held by pid 7 (sh)");
	rig_close(&r);
}

static void a_stuck_mount_on_top_is_named_not_unmounted(void **state)
{
	struct rig r;
	int rc;

	(void)state;
	rig_open(&r, "mount", WANT);
	apply_until_mounted(&r);
	fake_add_mount(&r.f, 50, 40, ROOT, "tmpfs", "other");
	rc = rig_undo(&r, WAKE_BEGIN);
	for (int i = 0; i < 300 && rc == STEP_WAIT; i++) {
		r.f.n_procs = 2;
		rc = r.next.child_seq ? rig_undo_child(&r, EXITED(ESTALE), "")
				      : rig_undo(&r, WAKE_TIMER);
	}
	assert_int_equal(rc, -EBUSY);
	assert_string_equal(r.err.text, "unmount /b/c1/rootfs: a tmpfs from \"other\" is mounted on "
					"/b/c1/rootfs, and is not this step's");
	rig_close(&r);
}

static void nothing_is_undone_after_a_reboot(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "mount", WANT);
	apply_until_mounted(&r);
	r.f.epoch = "boot-2 11 22";
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	assert_int_equal(rig_verify(&r), FACT_ABSENT);
	rig_close(&r);
}

static void another_mount_namespace_of_this_boot_is_noted(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "mount", WANT);
	apply_until_mounted(&r);
	r.f.epoch = "boot-1 11 33";
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_true(rig_noted(&r, "another mount namespace"));
	rig_close(&r);
}

static void a_bundle_reached_through_a_link_is_found_by_its_identity(void **state)
{
	struct rig r;
	struct path_ident same;

	(void)state;
	rig_open(&r, "mount", WANT);
	(void)rig_probe(&r);
	(void)rig_apply(&r, WAKE_BEGIN);
	/* mountinfo spells what /b is a link to; both names lead to one folder. */
	same = fake_find(&r.f, ROOT)->what;
	fake_add_dir(&r.f, "/real/b/c1/rootfs")->what = same;
	fake_add_mount(&r.f, 41, 20, "/real/b/c1/rootfs", "overlay", "overlay");
	assert_int_equal(rig_apply_child(&r, 0, ""), STEP_DONE);
	assert_non_null(strstr(rig_have(&r), "'id':41"));
	rig_close(&r);
}

static void undo_may_be_repeated(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "mount", WANT);
	apply_until_mounted(&r);
	fake_remove_mount(&r.f, 40);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_int_equal(rig_undo(&r, WAKE_RESUME), STEP_DONE);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mount_makes_its_folder_and_notes_its_identity),
		cmocka_unit_test(a_refused_mount_says_component_source_and_reason),
		cmocka_unit_test(undo_unmounts_by_id_and_removes_the_folder_it_made),
		cmocka_unit_test(what_stood_there_before_is_never_unmounted),
		cmocka_unit_test(a_mount_whose_id_was_never_noted_is_found_above_the_stack),
		cmocka_unit_test(a_mount_of_another_type_is_left_alone),
		cmocka_unit_test(an_id_used_again_by_another_mount_is_not_ours),
		cmocka_unit_test(a_bind_is_known_by_its_place_alone),
		cmocka_unit_test(busy_is_tried_fifty_times_and_then_says_who_holds_it),
		cmocka_unit_test(a_stuck_mount_on_top_is_named_not_unmounted),
		cmocka_unit_test(nothing_is_undone_after_a_reboot),
		cmocka_unit_test(another_mount_namespace_of_this_boot_is_noted),
		cmocka_unit_test(a_bundle_reached_through_a_link_is_found_by_its_identity),
		cmocka_unit_test(undo_may_be_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
