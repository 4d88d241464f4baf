#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `start`: what it prints, what it leaves behind, and what it does about the past.
. "$(dirname "$0")/../lib/suite.sh"
. "$TOP/test/lib/shim.sh"
needs_urunc
urunc_config 'idle_exit_s = 2'
mkdir -p "$T/b"
sink_start || exit 1

# How many live files a task has.
live()
{
	find "$JOURNAL/live" -name "$1.db" 2>/dev/null | wc -l
}

holds_nothing()
{
	[ "$(live "$1")" = 0 ]
}

# Its core-scheduling cookie, by PR_SCHED_CORE_GET: it is not 0
has_cookie()
{
	python3 -c 'import ctypes, sys
cookie = ctypes.c_ulong()
sys.exit(ctypes.CDLL(None).prctl(62, 0, int(sys.argv[1]), 0, ctypes.byref(cookie)) or not cookie.value)' "$1"
}

# -- the command line
out=$("$SHIM" -namespace "$NS" -id c1 -nonsense start 2>"$T/err")
is 2 $? "an unknown flag exits 2"
is "" "$out" "and prints nothing to standard output"
like 'flag -nonsense is not known' "$(cat "$T/err")" "but names the flag"
like '^usage:' "$(cat "$T/err")" "and the usage"
out=$("$SHIM" -namespace "$NS" -id ../c1 -address "$DAEMON" start </dev/null 2>&1)
is 1 $? "an id that is a path is refused"
like '^io.containerd.urunc.v2: ' "$out" "with a sentence that begins with our name"
out=$("$SHIM" -namespace "" -id c1 -address "$DAEMON" start </dev/null 2>&1)
is 1 $? "and so is an empty namespace"
like 'Version: ' "$("$SHIM" -v)" "-v prints the version"
is 0 $? "and exits 0"

# -- the address
bundle_make c1 sleep 1000
exec 9<>"$T/b/c1/log"
out=$(shim_verb start c1 </dev/null 2>"$T/err")
is 0 $? "start succeeds"
hash=$(printf %s "$DAEMON/$NS/c1" | sha256sum | cut -d' ' -f1)
is "unix:///run/containerd/s/$hash" "$out" "it prints the address that containerd's tests compute"
is "" "$(cat "$T/err")" "and nothing on standard error"
is "$out" "$(cat "$T/b/c1/address")" "which is in the address file too"
is 600 "$(stat -c %a "/run/containerd/s/$hash")" "the socket is for us alone"
is 700 "$(stat -c %a /run/containerd/s)" "and so is its folder"
is 1 "$(live c1)" "the task has its file"
printf %s "/run/containerd/s/$hash" >"$T/b/c1.addr"

# -- the server
shim=$(shim_pid c1)
is / "$(readlink "/proc/$shim/cwd")" "the server stands in /"
is "/dev/null /dev/null /dev/null" \
	"$(readlink "/proc/$shim/fd/0" "/proc/$shim/fd/1" "/proc/$shim/fd/2" | paste -sd " ")" \
	"it holds nothing of the starter's input and output"
is "$shim" "$(awk '{ print $6 }' "/proc/$shim/stat")" "it has a session of its own"
like '^error 5 container not created' "$(shim_call c1 State 2>&1)" "it answers"
# The starter's parent here is timeout(1), and its score is ours.
score=$(($(cat /proc/self/oom_score_adj) + 1))
is $((score > 1000 ? 1000 : score)) "$(cat "/proc/$shim/oom_score_adj")" \
	"the kernel takes it rather than who started it"
is "$out" "$(shim_verb start c1 </dev/null 2>&1)" "a second start in the same bundle adopts it"
is "$shim" "$(shim_pid c1)" "and makes no other"

# -- without a task and a client
yes "idle, it ends" until_true 10 test ! -e "/proc/$shim"
no "its socket is gone" test -e "/run/containerd/s/$hash"
no "and so is the address file" test -e "$T/b/c1/address"
is 0 "$(live c1)" "the task holds nothing any more"
like 't1/c1 ' "$(uruncctl ps -a 2>&1)" "but is remembered"

# -- the past
shim_start c1
old=$(shim_pid c1)
kill_now "$old"
until_true 5 test ! -e "/proc/$old" # one that is dying would be adopted
yes "after a killed shim a start succeeds" shim_start c1
yes "with another shim" test "$old" != "$(shim_pid c1)"
shim_create c1 >/dev/null
shim_call c1 Start >/dev/null
# Started, init is still runc's for a moment.
yes "a task runs" until_true 5 running 'sleep 1000'
old=$(shim_pid c1)
umount -l "$T/b/c1/rootfs"
mv "$T/b/c1" "$T/b/old"
bundle_make c1 sleep 2000
yes "a start in another bundle of this id succeeds" shim_start c1
yes "the forgotten shim is gone" until_true 5 test ! -e "/proc/$old"
no "and its workload too" running 'sleep 1000'
like '^error 5 ' "$(shim_call c1 State 2>&1)" "the new one answers, and knows no task"
shim_call c1 Shutdown >/dev/null
yes "Shutdown ends it" until_true 10 test ! -e "/run/containerd/s/$hash"
rm -rf --one-file-system "$T/b/old"
bundle_remove c1

# -- the tasks of others
shim_start_of()
{
	bundle_make "$1" sleep "$2"
	shim_start "$1"
}
shim_start_of c2 1002
shim_create c2 >/dev/null
shim_call c2 Start >/dev/null
kill_now "$(shim_pid c2)"
shim_start_of c3 1003
yes "a start takes up what a dead shim left" until_true 5 holds_nothing c2
no "its workload is gone" running 'sleep 1002'
shim_call c3 Shutdown >/dev/null
yes "the shim of the other ends" until_true 5 holds_nothing c3
bundle_remove c2
bundle_remove c3

# -- the option shim_cgroup
controller=$(ls -d /sys/fs/cgroup/pids /sys/fs/cgroup/cgroup.procs 2>/dev/null | head -n 1)
[ -d "$controller" ] || controller=${controller%/*}
mkdir "$controller/shims"
bundle_make c4 sleep 1004
name=/shims
printf '\12\32containerd.runc.v1.Options\22\010\032\6%s' "$name" >"$T/options"
exec 9<>"$T/b/c4/log"
shim_verb start c4 <"$T/options" >"$T/b/c4.out"
is 0 $? "start joins the cgroup of the options"
sed 's|^unix://||' "$T/b/c4.out" | tr -d '\n' >"$T/b/c4.addr"
like '/shims$' "$(cat "/proc/$(shim_pid c4)/cgroup")" "and the server is in it"
shim_call c4 Shutdown >/dev/null
yes "that ends too" until_true 5 holds_nothing c4
bundle_remove c4
until_true 5 rmdir "$controller/shims"
bundle_make c5 sleep 1005
out=$(shim_verb start c5 <"$T/options" 2>&1)
is 1 $? "a cgroup that is not there fails the start"
like 'shim_cgroup /shims' "$out" "by name"
is 0 "$(live c5)" "and leaves nothing"
bundle_remove c5

# -- core scheduling: the kernel has it, or says why not
bundle_make c6 sleep 1006
exec 9<>"$T/b/c6/log"
if out=$(export SCHED_CORE=1; shim_verb start c6 2>&1 </dev/null); then
	printf '%s' "${out#unix://}" >"$T/b/c6.addr"
	yes "SCHED_CORE: the server has a cookie" has_cookie "$(shim_pid c6)"
	shim_call c6 Shutdown >/dev/null
	yes "and ends as others do" until_true 5 holds_nothing c6
else
	like 'SCHED_CORE.*(Invalid argument|No such device|not permitted)' "$out" \
		"SCHED_CORE: a kernel without it fails the start"
	is 0 "$(live c6)" "and leaves nothing"
fi
bundle_remove c6

# -- what can't work
mkdir "$T/b/empty"
echo 'not JSON' >"$T/b/empty/config.json"
out=$(shim_verb start empty </dev/null 2>&1)
is 1 $? "a bundle with a broken config.json is refused"
like 'config.json' "$out" "by name"
is 0 "$(live empty)" "and leaves no rows"
echo '{}' >"$T/b/empty/config.json"
mkdir -p "/run/containerd/s/$(printf %s "$DAEMON/$NS/empty" | sha256sum | cut -d' ' -f1)/x"
out=$(shim_verb start empty </dev/null 2>&1)
is 1 $? "a socket's name that is taken by a folder is refused"
is 0 "$(live empty)" "and what was begun is taken back"
no "no server is left" shim_pid empty
sink_stop
tap_done
