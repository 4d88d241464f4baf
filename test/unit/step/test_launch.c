/* SPDX-License-Identifier: Apache-2.0 */
/* The steps that launch a unikernel: limits, virtiofsd, launch, release,
 * monitor. */
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

static void open_wanting(struct rig *r, const char *kind, const char *want, const char *spec)
{
	rig_open(r, kind, want);
	rig_talks(r, -ENOENT); /* it is looked for at its end */
	fake_add_dir(&r->f, "/b/c1");
	fake_add_file(&r->f, "/b/c1/config.json", spec);
	(void)rig_probe(r);
}

static void open_with(struct rig *r, const char *kind, const char *spec)
{
	open_wanting(r, kind, WANT, spec);
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

static void words_that_start_could_not_order_are_refused(void **state)
{
	static const char head[] = "{\"root\":{\"path\":\"rootfs\"},\"process\":{\"args\":[\"/urunit\"],"
				   "\"env\":[\"A=";
	char spec[70000];
	struct rig r;

	(void)state;
	(void)strcpy(spec, head);
	memset(spec + strlen(head), 'x', 65000);
	(void)strcpy(spec + strlen(head) + 65000, "\"]}}");
	open_launch(&r, spec);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -E2BIG);
	assert_non_null(strstr(r.err.text, "launch failed: the monitor would have to be told "));
	assert_string_equal(r.f.log, "");
	rig_close(&r);
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

static void has_a_button(const char *type, const char *monitor, bool wanted, bool has)
{
	char want[160];
	struct rig r;

	(void)snprintf(want, sizeof(want), "{'id':'c1','bundle':'/b/c1','unikernel':{'type':'%s',"
		       "'monitor':'%s'}}", type, monitor);
	open_wanting(&r, "launch", want, "{\"root\":{\"path\":\"rootfs\"}}");
	r.config.power_button = wanted;
	add_before(&r, "cgroup", "{\"folders\":[]}");
	add_before(&r, "rootfs-choice", "{\"choice\":\"none\",\"monitor\":\"/m\"}");
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(r.f.controls, has);
	assert_true(!strstr(rig_have(&r), "'power':true") == !has);
	rig_close(&r);
}

static void a_guest_that_hears_its_power_button_can_be_asked(void **state)
{
	(void)state;
	has_a_button("linux", "qemu", true, true);
	has_a_button("linux", "qemu", false, false);
	has_a_button("linux", "firecracker", true, false);
	has_a_button("unikraft", "qemu", true, false);
	has_a_button("mewz", "qemu", true, false);
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

/* ---- virtiofsd ---------------------------------------------------------------------- */

/* What it says, word after word, and that it closes its end then. */
static const char *const *words_left;

static int hear_words(struct node *node, const struct ident *who, char **ret, struct err *err)
{
	(void)node;
	(void)who;
	if (!*words_left)
		return err_say(err, EPIPE, "it has closed its end");
	*ret = strdup(*words_left++);
	return 1;
}

static int tell_it(struct node *node, const struct ident *who, const char *text, struct err *err)
{
	struct fake_node *f = (struct fake_node *)node;

	(void)who;
	(void)err;
	(void)snprintf(f->line, sizeof(f->line), "%s", text);
	return 0;
}

static void open_virtiofsd(struct rig *r, const char *choice, const char *const *words)
{
	open_with(r, "virtiofsd", "{\"root\":{\"path\":\"rootfs\",\"readonly\":true}}");
	r->f.node.hear = hear_words;
	r->f.node.tell = tell_it;
	words_left = words;
	add_before(r, "cgroup", "{\"folders\":[{\"path\":\"/cg/a\",\"had\":3}]}");
	add_before(r, "rootfs-choice", choice);
}

#define SHARED "{\"choice\":\"virtiofs\",\"path\":\"/b/c1/rootfs\",\"virtiofsd\":\"/bin/virtiofsd\"}"

static void another_choice_needs_no_virtiofsd(void **state)
{
	struct rig r;

	(void)state;
	open_virtiofsd(&r, "{\"choice\":\"9pfs\"}", NULL);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	assert_int_equal(rig_verify(&r), FACT_PRESENT);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

/* A path in have, without the escapes of JSON. */
static void find_text(struct rig *r, const char *name, char *ret, size_t size)
{
	char member[64];
	const char *from;
	size_t n = 0;

	(void)snprintf(member, sizeof(member), "'%s':'", name);
	from = strstr(rig_have(r), member);
	assert_non_null(from);
	for (from += strlen(member); *from != '\'' && n + 1 < size; from++)
		if (*from != '\\')
			ret[n++] = *from;
	ret[n] = '\0';
}

static void a_virtiofsd_is_remembered_when_it_runs_and_leaves_nothing(void **state)
{
	static const char *const words[] = { "{\"ready\":true}", "{\"exec\":true}", NULL };
	char folder[256];
	struct rig r;

	(void)state;
	open_virtiofsd(&r, SHARED, words);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	assert_non_null(strstr(r.f.line, "virtiofsd\",\"--fd=64\",\"-f\""));
	assert_non_null(strstr(rig_have(&r), "'process':{'pid':"));
	find_text(&r, "folder", folder, sizeof(folder));
	assert_non_null(fake_find(&r.f, folder));
	assert_int_equal(rig_verify(&r), FACT_PRESENT);
	(void)strcat(folder, "/fs.sock");
	fake_add_socket(&r.f, folder, true);
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(rig_undo(&r, WAKE_TIMER), STEP_DONE);
	assert_null(fake_find(&r.f, folder));
	folder[strlen(folder) - strlen("/fs.sock")] = '\0';
	assert_null(fake_find(&r.f, folder));
	assert_int_equal(rig_undo(&r, WAKE_RESUME), STEP_DONE);
	rig_close(&r);
}

static void a_virtiofsd_that_can_not_be_executed_fails(void **state)
{
	static const char *const words[] = { "{\"ready\":true}", "{\"exec\":true}",
					     "{\"error\":\"exec: no such file\",\"code\":2}", NULL };
	struct rig r;

	(void)state;
	open_virtiofsd(&r, SHARED, words);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EIO);
	assert_string_equal(r.err.text, "virtiofsd failed: exec: no such file");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	rig_close(&r);
}

/* ---- release ------------------------------------------------------------------------ */

#define RELEASED "{\"choice\":\"rootfs-block\",\"path\":\"/dev/loop7\",\"mounted\":" \
		 "\"/b/c1/rootfs\",\"major\":7,\"minor\":7,\"monitor\":\"/m\"}"
#define MOUNTED "{\"mount\":{\"id\":40,\"type\":\"ext4\",\"source\":\"/dev/loop7\"," \
		"\"target\":\"/b/c1/rootfs\"}}"

static void open_release(struct rig *r, const char *choice, const char *const *words)
{
	open_with(r, "release", "{\"root\":{\"path\":\"rootfs\"}}");
	r->f.node.hear = hear_words;
	r->f.node.tell = tell_it;
	words_left = words;
	add_before(r, "mount", MOUNTED);
	add_before(r, "rootfs-choice", choice);
	fake_add_mount(&r->f, 40, 1, "/b/c1/rootfs", "ext4", "/dev/loop7");
}

static void another_choice_leaves_the_rootfs_mounted(void **state)
{
	struct rig r;

	(void)state;
	open_release(&r, "{\"choice\":\"virtiofs\"}", NULL);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void a_device_is_unmounted_and_then_claimed(void **state)
{
	static const char *const words[] = { "{\"busy\":true}", "{\"claimed\":true}", NULL };
	struct rig r;

	(void)state;
	open_release(&r, RELEASED, words);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(r.f.job, JOB_UNMOUNT);
	assert_non_null(strstr(r.f.line, "\"id\":40"));
	assert_int_equal(rig_apply_child(&r, EXITED(EBUSY), "busy"), STEP_WAIT);
	assert_int_equal(rig_apply(&r, WAKE_TIMER), STEP_WAIT);
	fake_remove_mount(&r.f, 40);
	assert_int_equal(rig_apply_child(&r, EXITED(0), ""), STEP_WAIT); /* it was busy */
	assert_string_equal(r.f.line, "{\"claim\":true}");
	assert_int_equal(rig_apply(&r, WAKE_TIMER), STEP_DONE);
	assert_non_null(strstr(rig_have(&r), "'released':true"));
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	rig_close(&r);
}

static void a_device_that_stays_in_use_is_not_given_away(void **state)
{
	struct rig r;
	int rc;

	(void)state;
	open_release(&r, RELEASED, NULL);
	rc = rig_apply(&r, WAKE_BEGIN);
	for (int i = 0; i < 60 && rc == STEP_WAIT; i++) {
		rc = rig_apply_child(&r, EXITED(EBUSY), "busy");
		if (rc == STEP_WAIT)
			rc = rig_apply(&r, WAKE_TIMER);
	}
	assert_int_equal(rc, -EBUSY);
	assert_string_equal(r.err.text, "the device under the rootfs can't be given to the guest: the "
					"rootfs can't be unmounted: it was busy for 2500 ms; end what uses "
					"it, or take mountRootfs out of the annotations");
	rig_close(&r);
}

static void a_mount_that_is_not_creates_is_not_unmounted(void **state)
{
	struct rig r;

	(void)state;
	open_release(&r, "{\"choice\":\"rootfs-block\",\"mounted\":\"/elsewhere\"}", NULL);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EIO);
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void a_launch_gets_the_device_by_its_numbers(void **state)
{
	struct rig r;

	(void)state;
	open_with(&r, "launch", "{\"root\":{\"path\":\"rootfs\"}}");
	add_before(&r, "cgroup", "{\"folders\":[]}");
	add_before(&r, "rootfs-choice", RELEASED);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_non_null(strstr(r.f.line, "\"disk\":{\"path\":\"\\/dev\\/loop7\",\"major\":7,\"minor\":7"));
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
		cmocka_unit_test(proc_is_shown_of_a_pid_namespace_of_its_own_alone),
		cmocka_unit_test(a_guest_that_writes_to_a_read_only_root_is_refused),
		cmocka_unit_test(what_is_not_heeded_is_noted_by_name),
		cmocka_unit_test(words_that_start_could_not_order_are_refused),
		cmocka_unit_test(a_guest_that_hears_its_power_button_can_be_asked),
		cmocka_unit_test(a_list_of_processors_that_is_too_long_is_not_cut),
		cmocka_unit_test(a_terminal_is_for_both_or_for_none),
		cmocka_unit_test(another_choice_needs_no_virtiofsd),
		cmocka_unit_test(a_virtiofsd_is_remembered_when_it_runs_and_leaves_nothing),
		cmocka_unit_test(a_virtiofsd_that_can_not_be_executed_fails),
		cmocka_unit_test(another_choice_leaves_the_rootfs_mounted),
		cmocka_unit_test(a_device_is_unmounted_and_then_claimed),
		cmocka_unit_test(a_device_that_stays_in_use_is_not_given_away),
		cmocka_unit_test(a_mount_that_is_not_creates_is_not_unmounted),
		cmocka_unit_test(a_launch_gets_the_device_by_its_numbers),
		cmocka_unit_test(limits_without_their_cgroups_fail),
		cmocka_unit_test(a_network_that_can_not_be_read_is_not_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
