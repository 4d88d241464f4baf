#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Our ttrpc and the Go one understand each other: our client drives Debian's own
# shim, and its client brings the events to our server.
. "$(dirname "$0")/../lib/node.sh"
SUBJECT=runc
node_enter "$@"
. "$TOP/test/lib/tap.sh"
. "$TOP/test/lib/containerd.sh"

TOOLS=${TOOLS:-$BUILD}
[ -x "$PEERS/bin/containerd-shim-runc-v2" ] || skip_all "build/peers has no Go shim: run test/peers"
[ -x "$TOOLS/ttrpc_call" ] || skip_all "ttrpc_call is not built: run make tools"

# call METHOD field=value...: everything in one line
call()
{
	timeout 20 "$TOOLS/ttrpc_call" "$ADDR" "$NS" containerd.task.v2.Task "$@" 2>&1 | tr '\n' ' '
}

b=$T/b
mkdir -p "$b/rootfs"
cd "$b" || exit 1
runc spec
sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"sleep", "1000"/' config.json
mkfifo log
sleep 1000 <>log &
"$TOOLS/event_sink" "$T/ev" >"$T/events" &
until_true 5 test -S "$T/ev"
ADDR=$(TTRPC_ADDRESS=$T/ev containerd-shim-runc-v2 -namespace "$NS" -id c1 -address "$T/c.sock" start)
like '^unix:///run/containerd/s/' "$ADDR" "the Go shim starts"

like 'error 5 .*not found' "$(call State id=c1)" "NotFound arrives with its text"
like 'error 12 ' "$(call Frobnicate id=c1)" "and so does Unimplemented"
like '^pid=[1-9]' "$(call Create id=c1 bundle="$b" rootfs=bind,"$PEERS/rootfs",,rbind:ro \
	options.binary_name="$PEERS/bin/runc")" "Create takes mounts and options"
like 'status=1 .*exited_at.seconds=-62135596800' "$(call State id=c1)" "State says created, never exited"
call Wait id=c1 >"$T/waited" &
wait=$!
pid=$(call Start id=c1 | sed 's/pid=//; s/ //')
like "processes.0.pid=$pid" "$(call Pids id=c1)" "Pids has it"
like 'stats.type_url=io.containerd.cgroups.v[12].Metrics .*stats.memory.usage' "$(call Stats id=c1)" \
	"Stats is an Any that we can open"
is "" "$(call Kill id=c1 signal=9)" "Kill answers nothing"
wait $wait
like 'exit_status=137' "$(cat "$T/waited")" "Wait was answered when it ended"
like "pid=$pid exit_status=137" "$(call Delete id=c1)" "and Delete says the same"
until_true 5 grep -q /tasks/delete "$T/events"
is "/tasks/create /tasks/start /tasks/exit /tasks/delete " "$(cut -d' ' -f1 "$T/events" | tr '\n' ' ')" \
	"the Go client brought every event to our server"
like "^/tasks/exit ns=$NS container_id=c1 id=c1 pid=$pid exit_status=137" \
	"$(grep /tasks/exit "$T/events")" "with all that is in it"
is "" "$(call Shutdown id=c1)" "Shutdown answers nothing"
yes "and the shim ends" until_true 5 test ! -S "${ADDR#unix://}"
tap_done
