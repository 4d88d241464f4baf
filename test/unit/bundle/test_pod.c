/* SPDX-License-Identifier: Apache-2.0 */
/* What a CreateSandbox asks, gathered from a pod's config. */
#include "supervisor/bundle/pod.h"

#include "proto/api/pod.pb-c.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct config {
	Runtime__V1__PodSandboxConfig pod;
	Runtime__V1__LinuxPodSandboxConfig on_linux;
	Runtime__V1__LinuxSandboxSecurityContext security;
	Runtime__V1__NamespaceOption spaces;
	Runtime__V1__UserNamespace user;
	Runtime__V1__LinuxPodSandboxConfig__SysctlsEntry sysctl, *sysctls;
	uint8_t bytes[512];
};

static void begin(struct config *c)
{
	runtime__v1__pod_sandbox_config__init(&c->pod);
	runtime__v1__linux_pod_sandbox_config__init(&c->on_linux);
	runtime__v1__linux_sandbox_security_context__init(&c->security);
	runtime__v1__namespace_option__init(&c->spaces);
	runtime__v1__user_namespace__init(&c->user);
	runtime__v1__linux_pod_sandbox_config__sysctls_entry__init(&c->sysctl);
	c->pod.on_linux = &c->on_linux;
	c->on_linux.security_context = &c->security;
	c->security.namespace_options = &c->spaces;
	c->sysctls = &c->sysctl;
}

static int decode(struct config *c, const char *netns, json_object **ret, struct err *err)
{
	struct pod_in in = { .id = "p1", .netns = netns, .type = "runtime.v1.PodSandboxConfig",
			     .value = c->bytes, .at_ns = 5 };

	in.len = runtime__v1__pod_sandbox_config__pack(&c->pod, c->bytes);
	return pod_request(ret, &in, err);
}

static void is(struct config *c, const char *netns, const char *expected)
{
	struct err err = ERR_INIT;
	json_object *o = NULL;

	assert_int_equal(decode(c, netns, &o, &err), 0);
	assert_string_equal(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE),
			    expected);
	json_object_put(o);
}

static void refused(struct config *c, const char *netns, int code, const char *words)
{
	struct err err = ERR_INIT;
	json_object *o = NULL;

	assert_int_equal(decode(c, netns, &o, &err), -code);
	assert_non_null(strstr(err.text, words));
}

static void set_sysctl(struct config *c, const char *name, const char *value)
{
	c->sysctl.key = (char *)name;
	c->sysctl.value = (char *)value;
	c->on_linux.sysctls = &c->sysctls;
	c->on_linux.n_sysctls = 1;
}

static void without_a_config_all_namespaces_are_its_own(void **state)
{
	const struct pod_in in = { .id = "p1", .netns = "", .type = "", .at_ns = 5 };
	struct err err = ERR_INIT;
	json_object *o = NULL;

	(void)state;
	assert_int_equal(pod_request(&o, &in, &err), 0);
	assert_string_equal(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN),
			    "{\"sandbox\":{\"namespaces\":[{\"type\":\"network\"},{\"type\":\"uts\"},"
			    "{\"type\":\"ipc\"}],\"pids\":\"own\"},\"created_ns\":5}");
	json_object_put(o);
}

static void a_pod_has_its_name_network_and_cgroup(void **state)
{
	struct config c;

	(void)state;
	begin(&c);
	c.pod.hostname = (char *)"web";
	c.on_linux.cgroup_parent = (char *)"/kubepods/pod1";
	set_sysctl(&c, "net.ipv4.ip_forward", "1");
	is(&c, "/run/netns/n",
	   "{\"sandbox\":{\"hostname\":\"web\",\"namespaces\":[{\"type\":\"network\",\"path\":"
	   "\"/run/netns/n\"},{\"type\":\"uts\"},{\"type\":\"ipc\"}],\"pids\":\"own\","
	   "\"sysctls\":{\"net.ipv4.ip_forward\":\"1\"}},\"created_ns\":5,\"netns\":"
	   "\"/run/netns/n\",\"cgroups_path\":\"/kubepods/pod1/p1\",\"options\":{}}");
}

static void what_is_the_nodes_is_not_made(void **state)
{
	struct config c;

	(void)state;
	begin(&c);
	c.pod.hostname = (char *)"node";
	c.spaces.network = c.spaces.pid = c.spaces.ipc = RUNTIME__V1__NAMESPACE_MODE__NODE;
	is(&c, "", "{\"sandbox\":{\"namespaces\":[],\"pids\":\"node\"},\"created_ns\":5}");
	refused(&c, "/run/netns/n", EINVAL, "in the node's network and in /run/netns/n");
}

static void a_slice_is_systemds(void **state)
{
	struct config c;

	(void)state;
	begin(&c);
	c.spaces.network = c.spaces.ipc = RUNTIME__V1__NAMESPACE_MODE__NODE;
	c.on_linux.cgroup_parent = (char *)"/kubepods.slice/kubepods-pod1.slice";
	is(&c, "",
	   "{\"sandbox\":{\"namespaces\":[],\"pids\":\"own\"},\"created_ns\":5,\"cgroups_path\":"
	   "\"kubepods-pod1.slice:cri-containerd:p1\",\"options\":{\"systemd_cgroup\":true}}");
}

static void a_user_namespace_is_refused_and_the_nodes_is_not(void **state)
{
	struct err err = ERR_INIT;
	json_object *o = NULL;
	struct config c;

	(void)state;
	begin(&c);
	c.spaces.userns_options = &c.user;
	refused(&c, "", ENOTSUP, "user namespace");
	c.user.mode = RUNTIME__V1__NAMESPACE_MODE__NODE;
	assert_int_equal(decode(&c, "", &o, &err), 0);
	json_object_put(o);
}

static void only_sysctls_of_its_own_namespaces_are_set(void **state)
{
	static const char *const never[] = { "kernel.panic", "vm.swappiness", "kernel.hostname",
					     "net/core/somaxconn", "net...kernel.panic", "net" };
	static const char *const ipc[] = { "kernel.shmmax", "kernel.msgmax", "kernel.sem",
					   "fs.mqueue.msg_max" };
	struct err err = ERR_INIT;
	json_object *o = NULL;
	struct config c;

	(void)state;
	begin(&c);
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		set_sysctl(&c, never[i], "1");
		refused(&c, "", EINVAL, never[i]);
	}
	for (size_t i = 0; i < sizeof(ipc) / sizeof(ipc[0]); i++) {
		set_sysctl(&c, ipc[i], "1");
		c.spaces.ipc = RUNTIME__V1__NAMESPACE_MODE__NODE;
		refused(&c, "", EINVAL, ipc[i]);
		c.spaces.ipc = RUNTIME__V1__NAMESPACE_MODE__POD;
		assert_int_equal(decode(&c, "", &o, &err), 0);
		json_object_put(o);
	}
	c.spaces.network = RUNTIME__V1__NAMESPACE_MODE__NODE;
	set_sysctl(&c, "net.core.somaxconn", "1");
	refused(&c, "", EINVAL, "net.core.somaxconn");
	set_sysctl(&c, "kernel.domainname", "d");
	refused(&c, "", EINVAL, "kernel.domainname");
}

static void another_config_is_refused_by_its_type(void **state)
{
	struct pod_in in = { .id = "p1", .netns = "", .type = "a/b.Other", .value = "", .len = 0 };
	struct err err = ERR_INIT;
	json_object *o = NULL;

	(void)state;
	assert_int_equal(pod_request(&o, &in, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "b.Other"));
	in.type = "types/runtime.v1.PodSandboxConfig";
	in.value = "\xff";
	in.len = 1;
	err = (struct err)ERR_INIT;
	assert_int_equal(pod_request(&o, &in, &err), -EINVAL);
	assert_null(o);
}

static void a_config_beyond_the_limit_is_not_decoded(void **state)
{
	struct pod_in in = { .id = "p1", .netns = "", .type = "runtime.v1.PodSandboxConfig",
			     .value = "", .len = 256 * 1024 + 1 };
	struct err err = ERR_INIT;
	json_object *o = NULL;

	(void)state;
	assert_int_equal(pod_request(&o, &in, &err), -E2BIG);
	assert_non_null(strstr(err.text, "262145"));
	assert_null(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_config_all_namespaces_are_its_own),
		cmocka_unit_test(a_pod_has_its_name_network_and_cgroup),
		cmocka_unit_test(what_is_the_nodes_is_not_made),
		cmocka_unit_test(a_slice_is_systemds),
		cmocka_unit_test(a_user_namespace_is_refused_and_the_nodes_is_not),
		cmocka_unit_test(only_sysctls_of_its_own_namespaces_are_set),
		cmocka_unit_test(another_config_is_refused_by_its_type),
		cmocka_unit_test(a_config_beyond_the_limit_is_not_decoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
