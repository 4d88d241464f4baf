/* SPDX-License-Identifier: Apache-2.0 */
/* The config file: its defaults, its keys, its refusals. */
#include "supervisor/bundle/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char file[64];

static int setup(void **state)
{
	int fd;

	(void)state;
	(void)snprintf(file, sizeof(file), "/tmp/config-XXXXXX");
	fd = mkstemp(file);
	if (fd < 0)
		return -1;
	return close(fd);
}

static int teardown(void **state)
{
	(void)state;
	(void)unsetenv("URUNC_CONFIG");
	return unlink(file);
}

static int load(struct config *c, const char *text, struct err *err)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	(void)fputs(text, f);
	assert_int_equal(fclose(f), 0);
	return config_load(c, file, err);
}

static void refuses(const char *text, const char *why)
{
	struct config c;
	struct err err = ERR_INIT;
	char expected[256];

	assert_int_equal(load(&c, text, &err), -EINVAL);
	(void)snprintf(expected, sizeof(expected), "config file %s: %s", file, why);
	assert_string_equal(err.text, expected);
	assert_null(c.journal);
}

static void an_empty_file_means_the_defaults(void **state)
{
	struct config c;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(load(&c, "", &err), 0);
	assert_string_equal(c.file, file);
	assert_false(c.by_env);
	assert_string_equal(c.journal, "/var/lib/urunc/journal");
	assert_string_equal(c.run, "/run/urunc");
	assert_string_equal(c.runtime, "");
	assert_int_equal(c.rootfs_choice, CHOICE_BEST_EFFORT);
	assert_int_equal(c.history_days, 14);
	assert_int_equal(c.history_count, 1000);
	assert_int_equal(c.runtime_timeout_s, 120);
	assert_int_equal(c.idle_exit_s, 60);
	assert_int_equal(c.monitor_grace_s, 10);
	assert_true(c.power_button);
	assert_false(c.ask_containerd);
	assert_int_equal(c.group, GROUP_BY_POD);
	assert_false(c.vaccel);
	assert_false(c.debug);
	config_clear(&c);
}

static void every_key_is_read(void **state)
{
	struct config c;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(load(&c,
			      "journal = '/j'\nrun = '/r'\nruntime = 'crun'\n"
			      "rootfs_choice = 'required'\nhistory_days = 1\nhistory_count = 2\n"
			      "runtime_timeout_s = 3\nidle_exit_s = 4\nmonitor_grace_s = 5\ndebug = true\n"
			      "group = 'container'\npower_button = false\nvaccel = true\n"
			      "ask_containerd = true\n", &err), 0);
	assert_string_equal(c.journal, "/j");
	assert_string_equal(c.run, "/r");
	assert_string_equal(c.runtime, "crun");
	assert_int_equal(c.rootfs_choice, CHOICE_REQUIRED);
	assert_int_equal(c.history_days, 1);
	assert_int_equal(c.history_count, 2);
	assert_int_equal(c.runtime_timeout_s, 3);
	assert_int_equal(c.idle_exit_s, 4);
	assert_int_equal(c.monitor_grace_s, 5);
	assert_false(c.power_button);
	assert_true(c.ask_containerd);
	assert_int_equal(c.group, GROUP_BY_CONTAINER);
	assert_true(c.vaccel);
	assert_true(c.debug);
	config_clear(&c);
}

static void a_misspelt_key_is_refused_by_name(void **state)
{
	(void)state;
	refuses("\nrootfs_chioce = 'required'", "line 2: unknown key \"rootfs_chioce\"");
	refuses("[urunc]\ndebug = true", "line 2: unknown key \"urunc.debug\"");
}

static void a_value_that_can_not_be_is_refused(void **state)
{
	(void)state;
	refuses("journal = 7", "line 1: journal must be a string");
	refuses("journal = 'here'", "line 1: journal must be an absolute path of a folder");
	refuses("run = '/a/../b'", "line 1: run must be an absolute path of a folder");
	refuses("rootfs_choice = 'maybe'",
		"line 1: rootfs_choice must be \"best-effort\" or \"required\"");
	refuses("group = 'node'", "line 1: group must be \"pod\" or \"container\"");
	refuses("runtime_timeout_s = 0", "line 1: runtime_timeout_s must be from 1 to 86400");
	refuses("history_days = -1", "line 1: history_days must be from 0 to 36500");
	refuses("debug = 'yes'", "line 1: debug must be true or false");
}

static void a_file_that_was_named_must_be_there(void **state)
{
	struct config c;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(config_load(&c, "/nowhere/at.all", &err), -ENOENT);
	assert_string_equal(err.text,
			    "config file /nowhere/at.all: open: No such file or directory");
}

static void the_environment_names_another_file_and_it_is_said(void **state)
{
	struct config c;
	struct err err = ERR_INIT;
	FILE *f = fopen(file, "w");

	(void)state;
	assert_non_null(f);
	(void)fputs("debug = true\n", f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(setenv("URUNC_CONFIG", file, 1), 0);
	assert_int_equal(config_load(&c, NULL, &err), 0);
	assert_true(c.by_env);
	assert_true(c.debug);
	assert_string_equal(c.file, file);
	config_clear(&c);
}

static void a_folder_is_no_config_file(void **state)
{
	struct config c;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(config_load(&c, "/tmp", &err), -EINVAL);
	assert_string_equal(err.text, "config file /tmp: not a regular file");
}

static void who_launches_and_how_are_words(void **state)
{
	struct config c;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(load(&c, "unikernel = \"native\"\naccel = \"tcg\"\n"
				  "monitor_paths = [\"/opt/a b\", \"/srv\"]\n", &err), 0);
	assert_int_equal(c.unikernel, LAUNCH_NATIVE);
	assert_int_equal(c.accel, ACCEL_TCG);
	assert_string_equal(c.monitor_paths[0], "/opt/a b");
	assert_string_equal(c.monitor_paths[1], "/srv");
	assert_null(c.monitor_paths[2]);
	config_clear(&c);
	refuses("unikernel = \"urunc\"\n",
		"line 1: unikernel must be \"auto\", \"native\" or \"runtime\"");
	refuses("accel = true\n", "line 1: accel must be a string");
	refuses("monitor_paths = [\"opt\"]\n",
		"line 1: monitor_paths must be absolute paths of folders");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_empty_file_means_the_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(every_key_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(a_misspelt_key_is_refused_by_name, setup, teardown),
		cmocka_unit_test_setup_teardown(a_value_that_can_not_be_is_refused, setup,
						teardown),
		cmocka_unit_test(a_file_that_was_named_must_be_there),
		cmocka_unit_test_setup_teardown(the_environment_names_another_file_and_it_is_said,
						setup, teardown),
		cmocka_unit_test(a_folder_is_no_config_file),
		cmocka_unit_test_setup_teardown(who_launches_and_how_are_words, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
