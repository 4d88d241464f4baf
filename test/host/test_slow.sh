#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A machine that is slow: a shim that is stopped, has 1 % of a processor, or a disk whose
# every fsync takes 10 s. State and Connect of every other task answer in 100 ms, and of
# its own within containerd's limits: 2 s for State, 5 s for Connect.
. "$(dirname "$0")/../lib/suite.sh"
. "$TOP/test/lib/shim.sh"
needs_urunc
ROOTFS="rootfs=bind,$PEERS/rootfs,,rbind:ro"
urunc_config
mkdir -p "$T/b"
sink_start || exit 1
yes "one life goes well" shim_life warm
until_true 5 suite_before

runs()
{
	bundle_make "$1" sleep 1000 && shim_start "$1" && shim_create "$1" >/dev/null &&
		shim_call "$1" Start >/dev/null
}

ends()
{
	shim_call "$1" Kill signal=9 >/dev/null
	shim_call "$1" Wait >/dev/null
	shim_call "$1" Delete >/dev/null
	shim_call "$1" Shutdown >/dev/null 2>&1
	until_true 10 test ! -S "$(cat "$T/b/$1.addr")"
	shim_delete "$1" >/dev/null
	bundle_remove "$1"
}

others()
{
	yes "$1: State of another task answers in 100 ms" shim_quick n1 State
	yes "$1: Connect of another task answers in 100 ms" shim_quick n1 Connect
	yes "$1: Stats of another task answers in 100 ms" shim_quick n1 Stats
}

own()
{
	CALL_MS=2000
	yes "$1: State answers in 2 s" shim_call "$2" State
	CALL_MS=5000
	yes "$1: Connect answers in 5 s" shim_call "$2" Connect
	CALL_MS=15000
}

yes "a neighbour runs" runs n1

# ---- stopped ---------------------------------------------------------------------------
yes "a task runs" runs s1
shim=$(shim_of s1)
kill -STOP "$shim"
others "a shim is stopped"
like 'error (4|0 no answer in time)' "$(CALL_MS=300 shim_call s1 State 2>&1)" \
	"who asks the stopped one hears that his deadline is over"
yes "another task lives and ends meanwhile" shim_life s2
kill -CONT "$shim"
own "it goes on" s1
ends s1

# ---- 1 % of a processor -------------------------------------------------------------------
if [ -e /sys/fs/cgroup/cpu/cgroup.procs ]; then
	slow=/sys/fs/cgroup/cpu/slow
	mkdir $slow && echo 100000 >$slow/cpu.cfs_period_us && echo 1000 >$slow/cpu.cfs_quota_us
else
	slow=/sys/fs/cgroup/slow
	echo +cpu >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null
	mkdir $slow && echo '1000 100000' >$slow/cpu.max
fi 2>/dev/null && limited=1 || limited=
if [ -n "$limited" ]; then
	yes "a task runs" runs t1
	echo "$(shim_of t1)" >$slow/cgroup.procs
	others "a shim has 1 % of a processor"
	own "with 1 % of a processor" t1
	shim_call t1 Kill signal=9 >/dev/null
	like 'exit_status=137' "$(shim_call t1 Wait)" "its task can be killed"
	CALL_MS=60000 shim_call t1 Delete >"$T/deleted" 2>&1 &
	delete=$!
	others "a shim with 1 % deletes its task"
	own "while it deletes" t1
	wait $delete
	like 'exit_status=137' "$(cat "$T/deleted")" "with patience it is deleted"
	# What ends now ends at full speed.
	while read -r pid; do
		echo "$pid" >/sys/fs/cgroup/cpu/cgroup.procs 2>/dev/null ||
			echo "$pid" >/sys/fs/cgroup/node/cgroup.procs
	done <$slow/cgroup.procs
	ends t1
	rm "$T/deleted"
else
	echo "# skip no cgroup here limits processor time"
fi
until_true 5 rmdir "$slow" || true

# ---- a disk that takes 10 s for each fsync ----------------------------------------------------
bundle_make d1 sleep 1000
yes "a shim starts" shim_start d1
shim=$(shim_pid d1)
strace -f -qq -o "$T/strace" -e trace=fsync,fdatasync,sync_file_range,syncfs \
	-e inject=fsync,fdatasync,sync_file_range,syncfs:delay_exit=10s -p "$shim" 2>"$T/strace.err" &
strace=$!
yes "every fsync takes 10 s" until_true 5 grep -q '^TracerPid:	[1-9]' "/proc/$shim/status"
CALL_MS=5000
yes "Create does not wait for the disk" shim_call d1 Create "bundle=$T/b/d1" "$ROOTFS"
yes "nor does Start" shim_call d1 Start
others "a disk is slow"
yes "State answers in 100 ms" shim_quick d1 State
yes "Connect answers in 100 ms" shim_quick d1 Connect
process='{"cwd":"/","args":["true"],"env":["PATH=/bin"],"user":{"uid":0,"gid":0}}'
shim_call d1 Exec exec_id=x1 "spec=$process" >/dev/null
yes "an exec does not wait for the disk" shim_call d1 Start exec_id=x1
like 'exit_status=0' "$(shim_call d1 Wait exec_id=x1)" "and its end is told"
yes "nor does Kill" shim_call d1 Kill signal=9
like 'exit_status=137' "$(shim_call d1 Wait)" "nor Wait"
yes "nor does Delete" shim_call d1 Delete
CALL_MS=15000
is "" "$(grep "^$shim .*sync" "$T/strace")" "the shim itself has called no fsync while it served"
kill $strace
wait $strace
ends d1

ends n1
rm -f "$T/strace" "$T/strace.err"
same "$T/before" "nothing is left of all that" 10
sink_stop
tap_done
