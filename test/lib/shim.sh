# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# shim.sh - a shim driven by hand, without containerd: the test is the daemon.
#
#	sink_start			somebody who takes the events
#	bundle_make ID COMMAND...	a bundle below $T/b, with a bind mount as rootfs
#	shim_start ID			prints the socket's path
#	shim_call ID METHOD [field=value ...]
#	shim_create ID [field=value ...]	Create, with the rootfs of the bundle
#	shim_delete ID			the `delete` verb, as containerd calls it
#	sandbox_make ID			a sandbox's bundle, which has no config.json
#	sandbox_call ID METHOD [field=value ...]	of the sandbox service
#	shim_waits ID			a Wait of it is with the shim
#	shim_of ID			its pid, as it says itself
#	shim_quick ID METHOD [field=value ...]	it answers in 100 ms
#
# A shim's address is kept in $T/b/ID.addr.

DAEMON=$T/d.sock
SHIM=${SHIM:-$BUILD/containerd-shim-urunc-v2}
TASK=containerd.task.v2.Task
SANDBOX=containerd.runtime.sandbox.v1.Sandbox

sink_start()
{
	event_sink "$DAEMON.ttrpc" >"$T/events" 2>&1 &
	SINK_PID=$!
	until_true 5 test -S "$DAEMON.ttrpc"
}

sink_stop()
{
	kill "$SINK_PID" 2>/dev/null
	wait "$SINK_PID" 2>/dev/null
	rm -f "$DAEMON.ttrpc" "$T/events"
}

# ["a", "b"] of words; the words of tests hold no quotes and no backslashes
json_words()
{
	local sep w

	printf '['
	sep=
	for w in "$@"; do
		printf '%s"%s"' "$sep" "$w"
		sep=', '
	done
	printf ']'
}

bundle_spec()
{
	local id

	id=$1
	shift
	cat <<-END
		{ "ociVersion": "1.0.2",
		  "process": { "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": $(json_words "$@"),
		    "env": ["PATH=/bin"], "noNewPrivileges": true },
		  "root": { "path": "rootfs" }, "hostname": "$id",
		  "mounts": [ { "destination": "/proc", "type": "proc", "source": "proc" },
		    { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" }${MOUNTS:+, $MOUNTS} ],
		  "annotations": { ${ANNOTATIONS:-} },
		  "linux": { "cgroupsPath": "/$NS/$id", "namespaces": [
		    { "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" },
		    { "type": "network"${NETNS:+, \"path\": \"$NETNS\"} } ] } }
	END
}

bundle_make()
{
	mkdir -p "$T/b/$1/rootfs"
	bundle_spec "$@" >"$T/b/$1/config.json"
	mkfifo -m 700 "$T/b/$1/log"
}

# What containerd gives to every call of the binary.
shim_verb()
{
	(
		cd "$T/b/$2" 2>/dev/null || cd "$T" || exit 1
		TTRPC_ADDRESS=$DAEMON.ttrpc exec timeout -k 1 "${SHIM_TIMEOUT:-20}" "$SHIM" -namespace "$NS" \
			-address "$DAEMON" -publish-binary /bin/false -id "$2" ${3:+-bundle "$3"} "$1" 9>&-
	)
}

shim_start()
{
	# The daemon holds the log open for both; of ours only the newest is.
	[ ! -p "$T/b/$1/log" ] || exec 9<>"$T/b/$1/log"
	shim_verb start "$1" </dev/null >"$T/b/$1.out" 2>&1 || return
	sed 's|^unix://||' "$T/b/$1.out" | tr -d '\n' >"$T/b/$1.addr"
	rm "$T/b/$1.out"
}

# called_by FIELD SERVICE ID METHOD [field=value ...]: FIELD is the service's name for the ID
called_by()
{
	local field service called method

	field=$1
	service=$2
	called=$3
	method=$4
	shift 4
	ttrpc_call --timeout-ms "${CALL_MS:-15000}" "$(cat "$T/b/$called.addr")" "$NS" "$service" \
		"$method" "$field=$called" "$@"
}

shim_call()
{
	called_by id $TASK "$@"
}

sandbox_make()
{
	mkdir -p "$T/b/$1/rootfs"
	mkfifo -m 700 "$T/b/$1/log"
}

sandbox_call()
{
	called_by sandbox_id $SANDBOX "$@"
}

shim_create()
{
	local made

	made=$1
	shift
	shim_call "$made" Create "bundle=$T/b/$made" "rootfs=bind,$PEERS/rootfs,,rbind:ro" "$@"
}

shim_of()
{
	shim_call "$1" Connect | sed -n 's/^shim_pid=//p'
}

# One of five times, for the machine may be busy. A loop that is blocked never does. That
# there is no such task is an answer.
shim_quick()
{
	local i out

	i=0
	while [ $i -lt 5 ]; do
		out=$(CALL_MS=100 shim_call "$@" 2>&1) && return 0
		case $out in "error 5 "*) return 0 ;; esac
		i=$((i + 1))
	done
	echo "$out"
	return 1
}

# A Wait that has been sent: its caller sleeps, and has a connection.
shim_waits()
{
	grep -q 'State:	S' "/proc/$(pgrep -f "Wait id.$1")/status" &&
		[ "$(grep -c "$(cat "$T/b/$1.addr")" /proc/net/unix)" -ge 2 ]
}

shim_delete()
{
	SHIM_TIMEOUT=5 shim_verb delete "$1" "$T/b/$1" </dev/null
}

bundle_remove()
{
	exec 9>&-
	# Whoever follows a bind mount removes what it leads to.
	if mountpoint -q "$T/b/$1/rootfs"; then
		echo "# $1: its rootfs is still mounted"
		return 1
	fi
	rm -rf --one-file-system "$T/b/$1" "$T/b/$1.addr" "$T/b/$1.out"
}

# A whole life: what has been made for all lives stays, and is no leak.
shim_life()
{
	local life

	bundle_make "$1" sleep 1000 &&
		shim_start "$1" &&
		shim_create "$1" >/dev/null &&
		shim_call "$1" Start >/dev/null &&
		shim_call "$1" Kill signal=9 >/dev/null &&
		shim_call "$1" Wait >/dev/null &&
		shim_call "$1" Delete >/dev/null
	life=$?
	shim_call "$1" Shutdown >/dev/null 2>&1
	until_true 5 test ! -S "$(cat "$T/b/$1.addr")"
	shim_delete "$1" >/dev/null 2>&1
	bundle_remove "$1"
	return $life
}
