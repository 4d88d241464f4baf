#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What uruncctl says about a journal, to people and to programs, changing nothing.
. "$(dirname "$0")/../lib/ctl.sh"

# json MEMBER...: $T/out is one JSON value, in which this expression is true.
json()
{
	python3 -m json.tool "$T/out" >/dev/null &&
		python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); sys.exit(not ('"$1"'))' "$T/out"
}

# -- the command line
exits 2
like "usage: uruncctl" "$(cat "$T/err")" "without a verb the usage goes to stderr"
exits 0 --help
like "journal check" "$(cat "$T/out")" "the usage names every verb"
exits 0 recover --nonsense --help
like "dry-run" "$(cat "$T/out")" "--help wins over what is wrong on the line"
exits 2 recovr
like "did you mean 'uruncctl recover'" "$(cat "$T/err")" "a misspelt verb is understood"
exits 2 jornal
like "did you mean 'uruncctl journal check'" "$(cat "$T/err")" "half of a misspelt verb, too"
exits 16 recover --forgoten
like "did you mean --forgotten" "$(cat "$T/err")" "a misspelt option is understood"
exits 2 ps --boot
exits 2 ps c1
exits 2 show
exits 0 -V
like "^uruncctl " "$(cat "$T/out")" "-V prints the version"
exits 0 help journal check
exits 0 states
exits 0 states --mdoc

# -- nothing
for verb in recover ps doctor "journal check"; do
	# shellcheck disable=SC2086 # a verb of two words
	exits 0 $verb
	is 1 "$(wc -l <"$T/out")" "$verb says in one line that there is nothing"
	like "config from URUNC_CONFIG: $T/" "$(cat "$T/err")" "$verb says whose config it reads"
	# shellcheck disable=SC2086
	exits 0 --json $verb
	yes "$verb --json is one JSON value" json True
done
yes "reading makes no journal" test ! -e "$T/journal"
printf 'journal = 5\n' >"$T/bad.toml"
URUNC_CONFIG=$T/bad.toml exits 8 recover
like "bad.toml" "$(cat "$T/err")" "a broken config is named"
URUNC_CONFIG=$T/bad.toml exits 2 ps

# -- tasks
make_task dead default c1 || exit 1
make_task stuck default c2
make_task boot k8s.io c1
make_task 'done' k8s.io old
make_task dead k8s.io 0123456789abcdef0123456789abcdef
before=$(ctl_sums)

exits 1 ps
yes "the columns of ps stand below their heads" aligned "$T/out"
is "TASK                                     STATE    SHIM          INIT          EXIT  AGE  NOTE
default/c1                               created  4194303 gone  4194303 gone  -     0s   its shim is dead
default/c2                               stuck    4194303 gone  4194303 gone  -     0s   unmount rootfs: Device or resource busy
k8s.io/0123456789abcdef0123456789abcdef  created  4194303 gone  4194303 gone  -     0s   its shim is dead
k8s.io/c1                                created  4194303 gone  4194303 gone  -     0s   its shim is dead" \
	"$(sed 's/ [0-9]*s  / 0s  /' "$T/out")" "ps prints what it always printed"
like "4 of 4 tasks need a look" "$(cat "$T/err")" "ps says what to type next"
exits 1 ps --all
like "k8s.io/old .* 42 " "$(cat "$T/out")" "ps --all has the exit status of what is gone"
exits 1 ps --all --json
yes "ps --json has every task" json '[t["id"] for t in d["tasks"]].count("c1") == 2 and len(d["tasks"]) == 5'
yes "ps --json knows the dead" json 'all(t["shim"]["alive"] is False for t in d["tasks"] if t["live"])'
no "no colours in a pipe" grep -q "$(printf '\033')" "$T/out"

exits 2 show c1
like "default/c1, .*k8s.io/c1; say which" "$(cat "$T/err")" "a name of two tasks lists both"
exits 16 recover c1
like "default/c1, .*k8s.io/c1; say which" "$(cat "$T/err")" "recover touches neither of them"
exits 2 show 0123456789
like "did you mean .*/k8s.io/0123456789abcdef0123456789abcdef" "$(cat "$T/err")" "a cut id is understood"
exits 2 show default/nobody
exits 1 show default/c1
like "run 1 serve: done" "$(cat "$T/out")" "show has the runs"
like "address +done, on the host: present" "$(cat "$T/out")" "show says what stands on the host"
like "creating.*created" "$(tr '\n' ' ' <"$T/out")" "show has the history"
exits 1 show default/c1 --json
yes "show --json has want as JSON" json 'd["runs"][0]["steps"][0]["want"]["path"].endswith("/address")'
daemon=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["task"]["daemon"])' "$T/out")
exits 1 show "$daemon/default/c2"
like "stuck" "$(cat "$T/out")" "the full name works as well"
exits 0 show old
like "in the history" "$(cat "$T/out")" "show finds a task in the history"

exits 1 doctor
yes "the columns of doctor stand below their heads" aligned "$T/out"
like "^UR[0-9]{3} .*default/c1 .*uruncctl recover" "$(cat "$T/out")" "a finding has a code and a fix"
exits 1 doctor --json
yes "doctor --json has the findings" json 'all(f["code"].startswith("UR") for f in d["findings"])'
is "$(grep -o '"UR[0-9]*", "[a-z-]*"' "$TOP/supervisor/engine/doctor.c" | tr -d '",')" \
	"$(sed -n 's/^\.It Sy \(UR[0-9]* [a-z-]*\)$/\1/p' "$TOP/man/uruncctl.8")" \
	"the manual has every code that doctor knows, and no other"
exits 0 journal check
like "all files are whole .5." "$(cat "$T/out")" "journal check counts live and history"
is "$before" "$(ctl_sums)" "none of this changed a byte"

# -- what is installed
mkdir "$T/units"
for u in "$TOP"/dist/*.service "$TOP"/dist/*.timer; do
	sed "s|@BINDIR@|$BUILD|" "$u" >"$T/units/${u##*/}"
done
if command -v systemd-analyze >/dev/null; then
	yes "systemd finds nothing wrong with the units" \
		timeout 30 systemd-analyze verify --man=no "$T/units"/*
else
	ok "systemd finds nothing wrong with the units # skip no systemd-analyze here"
fi
cat >"$T/complete" <<'END'
PATH=$1:$PATH
. "$2"
COMP_WORDS=(uruncctl recover --f) COMP_CWORD=2
_uruncctl
echo "${COMPREPLY[*]}"
END
is "--forgotten" "$(bash "$T/complete" "$BUILD" "$TOP/dist/uruncctl.bash")" \
	"the shell completes an option"

# -- a terminal, and a full disk
# term WORDS...: what uruncctl prints on a terminal, both streams.
term()
{
	TERM=xterm script -qec "$CTL $*" /dev/null </dev/null | tr -d '\r'
}
esc=$(printf '\033')
term ps >"$T/term"
yes "a terminal gets colours" grep -q "$esc\[31m" "$T/term"
NO_COLOR=1 term ps >"$T/term"
no "but not if NO_COLOR is set" grep -q "$esc" "$T/term"
term ps --no-color >"$T/term"
no "nor with --no-color" grep -q "$esc" "$T/term"
term recover --dry-run --no-color >"$T/term"
yes "recover shows its progress" grep -q "recover: 4 of 4, k8s.io/c1" "$T/term"
yes "and erases it before the table" grep -q "$esc\[KTASK " "$T/term"
"$CTL" ps >/dev/full 2>"$T/err"
is 2 $? "an answer that could not be written is no answer"
like "No space left on device" "$(cat "$T/err")" "and the reason is given"

# -- what can't be read
make_task torn default torn
make_task newer default newer
exits 1 journal check
yes "the columns of journal check stand below their heads" aligned "$T/out"
like "default/torn .* torn .*uruncctl recover" "$(cat "$T/out")" "a damaged file is reported with the fix"
like "default/newer .* newer " "$(cat "$T/out")" "so is one of a later version"
exits 1 journal check --json
yes "journal check --json tells them apart" \
	json '{"torn", "newer", "whole"} == {f["found"] for f in d["files"]}'
exits 1 ps
yes "ps still prints the others" grep -q "^default/c1 " "$T/out"
tap_done
