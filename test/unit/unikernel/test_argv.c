/* SPDX-License-Identifier: Apache-2.0 */
/* The words of every monitor, as text: one a line, so that a blank shows where it is. */
#include "supervisor/unikernel/argv.h"

#include "journal/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct launch_net net = { .tap = "tap0", .mac = "52:54:00:01:02:03", .mtu = 1450 };
static const struct launch_drive drives[] = {
	{ "rootfs", "/dev/dm-3" },
	{ "annot_vol", "/my disks/a,b.img" },
};

static struct launch small(const char *monitor, const char *guest)
{
	return (struct launch){ .monitor = monitor_find(monitor), .guest = guest_find(guest),
				.program = "/opt/my monitors/m", .kernel = "/my kernels/k",
				.cmdline = "a b", .memory = 268435456, .vcpus = 2, .kvm = true };
}

static struct launch full(const char *monitor, const char *guest)
{
	struct launch l = small(monitor, guest);

	l.initrd = "/i";
	l.seccomp = true;
	l.net = &net;
	l.drives = drives;
	l.n_drives = 2;
	l.cid = 7;
	l.cid_fd = 65;
	l.cid_socket = "/run/v.sock";
	l.config = "/tmp/fc.json";
	return l;
}

static void runs(const struct launch *l, const char *expected)
{
	struct argv argv = { .n = 0 };
	struct err err = ERR_INIT;
	char text[4096] = "";
	size_t used = 0;

	if (launch_argv(&argv, l, &err) < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; argv.at[i]; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\n", argv.at[i]);
	assert_string_equal(text, expected);
	argv_clear(&argv);
}

static void refuses(const struct launch *l, int code, const char *why)
{
	struct argv argv = { .n = 0 };
	struct err err = ERR_INIT;

	assert_int_equal(launch_argv(&argv, l, &err), -code);
	assert_string_equal(err.text, why);
	assert_int_equal(argv.n, 0);
}

#define QEMU_256(cpu, accel) \
	"/opt/my monitors/m\n-m\n256M\n-cpu\n" cpu "\n-accel\n" accel "\n-display\nnone\n-vga\nnone\n" \
	"-serial\nstdio\n-monitor\nnone\n-smp\n2\n"

static void qemu_without_devices(void **state)
{
	struct launch l = small("qemu", "unikraft");

	(void)state;
	runs(&l, QEMU_256("host", "kvm") "-kernel\n/my kernels/k\n-nic\nnone\n-append\na b\n");
	l.kvm = false;
	l.data = "/usr/share/qemu";
	l.arm64 = true;
	l.vcpus = 0;
	runs(&l, "/opt/my monitors/m\n-m\n256M\n-L\n/usr/share/qemu\n-M\nvirt\n-cpu\nmax\n-accel\ntcg\n"
		 "-display\nnone\n-vga\nnone\n-serial\nstdio\n-monitor\nnone\n-smp\n1\n-kernel\n"
		 "/my kernels/k\n-nic\nnone\n-append\na b\n");
}

static void qemu_with_all_devices(void **state)
{
	struct launch l = full("qemu", "linux");

	(void)state;
	runs(&l, QEMU_256("host", "kvm")
	     "-sandbox\non,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny\n"
	     "-kernel\n/my kernels/k\n"
	     "-netdev\ntap,id=net0,ifname=tap0,script=no,downscript=no\n"
	     "-device\nvirtio-net-pci,netdev=net0,host_mtu=1450,mac=52:54:00:01:02:03\n"
	     "-device\nvirtio-blk-pci,serial=rootfs,drive=rootfs\n"
	     "-drive\nformat=raw,if=none,id=rootfs,file=/dev/dm-3\n"
	     "-device\nvirtio-blk-pci,serial=annot_vol,drive=annot_vol\n"
	     "-drive\nformat=raw,if=none,id=annot_vol,file=/my disks/a,,b.img\n"
	     "-initrd\n/i\n-no-reboot\n-nodefaults\n"
	     "-device\nvhost-vsock-pci,id=vhost-vsock-pci0,guest-cid=7,vhostfd=65\n-append\na b\n");
}

static void qemu_of_other_guests_differs_where_they_do(void **state)
{
	static const struct launch_net vhost = { .tap = "t", .mac = "m", .vhost = true };
	struct launch l = small("qemu", "mewz");

	(void)state;
	l.net = &vhost;
	runs(&l, QEMU_256("host", "kvm") "-kernel\n/my kernels/k\n"
	     "-netdev\ntap,id=net0,ifname=t,script=no,downscript=no,vhost=on\n"
	     "-device\nvirtio-net-pci,netdev=net0,disable-legacy=on,disable-modern=off,mac=m\n"
	     "-no-reboot\n-device\nisa-debug-exit,iobase=0x501,iosize=2\n-append\na b\n");
	l = small("qemu", "mirage");
	l.drives = drives;
	l.n_drives = 1;
	runs(&l, QEMU_256("host", "kvm") "-kernel\n/my kernels/k\n-nic\nnone\n"
	     "-device\nvirtio-blk-pci,serial=rootfs,drive=rootfs,scsi=off\n"
	     "-drive\nformat=raw,if=none,id=rootfs,file=/dev/dm-3\n-append\na b\n");
}

static void qemu_shares_folders(void **state)
{
	struct launch l = small("qemu", "unikraft");

	(void)state;
	l.share_9p = "/a,b";
	runs(&l, QEMU_256("host", "kvm") "-kernel\n/my kernels/k\n-nic\nnone\n"
	     "-fsdev\nlocal,id=rootfs9p,security_model=none,multidevs=remap,path=/a,,b\n"
	     "-device\nvirtio-9p-pci,fsdev=rootfs9p,mount_tag=fs0\n-append\na b\n");
	l = small("qemu", "linux");
	l.share_socket = "/tmp/vhostqemu";
	runs(&l, QEMU_256("host", "kvm") "-kernel\n/my kernels/k\n-nic\nnone\n"
	     "-object\nmemory-backend-memfd,id=mem,size=256M,share=on\n"
	     "-numa\nnode,memdev=mem\n-chardev\nsocket,id=char0,path=/tmp/vhostqemu\n"
	     "-device\nvhost-user-fs-pci,queue-size=1024,chardev=char0,tag=fs0\n"
	     "-no-reboot\n-nodefaults\n-append\na b\n");
}

static void qemu_is_asked_by_the_descriptor_it_has(void **state)
{
	struct launch l = small("qemu", "linux");

	(void)state;
	l.control = 4;
	runs(&l, QEMU_256("host", "kvm")
	     "-chardev\nsocket,id=control,fd=4\n-mon\nchardev=control,mode=control\n"
	     "-kernel\n/my kernels/k\n-nic\nnone\n-no-reboot\n-nodefaults\n-append\na b\n");
}

static void firecracker_gets_a_file(void **state)
{
	struct launch l = full("firecracker", "linux");
	auto_free char *text = NULL;
	struct err err = ERR_INIT;

	(void)state;
	runs(&l, "/opt/my monitors/m\n--no-api\n--config-file\n/tmp/fc.json\n");
	l.seccomp = false;
	runs(&l, "/opt/my monitors/m\n--no-api\n--config-file\n/tmp/fc.json\n--no-seccomp\n");
	assert_int_equal(launch_config(&text, &l, &err), 0);
	assert_string_equal(text,
		"{\"boot-source\":{\"kernel_image_path\":\"/my kernels/k\",\"boot_args\":\"a b\","
		"\"initrd_path\":\"/i\"},\"machine-config\":{\"vcpu_count\":2,\"mem_size_mib\":256,"
		"\"smt\":false,\"track_dirty_pages\":false},\"drives\":[{\"drive_id\":\"FCrootfs\","
		"\"is_read_only\":false,\"is_root_device\":false,\"path_on_host\":\"/dev/dm-3\"},{"
		"\"drive_id\":\"FCannot_vol\",\"is_read_only\":false,\"is_root_device\":false,"
		"\"path_on_host\":\"/my disks/a,b.img\"}],\"network-interfaces\":[{\"iface_id\":\"net1\","
		"\"guest_mac\":\"52:54:00:01:02:03\",\"host_dev_name\":\"tap0\"}],\"vsock\":{"
		"\"guest_cid\":7,\"uds_path\":\"/run/v.sock\",\"vsock_id\":\"root\"}}");
}

static void firecracker_without_devices_has_empty_lists(void **state)
{
	struct launch l = small("firecracker", "unikraft");
	auto_free char *text = NULL;
	auto_free char *other = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(launch_config(&text, &l, &err), 0);
	assert_string_equal(text,
		"{\"boot-source\":{\"kernel_image_path\":\"/my kernels/k\",\"boot_args\":\"a b\"},"
		"\"machine-config\":{\"vcpu_count\":2,\"mem_size_mib\":256,\"smt\":false,"
		"\"track_dirty_pages\":false},\"drives\":[],\"network-interfaces\":[]}");
	l.guest = guest_find("freebsd");
	l.drives = drives;
	l.n_drives = 1;
	assert_int_equal(launch_config(&other, &l, &err), 0);
	assert_non_null(strstr(other, "\"drive_id\":\"rootfs\",\"is_read_only\":false,"
				      "\"is_root_device\":true"));
}

static void cloud_hypervisor_has_its_words(void **state)
{
	static const struct launch_drive disk[] = { { "rootfs", "/my disks/d" } };
	struct launch l = full("cloud-hypervisor", "linux");

	(void)state;
	l.drives = disk;
	l.n_drives = 1;
	l.share_socket = "/tmp/vhostqemu";
	runs(&l, "/opt/my monitors/m\n--memory\nsize=256M,shared=on\n--cpus\nboot=2\n--kernel\n"
		 "/my kernels/k\n--console\noff\n--serial\ntty\n--seccomp\ntrue\n--net\n"
		 "tap=tap0,mac=52:54:00:01:02:03,mtu=1450\n--disk\npath=/my disks/d,id=rootfs\n"
		 "--initramfs\n/i\n--fs\ntag=fs0,socket=/tmp/vhostqemu\n--vsock\n"
		 "cid=7,socket=/run/v.sock\n--cmdline\na b\n");
	l = small("cloud-hypervisor", "linux");
	runs(&l, "/opt/my monitors/m\n--memory\nsize=256M\n--cpus\nboot=2\n--kernel\n/my kernels/k\n"
		 "--console\noff\n--serial\ntty\n--seccomp\nfalse\n--cmdline\na b\n");
	l.drives = drives;
	l.n_drives = 2;
	refuses(&l, EINVAL, "cloud-hypervisor can't be told the path \"/my disks/a,b.img\": it has a "
			    "comma, a bracket or a quote in it");
}

static void solo5_gets_its_command_line_as_one_word(void **state)
{
	struct launch l = small("spt", "mirage");

	(void)state;
	l.kvm = false;
	runs(&l, "/opt/my monitors/m\n--mem=256\n--\n/my kernels/k\na b\n");
	l.net = &net;
	l.drives = drives;
	l.n_drives = 1;
	l.cmdline = "";
	runs(&l, "/opt/my monitors/m\n--mem=256\n--net:service=tap0\n"
		 "--net-mac:service=52:54:00:01:02:03\n--block:storage=/dev/dm-3\n--\n/my kernels/k\n");
	l.monitor = monitor_find("hvt");
	l.guest = guest_find("rumprun");
	l.kvm = true;
	runs(&l, "/opt/my monitors/m\n--mem=256\n--net:tap=tap0\n--net-mac:tap=52:54:00:01:02:03\n"
		 "--block:rootfs=/dev/dm-3\n--\n/my kernels/k\n");
	l.n_drives = 2;
	refuses(&l, ENOTSUP, "monitor \"hvt\" has no second disk: its guests declare one");
	l = small("spt", "mirage");
	l.initrd = "/i";
	refuses(&l, ENOTSUP, "monitor \"spt\" has no initrd");
}

static void hyperlight_takes_bytes(void **state)
{
	struct launch l = small("hyperlight-unikraft", "unikraft");

	(void)state;
	l.initrd = "/i";
	runs(&l, "/opt/my monitors/m\n/my kernels/k\n--initrd\n/i\n--memory\n268435456\n");
	l.net = &net;
	refuses(&l, ENOTSUP, "monitor \"hyperlight-unikraft\" has no devices");
}

static void a_mib_is_a_mib(void **state)
{
	struct err err = ERR_INIT;
	int64_t n = 0;

	(void)state;
	assert_int_equal(launch_mib(268435456, &n, &err), 0);
	assert_int_equal(n, 256);
	assert_int_equal(launch_mib(2097151, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(launch_mib(1000000, &n, &err), -EINVAL);
	assert_string_equal(err.text, "a memory limit of 1000000 bytes is less than the 1 MiB that a "
				      "guest needs at least");
}

static void what_can_not_be_launched_is_refused(void **state)
{
	struct launch_drive many[DRIVES_MAX + 1];
	struct launch l = small("firecracker", "linux");

	(void)state;
	l.kvm = false;
	refuses(&l, ENOTSUP, "monitor \"firecracker\" needs KVM, and /dev/kvm can't be used; load the "
			     "kvm module, or use qemu or spt");
	l = small("firecracker", "mewz");
	refuses(&l, ENOTSUP, "monitor \"firecracker\" can't run type \"mewz\"");
	l = small("qemu", "linux");
	for (size_t i = 0; i <= DRIVES_MAX; i++)
		many[i] = drives[0];
	l.drives = many;
	l.n_drives = DRIVES_MAX + 1;
	refuses(&l, E2BIG, "17 disks, and a guest can have 16");
	l.n_drives = 0;
	l.memory = 5;
	refuses(&l, EINVAL, "a memory limit of 5 bytes is less than the 1 MiB that a guest needs at "
			    "least");
}

/* All that one guest can have at once is no more than an array holds. */
static void the_largest_command_line_fits(void **state)
{
	struct launch_drive many[DRIVES_MAX];
	struct launch l = full("qemu", "linux");
	struct argv argv = { .n = 0 };
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < DRIVES_MAX; i++)
		many[i] = drives[0];
	l.drives = many;
	l.n_drives = DRIVES_MAX;
	l.data = "/d";
	l.arm64 = true;
	l.share_9p = l.share_socket = "/s";
	assert_int_equal(launch_argv(&argv, &l, &err), 0);
	argv_clear(&argv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(qemu_without_devices),
		cmocka_unit_test(qemu_with_all_devices),
		cmocka_unit_test(qemu_of_other_guests_differs_where_they_do),
		cmocka_unit_test(qemu_shares_folders),
		cmocka_unit_test(qemu_is_asked_by_the_descriptor_it_has),
		cmocka_unit_test(firecracker_gets_a_file),
		cmocka_unit_test(firecracker_without_devices_has_empty_lists),
		cmocka_unit_test(cloud_hypervisor_has_its_words),
		cmocka_unit_test(solo5_gets_its_command_line_as_one_word),
		cmocka_unit_test(hyperlight_takes_bytes),
		cmocka_unit_test(a_mib_is_a_mib),
		cmocka_unit_test(what_can_not_be_launched_is_refused),
		cmocka_unit_test(the_largest_command_line_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
