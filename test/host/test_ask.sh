#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A real containerd answers what we ask it; Debian's own shim runs the task.
. "$(dirname "$0")/../lib/node.sh"
SUBJECT=runc
node_enter "$@"
. "$TOP/test/lib/tap.sh"
. "$TOP/test/lib/containerd.sh"

[ -x "$PEERS/bin/containerd" ] || skip_all "build/peers has no containerd: run test/peers"
ASK=${ASK:-$BUILD/ask}
[ -x "$ASK" ] || skip_all "build/$MODE/ask is not built: run make tools"

# ask NAMESPACE ID: everything in one line
ask()
{
	timeout 20 "$ASK" "$CTR_ADDRESS" "$@" 2>&1 | tr '\n' ' '
}

if containerd_start; then ok "containerd is up"; else not_ok "containerd is up"; fi
image_load
is "not known no container " "$(ask "$NS" c1)" "what was never made is not known"
is "not known no container " "$(ask other c1)" "nor in a namespace that never was"
like "failed precondition|invalid" "$(ask 'no/good' c1)" "a bad namespace is an error"

run c1 --label fruit=pear --detach -- sleep 1000 >/dev/null
pid=$(ctr task ls | awk '$1 == "c1" { print $2 }')
like "^known $pid 2 .*label fruit=pear" "$(ask "$NS" c1)" "a running task is known, with pid and labels"
is "not known no container " "$(ask other c1)" "and not in another namespace"
ctr task kill -s KILL c1
until_true 10 task_is c1 STOPPED
like "^known $pid 3 " "$(ask "$NS" c1)" "a stopped task is known"
ctr task rm c1 >/dev/null 2>&1
like "^not known label .*fruit=pear" "$(ask "$NS" c1)" "a container without a task is not a task"
ctr container rm c1
is "not known no container " "$(ask "$NS" c1)" "a container that was removed is not known"

kill -STOP "$CTR_PID"
like "no answer in time" "$(ask "$NS" c1)" "a containerd that hangs is an error"
kill -CONT "$CTR_PID"
containerd_stop KILL
like "Connection refused" "$(ask "$NS" c1)" "a containerd that is dead is an error"
rm -f "$CTR_ADDRESS"
like "No such file" "$(ask "$NS" c1)" "and so is one that left no socket"
tap_done
