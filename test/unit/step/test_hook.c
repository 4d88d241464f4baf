/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks of a unikernel's spec: one after another, and none after their time. */
#include "test/lib/step_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TWO(when) "{'id':'c1','bundle':'/b/c1','when':'" when "','status':'stopped',"  \
		  "'oci':'1.0.2','list':[{'path':'/one'},{'path':'/two'}]}"
#define OVER "hooks is over: those after this one are not run"

static void begin_undo(struct rig *r)
{
	rig_open(r, "poststop", TWO("poststop"));
	assert_int_equal(rig_probe(r), FACT_ABSENT);
	assert_int_equal(rig_undo(r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(r->f.job, JOB_HOOK);
	assert_non_null(strstr(r->f.line, "\\/one"));
}

static void one_that_fails_is_noted_and_the_next_one_runs(void **state)
{
	struct rig r;

	(void)state;
	begin_undo(&r);
	assert_int_equal(rig_undo_child(&r, EXITED(EIO), "no"), STEP_WAIT);
	assert_non_null(strstr(r.f.line, "\\/two"));
	assert_true(rig_noted(&r, "poststop hook /one: no"));
	assert_int_equal(rig_undo_child(&r, 0, ""), STEP_DONE);
	assert_false(rig_noted(&r, OVER));
	rig_close(&r);
}

static void none_is_begun_when_the_time_of_them_all_is_over(void **state)
{
	struct rig r;

	(void)state;
	begin_undo(&r);
	r.f.line[0] = '\0';
	assert_int_equal(rig_undo_late(&r), STEP_DONE);
	assert_string_equal(r.f.line, "");
	assert_true(rig_noted(&r, "poststop hook /one: it took too long and was killed"));
	assert_true(rig_noted(&r, "the time of the poststop " OVER));
	rig_close(&r);
}

static void the_last_one_leaves_none_to_speak_of(void **state)
{
	struct rig r;

	(void)state;
	begin_undo(&r);
	assert_int_equal(rig_undo_child(&r, 0, ""), STEP_WAIT);
	assert_int_equal(rig_undo_late(&r), STEP_DONE);
	assert_true(rig_noted(&r, "poststop hook /two: it took too long and was killed"));
	assert_false(rig_noted(&r, OVER));
	rig_close(&r);
}

static void a_create_fails_with_its_hook(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "hook", TWO("prestart"));
	assert_int_equal(rig_probe(&r), FACT_ABSENT);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(rig_apply_child(&r, EXITED(EPERM), "no"), -EIO);
	assert_string_equal(r.err.text, "prestart hook /one: no");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	rig_close(&r);
}

#define INSIDE(when) "{'id':'c1','bundle':'/b/c1','when':'" when "','status':'created',"  \
		     "'oci':'1.0.2','inside':true,'list':[{'path':'/one'}]}"

static void open_inside(struct rig *r, const char *want)
{
	rig_open(r, "hook", want);
	rig_talks(r, 77);
	assert_int_equal(rig_probe(r), FACT_ABSENT);
	assert_int_equal(rig_apply(r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(r->next.fd, 77);
	assert_int_equal(rig_apply(r, WAKE_READY), STEP_WAIT);
}

static void one_inside_is_run_by_init(void **state)
{
	struct rig r;

	(void)state;
	open_inside(&r, INSIDE("createContainer"));
	assert_non_null(strstr(r.f.line, "{\"hook\":{\"path\":\"\\/one\"},\"state\":{"));
	assert_non_null(strstr(r.f.line, "},\"user\":false}"));
	assert_string_equal(r.f.log, "");
	r.f.said = "{\"hooked\":true,\"text\":\"\"}";
	assert_int_equal(rig_apply(&r, WAKE_READY), STEP_DONE);
	assert_string_equal(rig_have(&r), "{'done':1}");
	rig_close(&r);
}

static void one_before_the_start_is_the_containers_user(void **state)
{
	struct rig r;

	(void)state;
	open_inside(&r, INSIDE("startContainer"));
	assert_non_null(strstr(r.f.line, "},\"user\":true}"));
	r.f.said = "{\"hooked\":false,\"text\":\"no\"}";
	assert_int_equal(rig_apply(&r, WAKE_READY), -EIO);
	assert_string_equal(r.err.text, "startContainer hook /one: no");
	rig_close(&r);
}

static void one_inside_has_its_time_as_well(void **state)
{
	struct rig r;

	(void)state;
	open_inside(&r, INSIDE("createContainer"));
	assert_int_equal(rig_apply(&r, WAKE_DEADLINE), -EIO);
	assert_string_equal(r.err.text, "createContainer hook /one: it took too long");
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_fails_is_noted_and_the_next_one_runs),
		cmocka_unit_test(none_is_begun_when_the_time_of_them_all_is_over),
		cmocka_unit_test(the_last_one_leaves_none_to_speak_of),
		cmocka_unit_test(a_create_fails_with_its_hook),
		cmocka_unit_test(one_inside_is_run_by_init),
		cmocka_unit_test(one_before_the_start_is_the_containers_user),
		cmocka_unit_test(one_inside_has_its_time_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
