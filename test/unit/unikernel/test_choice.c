/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest boots from: every branch, and their order. */
#include "supervisor/unikernel/choice.h"

#include "journal/base/cleanup.h"
#include "supervisor/node/mountinfo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ROOT "/b/c1/rootfs"
#define ON(type, source) "30 1 253:3 / " ROOT " rw - " type " " source " rw\n"
#define HOST "20 0 8:1 / / rw - ext4 /dev/sda1 rw\n"

/* Facts of a test: @unikernel is JSON with ' for ". */
struct facts {
	struct choice_in in;
	struct mount_list mounts;
	struct choice choice;
	struct err err;
};

static void facts(struct facts *f, const char *type, const char *monitor, const char *unikernel,
		  const char *mounts)
{
	auto_free char *text = strdup(unikernel);

	*f = (struct facts){ .in = { .guest = guest_find(type), .monitor = monitor_find(monitor),
				     .root = ROOT } };
	for (char *p = text; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	f->in.unikernel = json_tokener_parse(text);
	assert_non_null(f->in.unikernel);
	if (!mounts)
		return;
	assert_int_equal(mountinfo_parse(mounts, strlen(mounts), &f->mounts, &f->err), 0);
	f->in.mounts = &f->mounts;
}

static void done(struct facts *f)
{
	json_object_put(f->in.unikernel);
	mount_list_clear(&f->mounts);
}

static void same(const char *a, const char *b)
{
	if (!b)
		assert_null(a);
	else
		assert_string_equal(a, b);
}

static void gives(struct facts *f, enum guest_rootfs rootfs, const char *path,
		  const char *mounted, const char *reason)
{
	if (choice_make(&f->choice, &f->in, &f->err) < 0)
		fail_msg("%s", f->err.text);
	assert_string_equal(guest_rootfs_name(f->choice.rootfs), guest_rootfs_name(rootfs));
	same(f->choice.path, path);
	same(f->choice.mounted, mounted);
	assert_string_equal(f->choice.reason, reason);
}

static void fails(struct facts *f, int code, const char *why)
{
	assert_int_equal(choice_make(&f->choice, &f->in, &f->err), -code);
	assert_string_equal(f->err.text, why);
	done(f);
}

#define ALL "{'initrd':'/i','block':'/d','block_mount':'/','mount_rootfs':true}"

static void an_initrd_comes_first(void **state)
{
	struct facts f;

	(void)state;
	facts(&f, "linux", "qemu", ALL, HOST ON("ext4", "/dev/dm-3"));
	gives(&f, ROOTFS_INITRD, "/i", NULL, "the annotation initrd names it; block is passed over: "
					     "it can't be the root beside it");
	assert_false(f.choice.extra_block);
	done(&f);
	/* Also for a type that may have no use for it. */
	facts(&f, "mewz", "qemu", "{'initrd':'/i'}", NULL);
	gives(&f, ROOTFS_INITRD, "/i", NULL, "the annotation initrd names it");
	done(&f);
}

static void an_image_for_the_root_comes_second(void **state)
{
	struct facts f;

	(void)state;
	facts(&f, "linux", "qemu", "{'block':'/d','block_mount':'/','mount_rootfs':true}",
	      HOST ON("ext4", "/dev/dm-3"));
	gives(&f, ROOTFS_BLOCK, "/d", NULL, "the annotation block names it, and blkMntPoint is /");
	assert_false(f.choice.extra_block);
	done(&f);
}

static void an_image_for_another_place_is_one_more_disk(void **state)
{
	struct facts f;

	(void)state;
	facts(&f, "linux", "qemu", "{'block':'/d','block_mount':'/data'}", HOST);
	gives(&f, ROOTFS_NONE, NULL, NULL, "no annotation asks for one");
	assert_true(f.choice.extra_block);
	done(&f);
	facts(&f, "linux", "qemu", "{'initrd':'/i','block':'/d','block_mount':'/data'}", HOST);
	gives(&f, ROOTFS_INITRD, "/i", NULL, "the annotation initrd names it");
	assert_true(f.choice.extra_block);
	done(&f);
	facts(&f, "linux", "qemu", "{'block':'/d'}", HOST);
	fails(&f, EINVAL, "annotation com.urunc.unikernel.block is given without "
			  "com.urunc.unikernel.blkMntPoint; say where the guest is to mount it, / for "
			  "its root");
}

static void an_image_is_passed_over_where_there_are_no_disks(void **state)
{
	struct facts f;

	(void)state;
	facts(&f, "unikraft", "qemu", "{'block':'/d','block_mount':'/'}", HOST);
	gives(&f, ROOTFS_NONE, NULL, NULL, "no annotation asks for one; block is passed over: type "
					   "\"unikraft\" has no disks");
	done(&f);
	facts(&f, "unikraft", "qemu", "{'block':'/d','block_mount':'/','mount_rootfs':true}",
	      HOST ON("ext4", "/dev/dm-3"));
	gives(&f, ROOTFS_9PFS, ROOT, ROOT,
	      "type \"unikraft\" has no disks; type \"unikraft\" has no virtiofs; mountRootfs is true, "
	      "so it is shared by 9pfs; block is passed over: type \"unikraft\" has no disks");
	done(&f);
}

static void the_device_under_the_rootfs_comes_third(void **state)
{
	struct facts f;

	(void)state;
	facts(&f, "linux", "firecracker", "{'mount_rootfs':true}",
	      HOST ON("ext4", "/dev/mapper/pool-snap-3"));
	gives(&f, ROOTFS_CONTAINER, "/dev/mapper/pool-snap-3", ROOT,
	      "mountRootfs is true, and the rootfs is /dev/mapper/pool-snap-3 (ext4)");
	done(&f);
	facts(&f, "rumprun", "spt", "{'mount_rootfs':true}", HOST ON("ext2", "/dev/loop7"));
	gives(&f, ROOTFS_CONTAINER, "/dev/loop7", ROOT,
	      "mountRootfs is true, and the rootfs is /dev/loop7 (ext2)");
	done(&f);
	/* The upper of two mounts counts. */
	facts(&f, "linux", "qemu", "{'mount_rootfs':true}",
	      HOST ON("overlay", "overlay") "31 30 7:7 / " ROOT " rw - ext3 /dev/loop7 rw\n");
	gives(&f, ROOTFS_CONTAINER, "/dev/loop7", ROOT,
	      "mountRootfs is true, and the rootfs is /dev/loop7 (ext3)");
	done(&f);
}

static void a_device_that_is_not_the_guests_alone_is_never_given(void **state)
{
	struct facts f;
	const char *shared = "; monitor \"firecracker\" has no virtiofs; monitor \"firecracker\" has no "
			     "9pfs";
	char why[512];

	(void)state;
	/* A bind mount of a folder of the node's own disk. */
	facts(&f, "linux", "firecracker", "{'mount_rootfs':true}",
	      HOST "30 20 8:1 /snapshots/5/fs " ROOT " rw - ext4 /dev/sda1 rw\n");
	(void)snprintf(why, sizeof(why), "annotation com.urunc.unikernel.mountRootfs can't be followed: "
		       "the rootfs is only the folder /snapshots/5/fs of /dev/sda1%s", shared);
	fails(&f, ENOTSUP, why);
	facts(&f, "linux", "firecracker", "{'mount_rootfs':true}",
	      HOST "30 20 8:1 / " ROOT " rw - ext4 /dev/sda1 rw\n");
	(void)snprintf(why, sizeof(why), "annotation com.urunc.unikernel.mountRootfs can't be followed: "
		       "/dev/sda1 is mounted at / too%s", shared);
	fails(&f, ENOTSUP, why);
	facts(&f, "linux", "firecracker", "{'mount_rootfs':true}", HOST ON("ext4", "tank"));
	(void)snprintf(why, sizeof(why), "annotation com.urunc.unikernel.mountRootfs can't be followed: "
		       "the rootfs is on no block device%s", shared);
	fails(&f, ENOTSUP, why);
}

static void a_shared_rootfs_comes_fourth_and_virtiofs_before_9pfs(void **state)
{
	struct facts f;

	(void)state;
	facts(&f, "linux", "qemu", "{'mount_rootfs':true}", HOST ON("overlay", "overlay"));
	f.in.virtiofsd = true;
	gives(&f, ROOTFS_VIRTIOFS, ROOT, ROOT,
	      "type \"linux\" can't mount overlay, which the rootfs is; mountRootfs is true, so it is "
	      "shared by virtiofs");
	f.in.virtiofsd = false;
	gives(&f, ROOTFS_9PFS, ROOT, ROOT,
	      "type \"linux\" can't mount overlay, which the rootfs is; /usr/libexec/virtiofsd is not "
	      "installed; mountRootfs is true, so it is shared by 9pfs");
	f.in.mounts = NULL;
	gives(&f, ROOTFS_9PFS, ROOT, ROOT,
	      "the mounts of this node could not be read; /usr/libexec/virtiofsd is not installed; "
	      "mountRootfs is true, so it is shared by 9pfs");
	done(&f);
	facts(&f, "linux", "cloud-hypervisor", "{'mount_rootfs':true}", HOST);
	f.in.virtiofsd = true;
	gives(&f, ROOTFS_VIRTIOFS, ROOT, ROOT, ROOT " is no mount point; mountRootfs is true, so it "
					       "is shared by virtiofs");
	done(&f);
}

static void a_monitor_of_ours_has_a_virtiofsd_of_ours(void **state)
{
	struct facts f;

	(void)state;
	facts(&f, "linux", "qemu", "{'mount_rootfs':true}", HOST ON("overlay", "overlay"));
	f.in.native = true;
	gives(&f, ROOTFS_9PFS, ROOT, ROOT,
	      "type \"linux\" can't mount overlay, which the rootfs is; virtiofsd is not installed; "
	      "mountRootfs is true, so it is shared by 9pfs");
	done(&f);
}

static void an_image_behind_a_link_is_not_handed_over_by_us(void **state)
{
	struct facts f;

	(void)state;
	facts(&f, "linux", "qemu", "{'block':'/d','block_mount':'/'}", HOST);
	f.in.block = FILE_UNSURE;
	gives(&f, ROOTFS_BLOCK, "/d", NULL, "the annotation block names it, and blkMntPoint is /");
	f.in.native = true;
	fails(&f, EINVAL, "annotation com.urunc.unikernel.block: a symbolic link is on the way to /d in "
			  "the rootfs; name the file itself");
	facts(&f, "linux", "qemu", "{'block':'/d','block_mount':'/'}", HOST);
	f.in.native = true;
	f.in.block = FILE_THERE;
	gives(&f, ROOTFS_BLOCK, "/d", NULL, "the annotation block names it, and blkMntPoint is /");
	done(&f);
}

static void a_device_that_create_did_not_mount_is_not_ours_to_unmount(void **state)
{
	struct facts f;

	(void)state;
	facts(&f, "linux", "qemu", "{'mount_rootfs':true,'block':'/d','block_mount':'/data'}",
	      HOST ON("ext4", "/dev/dm-3"));
	f.in.native = f.in.virtiofsd = true;
	f.in.block = FILE_THERE;
	gives(&f, ROOTFS_VIRTIOFS, ROOT, ROOT,
	      "the rootfs was not mounted by Create, in one piece, and so is not ours to unmount; "
	      "mountRootfs is true, so it is shared by virtiofs");
	assert_true(f.choice.extra_block);
	f.in.made_type = "ext4";
	f.in.made_source = "/images/1";
	gives(&f, ROOTFS_CONTAINER, "/dev/dm-3", ROOT,
	      "mountRootfs is true, and the rootfs is /dev/dm-3 (ext4); block is passed over: its "
	      "image is on the device that the guest has");
	assert_int_equal(f.choice.mount->major, 253);
	assert_false(f.choice.extra_block);
	f.in.mounts = NULL;
	gives(&f, ROOTFS_VIRTIOFS, ROOT, ROOT, "the mounts of this node could not be read; mountRootfs "
					       "is true, so it is shared by virtiofs");
	done(&f);
	facts(&f, "linux", "qemu", "{'mount_rootfs':true}",
	      HOST "30 1 253:3 / " ROOT " ro,nosuid - ext4 /dev/dm-3 ro\n");
	f.in.native = f.in.virtiofsd = true;
	gives(&f, ROOTFS_VIRTIOFS, ROOT, ROOT, "the rootfs is mounted read only; mountRootfs is true, so "
					       "it is shared by virtiofs");
	done(&f);
}

static void a_rootfs_that_can_not_be_given_is_an_error_with_all_reasons(void **state)
{
	struct facts f;

	(void)state;
	facts(&f, "linux", "cloud-hypervisor", "{'mount_rootfs':true}", HOST ON("overlay", "o"));
	fails(&f, ENOTSUP, "annotation com.urunc.unikernel.mountRootfs can't be followed: type "
			   "\"linux\" can't mount overlay, which the rootfs is; "
			   "/usr/libexec/virtiofsd is not installed; monitor \"cloud-hypervisor\" has "
			   "no 9pfs");
	/* Mirage has disks, and mounts nothing. */
	facts(&f, "mirage", "spt", "{'mount_rootfs':true}", HOST ON("ext4", "/dev/dm-3"));
	fails(&f, ENOTSUP, "annotation com.urunc.unikernel.mountRootfs can't be followed: type "
			   "\"mirage\" can't mount ext4, which the rootfs is; type \"mirage\" has no "
			   "virtiofs; type \"mirage\" has no 9pfs");
	facts(&f, "unikraft", "hyperlight-unikraft", "{'mount_rootfs':true}", HOST);
	fails(&f, ENOTSUP, "annotation com.urunc.unikernel.mountRootfs can't be followed: type "
			   "\"unikraft\" has no disks; type \"unikraft\" has no virtiofs; monitor "
			   "\"hyperlight-unikraft\" has no 9pfs");
}

static void otherwise_there_is_none(void **state)
{
	struct facts f;

	(void)state;
	facts(&f, "linux", "qemu", "{'mount_rootfs':false}", HOST ON("ext4", "/dev/dm-3"));
	gives(&f, ROOTFS_NONE, NULL, NULL, "no annotation asks for one");
	done(&f);
	facts(&f, "linux", "qemu", "{'mount_rootfs':false,'mount_rootfs_text':'maybe'}", HOST);
	gives(&f, ROOTFS_NONE, NULL, NULL, "mountRootfs \"maybe\" is no boolean and counts as false; no "
					   "annotation asks for one");
	done(&f);
}

static void a_rootfs_that_was_unmounted_since_is_remembered(void **state)
{
	struct facts f;

	(void)state;
	facts(&f, "linux", "qemu", "{'mount_rootfs':true}", HOST);
	f.in.made_type = "ext4";
	f.in.made_source = "/dev/loop7";
	gives(&f, ROOTFS_CONTAINER, "/dev/loop7", NULL,
	      "mountRootfs is true, and Create mounted /dev/loop7 (ext4) as the rootfs");
	f.in.made_type = "overlay";
	f.in.made_source = "overlay";
	gives(&f, ROOTFS_9PFS, ROOT, ROOT,
	      ROOT " is no mount point; /usr/libexec/virtiofsd is not installed; mountRootfs is true, "
	      "so it is shared by 9pfs");
	done(&f);
}

static void files_that_are_missing_and_paths_that_lead_out_are_errors(void **state)
{
	struct facts f;

	(void)state;
	facts(&f, "linux", "qemu", "{'binary':'/k','initrd':'/i'}", HOST);
	f.in.binary = FILE_THERE;
	gives(&f, ROOTFS_INITRD, "/i", NULL, "the annotation initrd names it");
	f.in.initrd = FILE_MISSING;
	fails(&f, ENOENT, "annotation com.urunc.unikernel.initrd: there is no file /i in the rootfs "
			  ROOT "; correct the image or the annotation");
	facts(&f, "linux", "qemu", "{'binary':'/a/../../k'}", HOST);
	fails(&f, EINVAL, "annotation com.urunc.unikernel.binary: \"/a/../../k\" is no path of a file "
			  "in the rootfs");
	facts(&f, "linux", "qemu", "{'binary':'-k'}", HOST);
	fails(&f, EINVAL, "annotation com.urunc.unikernel.binary: \"-k\" is no path of a file in the "
			  "rootfs");
	facts(&f, "linux", "qemu", "{'binary':'/'}", HOST);
	fails(&f, EINVAL, "annotation com.urunc.unikernel.binary: \"/\" is no path of a file in the "
			  "rootfs");
	facts(&f, "linux", "qemu", "{'binary':'/my kernels/k..1'}", HOST);
	gives(&f, ROOTFS_NONE, NULL, NULL, "no annotation asks for one");
	done(&f);
}

static void a_pair_that_does_not_fit_says_what_would(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(choice_pair("linux", "qemu", &err), 0);
	assert_int_equal(choice_pair("linux", "xen", &err), -ENOTSUP);
	assert_string_equal(err.text, "monitor \"xen\" is not known; use one of qemu, firecracker, "
				      "cloud-hypervisor, hvt, spt, hyperlight-unikraft");
	assert_int_equal(choice_pair("plan9", "qemu", &err), -ENOTSUP);
	assert_string_equal(err.text, "unikernel type \"plan9\" is not known; correct the annotation "
				      "com.urunc.unikernel.unikernelType");
	assert_int_equal(choice_pair("mewz", "spt", &err), -ENOTSUP);
	assert_string_equal(err.text, "monitor \"spt\" can't run type \"mewz\"; use one of qemu");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_initrd_comes_first),
		cmocka_unit_test(an_image_for_the_root_comes_second),
		cmocka_unit_test(an_image_for_another_place_is_one_more_disk),
		cmocka_unit_test(an_image_is_passed_over_where_there_are_no_disks),
		cmocka_unit_test(the_device_under_the_rootfs_comes_third),
		cmocka_unit_test(a_device_that_is_not_the_guests_alone_is_never_given),
		cmocka_unit_test(a_shared_rootfs_comes_fourth_and_virtiofs_before_9pfs),
		cmocka_unit_test(a_monitor_of_ours_has_a_virtiofsd_of_ours),
		cmocka_unit_test(an_image_behind_a_link_is_not_handed_over_by_us),
		cmocka_unit_test(a_device_that_create_did_not_mount_is_not_ours_to_unmount),
		cmocka_unit_test(a_rootfs_that_can_not_be_given_is_an_error_with_all_reasons),
		cmocka_unit_test(otherwise_there_is_none),
		cmocka_unit_test(a_rootfs_that_was_unmounted_since_is_remembered),
		cmocka_unit_test(files_that_are_missing_and_paths_that_lead_out_are_errors),
		cmocka_unit_test(a_pair_that_does_not_fit_says_what_would),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
