/* SPDX-License-Identifier: Apache-2.0 */
/* The steps that launch a unikernel: limits, launch, monitor. */
#include "test/lib/step_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define WANT "{'id':'c1','bundle':'/b/c1','unikernel':{'type':'linux','monitor':'qemu'}}"

/* ---- what came before it ---------------------------------------------------------- */

struct before {
	const char *kind;
	int64_t seq;
};

static int seek(void *arg, const struct step_row *row, struct err *err)
{
	struct before *b = arg;

	(void)err;
	if (strcmp(row->kind, b->kind) != 0)
		return 0;
	b->seq = row->seq;
	return 1;
}

/* A step of another kind that has found @have. */
static void add_before(struct rig *r, const char *kind, const char *have)
{
	const struct planned planned = { .kind = kind, .want = "{}" };
	struct before b = { .kind = kind };
	struct err err = ERR_INIT;
	int64_t run = 0;

	assert_int_equal(journal_plan(r->j, "create", &planned, 1, 1, &run, &err), 0);
	assert_int_equal(journal_each_step(r->j, run, OLDEST_FIRST, seek, &b, &err), 1);
	assert_int_equal(journal_intend(r->j, b.seq, FAKE_EPOCH, false, 2, &err), 0);
	assert_int_equal(journal_have(r->j, b.seq, have, &err), 0);
}

/* It has said nothing yet, and is looked for at its end. */
static int hear_nothing(struct node *node, const struct ident *who, char **ret, struct err *err)
{
	(void)node;
	(void)who;
	(void)ret;
	(void)err;
	return 0;
}

static int talk_nowhere(struct node *node, const struct ident *who, struct err *err)
{
	(void)node;
	(void)who;
	return err_say(err, ENOENT, "it has no talk");
}

static void open_with(struct rig *r, const char *kind, const char *spec)
{
	rig_open(r, kind, WANT);
	r->f.node.hear = hear_nothing;
	r->f.node.talk_fd = talk_nowhere;
	fake_add_dir(&r->f, "/b/c1");
	fake_add_file(&r->f, "/b/c1/config.json", spec);
	(void)rig_probe(r);
}

static void open_launch(struct rig *r, const char *spec)
{
	open_with(r, "launch", spec);
	add_before(r, "cgroup", "{\"folders\":[{\"path\":\"/cg/a\",\"had\":3}]}");
	add_before(r, "rootfs-choice", "{\"choice\":\"none\",\"monitor\":\"/usr/bin/qemu\"}");
}

/* ---- launch ------------------------------------------------------------------------ */

static void a_launch_without_its_cgroups_fails(void **state)
{
	struct rig r;

	(void)state;
	open_with(&r, "launch", "{\"root\":{\"path\":\"rootfs\"}}");
	add_before(&r, "rootfs-choice", "{\"choice\":\"none\",\"monitor\":\"/usr/bin/qemu\"}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EIO);
	assert_string_equal(r.err.text,
			    "launch failed: its cgroups can't be read from the journal");
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void shows_pids(const char *namespaces, bool shown)
{
	char spec[256];
	struct rig r;

	(void)snprintf(spec, sizeof(spec), "{\"root\":{\"path\":\"rootfs\"},\"linux\":{"
		       "\"namespaces\":[%s]}}", namespaces);
	open_launch(&r, spec);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(r.f.job, JOB_LAUNCH);
	assert_true(!strstr(r.f.line, "\"private_pids\":true") == !shown);
	assert_non_null(strstr(r.f.line, "\"cgroups\":[\"\\/cg\\/a\"]"));
	rig_close(&r);
}

static void proc_is_shown_of_a_pid_namespace_of_its_own_alone(void **state)
{
	(void)state;
	shows_pids("{\"type\":\"pid\"}", true);
	shows_pids("{\"type\":\"pid\",\"path\":\"/proc/1/ns/pid\"}", false);
	shows_pids("", false);
}

static void a_guest_that_writes_to_a_read_only_root_is_refused(void **state)
{
	struct rig r;

	(void)state;
	open_with(&r, "launch", "{\"root\":{\"path\":\"rootfs\",\"readonly\":true}}");
	add_before(&r, "cgroup", "{\"folders\":[]}");
	add_before(&r, "rootfs-choice", "{\"choice\":\"block\",\"reason\":\"it is so\","
					"\"monitor\":\"/usr/bin/qemu\"}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -ENOTSUP);
	assert_string_equal(r.err.text, "launch failed: root.readonly is set, and the guest would "
					"write to its root file system (it is so)");
	rig_close(&r);
}

static void what_is_not_heeded_is_noted_by_name(void **state)
{
	struct rig r;

	(void)state;
	open_launch(&r, "{\"root\":{\"path\":\"rootfs\"},\"hooks\":{\"createContainer\":[]},"
			"\"process\":{\"apparmorProfile\":\"p\",\"selinuxLabel\":\"\"},"
			"\"mounts\":[{\"type\":\"none\",\"options\":[\"ro\",\"rbind\"]},"
			"{\"type\":\"tmpfs\"}],"
			"\"linux\":{\"sysctl\":{},\"resources\":{\"memory\":{\"swap\":1}}}}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_true(rig_noted(&r, "1 bind mounts of the spec are not given to the guest"));
	assert_true(rig_noted(&r, "process.apparmorProfile of the spec is not set"));
	assert_true(rig_noted(&r, "linux.resources.memory.swap of the spec is not set"));
	assert_false(rig_noted(&r, "selinuxLabel"));
	assert_false(rig_noted(&r, "sysctl"));
	rig_close(&r);
}

static void a_terminal_is_for_both_or_for_none(void **state)
{
	struct rig r;

	(void)state;
	open_launch(&r, "{\"root\":{\"path\":\"rootfs\"},\"process\":{\"terminal\":true}}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EINVAL);
	assert_string_equal(r.err.text, "launch failed: its config.json asks for a terminal, and the "
					"Create does not");
	rig_close(&r);
}

/* ---- limits, monitor ------------------------------------------------------------------ */

static void limits_without_their_cgroups_fail(void **state)
{
	struct rig r;

	(void)state;
	open_with(&r, "limits", "{}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EIO);
	assert_string_equal(r.err.text,
			    "the cgroups of default/c1 can't be read from the journal");
	rig_close(&r);
}

static void a_list_of_processors_that_is_too_long_is_not_cut(void **state)
{
	char spec[8192];
	struct rig r;

	(void)state;
	(void)snprintf(spec, sizeof(spec), "{\"linux\":{\"resources\":{\"cpu\":{\"cpus\":\"%05000d\"}}}}", 1);
	open_with(&r, "limits", spec);
	add_before(&r, "cgroup", "{\"folders\":[]}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -E2BIG);
	assert_string_equal(r.err.text, "the processors of default/c1 can't be set: more than 4095 "
					"bytes");
	rig_close(&r);
}

static void a_network_that_can_not_be_read_is_not_none(void **state)
{
	struct rig r;

	(void)state;
	open_with(&r, "monitor", "{}");
	add_before(&r, "rootfs-choice", "{\"choice\":\"none\",\"monitor\":\"/usr/bin/qemu\"}");
	add_before(&r, "launch", "{\"accel\":\"tcg\"}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EIO);
	assert_string_equal(r.err.text, "start failed: what Create has found can't be read from the "
					"journal");
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_launch_without_its_cgroups_fails),
		cmocka_unit_test(a_terminal_is_for_both_or_for_none),
		cmocka_unit_test(proc_is_shown_of_a_pid_namespace_of_its_own_alone),
		cmocka_unit_test(a_guest_that_writes_to_a_read_only_root_is_refused),
		cmocka_unit_test(what_is_not_heeded_is_noted_by_name),
		cmocka_unit_test(a_list_of_processors_that_is_too_long_is_not_cut),
		cmocka_unit_test(limits_without_their_cgroups_fail),
		cmocka_unit_test(a_network_that_can_not_be_read_is_not_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
