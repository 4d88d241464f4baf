/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/net/nat.h"

#include "supervisor/net/nft.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Its name has the cookie: no other task's is ever in the way. */
static void name_table(char *name, size_t size, const struct job_plan *p)
{
	size_t n = (size_t)snprintf(name, size, "urunc_");

	for (size_t i = strlen(COOKIE_MAGIC); i < WIRE_COOKIE; i++)
		n += (size_t)snprintf(name + n, size - n, "%02x", p->cookie[i]);
}

static int forward(struct job *j, const char *name, int index, bool on, struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];

	return talk_do(&j->talk, wire_forward(buf, index, on), err,
		       "%s the forwarding of %s", on ? "switch on" : "switch back", name);
}

static int add_table(struct job *j, const struct job_plan *p, struct err *err)
{
	uint64_t buf[NFT_SIZE / sizeof(uint64_t)];
	char name[40];
	struct nft_nat nat = { .table = name, .comment = p->alias, .cookie = p->cookie,
			       .kept = p->kept, .out = p->index };
	uint8_t ip[4];

	name_table(name, sizeof(name), p);
	net_nat_ip(ip, p->slot, 0);
	memcpy(nat.subnet, ip, sizeof(nat.subnet));
	return job_nft_lacks(talk_do(&j->nft, nft_add(buf, &nat), err, "add the table %s", name),
			     err);
}

/* What stands on the tap goes with it. What is changed of the pod comes last: the table
 * says by then whether its forwarding is ours to switch back. */
int nat_attach(struct job *j, const struct job_plan *p, int tap, struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];
	const struct net_link *uplink = net_link_at(&j->seen, p->index);
	uint8_t ip[4];
	int rc;

	net_nat_ip(ip, p->slot, NAT_POD);
	rc = talk_do(&j->talk, wire_add_addr(buf, tap, ip, NAT_PREFIX), err,
		     "give %s its address", p->tap);
	if (rc == 0)
		rc = talk_do(&j->talk, wire_link_up(buf, tap), err, "set %s up", p->tap);
	if (rc == 0)
		rc = forward(j, p->tap, tap, true, err);
	if (rc == 0)
		rc = add_table(j, p, err);
	if (rc == 0 && uplink && !uplink->forwards)
		rc = forward(j, p->iface, p->index, true, err);
	return rc;
}

/* Ours; and are there any of others? */
static const struct net_table *find_table(const struct job *j, const struct job_plan *p,
					  bool *ret_others)
{
	const struct net_table *mine = NULL;

	*ret_others = false;
	for (size_t i = 0; i < j->seen.n_tables; i++) {
		const struct net_table *t = &j->seen.tables[i];

		if (t->has_cookie && memcmp(t->cookie, p->cookie, WIRE_COOKIE) == 0)
			mine = t;
		else
			*ret_others |= net_is_our_table(t);
	}
	return mine;
}

/* Without our table, the pod's forwarding was never touched, or is back already. */
int nat_detach(struct job *j, const struct job_plan *p, struct err *err)
{
	uint64_t buf[NFT_SIZE / sizeof(uint64_t)];
	const struct net_link *uplink = net_link_at(&j->seen, p->index);
	const struct net_table *mine;
	bool others;
	int rc = job_look_at_tables(j, err);

	if (rc < 0)
		return rc == -EOPNOTSUPP ? 0 : rc; /* then there never was one */
	mine = find_table(j, p, &others);
	if (!mine)
		return 0;
	if (!mine->kept && !others && uplink && uplink->forwards)
		rc = job_gone(forward(j, p->iface, p->index, false, err));
	return rc < 0 ? rc : job_gone(talk_do(&j->nft, nft_del(buf, mine->name), err,
					      "remove the table %s", mine->name));
}
