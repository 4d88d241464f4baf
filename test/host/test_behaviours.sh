#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What containerd and its clients are used to from a shim, call by call; see
# test/behaviours, where each line has a number.
. "$(dirname "$0")/../lib/suite.sh"
. "$TOP/test/lib/shim.sh"
needs_urunc
urunc_config
mkdir -p "$T/b" "$T/rt" "$T/root"
sink_start || exit 1
yes "one life goes well" shim_life warm
mkdir -p "/run/containerd/runc/$NS" "$T/root/$NS"
until_true 5 suite_before

process()
{
	printf '{"cwd":"/","args":%s,"env":["PATH=/bin"],"user":{"uid":0,"gid":0}}' "$(json_words "$@")"
}

descriptors()
{
	find "/proc/$shim/fd" -mindepth 1 -printf x | wc -c
}

no_more_descriptors()
{
	[ "$(descriptors)" -le "$fds" ]
}

value()
{
	printf '%s\n' "$2" | sed -n "s/^$1=//p"
}

finish()
{
	shim_call "$1" Kill signal=9 >/dev/null 2>&1
	shim_call "$1" Wait >/dev/null 2>&1
	shim_call "$1" Delete >/dev/null 2>&1
	shim_call "$1" Shutdown >/dev/null 2>&1
	until_true 10 test ! -S "$(cat "$T/b/$1.addr")"
	shim_delete "$1" >/dev/null
	bundle_remove "$1"
}

gone()
{
	! running "$1"
}

# ---- before there is a task ------------------------------------------------------------------
bundle_make c1 sh -c "trap 'exit 9' 40; while :; do sleep 0.1; done"
shim_start c1
like '^error 5 ' "$(shim_call c1 Pids 2>&1)" "Pids before any Create is NotFound"
shim=$(shim_pid c1)
fds=$(descriptors)
cp "$T/b/c1/config.json" "$T/good.json"
bundle_spec c1 /no/such/program >"$T/b/c1/config.json"
mkfifo "$T/out" "$T/err"
cat "$T/out" >/dev/null &
cat "$T/err" >/dev/null &
like '^error 2 .*no/such/program' "$(shim_create c1 "stdout=$T/out" "stderr=$T/err" 2>&1)" \
	"a program that is not there fails Create, or Start, by name"
yes "a failed Create leaves no descriptor in the shim" until_true 5 no_more_descriptors
no "no exit is told of it" grep -q 'tasks/exit .*c1' "$T/events"
cp "$T/good.json" "$T/b/c1/config.json"

# ---- created, not started ----------------------------------------------------------------------
out=$(shim_create c1)
pid=$(value pid "$out")
yes "Create tells a pid" test "$pid" -gt 0
like 'status=1' "$(shim_call c1 State)" "State is CREATED"
like '^error 2 cannot pause task in created state' "$(shim_call c1 Pause 2>&1)" "it can't be paused"
like '^error 2 cannot resume task in created state' "$(shim_call c1 Resume 2>&1)" "nor resumed"
is "$pid" "$(value pid "$(shim_call c1 Start)")" "Start tells the same pid"
yes "a shell of the container runs" until_true 5 running 'sleep 0.1'

# ---- running --------------------------------------------------------------------------------------
like '^error 2 cannot start a running process' "$(shim_call c1 Start 2>&1)" "it can't be started twice"
out=$(shim_call c1 Shutdown 2>&1)
is "0 " "$? $out" "Shutdown while a task is there is answered and ignored"
like 'status=2' "$(shim_call c1 State)" "the task runs on"
like '^error 5 process does not exist nobody' "$(shim_call c1 State exec_id=nobody 2>&1)" \
	"an unknown exec is NotFound"
two_pids()
{
	[ "$(shim_call c1 Pids | grep -c '^processes[^ ]*pid=')" -eq 2 ]
}
yes "Pids of a shell and its sleep are two" until_true 5 two_pids
yes "one of them is init" sh -c 'printf "%s\n" "$1" | grep -q "pid=$2\$"' - "$(shim_call c1 Pids)" "$pid"
if [ -e "/sys/fs/cgroup/memory/$NS/c1/memory.limit_in_bytes" ]; then
	limit=/sys/fs/cgroup/memory/$NS/c1/memory.limit_in_bytes
else
	limit=/sys/fs/cgroup/$NS/c1/memory.max
fi
yes "Update is taken" shim_call c1 Update 'resources={"memory":{"limit":67108864}}'
is 67108864 "$(cat "$limit")" "and the cgroup has the new limit"

# ---- execs -------------------------------------------------------------------------------------------
yes "an exec is added" shim_call c1 Exec exec_id=x "spec=$(process true)"
like '^error 6 ' "$(shim_call c1 Exec exec_id=x "spec=$(process true)" 2>&1)" \
	"a second one of that id is AlreadyExists"
like '^error 9 ' "$(shim_call c1 Kill exec_id=x signal=9 2>&1)" \
	"one that was not started can't be killed: FailedPrecondition"
out=$(shim_call c1 Delete exec_id=x)
is "0 0" "$(value pid "$out") $(value exit_status "$out")" "one that was not started is deleted with pid 0 and status 0"
shim_call c1 Exec exec_id=x "spec=$(process /no/such/program)" >/dev/null
like '^error 2 OCI runtime exec failed' "$(shim_call c1 Start exec_id=x 2>&1)" \
	"an exec of what is not there fails its Start"
like 'status=1' "$(shim_call c1 State exec_id=x)" "it is still CREATED"
like '^error 2 OCI runtime exec failed' "$(shim_call c1 Start exec_id=x 2>&1)" \
	"a second Start of it fails in the same way, and the shim lives"
yes "and it can be deleted" shim_call c1 Delete exec_id=x
long=$(printf '%020000d' 7)
shim_call c1 Exec exec_id=x "spec=$(process test "$long" = "$long")" >/dev/null
yes "an exec with arguments of 40 kB starts" shim_call c1 Start exec_id=x
like 'exit_status=0' "$(shim_call c1 Wait exec_id=x)" "and gets all of them"
like 'exit_status=0' "$(shim_call c1 Wait exec_id=x)" "Wait may be repeated"
like 'exit_status=0' "$(shim_call c1 Delete exec_id=x)" "Delete tells the same"
mkfifo "$T/held"
(exec cat "$T/held" >"$T/got") &
reader=$!
shim_call c1 Exec exec_id=x "stdout=$T/held" \
	"spec=$(process sh -c 'sleep 8451 & echo drained')" >/dev/null
shim_call c1 Start exec_id=x >/dev/null
like 'exit_status=0' "$(shim_call c1 Wait exec_id=x)" "an exec whose child holds its stdout ends"
yes "and is deleted within 10 s" shim_call c1 Delete exec_id=x
is drained "$(cat "$T/got")" "with its output read"

# ---- waiting, the end -----------------------------------------------------------------------------------
shim_call c1 Wait >"$T/wait1" &
one=$!
shim_call c1 Wait >"$T/wait2" &
two=$!
now=$(date +%s)
yes "a realtime signal is passed on" shim_call c1 Kill signal=40
wait $one
wait $two
like 'exit_status=9' "$(cat "$T/wait1")" "the trap of its number has run"
like 'exit_status=9' "$(cat "$T/wait2")" "and every waiter hears of it"
out=$(shim_call c1 Wait)
like 'exit_status=9' "$out" "and who comes late"
yes "the time of the exit is now" test "$(value exited_at.seconds "$out")" -ge "$((now - 1))"
yes "what an exec left behind has gone with init" until_true 5 gone 'sleep 8451'
kill $reader 2>/dev/null
like '^error 5 process already finished' "$(shim_call c1 Kill signal=9 2>&1)" "it can't be killed any more"
like '^error 2 cannot start a stopped process' "$(shim_call c1 Start 2>&1)" "nor started"
like '^error 2 cannot pause a stopped container' "$(shim_call c1 Pause 2>&1)" "nor paused"
like '^error 2 cannot exec in a stopped state' \
	"$(shim_call c1 Exec exec_id=x "spec=$(process true)" 2>&1)" "nor exec'd into"
like 'exit_status=9' "$(shim_call c1 Delete)" "Delete tells the status"
like '^error 5 container not created' "$(shim_call c1 State 2>&1)" "then it is NotFound"
like '^error 5 ' "$(shim_call c1 Stats 2>&1)" "and has no Stats"
sock=$(cat "$T/b/c1.addr")
finish c1
no "the socket is gone with the shim" test -e "$sock"
is 1 "$(grep -c 'tasks/exit .* id=c1 ' "$T/events")" "exactly one exit of init was told"

# ---- a runtime root of its own, hooks, and a container that goes behind our back ---------------------------
bundle_make c2 sleep 1000
hook=$T/hooked
sed -i "s|\"hostname\"|\"hooks\": { \"prestart\": [ { \"path\": \"/bin/sh\", \"args\": [ \"sh\", \"-c\", \"echo ran >$hook\" ] } ] }, \"hostname\"|" \
	"$T/b/c2/config.json"
shim_start c2
shim_create c2 "options.root=$T/root" >/dev/null
yes "the runtime's state is below the root that was asked for" test -d "$T/root/$NS/c2"
is ran "$(cat "$hook" 2>/dev/null)" "a hook of the spec has run"
shim_call c2 Start >/dev/null
runc --root "$T/root/$NS" delete --force c2
like 'exit_status=137' "$(CALL_MS=2000 shim_call c2 Wait)" \
	"of a container that was deleted behind our back Wait tells within 2 s"
like '^error 5 ' "$(shim_call c2 Kill signal=9 2>&1)" "and Kill is NotFound"
yes "and Delete goes well" shim_call c2 Delete
finish c2

# ---- deleted before its start ------------------------------------------------------------------
bundle_make c3 sleep 1000
shim_start c3
shim_create c3 >/dev/null
shim_call c3 Wait >"$T/wait1" 2>&1 &
one=$!
until_true 5 shim_waits c3
like '^pid=' "$(shim_call c3 Delete)" "what was never started is deleted"
wait $one
like 'exit_status=137' "$(cat "$T/wait1")" "a Wait of what is deleted unstarted is told"
finish c3

# ---- killed between Create and Start; names as long as they get ------------------------
NS_WAS=$NS
NS=$(printf '%076d' 0 | tr 0 n)
id=$(printf '%064d' 0 | tr 0 i)
bundle_make "$id" sleep 1000
yes "a namespace of 76 and an id of 64 bytes fit into a socket's path" shim_start "$id"
pid=$(value pid "$(shim_create "$id")")
kill -9 "$pid"
like 'exit_status=137' "$(CALL_MS=5000 shim_call "$id" Wait)" "an init killed before its start is waited for"
like 'status=3' "$(shim_call "$id" State)" "and is STOPPED"
finish "$id"
find /sys/fs/cgroup -depth -type d -name "$NS" -exec rmdir {} + 2>/dev/null
rmdir "/run/containerd/runc/$NS" 2>/dev/null
NS=$NS_WAS

# ---- without a pid namespace of its own --------------------------------------------------------------------------
for all in '' all=true; do
	bundle_make c4 sh -c 'sleep 8452 & while :; do sleep 0.1; done'
	sed -i 's/{ "type": "pid" }, //' "$T/b/c4/config.json"
	shim_start c4
	shim_create c4 >/dev/null
	shim_call c4 Start >/dev/null
	until_true 5 running 'sleep 8452'
	yes "in the node's pid namespace, Kill $all" shim_call c4 Kill signal=9 $all
	like 'exit_status=137' "$(shim_call c4 Wait)" "init ends"
	yes "and its children with it" until_true 5 gone 'sleep 8452'
	finish c4
done

# ---- an exec that starts while init dies; a checkpoint of what is paused ---------------------------------------------
mkfifo "$T/go"
printf '#!/bin/sh\ncase " $* " in *" exec "*) read -r _ <%s ;; *" checkpoint "*) exit 0 ;; esac\nexec runc "$@"\n' \
	"$T/go" >"$T/rt/held"
chmod 755 "$T/rt/held"
bundle_make c5 sleep 1000
shim_start c5
shim_create c5 "options.binary_name=$T/rt/held" >/dev/null
shim_call c5 Start >/dev/null
yes "a task is paused" shim_call c5 Pause
like '^error 2 cannot pause a paused' "$(shim_call c5 Pause 2>&1)" "and not twice"
like '^error 2 cannot delete a paused process' "$(shim_call c5 Delete 2>&1)" "nor deleted"
mkdir "$T/b/c5/work"
yes "a checkpoint of it is taken" shim_call c5 Checkpoint "path=$T/image"
like 'status=4' "$(shim_call c5 State)" "and it is still PAUSED"
shim_call c5 Resume >/dev/null
shim_call c5 Exec exec_id=x "spec=$(process true)" >/dev/null
shim_call c5 Start exec_id=x >"$T/started" 2>&1 &
start=$!
until_true 5 pgrep -f "$T/rt/held.* exec"
shim_call c5 Kill signal=9 >/dev/null
pid=$(value pid "$(shim_call c5 State)")
until_true 5 test ! -e "/proc/$pid/exe" || true
echo go >"$T/go"
wait $start
like '^error ' "$(cat "$T/started")" "an exec that starts while init dies fails"
like 'status=1' "$(shim_call c5 State exec_id=x)" "it is still CREATED"
like 'exit_status=137' "$(shim_call c5 Wait)" "and nobody waits for ever: init's exit is told"
like 'status=3' "$(shim_call c5 State)" "init is STOPPED"
finish c5

# ---- an exec that is overtaken ----------------------------------------------------------------
# asks METHOD N: somebody does, of exec x of c7, and sleeps until he is answered; there are
# more than N ends of its socket.
asks()
{
	grep -q 'State:	S' "/proc/$(pgrep -f "$1 id.c7 exec_id.x")/status" &&
		[ "$(grep -c "$(cat "$T/b/c7.addr")" /proc/net/unix)" -gt "$2" ]
}
bundle_make c7 sleep 1000
shim_start c7
shim_create c7 >/dev/null
shim_call c7 Start >/dev/null
shim_call c7 Exec exec_id=x "spec=$(process true)" >/dev/null
shim_call c7 Wait exec_id=x >"$T/waited" 2>&1 &
wait=$!
yes "it is waited for" until_true 10 asks Wait 1
shim_call c7 Delete exec_id=x >/dev/null
wait $wait
like '^error 5 process does not exist x' "$(cat "$T/waited")" \
	"who waits for an exec that is deleted before it began is told"
mkfifo "$T/nobody"
shim_call c7 Exec exec_id=x "stdout=$T/nobody" "spec=$(process true)" >/dev/null
shim_call c7 Wait exec_id=x >"$T/waited" 2>&1 &
wait=$!
yes "it is waited for" until_true 10 asks Wait 1
shim_call c7 Start exec_id=x >"$T/started" 2>&1 &
start=$!
yes "and started" until_true 10 asks Start 2
yes "a verdict overtakes an exec that waits for its client" shim_delete c7
wait $wait
like '^error [1-9]|^exit_status=0' "$(cat "$T/waited")" "who waits for it is answered"
wait $start
like '^error [259] ' "$(cat "$T/started")" "and so is who starts it"
bundle_remove c7

# ---- SIGTERM -------------------------------------------------------------------------------------------------------------
bundle_make c6 sleep 1000
shim_start c6
shim_create c6 >/dev/null
shim_call c6 Start >/dev/null
shim=$(shim_of c6)
kill -TERM "$shim"
yes "SIGTERM ends the shim" until_true 5 test ! -e "/proc/$shim"
yes "its container runs on" pid_of 'sleep 1000'
yes "and delete answers" shim_delete c6
no "then the container is gone" running 'sleep 1000'
no "and the socket" test -e "$(cat "$T/b/c6.addr")"
bundle_remove c6

rm -rf "$T/out" "$T/err" "$T/good.json" "$T/held" "$T/got" "$T/go" "$T/started" "$T/waited" "$T/nobody" "$T/wait1" "$T/wait2" \
	"$T/rt" "$T/root" "$T/image" "$hook"
same "$T/before" "nothing is left of all that" 10
sink_stop
tap_done
