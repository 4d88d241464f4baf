/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: the members that decide, and the bundles that can't work. */
#include "supervisor/bundle/spec.h"
#include "test/lib/fake_node.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void refuses(const char *text, const char *why)
{
	struct spec spec;
	struct err err = ERR_INIT;

	assert_int_equal(spec_parse(&spec, text, strlen(text), &err), -EINVAL);
	assert_string_equal(err.text, why);
	assert_null(spec.json);
}

static struct spec parse(const char *text)
{
	struct spec spec;
	struct err err = ERR_INIT;

	if (spec_parse(&spec, text, strlen(text), &err) < 0)
		fail_msg("%s", err.text);
	return spec;
}

static void an_empty_object_is_a_spec_without_anything(void **state)
{
	struct spec spec = parse("{}\n");

	(void)state;
	assert_null(spec.group);
	assert_null(spec.annotations);
	assert_string_equal(spec.cgroups_path, "");
	assert_string_equal(spec.root_path, "");
	assert_false(spec.own_pidns);
	assert_false(spec.terminal);
	spec_clear(&spec);
}

static void what_decides_is_read(void **state)
{
	struct spec spec = parse(
		"{\"root\":{\"path\":\"rootfs\"},\"process\":{\"terminal\":true},"
		"\"linux\":{\"cgroupsPath\":\"/default/c1\",\"namespaces\":["
		"{\"type\":\"pid\"},{\"type\":\"network\",\"path\":\"/proc/7/ns/net\"}]}}");

	(void)state;
	assert_string_equal(spec.cgroups_path, "/default/c1");
	assert_string_equal(spec.root_path, "rootfs");
	assert_true(spec.terminal);
	assert_true(spec.own_pidns);
	assert_false(spec.own_netns);
	assert_string_equal(spec.netns, "/proc/7/ns/net");
	spec_clear(&spec);
}

static void a_pid_namespace_with_a_path_is_shared(void **state)
{
	struct spec spec = parse("{\"linux\":{\"namespaces\":["
				 "{\"type\":\"pid\",\"path\":\"/proc/1/ns/pid\"}]}}");

	(void)state;
	assert_false(spec.own_pidns);
	spec_clear(&spec);
}

static void the_first_group_annotation_wins_even_if_it_is_empty(void **state)
{
	struct spec both = parse("{\"annotations\":{\"io.kubernetes.cri.sandbox-id\":\"pod\","
				 "\"io.containerd.runc.v2.group\":\"\"}}");
	struct spec one = parse("{\"annotations\":{\"io.kubernetes.cri.sandbox-id\":\"pod\"}}");

	(void)state;
	assert_string_equal(both.group, "");
	assert_string_equal(one.group, "pod");
	spec_clear(&both);
	spec_clear(&one);
}

static void null_members_are_absent_members(void **state)
{
	struct spec spec = parse("{\"annotations\":null,\"linux\":null,\"root\":null}");

	(void)state;
	assert_null(spec.annotations);
	spec_clear(&spec);
}

static void what_is_no_json_is_refused_with_the_place(void **state)
{
	(void)state;
	refuses("", "not JSON: it ends too early at byte 0");
	refuses("{\"a\":", "not JSON: it ends too early at byte 5");
	refuses("{} x", "not JSON: more text after its end, at byte 3");
	refuses("[]", "the outermost value is no object");
}

static void a_member_of_the_wrong_type_is_named(void **state)
{
	(void)state;
	refuses("{\"annotations\":{\"a\":7}}", "annotation \"a\" is no string");
	refuses("{\"linux\":[]}", "\"linux\" is a array where a object belongs");
	refuses("{\"linux\":{\"cgroupsPath\":\"/a\\u0000b\"}}",
		"\"cgroupsPath\" holds a NUL character");
	refuses("{\"linux\":{\"cgroupsPath\":\"/a/../b\"}}",
		"\"cgroupsPath\" /a/../b has a .. in it; write the path without");
	refuses("{\"linux\":{\"cgroupsPath\":\"..\"}}",
		"\"cgroupsPath\" .. has a .. in it; write the path without");
	refuses("{\"linux\":{\"namespaces\":[7]}}", "a namespace is no object");
}

static void a_bundle_without_config_json_is_refused(void **state)
{
	struct fake_node f;
	struct spec spec;
	struct err err = ERR_INIT;

	(void)state;
	fake_node_init(&f);
	assert_int_equal(spec_load(&spec, &f.node, "/b", &err), -EINVAL);
	assert_string_equal(err.text, "/b/config.json: there is no such file; the bundle is not "
				      "complete");
	fake_add_dir(&f, "/b/config.json");
	assert_int_equal(spec_load(&spec, &f.node, "/b", &err), -EINVAL);
	assert_string_equal(err.text, "/b/config.json: not a regular file");
	fake_node_clear(&f);
}

static void a_config_json_that_is_too_long_is_refused_with_both_sizes(void **state)
{
	struct fake_node f;
	struct spec spec;
	struct err err = ERR_INIT;

	(void)state;
	fake_node_init(&f);
	fake_add_file(&f, "/b/config.json", "{}")->what.size = 20000000;
	assert_int_equal(spec_load(&spec, &f.node, "/b", &err), -EFBIG);
	assert_string_equal(err.text,
			    "/b/config.json: 20000000 bytes, and the limit is 16777216");
	fake_node_clear(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_object_is_a_spec_without_anything),
		cmocka_unit_test(what_decides_is_read),
		cmocka_unit_test(a_pid_namespace_with_a_path_is_shared),
		cmocka_unit_test(the_first_group_annotation_wins_even_if_it_is_empty),
		cmocka_unit_test(null_members_are_absent_members),
		cmocka_unit_test(what_is_no_json_is_refused_with_the_place),
		cmocka_unit_test(a_member_of_the_wrong_type_is_named),
		cmocka_unit_test(a_bundle_without_config_json_is_refused),
		cmocka_unit_test(a_config_json_that_is_too_long_is_refused_with_both_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
