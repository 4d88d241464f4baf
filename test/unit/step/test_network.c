/* SPDX-License-Identifier: Apache-2.0 */
/* The network step: three children, and what is written down between them. */
#include "test/lib/step_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NETNS "/run/netns/pod"
#define WANT  "{'netns':'" NETNS "','uid':5,'gid':6}"
#define SEEN(ino, tap)                                                                     \
	"{\"netns\":{\"dev\":4,\"ino\":" #ino ",\"mode\":0},\"iface\":\"eth0\",\"ifindex\":2,"   \
	"\"mac\":\"02:00:00:00:00:01\",\"mtu\":1500,\"ip\":\"10.4.0.2/24\","                     \
	"\"gateway\":\"10.4.0.1\",\"tap\":\"" tap "\",\"slot\":0,\"qdisc\":\"made\"}"
#define NONE  "{\"netns\":{\"dev\":4,\"ino\":77,\"mode\":0},\"none\":\"no interface\"}"

static void open_pod(struct rig *r)
{
	rig_open(r, "network", WANT);
	fake_add_file(&r->f, NETNS, "")->what = (struct path_ident){ .dev = 4, .ino = 77 };
	assert_int_equal(rig_probe(r), FACT_ABSENT);
	assert_int_equal(rig_apply(r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(r->f.job, JOB_NET_LOOK);
}

static void open_named(struct rig *r)
{
	open_pod(r);
	assert_int_equal(rig_apply_child(r, 0, SEEN(77, "tap0_urunc")), STEP_WAIT);
	assert_int_equal(r->f.job, JOB_NET_ATTACH);
}

static void open_made(struct rig *r)
{
	open_named(r);
	assert_int_equal(rig_apply_child(r, 0, "{\"tap_index\":9}"), STEP_DONE);
	r->f.log[0] = '\0';
}

static void everything_is_named_in_the_row_before_it_is_made(void **state)
{
	struct rig r;

	(void)state;
	open_named(&r);
	assert_non_null(strstr(rig_have(&r), "'tap':'tap0_urunc'"));
	assert_non_null(strstr(rig_have(&r), "'netns':{'dev':4,'ino':77,"));
	assert_non_null(strstr(rig_have(&r), "/default\\/c1'"));
	assert_non_null(strstr(rig_have(&r), "'cookie':'75726e63"));
	assert_null(strstr(rig_have(&r), "tap_index"));
	assert_non_null(strstr(r.f.line, "\"path\":\"\\/run\\/netns\\/pod\",\"uid\":5,\"gid\":6}"));
	assert_int_equal(rig_apply_child(&r, 0, "{\"tap_index\":9}"), STEP_DONE);
	assert_non_null(strstr(rig_have(&r), "'tap_index':9"));
	rig_close(&r);
}

static void the_namespace_of_init_is_asked_for_with_its_identity(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "network", "{'init':true}");
	assert_int_equal(journal_set_init(r.j, &(struct ident){ .pid = 12, .start = 345 }, NULL), 0);
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_non_null(strstr(r.f.line, "\"path\":\"\\/proc\\/12\\/ns\\/net\""));
	assert_non_null(strstr(r.f.line, "\"pid\":12,\"start\":345"));
	rig_close(&r);
}

static void a_namespace_that_nothing_names_is_an_error(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "network", "{'init':true}");
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EINVAL);
	rig_close(&r);
}

static void mode_static_is_for_all_children_and_what_was_found_is_kept(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "network", "{'netns':'" NETNS "','mode':'static'}");
	fake_add_file(&r.f, NETNS, "")->what = (struct path_ident){ .dev = 4, .ino = 77 };
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_non_null(strstr(r.f.line, "\"mode\":\"static\""));
	assert_int_equal(rig_apply_child(&r, 0, "{\"netns\":{\"dev\":4,\"ino\":77,\"mode\":0},"
					 "\"iface\":\"eth0\",\"tap\":\"tap0_urunc\",\"kept\":true}"),
			 STEP_WAIT);
	assert_int_equal(r.f.job, JOB_NET_ATTACH);
	assert_non_null(strstr(r.f.line, "\"mode\":\"static\""));
	assert_non_null(strstr(rig_have(&r), "'kept':true"));
	assert_int_equal(rig_apply_child(&r, 0, "{\"tap_index\":9}"), STEP_DONE);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_non_null(strstr(r.f.line, "\"mode\":\"static\""));
	assert_non_null(strstr(r.f.line, "\"kept\":true"));
	rig_close(&r);
}

static void a_mode_that_is_not_known_is_refused_by_name(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "network", "{'netns':'/n','mode':'magic'}");
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EINVAL);
	assert_non_null(strstr(r.err.text, "\"magic\""));
	rig_close(&r);
}

#define SIX "\"iface\":\"eth0\",\"tap\":\"tap0_urunc\",\"qdisc\":\"made\",\"ip6\":\"fd00::2/64\""

static void a_guest_that_can_not_be_told_the_address_is_refused_before_it_is_made(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "network", "{'netns':'" NETNS "','guest':'hermit'}");
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(rig_apply_child(&r, 0, "{" SIX "}"), -ENOTSUP);
	assert_non_null(strstr(r.err.text, "\"hermit\" can't be told an IPv6 address"));
	r.f.log[0] = '\0';
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void an_address_that_is_not_told_is_a_note(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "network", "{'netns':'" NETNS "','guest':'mirage','version':'3.1'}");
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(rig_apply_child(&r, 0, "{" SIX ",\"ip\":\"10.4.0.2/24\"}"), STEP_WAIT);
	assert_true(rig_noted(&r, "a guest of type mirage 3.1 is not told fd00::2: its command line "
				  "takes no IPv6 address beside 10.4.0.2"));
	assert_non_null(strstr(rig_have(&r), "'ip6':'fd00::2\\/64'"));
	rig_close(&r);
}

static void no_usable_interface_is_a_note_and_no_error(void **state)
{
	struct rig r;

	(void)state;
	open_pod(&r);
	assert_int_equal(rig_apply_child(&r, 0, NONE), STEP_DONE);
	assert_true(rig_noted(&r, "no network for default/c1: no interface"));
	assert_null(strstr(rig_have(&r), "'tap'"));
	assert_int_equal(rig_verify(&r), FACT_PRESENT);
	r.f.log[0] = '\0';
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void mode_none_asks_nobody(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "network", "{'mode':'none'}");
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void a_name_that_was_taken_meanwhile_is_looked_for_again(void **state)
{
	struct rig r;

	(void)state;
	open_named(&r);
	assert_int_equal(rig_apply_child(&r, EXITED(EAGAIN), "taken"), STEP_WAIT);
	assert_int_equal(r.f.job, JOB_NET_LOOK);
	assert_null(strstr(rig_have(&r), "'tap'"));
	assert_int_equal(rig_apply_child(&r, 0, SEEN(77, "tap1_urunc")), STEP_WAIT);
	assert_non_null(strstr(rig_have(&r), "'tap':'tap1_urunc'"));
	rig_close(&r);
}

static void it_is_not_looked_for_again_for_ever(void **state)
{
	struct rig r;
	int rc = STEP_WAIT;
	int n = 0;

	(void)state;
	open_named(&r);
	for (; rc == STEP_WAIT && n < 100; n++) {
		rc = rig_apply_child(&r, EXITED(EAGAIN), "taken");
		if (rc == STEP_WAIT)
			rc = rig_apply_child(&r, 0, SEEN(77, "tap0_urunc"));
	}
	assert_int_equal(rc, -EBUSY);
	assert_int_equal(n, 9);
	rig_close(&r);
}

static void a_failed_look_says_what_the_child_said(void **state)
{
	struct rig r;

	(void)state;
	open_pod(&r);
	assert_int_equal(rig_apply_child(&r, EXITED(EBUSY), "eth0 is taken"), -EBUSY);
	assert_string_equal(r.err.text, "look at the network: eth0 is taken");
	rig_close(&r);
}

static void an_answer_that_is_no_answer_is_an_error(void **state)
{
	static const char *const answers[] = { "", "[", "[]", "{}", "{\"tap\":\"tap0_urunc\"}" };
	struct rig r;

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		open_pod(&r);
		assert_int_equal(rig_apply_child(&r, 0, answers[i]), -EPROTO);
		rig_close(&r);
	}
	open_named(&r);
	assert_int_equal(rig_apply_child(&r, 0, "{}"), -EPROTO);
	rig_close(&r);
}

static void an_apply_under_way_is_taken_back_and_made_anew(void **state)
{
	struct rig r;

	(void)state;
	open_named(&r);
	assert_int_equal(rig_apply(&r, WAKE_RESUME), STEP_WAIT);
	assert_int_equal(r.f.job, JOB_NET_DETACH);
	assert_int_equal(rig_apply_child(&r, 0, "{\"left\":[]}"), STEP_WAIT);
	assert_int_equal(r.f.job, JOB_NET_LOOK);
	assert_int_equal(rig_apply_child(&r, 0, SEEN(77, "tap0_urunc")), STEP_WAIT);
	assert_int_equal(r.f.job, JOB_NET_ATTACH);
	assert_int_equal(rig_apply_child(&r, 0, "{\"tap_index\":9}"), STEP_DONE);
	rig_close(&r);
}

static void undo_hands_over_every_identity_and_notes_what_is_left(void **state)
{
	struct rig r;

	(void)state;
	open_made(&r);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(r.f.job, JOB_NET_DETACH);
	assert_non_null(strstr(r.f.line, "\"tap_index\":9"));
	assert_non_null(strstr(r.f.line, "\"ino\":77"));
	assert_non_null(strstr(r.f.line, "\"cookie\":\"75726e63"));
	assert_int_equal(rig_undo_child(&r, 0, "{\"left\":[\"tap0_urunc is another's\"]}"),
			 STEP_DONE);
	assert_true(rig_noted(&r, "left alone: tap0_urunc is another's"));
	rig_close(&r);
}

static void a_namespace_that_is_gone_leaves_nothing_to_undo(void **state)
{
	struct rig r;

	(void)state;
	open_made(&r);
	fake_remove(&r.f, NETNS);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
	open_made(&r);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	fake_find(&r.f, NETNS)->what.ino = 78;
	assert_int_equal(rig_undo_child(&r, EXITED(ESTALE), "another one"), STEP_DONE);
	rig_close(&r);
}

static void who_ends_before_the_child_comes_is_not_the_end_of_the_namespace(void **state)
{
	struct fake_proc *first, *second;
	struct rig r;

	(void)state;
	open_made(&r);
	fake_remove(&r.f, NETNS);
	first = fake_add_proc(&r.f, 4321, 5, NULL);
	second = fake_add_proc(&r.f, 4322, 6, NULL);
	first->info.netns = second->info.netns = 77;
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_non_null(strstr(r.f.line, "\\/4321\\/ns"));
	first->gone = true;
	assert_int_equal(rig_undo_child(&r, EXITED(ENOENT), "gone"), STEP_WAIT);
	assert_int_equal(r.f.job, JOB_NET_DETACH);
	assert_non_null(strstr(r.f.line, "\\/4322\\/ns"));
	second->gone = true;
	assert_int_equal(rig_undo_child(&r, EXITED(ENOENT), "gone"), STEP_DONE);
	rig_close(&r);
}

static void an_apply_that_takes_back_looks_for_the_namespace_again_too(void **state)
{
	struct rig r;

	(void)state;
	open_named(&r);
	assert_int_equal(rig_apply(&r, WAKE_RESUME), STEP_WAIT);
	assert_int_equal(rig_apply_child(&r, EXITED(ESTALE), "another one"), STEP_WAIT);
	assert_int_equal(r.f.job, JOB_NET_DETACH);
	assert_non_null(strstr(rig_have(&r), "'undoing':true"));
	fake_remove(&r.f, NETNS);
	assert_int_equal(rig_apply_child(&r, EXITED(ENOENT), "gone"), STEP_WAIT);
	assert_int_equal(r.f.job, JOB_NET_LOOK);
	rig_close(&r);
}

static void another_namespace_under_the_path_is_not_entered(void **state)
{
	struct rig r;

	(void)state;
	open_made(&r);
	fake_find(&r.f, NETNS)->what.ino = 78;
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void a_namespace_without_its_path_is_found_at_a_process(void **state)
{
	struct rig r;

	(void)state;
	open_made(&r);
	fake_remove(&r.f, NETNS);
	fake_add_proc(&r.f, 4321, 5, NULL)->info.netns = 77;
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_non_null(strstr(r.f.line, "\"path\":\"\\/proc\\/4321\\/ns\\/net\""));
	rig_close(&r);
}

static void undo_of_a_row_without_names_does_nothing(void **state)
{
	struct rig r;

	(void)state;
	open_pod(&r);
	r.f.log[0] = '\0';
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void nothing_of_an_earlier_boot_is_left(void **state)
{
	struct rig r;

	(void)state;
	open_made(&r);
	r.f.epoch = "boot-2 11 22";
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void a_failed_undo_fails_and_one_that_hangs_says_so(void **state)
{
	struct rig r;

	(void)state;
	open_made(&r);
	(void)rig_undo(&r, WAKE_BEGIN);
	assert_int_equal(rig_undo_child(&r, EXITED(EPERM), "no"), -EPERM);
	assert_int_equal(rig_undo(&r, WAKE_DEADLINE), -ETIMEDOUT);
	rig_close(&r);
}

static void verify_looks_through_a_process_that_is_inside(void **state)
{
	struct rig r;

	(void)state;
	open_made(&r);
	assert_int_equal(rig_verify(&r), FACT_UNSURE);
	fake_add_proc(&r.f, 4321, 5, NULL)->info.netns = 77;
	fake_add_file(&r.f, "/proc/4321/net/dev", "  eth0: 1\n tap0_urunc: 0 0\n");
	assert_int_equal(rig_verify(&r), FACT_PRESENT);
	fake_remove(&r.f, "/proc/4321/net/dev");
	fake_add_file(&r.f, "/proc/4321/net/dev", "  eth0: 1\n xtap0_urunc: 0\n tap0_urunc2: 0\n");
	assert_int_equal(rig_verify(&r), FACT_ABSENT);
	rig_close(&r);
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(everything_is_named_in_the_row_before_it_is_made),
		TEST(the_namespace_of_init_is_asked_for_with_its_identity),
		TEST(a_namespace_that_nothing_names_is_an_error),
		TEST(mode_static_is_for_all_children_and_what_was_found_is_kept),
		TEST(a_mode_that_is_not_known_is_refused_by_name),
		TEST(a_guest_that_can_not_be_told_the_address_is_refused_before_it_is_made),
		TEST(an_address_that_is_not_told_is_a_note),
		TEST(no_usable_interface_is_a_note_and_no_error),
		TEST(mode_none_asks_nobody),
		TEST(a_name_that_was_taken_meanwhile_is_looked_for_again),
		TEST(it_is_not_looked_for_again_for_ever),
		TEST(a_failed_look_says_what_the_child_said),
		TEST(an_answer_that_is_no_answer_is_an_error),
		TEST(an_apply_under_way_is_taken_back_and_made_anew),
		TEST(undo_hands_over_every_identity_and_notes_what_is_left),
		TEST(a_namespace_that_is_gone_leaves_nothing_to_undo),
		TEST(who_ends_before_the_child_comes_is_not_the_end_of_the_namespace),
		TEST(an_apply_that_takes_back_looks_for_the_namespace_again_too),
		TEST(another_namespace_under_the_path_is_not_entered),
		TEST(a_namespace_without_its_path_is_found_at_a_process),
		TEST(undo_of_a_row_without_names_does_nothing),
		TEST(nothing_of_an_earlier_boot_is_left),
		TEST(a_failed_undo_fails_and_one_that_hangs_says_so),
		TEST(verify_looks_through_a_process_that_is_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
