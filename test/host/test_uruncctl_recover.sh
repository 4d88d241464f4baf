#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# uruncctl recover: what it takes back, what it leaves alone, and its exit status.
. "$(dirname "$0")/../lib/ctl.sh"

address()
{
	echo "$BUNDLES/$1.$2/address"
}

# -- a dry run
make_task dead default c1 || exit 1
make_task half default c2
make_task boot k8s.io c3
before=$(ctl_sums)
exits 1 recover --dry-run
yes "the columns of recover stand below their heads" aligned "$T/out"
is 4 "$(wc -l <"$T/out")" "a dry run names the three tasks"
is "$before" "$(ctl_sums)" "a dry run changes nothing"

# -- one task
exits 1 recover default/c1
no "what the task left is gone" test -e "$(address default c1)"
yes "what others left is not touched" test -e "$(address default c2)"
exits 0 recover default/c1
like "in the history" "$(cat "$T/out")" "a task recovered before is no mistake"
exits 16 recover default/c2 default/nobody
yes "a misspelt name acts on nothing" test -e "$(address default c2)"

# -- all of them
exits 1 recover
yes "the columns stand below their heads again" aligned "$T/out"
no "nothing is left of a task that died half way" test -e "$(address default c2)"
no "nothing is left of a task of an earlier boot" test -e "$(address k8s.io c3)"
exits 0 recover
is "nothing to take back: no task is in the journal" "$(cat "$T/out")" "then there is nothing to do"
exits 0 doctor
exits 0 ps --all
is 4 "$(wc -l <"$T/out")" "the history has all three"

# -- a living shim
mkfifo "$T/hold"
make_task live default alive <"$T/hold" >"$T/ready" &
live=$!
exec 9>"$T/hold"
until_true 10 grep -q ready "$T/ready"
exits 0 doctor
like "all tasks are healthy .1." "$(cat "$T/out")" "doctor finds nothing wrong with it"
make_task dead default dead
exits 1 recover
yes "a living shim is left alone" test -e "$(address default alive)"
no "a dead one beside it is not" test -e "$(address default dead)"
exits 0 recover
is "nothing to take back: 1 task, all healthy" "$(cat "$T/out")" "a healthy task is no work"
exits 0 ps
exec 9>&-
wait $live

# -- the outcome as JSON; damaged and later files
ctl_reset
make_task torn default torn
make_task dead default ok
exits 4 recover --json
yes "recover --json is one JSON value" python3 -m json.tool "$T/out"
like '"result":"done"' "$(cat "$T/out")" "with the result of each task"
like '"result":"left"' "$(cat "$T/out")" "what a damaged file held is not known for sure"
yes "the damaged file is set aside" sh -c 'ls "$1"/journal/torn/*' - "$T"
ctl_reset
make_task newer default newer
make_task dead default ok
ctl recover
status=$?
yes "a file of a later version is no success ($status)" test $status -ge 4
yes "it is left alone" sh -c 'ls "$1"/journal/live/*/default/newer.db' - "$T"
no "and stops nobody else's recovery" test -e "$(address default ok)"

# -- before containerd
ctl_reset
make_task boot default b 3
exits 1 recover --boot
exits 0 recover --boot

# -- two at once
ctl_reset
make_task boot default r 200
timeout 60 "$CTL" recover >"$T/one" 2>&1 &
one=$!
ctl recover
two=$?
wait $one
one=$?
yes "two at once both succeed ($one, $two)" test $((one | two)) -eq 1
exits 0 recover
is 0 "$(find "$BUNDLES" -name address | wc -l)" "and nothing is left"

# -- interrupted
ctl_reset
make_task boot default i 200
timeout -s INT 0.05 "$CTL" recover >"$T/one" 2>&1
ctl recover
yes "an interrupted recovery is gone on with" test $? -le 1
exits 0 recover
is 0 "$(find "$BUNDLES" -name address | wc -l)" "to its end"
is 200 "$(find "$T/journal/done" -name '*.db' | wc -l)" "and every task is in the history once"
tap_done
