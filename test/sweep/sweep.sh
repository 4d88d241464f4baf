# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# sweep.sh - kill at every crash point, recover, look.
#
# A program of MODE=crash dies at the Nth point that it reaches in its role; a tally
# says whether it got that far and what the point is called. After every death the
# node is taken back, and must be what it was.
#
#	SWEEP_STRIDE	recovery after the Nth death is killed itself at every so-many of
#			its own points, beginning at the (N mod so-many)th: so each death
#			and each point has its turn, and 1 is all of them

MODE=crash
export MODE
. "$TOP/test/lib/tap.sh"
. "$TOP/test/lib/containerd.sh"
. "$TOP/test/lib/picture.sh"
. "$TOP/test/lib/shim.sh"

recoveries=0
deaths=0
left=0
TALLY=$T/tally

# RUNTIME may be null_runtime: all of it is our share then, and it is quick.
sweep_begin()
{
	[ -x "$SHIM" ] || skip_all "build/crash is not built"
	"$TOP/test/peers" || skip_all "runc can't be fetched"
	urunc_config 'idle_exit_s = 1'
	mkdir -p "$T/b"
	sink_start || exit 1
	shim_life warm || { not_ok "a life without a crash goes well"; tap_done; }
	picture >"$T/before"
}

sweep_end()
{
	sink_stop
	tap_done
}

# crash ROLE N COMMAND...: with the Nth point of ROLE deadly; true if it was reached
crash()
{
	local role point

	rm -f "$TALLY"
	role=$1
	point=$2
	shift 2
	URUNC_CRASH_ROLE=$role URUNC_CRASH_AT=$point URUNC_CRASH_TALLY=$TALLY
	export URUNC_CRASH_ROLE URUNC_CRASH_AT URUNC_CRASH_TALLY
	"$@"
	unset URUNC_CRASH_ROLE URUNC_CRASH_AT URUNC_CRASH_TALLY
	reached=0
	[ ! -e "$TALLY" ] || reached=$(wc -l <"$TALLY")
	[ "$reached" -ge "$point" ]
}

point_name()
{
	sed -n "$1s/^[a-z]* //p" "$TALLY"
}

# The calls of a life in order; OP is the one that failed, or "end".
life_calls()
{
	for OP in Create Start Kill Wait Delete; do
		case $OP in
		Create) shim_create v ;;
		Kill) shim_call v Kill signal=9 ;;
		*) shim_call v $OP ;;
		esac >/dev/null 2>&1 || return 1
	done
	OP=Shutdown
	shim_call v Shutdown >/dev/null 2>&1
	until_true 5 test ! -S "$(cat "$T/b/v.addr")"
	OP=end
}

life()
{
	OP=start
	shim_start v >/dev/null 2>&1 && life_calls
}

# $1: what was done, for a failure's sentence
is_clean()
{
	rm -f "$TALLY" "$TALLY.first"
	if picture_settles "$T/before" 8 >"$T/diff"; then
		rm "$T/diff" "$T/now"
		bundle_remove v
		return 0
	fi
	left=$((left + $(wc -l <"$T/diff")))
	echo "# $1: left on the node:"
	sed 's/^/#   /' "$T/diff"
	rm "$T/diff" "$T/now"
	# The next death is looked at by itself.
	uruncctl recover >/dev/null 2>&1
	umount -q "$T/b/v/rootfs"
	bundle_remove v
	picture >"$T/before"
	return 1
}

recover_once()
{
	recoveries=$((recoveries + 1))
	timeout 60 uruncctl recover >"$T/recover" 2>&1
}

recover_to_end()
{
	local rc

	recover_once
	rc=$?
	if [ $rc -gt 1 ]; then
		left=$((left + 1))
		echo "# $1: recover says $rc:"
		sed 's/^/#   /' "$T/recover"
	fi
	rm -f "$T/recover"
}

# counted ROLE COMMAND...: run it, unharmed; $points is how many points it passed
counted()
{
	local role rc

	role=$1
	shift
	rm -f "$T/passed"
	URUNC_CRASH_ROLE=$role URUNC_CRASH_TALLY=$T/passed
	export URUNC_CRASH_ROLE URUNC_CRASH_TALLY
	"$@"
	rc=$?
	unset URUNC_CRASH_ROLE URUNC_CRASH_TALLY
	points=0
	[ ! -e "$T/passed" ] || points=$(wc -l <"$T/passed")
	rm -f "$T/passed"
	return $rc
}

# nested N LIFE WHAT: the same death again and again, each time with a further point of
# recovery deadly.
nested()
{
	local k name

	k=$(($1 % STRIDE + 1))
	while [ $k -le $points ]; do
		bundle_make v sleep 1000
		crash serve "$1" "$2" || break
		cp "$TALLY" "$TALLY.first"
		crash recover $k recover_once || { is_clean "$3, recovered"; break; }
		name=$(point_name $k)
		rm -f "$T/recover"
		recover_to_end "$3, recovery killed at $k ($name)"
		is_clean "$3, recovery killed at $k ($name)"
		k=$((k + STRIDE))
	done
	rm -f "$TALLY" "$TALLY.first" "$T/recover"
	bundle_remove v
}
