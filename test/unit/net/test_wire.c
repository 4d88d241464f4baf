/* SPDX-License-Identifier: Apache-2.0 */
/* rtnetlink messages: what we build is what we read, and what is broken is said to be. */
#include "supervisor/net/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEQ 77

static const uint8_t cookie[WIRE_COOKIE] = "urnc0123456789ab";

struct bench {
	uint64_t buf[WIRE_SIZE / 8];
	struct net_picture p;
};

static int read_it(struct bench *b, struct nlmsghdr *m)
{
	m->nlmsg_seq = SEQ;
	assert_true(m->nlmsg_len <= WIRE_SIZE);
	return wire_read(&b->p, m, m->nlmsg_len, SEQ);
}

static void a_link_is_read_as_it_was_named(void **state)
{
	struct bench b = { 0 };
	struct nlmsghdr *m = wire_name_link(b.buf, 9, "urunc:a/b/c", 1400);

	(void)state;
	mnl_attr_put_strz(m, IFLA_IFNAME, "tap0_urunc");
	mnl_attr_put(m, IFLA_ADDRESS, 6, "\x02\x00\x00\x00\x00\x01");
	assert_int_equal(read_it(&b, m), 1);
	assert_int_equal(b.p.n_links, 1);
	assert_int_equal(b.p.links[0].index, 9);
	assert_int_equal(b.p.links[0].mtu, 1400);
	assert_int_equal(b.p.links[0].mac[5], 1);
	assert_string_equal(b.p.links[0].name, "tap0_urunc");
	assert_string_equal(b.p.links[0].alias, "urunc:a/b/c");
	picture_clear(&b.p);
}

static void an_order_to_set_up_touches_nothing_else(void **state)
{
	struct bench b = { 0 };
	struct nlmsghdr *m = wire_link_up(b.buf, 9);
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(m);

	(void)state;
	assert_int_equal(m->nlmsg_type, RTM_NEWLINK);
	assert_int_equal(ifi->ifi_flags, IFF_UP);
	assert_int_equal(ifi->ifi_change, IFF_UP);
	assert_int_equal(ifi->ifi_index, 9);
	assert_true(m->nlmsg_flags & NLM_F_ACK);
	assert_false(m->nlmsg_flags & (NLM_F_CREATE | NLM_F_REPLACE));
}

static void a_qdisc_is_made_only_where_there_is_none(void **state)
{
	struct bench b = { 0 };
	struct nlmsghdr *m = wire_add_qdisc(b.buf, 3, "clsact", NULL);

	(void)state;
	assert_true(m->nlmsg_flags & NLM_F_CREATE);
	assert_true(m->nlmsg_flags & NLM_F_EXCL);
	assert_int_equal(read_it(&b, m), 1);
	assert_int_equal(b.p.n_qdiscs, 1);
	assert_int_equal(b.p.qdiscs[0].index, 3);
	assert_string_equal(b.p.qdiscs[0].kind, "clsact");
	assert_false(b.p.qdiscs[0].has_cookie);
	picture_clear(&b.p);
}

static void a_qdisc_keeps_the_cookie_of_who_made_it(void **state)
{
	struct bench b = { 0 };

	(void)state;
	assert_int_equal(read_it(&b, wire_add_qdisc(b.buf, 3, "clsact", cookie)), 1);
	assert_true(b.p.qdiscs[0].has_cookie);
	assert_memory_equal(b.p.qdiscs[0].cookie, cookie, WIRE_COOKIE);
	picture_clear(&b.p);
}

static void a_redirect_keeps_its_cookie_and_its_target(void **state)
{
	static const enum wire_act acts[] = { ACT_REDIRECT, ACT_MIRROR };
	struct bench b = { 0 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct wire_filter f = { .index = 2, .parent = AT_INGRESS, .pref = 20003,
					       .act = acts[i], .to = 9, .cookie = cookie };
		struct nlmsghdr *m = wire_add_filter(b.buf, &f);
		struct tcmsg *tc = mnl_nlmsg_get_payload(m);

		assert_true(m->nlmsg_flags & NLM_F_EXCL);
		tc->tcm_handle = 0x80000800; /* as the kernel numbers it */
		assert_int_equal(read_it(&b, m), 1);
		assert_int_equal(b.p.n_filters, i + 1);
		assert_true(b.p.filters[i].redirects);
		assert_int_equal(b.p.filters[i].to, 9);
		assert_int_equal(b.p.filters[i].pref, 20003);
		assert_int_equal(b.p.filters[i].protocol, htons(ETH_P_ALL));
		assert_true(b.p.filters[i].has_cookie);
		assert_memory_equal(b.p.filters[i].cookie, cookie, WIRE_COOKIE);
	}
	picture_clear(&b.p);
}

static void a_program_keeps_its_cookie_too(void **state)
{
	static const enum wire_act acts[] = { ACT_DROP, ACT_GUARD };
	struct bench b = { 0 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct wire_filter f = { .index = 2, .parent = AT_EGRESS, .pref = 10001,
					       .act = acts[i], .cookie = cookie };
		struct nlmsghdr *m = wire_add_filter(b.buf, &f);
		struct tcmsg *tc = mnl_nlmsg_get_payload(m);

		tc->tcm_handle = 1;
		assert_int_equal(read_it(&b, m), 1);
		assert_false(b.p.filters[i].redirects);
		assert_true(b.p.filters[i].has_cookie);
		assert_memory_equal(b.p.filters[i].cookie, cookie, WIRE_COOKIE);
	}
	picture_clear(&b.p);
}

static void a_filter_is_removed_by_all_that_it_is_known_by(void **state)
{
	const struct net_filter f = { .index = 2, .parent = AT_INGRESS, .handle = 0x80000801,
				      .pref = 5, .protocol = 0x0300, .kind = "u32" };
	struct bench b = { 0 };
	const struct tcmsg *tc = mnl_nlmsg_get_payload(wire_del_filter(b.buf, &f));

	(void)state;
	assert_int_equal(tc->tcm_handle, 0x80000801);
	assert_int_equal(tc->tcm_parent, AT_INGRESS);
	assert_int_equal(tc->tcm_info, 0x50300);
}

static void the_tables_of_a_filter_are_no_filters(void **state)
{
	const struct net_filter table = { .index = 2, .handle = 0x80000000, .kind = "u32" };
	const struct net_filter kind = { .index = 2, .handle = 0, .kind = "bpf" };
	struct bench b = { 0 };
	struct nlmsghdr *m;

	(void)state;
	m = wire_del_filter(b.buf, &table);
	m->nlmsg_type = RTM_NEWTFILTER;
	assert_int_equal(read_it(&b, m), 1);
	m = wire_del_filter(b.buf, &kind);
	m->nlmsg_type = RTM_NEWTFILTER;
	assert_int_equal(read_it(&b, m), 1);
	assert_int_equal(b.p.n_filters, 0);
	picture_clear(&b.p);
}

static struct nlmsghdr *plain(struct bench *b, uint16_t type, size_t size)
{
	struct nlmsghdr *m = mnl_nlmsg_put_header(b->buf);

	m->nlmsg_type = type;
	if (size)
		(void)mnl_nlmsg_put_extra_header(m, size);
	return m;
}

static void an_error_of_the_kernel_is_its_errno_and_zero_is_the_end(void **state)
{
	static const int answers[][2] = { { 0, 0 }, { -EEXIST, -EEXIST }, { 5, -EBADMSG },
					  { -5000, -EBADMSG } };
	struct bench b = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct nlmsghdr *m = plain(&b, NLMSG_ERROR, sizeof(struct nlmsgerr));
		struct nlmsgerr *e = mnl_nlmsg_get_payload(m);

		e->error = answers[i][0];
		assert_int_equal(read_it(&b, m), answers[i][1]);
	}
	assert_int_equal(read_it(&b, plain(&b, NLMSG_ERROR, 0)), -EBADMSG);
	assert_int_equal(read_it(&b, plain(&b, NLMSG_DONE, 0)), 0);
}

static void a_dump_that_was_disturbed_is_to_be_asked_again(void **state)
{
	struct bench b = { 0 };
	struct nlmsghdr *m = plain(&b, NLMSG_DONE, 0);

	(void)state;
	m->nlmsg_flags |= NLM_F_DUMP_INTR;
	assert_int_equal(read_it(&b, m), -EINTR);
}

static void an_answer_to_another_question_is_passed_over(void **state)
{
	struct bench b = { 0 };
	struct nlmsghdr *m = plain(&b, NLMSG_ERROR, sizeof(struct nlmsgerr));

	(void)state;
	m->nlmsg_seq = SEQ + 1;
	assert_int_equal(wire_read(&b.p, m, m->nlmsg_len, SEQ), 1);
}

static void a_message_without_its_header_is_broken(void **state)
{
	static const uint16_t types[] = { RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWQDISC,
					  RTM_NEWTFILTER };
	struct bench b = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_int_equal(read_it(&b, plain(&b, types[i], 4)), -EBADMSG);
}

static void a_length_that_is_not_the_messages_is_broken(void **state)
{
	static const uint32_t lengths[] = { 0, 15, 17, 0x7fffffff, 0x80000010, 0xffffffff };
	struct bench b = { 0 };
	struct nlmsghdr *m = plain(&b, NLMSG_NOOP, 0);

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		m->nlmsg_len = lengths[i];
		assert_int_equal(wire_read(&b.p, m, sizeof(*m), SEQ), -EBADMSG);
	}
	m->nlmsg_len = sizeof(*m);
	assert_int_equal(wire_read(&b.p, m, sizeof(*m) - 1, SEQ), -EBADMSG);
	assert_int_equal(wire_read(&b.p, m, 0, SEQ), 1);
}

static void only_default_routes_of_the_main_table_count(void **state)
{
	struct bench b = { 0 };
	struct nlmsghdr *m = plain(&b, RTM_NEWROUTE, sizeof(struct rtmsg));
	struct rtmsg *rt = mnl_nlmsg_get_payload(m);

	(void)state;
	*rt = (struct rtmsg){ .rtm_family = AF_INET, .rtm_type = RTN_UNICAST,
			      .rtm_table = RT_TABLE_MAIN, .rtm_dst_len = 24 };
	mnl_attr_put_u32(m, RTA_OIF, 2);
	mnl_attr_put_u32(m, RTA_GATEWAY, inet_addr("10.4.0.1"));
	assert_int_equal(read_it(&b, m), 1);
	rt->rtm_dst_len = 0;
	rt->rtm_table = RT_TABLE_LOCAL;
	assert_int_equal(read_it(&b, m), 1);
	assert_int_equal(b.p.n_routes, 0);
	rt->rtm_table = RT_TABLE_MAIN;
	assert_int_equal(read_it(&b, m), 1);
	assert_int_equal(b.p.n_routes, 1);
	assert_true(b.p.routes[0].via);
	assert_memory_equal(b.p.routes[0].gateway, "\x0a\x04\x00\x01", 4);
	rt->rtm_family = AF_INET6; /* whose gateway is longer */
	assert_int_equal(read_it(&b, m), 1);
	assert_false(b.p.routes[1].via);
	rt->rtm_family = AF_MPLS;
	assert_int_equal(read_it(&b, m), 1);
	assert_int_equal(b.p.n_routes, 2);
	picture_clear(&b.p);
}

static void only_addresses_that_others_can_use_count(void **state)
{
	static const uint32_t unusable[] = { IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TEMPORARY };
	struct bench b = { 0 };
	struct nlmsghdr *m = plain(&b, RTM_NEWADDR, sizeof(struct ifaddrmsg));
	struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(m);
	uint32_t *flags;

	(void)state;
	*ifa = (struct ifaddrmsg){ .ifa_family = AF_INET6, .ifa_index = 2, .ifa_prefixlen = 64 };
	mnl_attr_put(m, IFA_ADDRESS, 16, "\xfd\0\0\4\0\0\0\0\0\0\0\0\0\0\0\2");
	flags = mnl_nlmsg_get_payload_tail(m);
	mnl_attr_put_u32(m, IFA_FLAGS, 0);
	flags++;
	for (size_t i = 0; i < sizeof(unusable) / sizeof(unusable[0]); i++) {
		*flags = IFA_F_PERMANENT | unusable[i];
		assert_int_equal(read_it(&b, m), 1);
	}
	*flags = IFA_F_PERMANENT;
	ifa->ifa_scope = RT_SCOPE_LINK;
	assert_int_equal(read_it(&b, m), 1);
	ifa->ifa_scope = RT_SCOPE_UNIVERSE;
	ifa->ifa_prefixlen = 129;
	assert_int_equal(read_it(&b, m), 1);
	assert_int_equal(b.p.n_addrs, 0);
	ifa->ifa_prefixlen = 64;
	assert_int_equal(read_it(&b, m), 1);
	*flags = 0;
	assert_int_equal(read_it(&b, m), 1);
	assert_int_equal(b.p.n_addrs, 2);
	assert_int_equal(b.p.addrs[0].ip[15], 2);
	assert_true(b.p.addrs[0].lasting);
	assert_false(b.p.addrs[1].lasting);
	picture_clear(&b.p);
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_link_is_read_as_it_was_named),
		TEST(an_order_to_set_up_touches_nothing_else),
		TEST(a_qdisc_is_made_only_where_there_is_none),
		TEST(a_qdisc_keeps_the_cookie_of_who_made_it),
		TEST(a_redirect_keeps_its_cookie_and_its_target),
		TEST(a_program_keeps_its_cookie_too),
		TEST(a_filter_is_removed_by_all_that_it_is_known_by),
		TEST(the_tables_of_a_filter_are_no_filters),
		TEST(an_error_of_the_kernel_is_its_errno_and_zero_is_the_end),
		TEST(a_dump_that_was_disturbed_is_to_be_asked_again),
		TEST(an_answer_to_another_question_is_passed_over),
		TEST(a_message_without_its_header_is_broken),
		TEST(a_length_that_is_not_the_messages_is_broken),
		TEST(only_default_routes_of_the_main_table_count),
		TEST(only_addresses_that_others_can_use_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
