/* SPDX-License-Identifier: Apache-2.0 */
/* Runtime options: none, runc's, a TOML table in runtimeoptions, and a file. */
#include "supervisor/bundle/options.h"

#include "proto/api/runc_options.pb-c.h"
#include "proto/api/runtime_options.pb-c.h"
#include "test/lib/fake_node.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

static void decodes(const char *type, const void *value, size_t len, const char *expected)
{
	json_object *o = NULL;
	struct err err = ERR_INIT;

	if (options_decode(&o, type, value, len, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE),
			    expected);
	json_object_put(o);
}

static size_t toml(uint8_t *buf, const char *body, const char *path)
{
	Runtimeoptions__V1__Options m = RUNTIMEOPTIONS__V1__OPTIONS__INIT;

	m.config_path = (char *)path;
	m.config_body.data = (uint8_t *)body;
	m.config_body.len = strlen(body);
	return runtimeoptions__v1__options__pack(&m, buf);
}

static void no_options_are_an_empty_object(void **state)
{
	(void)state;
	decodes("", NULL, 0, "{}");
	decodes("containerd.runc.v1.Options", NULL, 0, "{}");
	decodes("runtimeoptions.v1.Options", NULL, 0, "{}");
}

static void runc_options_are_taken_over(void **state)
{
	Containerd__Runc__V1__Options m = CONTAINERD__RUNC__V1__OPTIONS__INIT;
	uint8_t buf[256];
	size_t len;

	(void)state;
	m.no_pivot_root = true;
	m.no_new_keyring = true;
	m.systemd_cgroup = true;
	m.binary_name = (char *)"crun";
	m.root = (char *)"/r";
	m.io_uid = 7;
	len = containerd__runc__v1__options__pack(&m, buf);
	decodes("type.googleapis.com/containerd.runc.v1.Options", buf, len,
		"{\"no_pivot_root\":true,\"no_new_keyring\":true,\"systemd_cgroup\":true,"
		"\"binary_name\":\"crun\",\"root\":\"/r\",\"io_uid\":7}");
}

static void a_toml_table_is_read_by_containerds_names_and_ours(void **state)
{
	uint8_t buf[256];
	size_t len = toml(buf, "SystemdCgroup = true\n  BinaryName = \"urunc\"\nio_gid = 5\n", "");

	(void)state;
	decodes("runtimeoptions.v1.Options", buf, len,
		"{\"systemd_cgroup\":true,\"binary_name\":\"urunc\",\"io_gid\":5}");
}

static void keys_without_a_meaning_are_listed(void **state)
{
	uint8_t buf[256];
	size_t len = toml(buf, "SystemdCgruop = true\nTaskApiVersion = 3\n", "/etc/x.toml");

	(void)state;
	decodes("runtimeoptions.v1.Options", buf, len,
		"{\"config_path\":\"/etc/x.toml\",\"unknown\":[\"SystemdCgruop\","
		"\"TaskApiVersion\"]}");
}

static void refuses(const char *type, const void *value, size_t len, int code, const char *why)
{
	json_object *o = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(options_decode(&o, type, value, len, &err), -code);
	assert_string_equal(err.text, why);
	assert_null(o);
}

static void another_type_is_refused_by_name(void **state)
{
	(void)state;
	refuses("io.example.Options", "", 0, ENOTSUP,
		"options of type \"io.example.Options\" are not known; send "
		"containerd.runc.v1.Options or runtimeoptions.v1.Options");
}

static void bytes_that_are_no_message_are_refused(void **state)
{
	(void)state;
	refuses("containerd.runc.v1.Options", "\x1a\xff", 2, EINVAL,
		"options: the bytes are no containerd.runc.v1.Options");
	refuses("runtimeoptions.v1.Options", "\x1a\xff", 2, EINVAL,
		"options: the bytes are no runtimeoptions.v1.Options");
}

static void a_setting_of_the_wrong_type_is_named(void **state)
{
	uint8_t buf[256];
	size_t len = toml(buf, "\nSystemdCgroup = \"true\"\n", "");

	(void)state;
	refuses("runtimeoptions.v1.Options", buf, len, EINVAL,
		"options in containerd's config: line 2: SystemdCgroup must be true or false");
	len = toml(buf, "IoUid = -1\n", "");
	refuses("runtimeoptions.v1.Options", buf, len, EINVAL,
		"options in containerd's config: line 1: IoUid must be from 0 to 4294967295");
}

static json_object *named(const char *path)
{
	uint8_t buf[256];
	json_object *o = NULL;
	struct err err = ERR_INIT;
	size_t len = toml(buf, "", path);

	assert_int_equal(options_decode(&o, "runtimeoptions.v1.Options", buf, len, &err), 0);
	return o;
}

static void a_file_that_is_named_is_read(void **state)
{
	json_object *o = named("/etc/x.toml");
	struct fake_node f;
	struct err err = ERR_INIT;

	(void)state;
	fake_node_init(&f);
	fake_add_file(&f, "/etc/x.toml", "BinaryName = \"crun\"\n");
	assert_int_equal(options_follow(o, &f.node, &err), 0);
	assert_string_equal(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							   JSON_C_TO_STRING_NOSLASHESCAPE),
			    "{\"config_path\":\"/etc/x.toml\",\"binary_name\":\"crun\"}");
	json_object_put(o);
	fake_node_clear(&f);
}

static void a_file_that_can_not_be_read_is_refused_by_name(void **state)
{
	json_object *o = named("/etc/x.toml");
	struct fake_node f;
	struct err err = ERR_INIT;

	(void)state;
	fake_node_init(&f);
	assert_int_equal(options_follow(o, &f.node, &err), -EINVAL);
	assert_string_equal(err.text, "options in /etc/x.toml: there is no such file; see the "
				      "runtime's ConfigPath");
	fake_add_dir(&f, "/etc/x.toml");
	assert_int_equal(options_follow(o, &f.node, &err), -EINVAL);
	assert_string_equal(err.text, "options in /etc/x.toml: not a regular file");
	json_object_put(o);
	fake_node_clear(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_options_are_an_empty_object),
		cmocka_unit_test(runc_options_are_taken_over),
		cmocka_unit_test(a_toml_table_is_read_by_containerds_names_and_ours),
		cmocka_unit_test(keys_without_a_meaning_are_listed),
		cmocka_unit_test(another_type_is_refused_by_name),
		cmocka_unit_test(bytes_that_are_no_message_are_refused),
		cmocka_unit_test(a_setting_of_the_wrong_type_is_named),
		cmocka_unit_test(a_file_that_is_named_is_read),
		cmocka_unit_test(a_file_that_can_not_be_read_is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
