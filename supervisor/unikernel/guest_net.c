/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/unikernel/guest_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

static uint32_t mask_of(unsigned int prefix)
{
	return prefix ? UINT32_MAX << (32 - prefix) : 0;
}

void net_mask(unsigned int prefix, char *text)
{
	struct in_addr mask = { .s_addr = htonl(mask_of(prefix)) };

	(void)inet_ntop(AF_INET, &mask, text, INET_ADDRSTRLEN);
}

static bool is_ip6(const char *text)
{
	struct in6_addr a;

	return inet_pton(AF_INET6, text, &a) == 1;
}

static bool is_link_local(const char *text)
{
	struct in6_addr a;

	return inet_pton(AF_INET6, text, &a) == 1 && IN6_IS_ADDR_LINKLOCAL(&a);
}

static int check_ip4(const struct guest_net *net, struct err *err)
{
	struct in_addr a;

	if (!net->ip)
		return 0;
	if (inet_pton(AF_INET, net->ip, &a) != 1 || inet_pton(AF_INET, net->gateway, &a) != 1 ||
	    net->prefix > 32)
		return err_say(err, EINVAL, "%s/%u and the gateway %s are no IPv4 addresses",
			       net->ip, net->prefix, net->gateway);
	return 0;
}

static int check_ip6(const struct guest_net *net, struct err *err)
{
	const char *gateway = net->gateway6 ? net->gateway6 : "";

	if (!net->ip6)
		return 0;
	if (!is_ip6(net->ip6) || (gateway[0] && !is_ip6(gateway)) || net->prefix6 > 128)
		return err_say(err, EINVAL, "%s/%u and the gateway \"%s\" are no IPv6 addresses",
			       net->ip6, net->prefix6, gateway);
	return 0;
}

bool net_is_outside(const struct guest_net *net)
{
	struct in_addr ip = { 0 };
	struct in_addr gateway = { 0 };

	(void)inet_pton(AF_INET, net->ip, &ip);
	(void)inet_pton(AF_INET, net->gateway, &gateway);
	return ((ntohl(ip.s_addr) ^ ntohl(gateway.s_addr)) & mask_of(net->prefix)) != 0;
}

/* ---- what a guest can be told ---------------------------------------------------- */

bool guest_ipv6(const struct guest *guest, const char *version, bool beside)
{
	if (!beside)
		return guest->ipv6;
	return guest->both && atoi(version) >= guest->both_since;
}

int guest_net_check(const struct guest *guest, const struct guest_net *net, struct err *err)
{
	int rc = check_ip4(net, err);

	if (rc == 0)
		rc = check_ip6(net, err);
	if (rc < 0 || net->ip)
		return rc;
	if (!net->ip6)
		return err_say(err, EINVAL, "a network without an address");
	if (!guest->ipv6)
		return err_say(err, ENOTSUP, "a guest of type \"%s\" can't be told an IPv6 address, and "
			       "the pod has no other than %s", guest->name, net->ip6);
	if (guest->no_scope && net->gateway6 && is_link_local(net->gateway6))
		return err_say(err, EINVAL, "a guest of type \"%s\" can't be told the gateway %s, "
			       "which needs an interface's name beside it", guest->name,
			       net->gateway6);
	return 0;
}
