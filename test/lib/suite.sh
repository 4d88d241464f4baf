# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# suite.sh - what every test through a containerd begins with.
#
#	. "$(dirname "$0")/../lib/suite.sh"
#	suite_begin
#
# Afterwards containerd runs in a private node, test/box:1 is there, one container
# has lived and gone (so that what the first one makes for all is made), and
# $T/before is the picture to compare with.

. "$(dirname "$0")/../lib/node.sh"
node_enter "$@"
. "$TOP/test/lib/tap.sh"
. "$TOP/test/lib/containerd.sh"
. "$TOP/test/lib/picture.sh"

suite_begin()
{
	containerd_needs
	containerd_start && image_load || exit 1
	if ! run warm --rm -- true; then
		not_ok "a first container lives and goes"
		exit 1
	fi
	# Its last process may not be waited for yet.
	until_true 5 suite_before
}

suite_before()
{
	picture >"$T/before"
	! grep -q '^process zombie' "$T/before"
}

# Tests of what only ours promises.
needs_urunc()
{
	[ "$SUBJECT" = urunc ] || skip_all "only for containerd-shim-urunc-v2"
	containerd_needs
}
