/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/metrics/folders.h"

#include "supervisor/node/mountinfo.h"

#include <errno.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char hybrid[] =
	"23 1 0:20 / / rw - ext4 /dev/vda rw\n"
	"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
	"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
	"33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
	"34 31 0:31 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
	"35 31 0:32 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
	"36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

static const char unified[] = "23 1 0:20 / / rw - ext4 /dev/vda rw\n"
			      "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";

static int find(struct cgroup_folders *ret, const char *mountinfo, const char *text)
{
	struct mount_list mounts = { 0 };
	struct err err = ERR_INIT;
	int rc;

	assert_int_equal(mountinfo_parse(mountinfo, strlen(mountinfo), &mounts, &err), 0);
	rc = cgroup_folders_find(ret, &mounts, text, &err);
	mount_list_clear(&mounts);
	assert_true((rc < 0) == (err.code != 0));
	return rc;
}

static void test_hybrid_machines_have_a_folder_for_each_controller(void **state)
{
	struct cgroup_folders f;

	(void)state;
	assert_int_equal(find(&f, hybrid,
			      "4:pids:/default/c1\n3:memory:/default/c1\n"
			      "2:cpu,cpuacct:/default/c1\n1:name=systemd:/default/c1\n"
			      "0::/default/c1\n"), 0);
	assert_null(f.unified);
	assert_string_equal(f.of[CGROUP_CPU], "/sys/fs/cgroup/cpu,cpuacct/default/c1");
	assert_string_equal(f.of[CGROUP_CPUACCT], "/sys/fs/cgroup/cpu,cpuacct/default/c1");
	assert_string_equal(f.of[CGROUP_MEMORY], "/sys/fs/cgroup/memory/default/c1");
	assert_string_equal(f.of[CGROUP_PIDS], "/sys/fs/cgroup/pids/default/c1");
	assert_null(f.of[CGROUP_BLKIO]);
	assert_null(f.of[CGROUP_RDMA]);
	assert_null(f.of[CGROUP_HUGETLB]);
	cgroup_folders_clear(&f);
	assert_null(f.of[CGROUP_CPU]);
}

static void test_version_2_alone_has_one_folder(void **state)
{
	struct cgroup_folders f;

	(void)state;
	assert_int_equal(find(&f, unified, "0::/system.slice/runc-c1.scope\n"), 0);
	assert_string_equal(f.unified, "/sys/fs/cgroup/system.slice/runc-c1.scope");
	for (int c = 0; c < CGROUP_N; c++)
		assert_null(f.of[c]);
	cgroup_folders_clear(&f);
}

static void test_roots_are_not_the_containers(void **state)
{
	struct cgroup_folders f;

	(void)state;
	assert_int_equal(find(&f, hybrid, "4:pids:/\n3:memory:/default/c1\n0::/\n"), 0);
	assert_null(f.of[CGROUP_PIDS]);
	assert_non_null(f.of[CGROUP_MEMORY]);
	cgroup_folders_clear(&f);
	assert_int_equal(find(&f, unified, "0::/\n"), -ENOENT);
	cgroup_folders_clear(&f);
}

static void test_a_process_in_no_cgroup_is_told_from_a_text_that_is_none(void **state)
{
	struct cgroup_folders f;

	(void)state;
	assert_int_equal(find(&f, hybrid, ""), -ENOENT);
	cgroup_folders_clear(&f);
	/* Version 2 beside version 1 does not count. */
	assert_int_equal(find(&f, hybrid, "0::/default/c1\n"), -ENOENT);
	cgroup_folders_clear(&f);
	assert_int_equal(find(&f, hybrid, "nonsense\n"), -EINVAL);
	cgroup_folders_clear(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hybrid_machines_have_a_folder_for_each_controller),
		cmocka_unit_test(test_version_2_alone_has_one_folder),
		cmocka_unit_test(test_roots_are_not_the_containers),
		cmocka_unit_test(test_a_process_in_no_cgroup_is_told_from_a_text_that_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
