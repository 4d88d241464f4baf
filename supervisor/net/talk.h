/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_NET_TALK_H
#define URUNC_NET_TALK_H

/*
 * talk.h - a netlink socket in the namespace that the process is in.
 *
 * It blocks until the kernel has answered, which is some microseconds a question.
 */

#include "journal/base/err.h"
#include "supervisor/net/wire.h"

struct net_talk {
	struct mnl_socket *nl;
	int bus;
	uint32_t seq;
};

/* @bus: NETLINK_ROUTE; NETLINK_NETFILTER, for the tables and orders of nft.h. */
int talk_open(struct net_talk *t, int bus, struct err *err);
void talk_close(struct net_talk *t);

/* Everything of the picture but filters; and those of an interface's ingress qdisc, at all
 * of its places. */
int talk_look(struct net_talk *t, struct net_picture *p, struct err *err);
int talk_ingress(struct net_talk *t, struct net_picture *p, int index, struct err *err);
/* The tables of nftables, of IPv4. */
int talk_tables(struct net_talk *t, struct net_picture *p, struct err *err);

/* One order. @what, for the error: "set eth0 up". */
int talk_do(struct net_talk *t, struct nlmsghdr *m, struct err *err, const char *what, ...)
	__attribute__((format(printf, 4, 5)));

#endif
