# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# picture.sh - what the node holds, one thing a line, sorted.
#
#	picture >FILE			take one
#	picture_diff BEFORE AFTER	what came (+) and what went (-)
#	picture_settles BEFORE SECS	true once nothing has come since BEFORE
#
# Lines carry no numbers that change by themselves (pids, mount ids, inodes). What
# may come and go without being a leak stands in picture.except, with its reason.

picture_processes()
{
	local p pid stat line

	for p in /proc/[0-9]*; do
		pid=${p#/proc/}
		[ "$pid" != "$$" ] || continue
		# Kernel threads have no command line; a zombie has none either.
		{
			read -r stat <"$p/stat" || continue
			set -f
			set -- ${stat##*) }
			set +f
			if [ "$1" = Z ]; then
				echo "process zombie: $(cat "$p/comm")"
			elif [ "$2" != "$$" ] && ! picture_own "$pid"; then
				line=$(tr '\0' ' ' <"$p/cmdline")
				[ -z "$line" ] || echo "process $line"
			fi
		} 2>/dev/null
	done
}

# The picture's own processes and the shells that called it.
picture_own()
{
	case " $picture_mine " in *" $1 "*) return 0 ;; esac
	return 1
}

picture_ancestors()
{
	local p

	p=$(exec sh -c 'echo $PPID')
	while [ "${p:-0}" -gt 0 ]; do
		printf '%s ' "$p"
		p=$(sed -n 's/^PPid:\t//p' "/proc/$p/status" 2>/dev/null)
	done
}

picture_links()
{
	local n

	ip -o link 2>/dev/null | sed 's/^[0-9]*: /link /; s/\\.*//; s/ qdisc .*//'
	command -v tc >/dev/null && tc qdisc show 2>/dev/null | sed 's/^/qdisc /'
	for n in /run/netns/*; do
		[ -e "$n" ] && echo "netns ${n##*/}"
	done
}

picture_files()
{
	local d

	find /run /var/tmp "$T/tmp" -mindepth 1 -printf 'file %y %p\n' 2>/dev/null
	for d in /var/lib/urunc ${CTR_ROOT:+"$CTR_ROOT/state/io.containerd.runtime.v2.task" \
		"$CTR_ROOT/root/io.containerd.runtime.v2.task"}; do
		find "$d" -mindepth 1 -printf 'file %y %p\n' -name rootfs -prune 2>/dev/null
	done
	# History may grow; what is live or damaged may not.
	find "${JOURNAL:-/nowhere}/live" "${JOURNAL:-/nowhere}/torn" -type f \
		-printf 'journal %p\n' 2>/dev/null
	for d in "$T"/run*; do
		find "$d" -mindepth 1 ! -type d -printf 'file %y %p\n' 2>/dev/null
	done
}

picture_all()
{
	local file l ns

	picture_mine=$(picture_ancestors)
	picture_processes
	awk '{ for (i = 7; $i != "-"; i++); print "mount", $5, $(i + 1), $(i + 2), $4 }' \
		/proc/self/mountinfo
	picture_links
	find /sys/fs/cgroup -mindepth 1 -type d -printf 'cgroup %p\n' 2>/dev/null
	picture_files
	for l in /sys/block/loop*/loop/backing_file; do
		[ -e "$l" ] && read -r file <"$l" || continue
		# Loop devices have no namespace: what is below another node's folder is its.
		case $file in "$T"/*) ;; /tmp/u*) continue ;; esac
		echo "loop $file"
	done
	if [ -n "${CTR_ADDRESS:-}" ] && ctr version >/dev/null 2>&1; then
		for ns in $CTR_NAMESPACES; do
			NS=$ns ctr container ls -q | sed "s|^|container $ns/|"
			NS=$ns ctr task ls -q | sed "s|^|task $ns/|"
			NS=$ns ctr snapshot ls |
				awk -v n="$ns" '$NF == "Active" { print "snapshot " n "/" $1 }'
		done
	fi
}

picture()
{
	# Through files: a pipe's own processes would be in the picture.
	picture_all >"$T/raw"
	grep -vE -f "$T/except" "$T/raw" >"$T/raw2"
	LC_ALL=C sort "$T/raw2"
}

picture_diff()
{
	LC_ALL=C comm -3 "$1" "$2" | sed -e 's/^\t/+ /;t' -e 's/^/- /'
}

picture_settles()
{
	local end

	end=$(($(date +%s) + $2))
	while :; do
		picture >"$T/now"
		[ -n "$(picture_diff "$1" "$T/now")" ] || return 0
		[ "$(date +%s)" -lt "$end" ] || break
		sleep 0.2
	done
	picture_diff "$1" "$T/now"
	return 1
}

# same BEFORE SENTENCE [SECONDS]: a check, see tap.sh
same()
{
	local left

	if left=$(picture_settles "$1" "${3:-5}"); then
		ok "$2"
	else
		not_ok "$2"
		printf '%s\n' "$left" | head -n 40 | sed 's/^/# /'
	fi
}

# The patterns alone, without reasons, where grep -f can read them.
[ -z "${NODE:-}" ] || sed -e 's/[[:space:]]*# .*//' -e '/^#/d' -e '/^$/d' \
	"$TOP/test/lib/picture.except" >"$T/except"
