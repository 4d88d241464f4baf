#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One shim for several tasks: who joins it, who leaves it, and what of it dies.
. "$(dirname "$0")/../lib/suite.sh"
. "$TOP/test/lib/shim.sh"
needs_urunc
urunc_config 'idle_exit_s = 1'
mkdir -p "$T/b"
sink_start || exit 1

# member GROUP ID SECONDS: a bundle, and its start
member()
{
	ANNOTATIONS="\"io.kubernetes.cri.sandbox-id\": \"$1\"" bundle_make "$2" sleep "$3"
	shim_start "$2"
}

# The same up to a task that runs.
begin()
{
	member "$@" && shim_create "$2" >/dev/null && shim_call "$2" Start >/dev/null
}

end()
{
	shim_call "$1" Kill signal=9 >/dev/null
	shim_call "$1" Wait >/dev/null
	shim_call "$1" Delete >/dev/null
	shim_call "$1" Shutdown >/dev/null 2>&1
}

live()
{
	[ -n "$(find "$JOURNAL/live" -name "$1.db" 2>/dev/null)" ]
}

nothing_lives()
{
	[ -z "$(find "$JOURNAL/live" -name '*.db')" ]
}

gone()
{
	! live "$1"
}

# The shim that holds a task, whichever it was started for.
served_by()
{
	uruncctl ps -q 2>/dev/null | awk -v t="$NS/$1" '$1 == t { print $3 }'
}

addr()
{
	cat "$T/b/$1.addr"
}

answers()
{
	[ "$(shim_call "$1" Connect 2>&1 | grep -c "$2")" = 1 ]
}

# -- who joins
begin g a1 3001
begin g a2 3002
shim=$(served_by a1)
is "$(addr a1)" "$(addr a2)" "a second start of a group prints the first one's address"
is "unix://$(addr a1)" "$(cat "$T/b/a2/address")" "which is in its own address file"
hash=$(printf %s "$DAEMON/$NS/g" | sha256sum | cut -d' ' -f1)
is "/run/containerd/s/$hash" "$(addr a1)" "and is named by the group"
is "$shim" "$(served_by a2)" "one shim has both"
like '^group: g$' "$(uruncctl show -q t1/a2 2>/dev/null | awk '$1 == "group" { print "group: " $2 }')" \
	"the second one's journal names the group"
yes "a third process was not left behind" \
	until_true 5 sh -c "[ \$(pgrep -cx '$(basename "$SHIM" | cut -c1-15)') = 1 ]"
yes "the first one runs" pid_of 'sleep 3001'
yes "and the second" pid_of 'sleep 3002'
ANNOTATIONS='"io.containerd.runc.v2.group": "g", "io.kubernetes.cri.sandbox-id": "h"' \
	bundle_make a3 sleep 3003
yes "runc's own annotation comes first" shim_start a3
is "$(addr a1)" "$(addr a3)" "and leads to the same shim"
is "unix://$(addr a3)" "$(shim_verb start a3 </dev/null 2>&1)" "a start said twice is one task"
like '^error 5 ' "$(shim_call a3 Connect 2>&1)" "that is not created yet"

# -- who leaves
yes "Shutdown of a task that is none is answered" \
	ttrpc_call "$(addr a1)" "$NS" $TASK Shutdown id=nobody
shim_call a3 Shutdown >/dev/null
yes "one that was never created leaves" until_true 5 gone a3
no "with its address file" test -e "$T/b/a3/address"
end a1
yes "and so does the first, when it is deleted" until_true 5 gone a1
like '^error 5 ' "$(CALL_MS=2000 ttrpc_call "$(addr a2)" "$NS" $TASK State id=a1 2>&1)" "the shim knows it no more"
is "$shim" "$(served_by a2)" "it serves on"
yes "on the same socket" test -S "$(addr a2)"
yes "for what runs" running 'sleep 3002'
is 0 "$(find "/proc/$shim/fd" -lname '*/a1.*' | wc -l)" "and holds nothing of the deleted one's journal"
bundle_remove a1
bundle_remove a3
begin g a1 3011
is "$shim" "$(served_by a1)" "a new one of that name joins it again"
for i in 1 2 3 4 5; do
	member g a7 3007 && shim_create a7 >/dev/null && shim_call a7 Start >/dev/null ||
		not_ok "life $i of one id begins"
	end a7
	bundle_remove a7
done
ok "lives of one id may follow each other at once"
member g a4 3004
yes "who joined and does not come leaves by itself" until_true 10 gone a4
bundle_remove a4

# -- a task that no start was called for: a pod's, whose shim is known
bundle_make a5 sleep 3005
addr a1 >"$T/b/a5.addr"
yes "Create makes a member where there is none" shim_create a5
is "$shim" "$(served_by a5)" "of the shim that was asked"
end a5
yes "and it leaves like the others" until_true 5 gone a5
bundle_remove a5

# -- `delete` of one
SHIM_TIMEOUT=5 shim_verb delete a1 "$T/b/a1" </dev/null >"$T/answer"
is 0 $? "delete of one of two succeeds"
yes "and it is gone" until_true 5 gone a1
no "with its workload" running 'sleep 3011'
yes "the other runs on" running 'sleep 3002'
is "$shim" "$(served_by a2)" "in the same shim"
bundle_remove a1

# -- a shim that hangs
begin g a1 3021
init=$(uruncctl ps -q | awk '$1 == "t1/a2" { print $4 }')
kill -STOP "$shim"
shim_delete a1 >"$T/answer"
is 0 $? "delete of one of two, where the shim hangs, succeeds"
yes "the shim is not killed for it" test -e "/proc/$shim"
yes "nor is the other" test -e "/proc/$init"
yes "its own workload is" until_true 5 test -z "$(running 'sleep 3021' && echo runs)"
ANNOTATIONS='"io.kubernetes.cri.sandbox-id": "g"' bundle_make a6 sleep 3006
out=$(shim_verb start a6 </dev/null 2>&1)
is 1 $? "a start in its group fails"
like 'no answer in time' "$out" "and says why"
yes "without a trace" gone a6
kill -CONT "$shim"
yes "awake, it lets go of the first" until_true 5 gone a1
is "$shim" "$(served_by a2)" "and goes on with the second"
yes "a start joins it again" shim_start a6
is "$shim" "$(served_by a6)" "as before"
shim_call a6 Shutdown >/dev/null
until_true 5 gone a6
bundle_remove a1
bundle_remove a6

# -- the same id in another bundle
begin g a1 3031
umount -l "$T/b/a1/rootfs"
mv "$T/b/a1" "$T/b/old"
member g a1 3032
is 0 $? "a start in another bundle of one id succeeds"
no "the forgotten one's workload is gone" running 'sleep 3031'
is "$shim" "$(served_by a2)" "and the other task has its shim"
is "$shim" "$(served_by a1)" "which serves the new one"
rm -rf --one-file-system "$T/b/old"

# -- the shim dies; what comes after it shall not end while we look
urunc_config 'idle_exit_s = 60'
shim_create a1 >/dev/null
kill -9 "$shim"
shim_start a1
is 0 $? "a start right after kill -9 succeeds"
yes "another shim answers" test "$shim" != "$(served_by a1)"
shim_delete a2 >"$T/answer"
yes "the dead one's other task is taken back" until_true 10 gone a2
no "with its workload" running 'sleep 3002'
yes "and the new socket is not touched" answers a1 'container not created'
bundle_remove a2
shim_create a1 >/dev/null
for i in 1 2 3 4 5 6 7 8; do
	begin g a2 3042 || not_ok "a start of round $i fails"
	kill -9 "$(served_by a2)"
	shim_start a1 || not_ok "a start after the kill of round $i fails"
	answers a1 'container not created' || not_ok "the shim of round $i does not answer"
	shim_delete a2 >"$T/answer"
	until_true 10 gone a2 || not_ok "the task of round $i stays"
	bundle_remove a2
done
ok "eight times"
shim_call a1 Shutdown >/dev/null
yes "the last one gone, the shim ends" until_true 5 test ! -e "$(addr a1)"
yes "and holds nothing" gone a1
bundle_remove a1

# -- a verdict that comes while Create waits for its client
begin g b1 3051
member g b2 3052
mkfifo "$T/b2.out"
shim_create b2 "stdout=$T/b2.out" >"$T/created" 2>&1 &
made=$!
yes "a Create waits for its client" until_true 5 answers b2 shim_pid
shim_delete b2 >"$T/answer"
is 0 $? "a delete of it succeeds"
wait "$made"
like 'is being released' "$(cat "$T/created")" "its Create is told"
yes "and nothing of it stays" until_true 5 gone b2
bundle_remove b2

# -- one that waits for the end of a task that never began
member g b3 3053
shim_create b3 >/dev/null
shim_call b3 Wait >"$T/waited" 2>&1 &
waits=$!
until_true 5 shim_waits b3
shim_delete b3 >"$T/answer"
yes "a created task is deleted" until_true 5 gone b3
wait "$waits"
like '^exit_status=137' "$(cat "$T/waited")" "who waited for it is answered"
bundle_remove b3

# -- a Create with another bundle
member g b4 3054
bundle_make b5 sleep 3055
like 'not the one that start was given' "$(shim_call b4 Create "bundle=$T/b/b5" 2>&1)" \
	"a Create in another bundle is refused"
addr b4 >"$T/b/b5.addr"
like 'no absolute path' "$(shim_call b5 Create bundle=b5 2>&1)" "and so is one in a relative one"
no "before anything is made" live b5
shim_call b4 Shutdown >/dev/null
yes "the task leaves" until_true 5 gone b4
bundle_remove b4
bundle_remove b5
end b1
yes "and the last" until_true 5 gone b1
bundle_remove b1

# -- all at once
for i in 1 2 3 4 5 6 7 8 9; do
	ANNOTATIONS='"io.kubernetes.cri.sandbox-id": "r"' bundle_make "r$i" sleep 3100
	mkdir "$T/b/r$i.d"
done
starts=
for i in 1 2 3 4 5 6 7 8 9; do
	shim_verb start "r$i" </dev/null >"$T/b/r$i.out" 2>&1 &
	starts="$starts $!"
done
bad=0
for p in $starts; do
	wait "$p" || bad=$((bad + 1))
done
is 0 $bad "nine starts at once succeed"
is 1 "$(sort -u "$T"/b/r?.out | uniq | wc -l)" "with one address"
sed 's|^unix://||' "$T/b/r1.out" | tr -d '\n' >"$T/b/r1.addr"
for i in 2 3 4 5 6 7 8 9; do
	cp "$T/b/r1.addr" "$T/b/r$i.addr"
done
is 1 "$(for i in 1 2 3 4 5 6 7 8 9; do served_by "r$i"; done | sort -u | wc -l)" "and one shim"
kill -TERM "$(served_by r1)"
yes "SIGTERM ends it, for none was created" until_true 5 test ! -e "$(addr r1)"
yes "and takes all of it back" until_true 10 nothing_lives
for i in 1 2 3 4 5 6 7 8 9; do
	rmdir "$T/b/r$i.d"
	bundle_remove "r$i"
done

# -- SIGTERM with a task
begin g a1 3201
begin g a2 3202
end a2
shim=$(served_by a1)
kill -TERM "$shim"
yes "SIGTERM ends a shim with a task" until_true 5 test ! -e "/proc/$shim"
yes "which stays as it is" pid_of 'sleep 3201'
yes "in its journal" live a1
uruncctl recover -q >/dev/null 2>&1
is 1 $? "a recovery takes it back"
no "with its workload" running 'sleep 3201'
no "and the socket" test -e "$(addr a1)"
bundle_remove a1
bundle_remove a2

# -- a shim for each container
urunc_config 'group = "container"'
begin g a1 3301
begin g a2 3302
yes "with group = container each has its own shim" test "$(served_by a1)" != "$(served_by a2)"
like "shim is for task a1, not for a2" \
	"$(ttrpc_call "$(addr a1)" "$NS" $TASK Create id=a2 "bundle=$T/b/a2" 2>&1)" \
	"which serves no other"
end a1
end a2
yes "they end" until_true 5 gone a1
yes "both" until_true 5 gone a2
bundle_remove a1
bundle_remove a2
is 0 "$(find /run/containerd/s -type s | wc -l)" "no socket is left"
tap_done
