#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What urunc's own shim and runtime leave on a node: `uruncctl doctor` finds it, says what
# is safe to remove, and changes nothing. What is in use, or ours, is not reported.
. "$(dirname "$0")/../lib/ctl.sh"

ROOT=/run/containerd/runc/default

# finding CODE WORDS: one line with both, in the table
finding()
{
	grep "^$1 " "$T/out" | grep -qF -- "$2"
}

# state ID PID BUNDLE [ANNOTATION]: as urunc's runtime writes it
state()
{
	mkdir -p "$ROOT/$1"
	printf '{"ociVersion":"1.1.0","id":"%s","status":"running","pid":%s,"bundle":"%s",%s}\n' \
		"$1" "$2" "$3" "\"annotations\":{\"${4:-com.urunc.unikernel.unikernelType}\":\"unikraft\"}" \
		>"$ROOT/$1/state.json"
}

# pod NAME: a network namespace with eth0, whose other end is here
pod()
{
	ip netns add "$1" && ip link add "p-$1" type veth peer name eth0 netns "$1" &&
		ip -n "$1" link set eth0 up
}

# upstream POD: a tap and a redirect, as that runtime makes them
upstream()
{
	ip -n "$1" tuntap add tap0_urunc mode tap && ip -n "$1" link set tap0_urunc up &&
		tc -n "$1" qdisc add dev eth0 ingress &&
		tc -n "$1" filter add dev eth0 parent ffff: protocol all u32 match u8 0 0 \
			action mirred egress redirect dev tap0_urunc
}

# everything that could be changed by looking
picture()
{
	for p in $(ip netns list | awk '{ print $1 }'); do
		ip -n "$p" -o link | sed 's/^[0-9]*: //; s/ qdisc .*//'
		tc -n "$p" qdisc show dev eth0
	done
	find /run/containerd -type f -exec md5sum {} +
	cut -d' ' -f5 /proc/self/mountinfo
}

exits 0 doctor
yes "a node without any of it is healthy" grep -q 'all tasks are healthy' "$T/out"

# -- in pods
pod left && upstream left
pod gone && upstream gone && ip -n gone link del tap0_urunc
pod ours && ip -n ours tuntap add tap0_urunc mode tap &&
	ip -n ours link set tap0_urunc alias urunc:aabbccddeeff/default/c1
pod others && tc -n others qdisc add dev eth0 ingress &&
	tc -n others filter add dev eth0 parent ffff: protocol all u32 match u8 0 0 \
		action mirred egress redirect dev lo
pod used && upstream used
cp "$(command -v sleep)" "$T/qemu-system-x86_64"
ip netns exec used "$T/qemu-system-x86_64" 300 &
used=$!
until_true 10 grep -q qemu-system /proc/$used/comm

exits 1 doctor
yes "a tap that nobody has open is found, by name and place" \
	finding UR016 "tap0_urunc in network namespace /run/netns/left, which nobody has open"
yes "and the command that removes it" \
	finding UR016 "safe: nsenter --net=/run/netns/left ip link del tap0_urunc"
yes "a redirect to it is found" finding UR017 "eth0 in network namespace /run/netns/left goes to tap0_urunc"
yes "and one whose tap is gone" \
	finding UR017 "/run/netns/gone goes to an interface that is gone"
yes "with the command that heals the pod" \
	finding UR017 "safe: nsenter --net=/run/netns/gone tc qdisc del dev eth0 ingress"
yes "a tap in a pod where a monitor runs is to be looked at first" \
	finding UR016 "look first: nsenter --net=/run/netns/used ip link del tap0_urunc"
no "a tap with an alias is not theirs" grep -q netns/ours "$T/out"
no "other people's redirects are none of this" grep -q netns/others "$T/out"

# -- state folders and processes
mkdir -p /run/b/there
state dead 4000000 /run/b/gone
state never -1 /run/b/there
state runc-like 4000000 /run/b/gone some.other.annotation
("$T/qemu-system-x86_64" 301 & echo $! >"$T/orphan")
orphan=$(cat "$T/orphan")
until_true 10 grep -q qemu-system "/proc/$orphan/comm"
"$T/qemu-system-x86_64" 302 &
child=$!
until_true 10 grep -q qemu-system /proc/$child/comm
state orphaned "$orphan" /run/b/gone
state served "$child" /run/b/there
make_task dead default ourtask || exit 1
state ourtask 4000000 /run/b/gone
mkdir -p /run/b/gone2/monRootfs/dev && mount -t tmpfs none /run/b/gone2/monRootfs/dev

picture >"$T/before"
exits 1 doctor
picture >"$T/after"
yes "the doctor changes nothing" cmp "$T/before" "$T/after"
yes "a state whose process is dead and whose bundle is gone is safe to remove" \
	finding UR018 "safe: rm -r $ROOT/dead"
yes "one whose bundle is still there is to be looked at first" \
	finding UR018 "look first: rm -r $ROOT/never"
no "another runtime's state is none of this" grep -q runc-like "$T/out"
yes "a monitor whose shim is dead is found" finding UR019 "look first: kill -KILL $orphan"
no "one that has its parent is in use" grep -q "served" "$T/out"
no "what is in our journal is not theirs" grep -q "state folder $ROOT/ourtask" "$T/out"
yes "a mount of a monitor's root on the host is found" \
	finding UR020 "safe: umount /run/b/gone2/monRootfs/dev"
no "a finding of ours has no such word" grep -q '^UR001 .*safe:' "$T/out"

exits 1 --json doctor
yes "--json says what is safe" python3 -c '
import json, sys
found = json.load(open(sys.argv[1]))["findings"]
safe = { (f["code"], f["safe"]) for f in found }
sys.exit(not { ("UR016", True), ("UR016", False), ("UR018", True), ("UR018", False),
	("UR001", None) } <= safe)' "$T/out"

kill "$used" "$orphan" "$child"
wait 2>/dev/null
umount /run/b/gone2/monRootfs/dev
tap_done
