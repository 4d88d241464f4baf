/* SPDX-License-Identifier: Apache-2.0 */
/* The request: everything a Create asks, in one object. */
#include "supervisor/bundle/request.h"

#include "journal/journal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void is(json_object *o, const char *expected)
{
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
								     JSON_C_TO_STRING_NOSLASHESCAPE);

	assert_string_equal(text, expected);
	json_object_put(o);
}

static void nothing_asked_is_a_request_of_defaults(void **state)
{
	struct spec spec = { .cgroups_path = "" };
	struct config config = { .rootfs_choice = CHOICE_BEST_EFFORT };
	struct request_in in = { .spec = &spec, .config = &config };
	struct err err = ERR_INIT;
	json_object *o = NULL;

	(void)state;
	assert_int_equal(request_make(&o, &in, &err), 0);
	is(o, "{\"rootfs_choice\":\"best-effort\",\"pid_namespace\":\"shared\"}");
}

static void everything_asked_is_kept(void **state)
{
	static const char *const words[] = { "lowerdir=/a:/b", "ro" };
	struct request_mount mount = { .type = "overlay", .source = "overlay", .options = words,
				       .n_options = 2 };
	json_object *user = json_tokener_parse("{\"process\":{\"user\":{\"uid\":7,\"gid\":0}}}");
	struct spec spec = { .json = user, .cgroups_path = "/default/c1", .own_pidns = true };
	struct config config = { .rootfs_choice = CHOICE_REQUIRED };
	json_object *options = json_tokener_parse("{\"binary_name\":\"crun\"}");
	struct request_in in = {
		.in = "/f/in", .out = "/f/out", .err = "/f/err", .console = "/c", .search = "/bin",
		.terminal = true, .rootfs = &mount, .n_rootfs = 1, .options = options,
		.spec = &spec, .config = &config,
	};
	struct err err = ERR_INIT;
	json_object *o = NULL;

	(void)state;
	assert_int_equal(request_make(&o, &in, &err), 0);
	is(o, "{\"stdin\":\"/f/in\",\"stdout\":\"/f/out\",\"stderr\":\"/f/err\","
	      "\"console\":\"/c\",\"path\":\"/bin\",\"terminal\":true,"
	      "\"options\":{\"binary_name\":\"crun\"},\"rootfs_choice\":\"required\","
	      "\"uid\":7,\"cgroups_path\":\"/default/c1\",\"pid_namespace\":\"private\","
	      "\"rootfs\":[{\"type\":\"overlay\",\"source\":\"overlay\",\"target\":\"\","
	      "\"options\":[\"lowerdir=/a:/b\",\"ro\"]}]}");
	json_object_put(options);
	json_object_put(user);
}

#define KEY "com.urunc.unikernel."

/* The network mode of a unikernel with these annotations; "": the request says none. */
static void has_network(const char *more, const char *expected)
{
	char text[512];
	struct spec spec = { .cgroups_path = "" };
	struct config config = { .debug = false };
	struct request_in in = { .spec = &spec, .config = &config };
	struct err err = ERR_INIT;
	json_object *o = NULL;
	json_object *unikernel = NULL;
	json_object *mode = NULL;

	(void)snprintf(text, sizeof(text), "{\"" KEY "unikernelType\":\"mewz\",\"" KEY "hypervisor\":"
		       "\"qemu\",\"" KEY "binary\":\"/k\"%s}", more);
	spec.annotations = json_tokener_parse(text);
	assert_int_equal(request_make(&o, &in, &err), 0);
	assert_true(json_object_object_get_ex(o, "unikernel", &unikernel));
	(void)json_object_object_get_ex(unikernel, "network", &mode);
	assert_string_equal(mode ? json_object_get_string(mode) : "", expected);
	json_object_put(o);
	json_object_put(spec.annotations);
}

static void the_network_is_as_annotated_or_as_knative_needs_it(void **state)
{
	(void)state;
	has_network("", "");
	has_network(",\"" KEY "network\":\"static\"", "static");
	has_network(",\"io.kubernetes.cri.container-name\":\"app\"", "");
	has_network(",\"io.kubernetes.cri.container-name\":\"user-container\"", "static");
	has_network(",\"io.kubernetes.cri.container-name\":\"user-container\",\"" KEY
		    "network\":\"dynamic\"", "dynamic");
}

static void so_is_that_of_a_unikernel_by_its_image_alone(void **state)
{
	struct spec spec = { .cgroups_path = "" };
	json_object *request = json_object_new_object();
	json_object *unikernel = json_tokener_parse("{\"type\":\"mewz\"}");
	struct err err = ERR_INIT;

	(void)state;
	spec.annotations = json_tokener_parse("{\"io.kubernetes.cri.container-name\":"
					      "\"user-container\"}");
	assert_int_equal(request_unikernel(request, &spec, unikernel, &err), 0);
	json_object_put(unikernel);
	json_object_put(spec.annotations);
	is(request, "{\"unikernel\":{\"type\":\"mewz\",\"network\":\"static\"}}");
}

static void a_request_that_the_journal_can_not_keep_is_refused(void **state)
{
	char *word = calloc(1, JOURNAL_TEXT_MAX + 1);
	const char *words[] = { word };
	struct request_mount mount = { .type = "overlay", .options = words, .n_options = 1 };
	struct spec spec = { .cgroups_path = "" };
	struct config config = { .debug = false };
	struct request_in in = { .rootfs = &mount, .n_rootfs = 1, .spec = &spec,
				 .config = &config };
	struct err err = ERR_INIT;
	json_object *o = NULL;

	(void)state;
	assert_non_null(word);
	memset(word, 'x', JOURNAL_TEXT_MAX);
	assert_int_equal(request_make(&o, &in, &err), -E2BIG);
	assert_non_null(strstr(err.text, "too many or too long mount options"));
	free(word);
}

static void the_root_is_the_options_or_containerds_with_the_namespace(void **state)
{
	json_object *given = json_tokener_parse("{\"root\":\"/r//\"}");
	json_object *bad = json_tokener_parse("{\"root\":\"/\"}");
	struct err err = ERR_INIT;
	char *root = NULL;

	(void)state;
	assert_int_equal(request_root(&root, NULL, "k8s.io", &err), 0);
	assert_string_equal(root, "/run/containerd/runc/k8s.io");
	free(root);
	assert_int_equal(request_root(&root, given, "k8s.io", &err), 0);
	assert_string_equal(root, "/r/k8s.io");
	free(root);
	assert_int_equal(request_root(&root, bad, "k8s.io", &err), -EINVAL);
	assert_string_equal(err.text, "option root \"/\" must be an absolute path, and not the root "
				      "folder");
	json_object_put(given);
	json_object_put(bad);
}

static void the_options_name_the_runtime_before_the_config(void **state)
{
	struct config config = { .runtime = (char *)"crun" };
	json_object *options = json_tokener_parse("{\"binary_name\":\"foo\"}");

	(void)state;
	assert_string_equal(request_runtime(options, &config), "foo");
	assert_string_equal(request_runtime(NULL, &config), "crun");
	json_object_put(options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_asked_is_a_request_of_defaults),
		cmocka_unit_test(everything_asked_is_kept),
		cmocka_unit_test(the_network_is_as_annotated_or_as_knative_needs_it),
		cmocka_unit_test(so_is_that_of_a_unikernel_by_its_image_alone),
		cmocka_unit_test(a_request_that_the_journal_can_not_keep_is_refused),
		cmocka_unit_test(the_root_is_the_options_or_containerds_with_the_namespace),
		cmocka_unit_test(the_options_name_the_runtime_before_the_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
