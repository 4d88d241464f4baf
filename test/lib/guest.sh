# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# guest.sh - unikernels for the tests: the kernel of test/guest, run by QEMU.
#
#	guest_begin [line of config]	a node without any OCI runtime, and the guest's image
#	guest ID TYPE WORDS [ctr options] -- [arguments]
#		ctr run; WORDS is what the kernel is told to do, by its initrd
#
#	says_itself			it has the annotations of a guest in its urunc.json
#	stay ID [ctr options]		one that stays, detached
#	pod_make			a pod with eth0, and a peer at the other end
#	serve ID N [ctr options]	a guest in the pod that answers N pings; TYPE: its type
#
# Set: GUEST, the folder that becomes its root file system. MONITOR: another than qemu.

KEY=com.urunc.unikernel

# monitor_install NAME: a program of this name, from standard input
monitor_install()
{
	mkdir -p "$T/monitors"
	cat >"$T/monitors/$1"
	chmod 755 "$T/monitors/$1"
}

# root_alone TEXT NAME: a line of it, what `echo /*` says in a monitor's root, names nothing
# but what belongs there. The folders of its programs are shown as well, wherever the
# sources lie.
root_alone()
{
	local line programs=${PEERS#/} tests=${T#/}

	line=$(printf '%s\n' "$1" | grep '^/.* /cntrRootfs ')
	is "rootfs" "${line:+rootfs}$(printf '%s\n' "$line" | tr ' ' '\n' |
		grep -vxE '/(bin|sbin|lib(32|64|x32)?|usr|etc|cntrRootfs|dev|proc|tmp)?' |
		grep -vxF -e "/${programs%%/*}" -e "/${tests%%/*}")" "$2"
}

guest_make()
{
	GUEST=$T/guest
	mkdir -p "$GUEST/my kernels" "$T/monitors"
	"$TOP/test/guest/build" "$GUEST/my kernels/k" || exit 77
	export PATH="$T/monitors:$PATH"
	RUNTIME=there-is-none urunc_config "monitor_paths = [\"$PEERS\", \"$T/monitors\"]${1:+
$1}"
}

guest_begin()
{
	needs_urunc
	"$TOP/test/peers" qemu || skip_all "QEMU can't be fetched"
	guest_make "$@"
	containerd_start || exit 1
	guest warm mewz exit=0 --rm >/dev/null || [ $? -eq 1 ] || exit 1
	until_true 5 suite_before
}

guest()
{
	local id type opts

	id=$1
	type=$2
	printf '%s' "$3" >"$GUEST/words"
	shift 3
	opts=
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		opts="$opts $1"
		shift
	done
	[ $# -eq 0 ] || shift
	# shellcheck disable=SC2086 # words
	ctr run --runtime "$SHIM_RUNTIME" --rootfs $opts \
		--annotation "$KEY.unikernelType=$type" \
		--annotation "$KEY.hypervisor=${MONITOR:-qemu}" \
		--annotation "$KEY.binary=${KERNEL:-/my kernels/k}" \
		--annotation "$KEY.initrd=${INITRD-/words}" "$GUEST" "$id" "${@:-none}"
}

# The guest's root file system says itself that it is one.
says_itself()
{
	printf '{"%s.unikernelType":"%s","%s.hypervisor":"%s","%s.binary":"%s","%s.initrd":"%s"}' \
		$KEY "$(printf mewz | base64)" $KEY "$(printf qemu | base64)" \
		$KEY "$(printf '/my kernels/k' | base64)" $KEY "$(printf /words | base64)" \
		>"$GUEST/urunc.json"
}

# said ID PATTERN: the guest's console, kept in a file, has it
said()
{
	grep -q "$2" "$T/$1.out"
}

# stay ID [ctr options]: a guest that stays, detached; its console is in $T/ID.out
stay()
{
	local id

	id=$1
	shift
	: >"$T/$id.out"
	guest "$id" mewz spin --detach --log-uri "file://$T/$id.out" "$@" &&
		until_true 20 said "$id" 'words=\[spin\]'
}

task_pid()
{
	ctr task ls | awk -v id="$1" '$1 == id { print $2 }'
}

# A pod with eth0, and a peer at the other end of its cable.
pod_make()
{
	ip netns add pod && ip netns add peer || return 1
	ip link add eth0 netns pod type veth peer name far netns peer || return 1
	ip -n pod addr add 10.4.0.2/24 dev eth0
	ip -n peer addr add 10.4.0.1/24 dev far
	ip -n pod link set eth0 up
	ip -n peer link set far up
	ip -n pod route add default via 10.4.0.1
}

ping_guest()
{
	ip netns exec peer busybox ping -c 1 -W 1 10.4.0.2
}

# What is in the pod, besides counters.
pod_links()
{
	ip netns exec pod cat /proc/sys/net/ipv4/conf/eth0/forwarding
	ip -n pod -o link | sed 's/^[0-9]*: //; s/@.*//; s/:.*//'
	tc -n pod qdisc show | sed 's/^qdisc \([a-z]*\).* dev \([a-z0-9_]*\).*/\1 \2/'
	tc -n pod filter show dev eth0 ingress
}

# Since its links were written to $T/pod.
pod_as_it_was()
{
	pod_links >"$T/now"
	cmp -s "$T/pod" "$T/now"
}

serve()
{
	local id n

	id=$1
	n=$2
	shift 2
	: >"$T/$id.out"
	guest "$id" "${TYPE:-hermit}" "answer=$n" --detach --log-uri "file://$T/$id.out" \
		--with-ns network:/run/netns/pod "$@" && until_true 20 said "$id" 'listens'
}

# ---- a rootfs that is a block device; without containerd --------------------------------

# Before each: what the next bundles say.
disk_begin()
{
	ANNOTATIONS=
	for key in unikernelType=linux hypervisor=qemu "binary=/my kernels/k" mountRootfs=true; do
		ANNOTATIONS="${ANNOTATIONS:+$ANNOTATIONS, }\"$KEY.${key%%=*}\": \"${key#*=}\""
	done
	mkdir -p "$T/b" && sink_start
}

# disk_create ID WORD... : a task whose rootfs is the ext4 of $DISK: device[,,option]
disk_create()
{
	local id

	id=$1
	bundle_make "$@" && shim_start "$id" && shim_call "$id" Create "bundle=$T/b/$id" \
		"rootfs=ext4,$DISK" "stdout=file://$T/$id.out" "stderr=file://$T/$id.out" 2>&1
}

disk_end()
{
	shim_delete "$1" >/dev/null 2>&1
	rm -rf "$T/b" "$T"/*.out
	sink_stop
}
