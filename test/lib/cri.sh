# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# cri.sh - a private containerd that serves Kubernetes' interface, and its kubelet: us.
#
#	cri_begin		containerd with CRI and a network, the images, the first picture
#	cri METHOD [FIELDS]	a call, see cri.proto; fields and answer are protoc's text
#	pod NAME [HANDLER]	RunPodSandbox; sets POD and POD_CONFIG
#	pod_end POD		StopPodSandbox, RemovePodSandbox
#	make NAME FIELDS SCRIPT	CreateContainer in POD: a shell with SCRIPT; prints its id
#	start NAME FIELDS SCRIPT	and StartContainer
#	inside ID COMMAND...	ExecSync: prints stdout, returns the exit code
#	stream ID FIELDS SCRIPT	Exec, and what stream.py does with its URL
#	pod_is POD WANT		READY or NOTREADY
#	is_state ID WANT	CREATED, RUNNING, EXITED or UNKNOWN
#	status ID FIELD		another field of ContainerStatus
#
# CRI_SANDBOXER=shim: "main" has its sandboxes from the shim; containerd 2 can.
#
# The runtime handlers: "main", and "set", which has options: from the file
# $T/options.toml (for io.containerd.runc.v2: from the config).

CNI_BIN=$PEERS/root/usr/lib/cni
LOGS=$T/logs

cri_config()
{
	cat >"$CTR_ROOT/config.toml" <<-END
		version = 2
		root = "$CTR_ROOT/root"
		state = "$CTR_ROOT/state"
		disabled_plugins = ["io.containerd.snapshotter.v1.aufs",
			"io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
			"io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp",
			"io.containerd.internal.v1.tracing"]
		[grpc]
		  address = "$CTR_ADDRESS"
		[ttrpc]
		  address = "$CTR_ADDRESS.ttrpc"
		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "docker.io/test/pause:1"
		  disable_apparmor = true
		  restrict_oom_score_adj = true
		  disable_hugetlb_controller = true
		  stream_server_address = "127.0.0.1"
		  stream_server_port = "0"
		[plugins."io.containerd.grpc.v1.cri".cni]
		  bin_dir = "$CNI_BIN"
		  conf_dir = "$CTR_ROOT/net.d"
		[plugins."io.containerd.grpc.v1.cri".containerd]
		  default_runtime_name = "main"
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.main]
		  runtime_type = "$SHIM_RUNTIME"
		  $(cri_sandboxer)
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.set]
		  runtime_type = "$SHIM_RUNTIME"
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.set.options]
	END
	if [ "$SUBJECT" = runc ]; then
		cri_options >>"$CTR_ROOT/config.toml"
	else
		cri_options >"$T/options.toml"
		echo "ConfigPath = \"$T/options.toml\"" >>"$CTR_ROOT/config.toml"
	fi
}

cri_sandboxer()
{
	[ -z "${CRI_SANDBOXER:-}" ] || echo "sandboxer = \"$CRI_SANDBOXER\""
}

# A runtime that says what it was asked for, and all that can be set without systemd
cri_options()
{
	printf '#!/bin/sh\necho "$@" >>%s\nexec runc "$@"\n' "$T/marks" >"$T/marked"
	chmod 755 "$T/marked"
	cat <<-END
		BinaryName = "$T/marked"
		Root = "$T/roots"
		NoPivotRoot = true
		NoNewKeyring = true
		ShimCgroup = "/tshims"
		IoUid = 7
		IoGid = 8
	END
}

# A bridge in the node's own network; nothing leads out of it.
cri_network()
{
	mkdir -p "$CTR_ROOT/net.d"
	cat >"$CTR_ROOT/net.d/10-test.conf" <<-END
		{ "cniVersion": "0.4.0", "name": "test", "type": "bridge", "bridge": "cni0",
		  "ipam": { "type": "host-local", "subnet": "10.99.0.0/24", "dataDir": "$T/ipam" } }
	END
}

cri_begin()
{
	containerd_needs
	"$TOP/test/peers" clients || skip_all "the network plugins and protoc can't be fetched"
	ip link add b0 type bridge && ip link del b0 || skip_all "this kernel has no bridge"
	ip link add v0 type veth peer name v1 && ip link del v0 || skip_all "this kernel has no veth"
	# The plugins remember what they did below this folder.
	mount -t tmpfs -o mode=755 node /var/lib || exit 1
	NS=k8s.io
	CTR_NAMESPACES=$NS
	containerd_use c
	mkdir -p "$CTR_ROOT" "$LOGS"
	cri_config
	cri_network
	containerd_start && image_load || exit 1
	for i in box pause; do
		ctr image tag "test/$i:1" "docker.io/test/$i:1" >/dev/null || exit 1
	done
	until_true 20 cri_ready || exit 1
	pod warm && pod_end "$POD" || { tail -5 $CTR_ROOT/log; exit 1; }
	# The bridge stays, and notices a moment later that nobody is there.
	until_true 5 sh -c 'ip link show cni0 | grep NO-CARRIER'
	until_true 5 suite_before
}

cri_ready()
{
	cri Status | grep -A 1 'type: "NetworkReady"' | grep 'status: true'
}

cri()
{
	local fields method out

	method=$1
	fields=${2:-}
	out=$T/answer.$$
	if ! printf '%s' "$fields" | protoc -I "$TOP/test/lib" --encode="runtime.v1.${method}Request" \
		cri.proto | grpc_call "$CTR_ADDRESS" "/runtime.v1.RuntimeService/$method" >"$out"; then
		cat "$out"
		return 1
	fi
	protoc -I "$TOP/test/lib" --decode="runtime.v1.${method}Response" cri.proto <"$out"
}

# field NAME: of protoc's text, the first
field()
{
	sed -n "s/^ *$1: \"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" | head -n 1
}

pod()
{
	POD_CONFIG="metadata { name: '$1' uid: '$1' namespace: 'test' } hostname: '$1'
		log_directory: '$LOGS' linux { cgroup_parent: '/tpods' }"
	POD=$(cri RunPodSandbox "config { $POD_CONFIG } runtime_handler: '${2:-main}'")
	case $POD in
	pod_sandbox_id:*) POD=$(echo "$POD" | field pod_sandbox_id) ;;
	*) echo "$POD"; return 1 ;;
	esac
}

pod_end()
{
	cri StopPodSandbox "pod_sandbox_id: '$1'" && cri RemovePodSandbox "pod_sandbox_id: '$1'"
}

# What has the value 0 is not on the wire.
pod_is()
{
	local state

	state=$(cri PodSandboxStatus "pod_sandbox_id: '$1'") || return
	state=$(echo "$state" | field state)
	[ "${state:-SANDBOX_READY}" = "SANDBOX_$2" ]
}

make()
{
	local out

	out=$(cri CreateContainer "pod_sandbox_id: '$POD' sandbox_config { $POD_CONFIG }
		config { metadata { name: '$1' } image { image: 'docker.io/test/box:1' }
		log_path: '$1.log' command: '/bin/sh' command: '-c' args: '$3' $2 }") ||
		{ echo "$out"; return 1; }
	echo "$out" | field container_id
}

start()
{
	local id

	id=$(make "$@") || { echo "$id"; return 1; }
	cri StartContainer "container_id: '$id'" && echo "$id"
}

status()
{
	cri ContainerStatus "container_id: '$1'" | field "$2"
}

is_state()
{
	local state

	state=$(cri ContainerStatus "container_id: '$1'") || return
	state=$(echo "$state" | field state)
	[ "${state:-CONTAINER_CREATED}" = "CONTAINER_$2" ]
}

stream()
{
	timeout -k 5 60 python3 "$TOP/test/lib/stream.py" \
		"$(cri Exec "container_id: '$1' $2" | field url)" "$3"
}

inside()
{
	local id out words

	id=$1
	shift
	words=$(printf "cmd: '%s' " "$@")
	out=$(cri ExecSync "container_id: '$id' $words timeout: 20") || { echo "$out"; return 99; }
	# echo would read the backslashes of protoc.
	printf '%b' "$(printf '%s\n' "$out" | sed -n 's/^stdout: "\(.*\)"$/\1/p')"
	out=$(printf '%s\n' "$out" | field exit_code)
	return "${out:-0}"
}

# The lines of a container's log, without time and stream
log_of()
{
	cut -d ' ' -f 4- "$LOGS/$1.log"
}
