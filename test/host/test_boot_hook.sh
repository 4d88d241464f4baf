#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# uruncctl recover --boot: the journals that it may find before containerd is up.
. "$(dirname "$0")/../lib/ctl.sh"

# A reboot empties what is below /run.
reboot()
{
	rm -rf "$T/run"
}

file_of()
{
	find "$T/journal/live" -name "$1.db"
}

# -- none
exits 0 recover --boot
is '' "$(find "$T/journal" -type f 2>/dev/null)" "where there is no journal none is made"
mkdir -p "$T/journal"
exits 0 recover --boot

# -- of another boot, beside tasks of this one
make_task boot default old 3
make_task dead default now
reboot
exits 1 recover --boot
is now "$(basename "$(find "$T/journal/live" -name '*.db')" .db)" "what is of this boot stays"
exits 0 recover --boot
exits 0 journal check

# -- empty: the power went before the first of the file was on the disk
ctl_reset
make_task boot default empty
make_task boot default whole
: >"$(file_of empty)"
exits 4 recover
like 'nobody can tell' "$(cat "$T/out")" "an empty file of this boot is no proof of anything"
make_task boot default empty
: >"$(file_of empty)"
reboot
exits 1 recover --boot
is '' "$(find "$T/journal" -path '*/done' -prune -o -type f -print)" \
	"an empty file of an earlier boot is taken back, and nothing of it is kept"
exits 0 recover --boot

# -- torn
ctl_reset
make_task torn default torn
reboot
exits 1 recover --boot
is 1 "$(find "$T/journal/torn" -name '*.db' | wc -l)" "a torn one is kept, and no more is left of it"
exits 0 recover --boot
make_task 'done' default past 3
for f in "$T"/journal/done/*/default/past[12].*; do
	printf 'no longer a database' | dd of="$f" conv=notrunc status=none
done
exits 1 journal check
exits 0 recover --boot
exits 0 journal check
is 1 "$(find "$T/journal/done" -name 'past*' | wc -l)" "history that the power cut took is forgotten"

# -- on a disk that can only be read
ctl_reset
make_task boot default ro
mkdir -p "$T/disk"
mount -t tmpfs disk "$T/disk"
cp -a "$T/journal" "$T/disk/"
sed -i "s|^journal = .*|journal = \"$T/disk/journal\"|" "$URUNC_CONFIG"
mount -o remount,ro "$T/disk"
reboot
exits 4 recover --boot
no "a read-only journal is read, and what its task left is taken back" test -e "$BUNDLES/ro.default/address"
mount -o remount,rw "$T/disk"
exits 1 recover --boot
exits 0 recover --boot
umount "$T/disk"
tap_done
