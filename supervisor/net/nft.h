/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_NET_NFT_H
#define URUNC_NET_NFT_H

/*
 * nft.h - the few messages of nftables that we speak. Pure, as wire.h.
 *
 * A guest behind NAT has one table, of IPv4, that is its own: it is made by one message,
 * with its chain and its rule, or not at all, and it goes as one.
 */

#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#define NFT_SIZE   2048 /* room for any message that is built here */
#define NFT_PREFIX 3    /* bytes of the guest's subnet              */

struct nft_nat {
	const char *table;
	const char *comment;   /* for people; at most 200 bytes of it are kept      */
	const uint8_t *cookie; /* WIRE_COOKIE bytes                                 */
	bool kept;             /* see struct net_table                              */
	uint8_t subnet[NFT_PREFIX]; /* what comes from here                         */
	int out;               /* and leaves at this interface gets its address     */
};
/* -EEXIST there is a table of that name. */
struct nlmsghdr *nft_add(void *buf, const struct nft_nat *nat);
struct nlmsghdr *nft_del(void *buf, const char *table);

/* A question: all tables of IPv4. */
struct nlmsghdr *nft_ask(void *buf);

#endif
