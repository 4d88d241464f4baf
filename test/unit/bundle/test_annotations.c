/* SPDX-License-Identifier: Apache-2.0 */
/* Which bundle is a unikernel, in plain annotations and in old ones. */
#include "supervisor/bundle/annotations.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEY(name) "\"com.urunc.unikernel." name "\":"

static void describes(const char *annotations, const char *expected)
{
	json_object *in = json_tokener_parse(annotations);
	json_object *out = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(annotations_unikernel(in, &out, &err), 1);
	assert_string_equal(json_object_to_json_string_ext(out, JSON_C_TO_STRING_PLAIN |
								JSON_C_TO_STRING_NOSLASHESCAPE),
			    expected);
	json_object_put(out);
	json_object_put(in);
}

static void is_none(const char *annotations)
{
	json_object *in = annotations ? json_tokener_parse(annotations) : NULL;
	json_object *out = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(annotations_unikernel(in, &out, &err), 0);
	assert_null(out);
	json_object_put(in);
}

static void type_monitor_and_binary_make_a_unikernel(void **state)
{
	(void)state;
	describes("{" KEY("unikernelType") "\"unikraft\"," KEY("hypervisor") "\"qemu\","
		  KEY("binary") "\"/unikernel/app\"}",
		  "{\"type\":\"unikraft\",\"monitor\":\"qemu\",\"binary\":\"/unikernel/app\"}");
}

static void one_of_the_three_missing_makes_none(void **state)
{
	(void)state;
	is_none(NULL);
	is_none("{}");
	is_none("{" KEY("unikernelType") "\"linux\"," KEY("hypervisor") "\"qemu\"}");
	is_none("{" KEY("unikernelType") "\"\"," KEY("hypervisor") "\"qemu\"," KEY("binary")
		"\"/k\"}");
}

static void values_of_an_old_image_are_decoded(void **state)
{
	(void)state;
	/* hvt, mirage, /app; vAccel was never encoded. */
	describes("{" KEY("unikernelType") "\"bWlyYWdl\"," KEY("hypervisor") "\"aHZ0\","
		  KEY("binary") "\"L2FwcA==\"," KEY("mountRootfs") "\"dHJ1ZQ==\","
		  KEY("vAccel") "\"vsock\"}",
		  "{\"type\":\"mirage\",\"monitor\":\"hvt\",\"binary\":\"/app\","
		  "\"mount_rootfs\":true,\"vaccel\":\"vsock\"}");
}

static void plain_values_that_look_encoded_are_kept(void **state)
{
	(void)state;
	/* "aGVs" would decode to "hel": the known type says that nothing is encoded. */
	describes("{" KEY("unikernelType") "\"linux\"," KEY("hypervisor") "\"qemu\","
		  KEY("binary") "\"aGVs\"," KEY("mountRootfs") "\"maybe\"}",
		  "{\"type\":\"linux\",\"monitor\":\"qemu\",\"binary\":\"aGVs\","
		  "\"mount_rootfs_text\":\"maybe\",\"mount_rootfs\":false}");
}

static void a_value_without_bounds_is_refused(void **state)
{
	json_object *in = json_object_new_object();
	json_object *out = NULL;
	struct err err = ERR_INIT;
	char *text = calloc(1, ANNOTATION_MAX + 2);

	(void)state;
	assert_non_null(text);
	memset(text, 'x', ANNOTATION_MAX + 1);
	json_object_object_add(in, "com.urunc.unikernel.cmdline", json_object_new_string(text));
	assert_int_equal(annotations_unikernel(in, &out, &err), -EINVAL);
	assert_string_equal(err.text, "annotation com.urunc.unikernel.cmdline is 4097 bytes long, "
				      "and the limit is 4096");
	free(text);
	json_object_put(in);
}

static void base64_is_strict_and_of_text(void **state)
{
	char out[16];

	(void)state;
	assert_int_equal(annotations_base64("aGVsbG8=", out, sizeof(out)), 5);
	assert_string_equal(out, "hello");
	assert_int_equal(annotations_base64("", out, sizeof(out)), -1);
	assert_int_equal(annotations_base64("====", out, sizeof(out)), -1);
	assert_int_equal(annotations_base64("aGVsbG8", out, sizeof(out)), -1);
	assert_int_equal(annotations_base64("aG=sbG8=", out, sizeof(out)), -1);
	assert_int_equal(annotations_base64("aGVsbG9=", out, sizeof(out)), -1);
	assert_int_equal(annotations_base64("/w==", out, sizeof(out)), -1);
	assert_int_equal(annotations_base64("aGVsbG8=", out, 5), -1);
}

static const char *text_of(json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						 JSON_C_TO_STRING_NOSLASHESCAPE);
}

static int adds(json_object *to, const char *from, const char *who, json_object *origin)
{
	json_object *in = from ? json_tokener_parse(from) : NULL;
	struct err err = ERR_INIT;
	int rc = annotations_add(to, in, who, origin, &err);

	json_object_put(in);
	return rc;
}

static void who_comes_first_wins_key_by_key_and_each_is_decoded_by_itself(void **state)
{
	json_object *to = json_object_new_object();
	json_object *origin = json_object_new_object();

	(void)state;
	assert_int_equal(adds(to, "{" KEY("cmdline") "\"a b\"," KEY("vAccel") "\"vsock\"}",
			      ANNOTATION_BUNDLE, origin), 0);
	/* mewz, qemu, in base64 */
	assert_int_equal(adds(to, "{" KEY("unikernelType") "\"bWV3eg==\"," KEY("hypervisor")
			      "\"cWVtdQ==\"," KEY("cmdline") "\"Yw==\",\"other\":\"x\"}",
			      "manifest", origin), 0);
	assert_int_equal(adds(to, "{" KEY("unikernelType") "\"linux\"," KEY("binary") "\"/k\","
			      KEY("block") "\"\"," KEY("initrd") "7}", "label", origin), 0);
	assert_int_equal(adds(to, NULL, "label", origin), 0);
	assert_string_equal(text_of(to), "{" KEY("cmdline") "\"a b\"," KEY("vAccel") "\"vsock\","
			    KEY("unikernelType") "\"mewz\"," KEY("hypervisor") "\"qemu\","
			    KEY("binary") "\"/k\"}");
	assert_string_equal(text_of(origin), "{\"cmdline\":\"bundle\",\"vaccel\":\"bundle\","
			    "\"type\":\"manifest\",\"monitor\":\"manifest\",\"binary\":\"label\"}");
	json_object_put(to);
	json_object_put(origin);
}

static void an_image_can_not_ask_for_what_is_the_nodes(void **state)
{
	json_object *to = json_object_new_object();

	(void)state;
	assert_int_equal(adds(to, "{" KEY("vAccel") "\"vsock\"," KEY("RPCAddress") "\"vsock://2:1\","
			      KEY("network") "\"static\"}", "manifest", to), 0);
	assert_string_equal(text_of(to), "{}");
	json_object_put(to);
}

static void of_a_source_with_a_value_too_long_nothing_is_taken(void **state)
{
	json_object *to = json_object_new_object();
	char from[ANNOTATION_MAX + 200];

	(void)state;
	(void)snprintf(from, sizeof(from), "{" KEY("unikernelType") "\"mewz\"," KEY("binary")
		       "\"%0*d\"}", ANNOTATION_MAX + 1, 0);
	assert_int_equal(adds(to, from, "label", to), -EINVAL);
	assert_string_equal(text_of(to), "{}");
	json_object_put(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(type_monitor_and_binary_make_a_unikernel),
		cmocka_unit_test(one_of_the_three_missing_makes_none),
		cmocka_unit_test(values_of_an_old_image_are_decoded),
		cmocka_unit_test(plain_values_that_look_encoded_are_kept),
		cmocka_unit_test(a_value_without_bounds_is_refused),
		cmocka_unit_test(base64_is_strict_and_of_text),
		cmocka_unit_test(who_comes_first_wins_key_by_key_and_each_is_decoded_by_itself),
		cmocka_unit_test(an_image_can_not_ask_for_what_is_the_nodes),
		cmocka_unit_test(of_a_source_with_a_value_too_long_nothing_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
