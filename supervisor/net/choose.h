/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_NET_CHOOSE_H
#define URUNC_NET_CHOOSE_H

/*
 * choose.h - what would be made in a namespace that looks like this. Pure.
 */

#include "journal/base/err.h"
#include "supervisor/net/wire.h"

#include <netinet/in.h>

#define COOKIE_MAGIC "urnc" /* the first bytes of every cookie of ours */

/* Preferences of filters, below by slot; a lower one is asked first. */
#define PREF_COPY  10000u /* a further guest's copy, and its guard at the egress */
#define PREF_TAKE  20000u /* the first guest takes every frame                  */
#define PREF_SEAL  30000u /* a further guest's: nobody else gets it             */
#define NET_IP_SIZE (INET6_ADDRSTRLEN + 4) /* an address, with its prefix */
#define SLOT_MAX   1000   /* taps of ours in one namespace                      */

/* A guest behind NAT: the subnet of tapN_urunc is 172.16.(N+1).0/24, as the kernel gives
 * each name once. In it the pod is 1, the guest 2. */
#define NAT_NET    172, 16
#define NAT_SLOTS  254
#define NAT_PREFIX 24
#define NAT_POD    1
#define NAT_GUEST  2
#define ALIAS_MAGIC "urunc:" /* the first letters of every alias of ours */

/* The ingress of the pod's interface: what we find, and so what is to be done. */
enum net_qdisc_is {
	QDISC_MADE,   /* none is there: we make it    */
	QDISC_JOINED, /* it has filters of ours       */
	QDISC_FOUND,  /* it is empty, whoever made it */
};
const char *net_qdisc_name(enum net_qdisc_is is);
/* -1: no such name */
int net_qdisc_of(const char *name);

#define WHY_NO_UPLINK "no interface that is up has an address and the default route"

struct net_choice {
	const struct net_link *uplink; /* NULL: none, and why_none says why; lent */
	/* "10.4.0.2/24", "fd00:4::2/64", and their gateways; "": none. One of the two is
	 * there. */
	char ip[NET_IP_SIZE], gateway[NET_IP_SIZE], ip6[NET_IP_SIZE], gateway6[NET_IP_SIZE];
	char tap[IFNAMSIZ];
	int slot;
	enum net_qdisc_is qdisc; /* dynamic */
	bool kept;               /* static: see struct net_table */
	const char *why_none;
};

/* The pod's interface; NULL: there is none. Needs no filters. */
const struct net_link *net_uplink(const struct net_picture *p);
const struct net_link *net_link_named(const struct net_picture *p, const char *name);
const struct net_link *net_link_at(const struct net_picture *p, int index);
bool net_has_ip4(const struct net_picture *p, const struct net_link *l);
/* At its ingress; NULL: none. */
const struct net_qdisc *net_ingress(const struct net_picture *p, int index);
/* tap0_urunc, tap17_urunc: the names that we and others of this trade use. */
bool net_is_tap_name(const char *name);
/* They have a cookie that is ours, though perhaps another task's. */
bool net_is_ours(const struct net_filter *f);
bool net_made_by_us(const struct net_qdisc *q);
bool net_is_our_table(const struct net_table *t);
/* A cookie of WIRE_COOKIE bytes from hex; -EINVAL. */
int net_read_cookie(uint8_t *to, const char *hex);

/**
 * net_choose() - all of it, from a picture with the filters of the uplink
 *
 * Return: 0; -EBUSY the uplink's ingress is somebody else's, or a guest behind NAT would be
 * cut off; -EMFILE too many taps.
 */
int net_choose(struct net_choice *ret, const struct net_picture *p, struct err *err);

/**
 * net_choose_nat() - the same for a guest behind NAT; from a picture with tables, too
 *
 * "ip" and "gateway" are the guest's.
 *
 * Return: 0; -ENOTSUP the pod has no IPv4 address; -EBUSY another guest has taken the
 * uplink over; -EADDRINUSE no subnet is free; -EMFILE too many taps.
 */
int net_choose_nat(struct net_choice *ret, const struct net_picture *p, struct err *err);

/* NAT_NET and so on, of a slot; @host: NAT_POD or NAT_GUEST. 4 bytes. */
void net_nat_ip(uint8_t *ip, int slot, uint8_t host);

#endif
