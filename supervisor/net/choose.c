/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/net/choose.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const qdisc_names[] = { [QDISC_MADE] = "made", [QDISC_JOINED] = "joined",
					   [QDISC_FOUND] = "found" };

const char *net_qdisc_name(enum net_qdisc_is is)
{
	return qdisc_names[is];
}

int net_qdisc_of(const char *name)
{
	for (int i = QDISC_MADE; i <= QDISC_FOUND; i++)
		if (strcmp(qdisc_names[i], name) == 0)
			return i;
	return -1;
}

bool net_is_tap_name(const char *name)
{
	int end = 0;

	(void)sscanf(name, "tap%*1[0-9]%*[0-9]%n", &end);
	if (end == 0)
		(void)sscanf(name, "tap%*1[0-9]%n", &end);
	return end > 0 && strcmp(name + end, "_urunc") == 0;
}

static bool has_magic(const uint8_t *cookie)
{
	return memcmp(cookie, COOKIE_MAGIC, strlen(COOKIE_MAGIC)) == 0;
}

bool net_is_ours(const struct net_filter *f)
{
	return f->has_cookie && has_magic(f->cookie);
}

bool net_made_by_us(const struct net_qdisc *q)
{
	return q->has_cookie && has_magic(q->cookie);
}

bool net_is_our_table(const struct net_table *t)
{
	return t->has_cookie && has_magic(t->cookie);
}

int net_read_cookie(uint8_t *to, const char *hex)
{
	unsigned int byte;

	if (strlen(hex) != 2 * WIRE_COOKIE)
		return -EINVAL;
	for (size_t i = 0; i < WIRE_COOKIE; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return -EINVAL;
		to[i] = (uint8_t)byte;
	}
	return 0;
}

const struct net_link *net_link_named(const struct net_picture *p, const char *name)
{
	for (size_t i = 0; i < p->n_links; i++)
		if (strcmp(p->links[i].name, name) == 0)
			return &p->links[i];
	return NULL;
}

const struct net_link *net_link_at(const struct net_picture *p, int index)
{
	for (size_t i = 0; i < p->n_links; i++)
		if (p->links[i].index == index)
			return &p->links[i];
	return NULL;
}

const struct net_qdisc *net_ingress(const struct net_picture *p, int index)
{
	for (size_t i = 0; i < p->n_qdiscs; i++)
		if (p->qdiscs[i].index == index)
			return &p->qdiscs[i];
	return NULL;
}

/* ---- the pod's interface -------------------------------------------------------- */

/* One that lasts, if there is any. */
static const struct net_addr *addr_of(const struct net_picture *p, int index, uint8_t family)
{
	const struct net_addr *best = NULL;

	for (size_t i = 0; i < p->n_addrs; i++)
		if (p->addrs[i].index == index && p->addrs[i].family == family &&
		    (!best || (p->addrs[i].lasting && !best->lasting)))
			best = &p->addrs[i];
	return best;
}

/* Its default route, the one that the kernel prefers. */
static const struct net_route *route_of(const struct net_picture *p, int index, uint8_t family)
{
	const struct net_route *best = NULL;

	for (size_t i = 0; i < p->n_routes; i++)
		if (p->routes[i].index == index && p->routes[i].family == family &&
		    (!best || p->routes[i].metric < best->metric))
			best = &p->routes[i];
	return best;
}

bool net_has_ip4(const struct net_picture *p, const struct net_link *l)
{
	return addr_of(p, l->index, AF_INET) != NULL;
}

static bool usable(const struct net_picture *p, const struct net_link *l, uint8_t family)
{
	return l->up && l->ethernet && !l->loopback && !net_is_tap_name(l->name) &&
	       addr_of(p, l->index, family);
}

/* The first one that is usable; @routed: and has a default route of the family. */
static const struct net_link *uplink_of(const struct net_picture *p, uint8_t family, bool routed)
{
	const struct net_link *best = NULL;

	for (size_t i = 0; i < p->n_links; i++) {
		const struct net_link *l = &p->links[i];

		if (!usable(p, l, family) || (routed && !route_of(p, l->index, family)))
			continue;
		if (!best || l->index < best->index)
			best = l;
	}
	return best;
}

const struct net_link *net_uplink(const struct net_picture *p)
{
	const struct net_link *l = uplink_of(p, AF_INET, true);

	if (!l)
		l = uplink_of(p, AF_INET6, true);
	if (!l) /* a route of one family may be all there is, beside an address of the other */
		l = uplink_of(p, AF_INET, false);
	return l ? l : uplink_of(p, AF_INET6, false);
}

static void put_addresses(const struct net_picture *p, int index, uint8_t family, char *ip,
			  char *gateway)
{
	const struct net_addr *a = addr_of(p, index, family);
	const struct net_route *r = route_of(p, index, family);
	char text[INET6_ADDRSTRLEN];

	if (!a)
		return;
	(void)inet_ntop(family, a->ip, text, sizeof(text));
	(void)snprintf(ip, NET_IP_SIZE, "%s/%u", text, a->prefix);
	if (r && r->via)
		(void)inet_ntop(family, r->gateway, gateway, NET_IP_SIZE);
}

/* ---- its ingress ------------------------------------------------------------------ */

static int foreign(const struct net_picture *p, const struct net_link *l,
		   const struct net_qdisc *q, const struct net_filter *f, struct err *err)
{
	const struct net_link *to = f && f->to ? net_link_at(p, f->to) : NULL;
	char what[96] = "an ingress qdisc that is not ours";

	if (f)
		(void)snprintf(what, sizeof(what), "a %s filter (pref %u%s%s) that is not ours",
			       f->kind, f->pref, f->redirects ? ", redirects to " : "",
			       !f->redirects ? "" : to ? to->name : "an interface that is gone");
	return err_say(err, EBUSY, "%s has %s, a guest would take its frames away: if nobody "
		       "needs it, remove it in the pod's network namespace (tc qdisc del dev %s "
		       "%s)", l->name, what, l->name, q->kind);
}

static int look_at_ingress(struct net_choice *c, const struct net_picture *p, struct err *err)
{
	const struct net_qdisc *q = net_ingress(p, c->uplink->index);
	size_t ours = 0;

	c->qdisc = QDISC_MADE;
	if (!q)
		return 0;
	for (size_t i = 0; i < p->n_filters; i++) {
		if (p->filters[i].index != c->uplink->index)
			continue;
		if (!net_is_ours(&p->filters[i]))
			return foreign(p, c->uplink, q, &p->filters[i], err);
		ours++;
	}
	if (strcmp(q->kind, "clsact") != 0)
		return foreign(p, c->uplink, q, NULL, err);
	c->qdisc = ours ? QDISC_JOINED : QDISC_FOUND;
	return 0;
}

/* The first free name, whoever has those before it. */
static int name_tap(struct net_choice *c, const struct net_picture *p)
{
	char name[32];

	for (int slot = 0; slot < SLOT_MAX; slot++) {
		(void)snprintf(name, sizeof(name), "tap%d_urunc", slot);
		if (net_link_named(p, name))
			continue;
		memcpy(c->tap, name, sizeof(c->tap));
		c->slot = slot;
		return 0;
	}
	return -EMFILE;
}

/* Somebody has it open. */
static bool is_nat_guest(const struct net_picture *p, const struct net_link *l)
{
	return net_is_tap_name(l->name) && l->running && addr_of(p, l->index, AF_INET) &&
	       strncmp(l->alias, ALIAS_MAGIC, strlen(ALIAS_MAGIC)) == 0;
}

static int check_nat_guests(const struct net_choice *c, const struct net_picture *p,
			    struct err *err)
{
	for (size_t i = 0; i < p->n_links; i++)
		if (is_nat_guest(p, &p->links[i]))
			return err_say(err, EBUSY, "%s of this pod is a guest's behind NAT, which "
				       "would hear nothing any more if another one took %s over: "
				       "let both have the network mode static", p->links[i].name,
				       c->uplink->name);
	return 0;
}

int net_choose(struct net_choice *ret, const struct net_picture *p, struct err *err)
{
	int rc;

	*ret = (struct net_choice){ .uplink = net_uplink(p) };
	if (!ret->uplink) {
		ret->why_none = WHY_NO_UPLINK;
		return 0;
	}
	put_addresses(p, ret->uplink->index, AF_INET, ret->ip, ret->gateway);
	put_addresses(p, ret->uplink->index, AF_INET6, ret->ip6, ret->gateway6);
	if (name_tap(ret, p) < 0)
		return err_say(err, EMFILE, "there are %d taps in the pod's network namespace "
			       "already", SLOT_MAX);
	rc = check_nat_guests(ret, p, err);
	return rc < 0 ? rc : look_at_ingress(ret, p, err);
}
