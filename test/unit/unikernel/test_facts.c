/* SPDX-License-Identifier: Apache-2.0 */
/* What a rootfs says of itself. */
#include "supervisor/unikernel/facts.h"
#include "test/lib/fake_node.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define ROOT "/b/c1/rootfs"
#define KEY(name) "\"com.urunc.unikernel." name "\":"
/* linux, qemu, /k */
#define LINUX KEY("unikernelType") "\"bGludXg=\"," KEY("hypervisor") "\"cWVtdQ==\"," \
	KEY("binary") "\"L2s=\""

static void is_root(const char *path, const char *expected)
{
	struct spec spec = { .root_path = path };
	struct err err = ERR_INIT;
	char *root = NULL;

	assert_int_equal(facts_root(&root, &spec, "/b/c1", &err), 0);
	assert_string_equal(root, expected);
	free(root);
}

static void the_rootfs_is_below_the_bundle_unless_it_is_absolute(void **state)
{
	struct spec spec = { .root_path = "" };
	struct err err = ERR_INIT;
	char *root = NULL;

	(void)state;
	is_root("rootfs", ROOT);
	is_root("rootfs/", ROOT);
	is_root("/srv/r//", "/srv/r");
	assert_int_equal(facts_root(&root, &spec, "/b/c1", &err), -EINVAL);
	assert_string_equal(err.text, "/b/c1/config.json has no root.path");
}

static int describe(struct fake_node *f, const char *annotations, json_object **ret,
		    struct err *why)
{
	json_object *a = annotations ? json_tokener_parse(annotations) : NULL;
	int rc = facts_unikernel(&f->node, ROOT, a, ret, why);

	json_object_put(a);
	return rc;
}

static void says(const char *file, const char *annotations, const char *expected)
{
	struct fake_node f;
	json_object *o = NULL;
	struct err why = ERR_INIT;

	fake_node_init(&f);
	fake_add_file(&f, ROOT "/urunc.json", file);
	if (describe(&f, annotations, &o, &why) != 1)
		fail_msg("%s", why.text);
	assert_string_equal(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE),
			    expected);
	json_object_put(o);
	fake_node_clear(&f);
}

static void values_of_the_file_are_decoded(void **state)
{
	(void)state;
	says("{" LINUX "," KEY("mountRootfs") "\"dHJ1ZQ==\"}", NULL,
	     "{\"type\":\"linux\",\"monitor\":\"qemu\",\"binary\":\"/k\",\"mount_rootfs\":true}");
}

/* "dHJ1ZQ==" is text like any other there. */
static void a_file_with_a_plain_type_is_plain(void **state)
{
	(void)state;
	says("{" KEY("unikernelType") "\"linux\"," KEY("hypervisor") "\"qemu\"," KEY("binary")
	     "\"/k\"," KEY("cmdline") "\"dHJ1ZQ==\"," KEY("mountRootfs") "\"true\"}", NULL,
	     "{\"type\":\"linux\",\"monitor\":\"qemu\",\"binary\":\"/k\",\"cmdline\":\"dHJ1ZQ==\","
	     "\"mount_rootfs\":true}");
}

static void the_bundle_wins_key_by_key(void **state)
{
	(void)state;
	says("{" LINUX "}", "{" KEY("hypervisor") "\"firecracker\"," KEY("initrd") "\"/i\"}",
	     "{\"type\":\"linux\",\"monitor\":\"firecracker\",\"binary\":\"/k\",\"initrd\":\"/i\"}");
}

/* Whoever builds an image must not open the node's vsock. */
static void vaccel_is_never_taken_from_the_file(void **state)
{
	(void)state;
	says("{" LINUX "," KEY("vAccel") "\"vsock\"," KEY("RPCAddress") "\"vsock://2:1\"}", NULL,
	     "{\"type\":\"linux\",\"monitor\":\"qemu\",\"binary\":\"/k\"}");
}

static void says_nothing(const char *file, const char *reason)
{
	struct fake_node f;
	json_object *o = NULL;
	struct err why = ERR_INIT;

	fake_node_init(&f);
	if (file)
		fake_add_file(&f, ROOT "/urunc.json", file);
	assert_int_equal(describe(&f, NULL, &o, &why), 0);
	assert_null(o);
	assert_string_equal(why.text, reason);
	fake_node_clear(&f);
}

static void a_file_that_is_none_makes_no_unikernel(void **state)
{
	(void)state;
	says_nothing(NULL, "there is no urunc.json in the rootfs");
	says_nothing("", "urunc.json is no JSON object");
	says_nothing("{\"a\":", "urunc.json is no JSON object");
	says_nothing("[1]", "urunc.json is no JSON object");
	says_nothing("{}", "urunc.json lacks the type, the monitor or the binary");
	says_nothing("{" KEY("unikernelType") "7}", "urunc.json lacks the type, the monitor or the "
						    "binary");
}

static void a_file_that_is_too_long_or_a_link_is_not_read(void **state)
{
	struct fake_node f;
	char *large = malloc(65536 + 2);
	json_object *o = NULL;
	struct err why = ERR_INIT;

	(void)state;
	assert_non_null(large);
	memset(large, ' ', 65536 + 1);
	large[65536 + 1] = '\0';
	fake_node_init(&f);
	fake_add_file(&f, ROOT "/urunc.json", large);
	assert_int_equal(describe(&f, NULL, &o, &why), 0);
	assert_int_equal(why.code, EFBIG);
	fake_remove(&f, ROOT "/urunc.json");
	fake_add_file(&f, ROOT "/urunc.json", "{" LINUX "}")->what.mode = S_IFLNK | 0777;
	assert_int_equal(describe(&f, NULL, &o, &why), 0);
	assert_string_equal(why.text, "urunc.json is no regular file");
	assert_null(o);
	free(large);
	fake_node_clear(&f);
}

static void a_file_is_looked_for_below_the_rootfs_and_no_link_is_followed(void **state)
{
	struct fake_node f;

	(void)state;
	fake_node_init(&f);
	assert_int_equal(facts_file(&f.node, ROOT, "/k"), FILE_UNSURE);
	fake_add_dir(&f, ROOT);
	fake_add_dir(&f, ROOT "/boot");
	fake_add_file(&f, ROOT "/boot/my kernel", "");
	fake_add_file(&f, ROOT "/link", "")->what.mode = S_IFLNK | 0777;
	assert_int_equal(facts_file(&f.node, ROOT, "/boot/my kernel"), FILE_THERE);
	assert_int_equal(facts_file(&f.node, ROOT, "boot//my kernel"), FILE_THERE);
	assert_int_equal(facts_file(&f.node, ROOT, "/boot/k"), FILE_MISSING);
	assert_int_equal(facts_file(&f.node, ROOT, "/boot"), FILE_MISSING);
	assert_int_equal(facts_file(&f.node, ROOT, "/boot/my kernel/x"), FILE_MISSING);
	assert_int_equal(facts_file(&f.node, ROOT, "/link"), FILE_UNSURE);
	assert_int_equal(facts_file(&f.node, ROOT, "/link/k"), FILE_UNSURE);
	assert_int_equal(facts_file(&f.node, ROOT, "/../k"), FILE_UNSURE);
	assert_int_equal(facts_file(&f.node, ROOT, ""), FILE_UNSURE);
	fake_node_clear(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rootfs_is_below_the_bundle_unless_it_is_absolute),
		cmocka_unit_test(values_of_the_file_are_decoded),
		cmocka_unit_test(a_file_with_a_plain_type_is_plain),
		cmocka_unit_test(the_bundle_wins_key_by_key),
		cmocka_unit_test(vaccel_is_never_taken_from_the_file),
		cmocka_unit_test(a_file_that_is_none_makes_no_unikernel),
		cmocka_unit_test(a_file_that_is_too_long_or_a_link_is_not_read),
		cmocka_unit_test(a_file_is_looked_for_below_the_rootfs_and_no_link_is_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
