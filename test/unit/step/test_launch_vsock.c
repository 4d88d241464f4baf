/* SPDX-License-Identifier: Apache-2.0 */
/* A launch whose guest is to have a vsock. */
#include "test/lib/step_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WANT(monitor, address) "{'id':'c1','bundle':'/b/c1','unikernel':{'type':'linux','monitor':'" \
	monitor "','vaccel':'vsock','rpc_address':'" address "'}}"
#define HEARD "{\"ready\":true,\"accel\":\"tcg\",\"cid\":4711}"

static void open_vsock(struct rig *r, const char *want, bool allowed)
{
	rig_open(r, "launch", want);
	r->config.vaccel = allowed;
	rig_talks(r, -ENOENT);
	fake_add_dir(&r->f, "/b/c1");
	fake_add_file(&r->f, "/b/c1/config.json", "{\"root\":{\"path\":\"rootfs\"}}");
	(void)rig_probe(r);
	rig_beside(r, "cgroup", "{\"folders\":[{\"path\":\"/cg/a\",\"had\":3}]}");
	rig_beside(r, "rootfs-choice", "{\"choice\":\"none\",\"monitor\":\"/usr/bin/m\"}");
}

static unsigned long number_in(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	assert_non_null(at);
	return strtoul(at + strlen(name), NULL, 10);
}

static void a_vsock_is_for_nodes_that_allow_it(void **state)
{
	struct rig r;

	(void)state;
	open_vsock(&r, WANT("qemu", "vsock://2:9"), false);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), -EPERM);
	assert_string_equal(r.err.text, "launch failed: the annotation vAccel asks for a way from the "
			    "guest to this node, which gives none; set vaccel = true in "
			    "supervisor.toml");
	assert_string_equal(r.f.log, "");
	rig_close(&r);
}

static void the_first_number_to_be_tried_is_known_before_the_process_is(void **state)
{
	struct rig r;

	(void)state;
	open_vsock(&r, WANT("qemu", "vsock://2:9"), true);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(r.f.job, JOB_LAUNCH);
	assert_int_equal(number_in(r.f.line, "\"cid\":"), number_in(rig_have(&r), "'cid':"));
	assert_null(strstr(rig_have(&r), "'init'"));
	rig_close(&r);
}

static void the_number_that_it_has_is_known_with_its_identity(void **state)
{
	struct rig r;

	(void)state;
	open_vsock(&r, WANT("qemu", "vsock://2:9"), true);
	r.f.said = HEARD;
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_DONE);
	assert_int_equal(number_in(rig_have(&r), "'cid':"), 4711);
	assert_non_null(strstr(rig_have(&r), "'init':{"));
	rig_close(&r);
}

static void a_monitor_with_a_vsock_of_its_own_is_shown_the_agents_folder(void **state)
{
	struct rig r;

	(void)state;
	open_vsock(&r, WANT("firecracker", "unix:///run/a/vaccel.sock_9"), true);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_non_null(strstr(r.f.line, "\"agent\":\"\\/run\\/a\",\"agent_name\":\"vaccel.sock_9\""));
	assert_null(strstr(r.f.line, "\"cid\""));
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vsock_is_for_nodes_that_allow_it),
		cmocka_unit_test(the_first_number_to_be_tried_is_known_before_the_process_is),
		cmocka_unit_test(the_number_that_it_has_is_known_with_its_identity),
		cmocka_unit_test(a_monitor_with_a_vsock_of_its_own_is_shown_the_agents_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
