# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# tap.sh - say what holds and what does not.
#
# Every check is one sentence. tap_done ends the script: its exit code is 0 only if
# all sentences were true.

tap_n=0
tap_bad=0

ok()
{
	tap_n=$((tap_n + 1))
	echo "ok $tap_n - $*"
}

not_ok()
{
	tap_n=$((tap_n + 1))
	tap_bad=$((tap_bad + 1))
	echo "not ok $tap_n - $*"
}

# is WANT GOT SENTENCE
is()
{
	if [ "$1" = "$2" ]; then
		ok "$3"
	else
		not_ok "$3"
		printf '%s\n' "want: $1" "got:  $2" | sed 's/^/# /'
	fi
}

# like PATTERN(egrep) GOT SENTENCE
like()
{
	if printf '%s\n' "$2" | grep -qiE -e "$1"; then
		ok "$3"
	else
		not_ok "$3"
		printf '%s\n' "want something like: $1" "got: $2" | sed 's/^/# /'
	fi
}

# yes SENTENCE COMMAND... / no SENTENCE COMMAND...: it succeeds / it fails
yes()
{
	local says out

	says=$1
	shift
	if out=$("$@" 2>&1); then
		ok "$says"
	else
		not_ok "$says"
		printf '%s\n' "$* failed: $out" | sed 's/^/# /'
	fi
}

no()
{
	local says out

	says=$1
	shift
	if out=$("$@" 2>&1); then
		not_ok "$says"
		printf '%s\n' "$* succeeded: $out" | sed 's/^/# /'
	else
		ok "$says"
	fi
}

# until_true SECONDS COMMAND...: poll, with a deadline, never a fixed sleep
until_true()
{
	local end

	end=$(($(date +%s) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# kill_now PID...: SIGKILL, and wait for the death: until then it holds its locks.
kill_now()
{
	local p

	kill -9 "$@"
	for p in "$@"; do
		until_true 10 is_dead "$p"
	done
}

is_dead()
{
	case $(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) in
	'' | Z* | X*) ;;
	*) return 1 ;;
	esac
}

skip_all()
{
	echo "# skip $*"
	exit 77
}

tap_done()
{
	echo "1..$tap_n"
	[ "$tap_bad" -eq 0 ] && [ "$tap_n" -gt 0 ]
	exit $?
}
