/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_UNIKERNEL_ORDER_H
#define URUNC_UNIKERNEL_ORDER_H

/*
 * order.h - from what Create has found to the words that a launched process becomes its
 * monitor with. Pure.
 */

#include "journal/base/err.h"
#include "supervisor/bundle/spec.h"
#include "supervisor/unikernel/guest_net.h"

#include <json-c/json.h>

/* Everything is lent. */
struct order_in {
	json_object *unikernel; /* of annotations.h                               */
	json_object *choice;    /* what the steps of these kinds have: rootfs-choice, */
	json_object *launch;    /* launch,                                        */
	json_object *net;       /* network: { "tap", "mac", "mtu", "ip": "a/b", "gateway",
	                           "ip6", "gateway6" };
	                           NULL, or without "tap": none                   */
	const struct spec *spec;
	const char *task; /* "<daemon>/<namespace>/<id>": whose it is, see ORDER_TASK */
};

/* In a monitor's environment, so that it can be known by what it is where its journal is
 * lost: its task, and the network step's have. No guest sees it. */
#define ORDER_TASK    "URUNC_TASK="
#define ORDER_NETWORK "URUNC_NETWORK="

/**
 * order_make() - the order to start, see supervisor/launch/launch.h
 * @ret:	JSON, the caller's to free()
 *
 * Return: 0; -EINVAL, -ENOTSUP, -E2BIG: as guest_cmdline() and launch_argv(); -ENOMEM.
 */
int order_make(char **ret, const struct order_in *in, struct err *err);

/* Before it is launched, when its network is not known yet: as order_make(), and -E2BIG if it
 * would be too long to be told, for its arguments and environment are. */
int order_check(const struct order_in *in, struct err *err);

/* The addresses of such a network, its strings lent by @net or in here: so it can't be
 * copied. -EINVAL: one has no prefix. */
struct order_net {
	struct guest_net net;
	char ip[INET_ADDRSTRLEN], ip6[INET6_ADDRSTRLEN];
};
int order_read_net(struct order_net *ret, json_object *net, struct err *err);

/* Of the spec, or the default. */
int64_t order_memory(const struct spec *spec);
unsigned int order_vcpus(const struct spec *spec);

#endif
