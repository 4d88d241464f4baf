#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The options io_uid and io_gid: who the FIFOs of a task, and of its execs, belong to.
. "$(dirname "$0")/../lib/suite.sh"
. "$TOP/test/lib/shim.sh"
needs_urunc
urunc_config
mkdir -p "$T/b"
sink_start || exit 1

for f in out exec; do
	mkfifo "$T/$f"
	cat "$T/$f" >"$T/$f.got" &
done
bundle_make c1 sleep 5001
shim_start c1
shim_create c1 "stdout=$T/out" options.io_uid=1234 options.io_gid=1235 >/dev/null
is 0 $? "a task is created"
shim_call c1 Start >/dev/null
# runc gives it to the user of the process afterwards, and leaves it the group.
is 0:1235 "$(stat -c %u:%g "$T/out")" "its output belongs to whom the options name"
process='{"cwd":"/","args":["echo","said"],"env":["PATH=/bin"],"user":{"uid":0,"gid":0}}'
shim_call c1 Exec exec_id=e "stdout=$T/exec" "spec=$process" >/dev/null
shim_call c1 Start exec_id=e >/dev/null
is 0 $? "a process is started in it"
is 0:1235 "$(stat -c %u:%g "$T/exec")" "and so does its output"
shim_call c1 Wait exec_id=e >/dev/null
shim_call c1 Delete exec_id=e >/dev/null
yes "which arrives" until_true 5 grep -q said "$T/exec.got"
shim_call c1 Kill signal=9 >/dev/null
shim_call c1 Wait >/dev/null
shim_call c1 Delete >/dev/null
shim_call c1 Shutdown >/dev/null
yes "the shim ends" until_true 5 test ! -e "$(cat "$T/b/c1.addr")"
bundle_remove c1
tap_done
