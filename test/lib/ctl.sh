# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# ctl.sh - uruncctl on journals that a test has made up, in a private node.
#
#	. "$(dirname "$0")/../lib/ctl.sh"
#
# Set: CTL and MAKE_TASK, the programs; URUNC_CONFIG, a config whose journal is below
# $T, and BUNDLES. uruncctl's answer goes to $T/out, its talk to $T/err.

. "$(dirname "$0")/../lib/node.sh"
node_enter "$@"
. "$TOP/test/lib/tap.sh"

BUILD=${BUILD:-$TOP/build/${MODE:-release}}
CTL=$BUILD/uruncctl
MAKE_TASK=$BUILD/make_task
if [ ! -x "$CTL" ] || [ ! -x "$MAKE_TASK" ]; then
	skip_all "${CTL#"$TOP"/} or make_task is not built"
fi

BUNDLES=$T/bundles
mkdir -p "$BUNDLES"
cat >"$T/supervisor.toml" <<END
journal = "$T/journal"
run = "$T/run"
END
export URUNC_CONFIG="$T/supervisor.toml"

# ctl ARGS...: returns uruncctl's exit status.
ctl()
{
	timeout 60 "$CTL" "$@" >"$T/out" 2>"$T/err" </dev/null
}

# exits STATUS ARGS...: uruncctl ARGS ends with STATUS.
exits()
{
	want=$1
	shift
	ctl "$@"
	is "$want" $? "uruncctl $* exits $want"
}

make_task()
{
	kind=$1
	shift
	"$MAKE_TASK" "$kind" "$BUNDLES" "$@"
}

# A new, empty journal.
ctl_reset()
{
	rm -rf "$T/journal" "$T/run" "$BUNDLES"
	mkdir -p "$BUNDLES"
}

# Names and contents of all files that a task has, here: journal, run, bundles. Not of
# SQLite's -shm: it is shared memory with a name, and readers mark their place in it.
ctl_sums()
{
	(cd "$T" && find journal run bundles -type f ! -name '*-shm' -exec sha256sum {} + 2>/dev/null;
		find journal run bundles 2>/dev/null) | sort
}

# aligned FILE: no column of a table starts left of its head, no line ends in blanks.
aligned()
{
	awk 'NR == 1 {
		for (i = 2; i <= length($0); i++)
			if (substr($0, i, 1) != " " && substr($0, i - 2, 2) == "  ") at[++n] = i
	}
	{
		for (c = 1; c <= n; c++)
			if (substr($0, at[c] - 2, 2) != "  " || substr($0, at[c], 1) == " ") bad = NR
		if ($0 ~ / $/) bad = NR
	}
	END { if (bad || NR < 2) { print "line " bad; exit 1 } }' "$1"
}
