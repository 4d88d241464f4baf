/* SPDX-License-Identifier: Apache-2.0 */
/* The OCI runtime: where it is, and what it says. */
#include "supervisor/oci/cli.h"
#include "test/lib/fake_node.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* ---- where it is ------------------------------------------------------------------ */

static void the_kind_is_told_by_the_name(void **state)
{
	(void)state;
	assert_int_equal(runtime_kind_of("/usr/bin/runc"), RUNTIME_RUNC);
	assert_int_equal(runtime_kind_of("crun"), RUNTIME_CRUN);
	assert_int_equal(runtime_kind_of("/opt/urunc"), RUNTIME_URUNC);
	assert_int_equal(runtime_kind_of("/opt/urunc/x"), RUNTIME_OTHER);
	assert_int_equal(runtime_kind_of("/usr/bin/runc-1.2"), RUNTIME_OTHER);
}

static void finds(struct fake_node *f, const char *name, const char *dirs, const char *expected)
{
	struct err err = ERR_INIT;
	char *path = NULL;

	if (runtime_find(&f->node, name, dirs, &path, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(path, expected);
	free(path);
}

static void a_name_is_searched_in_path_and_a_path_is_taken(void **state)
{
	struct fake_node f;

	(void)state;
	fake_node_init(&f);
	fake_add_file(&f, "/a/foo", "not executable");
	fake_add_dir(&f, "/b/foo");
	fake_add_program(&f, "/c/foo");
	fake_add_file(&f, "/d/bar", "")->what.mode = S_IFLNK | 0777;
	finds(&f, "foo", "/a:/b::.:/c:/d", "/c/foo");
	finds(&f, "/c/foo", "", "/c/foo");
	finds(&f, "bar", "/d", "/d/bar");
	fake_node_clear(&f);
}

static void nobody_named_means_urunc_then_runc_then_crun(void **state)
{
	struct fake_node f;

	(void)state;
	fake_node_init(&f);
	fake_add_program(&f, "/b/crun");
	finds(&f, "", "/a:/b", "/b/crun");
	fake_add_program(&f, "/b/runc");
	finds(&f, "", "/a:/b", "/b/runc");
	fake_add_program(&f, "/b/urunc");
	finds(&f, "", "/a:/b", "/b/urunc");
	fake_node_clear(&f);
}

static void a_missing_binary_is_quoted(void **state)
{
	struct fake_node f;
	struct err err = ERR_INIT;
	char *path = NULL;

	(void)state;
	fake_node_init(&f);
	assert_int_equal(runtime_find(&f.node, "foo", "/a", &path, &err), -ENOEXEC);
	assert_string_equal(err.text, "exec: \"foo\": executable file not found in $PATH");
	assert_int_equal(runtime_find(&f.node, "", NULL, &path, &err), -ENOEXEC);
	fake_node_clear(&f);
}

/* ---- what it says ------------------------------------------------------------------ */

static void says(const char *log, const char *expected)
{
	char *text = oci_log_error(log, strlen(log));

	if (!expected)
		assert_null(text);
	else
		assert_string_equal(text, expected);
	free(text);
}

static void the_last_error_of_a_log_counts(void **state)
{
	(void)state;
	says("", NULL);
	says("{\"level\":\"warning\",\"msg\":\"w\"}\n", NULL);
	says("{\"level\":\"error\",\"msg\":\"one\"}\n{\"level\":\"error\",\"msg\":\"two \\n\"}\n"
	     "{\"level\":\"info\",\"msg\":\"three\"}", "two");
	says("{\"level\":\"error\",\"msg\":\"a\"}{\"level\":\"error\",\"msg\":\"b\"}", "b");
}

static void garbage_in_a_log_is_passed_over(void **state)
{
	(void)state;
	says("panic: x\n{\"level\":\"error\",\"msg\":\"real\"}\n{\"level\":\"err", "real");
	says("\"unclosed\n{\"level\":\"error\",\"msg\":\"real\"}\n", "real");
	says("{\"level\":7,\"msg\":7}\nnull\n[]\n12\n", NULL);
	says("{\"level\":\"error\"}", NULL);
}

static void a_pid_file_is_read_strictly(void **state)
{
	(void)state;
	assert_int_equal(oci_pid("42", 2), 42);
	assert_int_equal(oci_pid("42\n", 3), 42);
	assert_int_equal(oci_pid("", 0), 0);
	assert_int_equal(oci_pid("\n", 1), 0);
	assert_int_equal(oci_pid(" 42", 3), 0);
	assert_int_equal(oci_pid("42x", 3), 0);
	assert_int_equal(oci_pid("2147483648", 10), 0);
	assert_int_equal(oci_pid("99999999999", 11), 0);
}

static void a_cgroup_names_an_id_as_a_whole_word(void **state)
{
	(void)state;
	assert_true(oci_cgroup_names("/default/c1", "c1"));
	assert_true(oci_cgroup_names("0::/x/cri-containerd-c1.scope", "c1"));
	assert_false(oci_cgroup_names("/default/c12", "c1"));
	assert_false(oci_cgroup_names("/default/xc1", "c1"));
	assert_false(oci_cgroup_names("/c1/inner", "c1"));
	assert_false(oci_cgroup_names("/default/c1", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kind_is_told_by_the_name),
		cmocka_unit_test(a_name_is_searched_in_path_and_a_path_is_taken),
		cmocka_unit_test(nobody_named_means_urunc_then_runc_then_crun),
		cmocka_unit_test(a_missing_binary_is_quoted),
		cmocka_unit_test(the_last_error_of_a_log_counts),
		cmocka_unit_test(garbage_in_a_log_is_passed_over),
		cmocka_unit_test(a_pid_file_is_read_strictly),
		cmocka_unit_test(a_cgroup_names_an_id_as_a_whole_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
