# SPDX-License-Identifier: Apache-2.0
# bash completion for uruncctl. Verbs and options are asked from uruncctl itself.

_uruncctl_verb()
{
	local word
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		if [[ $word != -* ]]; then
			echo "$word"
			return
		fi
	done
}

_uruncctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} verb words=
	verb=$(_uruncctl_verb)
	case $verb in
	journal) verb="journal check" ;;
	esac
	if [[ $cur == -* ]]; then
		# shellcheck disable=SC2086 # a verb of two words
		words=$(uruncctl help $verb 2>/dev/null | grep -o -- '--[a-z-]*')
	elif [[ -z $verb || $verb == help ]]; then
		words=$(uruncctl help 2>/dev/null | awk '/^  [a-z]/ { print $1 }')
	elif [[ $verb == "journal check" ]]; then
		words=check
	elif [[ $verb == show ]]; then
		words=$(uruncctl ps --all --quiet 2>/dev/null | awk 'NR > 1 { print $1 }')
	elif [[ $verb == recover ]]; then
		words=$(uruncctl ps --quiet 2>/dev/null | awk 'NR > 1 { print $1 }')
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _uruncctl uruncctl
