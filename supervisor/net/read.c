/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read.c - what the kernel answers.
 */
#include "supervisor/net/wire.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <stdlib.h>
#include <string.h>

#define ATTRS 64 /* of one level, that we look at */

void picture_clear(struct net_picture *p)
{
	free(p->links);
	free(p->addrs);
	free(p->routes);
	free(p->qdiscs);
	free(p->filters);
	free(p->tables);
	*p = (struct net_picture){ 0 };
}

/* A new zeroed entry of one of the arrays; NULL with *rc. */
static void *add(void *array, size_t *n, size_t size, int *rc)
{
	void **list = array;
	void *grown = *list;

	*rc = *n >= PICTURE_MAX ? -E2BIG : 0;
	if (*rc == 0 && (*n & (*n - 1)) == 0) { /* 0, or a power of 2: full */
		grown = reallocarray(*list, *n ? *n * 2 : 1, size);
		*rc = grown ? 0 : -ENOMEM;
	}
	if (*rc < 0)
		return NULL;
	*list = grown;
	return memset((char *)grown + (*n)++ * size, 0, size);
}

/* ---- attributes ---------------------------------------------------------------- */

struct attrs {
	const struct nlattr *at[ATTRS];
};

static void keep(struct attrs *a, const struct nlattr *attr)
{
	uint16_t type = mnl_attr_get_type(attr);

	if (type < ATTRS)
		a->at[type] = attr;
}

static struct attrs keep_all(const struct nlattr *attr, const void *end)
{
	struct attrs a = { { 0 } };

	for (; mnl_attr_ok(attr, (int)((const char *)end - (const char *)attr));
	     attr = mnl_attr_next(attr))
		keep(&a, attr);
	return a;
}

static struct attrs of_message(const struct nlmsghdr *m, size_t header)
{
	return keep_all(mnl_nlmsg_get_payload_offset(m, header), (const char *)m + m->nlmsg_len);
}

static struct attrs of_nest(const struct nlattr *nest)
{
	const char *payload = nest ? mnl_attr_get_payload(nest) : NULL;

	return nest ? keep_all((const void *)payload, payload + mnl_attr_get_payload_len(nest))
		    : (struct attrs){ { 0 } };
}

static size_t size_of(const struct nlattr *attr)
{
	return attr ? mnl_attr_get_payload_len(attr) : 0;
}

static uint32_t number(const struct nlattr *attr)
{
	uint32_t n = 0;

	if (size_of(attr) == sizeof(n))
		memcpy(&n, mnl_attr_get_payload(attr), sizeof(n));
	return n;
}

/* Cut if longer; always ended. */
static void text(char *to, size_t size, const struct nlattr *attr)
{
	size_t len = size_of(attr);

	if (len == 0)
		return;
	len = strnlen(mnl_attr_get_payload(attr), len);
	if (len >= size)
		len = size - 1;
	memcpy(to, mnl_attr_get_payload(attr), len);
	to[len] = '\0';
}

/* ---- messages ------------------------------------------------------------------- */

/* The first number of a list of settings. */
static bool forwards(const struct nlattr *families)
{
	struct attrs family = of_nest(families);
	struct attrs inet = of_nest(family.at[AF_INET]);
	const struct nlattr *conf = inet.at[IFLA_INET_CONF];
	uint32_t on = 0;

	if (size_of(conf) >= IPV4_DEVCONF_FORWARDING * sizeof(on))
		memcpy(&on, mnl_attr_get_payload(conf), sizeof(on));
	return on;
}

static int read_link(struct net_picture *p, const struct nlmsghdr *m)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(m);
	struct attrs a = of_message(m, sizeof(*ifi));
	struct attrs info = of_nest(a.at[IFLA_LINKINFO]);
	int rc;
	struct net_link *l = add(&p->links, &p->n_links, sizeof(*l), &rc);

	if (!l)
		return rc;
	l->index = ifi->ifi_index;
	l->ethernet = ifi->ifi_type == ARPHRD_ETHER;
	l->up = ifi->ifi_flags & IFF_UP;
	l->loopback = ifi->ifi_flags & IFF_LOOPBACK;
	l->running = ifi->ifi_flags & IFF_RUNNING;
	l->forwards = forwards(a.at[IFLA_AF_SPEC]);
	l->mtu = number(a.at[IFLA_MTU]);
	text(l->name, sizeof(l->name), a.at[IFLA_IFNAME]);
	text(l->alias, sizeof(l->alias), a.at[IFLA_IFALIAS]);
	text(l->kind, sizeof(l->kind), info.at[IFLA_INFO_KIND]);
	if (size_of(a.at[IFLA_ADDRESS]) == sizeof(l->mac))
		memcpy(l->mac, mnl_attr_get_payload(a.at[IFLA_ADDRESS]), sizeof(l->mac));
	return 0;
}

/* How many bytes an address of this family has; 0: not one of ours. */
static size_t address_size(uint8_t family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

/* Others can use it, and it stays. */
static bool is_public(const struct ifaddrmsg *ifa, uint32_t flags)
{
	return ifa->ifa_family == AF_INET ||
	       (ifa->ifa_scope == RT_SCOPE_UNIVERSE &&
		!(flags & (IFA_F_DADFAILED | IFA_F_DEPRECATED | IFA_F_TEMPORARY)));
}

static int read_addr(struct net_picture *p, const struct nlmsghdr *m)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(m);
	struct attrs a = of_message(m, sizeof(*ifa));
	const struct nlattr *ip = a.at[IFA_LOCAL] ? a.at[IFA_LOCAL] : a.at[IFA_ADDRESS];
	size_t size = address_size(ifa->ifa_family);
	uint32_t flags = a.at[IFA_FLAGS] ? number(a.at[IFA_FLAGS]) : ifa->ifa_flags;
	struct net_addr *to;
	int rc;

	if (!size || size_of(ip) != size || ifa->ifa_prefixlen > 8 * size || !is_public(ifa, flags))
		return 0;
	to = add(&p->addrs, &p->n_addrs, sizeof(*to), &rc);
	if (!to)
		return rc;
	*to = (struct net_addr){ .index = (int)ifa->ifa_index, .family = ifa->ifa_family,
				 .prefix = ifa->ifa_prefixlen,
				 .lasting = flags & IFA_F_PERMANENT };
	memcpy(to->ip, mnl_attr_get_payload(ip), size);
	return 0;
}

static int read_route(struct net_picture *p, const struct nlmsghdr *m)
{
	const struct rtmsg *rt = mnl_nlmsg_get_payload(m);
	struct attrs a = of_message(m, sizeof(*rt));
	size_t size = address_size(rt->rtm_family);
	struct net_route *to;
	int rc;

	if (!size || rt->rtm_dst_len != 0 || rt->rtm_type != RTN_UNICAST ||
	    rt->rtm_table != RT_TABLE_MAIN || !a.at[RTA_OIF])
		return 0;
	to = add(&p->routes, &p->n_routes, sizeof(*to), &rc);
	if (!to)
		return rc;
	*to = (struct net_route){ .index = (int)number(a.at[RTA_OIF]), .family = rt->rtm_family,
				  .via = size_of(a.at[RTA_GATEWAY]) == size,
				  .metric = number(a.at[RTA_PRIORITY]) };
	if (to->via)
		memcpy(to->gateway, mnl_attr_get_payload(a.at[RTA_GATEWAY]), size);
	return 0;
}

/* A cookie in place of a table of sizes. */
static void read_sizes(struct net_qdisc *q, const struct nlattr *stab)
{
	struct attrs a = of_nest(stab);
	struct tc_sizespec spec;

	if (size_of(a.at[TCA_STAB_BASE]) < sizeof(spec))
		return;
	memcpy(&spec, mnl_attr_get_payload(a.at[TCA_STAB_BASE]), sizeof(spec));
	q->has_cookie = spec.tsize == 0;
	memcpy(q->cookie, (const char *)&spec + WIRE_SPEC, WIRE_COOKIE);
}

static int read_qdisc(struct net_picture *p, const struct nlmsghdr *m)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(m);
	struct attrs a = of_message(m, sizeof(*tc));
	struct net_qdisc *to;
	int rc;

	if (tc->tcm_parent != TC_H_INGRESS)
		return 0;
	to = add(&p->qdiscs, &p->n_qdiscs, sizeof(*to), &rc);
	if (!to)
		return rc;
	to->index = tc->tcm_ifindex;
	text(to->kind, sizeof(to->kind), a.at[TCA_KIND]);
	read_sizes(to, a.at[TCA_STAB]);
	return 0;
}

/* The first action of a u32 filter: of ours, the only one. */
static void read_action(struct net_filter *f, const struct nlattr *options)
{
	struct attrs u32 = of_nest(options);
	struct attrs list = of_nest(u32.at[TCA_U32_ACT]);
	struct attrs act = of_nest(list.at[1]);
	struct attrs mirred = of_nest(act.at[TCA_ACT_OPTIONS]);
	char kind[16] = "";
	struct tc_mirred parms;

	text(kind, sizeof(kind), act.at[TCA_ACT_KIND]);
	if (size_of(act.at[TCA_ACT_COOKIE]) == WIRE_COOKIE) {
		f->has_cookie = true;
		memcpy(f->cookie, mnl_attr_get_payload(act.at[TCA_ACT_COOKIE]), WIRE_COOKIE);
	}
	if (strcmp(kind, "mirred") != 0 || size_of(mirred.at[TCA_MIRRED_PARMS]) < sizeof(parms))
		return;
	memcpy(&parms, mnl_attr_get_payload(mirred.at[TCA_MIRRED_PARMS]), sizeof(parms));
	f->redirects = true;
	f->to = (int)parms.ifindex;
}

/* A cookie in the first instructions. */
static void read_program(struct net_filter *f, const struct nlattr *options)
{
	struct attrs bpf = of_nest(options);
	struct sock_filter ops[WIRE_WORDS];

	if (size_of(bpf.at[TCA_BPF_OPS]) < sizeof(ops))
		return;
	memcpy(ops, mnl_attr_get_payload(bpf.at[TCA_BPF_OPS]), sizeof(ops));
	f->has_cookie = true;
	for (size_t i = 0; i < WIRE_WORDS; i++) {
		f->has_cookie = f->has_cookie && ops[i].code == (BPF_LD | BPF_IMM);
		memcpy(f->cookie + i * sizeof(ops[i].k), &ops[i].k, sizeof(ops[i].k));
	}
}

/* A u32 filter shows its tables as well: those have no number in the low 12 bits. And
 * every kind shows itself, without a number. */
static int read_filter(struct net_picture *p, const struct nlmsghdr *m)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(m);
	struct attrs a = of_message(m, sizeof(*tc));
	struct net_filter *to;
	char kind[16] = "";
	int rc;

	text(kind, sizeof(kind), a.at[TCA_KIND]);
	if (tc->tcm_handle == 0 ||
	    (strcmp(kind, "u32") == 0 && TC_U32_NODE(tc->tcm_handle) == 0))
		return 0;
	to = add(&p->filters, &p->n_filters, sizeof(*to), &rc);
	if (!to)
		return rc;
	to->index = tc->tcm_ifindex;
	to->parent = tc->tcm_parent;
	to->handle = tc->tcm_handle;
	to->pref = (uint16_t)(tc->tcm_info >> 16);
	to->protocol = (uint16_t)tc->tcm_info;
	memcpy(to->kind, kind, sizeof(to->kind));
	if (strcmp(kind, "u32") == 0)
		read_action(to, a.at[TCA_OPTIONS]);
	if (strcmp(kind, "bpf") == 0)
		read_program(to, a.at[TCA_OPTIONS]);
	return 0;
}

/* Userdata is a list of: kind, size, bytes. */
static void read_userdata(struct net_table *t, const struct nlattr *data)
{
	const uint8_t *at = data ? mnl_attr_get_payload(data) : NULL;
	size_t left = size_of(data);

	while (left >= 2 && left - 2 >= at[1]) {
		size_t size = (size_t)at[1] + 2;

		if (at[0] == WIRE_MARK && at[1] == WIRE_COOKIE + 1) {
			t->has_cookie = true;
			memcpy(t->cookie, at + 2, WIRE_COOKIE);
			t->kept = at[2 + WIRE_COOKIE];
		}
		at += size;
		left -= size;
	}
}

static int read_table(struct net_picture *p, const struct nlmsghdr *m)
{
	struct attrs a = of_message(m, sizeof(struct nfgenmsg));
	int rc;
	struct net_table *t = add(&p->tables, &p->n_tables, sizeof(*t), &rc);

	if (!t)
		return rc;
	text(t->name, sizeof(t->name), a.at[NFTA_TABLE_NAME]);
	read_userdata(t, a.at[NFTA_TABLE_USERDATA]);
	return 0;
}

/* 1: the question is answered. */
static int read_error(const struct nlmsghdr *m)
{
	struct nlmsgerr e;

	if (mnl_nlmsg_get_payload_len(m) < sizeof(e.error))
		return -EBADMSG;
	memcpy(&e.error, mnl_nlmsg_get_payload(m), sizeof(e.error));
	if (e.error == 0)
		return 1;
	return e.error < 0 && e.error > -4096 ? e.error : -EBADMSG;
}

static const struct {
	uint16_t type;
	size_t size;
	int (*read)(struct net_picture *p, const struct nlmsghdr *m);
} readers[] = {
	{ RTM_NEWLINK, sizeof(struct ifinfomsg), read_link },
	{ RTM_NEWADDR, sizeof(struct ifaddrmsg), read_addr },
	{ RTM_NEWROUTE, sizeof(struct rtmsg), read_route },
	{ RTM_NEWQDISC, sizeof(struct tcmsg), read_qdisc },
	{ RTM_NEWTFILTER, sizeof(struct tcmsg), read_filter },
	{ NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, sizeof(struct nfgenmsg), read_table },
};

/* 1: that was the last one. */
static int read_one(struct net_picture *p, const struct nlmsghdr *m)
{
	if (m->nlmsg_flags & NLM_F_DUMP_INTR)
		return -EINTR;
	if (m->nlmsg_type == NLMSG_ERROR)
		return read_error(m);
	if (m->nlmsg_type == NLMSG_DONE)
		return 1;
	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++)
		if (m->nlmsg_type == readers[i].type)
			return mnl_nlmsg_get_payload_len(m) < readers[i].size
				       ? -EBADMSG : readers[i].read(p, m);
	return 0;
}

int wire_read(struct net_picture *p, const void *data, size_t len, uint32_t seq)
{
	const char *at = data;
	const char *end = at + len;

	while (at < end) {
		const struct nlmsghdr *m = (const void *)at;
		int rc;

		/* mnl_nlmsg_ok() would take a length over INT32_MAX for a negative one. */
		if ((size_t)(end - at) < sizeof(*m) || m->nlmsg_len < sizeof(*m) ||
		    m->nlmsg_len > (size_t)(end - at))
			return -EBADMSG;
		rc = m->nlmsg_seq == seq ? read_one(p, m) : 0;
		if (rc != 0)
			return rc < 0 ? rc : 0;
		if (MNL_ALIGN(m->nlmsg_len) >= (size_t)(end - at))
			break;
		at += MNL_ALIGN(m->nlmsg_len);
	}
	return 1;
}
