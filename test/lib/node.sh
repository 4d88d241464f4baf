# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# node.sh - a private node: the machine as the test alone sees it.
#
#	. "$(dirname "$0")/../lib/node.sh"
#	node_enter "$@"
#
# The script is run again inside its own pid, mount, network, UTS, IPC and cgroup
# namespaces, with an empty /run and with all cgroups below one of its own. So
# what a picture shows is the test's work and nobody else's, other tests may run
# beside it, and whatever a failing test leaves dies with the node. Afterwards the
# outer shell asserts that nothing of it stayed on the machine.
#
# NODE_CGROUPS, set before: "unified", the node has cgroup2 alone; "legacy", it has no
# cgroup2 (crun refuses both at once); else what the machine has.
#
# NODE_TAG, a few characters: part of the names of all that is made on the machine.
#
# Set inside: T, a short temporary folder (sockets fit), TMPDIR, and NODE.

TOP=$(cd "$(dirname "$0")/../.." && pwd)
export TOP

# The folders of our own cgroup, one for each hierarchy; cgroup2 below its root.
node_cgroup_parents()
{
	while IFS=: read -r _ ctl path; do
		case $ctl in
		'') awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts ;;
		*)
			dir=$(awk -v c="${ctl#name=}" '$3 == "cgroup" {
				n = split($4, o, ",")
				for (i = 1; i <= n; i++)
					if (o[i] == c || o[i] == "name=" c) { print $2; exit }
			}' /proc/mounts)
			[ -z "$dir" ] || echo "$dir$path"
			;;
		esac
	done </proc/self/cgroup | sed 's|/$||' | sort -u
}

node_cgroup_make()
{
	for p in $(node_cgroup_parents); do
		mkdir "$p/$1" || return 1
		for f in cpuset.mems cpuset.cpus; do
			[ -s "$p/$1/$f" ] || [ ! -e "$p/$f" ] || grep . "$p/$f" 2>/dev/null >"$p/$1/$f"
		done
	done 2>/dev/null
}

# 0 is whoever writes: here a subshell, which has no name for itself.
node_cgroup_join()
{
	for p in $(node_cgroup_parents); do
		echo 0 >"$p/$1/cgroup.procs" || return 1
	done
}

# Our own cgroup2, or nothing.
node_cgroup_unified()
{
	dir=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	[ -z "$dir" ] || echo "$dir$(sed -n 's/^0:://p' /proc/self/cgroup)"
}

node_cgroup_remove()
{
	left=0
	for p in $(node_cgroup_parents); do
		find "$p/$1" -depth -type d -exec rmdir {} + 2>/dev/null
		[ ! -d "$p/$1" ] || left=1
	done
	return $left
}

# In the new namespaces, before the test: our own /run and our own cgroup mounts.
node_set_up()
{
	mount --make-rprivate / || return 1
	# The sources are seen wherever they lie.
	mkdir "$T/top" && mount --rbind "$TOP" "$T/top" || return 1
	for m in /run /var/tmp; do
		mount -t tmpfs -o mode=755 node "$m" || return 1
	done
	[ -d "$TOP" ] || { mkdir -p "$TOP" && mount --rbind "$T/top" "$TOP"; } || return 1
	umount -l "$T/top" && rmdir "$T/top" || return 1
	chmod 1777 /var/tmp
	mkdir -p /run/lock
	# One line a mount: type, options that choose the hierarchy, place.
	awk '($3 == "cgroup" || $3 == "cgroup2") && $2 ~ "^/sys/fs/cgroup" {
		n = split($4, o, ","); s = ""
		for (i = 1; i <= n; i++)
			if (o[i] !~ /^(rw|ro|nosuid|nodev|noexec|relatime|xattr|release_agent=.*)$/)
				s = s (s == "" ? "" : ",") o[i]
		print $3, ($3 == "cgroup2" || s == "" ? "rw" : s), $2 }' /proc/mounts >"$T/cgroups" || return 1
	umount -R /sys/fs/cgroup || return 1
	if [ "${NODE_CGROUPS:-}" = unified ] || grep -q ' /sys/fs/cgroup$' "$T/cgroups"; then
		mount -t cgroup2 cgroup /sys/fs/cgroup || return 1
	else
		# A folder of its own: what a runtime makes beside the mounts is seen too.
		mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup || return 1
		while read -r type opts dir; do
			[ "${NODE_CGROUPS:-}:$type" != legacy:cgroup2 ] || continue
			mkdir "$dir" && mount -t "$type" -o "$opts" cgroup "$dir" || return 1
		done <"$T/cgroups"
	fi
	rm "$T/cgroups"
	ip link set lo up 2>/dev/null
	return 0
}

# The outer shell: run "$0 $@" inside and look afterwards.
node_enter()
{
	[ -z "${NODE:-}" ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		echo "# skip only root can make a private node"
		exit 77
	fi
	T=$(mktemp -d "/tmp/u${NODE_TAG:-}XXXXXX")
	mkdir -m 1777 "$T/tmp"
	NODE=urunc-node-${T#/tmp/u}
	export T NODE TMPDIR="$T/tmp"
	trap 'node_end; node_leave 1' INT TERM
	if ! node_cgroup_make "$NODE"; then
		echo "not ok - a cgroup for the private node can be made"
		node_leave 1
	fi
	(
		node_cgroup_join "$NODE" || exit 1
		# shellcheck disable=SC2016 # expanded by the shells inside
		# cgroup2 hands controllers only to children of a cgroup without processes: in
		# what will be the root there is none but below it.
		exec unshare --cgroup sh -c '
			if [ -n "$1" ]; then
				mkdir "$1/node" && echo 0 >"$1/node/cgroup.procs" || exit 1
			fi
			shift
			exec unshare "$@"' sh "$(node_cgroup_unified)" --mount --pid --net --ipc --uts --fork --kill-child \
			--mount-proc sh -c '
			. "$TOP/test/lib/node.sh"
			node_set_up || { echo "not ok - the private node can be set up"; exit 1; }
			"$0" "$@"
			exit $?' "$0" "$@"
	) <&0 &
	# Waited for, not run in front: a trap must not wait for the test.
	child=$!
	wait $child
	node_leave $?
}

# The first process of the node dies with its parent, and all others with it.
node_end()
{
	[ -z "${child:-}" ] || kill -KILL "$child" 2>/dev/null
	wait
}

node_leave()
{
	trap - INT TERM
	rc=$1
	tries=0
	until node_cgroup_remove "$NODE" || [ $tries -ge 50 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
	if [ $tries -ge 50 ]; then
		echo "not ok - no cgroup outlives the private node"
		rc=1
	fi
	if grep -q " $T/" /proc/self/mountinfo; then
		echo "not ok - no mount outlives the private node"
		rc=1
	else
		rm -rf --one-file-system "$T"
	fi
	exit "$rc"
}
