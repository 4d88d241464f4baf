/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/net/wire.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <netinet/in.h>
#include <string.h>

static struct nlmsghdr *message(void *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *m = mnl_nlmsg_put_header(buf);

	m->nlmsg_type = type;
	m->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	return m;
}

/* ---- questions --------------------------------------------------------------- */

struct nlmsghdr *wire_ask(void *buf, enum wire_what what)
{
	static const struct {
		uint16_t type;
		size_t size;
	} of[] = {
		[WIRE_LINKS] = { RTM_GETLINK, sizeof(struct ifinfomsg) },
		[WIRE_ADDRS] = { RTM_GETADDR, sizeof(struct ifaddrmsg) },
		[WIRE_ROUTES] = { RTM_GETROUTE, sizeof(struct rtmsg) },
		[WIRE_QDISCS] = { RTM_GETQDISC, sizeof(struct tcmsg) },
	};
	struct nlmsghdr *m = message(buf, of[what].type, NLM_F_DUMP);

	/* Zeroed: of every family. */
	(void)mnl_nlmsg_put_extra_header(m, of[what].size);
	return m;
}

static struct nlmsghdr *tc_message(void *buf, uint16_t type, uint16_t flags,
				   const struct tcmsg *tc)
{
	struct nlmsghdr *m = message(buf, type, flags);

	memcpy(mnl_nlmsg_put_extra_header(m, sizeof(*tc)), tc, sizeof(*tc));
	return m;
}

struct nlmsghdr *wire_ask_filters(void *buf, int index, uint32_t parent)
{
	const struct tcmsg tc = { .tcm_ifindex = index, .tcm_parent = parent };

	return tc_message(buf, RTM_GETTFILTER, NLM_F_DUMP, &tc);
}

/* ---- orders: interfaces ------------------------------------------------------- */

static struct nlmsghdr *link_message(void *buf, uint16_t type, int index, unsigned int flags)
{
	const struct ifinfomsg ifi = { .ifi_index = index, .ifi_flags = flags,
				       .ifi_change = flags };
	struct nlmsghdr *m = message(buf, type, NLM_F_ACK);

	memcpy(mnl_nlmsg_put_extra_header(m, sizeof(ifi)), &ifi, sizeof(ifi));
	return m;
}

struct nlmsghdr *wire_name_link(void *buf, int index, const char *alias, uint32_t mtu)
{
	struct nlmsghdr *m = link_message(buf, RTM_NEWLINK, index, 0);

	mnl_attr_put_u32(m, IFLA_MTU, mtu);
	mnl_attr_put(m, IFLA_IFALIAS, strlen(alias), alias);
	return m;
}

struct nlmsghdr *wire_link_up(void *buf, int index)
{
	return link_message(buf, RTM_NEWLINK, index, IFF_UP);
}

struct nlmsghdr *wire_del_link(void *buf, int index)
{
	return link_message(buf, RTM_DELLINK, index, 0);
}

struct nlmsghdr *wire_forward(void *buf, int index, bool on)
{
	struct nlmsghdr *m = link_message(buf, RTM_SETLINK, index, 0);
	struct nlattr *families = mnl_attr_nest_start(m, IFLA_AF_SPEC);
	struct nlattr *family = mnl_attr_nest_start(m, AF_INET);
	struct nlattr *conf = mnl_attr_nest_start(m, IFLA_INET_CONF);

	mnl_attr_put_u32(m, IPV4_DEVCONF_FORWARDING, on);
	mnl_attr_nest_end(m, conf);
	mnl_attr_nest_end(m, family);
	mnl_attr_nest_end(m, families);
	return m;
}

struct nlmsghdr *wire_add_addr(void *buf, int index, const uint8_t *ip, uint8_t prefix)
{
	const struct ifaddrmsg ifa = { .ifa_family = AF_INET, .ifa_prefixlen = prefix,
				       .ifa_index = (unsigned int)index };
	struct nlmsghdr *m = message(buf, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);

	memcpy(mnl_nlmsg_put_extra_header(m, sizeof(ifa)), &ifa, sizeof(ifa));
	mnl_attr_put(m, IFA_LOCAL, 4, ip);
	mnl_attr_put(m, IFA_ADDRESS, 4, ip);
	return m;
}

/* ---- orders: traffic control --------------------------------------------------- */

_Static_assert(offsetof(struct tc_sizespec, overhead) == WIRE_SPEC &&
	       offsetof(struct tc_sizespec, tsize) == WIRE_SPEC + WIRE_COOKIE, "four numbers");

/* Four numbers that mean nothing where no packet waits. */
static void put_cookie(struct nlmsghdr *m, const uint8_t *cookie)
{
	struct tc_sizespec spec = { 0 };
	struct nlattr *stab = mnl_attr_nest_start(m, TCA_STAB);

	memcpy((char *)&spec + WIRE_SPEC, cookie, WIRE_COOKIE);
	mnl_attr_put(m, TCA_STAB_BASE, sizeof(spec), &spec);
	mnl_attr_nest_end(m, stab);
}

struct nlmsghdr *wire_add_qdisc(void *buf, int index, const char *kind, const uint8_t *cookie)
{
	const struct tcmsg tc = { .tcm_ifindex = index, .tcm_parent = TC_H_INGRESS,
				  .tcm_handle = AT_QDISC };
	struct nlmsghdr *m = tc_message(buf, RTM_NEWQDISC,
					NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &tc);

	mnl_attr_put_strz(m, TCA_KIND, kind);
	if (cookie)
		put_cookie(m, cookie);
	return m;
}

struct nlmsghdr *wire_del_qdisc(void *buf, int index)
{
	const struct tcmsg tc = { .tcm_ifindex = index, .tcm_parent = TC_H_INGRESS,
				  .tcm_handle = AT_QDISC };

	return tc_message(buf, RTM_DELQDISC, NLM_F_ACK, &tc);
}

static void put_u32(struct nlmsghdr *m, const struct wire_filter *f)
{
	bool all = f->act == ACT_REDIRECT;
	const struct tc_mirred parms = {
		.action = all ? TC_ACT_STOLEN : TC_ACT_UNSPEC,
		.eaction = all ? TCA_EGRESS_REDIR : TCA_EGRESS_MIRROR,
		.ifindex = (uint32_t)f->to,
	};
	/* One key, of which no bit is looked at. */
	const struct tc_u32_sel sel = { .flags = TC_U32_TERMINAL, .nkeys = 1 };
	uint8_t selector[sizeof(sel) + sizeof(struct tc_u32_key)] = { 0 };
	struct nlattr *list;
	struct nlattr *first;
	struct nlattr *options;

	memcpy(selector, &sel, sizeof(sel));
	mnl_attr_put(m, TCA_U32_SEL, sizeof(selector), selector);
	list = mnl_attr_nest_start(m, TCA_U32_ACT);
	first = mnl_attr_nest_start(m, 1);
	mnl_attr_put_strz(m, TCA_ACT_KIND, "mirred");
	mnl_attr_put(m, TCA_ACT_COOKIE, WIRE_COOKIE, f->cookie);
	options = mnl_attr_nest_start(m, TCA_ACT_OPTIONS);
	mnl_attr_put(m, TCA_MIRRED_PARMS, sizeof(parms), &parms);
	mnl_attr_nest_end(m, options);
	mnl_attr_nest_end(m, first);
	mnl_attr_nest_end(m, list);
}

#define PASS 0xffffffffu /* TC_ACT_UNSPEC: what the next filter says */
#define IP   ETH_HLEN

static const struct sock_filter seal[] = { BPF_STMT(BPF_RET | BPF_K, TC_ACT_SHOT) };

/* Offsets are from the Ethernet header on; jumps count instructions from the next one. */
static const struct sock_filter guard[] = {
	/*  0 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
	/*  1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 11, 0),
	/*  2 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 17),
	/* IPv4; a later fragment has no such header */
	/*  3 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, IP + 6),
	/*  4 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 15, 0),
	/*  5 */ BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, IP),
	/*  6 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IP + 9),
	/*  7 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 2),
	/*  8 */ BPF_STMT(BPF_LD | BPF_B | BPF_IND, IP + 13),
	/*  9 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x04, 11, 10),
	/* 10 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMP, 0, 9),
	/* 11 */ BPF_STMT(BPF_LD | BPF_B | BPF_IND, IP),
	/* 12 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 3, 8, 7),
	/* IPv6, without extension headers */
	/* 13 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IP + 6),
	/* 14 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 2),
	/* 15 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IP + 40 + 13),
	/* 16 */ BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x04, 4, 3),
	/* 17 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 2),
	/* 18 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IP + 40),
	/* 19 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 1, 0),
	/* 20 */ BPF_STMT(BPF_RET | BPF_K, PASS),
	/* 21 */ BPF_STMT(BPF_RET | BPF_K, TC_ACT_SHOT),
};

static void put_program(struct nlmsghdr *m, const struct wire_filter *f)
{
	const struct sock_filter *body = f->act == ACT_GUARD ? guard : seal;
	size_t n = (f->act == ACT_GUARD ? sizeof(guard) : sizeof(seal)) / sizeof(*body);
	struct sock_filter ops[WIRE_WORDS + sizeof(guard) / sizeof(guard[0])];

	for (size_t i = 0; i < WIRE_WORDS; i++) {
		ops[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, 0);
		memcpy(&ops[i].k, f->cookie + i * sizeof(ops[i].k), sizeof(ops[i].k));
	}
	memcpy(ops + WIRE_WORDS, body, n * sizeof(*body));
	n += WIRE_WORDS;
	mnl_attr_put_u16(m, TCA_BPF_OPS_LEN, (uint16_t)n);
	mnl_attr_put(m, TCA_BPF_OPS, n * sizeof(ops[0]), ops);
	mnl_attr_put_u32(m, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
}

struct nlmsghdr *wire_add_filter(void *buf, const struct wire_filter *f)
{
	const struct tcmsg tc = {
		.tcm_ifindex = f->index,
		.tcm_parent = f->parent,
		.tcm_info = TC_H_MAKE((uint32_t)f->pref << 16, htons(ETH_P_ALL)),
	};
	bool program = f->act == ACT_DROP || f->act == ACT_GUARD;
	struct nlmsghdr *m = tc_message(buf, RTM_NEWTFILTER,
					NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &tc);
	struct nlattr *options;

	mnl_attr_put_strz(m, TCA_KIND, program ? "bpf" : "u32");
	options = mnl_attr_nest_start(m, TCA_OPTIONS);
	if (program)
		put_program(m, f);
	else
		put_u32(m, f);
	mnl_attr_nest_end(m, options);
	return m;
}

struct nlmsghdr *wire_del_filter(void *buf, const struct net_filter *f)
{
	const struct tcmsg tc = {
		.tcm_ifindex = f->index,
		.tcm_parent = f->parent,
		.tcm_handle = f->handle,
		.tcm_info = TC_H_MAKE((uint32_t)f->pref << 16, f->protocol),
	};
	struct nlmsghdr *m = tc_message(buf, RTM_DELTFILTER, NLM_F_ACK, &tc);

	mnl_attr_put_strz(m, TCA_KIND, f->kind);
	return m;
}
