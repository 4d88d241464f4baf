#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The sandbox service, with the test as containerd's controller: a pod's namespaces, its
# containers as members, its end, and the death of its shim.
. "$(dirname "$0")/../lib/suite.sh"
. "$TOP/test/lib/shim.sh"
needs_urunc
urunc_config 'idle_exit_s = 60'
mkdir -p "$T/b"
sink_start || exit 1
ip netns add pod || skip_all "this kernel makes no network namespace"

value()
{
	sed -n "s/^$1=//p"
}

# sandbox ID [field=value ...]: one that runs; sets PID
sandbox()
{
	sandbox_make "$1" && shim_start "$1" || return
	id=$1
	shift
	sandbox_call "$id" CreateSandbox "bundle_path=$T/b/$id" pod.cgroup_parent=/tpods "$@" || return
	PID=$(sandbox_call "$id" StartSandbox | value pid)
}

live()
{
	find "$JOURNAL/live" -name "$1.db" | grep -q .
}

gone()
{
	! live "$1"
}

ended()
{
	no "$1: no process" test -e "/proc/$PID"
	is "" "$(find /sys/fs/cgroup -maxdepth 2 -name tpods)" "$1: no cgroup"
	no "$1: no socket" test -e "$(cat "$T/b/p1.addr")"
	yes "$1: nothing in the journal" until_true 5 gone p1
}

status()
{
	sandbox_call p1 SandboxStatus verbose=1 2>&1
}

shares()
{
	[ "$(readlink "/proc/$PID/ns/$1")" = "$(readlink "/proc/self/ns/$1")" ]
}

# The same for the shim: it is dead, whoever has still to reap it.
shim_dies()
{
	local shim

	shim=$(shim_of p1)
	kill -9 "$shim"
	until_true 5 sh -c "! grep -q '^State:.[^ZX]' /proc/$shim/status"
}

# What has been made for all stays.
sandbox p0 && sandbox_call p0 ShutdownSandbox || exit 1
bundle_remove p0
until_true 5 suite_before

# -- what comes before it
sandbox_make p1
is 0 "$(shim_start p1; echo $?)" "a bundle without config.json is a sandbox's: start serves"
for method in StartSandbox Platform StopSandbox WaitSandbox SandboxStatus PingSandbox SandboxMetrics; do
	like '^error 5 ' "$(sandbox_call p1 $method 2>&1)" "$method of one that was not created is NotFound"
done
like '^error 5 ' "$(sandbox_call p1 CreateSandbox sandbox_id=p2 "bundle_path=$T/b/p1" 2>&1)" \
	"a shim is for its own sandbox"
like '^error 3 .*config.json' "$(shim_call p1 Create "bundle=$T/b/p1" 2>&1)" \
	"a container can't be made of it"
like '^error 12 .*user namespace' "$(sandbox_call p1 CreateSandbox "bundle_path=$T/b/p1" pod.user=0 2>&1)" \
	"a user namespace is refused by name"
like '^error 3 .*kernel.panic' \
	"$(sandbox_call p1 CreateSandbox "bundle_path=$T/b/p1" pod.sysctl=kernel.panic:1 2>&1)" "so is a node's sysctl"
like 'node.s network and in' \
	"$(sandbox_call p1 CreateSandbox "bundle_path=$T/b/p1" netns_path=/n pod.network=2 2>&1)" "so are two networks"
like 'no/such' "$(sandbox_call p1 CreateSandbox "bundle_path=$T/b/p1" netns_path=/no/such 2>&1)" \
	"a network namespace that is not there fails it"
is "" "$(find /sys/fs/cgroup -type d -name p1)" "and leaves no cgroup"

# -- its life
is 0 "$(sandbox_call p1 CreateSandbox "bundle_path=$T/b/p1" netns_path=/run/netns/pod pod.hostname=pod1 \
	pod.cgroup_parent=/tpods pod.sysctl=kernel.shmmni:17; echo $?)" "after that it can be created all the same"
like '^error 6 ' "$(sandbox_call p1 CreateSandbox "bundle_path=$T/b/p1" 2>&1)" "once"
is SANDBOX_NOTREADY "$(status | value state)" "created, it is not ready"
sandbox_call p1 StartSandbox >"$T/started"
PID=$(value pid <"$T/started")
like '^[1-9]' "$(value created_at.seconds <"$T/started")" "it starts, and says since when it is there"
like '^error 2 ' "$(sandbox_call p1 StartSandbox 2>&1)" "once"
is "SANDBOX_READY $PID" "$(status | value state) $(status | value pid)" "it is ready"
like '"processStatus":"running"' "$(status)" "and tells more when it is asked"
is "linux $(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')" \
	"$(sandbox_call p1 Platform | sed -n 's/^platform.os=//p; s/^platform.architecture=//p' | xargs)" \
	"its platform"
is 0 "$(sandbox_call p1 PingSandbox; echo $?)" "it is there"
like 'pids.current=1$' "$(sandbox_call p1 SandboxMetrics)" "one process is in its cgroup"
like '^error 5 ' "$(sandbox_call p1 PingSandbox sandbox_id=p9 2>&1)" "another is not"
like 'shim_pid=[1-9]' "$(shim_call p1 Connect)" "a restarted containerd finds it"
like '^error 5 ' "$(shim_call p1 Kill signal=9 2>&1)" "but no container of that name"
is pod1 "$(nsenter -t "$PID" -u hostname)" "it has the host name"
is 17 "$(nsenter -t "$PID" -i cat /proc/sys/kernel/shmmni)" "and the sysctl"
is "$(stat -L -c %i /run/netns/pod)" "$(stat -L -c %i "/proc/$PID/ns/net")" "it is in the network that was named"
is "" "$(ls -A "/proc/$PID/root")" "its root is empty"
is 0000000000000000 "$(sed -n 's/^CapBnd:\t//p' "/proc/$PID/status")" "it has no capabilities"
is "/dev/null" "$(find "/proc/$PID/fd" -type l -exec readlink {} + | sort -u)" "and nothing open"
like '^urunc-pause p1 ' "$(tr '\0' ' ' <"/proc/$PID/cmdline")" "and a name of its own"

# -- its containers: by a start, and without one
ANNOTATIONS='"io.kubernetes.cri.sandbox-id": "p1"' bundle_make a sleep 4001
is 0 "$(shim_start a; echo $?)" "a start for a container of it"
is "$(cat "$T/b/p1.addr")" "$(cat "$T/b/a.addr")" "is answered with its address"
bundle_make b sleep 4002
sed -i "s|{ \"type\": \"pid\" }|{ \"type\": \"pid\", \"path\": \"/proc/$PID/ns/pid\" }|" "$T/b/b/config.json"
cp "$T/b/p1.addr" "$T/b/b.addr"
for c in a b; do
	shim_create $c >/dev/null && shim_call $c Start >/dev/null
	yes "a container runs" until_true 5 running "sleep 400$([ $c = a ] && echo 1 || echo 2)"
	yes "with a journal of its own" live $c
done
shim_call b Kill signal=9 >/dev/null
shim_call b Wait >/dev/null
is 0 "$(shim_call b Delete >/dev/null; echo $?)" "one is deleted, and not shut down"
SINIT=$(shim_call a Connect | value task_pid)
for i in 1 2 3; do
	sandbox_call p1 WaitSandbox >"$T/wait$i" &
done
until_true 5 shim_waits p1

# -- its end
is 0 "$(sandbox_call p1 StopSandbox timeout_secs=5; echo $?)" "it stops"
no "its process has ended" test -e "/proc/$PID"
yes "all who wait are told" until_true 5 sh -c "[ \"\$(cat $T/wait? | grep -c '^exit_status=0')\" = 3 ]"
is "SANDBOX_NOTREADY $PID" "$(status | value state) $(status | value pid)" "its status stays"
like '^[1-9]' "$(status | value exited_at.seconds)" "and says when"
is "exit_status=0" "$(sandbox_call p1 WaitSandbox | head -n 1)" "who waits late is told as well"
is 0 "$(sandbox_call p1 StopSandbox; echo $?)" "it may be stopped again"
yes "its container runs on" running 'sleep 4001'
is 0 "$(sandbox_call p1 ShutdownSandbox; echo $?)" "it is shut down"
like '^error 5 ' "$(ttrpc_call "$(cat "$T/b/a.addr")" "$NS" $SANDBOX PingSandbox sandbox_id=p1 2>&1)" \
	"and unknown to the shim"
yes "which serves the container that is left" test -e "/proc/$SINIT"
yes "the deleted one has gone with it" until_true 5 gone b
shim_call a Kill signal=9 >/dev/null
shim_call a Wait >/dev/null
shim_call a Delete >/dev/null
shim_call a Shutdown >/dev/null 2>&1
ended "the last container deleted"
no "it needs no delete" live a
shim_delete p1 >/dev/null
for i in p1 a b; do bundle_remove $i; done

# -- in the node's namespaces
sandbox p1 pod.network=2 pod.pid=2 pod.ipc=2
yes "a pod in the node's network" shares net
yes "has the node's name" shares uts
yes "in its pid namespace" shares pid
yes "and its ipc" shares ipc
is 0 "$(sandbox_call p1 ShutdownSandbox; echo $?)" "it is shut down as it runs"
ended "shut down"
bundle_remove p1

# -- one that does not end
sandbox p1
kill -STOP "$PID"
{ sandbox_call p1 StopSandbox timeout_secs=3600; echo "told $?"; } >"$T/patient" &
yes "one that does not listen is asked to end" until_true 5 grep -q '^ShdPnd:.*4...$' "/proc/$PID/status"
is 0 "$(sandbox_call p1 StopSandbox timeout_secs=1; echo $?)" "who has less time has it killed"
yes "who had more is told as well" until_true 5 grep -q '^told 0' "$T/patient"
is "exit_status=137" "$(sandbox_call p1 WaitSandbox | head -n 1)" "which is told"
sandbox_call p1 ShutdownSandbox
ended "killed"
bundle_remove p1

# -- without its shim
sandbox p1
shim_dies
yes "the shim dies, and it lives" test -e "/proc/$PID"
uruncctl recover >/dev/null 2>&1
ended "recovered"
shim_delete p1 >"$T/answer"
is 0 $? "its delete has nothing to do"
bundle_remove p1
sandbox p1
shim_dies
shim_delete p1 >"$T/answer"
is 0 $? "containerd's delete takes another one back"
ended "deleted"
bundle_remove p1
no "no event tells of a sandbox" grep -q p1 "$T/events"
same "$T/before" "the node is what it was"
ip netns del pod
sink_stop
tap_done
