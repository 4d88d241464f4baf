/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's network: what is made, whose frames go where, and what is left alone. Root.
 */
#include "journal/base/cleanup.h"
#include "test/lib/net_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

static void test_a_look_names_the_pods_interface_and_a_free_tap(void **state)
{
	struct pod *p = *state;
	auto_free char *text = NULL;

	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, &text, SHAPE, p->path, ""), 0);
	assert_non_null(strstr(text, "\"iface\":\"eth0\""));
	assert_non_null(strstr(text, "\"mac\":\"02:00:00:00:00:01\",\"mtu\":1400,"
			       "\"ip\":\"10.4.0.2/24\",\"gateway\":\"10.4.0.1\","
			       "\"tap\":\"tap0_urunc\",\"slot\":0,\"qdisc\":\"made\""));
	net_rig_as_before(p);
}

static void test_frames_go_from_the_guest_to_the_peer_and_back(void **state)
{
	struct pod *p = *state;
	struct guest g;
	auto_fd int peer = -1;

	net_rig_make(p, &g, 1);
	net_rig_wake_tap(p, &g);
	peer = net_rig_listen(p, "peer", false);
	net_rig_say_word(g.fd, "from guest");
	assert_int_equal(net_rig_hears(peer, "from guest"), 1);
	net_rig_say_word(peer, "to guest");
	assert_int_equal(net_rig_hears(g.fd, "to guest"), 1);
	net_rig_unmake(p, &g);
	(void)close(g.fd);
	net_rig_as_before(p);
}

static void test_the_tap_carries_alias_mtu_and_owner(void **state)
{
	struct pod *p = *state;
	struct guest g;
	auto_free char *text = NULL;
	char now[4096];

	net_rig_look(p, &g, 1);
	(void)snprintf(g.have + strlen(g.have), sizeof(g.have) - strlen(g.have),
		       ",\"uid\":7777,\"gid\":8888");
	assert_int_equal(net_rig_attach(p, &g, &text), 0);
	net_rig_snapshot(p, now, sizeof(now));
	assert_non_null(strstr(now, " tun \"urunc:aa/default/c1\" 1\n"));
	net_rig_run(IN_POD "ip -d link show tap0_urunc | grep -q 'mtu 1400 '", p->path);
	net_rig_run(IN_POD "ip -d link show tap0_urunc | grep -q 'persist on user 7777 group 8888'", p->path);
	net_rig_unmake(p, &g);
	net_rig_as_before(p);
}

/* A datagram from the peer to the pod's address. */
static void send_datagram(const char *word)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(4000),
				  .sin_addr.s_addr = inet_addr("10.4.0.2") };
	auto_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(sendto(fd, word, strlen(word), 0, (struct sockaddr *)&to, sizeof(to)),
			 strlen(word));
}

/* May a process of this user and group, without capabilities, open the tap? */
static bool may_open(const struct pod *p, const struct guest *g, uid_t uid, gid_t gid)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int fd;

		(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", g->tap);
		if (setns(p->ns, CLONE_NEWNET) < 0)
			_exit(2);
		fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
		if (fd < 0 || setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
		    setresuid(uid, uid, uid) < 0)
			_exit(2);
		_exit(ioctl(fd, TUNSETIFF, &ifr) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 0;
}

static void test_only_its_user_opens_the_tap(void **state)
{
	struct pod *p = *state;
	struct guest g;
	auto_free char *text = NULL;

	net_rig_look(p, &g, 1);
	(void)snprintf(g.have + strlen(g.have), sizeof(g.have) - strlen(g.have),
		       ",\"uid\":7777,\"gid\":8888");
	assert_int_equal(net_rig_attach(p, &g, &text), 0);
	assert_false(may_open(p, &g, 7778, 8888));
	assert_false(may_open(p, &g, 7777, 8889));
	assert_true(may_open(p, &g, 7777, 8888));
	net_rig_unmake(p, &g);
	net_rig_as_before(p);
}

static void test_the_pod_hears_nothing_while_a_guest_does_and_all_after(void **state)
{
	struct pod *p = *state;
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(4000) };
	struct guest g;
	char word[16];
	auto_fd int in_pod = -1;

	net_rig_run("ip addr add 10.4.0.1/24 dev peer; "
	    "ip neigh add 10.4.0.2 lladdr 02:00:00:00:00:01 dev peer");
	net_rig_visit(p);
	in_pod = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(in_pod, (struct sockaddr *)&at, sizeof(at)), 0);
	net_rig_come_back(p);
	send_datagram("before");
	assert_int_equal(net_rig_hears_within(in_pod, 10000), 1);
	assert_int_equal(read(in_pod, word, sizeof(word)), 6);
	net_rig_make(p, &g, 1);
	net_rig_wake_tap(p, &g);
	send_datagram("meanwhile");
	send_datagram("end");
	assert_int_equal(net_rig_hears(g.fd, "meanwhile"), 1);
	assert_int_equal(net_rig_hears_within(in_pod, 0), 0);
	(void)close(g.fd);
	net_rig_unmake(p, &g);
	send_datagram("after");
	assert_int_equal(net_rig_hears_within(in_pod, 10000), 1);
	assert_int_equal(read(in_pod, word, sizeof(word)), 5);
	net_rig_as_before(p);
}

static void test_doing_it_twice_changes_nothing_and_undoing_it_twice_neither(void **state)
{
	struct pod *p = *state;
	struct guest g;
	auto_free char *text = NULL;
	char once[4096];
	char twice[4096];

	net_rig_make(p, &g, 1);
	net_rig_snapshot(p, once, sizeof(once));
	assert_int_equal(net_rig_attach(p, &g, &text), EAGAIN);
	net_rig_snapshot(p, twice, sizeof(twice));
	assert_string_equal(once, twice);
	net_rig_unmake(p, &g);
	net_rig_as_before(p);
	net_rig_unmake(p, &g);
	net_rig_as_before(p);
}

static void test_a_namespace_that_is_gone_is_said_to_be(void **state)
{
	struct pod *p = *state;
	struct guest g;
	char path[64];

	net_rig_make(p, &g, 1);
	(void)snprintf(path, sizeof(path), "%s", p->path);
	net_rig_end_pod(p);
	assert_int_equal(net_rig_detach(p, &g, NULL), ENOENT);
	/* Another one has the path by now. */
	(void)snprintf(p->path, sizeof(p->path), "/proc/self/ns/net");
	assert_int_equal(net_rig_detach(p, &g, NULL), ESTALE);
	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, NULL, SHAPE, path, ""), ENOENT);
	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, NULL, SHAPE, "/dev/null", ""), ESTALE);
}

static void test_a_process_by_that_pid_that_is_not_ours_is_refused(void **state)
{
	struct pod *p = *state;
	struct ident who = node_rig_ident(p->rig, p->holder);
	auto_free char *text = NULL;

	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, NULL,
				      "{\"path\":\"%s\",\"pid\":%d,\"start\":%llu}", p->path,
				      (int)who.pid, (unsigned long long)who.start), 0);
	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, &text,
				      "{\"path\":\"%s\",\"pid\":%d,\"start\":%llu}", p->path,
				      (int)who.pid, (unsigned long long)who.start + 1), ESTALE);
}

static void test_the_nodes_own_network_is_never_taken_over(void **state)
{
	struct pod *p = *state;
	auto_free char *text = NULL;

	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, &text, SHAPE, "/proc/self/ns/net", ""),
			 0);
	assert_non_null(strstr(text, "\"none\":\"it shares the node's own network"));
}

static void test_a_pod_without_an_address_has_no_network(void **state)
{
	struct pod *p = *state;
	auto_free char *text = NULL;

	net_rig_run(IN_POD "ip addr flush dev eth0", p->path);
	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, &text, SHAPE, p->path, ""), 0);
	assert_non_null(strstr(text, "\"none\":"));
	assert_null(strstr(text, "\"tap\""));
}

static void test_a_foreign_tap_of_the_name_is_passed_over_and_untouched(void **state)
{
	struct pod *p = *state;
	struct guest g;
	auto_free char *text = NULL;
	char had[4096];
	char now[4096];

	net_rig_look(p, &g, 1); /* it was free then */
	net_rig_run(IN_POD "sh -c 'ip tuntap add tap0_urunc mode tap; "
		    "ip link set tap0_urunc alias another'", p->path);
	net_rig_snapshot(p, had, sizeof(had));
	assert_int_equal(net_rig_attach(p, &g, NULL), EAGAIN);
	assert_int_equal(net_rig_detach(p, &g, &text), 0);
	assert_non_null(strstr(text, "tap0_urunc is not this task's"));
	net_rig_snapshot(p, now, sizeof(now));
	assert_string_equal(now, had);
	net_rig_make(p, &g, 1);
	assert_string_equal(g.tap, "tap1_urunc");
	net_rig_unmake(p, &g);
	net_rig_snapshot(p, now, sizeof(now));
	assert_string_equal(now, had);
}

static void test_a_foreign_ingress_is_refused_by_name_and_untouched(void **state)
{
	struct pod *p = *state;
	struct guest g;
	auto_free char *text = NULL;
	char had[4096];
	char now[4096];

	net_rig_look(p, &g, 1);
	net_rig_run(IN_POD "tc qdisc add dev eth0 ingress", p->path);
	net_rig_run(IN_POD "tc filter add dev eth0 parent ffff: protocol all u32 match u8 0 0 action "
	    "mirred egress redirect dev lo", p->path);
	net_rig_snapshot(p, had, sizeof(had));
	assert_int_equal(net_rig_attach(p, &g, &text), EBUSY);
	assert_non_null(strstr(text, "eth0 has a u32 filter (pref 49152, redirects to lo) that is "
			       "not ours"));
	net_rig_unmake(p, &g);
	net_rig_snapshot(p, now, sizeof(now));
	assert_string_equal(now, had);
}

static void test_an_empty_clsact_of_somebody_else_is_used_and_stays(void **state)
{
	struct pod *p = *state;
	struct guest g;
	char had[4096];
	char now[4096];

	net_rig_run(IN_POD "tc qdisc add dev eth0 clsact", p->path);
	net_rig_snapshot(p, had, sizeof(had));
	net_rig_make(p, &g, 1);
	net_rig_unmake(p, &g);
	net_rig_snapshot(p, now, sizeof(now));
	assert_string_equal(now, had);
}

static void test_a_found_clsact_stays_when_the_last_of_two_guests_leaves(void **state)
{
	struct pod *p = *state;
	struct guest a, b;

	net_rig_run(IN_POD "tc qdisc add dev eth0 clsact", p->path);
	net_rig_snapshot(p, p->before, sizeof(p->before));
	net_rig_make_two(p, &a, &b);
	assert_non_null(strstr(b.have, "\"qdisc\":\"joined\""));
	net_rig_unmake_two(p, &a, &b);
}

static void test_who_keeps_the_lock_of_the_namespace_stops_nobody(void **state)
{
	struct pod *p = *state;
	struct guest g;
	auto_fd int lock = open(p->path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(flock(lock, LOCK_EX), 0);
	net_rig_look(p, &g, 1);
	assert_string_equal(g.tap, "tap0_urunc");
	net_rig_as_before(p);
}

static void test_an_empty_clsact_that_came_after_the_look_stays_too(void **state)
{
	struct pod *p = *state;
	struct guest g;
	auto_free char *text = NULL;
	char had[4096];
	char now[4096];

	net_rig_look(p, &g, 1);
	net_rig_run(IN_POD "tc qdisc add dev eth0 clsact", p->path);
	net_rig_snapshot(p, had, sizeof(had));
	assert_int_equal(net_rig_attach(p, &g, NULL), EAGAIN);
	assert_int_equal(net_rig_detach(p, &g, &text), 0);
	assert_non_null(strstr(text, "the clsact qdisc of eth0 is not ours"));
	net_rig_snapshot(p, now, sizeof(now));
	assert_string_equal(now, had);
}

static void test_a_filter_that_somebody_adds_keeps_its_qdisc(void **state)
{
	struct pod *p = *state;
	struct guest g;
	char now[4096];

	net_rig_make(p, &g, 1);
	net_rig_run(IN_POD "tc filter add dev eth0 ingress pref 7 protocol arp u32 match u8 0 0 action "
	    "mirred egress mirror dev lo", p->path);
	net_rig_unmake(p, &g);
	net_rig_snapshot(p, now, sizeof(now));
	assert_non_null(strstr(now, "pref 7 "));
	assert_null(strstr(now, "tap0_urunc"));
}

static void test_two_guests_of_a_pod_both_hear_and_end_no_connection(void **state)
{
	struct pod *p = *state;
	struct guest a, b;
	uint8_t f[FRAME];
	auto_fd int peer = -1;

	net_rig_make_two(p, &a, &b);
	assert_string_equal(b.tap, "tap1_urunc");
	net_rig_wake_tap(p, &a);
	net_rig_wake_tap(p, &b);
	peer = net_rig_listen(p, "peer", false);
	net_rig_say_word(peer, "to all");
	assert_int_equal(net_rig_hears(a.fd, "to all"), 1);
	assert_int_equal(net_rig_hears(b.fd, "to all"), 1);
	for (int i = 0; i < 2; i++) {
		struct guest *g = i ? &b : &a;

		net_rig_tcp(f, 0x14, "RESET");
		net_rig_say(g->fd, f);
		net_rig_tcp(f, 0x10, "ACK");
		net_rig_say(g->fd, f);
		net_rig_say_word(g->fd, "ACK");
		assert_int_equal(net_rig_hears(peer, "RESET"), 0);
		net_rig_tcp(f, 0x10, "ACK");
		net_rig_say(g->fd, f);
		net_rig_say_word(g->fd, "ACK");
		assert_int_equal(net_rig_hears(peer, "ACK"), 2);
	}
	net_rig_unmake_two(p, &a, &b);
}

static void test_a_guest_that_stays_behind_keeps_hearing(void **state)
{
	struct pod *p = *state;
	struct guest a, b, c;
	auto_fd int peer = -1;

	net_rig_make_two(p, &a, &b);
	net_rig_wake_tap(p, &b);
	net_rig_unmake(p, &a);
	peer = net_rig_listen(p, "peer", false);
	net_rig_say_word(peer, "still");
	assert_int_equal(net_rig_hears(b.fd, "still"), 1);
	net_rig_make(p, &c, 3); /* a free name is used again */
	assert_string_equal(c.tap, "tap0_urunc");
	net_rig_say_word(peer, "again");
	assert_int_equal(net_rig_hears(b.fd, "again"), 1);
	(void)close(b.fd);
	net_rig_unmake(p, &c);
	net_rig_unmake(p, &b);
	net_rig_as_before(p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, net_rig_up, net_rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_look_names_the_pods_interface_and_a_free_tap),
		TEST(test_frames_go_from_the_guest_to_the_peer_and_back),
		TEST(test_the_tap_carries_alias_mtu_and_owner),
		TEST(test_only_its_user_opens_the_tap),
		TEST(test_the_pod_hears_nothing_while_a_guest_does_and_all_after),
		TEST(test_doing_it_twice_changes_nothing_and_undoing_it_twice_neither),
		TEST(test_a_namespace_that_is_gone_is_said_to_be),
		TEST(test_a_process_by_that_pid_that_is_not_ours_is_refused),
		TEST(test_the_nodes_own_network_is_never_taken_over),
		TEST(test_a_pod_without_an_address_has_no_network),
		TEST(test_a_foreign_tap_of_the_name_is_passed_over_and_untouched),
		TEST(test_a_foreign_ingress_is_refused_by_name_and_untouched),
		TEST(test_an_empty_clsact_of_somebody_else_is_used_and_stays),
		TEST(test_a_found_clsact_stays_when_the_last_of_two_guests_leaves),
		TEST(test_who_keeps_the_lock_of_the_namespace_stops_nobody),
		TEST(test_an_empty_clsact_that_came_after_the_look_stays_too),
		TEST(test_a_filter_that_somebody_adds_keeps_its_qdisc),
		TEST(test_two_guests_of_a_pod_both_hear_and_end_no_connection),
		TEST(test_a_guest_that_stays_behind_keeps_hearing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
