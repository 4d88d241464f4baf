/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which folders are meant: the texts are of real kernels, the forecasts what runc 1.1.5
 * and crun 1.8.1 were seen to make.
 */
#include "supervisor/node/cgroup_paths.h"
#include "supervisor/node/mountinfo.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOT "20 1 8:1 / / rw - ext4 /dev/sda rw\n"

static const char hybrid[] = ROOT
	"30 20 0:20 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
	"31 30 0:21 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
	"32 30 0:22 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
	"33 30 0:23 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
	"34 30 0:24 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

static const char version1[] = ROOT
	"30 20 0:20 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
	"32 30 0:22 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

static const char version2[] = ROOT
	"29 20 0:19 / /sys rw - sysfs sysfs rw\n"
	"30 29 0:24 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";

/* Version 2 mounted over version 1, and once more elsewhere. */
static const char covered[] = ROOT
	"30 20 0:20 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
	"32 30 0:22 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
	"35 30 0:24 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	"36 20 0:24 / /cg rw - cgroup2 cgroup2 rw\n";

static const char own[] = "9:name=systemd:/\n4:memory:/svc/one\n1:cpu,cpuacct:/\n0::/svc/one\n";

static struct mount_list parse(const char *text)
{
	struct mount_list list;
	struct err err = ERR_INIT;

	if (mountinfo_parse(text, strlen(text), &list, &err) < 0)
		fail_msg("%s", err.text);
	return list;
}

/* One line each: the path, "=" for a leaf, "p" for a plain folder. */
static void check(const struct cgroup_paths *paths, const char *want)
{
	char text[8192] = "";

	for (size_t i = 0; i < paths->n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s%s\n",
			 paths->at[i].path, paths->at[i].leaf ? " =" : "",
			 paths->at[i].plain ? " p" : "");
	assert_string_equal(text, want);
}

static void check_of(const char *mounts, const char *text, const char *want)
{
	struct mount_list list = parse(mounts);
	struct cgroup_paths paths;
	struct err err = ERR_INIT;

	assert_int_equal(cgroup_paths_of(text, &list, &paths, &err), 0);
	check(&paths, want);
	cgroup_paths_clear(&paths);
	mount_list_clear(&list);
}

static void check_forecast(const char *mounts, struct cgroup_wish wish, const char *want)
{
	struct mount_list list = parse(mounts);
	struct cgroup_paths paths;
	struct err err = ERR_INIT;

	wish.id = "c1";
	if (!wish.own)
		wish.own = own;
	if (!wish.init)
		wish.init = "";
	assert_int_equal(cgroup_forecast(&wish, &list, &paths, &err), 0);
	check(&paths, want);
	cgroup_paths_clear(&paths);
	mount_list_clear(&list);
}

static void test_a_process_has_a_folder_in_every_mounted_hierarchy(void **state)
{
	(void)state;
	check_of(hybrid, own,
		 "/sys/fs/cgroup/cpu,cpuacct =\n/sys/fs/cgroup/memory/svc/one =\n"
		 "/sys/fs/cgroup/systemd =\n/sys/fs/cgroup/unified/svc/one =\n");
	check_of(version2, own, "/sys/fs/cgroup/svc/one =\n");
	check_of(covered, own, "/sys/fs/cgroup/svc/one =\n");
	check_of(ROOT, own, "");
}

static void test_what_can_not_be_seen_is_left_out(void **state)
{
	static const char part[] = ROOT
		"30 20 0:24 /kube/pod /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

	(void)state;
	check_of(part, "0::/kube/pod/c1\n", "/sys/fs/cgroup/c1 =\n");
	check_of(part, "0::/kube/pod\n", "/sys/fs/cgroup =\n");
	check_of(part, "0::/kube/podium\n", "");
	check_of(version2, "0::/a/b (deleted)\n", "");
	check_of(version2, "0::/../a\n", "");
	check_of(version2, "0::/..\n", "");
	check_of(version2, "0::/..a\n", "/sys/fs/cgroup/..a =\n");
}

static void test_a_machine_that_runs_from_its_first_root_has_cgroups(void **state)
{
	static const char initramfs[] =
		"1 1 0:2 / / rw - rootfs rootfs rw\n"
		"22 1 0:20 / /sys rw - sysfs sysfs rw\n"
		"25 22 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

	(void)state;
	check_of(initramfs, "0::/a/b\n", "/sys/fs/cgroup/a/b =\n");
}

static void test_a_colon_in_a_path_is_part_of_it(void **state)
{
	(void)state;
	check_of(version2, "0::/a:b/c\n", "/sys/fs/cgroup/a:b/c =\n");
}

static void test_a_text_of_another_kind_is_refused(void **state)
{
	struct mount_list list = parse(hybrid);
	struct cgroup_paths paths;

	(void)state;
	assert_int_equal(cgroup_paths_of("nonsense\n", &list, &paths, NULL), -EINVAL);
	assert_int_equal(cgroup_paths_of("0::relative\n", &list, &paths, NULL), -EINVAL);
	mount_list_clear(&list);
}

static void test_an_absolute_path_is_made_in_every_hierarchy(void **state)
{
	static const char want[] =
		"/sys/fs/cgroup/cpu,cpuacct/default\n/sys/fs/cgroup/cpu,cpuacct/default/c1 =\n"
		"/sys/fs/cgroup/memory/default\n/sys/fs/cgroup/memory/default/c1 =\n"
		"/sys/fs/cgroup/systemd/default\n/sys/fs/cgroup/systemd/default/c1 =\n"
		"/sys/fs/cgroup/unified/default\n/sys/fs/cgroup/unified/default/c1 =\n";

	(void)state;
	check_forecast(hybrid, (struct cgroup_wish){ .path = "/default/c1" }, want);
	check_forecast(hybrid,
		       (struct cgroup_wish){ .path = "/default/./x/../c1/",
					     .habit = CGROUP_HABIT_RUNC },
		       want);
	check_forecast(version2, (struct cgroup_wish){ .path = "/default/c1" },
		       "/sys/fs/cgroup/default\n/sys/fs/cgroup/default/c1 =\n");
}

static void test_no_path_leads_above_the_mount(void **state)
{
	(void)state;
	check_forecast(version2, (struct cgroup_wish){ .path = "/../../../etc/c1" },
		       "/sys/fs/cgroup/etc\n/sys/fs/cgroup/etc/c1 =\n");
}

static void test_runc_puts_a_relative_path_below_its_callers_cgroup(void **state)
{
	(void)state;
	check_forecast(hybrid,
		       (struct cgroup_wish){ .path = "r/c1", .habit = CGROUP_HABIT_RUNC },
		       "/sys/fs/cgroup/cpu,cpuacct/r\n/sys/fs/cgroup/cpu,cpuacct/r/c1 =\n"
		       "/sys/fs/cgroup/memory/svc\n/sys/fs/cgroup/memory/svc/one\n"
		       "/sys/fs/cgroup/memory/svc/one/r\n/sys/fs/cgroup/memory/svc/one/r/c1 =\n"
		       "/sys/fs/cgroup/systemd/r\n/sys/fs/cgroup/systemd/r/c1 =\n"
		       "/sys/fs/cgroup/unified/r\n/sys/fs/cgroup/unified/r/c1 =\n");
	check_forecast(version2,
		       (struct cgroup_wish){ .path = "r/c1", .habit = CGROUP_HABIT_RUNC },
		       "/sys/fs/cgroup/svc\n/sys/fs/cgroup/svc/r\n/sys/fs/cgroup/svc/r/c1 =\n");
}

static void test_without_a_path_the_id_is_taken(void **state)
{
	(void)state;
	check_forecast(version2, (struct cgroup_wish){ .path = "", .habit = CGROUP_HABIT_RUNC },
		       "/sys/fs/cgroup/svc\n/sys/fs/cgroup/svc/c1 =\n");
	check_forecast(version2, (struct cgroup_wish){ .path = "", .habit = CGROUP_HABIT_CRUN },
		       "/sys/fs/cgroup/c1 =\n");
}

static void test_crun_starts_at_the_top_and_fills_an_empty_unified(void **state)
{
	(void)state;
	check_forecast(version1,
		       (struct cgroup_wish){ .path = "r/c1", .habit = CGROUP_HABIT_CRUN },
		       "/sys/fs/cgroup/memory/r\n/sys/fs/cgroup/memory/r/c1 =\n"
		       "/sys/fs/cgroup/unified/r p\n/sys/fs/cgroup/unified/r/c1 = p\n");
	check_forecast(version1,
		       (struct cgroup_wish){ .path = "/r/c1", .habit = CGROUP_HABIT_RUNC },
		       "/sys/fs/cgroup/memory/r\n/sys/fs/cgroup/memory/r/c1 =\n");
}

static void test_an_unknown_runtime_may_do_as_either(void **state)
{
	(void)state;
	check_forecast(version2, (struct cgroup_wish){ .path = "r/c1" },
		       "/sys/fs/cgroup/svc\n/sys/fs/cgroup/svc/r\n/sys/fs/cgroup/svc/r/c1 =\n"
		       "/sys/fs/cgroup/r\n/sys/fs/cgroup/r/c1 =\n");
}

static void test_a_systemd_path_becomes_slices_and_a_scope(void **state)
{
	struct cgroup_wish wish = { .path = "kubepods-burstable-pod1.slice:cri-containerd:c1",
				    .systemd = true, .habit = CGROUP_HABIT_RUNC };

	(void)state;
	check_forecast(version2, wish,
		       "/sys/fs/cgroup/kubepods.slice\n"
		       "/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice\n"
		       "/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/"
		       "kubepods-burstable-pod1.slice\n"
		       "/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/"
		       "kubepods-burstable-pod1.slice/cri-containerd-c1.scope =\n");
	wish.path = ":runc:c1";
	check_forecast(version2, wish,
		       "/sys/fs/cgroup/system.slice\n"
		       "/sys/fs/cgroup/system.slice/runc-c1.scope =\n");
	wish.path = "";
	check_forecast(version2, wish,
		       "/sys/fs/cgroup/system.slice\n"
		       "/sys/fs/cgroup/system.slice/runc-c1.scope =\n");
	wish.path = "-.slice:runc:c1";
	check_forecast(version2, wish, "/sys/fs/cgroup/runc-c1.scope =\n");
	wish.path = "a.slice:runc:b.slice";
	check_forecast(version2, wish,
		       "/sys/fs/cgroup/a.slice\n/sys/fs/cgroup/a.slice/b.slice =\n");
}

static void test_crun_has_a_folder_below_its_scope(void **state)
{
	(void)state;
	check_forecast(version2,
		       (struct cgroup_wish){ .path = "a.slice:crun:c1", .systemd = true,
					     .habit = CGROUP_HABIT_CRUN },
		       "/sys/fs/cgroup/a.slice\n/sys/fs/cgroup/a.slice/crun-c1.scope =\n"
		       "/sys/fs/cgroup/a.slice/crun-c1.scope/container =\n");
}

static void test_systemd_counts_from_its_own_cgroup_in_version_1(void **state)
{
	(void)state;
	check_forecast(version1,
		       (struct cgroup_wish){ .path = "a.slice:runc:c1", .systemd = true,
					     .habit = CGROUP_HABIT_RUNC,
					     .init = "4:memory:/box/init.scope\n" },
		       "/sys/fs/cgroup/memory/box\n/sys/fs/cgroup/memory/box/a.slice\n"
		       "/sys/fs/cgroup/memory/box/a.slice/runc-c1.scope =\n");
}

static void test_a_mount_that_has_the_name_of_systemds_own_cgroup_keeps_it(void **state)
{
	(void)state;
	check_forecast("30 20 0:24 / /mnt/init.scope rw - cgroup2 cgroup2 rw\n",
		       (struct cgroup_wish){ .path = "a.slice:runc:c1", .systemd = true,
					     .habit = CGROUP_HABIT_RUNC },
		       "/mnt/init.scope/a.slice\n/mnt/init.scope/a.slice/runc-c1.scope =\n");
}

static void test_a_path_that_the_runtime_refuses_makes_nothing(void **state)
{
	static const char *const bad[] = { "/default/c1", "a:b", "a:b:c:d", "a/b.slice:x:c1",
					   "noslice:x:c1" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_forecast(version2,
			       (struct cgroup_wish){ .path = bad[i], .systemd = true,
						     .habit = CGROUP_HABIT_RUNC },
			       "");
}

static void test_a_path_that_is_too_long_is_an_error(void **state)
{
	struct mount_list list = parse(version2);
	struct cgroup_paths paths;
	struct cgroup_wish wish = { .id = "c1", .own = "", .init = "" };
	char *path = calloc(1, 5001);

	(void)state;
	assert_non_null(path);
	memset(path, 'x', 5000);
	path[0] = '/';
	wish.path = path;
	assert_int_equal(cgroup_forecast(&wish, &list, &paths, NULL), -ENAMETOOLONG);
	for (size_t i = 0; i < 5000; i += 2)
		path[i] = '/';
	assert_int_equal(cgroup_forecast(&wish, &list, &paths, NULL), -ENAMETOOLONG);
	free(path);
	mount_list_clear(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_process_has_a_folder_in_every_mounted_hierarchy),
		cmocka_unit_test(test_what_can_not_be_seen_is_left_out),
		cmocka_unit_test(test_a_machine_that_runs_from_its_first_root_has_cgroups),
		cmocka_unit_test(test_a_colon_in_a_path_is_part_of_it),
		cmocka_unit_test(test_a_text_of_another_kind_is_refused),
		cmocka_unit_test(test_an_absolute_path_is_made_in_every_hierarchy),
		cmocka_unit_test(test_no_path_leads_above_the_mount),
		cmocka_unit_test(test_runc_puts_a_relative_path_below_its_callers_cgroup),
		cmocka_unit_test(test_without_a_path_the_id_is_taken),
		cmocka_unit_test(test_crun_starts_at_the_top_and_fills_an_empty_unified),
		cmocka_unit_test(test_an_unknown_runtime_may_do_as_either),
		cmocka_unit_test(test_a_systemd_path_becomes_slices_and_a_scope),
		cmocka_unit_test(test_crun_has_a_folder_below_its_scope),
		cmocka_unit_test(test_systemd_counts_from_its_own_cgroup_in_version_1),
		cmocka_unit_test(test_a_mount_that_has_the_name_of_systemds_own_cgroup_keeps_it),
		cmocka_unit_test(test_a_path_that_the_runtime_refuses_makes_nothing),
		cmocka_unit_test(test_a_path_that_is_too_long_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
