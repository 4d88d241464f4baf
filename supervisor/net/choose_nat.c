/* SPDX-License-Identifier: Apache-2.0 */
/*
 * choose_nat.c - the subnet of a guest behind NAT, and what it may disturb.
 */
#include "supervisor/net/choose.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

void net_nat_ip(uint8_t *ip, int slot, uint8_t host)
{
	const uint8_t is[] = { NAT_NET, (uint8_t)(slot + 1), host };

	memcpy(ip, is, sizeof(is));
}

static uint32_t number(const uint8_t *ip)
{
	uint32_t n;

	memcpy(&n, ip, sizeof(n));
	return ntohl(n);
}

/* The subnet of the slot, and that of an address, have some address in both. */
static bool overlaps(const struct net_addr *a, int slot)
{
	uint8_t ip[4];
	unsigned int prefix = a->prefix < NAT_PREFIX ? a->prefix : NAT_PREFIX;
	uint32_t mask = prefix ? UINT32_MAX << (32 - prefix) : 0;

	net_nat_ip(ip, slot, 0);
	return a->family == AF_INET && ((number(a->ip) ^ number(ip)) & mask) == 0;
}

static const struct net_addr *in_the_way(const struct net_picture *p, int slot)
{
	for (size_t i = 0; i < p->n_addrs; i++)
		if (overlaps(&p->addrs[i], slot))
			return &p->addrs[i];
	return NULL;
}

/* Another guest hears all that comes in at the uplink. */
static const struct net_link *taker(const struct net_picture *p, int uplink)
{
	for (size_t i = 0; i < p->n_filters; i++) {
		const struct net_filter *f = &p->filters[i];
		const struct net_link *to = f->redirects ? net_link_at(p, f->to) : NULL;

		if (f->index == uplink && net_is_ours(f) && to && to->running)
			return to;
	}
	return NULL;
}

static int name_tap(struct net_choice *c, const struct net_picture *p, struct err *err)
{
	const struct net_addr *a = NULL;
	char name[32];
	char ip[INET_ADDRSTRLEN];

	for (int slot = 0; slot < NAT_SLOTS; slot++) {
		(void)snprintf(name, sizeof(name), "tap%d_urunc", slot);
		if (net_link_named(p, name))
			continue;
		a = in_the_way(p, slot);
		if (a)
			continue;
		memcpy(c->tap, name, sizeof(c->tap));
		c->slot = slot;
		return 0;
	}
	if (!a)
		return err_say(err, EMFILE, "there are %d taps in the pod's network namespace "
			       "already", NAT_SLOTS);
	(void)inet_ntop(AF_INET, a->ip, ip, sizeof(ip));
	return err_say(err, EADDRINUSE, "no subnet in 172.16.0.0/16 is free for a guest behind NAT: "
		       "the pod has the address %s/%u", ip, a->prefix);
}

static void put_addresses(struct net_choice *c)
{
	uint8_t ip[4];
	char text[INET_ADDRSTRLEN];

	net_nat_ip(ip, c->slot, NAT_GUEST);
	(void)inet_ntop(AF_INET, ip, text, sizeof(text));
	(void)snprintf(c->ip, sizeof(c->ip), "%s/%d", text, NAT_PREFIX);
	net_nat_ip(ip, c->slot, NAT_POD);
	(void)inet_ntop(AF_INET, ip, c->gateway, sizeof(c->gateway));
}

/* Who finds others takes over what they found. */
static bool keeps(const struct net_choice *c, const struct net_picture *p)
{
	bool kept = c->uplink->forwards;
	bool alone = true;

	for (size_t i = 0; i < p->n_tables; i++) {
		if (!net_is_our_table(&p->tables[i]))
			continue;
		kept = p->tables[i].kept && (alone || kept);
		alone = false;
	}
	return kept;
}

int net_choose_nat(struct net_choice *ret, const struct net_picture *p, struct err *err)
{
	const struct net_link *other;
	int rc;

	*ret = (struct net_choice){ .uplink = net_uplink(p) };
	if (!ret->uplink) {
		ret->why_none = WHY_NO_UPLINK;
		return 0;
	}
	if (!net_has_ip4(p, ret->uplink))
		return err_say(err, ENOTSUP, "network mode static: %s has no IPv4 address that a guest "
			       "behind NAT could have; use dynamic", ret->uplink->name);
	other = taker(p, ret->uplink->index);
	if (other)
		return err_say(err, EBUSY, "network mode static: all that comes in at %s goes to "
			       "another guest of the pod, at %s: let both have the mode static",
			       ret->uplink->name, other->name);
	rc = name_tap(ret, p, err);
	if (rc < 0)
		return rc;
	put_addresses(ret);
	ret->kept = keeps(ret, p);
	return 0;
}
