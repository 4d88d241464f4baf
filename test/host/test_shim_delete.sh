#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `delete`: the true exit, in time, whatever is gone.
. "$(dirname "$0")/../lib/suite.sh"
. "$TOP/test/lib/shim.sh"
needs_urunc
urunc_config
mkdir -p "$T/b"
sink_start || exit 1

# The answer's fields, from DeleteResponse: "PID STATUS SECONDS".
decode()
{
	python3 - "$1" <<-'END'
		import sys
		d = open(sys.argv[1], "rb").read()
		def varint(i):
		    v = s = 0
		    while True:
		        v |= (d[i] & 127) << s
		        s += 7
		        i += 1
		        if d[i - 1] < 128:
		            return v, i
		f, i = {1: 0, 2: 0, 3: 0}, 0
		while i < len(d):
		    key, i = varint(i)
		    v, i = varint(i)
		    if key & 7 == 2:
		        j = i + v
		        i += 1
		        v, _ = varint(i)
		        i = j
		    f[key >> 3] = v
		print(f[1], f[2], f[3])
	END
}

# A task whose workload is recognised by how long it sleeps.
begin()
{
	bundle_make "$1" sleep "$2"
	shim_start "$1" && shim_create "$1" >/dev/null && shim_call "$1" Start >/dev/null
}

answer()
{
	start=$(date +%s%N)
	shim_delete "$1" >"$T/answer" 2>"$T/err"
	rc=$?
	took=$((($(date +%s%N) - start) / 1000000))
	is 0 $rc "$2: exit code 0"
	is "" "$(cat "$T/err")" "$2: not a word on standard error"
	yes "$2: within 4 s" test $took -lt 4000
	decode "$T/answer" >"$T/fields"
	read -r pid status seconds <"$T/fields"
}

# -- the shim is dead
begin d1 1001
init=$(pid_of 'sleep 1001')
kill_now "$(shim_pid d1)"
now=$(date +%s)
answer d1 "a killed shim"
is "$init" "$pid" "the pid is init's"
is 137 "$status" "it was killed"
yes "just now" test $((seconds - now)) -ge -1 -a $((seconds - now)) -le 5
no "and is gone" running 'sleep 1001'
no "nothing is mounted" mountpoint -q "$T/b/d1/rootfs"
answer d1 "asked again"
is "$init 137" "$pid $status" "it answers the same from the history"
bundle_remove d1

# -- the shim is dead, and the exit was seen before
bundle_make d2 sh -c 'exit 42'
shim_start d2 && shim_create d2 >/dev/null && shim_call d2 Start >/dev/null
shim_call d2 Wait >/dev/null
kill_now "$(shim_pid d2)"
answer d2 "a stopped task of a killed shim"
is 42 "$status" "the status is the true one"
bundle_remove d2

# -- the shim lives
begin d3 1003
shim=$(shim_pid d3)
answer d3 "a living shim"
is 137 "$status" "lets its task go"
no "which is gone" running 'sleep 1003'
yes "and ends" until_true 5 test ! -e "/proc/$shim"
bundle_remove d3

# -- the shim hangs
begin d4 1004
shim=$(shim_pid d4)
kill -STOP "$shim"
answer d4 "a stopped shim"
is 137 "$status" "loses its task"
no "which is gone" running 'sleep 1004'
yes "and its life" until_true 5 test ! -e "/proc/$shim"
bundle_remove d4

# -- the bundle and the working folder are gone
begin d5 1005
kill_now "$(shim_pid d5)"
umount -l "$T/b/d5/rootfs"
mkdir "$T/gone"
cd "$T/gone" || exit 1
rmdir "$T/gone"
rm -rf --one-file-system "$T/b/d5"
"$SHIM" -namespace "$NS" -address "$DAEMON" -publish-binary /bin/false -id d5 \
	-bundle "$T/b/d5" delete >"$T/answer" 2>"$T/err" </dev/null
is 0 $? "without bundle and working folder: exit code 0"
cd /
is "" "$(cat "$T/err")" "without them: not a word on standard error"
no "and the workload is gone" running 'sleep 1005'

# -- on a busy node: 3 of its 5 s are gone when the program begins, and the runtime is slow
mkdir "$T/slow"
cat >"$T/slow/runc" <<END
#!/bin/sh
case " \$* " in *' delete '*) until [ -e "$T/go" ]; do sleep 0.05; done ;; esac
exec $PEERS/bin/runc "\$@"
END
printf '#!/bin/sh\nsleep 3\nexec "%s" "$@"\n' "$SHIM" >"$T/slow/shim"
chmod 755 "$T/slow/runc" "$T/slow/shim"
RUNTIME=$T/slow/runc urunc_config
begin d8 1008
kill_now "$(shim_pid d8)"
fast=$SHIM
SHIM=$T/slow/shim
shim_delete d8 >"$T/answer" 2>&1
is 0 $? "one that begins late answers before containerd kills it"
SHIM=$fast
urunc_config
is 137 "$(decode "$T/answer" | cut -d ' ' -f 2)" "and says that the task was killed"
touch "$T/go"
yes "what was not finished is, then" until_true 20 test ! -e "$T/journal/live/"*/t1/d8.db
rm -r "$T/slow" "$T/go"
bundle_remove d8

# -- nobody knows the task
mkdir -p "$T/b/d6"
answer d6 "an unknown task"
is "0 137" "$pid $status" "it is called killed"
rmdir "$T/b/d6"

# -- a Go shim of our name made it
bundle_make d7 sleep 1007
mount --bind "$PEERS/rootfs" "$T/b/d7/rootfs"
runc --root "/run/containerd/runc/$NS" create --bundle "$T/b/d7" \
	--pid-file "$T/b/d7/init.pid" d7 </dev/null >/dev/null 2>&1
yes "runc holds a container that is in no journal" test -d "/run/containerd/runc/$NS/d7"
init=$(cat "$T/b/d7/init.pid")
answer d7 "a task without the notes of a Go shim"
yes "is not touched" test -d "/run/containerd/runc/$NS/d7"
printf runc >"$T/b/d7/runtime"
printf '{}' >"$T/b/d7/options.json"
answer d7 "a task with them"
is "$init 137" "$pid $status" "is answered with its init"
no "and is deleted" test -e "/run/containerd/runc/$NS/d7"
umount "$T/b/d7/rootfs"
bundle_remove d7
is 0 "$(find "$JOURNAL/live" -name '*.db' | wc -l)" "no task holds anything"
sink_stop
tap_done
