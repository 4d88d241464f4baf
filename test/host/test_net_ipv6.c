/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest in a pod of IPv6, alone or beside IPv4: addresses, and neighbours. Root.
 */
#include "journal/base/cleanup.h"
#include "test/lib/net_rig.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define GUEST  "fd00:4::2"
#define PEER   "fd00:4::1"
#define GROUP1 "ff02::1:ff00:1" /* where neighbours ask for PEER */

static int up(void **state)
{
	struct pod *p;
	int rc = net_rig_up(state);

	if (rc < 0)
		return rc;
	p = *state;
	/* Who asks for a neighbour asks until it is answered. */
	net_rig_run("echo 100 >/proc/sys/net/ipv6/neigh/peer/mcast_solicit && "
		    "ip addr add " PEER "/64 dev peer nodad && "
		    IN_POD "sh -c 'ip addr add " GUEST "/64 dev eth0 nodad; "
		    "ip -6 route add default via " PEER "'", p->path);
	net_rig_snapshot(p, p->before, sizeof(p->before));
	return 0;
}

/* ---- neighbours ------------------------------------------------------------------ */

struct discovery { /* a solicitation, or an advertisement */
	struct ethhdr eth;
	struct ip6_hdr ip;
	uint8_t type, code;
	uint16_t sum;
	uint32_t flags;
	struct in6_addr target;
	uint8_t option, units, mac[ETH_ALEN];
} __attribute__((packed));

static uint16_t sum_of(const struct discovery *d)
{
	const uint8_t *p = (const uint8_t *)&d->ip.ip6_src; /* the addresses, and all that follows */
	const uint8_t *end = (const uint8_t *)(d + 1);
	uint32_t sum = IPPROTO_ICMPV6 + ntohs(d->ip.ip6_plen);

	for (; p < end; p += 2)
		sum += (uint32_t)p[0] << 8 | p[1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void say(int fd, const uint8_t *to, const char *dst, uint8_t type, const char *target)
{
	static const uint8_t mac[] = { 2, 0, 0, 0, 0, 1 };
	bool ask = type == ND_NEIGHBOR_SOLICIT;
	struct discovery d = {
		.eth.h_proto = htons(ETH_P_IPV6), .ip.ip6_flow = htonl(6u << 28),
		.ip.ip6_plen = htons(32), .ip.ip6_nxt = IPPROTO_ICMPV6, .ip.ip6_hlim = 255,
		.type = type, .flags = ask ? 0 : ND_NA_FLAG_SOLICITED | ND_NA_FLAG_OVERRIDE,
		.option = ask ? ND_OPT_SOURCE_LINKADDR : ND_OPT_TARGET_LINKADDR, .units = 1,
	};

	memcpy(d.eth.h_dest, to, ETH_ALEN);
	memcpy(d.eth.h_source, mac, ETH_ALEN);
	memcpy(d.mac, mac, ETH_ALEN);
	(void)inet_pton(AF_INET6, GUEST, &d.ip.ip6_src);
	(void)inet_pton(AF_INET6, dst, &d.ip.ip6_dst);
	(void)inet_pton(AF_INET6, target, &d.target);
	d.sum = sum_of(&d);
	assert_int_equal(write(fd, &d, sizeof(d)), sizeof(d));
}

/* The next one of this type about this address that comes. */
static struct discovery hear(int fd, uint8_t type, const char *target)
{
	struct in6_addr about;
	struct discovery d;

	(void)inet_pton(AF_INET6, target, &about);
	do {
		assert_int_equal(net_rig_hears_within(fd, 10000), 1);
		memset(&d, 0, sizeof(d));
		assert_true(read(fd, &d, sizeof(d)) > 0);
	} while (d.eth.h_proto != htons(ETH_P_IPV6) || d.ip.ip6_nxt != IPPROTO_ICMPV6 ||
		 d.type != type || memcmp(&d.target, &about, sizeof(about)) != 0);
	return d;
}

/* A datagram from the peer to the pod's address. */
static void send_datagram(const char *word)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(4000) };
	auto_fd int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)inet_pton(AF_INET6, GUEST, &to.sin6_addr);
	assert_int_equal(sendto(fd, word, strlen(word), 0, (struct sockaddr *)&to, sizeof(to)),
			 strlen(word));
}

static void test_guest_and_peer_find_each_other_as_neighbours(void **state)
{
	static const uint8_t group[] = { 0x33, 0x33, 0xff, 0, 0, 1 };
	struct pod *p = *state;
	struct guest g;
	struct discovery d;

	net_rig_make(p, &g, 1);
	net_rig_wake_tap(p, &g);
	send_datagram("word");
	send_datagram("end");
	d = hear(g.fd, ND_NEIGHBOR_SOLICIT, GUEST);
	say(g.fd, d.mac, PEER, ND_NEIGHBOR_ADVERT, GUEST);
	assert_int_equal(net_rig_hears(g.fd, "word"), 1);
	say(g.fd, group, GROUP1, ND_NEIGHBOR_SOLICIT, PEER);
	d = hear(g.fd, ND_NEIGHBOR_ADVERT, PEER);
	assert_memory_equal(d.mac, "\x02\x00\x00\x00\x00\x99", ETH_ALEN);
	(void)close(g.fd);
	net_rig_unmake(p, &g);
	net_rig_as_before(p);
}

static void test_two_guests_are_both_asked_as_neighbours(void **state)
{
	struct pod *p = *state;
	struct guest a, b;
	struct discovery d;

	net_rig_make_two(p, &a, &b);
	net_rig_wake_tap(p, &a);
	net_rig_wake_tap(p, &b);
	send_datagram("word");
	send_datagram("end");
	(void)hear(a.fd, ND_NEIGHBOR_SOLICIT, GUEST);
	d = hear(b.fd, ND_NEIGHBOR_SOLICIT, GUEST);
	say(b.fd, d.mac, PEER, ND_NEIGHBOR_ADVERT, GUEST);
	assert_int_equal(net_rig_hears(a.fd, "word"), 1);
	assert_int_equal(net_rig_hears(b.fd, "word"), 1);
	net_rig_unmake_two(p, &a, &b);
}

/* ---- addresses ------------------------------------------------------------------- */

static void test_a_look_names_the_addresses_of_both_families(void **state)
{
	struct pod *p = *state;
	auto_free char *text = NULL;

	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, &text, SHAPE, p->path, ""), 0);
	assert_non_null(strstr(text, "\"ip\":\"10.4.0.2/24\",\"gateway\":\"10.4.0.1\","
			       "\"ip6\":\"fd00:4::2/64\",\"gateway6\":\"fd00:4::1\",\"tap\""));
}

static void test_a_pod_of_ipv6_alone_gets_a_guest(void **state)
{
	struct pod *p = *state;
	auto_free char *text = NULL;
	struct guest g;

	net_rig_run(IN_POD "sh -c 'ip -4 addr flush dev eth0'", p->path);
	assert_int_equal(node_rig_job(p->rig, JOB_NET_LOOK, &text, SHAPE, p->path, ""), 0);
	assert_null(strstr(text, "\"ip\""));
	assert_null(strstr(text, "\"gateway\""));
	assert_non_null(strstr(text, "\"ip6\":\"fd00:4::2/64\",\"gateway6\":\"fd00:4::1\""));
	net_rig_make(p, &g, 1);
	net_rig_unmake(p, &g);
	net_rig_as_before(p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, net_rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_look_names_the_addresses_of_both_families),
		TEST(test_a_pod_of_ipv6_alone_gets_a_guest),
		TEST(test_guest_and_peer_find_each_other_as_neighbours),
		TEST(test_two_guests_are_both_asked_as_neighbours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
