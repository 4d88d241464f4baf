/* SPDX-License-Identifier: Apache-2.0 */
/* A monitor is frozen, and goes on, by the cgroups in the journal, whatever their names. */
#include "test/lib/step_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define CG    "/sys/fs/cgroup/odd/name"
#define WANT  "'runtime':'unikernel','root':'/r/default','id':'c1','bundle':'/b/c1'"
#define ROW   "{'folders':[{'path':'/plain','had':1,'plain':true},{'path':'" CG "','had':14}]}"

static void open_monitor(struct rig *r, const char *kind, const char *want)
{
	const struct ident init = { .pid = 42, .start = 420 };

	rig_open(r, kind, want);
	assert_int_equal(journal_set_text(r->j, TASK_RUNTIME, "unikernel", NULL), 0);
	assert_int_equal(journal_set_init(r->j, &init, NULL), 0);
	fake_add_proc(&r->f, init.pid, init.start, "0::/odd/name\n");
	fake_add_mount(&r->f, 30, 1, "/sys/fs/cgroup", "cgroup2", "cgroup2");
	rig_beside(r, "cgroup", ROW);
	assert_int_equal(rig_probe(r), FACT_ABSENT);
	r->f.log[0] = '\0';
}

static void a_pause_waits_until_the_kernel_says_frozen(void **state)
{
	struct rig r;

	(void)state;
	open_monitor(&r, "pause", "{" WANT "}");
	fake_add_file(&r.f, CG "/cgroup.events", "populated 1\nfrozen 0\n");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	fake_remove(&r.f, CG "/cgroup.events");
	fake_add_file(&r.f, CG "/cgroup.events", "populated 1\nfrozen 1\n");
	assert_int_equal(rig_apply(&r, WAKE_TIMER), STEP_DONE);
	assert_string_equal(r.f.log, CG "/cgroup.freeze=1\n" CG "/cgroup.freeze=1\n");
	rig_close(&r);
}

static void a_pause_that_takes_too_long_leaves_nothing_frozen(void **state)
{
	struct rig r;

	(void)state;
	open_monitor(&r, "pause", "{" WANT "}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(rig_apply(&r, WAKE_DEADLINE), -ETIMEDOUT);
	assert_string_equal(r.f.log, CG "/cgroup.freeze=1\n" CG "/cgroup.freeze=0\n");
	rig_close(&r);
}

static void a_sigkill_thaws_what_was_frozen_and_no_other_signal_does(void **state)
{
	struct rig r;

	(void)state;
	open_monitor(&r, "signal", "{" WANT ",'signal':9,'paused':true}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "kill 42 9\n" CG "/cgroup.freeze=0\n");
	rig_close(&r);
	open_monitor(&r, "signal", "{" WANT ",'signal':15,'paused':true}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "kill 42 15\n");
	rig_close(&r);
}

static void the_end_of_a_frozen_monitor_thaws_it_so_that_it_can_die(void **state)
{
	struct rig r;

	(void)state;
	open_monitor(&r, "launch", "{'id':'c1','bundle':'/b/c1','unikernel':{}}");
	rig_set_have(&r, "{'init':{'pid':42,'start':420}}");
	r.f.procs[0].immortal = 1;
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_string_equal(r.f.log, "kill 42 9\n" CG "/cgroup.freeze=0\n");
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pause_waits_until_the_kernel_says_frozen),
		cmocka_unit_test(a_pause_that_takes_too_long_leaves_nothing_frozen),
		cmocka_unit_test(a_sigkill_thaws_what_was_frozen_and_no_other_signal_does),
		cmocka_unit_test(the_end_of_a_frozen_monitor_thaws_it_so_that_it_can_die),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
