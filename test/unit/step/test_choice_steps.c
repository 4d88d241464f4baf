/* SPDX-License-Identifier: Apache-2.0 */
/* Is it a unikernel, and what does it boot from: the steps that decide. */
#include "supervisor/unikernel/facts.h"
#include "test/lib/step_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define CHOICE(policy, type, monitor, more) \
	"{'policy':'" policy "','path':'/usr/bin','unikernel':{'type':'" type "'," \
	"'monitor':'" monitor "','binary':'/k'" more "}}"

/* A bundle whose rootfs holds a kernel. */
static void add_bundle(struct rig *r)
{
	fake_add_dir(&r->f, "/b/c1");
	fake_add_file(&r->f, "/b/c1/config.json", "{\"root\":{\"path\":\"rootfs\"}}");
	fake_add_dir(&r->f, "/b/c1/rootfs");
	fake_add_file(&r->f, "/b/c1/rootfs/k", "kernel");
}

/* With a child that looks into the rootfs, as it is told to. */
static int choose(struct rig *r)
{
	json_object *args, *found = NULL;
	struct err err = ERR_INIT;
	int rc = rig_apply(r, WAKE_BEGIN);

	if (rc != STEP_WAIT)
		return rc;
	assert_int_equal(r->f.job, JOB_LOOK);
	args = json_tokener_parse(r->f.line);
	assert_false(json_object_object_get_ex(args, "ask", NULL)); /* nobody wanted that */
	assert_int_equal(facts_look(&r->f.node, args, &found, &err), 0);
	rc = rig_apply_child(r, EXITED(0), json_object_to_json_string(found));
	json_object_put(args);
	json_object_put(found);
	return rc;
}

static void chooses(struct rig *r, const char *have)
{
	(void)rig_probe(r);
	assert_int_equal(choose(r), STEP_DONE);
	assert_string_equal(rig_have(r), have);
	rig_close(r);
}

static void no_unikernel_means_no_choice(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "rootfs-choice", "{'policy':'required'}");
	add_bundle(&r);
	chooses(&r, "{'choice':'none','reason':'not a unikernel: there is no urunc.json in the "
		    "rootfs'}");
}

static void an_ordinary_container_never_fails_by_it(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "rootfs-choice", "{'policy':'required'}");
	chooses(&r, "{'choice':'none','reason':'not a unikernel: \\/b\\/c1\\/config.json: there is "
		    "no such file; the bundle is not complete'}");
	rig_open(&r, "rootfs-choice", "{'policy':'required'}");
	add_bundle(&r);
	fake_add_file(&r.f, "/b/c1/rootfs/urunc.json", "{");
	chooses(&r, "{'choice':'none','reason':'not a unikernel: urunc.json is no JSON object'}");
	rig_open(&r, "rootfs-choice", "{'policy':'required'}");
	add_bundle(&r);
	fake_add_dir(&r.f, "/b/c1/rootfs/urunc.json");
	chooses(&r, "{'choice':'none','reason':'not a unikernel: urunc.json is no regular file'}");
}

static void the_choice_and_its_reason_are_recorded(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "rootfs-choice", CHOICE("required", "mirage", "hvt", ""));
	add_bundle(&r);
	fake_add_program(&r.f, "/usr/bin/solo5-hvt");
	chooses(&r, "{'choice':'none','reason':'no annotation asks for one',"
		    "'monitor':'\\/usr\\/bin\\/solo5-hvt'}");
}

static void the_rootfs_itself_can_say_that_it_is_a_unikernel(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "rootfs-choice", "{'policy':'required','path':'/usr/bin'}");
	add_bundle(&r);
	fake_add_program(&r.f, "/usr/bin/solo5-spt");
	/* rumprun, spt, /k */
	fake_add_file(&r.f, "/b/c1/rootfs/urunc.json",
		      "{\"com.urunc.unikernel.unikernelType\":\"cnVtcHJ1bg==\","
		      "\"com.urunc.unikernel.hypervisor\":\"c3B0\","
		      "\"com.urunc.unikernel.binary\":\"L2s=\"}");
	chooses(&r, "{'unikernel':{'type':'rumprun','monitor':'spt','binary':'\\/k'},"
		    "'choice':'none','reason':'no annotation asks for one',"
		    "'monitor':'\\/usr\\/bin\\/solo5-spt'}");
}

#define SAYS_ITSELF "{\"com.urunc.unikernel.unikernelType\":\"mewz\"," \
	"\"com.urunc.unikernel.hypervisor\":\"qemu\",\"com.urunc.unikernel.binary\":\"/k\"}"

static void a_rootfs_that_says_it_makes_the_task_one_of_ours(void **state)
{
	struct task_row row;
	struct rig r;

	(void)state;
	rig_open(&r, "unikernel", "{}");
	add_bundle(&r);
	fake_add_file(&r.f, "/b/c1/rootfs/urunc.json", SAYS_ITSELF);
	assert_int_equal(journal_set_text(r.j, TASK_REQUEST, "{\"path\":\"/bin\"}", NULL), 0);
	(void)rig_probe(&r);
	assert_int_equal(choose(&r), STEP_DONE);
	assert_string_equal(rig_have(&r), "{'unikernel':{'type':'mewz','monitor':'qemu','binary':"
					  "'\\/k'}}");
	assert_int_equal(journal_task(r.j, &row, NULL), 0);
	assert_string_equal(row.runtime, "unikernel");
	assert_string_equal(row.request, "{\"path\":\"\\/bin\",\"unikernel\":{\"type\":\"mewz\","
					 "\"monitor\":\"qemu\",\"binary\":\"\\/k\"}}");
	task_row_clear(&row);
	rig_close(&r);
}

static void one_that_says_nothing_is_a_container_if_there_is_a_runtime(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "unikernel", "{}");
	add_bundle(&r);
	chooses(&r, "{'none':'there is no urunc.json in the rootfs'}");
	rig_open(&r, "unikernel", "{'no_runtime':'exec: runc is missing'}");
	add_bundle(&r);
	(void)rig_probe(&r);
	assert_int_equal(choose(&r), -ENOEXEC);
	assert_string_equal(r.err.text, "exec: runc is missing");
	rig_close(&r);
	rig_open(&r, "rootfs-choice", "{'policy':'required'}");
	rig_beside(&r, "unikernel", "{'none':'it is not one'}");
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(rig_have(&r), "{'choice':'none','reason':'not a unikernel: it is not one'}");
	rig_close(&r);
}

static void containerd_is_asked_if_that_is_wanted_and_what_it_said_is_kept(void **state)
{
	json_object *args, *ask = NULL;
	struct rig r;

	(void)state;
	rig_open(&r, "unikernel", "{}");
	add_bundle(&r);
	r.config.ask_containerd = true;
	assert_int_equal(journal_set_text(r.j, TASK_ADDRESS, "/c.sock", NULL), 0);
	assert_int_equal(journal_set_text(r.j, TASK_REQUEST, "{\"path\":\"/bin\"}", NULL), 0);
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	args = json_tokener_parse(r.f.line);
	assert_true(json_object_object_get_ex(args, "ask", &ask));
	assert_string_equal(json_text(ask, "ns", ""), "default");
	assert_string_equal(json_text(ask, "id", ""), "c1");
	assert_string_equal(json_text(ask, "address", ""), "/c.sock");
	json_object_put(args);
	assert_int_equal(rig_apply_child(&r, EXITED(0), "{\"unikernel\":{\"type\":\"mewz\"},"
					 "\"origin\":{\"type\":\"label\"},\"trouble\":\"late\"}"),
			 STEP_DONE);
	assert_string_equal(rig_have(&r), "{'origin':{'type':'label'},'trouble':'late',"
					  "'unikernel':{'type':'mewz'}}");
	rig_close(&r);
}

static void the_device_under_the_rootfs_is_found(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "rootfs-choice", CHOICE("required", "rumprun", "spt",
					     ",'mount_rootfs':true"));
	add_bundle(&r);
	fake_add_program(&r.f, "/usr/bin/solo5-spt");
	fake_add_mount(&r.f, 50, 1, "/b/c1/rootfs", "ext2", "/dev/dm-3");
	chooses(&r, "{'choice':'rootfs-block','reason':'mountRootfs is true, and the rootfs is "
		    "\\/dev\\/dm-3 (ext2)','path':'\\/dev\\/dm-3','mounted':"
		    "'\\/b\\/c1\\/rootfs','major':0,'minor':50,'monitor':'\\/usr\\/bin\\/solo5-spt'}");
}

static void fails(const char *want, const char *why)
{
	char text[512];
	struct rig r;

	rig_open(&r, "rootfs-choice", want);
	add_bundle(&r);
	(void)rig_probe(&r);
	assert_int_equal(choose(&r), -EIO);
	(void)snprintf(text, sizeof(text), "guest rootfs of default/c1 can't be chosen: %s; or set "
		       "rootfs_choice = \"best-effort\"", why);
	assert_string_equal(r.err.text, text);
	rig_close(&r);
}

static void required_fails_with_task_reason_and_remedy(void **state)
{
	(void)state;
	fails(CHOICE("required", "mirage", "hvt", ""),
	      "monitor \"hvt\": solo5-hvt is not in $PATH; install it");
	fails(CHOICE("required", "linux", "xen", ""),
	      "monitor \"xen\" is not known; use one of qemu, firecracker, cloud-hypervisor, hvt, "
	      "spt, hyperlight-unikraft");
	fails(CHOICE("required", "linux", "hvt", ""),
	      "monitor \"hvt\" can't run type \"linux\"; use one of qemu, firecracker, "
	      "cloud-hypervisor");
	fails(CHOICE("required", "plan9", "qemu", ""),
	      "unikernel type \"plan9\" is not known; correct the annotation "
	      "com.urunc.unikernel.unikernelType");
}

static void what_the_rootfs_lacks_is_known_at_create(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "rootfs-choice", CHOICE("required", "linux", "firecracker",
					     ",'initrd':'/boot/initrd'"));
	add_bundle(&r);
	fake_add_program(&r.f, "/usr/bin/firecracker");
	(void)rig_probe(&r);
	assert_int_equal(choose(&r), -EIO);
	assert_non_null(strstr(r.err.text, "there is no file /boot/initrd in the rootfs"));
	fake_add_dir(&r.f, "/b/c1/rootfs/boot");
	fake_add_file(&r.f, "/b/c1/rootfs/boot/initrd", "");
	assert_int_equal(choose(&r), STEP_DONE);
	assert_non_null(strstr(rig_have(&r), "'choice':'initrd'"));
	rig_close(&r);
}

/* It has moved the kernel out of the rootfs, and unmounted that. */
static void a_runtime_that_prepares_guests_is_not_doubted(void **state)
{
	struct rig r;
	struct err err = ERR_INIT;

	(void)state;
	rig_open(&r, "rootfs-choice", CHOICE("required", "linux", "qemu",
					     ",'mount_rootfs':true},'rootfs':[{'type':'ext4',"
					     "'source':'/dev/loop7','target':''}],'x':{"));
	add_bundle(&r);
	fake_remove(&r.f, "/b/c1/rootfs/k");
	fake_add_program(&r.f, "/usr/bin/qemu-system-x86_64");
	fake_add_program(&r.f, "/usr/bin/qemu-system-aarch64");
	assert_int_equal(journal_set_text(r.j, TASK_RUNTIME, "/usr/bin/urunc", &err), 0);
	task_row_clear(&r.task);
	assert_int_equal(journal_task(r.j, &r.task, &err), 0);
	(void)rig_probe(&r);
	assert_int_equal(choose(&r), STEP_DONE);
	assert_non_null(strstr(rig_have(&r), "'choice':'rootfs-block','reason':'mountRootfs is "
					     "true, and Create mounted \\/dev\\/loop7 (ext4)"));
	rig_close(&r);
}

/* Its file system hangs. */
static void a_rootfs_that_does_not_answer_is_not_waited_for(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "rootfs-choice", "{'policy':'required'}");
	add_bundle(&r);
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(rig_apply(&r, WAKE_DEADLINE), STEP_DONE);
	assert_string_equal(rig_have(&r), "{'choice':'none','reason':'not a unikernel: look into "
					  "the rootfs: it took too long and was killed'}");
	rig_close(&r);
	rig_open(&r, "rootfs-choice", CHOICE("required", "mirage", "hvt", ""));
	add_bundle(&r);
	(void)rig_probe(&r);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(rig_apply(&r, WAKE_DEADLINE), -EIO);
	assert_non_null(strstr(r.err.text, "look into the rootfs: it took too long"));
	rig_close(&r);
}

static void best_effort_puts_the_choice_off_and_keeps_the_task(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, "rootfs-choice", CHOICE("best-effort", "mirage", "hvt", ""));
	add_bundle(&r);
	(void)rig_probe(&r);
	assert_int_equal(choose(&r), STEP_DONE);
	assert_non_null(strstr(rig_have(&r), "'deferred':'monitor \\'hvt\\': solo5-hvt"));
	assert_true(rig_noted(&r, "guest rootfs of default/c1 is chosen at start: monitor"));
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_unikernel_means_no_choice),
		cmocka_unit_test(an_ordinary_container_never_fails_by_it),
		cmocka_unit_test(the_choice_and_its_reason_are_recorded),
		cmocka_unit_test(the_rootfs_itself_can_say_that_it_is_a_unikernel),
		cmocka_unit_test(a_rootfs_that_says_it_makes_the_task_one_of_ours),
		cmocka_unit_test(one_that_says_nothing_is_a_container_if_there_is_a_runtime),
		cmocka_unit_test(containerd_is_asked_if_that_is_wanted_and_what_it_said_is_kept),
		cmocka_unit_test(the_device_under_the_rootfs_is_found),
		cmocka_unit_test(what_the_rootfs_lacks_is_known_at_create),
		cmocka_unit_test(a_runtime_that_prepares_guests_is_not_doubted),
		cmocka_unit_test(a_rootfs_that_does_not_answer_is_not_waited_for),
		cmocka_unit_test(required_fails_with_task_reason_and_remedy),
		cmocka_unit_test(best_effort_puts_the_choice_off_and_keeps_the_task),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
