/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests behind NAT: whose packets go where, and what is left of them. Root.
 */
#include "journal/base/cleanup.h"
#include "supervisor/net/nft.h"
#include "supervisor/net/talk.h"
#include "test/lib/net_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cmocka.h>

#define PORT 4000

static int up(void **state)
{
	struct pod *p;
	int rc = net_rig_up(state);

	if (rc < 0)
		return rc;
	p = *state;
	p->nat = true;
	net_rig_run("ip addr add 10.4.0.1/24 dev peer");
	return 0;
}

/* ---- packets ------------------------------------------------------------------------ */

struct datagram {
	uint8_t to[6], from[6], type[2];
	struct iphdr ip;
	struct udphdr udp;
	char word[16];
} __attribute__((packed));

static uint16_t sum_of(const void *header)
{
	uint32_t sum = 0;
	uint16_t word;

	for (size_t i = 0; i < sizeof(struct iphdr); i += 2) {
		memcpy(&word, (const char *)header + i, 2);
		sum += word;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* From the guest of this slot to the peer. */
static void say(const struct guest *g, int slot, const char *word)
{
	struct datagram d = {
		.from = { 2, 0, 0, 0, 0, 1 }, .type = { 8, 0 },
		.ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP,
			.tot_len = htons(sizeof(d) - 14), .daddr = inet_addr("10.4.0.1") },
		.udp = { .source = htons(5000), .dest = htons(PORT),
			 .len = htons(sizeof(d.udp) + sizeof(d.word)) },
	};
	struct ifreq ifr;
	char ip[20];

	(void)snprintf(ip, sizeof(ip), "172.16.%d.2", slot + 1);
	d.ip.saddr = inet_addr(ip);
	d.ip.check = sum_of((const char *)&d + 14);
	(void)snprintf(d.word, sizeof(d.word), "%s", word);
	assert_int_equal(ioctl(g->fd, SIOCGIFHWADDR, &ifr), 0);
	memcpy(d.to, ifr.ifr_hwaddr.sa_data, sizeof(d.to));
	assert_int_equal(write(g->fd, &d, sizeof(d)), sizeof(d));
}

/* Its tap, open, and the pod knows who is behind it: until then it lets nothing out. */
static void wake(struct pod *p, struct guest *g, int slot)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	char ip[20];
	int tries = 0;
	auto_fd int fd = -1;

	(void)snprintf(ip, sizeof(ip), "172.16.%d.2", slot + 1);
	to.sin_addr.s_addr = inet_addr(ip);
	net_rig_open_tap(p, g);
	net_rig_run(IN_POD "ip neigh replace %s lladdr 02:00:00:00:00:01 nud permanent dev %s",
		    p->path, ip, g->tap);
	net_rig_visit(p);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	net_rig_come_back(p);
	do
		(void)sendto(fd, "wake up", 7, 0, (struct sockaddr *)&to, sizeof(to));
	while (net_rig_hears_within(g->fd, 50) == 0 && ++tries < 200);
	assert_true(tries < 200);
}

static int peer_socket(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* The peer hears a word of the guest, from the pod's address, and answers. */
static void talk(struct guest *g, int slot, int peer)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char word[16] = "";

	say(g, slot, "out");
	assert_int_equal(net_rig_hears_within(peer, 10000), 1);
	assert_true(recvfrom(peer, word, sizeof(word), 0, (struct sockaddr *)&from, &len) > 0);
	assert_string_equal(word, "out");
	assert_string_equal(inet_ntoa(from.sin_addr), "10.4.0.2");
	assert_int_equal(sendto(peer, "back", 4, 0, (struct sockaddr *)&from, len), 4);
	assert_int_equal(sendto(peer, "end", 3, 0, (struct sockaddr *)&from, len), 3);
	assert_int_equal(net_rig_hears(g->fd, "back"), 1);
}

static void test_a_guest_speaks_with_the_pods_address_and_hears_the_answer(void **state)
{
	struct pod *p = *state;
	auto_fd int peer = peer_socket();
	struct guest g;

	net_rig_make(p, &g, 1);
	assert_non_null(strstr(g.have, "\"ip\":\"172.16.1.2/24\",\"gateway\":\"172.16.1.1\""));
	assert_non_null(strstr(g.have, "\"mac\":\"02:00:00:00:00:01\""));
	wake(p, &g, 0);
	talk(&g, 0, peer);
	(void)close(g.fd);
	net_rig_unmake(p, &g);
	net_rig_as_before(p);
	net_rig_unmake(p, &g);
	net_rig_as_before(p);
}

static void test_two_guests_have_a_subnet_each_and_the_last_one_switches_back(void **state)
{
	struct pod *p = *state;
	auto_fd int peer = peer_socket();
	struct guest a, b;

	net_rig_make_two(p, &a, &b);
	assert_non_null(strstr(b.have, "\"ip\":\"172.16.2.2/24\",\"gateway\":\"172.16.2.1\""));
	wake(p, &a, 0);
	wake(p, &b, 1);
	talk(&a, 0, peer);
	talk(&b, 1, peer);
	net_rig_unmake(p, &a);
	talk(&b, 1, peer);
	(void)close(a.fd);
	(void)close(b.fd);
	net_rig_unmake(p, &b);
	net_rig_as_before(p);
}

static void test_forwarding_that_was_on_stays_on(void **state)
{
	struct pod *p = *state;
	struct guest a, b;

	net_rig_run(IN_POD "sh -c 'echo 1 >/proc/sys/net/ipv4/conf/eth0/forwarding'", p->path);
	net_rig_snapshot(p, p->before, sizeof(p->before));
	assert_non_null(strstr(p->before, "forwards"));
	net_rig_make_two(p, &a, &b);
	net_rig_unmake_two(p, &a, &b);
}

/* Of somebody else: with a mark, but not ours. */
static void foreign_table(struct pod *p)
{
	const struct nft_nat nat = { .table = "theirs", .comment = "", .out = 1,
				     .cookie = (const uint8_t *)"0123456789abcdef" };
	uint64_t buf[NFT_SIZE / sizeof(uint64_t)];
	struct err err = ERR_INIT;
	struct net_talk t;

	net_rig_visit(p);
	assert_int_equal(talk_open(&t, NETLINK_NETFILTER, &err), 0);
	assert_int_equal(talk_do(&t, nft_add(buf, &nat), &err, "add"), 0);
	talk_close(&t);
	net_rig_come_back(p);
}

static void test_a_table_of_somebody_else_is_no_guests_and_stays(void **state)
{
	struct pod *p = *state;
	struct guest g;
	char now[4096];

	foreign_table(p);
	net_rig_snapshot(p, p->before, sizeof(p->before));
	assert_non_null(strstr(p->before, "table theirs\n"));
	net_rig_make(p, &g, 1);
	net_rig_snapshot(p, now, sizeof(now));
	assert_non_null(strstr(now, "table urunc_000000000000000000000001\n"));
	net_rig_unmake(p, &g);
	net_rig_as_before(p);
}

static void test_a_subnet_that_the_pod_uses_is_passed_over(void **state)
{
	struct pod *p = *state;
	auto_free char *text = NULL;
	struct guest g;

	net_rig_run(IN_POD "ip addr add 172.16.1.77/26 dev lo", p->path);
	net_rig_make(p, &g, 1);
	assert_string_equal(g.tap, "tap1_urunc");
	assert_non_null(strstr(g.have, "\"ip\":\"172.16.2.2/24\""));
	net_rig_unmake(p, &g);
	net_rig_run(IN_POD "ip addr add 172.17.3.3/12 dev lo", p->path);
	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, &text, SHAPE, p->path, STATIC),
			 EADDRINUSE);
	assert_non_null(strstr(text, "the pod has the address 172.17.3.3/12"));
}

static void test_a_pod_without_ipv4_has_no_nat(void **state)
{
	struct pod *p = *state;
	auto_free char *text = NULL;

	net_rig_run(IN_POD "sh -c 'ip -4 addr flush dev eth0; ip addr add fd00:4::2/64 dev eth0 nodad'",
		    p->path);
	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, &text, SHAPE, p->path, STATIC), ENOTSUP);
	assert_non_null(strstr(text, "eth0 has no IPv4 address"));
}

/* Who is alone takes all, and who is behind NAT needs some: both is refused, while both
 * live. */
static void test_a_guest_behind_nat_and_one_that_takes_all_are_no_pair(void **state)
{
	struct pod *p = *state;
	auto_free char *text = NULL;
	auto_free char *more = NULL;
	struct guest g;

	net_rig_make(p, &g, 1);
	wake(p, &g, 0);
	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, &text, SHAPE, p->path, ""), EBUSY);
	assert_non_null(strstr(text, "tap0_urunc of this pod is a guest's behind NAT"));
	(void)close(g.fd);
	net_rig_unmake(p, &g);
	p->nat = false;
	net_rig_make(p, &g, 1);
	net_rig_wake_tap(p, &g);
	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, &more, SHAPE, p->path, STATIC), EBUSY);
	assert_non_null(strstr(more, "goes to another guest of the pod, at tap0_urunc"));
	(void)close(g.fd);
	net_rig_unmake(p, &g);
	net_rig_as_before(p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, net_rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_guest_speaks_with_the_pods_address_and_hears_the_answer),
		TEST(test_two_guests_have_a_subnet_each_and_the_last_one_switches_back),
		TEST(test_forwarding_that_was_on_stays_on),
		TEST(test_a_table_of_somebody_else_is_no_guests_and_stays),
		TEST(test_a_subnet_that_the_pod_uses_is_passed_over),
		TEST(test_a_pod_without_ipv4_has_no_nat),
		TEST(test_a_guest_behind_nat_and_one_that_takes_all_are_no_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
