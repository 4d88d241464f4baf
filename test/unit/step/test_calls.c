/* SPDX-License-Identifier: Apache-2.0 */
/* start and signal, and what all kinds have in common. */
#include "test/lib/step_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define CALL(rt) "'runtime':'" rt "','root':'/r/default','id':'c1','bundle':'/b/c1'"

static void start_calls_the_runtime_and_takes_its_reason(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "start", "{" CALL("/usr/bin/crun") ",'systemd':true}");
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_string_equal(r.f.line, "/usr/bin/crun --root /r/default --log /b/c1/log.json "
				      "--log-format json --systemd-cgroup start c1");
	assert_int_equal(rig_apply_child(&r, 0, ""), STEP_DONE);
	assert_int_equal(rig_apply_child(&r, EXITED(1), "  cannot start\n"), -EIO);
	assert_string_equal(r.err.text,
			    "OCI runtime start failed: /usr/bin/crun did not terminate "
			    "successfully: exit status 1: cannot start");
	fake_add_file(&r.f, "/b/c1/log.json", "{\"level\":\"error\",\"msg\":\"permission denied\"}");
	assert_int_equal(rig_apply_child(&r, EXITED(1), "x"), -EIO);
	assert_string_equal(r.err.text, "OCI runtime start failed: permission denied");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	rig_close(&r);
}

static void rig_signal(struct rig *r, const char *want)
{
	struct ident init = { .pid = 42, .start = 7 };
	struct err err = ERR_INIT;

	rig_open(r, "signal", want);
	assert_int_equal(journal_set_init(r->j, &init, &err), 0);
	fake_add_proc(&r->f, 42, 7, NULL);
	(void)rig_probe(r);
}

static void runc_and_crun_are_signalled_by_pidfd(void **state)
{
	struct rig r;

	(void)state;
	rig_signal(&r, "{" CALL("/usr/bin/runc") ",'signal':15,'all':false}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "kill 42 15\n");
	rig_close(&r);
}

static void an_init_that_is_gone_has_already_finished(void **state)
{
	struct rig r;

	(void)state;
	rig_signal(&r, "{" CALL("/usr/bin/runc") ",'signal':15}");
	r.f.procs[0].gone = true;
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -ESRCH);
	assert_string_equal(r.err.text, "process already finished");
	rig_close(&r);
}

static void only_a_sigkill_is_sent_again_after_an_interruption(void **state)
{
	struct rig r;

	(void)state;
	rig_signal(&r, "{" CALL("/usr/bin/runc") ",'signal':15}");
	assert_int_equal(rig_apply(&r, WAKE_RESUME), -EINTR);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
	rig_signal(&r, "{" CALL("/usr/bin/runc") ",'signal':9}");
	assert_int_equal(rig_apply(&r, WAKE_RESUME), STEP_DONE);
	assert_string_equal(r.f.log, "kill 42 9\n");
	assert_int_equal(rig_apply(&r, WAKE_RESUME), STEP_DONE);
	rig_close(&r);
}

static void all_paused_and_other_runtimes_go_by_the_cli(void **state)
{
	static const char *const wants[] = {
		"{" CALL("/usr/bin/runc") ",'signal':9,'all':true}",
		"{" CALL("/usr/bin/runc") ",'signal':9,'paused':true}",
		"{" CALL("/usr/bin/urunc") ",'signal':9}",
		"{" CALL("/usr/bin/own") ",'signal':9}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wants) / sizeof(wants[0]); i++) {
		struct rig r;

		rig_signal(&r, wants[i]);
		assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
		assert_non_null(strstr(r.f.line,
				       i ? " --root /r/default kill c1 9"
					 : " --root /r/default kill --all c1 9"));
		assert_int_equal(rig_apply_child(&r, 0, ""), STEP_DONE);
		rig_close(&r);
	}
}

static void the_words_of_a_failed_kill_are_told_apart(void **state)
{
	static const struct {
		const char *output, *text;
		int code;
	} of[] = {
		{ "os: process already finished", "process already finished", ESRCH },
		{ "container not running", "process already finished", ESRCH },
		{ "kill: No such process", "process already finished", ESRCH },
		{ "container c1 does not exist", "no such container", ESRCH },
		{ "bad signal", "unknown error after kill: /usr/bin/own: /usr/bin/own did not "
				"terminate successfully: exit status 1: bad signal", EIO },
	};
	struct rig r;

	(void)state;
	rig_signal(&r, "{" CALL("/usr/bin/own") ",'signal':9}");
	(void)rig_apply(&r, WAKE_BEGIN);
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		assert_int_equal(rig_apply_child(&r, EXITED(1), of[i].output), -of[i].code);
		assert_string_equal(r.err.text, of[i].text);
	}
	rig_close(&r);
}

static void every_kind_is_whole_and_found_by_its_name(void **state)
{
	size_t n = 0;

	(void)state;
	for (; step_kinds[n]; n++) {
		const struct step_ops *ops = step_kinds[n];

		assert_ptr_equal(step_kind(ops->kind), ops);
		assert_non_null(ops->apply);
		assert_non_null(ops->undo);
		assert_true(ops->effect != EFFECT_NONE_);
		assert_true(ops->apply_ms > 0 && ops->undo_ms > 0);
	}
	assert_int_equal(n, 26);
	assert_null(step_kind("no such kind"));
}

static void a_runtime_call_may_take_what_the_config_gives(void **state)
{
	struct config config = { .runtime_timeout_s = 30 };

	(void)state;
	assert_int_equal(step_limit_ms(step_kind("init"), &config, false), 30000);
	config.runtime_timeout_s = 1;
	assert_int_equal(step_limit_ms(step_kind("init"), &config, false), 10000);
	assert_int_equal(step_limit_ms(step_kind("mount"), &config, true), 180000);
}

static void a_child_is_in_the_journal_before_its_gate_opens(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "start", "{" CALL("/usr/bin/crun") "}");
	(void)rig_probe(&r);
	r.f.fail = "spawn_go";
	r.f.fail_code = EPIPE;
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EPIPE);
	assert_false(r.f.gate_open);
	assert_non_null(strstr(r.f.log, "kill 900 9\n"));
	rig_close(&r);
}

static void identities_survive_the_journal(void **state)
{
	struct ident who = { .pid = 42, .start = UINT64_MAX };
	struct ident back;
	struct path_ident what = { .dev = UINT64_MAX, .ino = 7, .mode = 0100644 };
	struct path_ident there;
	json_object *o = json_object_new_object();

	(void)state;
	json_put_ident(o, "who", &who);
	json_put_path(o, "what", &what);
	assert_true(json_ident(o, "who", &back));
	assert_int_equal(back.pid, 42);
	assert_true(back.start == UINT64_MAX);
	assert_true(json_path(o, "what", &there));
	assert_true(there.dev == UINT64_MAX && there.mode == 0100644);
	assert_false(json_ident(o, "what", &back));
	assert_false(json_path(o, "none", &there));
	json_object_put(o);
}

static void a_member_of_another_type_reads_as_absent(void **state)
{
	json_object *o = json_tokener_parse("{\"n\":\"7\",\"t\":7,\"b\":\"true\",\"l\":{}}");

	(void)state;
	assert_int_equal(json_int(o, "n", -1), -1);
	assert_int_equal(json_uint(o, "n", 3), 3);
	assert_string_equal(json_text(o, "t", "else"), "else");
	assert_false(json_true(o, "b"));
	assert_null(json_list(o, "l"));
	assert_string_equal(json_text(NULL, "t", "else"), "else");
	json_object_put(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_calls_the_runtime_and_takes_its_reason),
		cmocka_unit_test(runc_and_crun_are_signalled_by_pidfd),
		cmocka_unit_test(an_init_that_is_gone_has_already_finished),
		cmocka_unit_test(only_a_sigkill_is_sent_again_after_an_interruption),
		cmocka_unit_test(all_paused_and_other_runtimes_go_by_the_cli),
		cmocka_unit_test(the_words_of_a_failed_kill_are_told_apart),
		cmocka_unit_test(every_kind_is_whole_and_found_by_its_name),
		cmocka_unit_test(a_runtime_call_may_take_what_the_config_gives),
		cmocka_unit_test(a_child_is_in_the_journal_before_its_gate_opens),
		cmocka_unit_test(identities_survive_the_journal),
		cmocka_unit_test(a_member_of_another_type_reads_as_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
