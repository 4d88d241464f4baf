/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel command lines, as text. */
#include "supervisor/unikernel/guest_net.h"
#include "supervisor/unikernel/monitors.h"

#include "journal/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct guest_net near = { .ip = "10.4.0.9", .gateway = "10.4.0.1", .prefix = 24 };
static const struct guest_net far = { .ip = "10.4.0.9", .gateway = "169.254.1.1", .prefix = 32 };
static const char *const args[] = { "/app", "-c", "a file", NULL };
static const char *const env[] = { "A=1", "B=two words", NULL };

static struct guest_in with(enum guest_rootfs rootfs, const struct guest_net *net)
{
	return (struct guest_in){ .args = args, .env = env, .net = net, .rootfs = rootfs,
				  .version = "", .monitor = "qemu" };
}

static void writes(const char *name, const struct guest_in *in, const char *expected)
{
	auto_free char *text = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(guest_cmdline(guest_find(name), in, &text, &err), 0);
	assert_string_equal(text, expected);
}

static void refuses(const char *name, const struct guest_in *in, int code, const char *why)
{
	char *text = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(guest_cmdline(guest_find(name), in, &text, &err), -code);
	assert_null(text);
	assert_string_equal(err.text, why);
}

static void linux_gets_its_root_its_network_its_environment_and_its_init(void **state)
{
	struct guest_in in = with(ROOTFS_CONTAINER, &near);

	(void)state;
	writes("linux", &in,
	       "panic=-1 console=ttyS0 root=/dev/vda rw ip=10.4.0.9::10.4.0.1:255.255.255.0:urunc:"
	       "eth0:off A=1 B=\"two words\" init=/app -- -c 'a file'");
	in = with(ROOTFS_INITRD, NULL);
	writes("linux", &in, "panic=-1 console=ttyS0 root=/dev/ram0 rw A=1 B=\"two words\" "
			     "rdinit=/app -- -c 'a file'");
	in = with(ROOTFS_VIRTIOFS, NULL);
	in.args = in.env = NULL;
	writes("linux", &in, "panic=-1 console=ttyS0 root=fs0 rw rootfstype=virtiofs");
	in.rootfs = ROOTFS_9PFS;
	writes("linux", &in, "panic=-1 console=ttyS0 root=fs0 rw rootfstype=9p rootflags=trans=virtio,"
			     "version=9p2000.L,msize=5000000,cache=mmap,posixacl");
	in.rootfs = ROOTFS_NONE;
	in.arm64 = true;
	writes("linux", &in, "panic=-1 console=ttyAMA0");
	in.monitor = "firecracker";
	writes("linux", &in, "panic=-1 console=ttyS0");
}

static void a_gateway_outside_the_subnet_is_said(void **state)
{
	struct guest_in in = with(ROOTFS_BLOCK, &far);

	(void)state;
	in.args = in.env = NULL;
	writes("linux", &in, "panic=-1 console=ttyS0 root=/dev/vda rw ip=10.4.0.9::169.254.1.1:"
			     "255.255.255.255:urunc:eth0:off URUNIT_DEFROUTE=1");
}

static void urunit_gets_a_file_in_place_of_the_environment(void **state)
{
	static const char *const urunit[] = { "/urunit", "/app", NULL };
	struct guest_in in = with(ROOTFS_INITRD, NULL);

	(void)state;
	in.args = urunit;
	assert_true(guest_has_urunit(guest_find("linux"), &in));
	assert_false(guest_has_urunit(guest_find("unikraft"), &in));
	writes("linux", &in, "panic=-1 console=ttyS0 root=/dev/ram0 rw URUNIT_CONFIG=/urunit.conf "
			     "rdinit=/urunit -- /app");
	in.rootfs = ROOTFS_BLOCK;
	writes("linux", &in, "panic=-1 console=ttyS0 root=/dev/vda rw retain_initrd "
			     "URUNIT_CONFIG=/sys/firmware/initrd init=/urunit -- /app");
}

static void the_file_of_urunit_has_its_lines(void **state)
{
	static const struct guest_volume volumes[] = { { "vol1", "/data" }, { "vol2", "/my files" } };
	struct guest_in in = with(ROOTFS_BLOCK, NULL);
	struct guest_conf conf = { .in = &in, .uid = 1000, .gid = 100, .cwd = "/srv",
				   .volumes = volumes, .n_volumes = 2 };
	static const char *const bad[] = { "A=1\nUID:0", NULL };
	char *text = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(guest_conf(&conf, &text, &err), 0);
	assert_string_equal(text, "UES\nA=1\nB=two words\nUEE\nUCS\nUID:1000\nGID:100\nWD:/srv\nUCE\n"
				  "UBS\nID:vol1\nMP:/data\nID:vol2\nMP:/my files\nUBE\n");
	free(text);
	in.monitor = "firecracker";
	assert_int_equal(guest_conf(&conf, &text, &err), 0);
	assert_non_null(strstr(text, "ID:FCvol1\n"));
	free(text);
	in.env = bad;
	assert_int_equal(guest_conf(&conf, &text, &err), -EINVAL);
	assert_string_equal(err.text, "the variable \"A=1\nUID:0\" has a line break, which urunit's "
				      "file can't hold");
}

static void unikraft_is_written_as_its_version_reads_it(void **state)
{
	struct guest_in in = with(ROOTFS_INITRD, &near);

	(void)state;
	writes("unikraft", &in, "Unikraft env.vars=[ A=1 \"B=two words\" ] netdev.ip=10.4.0.9/24:"
				"10.4.0.1:8.8.8.8 vfs.fstab=[ \"initrd0:/:extract:::\" ] -- /app -c "
				"\"a file\"");
	in.version = "0.16.1";
	in.env = NULL;
	in.net = NULL;
	in.rootfs = ROOTFS_9PFS;
	writes("unikraft", &in, "Unikraft vfs.fstab=[ \"fs0:/:9pfs:::\" ] -- /app -c \"a file\"");
	in.arm64 = true;
	in.rootfs = ROOTFS_NONE;
	in.args = NULL;
	writes("unikraft", &in, "Unikraft console=ttyS0 --");
}

static void unikraft_before_0_16_1_has_other_words_and_no_environment(void **state)
{
	struct guest_in in = with(ROOTFS_INITRD, &near);

	(void)state;
	in.version = "0.16.0";
	writes("unikraft", &in, "Unikraft netdev.ipv4_addr=10.4.0.9 netdev.ipv4_gw_addr=10.4.0.1 "
				"netdev.ipv4_subnet_mask=255.255.255.0 vfs.rootfs=initrd -- /app -c "
				"\"a file\"");
	in.version = "0.9";
	in.net = NULL;
	in.rootfs = ROOTFS_NONE;
	writes("unikraft", &in, "Unikraft -- /app -c \"a file\"");
	in.version = "1.0.0";
	in.env = NULL;
	writes("unikraft", &in, "Unikraft -- /app -c \"a file\"");
}

static void rumprun_gets_one_object_with_repeated_keys(void **state)
{
	static const char *const quote[] = { "/app", "say \\ it", NULL };
	struct guest_in in = with(ROOTFS_CONTAINER, &near);

	(void)state;
	writes("rumprun", &in,
	       "{\"cmdline\":\"/app -c \\\"a file\\\"\",\"env\":\"A=1\",\"env\":\"B=two words\",\"net\":{"
	       "\"if\":\"ukvmif0\",\"cloner\":\"True\",\"type\":\"inet\",\"method\":\"static\",\"addr\":"
	       "\"10.4.0.9\",\"mask\":\"1\",\"gw\":\"10.4.0.1\"},\"blk\":{\"source\":\"etfs\",\"path\":"
	       "\"/dev/ld0a\",\"fstype\":\"blk\",\"mountpoint\":\"/data\"}}");
	in = with(ROOTFS_NONE, NULL);
	in.args = quote;
	in.env = NULL;
	writes("rumprun", &in, "{\"cmdline\":\"/app \\\"say \\\\ it\\\"\"}");
	in.args = NULL;
	writes("rumprun", &in, "{\"cmdline\":\"\"}");
}

static void the_small_ones_get_their_addresses(void **state)
{
	struct guest_in in = with(ROOTFS_NONE, &near);

	(void)state;
	writes("mirage", &in, "--ipv4=10.4.0.9/24 --ipv4-gateway=10.4.0.1 /app -c \"a file\"");
	writes("mewz", &in, "ip=10.4.0.9/24 gateway=10.4.0.1");
	writes("hermit", &in, "ip=10.4.0.9/24 gateway=10.4.0.1 -- /app -c 'a file'");
	in.net = NULL;
	writes("mirage", &in, "/app -c \"a file\"");
	writes("mewz", &in, "");
	writes("hermit", &in, "-- /app -c 'a file'");
}

static const struct guest_net six = { .ip6 = "fd00:4::2", .gateway6 = "fd00:4::1",
				      .prefix6 = 64 };
static const struct guest_net dual = { .ip = "10.4.0.9", .gateway = "10.4.0.1", .prefix = 24,
				       .ip6 = "fd00:4::2", .gateway6 = "fe80::1", .prefix6 = 64 };

static void a_pod_of_ipv6_alone_is_told_to_who_can_be_told(void **state)
{
	struct guest_net net = six;
	struct guest_in in = with(ROOTFS_NONE, &net);

	(void)state;
	in.env = NULL;
	writes("linux", &in, "panic=-1 console=ttyS0 URUNC_IPV6=fd00:4::2/64 "
			     "URUNC_IPV6_GATEWAY=fd00:4::1 init=/app -- -c 'a file'");
	in.args = NULL;
	writes("mirage", &in, "--ipv6-only=true --ipv6=fd00:4::2/64 --ipv6-gateway=fd00:4::1");
	writes("rumprun", &in, "{\"cmdline\":\"\",\"net\":{\"if\":\"ukvmif0\",\"cloner\":\"True\","
			       "\"type\":\"inet6\",\"method\":\"static\",\"addr\":\"fd00:4::2\","
			       "\"mask\":\"64\",\"gw\":\"fd00:4::1\"}}");
	net.gateway6 = NULL;
	writes("mirage", &in, "--ipv6-only=true --ipv6=fd00:4::2/64");
	writes("rumprun", &in, "{\"cmdline\":\"\",\"net\":{\"if\":\"ukvmif0\",\"cloner\":\"True\","
			       "\"type\":\"inet6\",\"method\":\"static\",\"addr\":\"fd00:4::2\","
			       "\"mask\":\"64\"}}");
	net.gateway6 = "fe80::1";
	refuses("rumprun", &in, EINVAL, "a guest of type \"rumprun\" can't be told the gateway "
					"fe80::1, which needs an interface's name beside it");
}

static void who_can_not_be_told_is_refused_by_name(void **state)
{
	static const char *const types[] = { "unikraft", "mewz", "hermit" };
	struct guest_in in = with(ROOTFS_NONE, &six);
	char why[256];

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		(void)snprintf(why, sizeof(why), "a guest of type \"%s\" can't be told an IPv6 address, "
			       "and the pod has no other than fd00:4::2", types[i]);
		refuses(types[i], &in, ENOTSUP, why);
	}
}

static void of_two_families_a_guest_is_told_what_it_can_be(void **state)
{
	struct guest_in in = with(ROOTFS_NONE, &dual);

	(void)state;
	in.args = in.env = NULL;
	writes("linux", &in, "panic=-1 console=ttyS0 ip=10.4.0.9::10.4.0.1:255.255.255.0:urunc:eth0:off "
			     "URUNC_IPV6=fd00:4::2/64 URUNC_IPV6_GATEWAY=fe80::1");
	writes("mewz", &in, "ip=10.4.0.9/24 gateway=10.4.0.1");
	writes("mirage", &in, "--ipv4=10.4.0.9/24 --ipv4-gateway=10.4.0.1");
	assert_false(guest_ipv6(guest_find("mirage"), "3.9", true));
	in.version = "4.2.0";
	writes("mirage", &in, "--ipv4=10.4.0.9/24 --ipv4-gateway=10.4.0.1 --ipv6=fd00:4::2/64 "
			      "--ipv6-gateway=fe80::1");
	writes("rumprun", &in, "{\"cmdline\":\"\",\"net\":{\"if\":\"ukvmif0\",\"cloner\":\"True\","
			       "\"type\":\"inet\",\"method\":\"static\",\"addr\":\"10.4.0.9\","
			       "\"mask\":\"1\",\"gw\":\"10.4.0.1\"}}");
}

static void what_a_command_line_can_not_carry_is_refused(void **state)
{
	static const char *const quote[] = { "/app", "it's a file", NULL };
	static const char *const lines[] = { "/app", "a\nb", NULL };
	static const struct guest_net nonsense = { .ip = "10.4.0", .gateway = "x y", .prefix = 24 };
	static const struct guest_net no_six = { .ip6 = "fd00::x", .prefix6 = 64 };
	static const struct guest_net nowhere = { .ip = NULL };
	struct guest_in in = with(ROOTFS_NONE, NULL);

	(void)state;
	in.env = NULL;
	in.args = quote;
	refuses("linux", &in, EINVAL, "\"it's a file\" can't be written on a kernel command line: it "
				      "holds blanks and the quote around them");
	in.args = lines;
	refuses("mirage", &in, EINVAL, "\"a\nb\" can't be written on a kernel command line: it holds a "
				       "line break");
	in.args = args;
	in.net = &nonsense;
	refuses("mewz", &in, EINVAL, "10.4.0/24 and the gateway x y are no IPv4 addresses");
	in.net = &no_six;
	refuses("mirage", &in, EINVAL, "fd00::x/64 and the gateway \"\" are no IPv6 addresses");
	in.net = &nowhere;
	refuses("mirage", &in, EINVAL, "a network without an address");
	in.net = NULL;
	refuses("freebsd", &in, ENOTSUP, "how the command line of type \"freebsd\" is written is not "
					 "known");
}

/* "panic=-1 console=ttyS0" and this make a line of @len bytes. */
static const char *variable(char *text, size_t size, size_t len)
{
	size_t n = len - strlen("panic=-1 console=ttyS0 ");

	assert_true(n < size);
	memset(text, 'x', n);
	text[1] = '=';
	text[n] = '\0';
	return text;
}

/* Without a network, as at Create, there is room left for any. */
static void linux_is_told_no_more_than_it_reads(void **state)
{
	static const char *const urunit[] = { "/urunit", NULL };
	static const struct guest_net longest = {
		.ip = "100.100.100.101", .gateway = "200.200.200.201", .prefix = 32,
		.ip6 = "fd00:1111:2222:3333:4444:5555:6666:7777", .prefix6 = 128,
		.gateway6 = "fe80:1111:2222:3333:4444:5555:6666:7777",
	};
	struct guest_in in = with(ROOTFS_NONE, NULL);
	const char *one[] = { NULL, NULL };
	auto_free char *create = NULL, *start = NULL, *file = NULL;
	struct err err = ERR_INIT;
	char text[4096];

	(void)state;
	in.args = NULL;
	in.env = one;
	one[0] = variable(text, sizeof(text), 1791);
	assert_int_equal(guest_cmdline(guest_find("linux"), &in, &create, &err), 0);
	assert_int_equal(strlen(create), 1791);
	in.net = &longest;
	assert_int_equal(guest_cmdline(guest_find("linux"), &in, &start, &err), 0);
	assert_true(strlen(start) > 1791 + 128);
	in.net = NULL;
	one[0] = variable(text, sizeof(text), 1792);
	refuses("linux", &in, E2BIG, "its kernel command line has 1792 bytes, and Linux reads 2047 of "
		"them, 256 kept for its network: give it fewer or shorter arguments and variables, or "
		"urunit as its init, which has the variables from a file");
	in.args = urunit;
	assert_int_equal(guest_cmdline(guest_find("linux"), &in, &file, &err), 0);
}

static void every_type_that_a_monitor_runs_is_in_the_table(void **state)
{
	(void)state;
	for (const struct monitor *m = monitors; m->name; m++)
		for (size_t i = 0; m->types[i]; i++)
			assert_non_null(guest_find(m->types[i]));
	for (const struct guest *g = guests; g->name; g++)
		assert_true(monitor_type_known(g->name));
	/* Solo5 names its devices. */
	for (size_t i = 0; monitor_find("spt")->types[i]; i++) {
		assert_non_null(guest_find(monitor_find("spt")->types[i])->net_name);
		assert_non_null(guest_find(monitor_find("spt")->types[i])->block_name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(linux_gets_its_root_its_network_its_environment_and_its_init),
		cmocka_unit_test(a_gateway_outside_the_subnet_is_said),
		cmocka_unit_test(urunit_gets_a_file_in_place_of_the_environment),
		cmocka_unit_test(the_file_of_urunit_has_its_lines),
		cmocka_unit_test(unikraft_is_written_as_its_version_reads_it),
		cmocka_unit_test(unikraft_before_0_16_1_has_other_words_and_no_environment),
		cmocka_unit_test(rumprun_gets_one_object_with_repeated_keys),
		cmocka_unit_test(the_small_ones_get_their_addresses),
		cmocka_unit_test(a_pod_of_ipv6_alone_is_told_to_who_can_be_told),
		cmocka_unit_test(who_can_not_be_told_is_refused_by_name),
		cmocka_unit_test(of_two_families_a_guest_is_told_what_it_can_be),
		cmocka_unit_test(what_a_command_line_can_not_carry_is_refused),
		cmocka_unit_test(linux_is_told_no_more_than_it_reads),
		cmocka_unit_test(every_type_that_a_monitor_runs_is_in_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
