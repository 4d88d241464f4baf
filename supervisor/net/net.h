/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_NET_NET_H
#define URUNC_NET_NET_H

/*
 * net.h - the guest's network: a tap in the pod's network namespace, and two redirects.
 *
 * The guest takes over the pod's interface (eth0): its MAC, and its IPv4 and IPv6
 * addresses and gateways, as far as its type can be told them. What comes in at eth0 goes to the tap, what the guest sends goes out at eth0:
 *
 *	eth0 ingress -- filter --> tap0_urunc --> monitor, guest
 *	eth0  <----- filter -- ingress of tap0_urunc <-- monitor, guest
 *
 * so the pod's own stack hears nothing any more while a guest has it. Several guests of
 * one pod share address and MAC, as processes share them: the first one's filter takes
 * every frame; each further guest gets a copy, by a filter before that, and brings two
 * more: behind it one that drops what nobody has taken, if the first should leave; at
 * the interface's egress one that drops TCP resets and ICMP "unreachable", by which each
 * guest would end the connections of the others. So ports are shared out by who answers,
 * and a closed port is silent.
 *
 * A guest in the mode static has a subnet of its own behind NAT, as urunc gives Knative's
 * guests: tapN_urunc is 172.16.(N+1).1/24, the guest is 172.16.(N+1).2. The pod's own stack
 * hears all it did before, and forwards what the guest sends, by a table of nftables that
 * puts the pod's address on it:
 *
 *	eth0  <--- masquerade --- forwarding --- tap0_urunc <-- monitor, guest
 *
 * Guests of both modes in one pod are refused: -EBUSY. Only a tap that a monitor has open
 * counts, so a guest that is created and not yet started is not seen.
 *
 * The step kind "network" (supervisor/step/network.c) is how to use this:
 *
 *   want { "netns": path; it is preferred, since it may outlive init,
 *          "init": true: without a path the namespace is task->init's,
 *          "mode": "dynamic" | "static" | "none", default dynamic,
 *          "guest","version": the type of unikernel, which says what it can be told, see
 *                  guests.h: -ENOTSUP before anything is made,
 *          "uid","gid": whose the tap is; absent: root's. Who is not root opens it
 *                  only if both are his }
 *   have { "netns": {"dev","ino","mode"}, "mode": as in want,
 *          "iface","ifindex","mac","mtu","ip": "10.4.0.2/24","gateway": "10.4.0.1",
 *          "ip6": "fd00:4::2/64","gateway6": "fd00:4::1",
 *          "tap": "tap0_urunc","tap_index","alias": "urunc:<daemon>/<ns>/<id>",
 *          "cookie","qdisc","slot": how its filters are known, see below,
 *          "kept": true, static: forwarding was on before any of us }
 *     or { "netns", "none": why there is no network }, without "tap"; no error.
 *   What there is none of is absent; "ip" or "ip6" is there. "iface" is the first
 *   interface, by index, that is up, not lo and no tap of ours, and has an IPv4 address
 *   and default route; else an IPv6 address and default route. Without any default route
 *   it is the first one that has an address; so it is if none has both. Of several addresses of a family, the first
 *   one that is not lent by a router for a while.
 *
 * A monitor opens the tap by name, in that namespace: TUNSETIFF with IFF_TAP |
 * IFF_NO_PI, and IFF_VNET_HDR if it likes; IFF_ONE_QUEUE is without effect today.
 *
 * Identities. The namespace: device and inode. The tap: its index and its alias, both in
 * that namespace; a tap is born with neither, but also not persistent, so that it dies
 * with the child that makes it; only then it is made to stay. A filter: the cookie of its
 * action, 16 bytes that the kernel keeps and shows: "urnc", and 12 random ones. The ingress
 * qdisc of the pod's interface: the cookie of who made it, from its birth on, in its table
 * of packet sizes, which no packet ever meets there; one without is somebody else's. It is
 * removed when it is empty, by who is the last of us in it. A table of nftables: the cookie
 * in its userdata; its name has it too, and its comment is the alias. Chain and rule are
 * born with it and go with it.
 *
 * The pod's forwarding, of that one interface, is a switch and carries no name. Who finds
 * it off writes that down, in the row and in its table, and switches it on last, when the
 * table is there; who comes later takes the note over; the last of us to leave switches it
 * back by its note, before its table goes. Without a table of ours it is not touched.
 *
 * The functions here are the jobs of node.h. Each runs in a child and enters the
 * namespace, so that nothing else of us ever does. Two of them in one namespace
 * take turns (flock on its file), unless somebody in there keeps it for 2 s. They block
 * for some netlink questions, a few ms.
 * Errors: a negative errno, which becomes the child's exit code, and the sentence.
 */

#include "journal/base/err.h"

#include <json-c/json.h>

/**
 * net_look() - what is there, and what would we make?  Reads only.
 * @args:	{ "mode", "path": of the namespace, "pid","start": only if /proc/PID/ns/net of that
 *		very process is meant, "netns": {"dev","ino"}: the one it has to be }
 *
 * Prints as JSON: netns, and iface ... gateway, "tap": the first free tapN_urunc,
 * "slot": N, "qdisc": "made" if there is no ingress qdisc on iface, "joined" if it has
 * filters of ours, "found" if it has none. Or netns and "none". Static: no "qdisc", but
 * "kept"; "ip" and "gateway" are the guest's.
 *
 * Return: 0; -ENOENT no such namespace, or process; -ESTALE another one; -EBUSY the
 * interface's ingress is somebody else's (who, and what to do about it), or a living guest
 * of the other mode is in the pod. Static: -ENOTSUP the pod has no IPv4 address;
 * -EADDRINUSE no subnet is free; -EOPNOTSUPP the kernel has no nftables.
 */
int net_look(json_object *args, struct err *err);

/**
 * net_attach() - make the tap and the redirects
 * @args:	as for net_look(), and all of have; "uid", "gid"
 *
 * One system call an effect, the one that cuts off the pod's own stack last. Prints
 * { "tap_index" }. What fails half way leaves what was made: net_detach() finds it.
 *
 * Return: 0; -EAGAIN the name or the qdisc was taken since the look, and nothing was
 * made: look again; -ENOENT, -ESTALE as above, or iface is another one now; -EBUSY as
 * above; -ENODEV there is no /dev/net/tun; -EOPNOTSUPP the kernel has no such qdisc,
 * filter or action, or nftables.
 */
int net_attach(json_object *args, struct err *err);

/**
 * net_detach() - remove what has the identity in @args, and nothing else
 * @args:	as for net_attach()
 *
 * May be repeated. Prints { "left": [ sentence ] } of what stands under such a name and
 * is not this task's.
 *
 * Return: 0, also if there is nothing; -ENOENT, -ESTALE the namespace is gone: so is
 * what was in it.
 */
int net_detach(json_object *args, struct err *err);

/**
 * net_list() - what others of this trade left in many namespaces.  Reads only.
 * @args:	{ "paths": [ of namespaces ] }
 *
 * urunc's own runtime makes the same names, without alias and cookie. Prints
 * [ { "path", "taps": [ name ], "redirects": [ { "iface", "kind": of the qdisc,
 * "to": a tap's name; "": it is gone } ] } ]: taps of such a name that have no alias and
 * that nobody has open, and redirects to one or to nothing, without a cookie of ours.
 * Only namespaces that have any; one that can't be entered is passed over, and what
 * does not fit into 60 KB is left out.
 */
int net_list(json_object *args, struct err *err);

#endif
