/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/service/bootstrap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Golden bytes, computed apart from this code. */
static const char params_hex[] =
	"0a026331120764656661756c7418fcffffffffffffffff012205322e332e342a252f72756e2f636f6e7461696e"
	"6572642f636f6e7461696e6572642e736f636b2e7474727063321f2f72756e2f636f6e7461696e6572642f636f"
	"6e7461696e6572642e736f636b3a132f7573722f62696e2f636f6e7461696e65726442270a250a1a636f6e7461"
	"696e6572642e72756e632e76312e4f7074696f6e73120732057572756e634a112f72756e2f636f6e7461696e65"
	"72642f73";
static const char any_hex[] =
	"0a1a636f6e7461696e6572642e72756e632e76312e4f7074696f6e73120732057572756e63";
static const char result_hex[] =
	"0803121b756e69783a2f2f2f72756e2f636f6e7461696e6572642f732f61621a057474727063";

static size_t unhex(uint8_t *ret, const char *hex)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		ret[i] = (uint8_t)byte;
	}
	return n;
}

static void read_hex(struct bootstrap *b, const char *hex, const char *ns, const char *id)
{
	uint8_t data[512];
	struct err err = ERR_INIT;

	assert_int_equal(bootstrap_read(b, data, unhex(data, hex), ns, id, &err), 0);
}

static void parameters_that_name_us_are_believed(void **state)
{
	struct bootstrap b;

	(void)state;
	read_hex(&b, params_hex, "default", "c1");
	assert_true(b.params);
	assert_true(b.debug);
	assert_string_equal(b.ttrpc_address, "/run/containerd/containerd.sock.ttrpc");
	assert_string_equal(b.socket_dir, "/run/containerd/s");
	assert_string_equal(b.options_type, "containerd.runc.v1.Options");
	assert_int_equal(b.options_len, 7);
	bootstrap_clear(&b);
}

static void parameters_for_somebody_else_are_no_parameters(void **state)
{
	struct bootstrap b;

	(void)state;
	read_hex(&b, params_hex, "default", "c2");
	assert_false(b.params);
	assert_false(b.debug);
	bootstrap_clear(&b);
	read_hex(&b, params_hex, "k8s.io", "c1");
	assert_false(b.params);
	bootstrap_clear(&b);
}

static void an_any_is_options_and_not_parameters(void **state)
{
	struct bootstrap b;

	(void)state;
	read_hex(&b, any_hex, "default", "c1");
	assert_false(b.params);
	assert_string_equal(b.options_type, "containerd.runc.v1.Options");
	assert_memory_equal(b.options, "2\005urunc", 7);
	assert_string_equal(b.socket_dir, "/run/containerd/s");
	bootstrap_clear(&b);
}

static void nothing_and_nonsense_are_no_options(void **state)
{
	struct bootstrap b;

	(void)state;
	read_hex(&b, "", "default", "c1");
	assert_false(b.params);
	assert_string_equal(b.options_type, "");
	bootstrap_clear(&b);
	read_hex(&b, "ffffffffff", "default", "c1");
	assert_string_equal(b.options_type, "");
	bootstrap_clear(&b);
}

static void assert_group(const char *json, const char *group)
{
	char *ret;
	struct err err = ERR_INIT;

	assert_int_equal(bootstrap_group(&ret, json, "c1", &err), 0);
	assert_string_equal(ret, group);
	free(ret);
}

static void the_group_is_the_first_annotation_that_is_there(void **state)
{
	char *ret;
	struct err err = ERR_INIT;

	(void)state;
	assert_group("{}", "c1");
	assert_group("{\"annotations\":{\"a\":\"b\"}}", "c1");
	assert_group("{\"annotations\":{\"io.kubernetes.cri.sandbox-id\":\"p\"}}", "p");
	assert_group("{\"annotations\":{\"io.kubernetes.cri.sandbox-id\":\"p\","
		     "\"io.containerd.runc.v2.group\":\"g\"}}", "g");
	assert_group("{\"annotations\":{\"io.containerd.runc.v2.group\":\"\","
		     "\"io.kubernetes.cri.sandbox-id\":\"p\"}}", "");
	assert_int_equal(bootstrap_group(&ret, "[", "c1", &err), -EINVAL);
	assert_int_equal(bootstrap_group(&ret, "[]", "c1", &err), -EINVAL);
}

static void assert_clean(const char *path, const char *want)
{
	char text[64];

	snprintf(text, sizeof(text), "%s", path);
	bootstrap_clean(text);
	assert_string_equal(text, want);
}

static void paths_are_cleaned_as_go_does(void **state)
{
	(void)state;
	assert_clean("/a//b/./c/..", "/a/b");
	assert_clean("/..", "/");
	assert_clean("/../a/", "/a");
	assert_clean("", ".");
	assert_clean("a/../..", "..");
	assert_clean("../a/..", "..");
	assert_clean("../../a", "../../a");
	assert_clean("./a", "a");
	assert_clean("/a/..b/...", "/a/..b/...");
	assert_clean("//", "/");
}

static void sockets_have_the_name_that_containerd_s_tests_compute(void **state)
{
	char path[SOCKET_PATH_MAX + 1], dir[64];
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(bootstrap_socket(path, SOCKET_DIR, "/run/containerd//containerd.sock/",
					  "default", "c1", &err), 0);
	assert_string_equal(path, "/run/containerd/s/d25aa4ef11a84e954e74a5bcff06557d"
				  "0b6ea8d0c00243896f29826694bbd888");
	assert_int_equal(bootstrap_socket(path, SOCKET_DIR, "/run/containerd/containerd.sock",
					  "k8s.io", "3f2a", &err), 0);
	assert_string_equal(path, "/run/containerd/s/85706abca21ddff507951310d76157f7"
				  "f533bf7b627e5c56b331de1b2281f57e");
	memset(dir, 'x', sizeof(dir));
	dir[42] = '\0';
	assert_int_equal(bootstrap_socket(path, dir, "/a", "b", "c", &err), 0);
	dir[42] = 'x';
	dir[43] = '\0';
	assert_int_equal(bootstrap_socket(path, dir, "/a", "b", "c", &err), -ENAMETOOLONG);
}

static void only_believed_parameters_are_answered_with_version_3(void **state)
{
	uint8_t want[64];
	size_t n = unhex(want, result_hex), len;
	uint8_t *out;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(bootstrap_answer(&out, &len, true, "unix:///run/containerd/s/ab", &err), 0);
	assert_int_equal(len, n);
	assert_memory_equal(out, want, n);
	free(out);
	assert_int_equal(bootstrap_answer(&out, &len, false, "unix:///x", &err), 0);
	assert_int_equal(len, 9);
	assert_memory_equal(out, "unix:///x", 9);
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameters_that_name_us_are_believed),
		cmocka_unit_test(parameters_for_somebody_else_are_no_parameters),
		cmocka_unit_test(an_any_is_options_and_not_parameters),
		cmocka_unit_test(nothing_and_nonsense_are_no_options),
		cmocka_unit_test(the_group_is_the_first_annotation_that_is_there),
		cmocka_unit_test(paths_are_cleaned_as_go_does),
		cmocka_unit_test(sockets_have_the_name_that_containerd_s_tests_compute),
		cmocka_unit_test(only_believed_parameters_are_answered_with_version_3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
