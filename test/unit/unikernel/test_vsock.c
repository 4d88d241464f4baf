/* SPDX-License-Identifier: Apache-2.0 */
/* What the annotations of vAccel ask for. */
#include "supervisor/unikernel/vsock.h"

#include "journal/base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KEY "annotation com.urunc.unikernel."

static int take(struct vsock *v, json_object **o, const char *type, const char *monitor,
		const char *address, struct err *err)
{
	char text[512];

	(void)snprintf(text, sizeof(text), "{\"type\":\"%s\",\"monitor\":\"%s\",\"vaccel\":\"vsock\","
		       "\"rpc_address\":\"%s\"}", type, monitor, address);
	*o = json_tokener_parse(text);
	assert_non_null(*o);
	return vsock_read(v, *o, err);
}

static void is_read(const char *monitor, const char *address, uint32_t port, const char *folder)
{
	json_object *o = NULL;
	struct err err = ERR_INIT;
	struct vsock v;

	if (take(&v, &o, "linux", monitor, address, &err) != 1)
		fail_msg("%s: %s", address, err.text);
	assert_int_equal(v.port, port);
	assert_int_equal(v.kernel, folder == NULL);
	assert_int_equal(v.folder_len, folder ? strlen(folder) : 0);
	assert_memory_equal(v.folder ? v.folder : "", folder ? folder : "", (size_t)v.folder_len);
	json_object_put(o);
}

static void is_refused(const char *type, const char *monitor, const char *address, int code,
		       const char *why)
{
	json_object *o = NULL;
	struct err err = ERR_INIT;
	struct vsock v;

	assert_int_equal(take(&v, &o, type, monitor, address, &err), -code);
	assert_string_equal(err.text, why);
	json_object_put(o);
}

static void each_monitor_has_its_form_of_address(void **state)
{
	(void)state;
	is_read("qemu", "vsock://2:1", 1, NULL);
	is_read("qemu", "vsock://2:4294967294", 4294967294, NULL);
	is_read("firecracker", "unix:///run/my agent/vaccel.sock_2048", 2048, "/run/my agent");
	is_read("cloud-hypervisor", "unix:///a..b/vaccel.sock_9", 9, "/a..b");
}

static void an_address_of_another_form_is_refused_by_name(void **state)
{
	static const char *const qemu[] = {
		"", "vsock://3:1", "vsock://2:", "vsock://2:0", "vsock://2:-1", "vsock://2:1x",
		"vsock://2:4294967295", "vsock://2:18446744073709551617", "unix:///r/vaccel.sock_1",
	};
	static const char *const own[] = {
		"vsock://2:1", "unix://vaccel.sock_1", "unix:///vaccel.sock_1", "unix://r/vaccel.sock_1",
		"unix:///r/vaccel.sock", "unix:///r/other.sock_1", "unix:///r/vaccel.sock_0",
		"unix:///r/../etc/vaccel.sock_1", "unix:///r/../vaccel.sock_1",
		"unix:///r\\nx/vaccel.sock_1",
	};
	struct err err = ERR_INIT;

	(void)state;
	is_refused("linux", "qemu", "tcp://1", EINVAL, KEY "RPCAddress: \"tcp://1\" is not "
		   "vsock://2:PORT, as monitor \"qemu\" needs it");
	is_refused("linux", "firecracker", "vsock://2:1", EINVAL, KEY "RPCAddress: \"vsock://2:1\" is "
		   "not unix://FOLDER/vaccel.sock_PORT, as monitor \"firecracker\" needs it");
	for (size_t i = 0; i < ARRAY_SIZE(qemu) + ARRAY_SIZE(own); i++) {
		bool is_own = i >= ARRAY_SIZE(qemu);
		const char *address = is_own ? own[i - ARRAY_SIZE(qemu)] : qemu[i];
		json_object *o = NULL;
		struct vsock v;

		if (take(&v, &o, "linux", is_own ? "firecracker" : "qemu", address, &err) != -EINVAL)
			fail_msg("%s is taken", address);
		json_object_put(o);
	}
}

static void who_can_not_have_it_is_refused_by_name(void **state)
{
	(void)state;
	is_refused("rumprun", "hvt", "vsock://2:1", ENOTSUP, KEY "vAccel: monitor \"hvt\" has no vsock; "
		   "use qemu, firecracker or cloud-hypervisor");
	is_refused("mewz", "qemu", "vsock://2:1", ENOTSUP, KEY "vAccel: type \"mewz\" has no "
		   "environment, so it can't be told where vAccel is");
	is_refused("linux", "none", "vsock://2:1", ENOTSUP,
		   KEY "vAccel: its monitor or its type is not known");
}

static void read_text(const char *text, int expected)
{
	json_object *o = json_tokener_parse(text);
	struct err err = ERR_INIT;
	struct vsock v;

	assert_int_equal(vsock_read(&v, o, &err), expected);
	json_object_put(o);
}

static void only_the_word_vsock_asks_for_it(void **state)
{
	(void)state;
	read_text("{\"type\":\"linux\",\"monitor\":\"qemu\"}", 0);
	read_text("{\"type\":\"mewz\",\"monitor\":\"qemu\",\"rpc_address\":\"x\"}", 0);
	read_text("{\"type\":\"linux\",\"monitor\":\"qemu\",\"vaccel\":\"yes\"}", -EINVAL);
	read_text("{\"type\":\"unikraft\",\"version\":\"0.15.0\",\"monitor\":\"qemu\","
		  "\"vaccel\":\"vsock\",\"rpc_address\":\"vsock://2:1\"}", -ENOTSUP);
	read_text("{\"type\":\"unikraft\",\"version\":\"0.17.0\",\"monitor\":\"qemu\","
		  "\"vaccel\":\"vsock\",\"rpc_address\":\"vsock://2:1\"}", 1);
}

static void a_number_is_never_a_reserved_one(void **state)
{
	(void)state;
	assert_int_equal(vsock_cid(0), VSOCK_CID_MIN);
	assert_int_equal(vsock_cid(UINT32_MAX - 4), VSOCK_CID_MAX);
	assert_int_equal(vsock_cid(UINT32_MAX - 3), VSOCK_CID_MIN);
	assert_true(vsock_cid(UINT64_MAX) >= VSOCK_CID_MIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_monitor_has_its_form_of_address),
		cmocka_unit_test(an_address_of_another_form_is_refused_by_name),
		cmocka_unit_test(who_can_not_have_it_is_refused_by_name),
		cmocka_unit_test(only_the_word_vsock_asks_for_it),
		cmocka_unit_test(a_number_is_never_a_reserved_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
