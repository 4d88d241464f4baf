# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# sweep.sh - a sweep in as many nodes as there are processors, and what it comes to.
#
#	SWEEP_STRIDE	a recovery is killed at every so-many of its own points; 1: at all

TOP=$(cd "$(dirname "$0")/../.." && pwd)
. "$TOP/test/lib/tap.sh"
RUNTIME=${RUNTIME:-$TOP/build/crash/null_runtime}
export RUNTIME

# sweep MODE STRIDE; then ask for the numbers
sweep()
{
	local p pids parts

	[ -x "$TOP/build/crash/sweep" ] || skip_all "build/crash is not built"
	"$TOP/test/peers" || skip_all "runc can't be fetched"
	shares=$(mktemp -d)
	trap 'rm -rf "$shares"' EXIT
	# shellcheck disable=SC2086 # one word each, on purpose
	trap 'kill $pids; wait; exit 1' INT TERM
	parts=$(nproc)
	pids=
	for p in $(seq 0 $((parts - 1))); do
		"$TOP/test/sweep/part" "$1" "$p" "$parts" "$2" >"$shares/$p" 2>&1 &
		pids="$pids $!"
	done
	for p in $pids; do
		wait "$p"
		is 0 $? "a share of the sweep goes to its end"
	done
	grep -hv '^count ' "$shares"/*
}

# What the points were, by the call that failed: "Create 62, Start 19"
ops()
{
	awk '$1 == "count" && $2 ~ /^[A-Z]/ { n[$2] += $3 }
		END { for (o in n) if (n[o]) { printf "%s%s %d", sep, o, n[o]; sep = ", " } }' \
		"$shares"/*
}

# deaths, recoveries, inner, left, or the name of a call
count()
{
	awk -v w="$1" '$1 == "count" && $2 == w { n += $3 } END { print n + 0 }' "$shares"/*
}

every()
{
	[ "$1" -eq 1 ] && echo "every point" || echo "every $1th point"
}
