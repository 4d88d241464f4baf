# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# containerd.sh - a private containerd, inside a private node (node.sh).
#
#	containerd_start [NAME]		NAME: another one beside the first
#	containerd_stop [SIGNAL]	the one started last, or named by containerd_use
#	containerd_use NAME
#	image_load			test/box:1 for the namespace NS
#
# Set: CTR_ADDRESS, CTR_ROOT, CTR_PID, NS, JOURNAL, and SHIM_RUNTIME, the name to
# give to ctr. SUBJECT=runc tests Debian's own shim instead of ours: to see what
# these tests say about it. RELEASE=trixie, or sid, takes the containerd and Docker of
# that release of Debian.

MODE=${MODE:-release}
BUILD=${BUILD:-$TOP/build/$MODE}
PEERS=$TOP/build/peers
SUBJECT=${SUBJECT:-urunc}
NS=${NS:-t1}
CTR_NAMESPACES=$NS
SHIM_RUNTIME=io.containerd.$SUBJECT.v2
JOURNAL=$T/journal
export PATH="$BUILD:${RELEASE:+$PEERS/$RELEASE/bin:}$PEERS/bin:$PATH" URUNC_CONFIG="$T/urunc.toml"

# What our programs read, instead of /etc/urunc. $1: more lines.
urunc_config()
{
	cat >"$URUNC_CONFIG" <<-END
		journal = "$JOURNAL"
		run = "$T/run"
		runtime = "${RUNTIME:-runc}"
		${1:-}
	END
}

ctr()
{
	timeout -k 5 "${CTR_TIMEOUT:-60}" ctr --address "$CTR_ADDRESS" --namespace "$NS" "$@"
}

containerd_use()
{
	CTR_NAME=$1
	CTR_ROOT=$T/$1
	CTR_ADDRESS=$CTR_ROOT/c.sock
	CTR_PID=$(cat "$CTR_ROOT/pid" 2>/dev/null)
}

containerd_config()
{
	cat >"$CTR_ROOT/config.toml" <<-END
		version = 2
		root = "$CTR_ROOT/root"
		state = "$CTR_ROOT/state"
		disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.aufs",
			"io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
			"io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp",
			"io.containerd.internal.v1.tracing"]
		[grpc]
		  address = "$CTR_ADDRESS"
		[ttrpc]
		  address = "$CTR_ADDRESS.ttrpc"
	END
}

# daemon_answers SECONDS NAME LOG QUESTION...: or the end of its log is shown
daemon_answers()
{
	local name log seconds

	seconds=$1 name=$2 log=$3
	shift 3
	until_true "$seconds" "$@" && return
	echo "# $name does not come up:"
	tail -n 5 "$log" | sed 's/^/# /'
	return 1
}

# daemon_stop PID SIGNAL
daemon_stop()
{
	kill -"$2" "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	return 0
}

containerd_start()
{
	containerd_use "${1:-${CTR_NAME:-c}}"
	mkdir -p "$CTR_ROOT"
	[ -e "$URUNC_CONFIG" ] || urunc_config
	[ -e "$CTR_ROOT/config.toml" ] || containerd_config
	command containerd -c "$CTR_ROOT/config.toml" >>"$CTR_ROOT/log" 2>&1 </dev/null &
	CTR_PID=$!
	echo "$CTR_PID" >"$CTR_ROOT/pid"
	daemon_answers 60 containerd "$CTR_ROOT/log" ctr version
}

containerd_stop()
{
	daemon_stop "$CTR_PID" "${1:-TERM}"
}

image_load()
{
	ctr image import --snapshotter overlayfs "$PEERS/image.tar" >/dev/null
}

# run ID [ctr options...] -- command...: a container of the test image
run()
{
	local id opts

	id=$1
	shift
	opts=
	while [ "$1" != -- ]; do
		opts="$opts $1"
		shift
	done
	shift
	ctr run --runtime "$SHIM_RUNTIME" $opts test/box:1 "$id" "$@"
}

# The state that containerd reports for a task: RUNNING, STOPPED, ... or nothing.
task_state()
{
	ctr task ls | awk -v id="$1" '$1 == id { print $3 }'
}

task_is()
{
	[ "$(task_state "$1")" = "$2" ]
}

# Delete a task, print its exit status. ctr tells it in a warning only.
task_rm()
{
	local out

	out=$(ctr task rm "$@" 2>&1) || { echo "failed: $out"; return 1; }
	out=$(printf '%s\n' "$out" | sed -n 's/.*exit with non-zero exit code \([0-9]*\).*/\1/p')
	echo "${out:-0}"
}

# running COMMAND LINE: some process has it
running()
{
	local p

	for p in /proc/[0-9]*; do
		[ "$(tr '\0' ' ' <"$p/cmdline" 2>/dev/null)" != "$1 " ] || return 0
	done
	return 1
}

# pid_of COMMAND LINE: of the process that has it, once it has: a Start is answered a moment
# before a runtime's init has become the workload.
pid_of()
{
	until_true 10 running "$1" && pgrep -o -f -x -- "$1"
}

# Take one container down, as an operator would; what is gone already is no error.
task_clean()
{
	ctr task kill -s KILL "$1" 2>/dev/null
	until_true 5 task_gone_or_stopped "$1"
	ctr task rm -f "$1" 2>/dev/null
	ctr container rm "$1" 2>/dev/null
	return 0
}

task_gone_or_stopped()
{
	case $(task_state "$1") in '' | STOPPED) return 0 ;; esac
	return 1
}

# The pid of the shim that serves ID: its command line says so.
shim_pid()
{
	local p

	for p in /proc/[0-9]*; do
		if tr '\0' ' ' <"$p/cmdline" 2>/dev/null | grep -q -- "shim-.* -id $1 "; then
			echo "${p#/proc/}"
			return
		fi
	done
	return 1
}

containerd_needs()
{
	"$TOP/test/peers" || skip_all "containerd and runc can't be fetched"
	[ "$SUBJECT" != urunc ] || [ -x "$BUILD/containerd-shim-urunc-v2" ] ||
		skip_all "build/$MODE/containerd-shim-urunc-v2 is not built"
}
