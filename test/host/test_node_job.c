/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing trees, flushing files and asking containerd: the jobs besides the mounts.
 * Root, for a mount namespace of our own.
 */
#include "journal/base/cleanup.h"
#include "test/lib/node_rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

static const char *folder(const struct node_rig *rig, const char *name)
{
	const char *path = node_rig_path(rig, name);

	assert_int_equal(mkdir(path, 0755), 0);
	return path;
}

static void touch(const char *path)
{
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
}

static bool exists(const struct node_rig *rig, const char *name)
{
	return access(node_rig_path(rig, name), F_OK) == 0;
}

static int remove_tree(struct node_rig *rig, const char *name, uint64_t ino_off, char **output)
{
	struct path_ident what = { 0 };

	(void)rig->n->path(rig->n, node_rig_path(rig, name), &what, NULL);
	return node_rig_job(rig, JOB_REMOVE_TREE, output,
			    "{\"path\":\"%s\",\"dev\":%llu,\"ino\":%llu}", node_rig_path(rig, name),
			    (unsigned long long)what.dev,
			    (unsigned long long)(what.ino + ino_off));
}

static void test_a_tree_goes_with_all_that_is_in_it_and_nothing_else(void **state)
{
	struct node_rig *rig = *state;

	folder(rig, "kept");
	touch(node_rig_path(rig, "kept/file"));
	folder(rig, "tree");
	folder(rig, "tree/a");
	folder(rig, "tree/a/b");
	folder(rig, "tree/c");
	touch(node_rig_path(rig, "tree/a/b/file"));
	touch(node_rig_path(rig, "tree/.hidden"));
	assert_int_equal(symlink("../../kept", node_rig_path(rig, "tree/a/link")), 0);
	assert_int_equal(mkfifo(node_rig_path(rig, "tree/c/fifo"), 0600), 0);
	assert_int_equal(remove_tree(rig, "tree", 0, NULL), 0);
	assert_false(exists(rig, "tree"));
	assert_true(exists(rig, "kept/file"));
	assert_int_equal(remove_tree(rig, "tree", 0, NULL), 0);
	assert_int_equal(remove_tree(rig, "no/such", 0, NULL), 0);
}

/* Deeper than there are descriptors, and than a path may be long. */
static void test_a_tree_may_be_deeper_than_descriptors_last(void **state)
{
	struct node_rig *rig = *state;
	int at = open(folder(rig, "tree"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct rlimit many;
	struct rlimit few;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &many), 0);
	few = (struct rlimit){ .rlim_cur = 64, .rlim_max = many.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (int i = 0; i < 300; i++) {
		int next;

		assert_int_equal(mkdirat(at, "down", 0755), 0);
		next = openat(at, "down", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	close(at);
	assert_int_equal(remove_tree(rig, "tree", 0, NULL), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &many), 0);
	assert_false(exists(rig, "tree"));
}

static void test_another_tree_under_the_name_is_left_alone(void **state)
{
	struct node_rig *rig = *state;

	folder(rig, "tree");
	touch(node_rig_path(rig, "tree/file"));
	assert_int_equal(remove_tree(rig, "tree", 1, NULL), ESTALE);
	assert_true(exists(rig, "tree/file"));
	assert_int_equal(symlink("tree", node_rig_path(rig, "link")), 0);
	assert_int_not_equal(remove_tree(rig, "link", 0, NULL), 0);
	assert_true(exists(rig, "tree/file"));
}

static void test_a_removal_stops_at_a_mount(void **state)
{
	struct node_rig *rig = *state;
	char *text;

	folder(rig, "tree");
	folder(rig, "tree/mnt");
	assert_int_equal(mount("t", node_rig_path(rig, "tree/mnt"), "tmpfs", 0, NULL), 0);
	touch(node_rig_path(rig, "tree/mnt/precious"));
	assert_int_equal(remove_tree(rig, "tree", 0, &text), EXDEV);
	assert_non_null(strstr(text, "something is mounted on \"mnt\""));
	free(text);
	assert_true(exists(rig, "tree/mnt/precious"));
	assert_int_equal(umount2(node_rig_path(rig, "tree/mnt"), 0), 0);
	/* The same file system, bound: only its being a mount tells. */
	folder(rig, "other");
	touch(node_rig_path(rig, "other/precious"));
	assert_int_equal(mount(node_rig_path(rig, "other"), node_rig_path(rig, "tree/mnt"), NULL,
			       MS_BIND, NULL), 0);
	assert_int_equal(remove_tree(rig, "tree", 0, NULL), EXDEV);
	assert_true(exists(rig, "other/precious"));
	assert_int_equal(umount2(node_rig_path(rig, "tree/mnt"), 0), 0);
	/* A file that something is bound on. */
	touch(node_rig_path(rig, "tree/file"));
	assert_int_equal(mount(node_rig_path(rig, "other/precious"),
			       node_rig_path(rig, "tree/file"), NULL, MS_BIND, NULL), 0);
	assert_int_equal(remove_tree(rig, "tree", 0, NULL), EXDEV);
	assert_int_equal(umount2(node_rig_path(rig, "tree/file"), 0), 0);
	/* On the top itself. */
	assert_int_equal(mount("t", node_rig_path(rig, "tree"), "tmpfs", 0, NULL), 0);
	assert_int_equal(remove_tree(rig, "tree", 0, NULL), EXDEV);
	assert_int_equal(umount2(node_rig_path(rig, "tree"), 0), 0);
	assert_int_equal(remove_tree(rig, "tree", 0, NULL), 0);
}

static void test_a_file_is_flushed(void **state)
{
	struct node_rig *rig = *state;

	touch(node_rig_path(rig, "file"));
	assert_int_equal(node_rig_job(rig, JOB_SYNC, NULL, "{\"path\":\"%s\"}",
				      node_rig_path(rig, "file")), 0);
	assert_int_equal(node_rig_job(rig, JOB_SYNC, NULL, "{\"path\":\"%s\"}",
				      node_rig_path(rig, "none")), ENOENT);
}

static void test_a_containerd_that_is_not_there_is_an_error_and_no_answer(void **state)
{
	struct node_rig *rig = *state;
	char *text;
	int code = node_rig_job(rig, JOB_ASK, &text,
				"{\"address\":\"%s\",\"ns\":\"default\",\"id\":\"c1\"}",
				node_rig_path(rig, "no.sock"));

	assert_true(code > 0 && code < 256);
	assert_null(strstr(text, "known"));
	free(text);
}

static void test_a_shim_that_is_not_there_releases_nothing(void **state)
{
	struct node_rig *rig = *state;
	char *text;
	int code = node_rig_job(rig, JOB_RELEASE, &text,
				"{\"socket\":\"%s\",\"ns\":\"default\",\"id\":\"c1\"}",
				node_rig_path(rig, "no.sock"));

	assert_int_equal(code, ENOENT);
	assert_non_null(strstr(text, "no.sock"));
	free(text);
}

#define T(name) cmocka_unit_test_setup_teardown(name, node_rig_up, node_rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_tree_goes_with_all_that_is_in_it_and_nothing_else),
		T(test_a_tree_may_be_deeper_than_descriptors_last),
		T(test_another_tree_under_the_name_is_left_alone),
		T(test_a_removal_stops_at_a_mount),
		T(test_a_file_is_flushed),
		T(test_a_containerd_that_is_not_there_is_an_error_and_no_answer),
		T(test_a_shim_that_is_not_there_releases_nothing),
	};

	if (!node_rig_private_mounts()) {
		puts("needs root, for a mount namespace of its own");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
