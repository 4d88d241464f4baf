/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/net/nft.h"

#include "supervisor/net/wire.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#define CHAIN       "postrouting"
#define PRIORITY    100 /* where source addresses are changed */
#define SOURCE      12  /* where one is in an IPv4 header      */
#define COMMENT     0   /* the kind of userdata that nft(8) shows */
#define COMMENT_MAX 200

/* ---- a batch of messages ------------------------------------------------------------ */

static struct nlmsghdr *message(void *at, uint16_t type, uint16_t flags, uint8_t family,
				uint16_t res)
{
	const struct nfgenmsg g = { .nfgen_family = family, .version = NFNETLINK_V0,
				    .res_id = htons(res) };
	struct nlmsghdr *m = mnl_nlmsg_put_header(at);

	m->nlmsg_type = type;
	m->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	memcpy(mnl_nlmsg_put_extra_header(m, sizeof(g)), &g, sizeof(g));
	return m;
}

/* The first and the last one. */
static struct nlmsghdr *bound(void *at, uint16_t type)
{
	return message(at, type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
}

static struct nlmsghdr *order(void *at, uint16_t type, uint16_t flags)
{
	return message(at, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, NFPROTO_IPV4, 0);
}

static void *after(struct nlmsghdr *m)
{
	return (char *)m + MNL_ALIGN(m->nlmsg_len);
}

/* ---- a table, its chain, its rule ---------------------------------------------------- */

static void put_userdata(struct nlmsghdr *m, const struct nft_nat *nat)
{
	uint8_t data[2 + COMMENT_MAX + 1 + 2 + WIRE_COOKIE + 1] = { COMMENT };
	size_t len = strnlen(nat->comment, COMMENT_MAX);
	uint8_t *mark = data + 2 + len + 1;

	data[1] = (uint8_t)(len + 1); /* with its NUL */
	memcpy(data + 2, nat->comment, len);
	mark[0] = WIRE_MARK;
	mark[1] = WIRE_COOKIE + 1;
	memcpy(mark + 2, nat->cookie, WIRE_COOKIE);
	mark[2 + WIRE_COOKIE] = nat->kept;
	mnl_attr_put(m, NFTA_TABLE_USERDATA, (size_t)(mark - data) + 2 + WIRE_COOKIE + 1, data);
}

static void put_hook(struct nlmsghdr *m, const char *table)
{
	struct nlattr *hook;

	mnl_attr_put_strz(m, NFTA_CHAIN_TABLE, table);
	mnl_attr_put_strz(m, NFTA_CHAIN_NAME, CHAIN);
	mnl_attr_put_strz(m, NFTA_CHAIN_TYPE, "nat");
	hook = mnl_attr_nest_start(m, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(m, NFTA_HOOK_HOOKNUM, htonl(NF_INET_POST_ROUTING));
	mnl_attr_put_u32(m, NFTA_HOOK_PRIORITY, htonl(PRIORITY));
	mnl_attr_nest_end(m, hook);
}

struct expression {
	struct nlattr *elem, *data;
};

static struct expression expression(struct nlmsghdr *m, const char *name)
{
	struct expression e = { .elem = mnl_attr_nest_start(m, NFTA_LIST_ELEM) };

	mnl_attr_put_strz(m, NFTA_EXPR_NAME, name);
	e.data = mnl_attr_nest_start(m, NFTA_EXPR_DATA);
	return e;
}

static void end(struct nlmsghdr *m, const struct expression *e)
{
	mnl_attr_nest_end(m, e->data);
	mnl_attr_nest_end(m, e->elem);
}

/* What was loaded is this, or the rule is not for the packet. */
static void put_equal(struct nlmsghdr *m, const void *value, size_t len)
{
	struct expression e = expression(m, "cmp");
	struct nlattr *nest;

	mnl_attr_put_u32(m, NFTA_CMP_SREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(m, NFTA_CMP_OP, htonl(NFT_CMP_EQ));
	nest = mnl_attr_nest_start(m, NFTA_CMP_DATA);
	mnl_attr_put(m, NFTA_DATA_VALUE, len, value);
	mnl_attr_nest_end(m, nest);
	end(m, &e);
}

static void put_source(struct nlmsghdr *m, const uint8_t *subnet)
{
	struct expression e = expression(m, "payload");

	mnl_attr_put_u32(m, NFTA_PAYLOAD_DREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(m, NFTA_PAYLOAD_BASE, htonl(NFT_PAYLOAD_NETWORK_HEADER));
	mnl_attr_put_u32(m, NFTA_PAYLOAD_OFFSET, htonl(SOURCE));
	mnl_attr_put_u32(m, NFTA_PAYLOAD_LEN, htonl(NFT_PREFIX));
	end(m, &e);
	put_equal(m, subnet, NFT_PREFIX);
}

static void put_out(struct nlmsghdr *m, int index)
{
	struct expression e = expression(m, "meta");

	mnl_attr_put_u32(m, NFTA_META_DREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(m, NFTA_META_KEY, htonl(NFT_META_OIF));
	end(m, &e);
	put_equal(m, &index, sizeof(index));
}

static void put_rule(struct nlmsghdr *m, const struct nft_nat *nat)
{
	struct nlattr *list;
	struct expression e;

	mnl_attr_put_strz(m, NFTA_RULE_TABLE, nat->table);
	mnl_attr_put_strz(m, NFTA_RULE_CHAIN, CHAIN);
	list = mnl_attr_nest_start(m, NFTA_RULE_EXPRESSIONS);
	put_source(m, nat->subnet);
	put_out(m, nat->out);
	e = expression(m, "masq");
	end(m, &e);
	mnl_attr_nest_end(m, list);
}

/* One message is acknowledged, the last: a failure of another one is told before that. */
struct nlmsghdr *nft_add(void *buf, const struct nft_nat *nat)
{
	struct nlmsghdr *m = bound(buf, NFNL_MSG_BATCH_BEGIN);

	m = order(after(m), NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
	mnl_attr_put_strz(m, NFTA_TABLE_NAME, nat->table);
	put_userdata(m, nat);
	m = order(after(m), NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);
	put_hook(m, nat->table);
	m = order(after(m), NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK);
	put_rule(m, nat);
	(void)bound(after(m), NFNL_MSG_BATCH_END);
	return buf;
}

struct nlmsghdr *nft_del(void *buf, const char *table)
{
	struct nlmsghdr *m = bound(buf, NFNL_MSG_BATCH_BEGIN);

	m = order(after(m), NFT_MSG_DELTABLE, NLM_F_ACK);
	mnl_attr_put_strz(m, NFTA_TABLE_NAME, table);
	(void)bound(after(m), NFNL_MSG_BATCH_END);
	return buf;
}

struct nlmsghdr *nft_ask(void *buf)
{
	return order(buf, NFT_MSG_GETTABLE, NLM_F_DUMP);
}
