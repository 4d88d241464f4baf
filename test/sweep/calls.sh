# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# calls.sh - the node and the settings for build/*/calls, see test/calls/calls.c.
#
#	calls_run RUNTIME [options of calls]
#
# CALLS, in the environment: more options, e.g. '-k 1' for every call, or '-p POINT'.

. "$TOP/test/lib/tap.sh"
. "$TOP/test/lib/containerd.sh"
. "$TOP/test/lib/picture.sh"
. "$TOP/test/lib/shim.sh"

calls_run()
{
	RUNTIME=$1
	shift
	[ -x "$SHIM" ] && [ -x "$BUILD/calls" ] || skip_all "${BUILD#"$TOP"/} is not built"
	"$TOP/test/peers" || skip_all "runc can't be fetched"
	urunc_config 'idle_exit_s = 1'
	mkdir -p "$T/b"
	sink_start || exit 1
	SPEC=$T/spec.json
	ROOTFS=$PEERS/rootfs
	export T DAEMON NS SPEC ROOTFS
	bundle_spec v sleep 1000 >"$SPEC"
	# shellcheck disable=SC2086 # words
	"$BUILD/calls" "$@" ${CALLS:-} "$SHIM" "$BUILD/uruncctl"
	rc=$?
	sink_stop
	exit $rc
}
