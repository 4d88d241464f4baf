/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_UNIKERNEL_GUEST_NET_H
#define URUNC_UNIKERNEL_GUEST_NET_H

/*
 * guest_net.h - the addresses of a guest, and which of them it can be told. Pure.
 */

#include "supervisor/unikernel/guests.h"

#include <netinet/in.h>

/* Can it be told an IPv6 address; and @beside an IPv4 one? */
bool guest_ipv6(const struct guest *guest, const char *version, bool beside);

/* Can it be told of this network at all? -EINVAL: no addresses, or ones that its format
 * can't express; -ENOTSUP: there is only an IPv6 address, and it can be told none. */
int guest_net_check(const struct guest *guest, const struct guest_net *net, struct err *err);

/* "255.255.255.0"; @text has INET_ADDRSTRLEN bytes. */
void net_mask(unsigned int prefix, char *text);

/* It can't reach its IPv4 gateway by the route that its address brings. */
bool net_is_outside(const struct guest_net *net);

#endif
