/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_NET_WIRE_H
#define URUNC_NET_WIRE_H

/*
 * wire.h - the few rtnetlink messages that we speak: questions and orders are built,
 * answers are read into a picture. Pure; the kernel is at the other end of talk.h.
 *
 * What is read may be anything: lengths and counts are checked, what is not understood
 * is passed over.
 */

#include <linux/netlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_SIZE   1024   /* room for any message that is built here */
#define WIRE_COOKIE 16     /* bytes                                   */
#define WIRE_ALIAS  256    /* with the final NUL                      */
#define WIRE_WORDS  (WIRE_COOKIE / 4) /* 32-bit words of a cookie          */
/* Where a qdisc's cookie is in its struct tc_sizespec: overhead, linklayer, mpu, mtu. */
#define WIRE_SPEC   4
#define WIRE_MARK   'u' /* the kind of a table's userdata that is a cookie and "kept" */
#define PICTURE_MAX 65536  /* entries of one sort; more is -E2BIG     */

/* Where filters hang. An ingress qdisc has one place, clsact has two. */
#define AT_QDISC   0xffff0000u
#define AT_INGRESS 0xfffffff2u
#define AT_EGRESS  0xfffffff3u

struct net_link {
	int index;
	char name[IFNAMSIZ], kind[16]; /* kind: "tun", "veth"; "": none */
	char alias[WIRE_ALIAS];
	bool ethernet, up, loopback, running;
	bool forwards; /* IPv4 packets that come in there */
	uint8_t mac[6];
	uint32_t mtu;
};
struct net_addr {
	int index;
	uint8_t family, prefix; /* AF_INET; AF_INET6: one that others can use */
	bool lasting;           /* not lent by a router for a while           */
	uint8_t ip[16];         /* network byte order; IPv4: the first 4      */
};
struct net_route { /* a default route */
	int index;
	uint8_t family;
	bool via; /* it has a gateway */
	uint8_t gateway[16];
	uint32_t metric;
};
struct net_qdisc { /* at an interface's ingress */
	int index;
	char kind[16];
	bool has_cookie;
	uint8_t cookie[WIRE_COOKIE];
};
struct net_filter {
	int index;
	uint32_t parent, handle;
	uint16_t pref, protocol; /* protocol: network byte order */
	char kind[16];
	bool has_cookie, redirects; /* redirects, or mirrors */
	uint8_t cookie[WIRE_COOKIE];
	int to; /* interface, 0: it is gone */
};

struct net_table { /* of nftables */
	char name[40];
	bool has_cookie;
	bool kept; /* forwarding was on before the first of us: it stays on */
	uint8_t cookie[WIRE_COOKIE];
};

struct net_picture {
	struct net_link *links;
	struct net_addr *addrs;
	struct net_route *routes;
	struct net_qdisc *qdiscs;
	struct net_filter *filters;
	struct net_table *tables;
	size_t n_links, n_addrs, n_routes, n_qdiscs, n_filters, n_tables;
};
void picture_clear(struct net_picture *p);

/**
 * wire_read() - take a datagram into the picture
 * @seq:	of the question; other messages are passed over
 *
 * Return: 1 more is to come; 0 that was the last of it; < 0 what the kernel answered,
 * -EINTR a dump that is not of one moment: ask again; -EBADMSG, -E2BIG, -ENOMEM.
 */
int wire_read(struct net_picture *p, const void *data, size_t len, uint32_t seq);

/* ---- questions: one dump each. @buf has WIRE_SIZE bytes, aligned as by malloc ---- */

enum wire_what { WIRE_LINKS, WIRE_ADDRS, WIRE_ROUTES, WIRE_QDISCS };
struct nlmsghdr *wire_ask(void *buf, enum wire_what what);
struct nlmsghdr *wire_ask_filters(void *buf, int index, uint32_t parent);

/* ---- orders: each is acknowledged ----------------------------------------------- */

struct nlmsghdr *wire_name_link(void *buf, int index, const char *alias, uint32_t mtu);
struct nlmsghdr *wire_link_up(void *buf, int index);
struct nlmsghdr *wire_del_link(void *buf, int index);
struct nlmsghdr *wire_forward(void *buf, int index, bool on);
/* @ip: of IPv4, network byte order. */
struct nlmsghdr *wire_add_addr(void *buf, int index, const uint8_t *ip, uint8_t prefix);
/* @kind: "ingress" or "clsact"; fails with EEXIST if there is one. @cookie, or NULL: kept
 * and shown by the kernel as a table of packet sizes, which such a qdisc never asks. */
struct nlmsghdr *wire_add_qdisc(void *buf, int index, const char *kind, const uint8_t *cookie);
struct nlmsghdr *wire_del_qdisc(void *buf, int index);

/* REDIRECT takes every frame, MIRROR takes a copy, and the next filter is asked. DROP
 * lets nothing pass; GUARD drops TCP resets and ICMP "unreachable". Those two are
 * programs of cls_bpf, since not every kernel has the action "drop"; there is no action
 * then to keep a cookie, so it stands in the first instructions. */
enum wire_act { ACT_REDIRECT, ACT_MIRROR, ACT_DROP, ACT_GUARD };
struct wire_filter {
	int index;
	uint32_t parent;
	uint16_t pref;
	enum wire_act act;
	int to; /* REDIRECT, MIRROR */
	const uint8_t *cookie;
};
struct nlmsghdr *wire_add_filter(void *buf, const struct wire_filter *f);
struct nlmsghdr *wire_del_filter(void *buf, const struct net_filter *f);

#endif
