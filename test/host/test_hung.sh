#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What may hang for minutes: a runtime, a client that opens no FIFO, a console, an
# unmount, a file system; here all at once. State and Connect of every task answer in
# 100 ms, Wait of what has exited too, and who gave a deadline gets its error. Then each
# of them ends, and nothing is left.
#
# HUNG_UNMOUNT: how many seconds an unmount takes.
. "$(dirname "$0")/../lib/suite.sh"
. "$TOP/test/lib/shim.sh"
needs_urunc
HUNG_UNMOUNT=${HUNG_UNMOUNT:-12}
ROOTFS="rootfs=bind,$PEERS/rootfs,,rbind:ro"
urunc_config 'runtime_timeout_s = 2'
mkdir -p "$T/b" "$T/rt"
sink_start || exit 1
yes "one life goes well" shim_life warm
until_true 5 suite_before

# A runtime that hangs in one of its commands, and is runc in the others.
for cmd in create start delete exec; do
	printf '#!/bin/sh\ncase " $* " in *" %s "*) exec sleep 4321 ;; esac\nexec runc "$@"\n' \
		$cmd >"$T/rt/$cmd"
	chmod 755 "$T/rt/$cmd"
done

tasks=
begin()
{
	tasks="$tasks $1"
	bundle_make "$1" sleep 1000 && shim_start "$1"
}

runs()
{
	begin "$1" && shim_create "$@" >/dev/null && shim_call "$1" Start >/dev/null
}

ends()
{
	shim_call "$1" Kill signal=9 >/dev/null
	shim_call "$1" Wait >/dev/null
}

# hangs SENTENCE ID METHOD [field=value ...]: the caller's half second is over
hangs()
{
	local says

	says=$1
	shift
	like '^error (4 |0 no answer in time)' "$(CALL_MS=500 shim_call "$@" 2>&1)" \
		"$says: the caller hears that his deadline is over"
}

answers()
{
	local like=$1

	shift
	shim_call "$@" 2>&1 | grep -q "$like"
}

runs n1
process='{"cwd":"/","args":["true"],"env":["PATH=/bin"],"user":{"uid":0,"gid":0}}'

# ---- everything hangs ----------------------------------------------------------------------
runs u1
ends u1
strace -f -qq -o "$T/strace" -e trace=umount2 -e inject=umount2:delay_enter="${HUNG_UNMOUNT}s" \
	-p "$(shim_of u1)" 2>"$T/strace.err" &
strace=$!
yes "unmounts are slow" until_true 5 grep -q '^TracerPid:	[1-9]' "/proc/$(shim_of u1)/status"
hangs "an unmount that takes $HUNG_UNMOUNT s" u1 Delete

runs d1 "options.binary_name=$T/rt/delete"
ends d1
hangs "a runtime that hangs in delete" d1 Delete

begin c1
hangs "a runtime that hangs in create" c1 Create "bundle=$T/b/c1" "$ROOTFS" \
	"options.binary_name=$T/rt/create"

begin s1
shim_create s1 "options.binary_name=$T/rt/start" >/dev/null
hangs "a runtime that hangs in start" s1 Start

runs e1 "options.binary_name=$T/rt/exec"
shim_call e1 Exec exec_id=x1 "spec=$process" >/dev/null
hangs "a runtime that hangs in exec" e1 Start exec_id=x1

mkfifo "$T/nobody" "$T/later"
runs e2
shim_call e2 Exec exec_id=x2 "stdout=$T/nobody" "spec=$process" >/dev/null
hangs "an exec whose FIFO nobody opens" e2 Start exec_id=x2
begin p1
hangs "a task whose FIFO nobody opens" p1 Create "bundle=$T/b/p1" "$ROOTFS" \
	"stdout=$T/later" "stderr=$T/later"

begin t1
hangs "a console that nobody accepts" t1 Create "bundle=$T/b/t1" terminal=true "$ROOTFS" \
	"options.binary_name=$T/rt/create"

# Its requests are taken and never answered, so that SIGKILL does not help.
mkdir "$T/frozen"
frozen_fuse "$T/frozen" >"$T/fuse" 2>&1 &
fuse=$!
frozen=
if until_true 5 grep -q mounted "$T/fuse"; then
	begin f1
	CALL_MS=20000 shim_call f1 Create "bundle=$T/b/f1" "rootfs=bind,$T/frozen,,rbind" \
		"options.binary_name=$BUILD/null_runtime" >"$T/f1" 2>&1 &
	frozen=$!
	yes "a look into a frozen rootfs hangs" until_true 5 pgrep -x urunc-look
else
	echo "# skip no FUSE here: $(cat "$T/fuse")"
fi

# ---- and everybody answers -------------------------------------------------------------------
for id in $tasks; do
	yes "State of $id answers in 100 ms" shim_quick "$id" State
	yes "Connect of $id answers in 100 ms" shim_quick "$id" Connect
	yes "Pids of $id answers in 100 ms" shim_quick "$id" Pids
done
yes "State of an exec that hangs, too" shim_quick e1 State exec_id=x1
yes "and of one that waits for its client" shim_quick e2 State exec_id=x2
yes "Wait of what has exited answers while it is deleted" shim_quick d1 Wait
yes "and while it is unmounted" shim_quick u1 Wait
hangs "Wait of what runs" n1 Wait
like '^error 5 ' "$(shim_call c1 Wait 2>&1)" "what is not there yet is waited for by nobody"
like 'status=1' "$(shim_call s1 State)" "what hangs in its start is CREATED"
yes "a new task lives meanwhile" shim_life new

# ---- the ends ------------------------------------------------------------------------------
shim_call s1 Kill signal=9 >/dev/null
shim_call e1 Kill signal=9 >/dev/null
shim_call e2 Kill signal=9 >/dev/null
exec 8<>"$T/later"
yes "when the client comes, the Create goes on to its end" until_true 10 answers status=1 p1 State
ends p1
exec 8>&-
for id in s1 e1 e2; do
	like 'exit_status=137' "$(shim_call $id Wait)" "$id can be killed, whatever hangs"
done
yes "a create that hung is over, and can be tried again" until_true 20 shim_create c1
ends c1
yes "and so is one with a console" until_true 20 shim_create t1
ends t1
yes "what the runtime does not delete is deleted without it" until_true 20 answers '^error 5' d1 State
if [ -n "$frozen" ]; then
	wait $frozen
	like '^pid=[1-9]' "$(cat "$T/f1")" "a Create over a frozen rootfs ends in its time"
	like 'look into the rootfs.*too long' "$(uruncctl show f1 2>&1)" "and says what it did not see"
	ends f1
	hangs "what nobody can end" f1 Delete
	yes "State of f1 still answers" shim_quick f1 State
	yes "Connect of f1 still answers" shim_quick f1 Connect
fi
kill $fuse 2>/dev/null
wait $fuse
umount "$T/frozen" 2>/dev/null
[ -z "$frozen" ] ||
	yes "it is deleted once the file system's server is gone" until_true 20 answers '^error 5' f1 State
yes "a slow unmount ends, and its task is deleted" \
	until_true $((HUNG_UNMOUNT * 2 + 10)) answers '^error 5' u1 State
ends n1
for id in $tasks; do
	shim_call "$id" Delete >/dev/null 2>&1
	shim_call "$id" Shutdown >/dev/null 2>&1
done
for id in $tasks; do
	until_true 10 test ! -S "$(cat "$T/b/$id.addr")"
	shim_delete "$id" >/dev/null
	bundle_remove "$id"
done
wait $strace
rm -rf "$T/rt" "$T/strace" "$T/strace.err" "$T/frozen" "$T/fuse" "$T/f1" "$T/nobody" "$T/later"
same "$T/before" "nothing is left of all that" 10
sink_stop
tap_done
