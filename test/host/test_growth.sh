#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What goes on for months: nothing grows, neither descriptors nor memory nor the journal;
# and many containers at once leave nothing.
#
# GROWTH_CYCLES, GROWTH_AT_ONCE: how many; the defaults are `make check`'s share.
. "$(dirname "$0")/../lib/suite.sh"
. "$TOP/test/lib/shim.sh"
needs_urunc
CYCLES=${GROWTH_CYCLES:-40}
AT_ONCE=${GROWTH_AT_ONCE:-20}
HISTORY=10
RUNTIME=$BUILD/null_runtime
urunc_config "history_count = $HISTORY"
mkdir -p "$T/b"
sink_start || exit 1
yes "one life goes well" shim_life warm
rm -rf "$JOURNAL/done"
until_true 5 suite_before

# at_most LIMIT GOT SENTENCE
at_most()
{
	yes "$3 ($2, at most $1)" test "$2" -le "$1"
}

# ---- execs in one shim --------------------------------------------------------------------
process='{"cwd":"/","args":["true"],"env":["PATH=/bin"],"user":{"uid":0,"gid":0}}'
one_exec()
{
	shim_call g1 Exec exec_id="$1" "spec=$process" &&
		shim_call g1 Start exec_id="$1" &&
		shim_call g1 Wait exec_id="$1" &&
		shim_call g1 Delete exec_id="$1"
}

execs()
{
	local i

	for i in $(seq "$1" "$2"); do
		one_exec "x$i" >"$T/exec" 2>&1 || { cat "$T/exec"; return 1; }
	done
}

descriptors()
{
	find "/proc/$shim/fd" -mindepth 1 -printf x | wc -c
}

# Its own memory, in KiB, without the pages of files; at rest, when what is free was given back.
memory()
{
	awk '/^Anonymous:/ { print $2 }' "/proc/$shim/smaps_rollup"
}

# But for children that ended: of those the last 320 stay.
rows()
{
	uruncctl show -v g1 2>/dev/null | grep -vc '^child'
}

bytes()
{
	stat -c %s "$JOURNAL"/live/*/*/g1.db* | awk '{ n += $1 } END { print n }'
}

rested()
{
	[ "$(descriptors)" -le "$fds" ] && [ "$(memory)" -le $((kib + 48)) ]
}

bundle_make g1 sleep 1000
shim_start g1 && shim_create g1 >/dev/null && shim_call g1 Start >/dev/null
shim=$(shim_of g1)
half=$((CYCLES / 2))
yes "$half execs go well" execs 1 $half
fds=$(descriptors) kib=$(memory) rows=$(rows)
yes "and as many more" execs $((half + 1)) $((half * 2))
until_true 5 rested
at_most "$fds" "$(descriptors)" "no descriptor is kept for an exec"
at_most $((kib + 48)) "$(memory)" "and no memory, in KiB"
at_most $((rows + 2)) "$(rows)" "nor a row"
at_most 320 "$(uruncctl show -v g1 2>/dev/null | grep -c '^child')" "but of the last children"
at_most 6000000 "$(bytes)" "and the journal is bounded, in bytes"
like 'exit_status=0' "$(one_exec last 2>&1)" "the next one is as good as the first"
shim_call g1 Kill signal=9 >/dev/null
shim_call g1 Wait >/dev/null
shim_call g1 Delete >/dev/null
shim_call g1 Shutdown >/dev/null 2>&1
until_true 5 test ! -S "$(cat "$T/b/g1.addr")"
bundle_remove g1

# ---- whole lives ---------------------------------------------------------------------------
bundle_make g2 sleep 1000
# shellcheck disable=SC2046 # one word a life
if bench_shim "$SHIM" "$RUNTIME" "$DAEMON" "$NS" "$PEERS/rootfs" \
	$(seq "$CYCLES" | sed "s|.*|$T/b/g2|") >"$T/lives" 2>&1; then
	is "$CYCLES" "$(wc -l <"$T/lives")" "$CYCLES lives from Create to Delete go well"
else
	not_ok "$CYCLES lives from Create to Delete go well"
	grep bench_shim: "$T/lives" | sed 's/^/# /'
fi
no_task()
{
	[ -z "$(find "$JOURNAL/live" -name '*.db*')" ]
}
yes "no task is left in the journal" until_true 10 no_task
at_most $((HISTORY + 1)) "$(find "$JOURNAL/done" -type f | wc -l)" "and the history is bounded"
at_most $(((HISTORY + 2) * 200)) "$(du -s --apparent-size -k "$JOURNAL" | cut -f 1)" \
	"in KiB too"
bundle_remove g2

# ---- many at once ----------------------------------------------------------------------------
RUNTIME=runc
urunc_config "history_count = $HISTORY"
mkdir "$T/many"

# each SENTENCE FUNCTION: for all, eight at a time
each()
{
	local i pids

	rm -f "$T/many"/*
	pids=
	for i in $(seq "$AT_ONCE"); do
		{ "$2" "m$i" || echo "m$i" >>"$T/many/bad"; } >"$T/many/$i" 2>&1 &
		pids="$pids $!"
		[ $((i % 8)) -ne 0 ] || { wait $pids; pids=; }
	done
	wait $pids
	is "" "$(cat "$T/many/bad" 2>/dev/null)" "$AT_ONCE at once: $1"
	[ ! -e "$T/many/bad" ] || tail -n 2 "$T/many/$(head -n 1 "$T/many/bad" | tr -d m)" | sed 's/^/# /'
}

made()
{
	bundle_make "$1" sleep 1000 && shim_start "$1" && shim_create "$1" && shim_call "$1" Start
}

execed()
{
	shim_call "$1" Exec exec_id=x "spec=$process" && shim_call "$1" Start exec_id=x &&
		shim_call "$1" Wait exec_id=x | grep -q 'exit_status=0' &&
		shim_call "$1" Delete exec_id=x
}

gone()
{
	shim_call "$1" Kill signal=9 && shim_call "$1" Wait && shim_call "$1" Delete || return
	shim_call "$1" Shutdown
	until_true 10 test ! -S "$(cat "$T/b/$1.addr")"
	shim_delete "$1"
	bundle_remove "$1"
}

each "created and started" made
yes "all of them run" until_true 10 sh -c "[ \$(pgrep -c -f -x 'sleep 1000') = $AT_ONCE ]"
each "a process more in each" execed
each "killed and deleted" gone
rm -rf "$T/many" "$T/lives" "$T/exec" "$JOURNAL/done"
same "$T/before" "nothing is left of all that" 10
sink_stop
tap_done
