#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a task that lives long adds to its journal is folded while it is quiet.
. "$(dirname "$0")/../lib/suite.sh"
. "$TOP/test/lib/shim.sh"

needs_urunc
RUNTIME=$BUILD/null_runtime
urunc_config
mkdir -p "$T/b"
sink_start || exit 1

# As the file is read by anybody: bytes of the WAL.
wal_size()
{
	stat -c %s "$JOURNAL"/live/*/*/"$1.db-wal"
}

small()
{
	[ "$(wal_size "$1")" -lt 1000000 ]
}

bundle_make c1 sleep 1000
shim_start c1
shim_create c1 >/dev/null
shim_call c1 Start >/dev/null
i=0
# Each kill is a plan of its own; the WAL holds every page that it wrote.
while [ $i -lt 3000 ] && [ "$(wal_size c1)" -lt 4300000 ]; do
	shim_call c1 Kill signal=23 >/dev/null || break
	i=$((i + 1))
done
yes "the WAL grows" test "$(wal_size c1)" -ge 4194304
yes "at rest it is folded" until_true 10 small c1
like 't1/c1 .*running' "$(uruncctl ps 2>&1)" "the task is as it was"
like 'are whole' "$(uruncctl journal check 2>&1)" "and so is its file"
shim_call c1 Kill signal=9 >/dev/null
like 'exit_status=137' "$(shim_call c1 Wait)" "it can still be ended"
shim_call c1 Delete >/dev/null
shim_call c1 Shutdown >/dev/null 2>&1
until_true 5 test ! -S "$(cat "$T/b/c1.addr")"
bundle_remove c1
sink_stop
tap_done
