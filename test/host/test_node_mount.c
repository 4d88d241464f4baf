/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounting and unmounting on this kernel, as root, in a mount namespace of our own:
 * nothing of it is ever seen outside.
 */
#include "journal/base/cleanup.h"
#include "supervisor/node/node_linux.h"
#include "test/lib/node_rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cmocka.h>

#define KINDS "\"type\":\"%s\",\"source\":\"%s\",\"target\":\"%s\",\"root\":\"%s\",\"options\":[%s]"

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

struct want {
	const char *type, *source, *target, *options;
};

/* Mount below <dir>/rootfs; the exit code. */
static int mount_one(struct node_rig *rig, struct want w, char **output)
{
	return node_rig_job(rig, JOB_MOUNT, output, "{" KINDS "}", w.type, w.source, w.target,
			    node_rig_path(rig, "rootfs"), w.options);
}

static void must_mount(struct node_rig *rig, struct want w)
{
	char *text;
	int code = mount_one(rig, w, &text);

	if (code)
		fail_msg("%d: %s", code, text);
	free(text);
}

/* The mounts whose target begins with <dir>; the last one's id, options and type. */
static int mounted(struct node_rig *rig, int64_t *id, char *options, char *type)
{
	struct mount_list list;
	int n = 0;

	assert_int_equal(rig->n->mounts(rig->n, &list, NULL), 0);
	for (size_t i = 0; i < list.n; i++) {
		if (strncmp(list.at[i].target, rig->dir, strlen(rig->dir)) != 0)
			continue;
		n++;
		if (id)
			*id = list.at[i].id;
		if (options)
			snprintf(options, 256, "%s", list.at[i].options);
		if (type)
			snprintf(type, 32, "%s", list.at[i].type);
	}
	mount_list_clear(&list);
	return n;
}

static int unmount(struct node_rig *rig, const char *name, int64_t id, char **output)
{
	return node_rig_job(rig, JOB_UNMOUNT, output, "{\"target\":\"%s\",\"id\":%lld}",
			    node_rig_path(rig, name), (long long)id);
}

static int down(void **state)
{
	struct node_rig *rig = *state;

	/* Ours alone: the namespace is private. */
	while (umount2(node_rig_path(rig, "rootfs"), UMOUNT_NOFOLLOW) == 0)
		;
	return node_rig_down(state);
}

/* ---- mount ------------------------------------------------------------------- */

static void test_a_tmpfs_is_mounted_with_flags_and_data(void **state)
{
	struct node_rig *rig = *state;
	char options[256];
	char type[32];

	folder(rig, "rootfs");
	must_mount(rig, (struct want){ "tmpfs", "tmpfs", "", "\"nosuid\",\"size=64k\",\"ro\"" });
	assert_int_equal(mounted(rig, NULL, options, type), 1);
	assert_string_equal(type, "tmpfs");
	assert_non_null(strstr(options, "ro,nosuid"));
}

static void test_a_bind_takes_its_flags_too(void **state)
{
	struct node_rig *rig = *state;
	const char *source = folder(rig, "source");
	char options[256];

	touch(node_rig_path(rig, "source/file"));
	folder(rig, "rootfs");
	must_mount(rig, (struct want){ "bind", source, "/", "\"ro\",\"nodev\"" });
	assert_int_equal(mounted(rig, NULL, options, NULL), 1);
	assert_non_null(strstr(options, "ro,nodev"));
	assert_true(exists(rig, "rootfs/file"));
	/* The source itself is as it was. */
	touch(node_rig_path(rig, "source/other"));
}

static void test_rbind_and_propagation_words_are_honoured(void **state)
{
	struct node_rig *rig = *state;
	const char *source = folder(rig, "source");
	struct mount_list list;
	int shared = 0;

	folder(rig, "source/sub");
	folder(rig, "rootfs");
	assert_int_equal(mount("t", node_rig_path(rig, "source/sub"), "tmpfs", 0, NULL), 0);
	must_mount(rig, (struct want){ "none", source, "", "\"rbind\",\"rshared\"" });
	assert_int_equal(mounted(rig, NULL, NULL, NULL), 3);
	assert_int_equal(rig->n->mounts(rig->n, &list, NULL), 0);
	for (size_t i = 0; i < list.n; i++)
		shared += list.at[i].shared &&
			  strstr(list.at[i].target, rig->dir) == list.at[i].target;
	mount_list_clear(&list);
	assert_int_equal(shared, 2);
	assert_int_equal(umount2(node_rig_path(rig, "rootfs/sub"), 0), 0);
	assert_int_equal(umount2(node_rig_path(rig, "source/sub"), 0), 0);
}

static void test_an_overlay_shows_its_layers(void **state)
{
	struct node_rig *rig = *state;
	char options[1024];
	char type[32];

	folder(rig, "rootfs");
	folder(rig, "layers");
	assert_int_equal(mount("t", node_rig_path(rig, "layers"), "tmpfs", 0, NULL), 0);
	folder(rig, "layers/a");
	folder(rig, "layers/b");
	folder(rig, "layers/up");
	folder(rig, "layers/work");
	touch(node_rig_path(rig, "layers/b/file"));
	snprintf(options, sizeof(options),
		 "\"lowerdir=%s/layers/a:%s/layers/b\",\"upperdir=%s/layers/up\",\"workdir=%s/layers/work\"",
		 rig->dir, rig->dir, rig->dir, rig->dir);
	must_mount(rig, (struct want){ "overlay", "overlay", "", options });
	assert_int_equal(mounted(rig, NULL, NULL, type), 2);
	assert_string_equal(type, "overlay");
	assert_true(exists(rig, "rootfs/file"));
	assert_int_equal(umount2(node_rig_path(rig, "rootfs"), 0), 0);
	assert_int_equal(umount2(node_rig_path(rig, "layers"), 0), 0);
}

/* 60 lower folders of 90 bytes each are more than a page in full. */
static void test_overlay_options_over_a_page_are_made_to_fit(void **state)
{
	struct node_rig *rig = *state;
	char name[128];
	char options[16384] = "\"ro\",\"lowerdir=";
	char *text;

	folder(rig, "rootfs");
	memset(name, 'x', 80);
	name[80] = '\0';
	folder(rig, name);
	for (int i = 0; i < 60; i++) {
		snprintf(name + 80, sizeof(name) - 80, "/%d", i);
		folder(rig, name);
		snprintf(options + strlen(options), sizeof(options) - strlen(options), "%s%s/%s",
			 i ? ":" : "", rig->dir, name);
	}
	strcat(options, "\"");
	touch(node_rig_path(rig, "top"));
	must_mount(rig, (struct want){ "overlay", "overlay", "", options });
	assert_int_equal(mounted(rig, NULL, NULL, NULL), 1);
	/* Nothing can make this fit. */
	snprintf(options, sizeof(options), "\"lowerdir=/a:/b\",\"x=%05000d\"", 0);
	assert_int_equal(mount_one(rig, (struct want){ "overlay", "overlay", "", options }, &text),
			 E2BIG);
	assert_non_null(strstr(text, "no more than a page"));
	free(text);
}

static void test_a_second_mount_lands_on_the_first(void **state)
{
	struct node_rig *rig = *state;

	folder(rig, "rootfs");
	must_mount(rig, (struct want){ "tmpfs", "one", "", "" });
	folder(rig, "rootfs/sub");
	must_mount(rig, (struct want){ "tmpfs", "two", "sub", "" });
	assert_int_equal(mounted(rig, NULL, NULL, NULL), 2);
	assert_int_equal(umount2(node_rig_path(rig, "rootfs/sub"), 0), 0);
	must_mount(rig, (struct want){ "tmpfs", "three", "", "\"ro\"" });
	assert_false(exists(rig, "rootfs/sub"));
}

static void test_a_file_system_in_a_file_is_mounted_by_a_loop_device(void **state)
{
	struct node_rig *rig = *state;
	const char *image = node_rig_path(rig, "image");
	struct spawn mkfs = { .job = JOB_EXEC, .in = SPAWN_NULL, .out = SPAWN_NULL,
			      .err = SPAWN_NULL,
			      .argv = (const char *const[]){ "mkfs.ext4", "-q", image, "1M", NULL } };
	char type[32];
	int64_t id;

	folder(rig, "rootfs");
	if (access("/dev/loop-control", F_OK) < 0 || node_rig_run(rig, &mkfs, NULL) != 0) {
		print_message("# SKIP no loop devices here, or no mkfs.ext4\n");
		skip();
	}
	must_mount(rig, (struct want){ "ext4", image, "", "\"loop\",\"ro\"" });
	assert_int_equal(mounted(rig, &id, NULL, type), 1);
	assert_string_equal(type, "ext4");
	assert_int_equal(unmount(rig, "rootfs", id, NULL), 0);
}

/* ---- what is refused --------------------------------------------------------- */

static void test_a_symbolic_link_on_the_way_to_the_target_is_refused(void **state)
{
	struct node_rig *rig = *state;
	char *text;

	folder(rig, "rootfs");
	folder(rig, "outside");
	assert_int_equal(symlink("../outside", node_rig_path(rig, "rootfs/link")), 0);
	assert_int_equal(symlink(rig->dir, node_rig_path(rig, "rootfs/absolute")), 0);
	assert_int_equal(mount_one(rig, (struct want){ "tmpfs", "t", "link", "" }, &text), ELOOP);
	assert_non_null(strstr(text, "symbolic link"));
	free(text);
	assert_int_equal(mount_one(rig, (struct want){ "tmpfs", "t", "absolute/outside", "" }, NULL),
			 ELOOP);
	assert_int_equal(mount_one(rig, (struct want){ "tmpfs", "t", "../outside", "" }, NULL),
			 EXDEV);
	assert_int_equal(mounted(rig, NULL, NULL, NULL), 0);
}

static void test_a_root_that_is_a_symbolic_link_is_refused(void **state)
{
	struct node_rig *rig = *state;

	folder(rig, "outside");
	assert_int_equal(symlink("outside", node_rig_path(rig, "rootfs")), 0);
	assert_int_equal(mount_one(rig, (struct want){ "tmpfs", "t", "", "" }, NULL), ENOTDIR);
	assert_int_equal(mounted(rig, NULL, NULL, NULL), 0);
}

static void test_a_missing_target_and_an_unknown_type_are_named(void **state)
{
	struct node_rig *rig = *state;
	char *text;

	folder(rig, "rootfs");
	assert_int_equal(mount_one(rig, (struct want){ "tmpfs", "t", "no/such", "" }, &text), ENOENT);
	assert_non_null(strstr(text, "mount target \"no/such\" in "));
	free(text);
	assert_int_equal(mount_one(rig, (struct want){ "nofs", "t", "", "" }, &text), ENODEV);
	assert_non_null(strstr(text, "\"nofs\""));
	free(text);
	assert_int_equal(mount_one(rig, (struct want){ "fuse.s3", "t", "", "" }, &text), ENOTSUP);
	assert_non_null(strstr(text, "\"fuse.s3\""));
	free(text);
	assert_int_equal(mount_one(rig, (struct want){ "tmpfs", "t", "", "\"uidmap=0:1:2\"" }, &text),
			 ENOTSUP);
	assert_non_null(strstr(text, "uidmap=0:1:2"));
	free(text);
	assert_int_equal(node_rig_job(rig, JOB_MOUNT, &text, "{\"type\":\"tmpfs\"}"), EINVAL);
	assert_non_null(strstr(text, "\"source\""));
	free(text);
	assert_int_equal(node_rig_job(rig, JOB_MOUNT, NULL, "["), EINVAL);
}

/* ---- unmount ----------------------------------------------------------------- */

static void test_unmount_takes_the_mount_with_that_id(void **state)
{
	struct node_rig *rig = *state;
	int64_t id;

	folder(rig, "rootfs");
	must_mount(rig, (struct want){ "tmpfs", "t", "", "" });
	assert_int_equal(mounted(rig, &id, NULL, NULL), 1);
	assert_int_equal(unmount(rig, "rootfs", id, NULL), 0);
	assert_int_equal(mounted(rig, NULL, NULL, NULL), 0);
	assert_int_equal(unmount(rig, "rootfs", id, NULL), ESTALE);
	assert_int_equal(unmount(rig, "nothing", id, NULL), ENOENT);
	assert_int_equal(unmount(rig, "nothing/below", id, NULL), ENOENT);
}

static void test_a_strangers_mount_on_top_of_ours_is_left_alone(void **state)
{
	struct node_rig *rig = *state;
	int64_t ours;
	char *text;

	folder(rig, "rootfs");
	must_mount(rig, (struct want){ "tmpfs", "ours", "", "" });
	assert_int_equal(mounted(rig, &ours, NULL, NULL), 1);
	assert_int_equal(mount("theirs", node_rig_path(rig, "rootfs"), "tmpfs", 0, NULL), 0);
	assert_int_equal(unmount(rig, "rootfs", ours, &text), ESTALE);
	assert_non_null(strstr(text, "is what is seen there"));
	free(text);
	assert_int_equal(mounted(rig, NULL, NULL, NULL), 2);
	assert_int_equal(umount2(node_rig_path(rig, "rootfs"), 0), 0);
	assert_int_equal(unmount(rig, "rootfs", ours, NULL), 0);
}

static void test_a_busy_mount_stays_and_says_so(void **state)
{
	struct node_rig *rig = *state;
	auto_fd int busy = -1;
	int64_t id;
	char *text;

	folder(rig, "rootfs");
	must_mount(rig, (struct want){ "tmpfs", "t", "", "" });
	assert_int_equal(mounted(rig, &id, NULL, NULL), 1);
	busy = open(node_rig_path(rig, "rootfs"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(unmount(rig, "rootfs", id, &text), EBUSY);
	assert_non_null(strstr(text, "unmount "));
	free(text);
	assert_int_equal(mounted(rig, NULL, NULL, NULL), 1);
	close(TAKE_FD(busy));
	assert_int_equal(unmount(rig, "rootfs", id, NULL), 0);
}

static void test_a_folder_in_a_mount_is_not_the_mount(void **state)
{
	struct node_rig *rig = *state;
	int64_t id;

	folder(rig, "rootfs");
	must_mount(rig, (struct want){ "tmpfs", "t", "", "" });
	assert_int_equal(mounted(rig, &id, NULL, NULL), 1);
	folder(rig, "rootfs/sub");
	assert_int_equal(unmount(rig, "rootfs/sub", id, NULL), EINVAL);
	assert_int_equal(mounted(rig, NULL, NULL, NULL), 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, node_rig_up, down)

/* ---- the list ------------------------------------------------------------------ */

static void test_a_list_that_is_kept_is_new_after_every_change(void **state)
{
	struct node_rig *rig = *state;
	char options[256];
	int64_t id;

	node_linux_keep_mounts(rig->n);
	folder(rig, "rootfs");
	for (int i = 0; i < 20; i++) {
		assert_int_equal(mounted(rig, NULL, NULL, NULL), 0);
		must_mount(rig, (struct want){ "tmpfs", "tmpfs", "", "" });
		assert_int_equal(mounted(rig, &id, options, NULL), 1);
		assert_null(strstr(options, "nosuid"));
		assert_int_equal(mounted(rig, &id, NULL, NULL), 1);
		assert_int_equal(mount(NULL, node_rig_path(rig, "rootfs"), NULL,
				       MS_REMOUNT | MS_BIND | MS_NOSUID, NULL), 0);
		assert_int_equal(mounted(rig, NULL, options, NULL), 1);
		assert_non_null(strstr(options, "nosuid"));
		assert_int_equal(unmount(rig, "rootfs", id, NULL), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_tmpfs_is_mounted_with_flags_and_data),
		T(test_a_bind_takes_its_flags_too),
		T(test_rbind_and_propagation_words_are_honoured),
		T(test_an_overlay_shows_its_layers),
		T(test_overlay_options_over_a_page_are_made_to_fit),
		T(test_a_second_mount_lands_on_the_first),
		T(test_a_file_system_in_a_file_is_mounted_by_a_loop_device),
		T(test_a_symbolic_link_on_the_way_to_the_target_is_refused),
		T(test_a_root_that_is_a_symbolic_link_is_refused),
		T(test_a_missing_target_and_an_unknown_type_are_named),
		T(test_unmount_takes_the_mount_with_that_id),
		T(test_a_strangers_mount_on_top_of_ours_is_left_alone),
		T(test_a_busy_mount_stays_and_says_so),
		T(test_a_folder_in_a_mount_is_not_the_mount),
		T(test_a_list_that_is_kept_is_new_after_every_change),
	};

	if (!node_rig_private_mounts()) {
		puts("needs root, for a mount namespace of its own");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
