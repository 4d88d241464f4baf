# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# vm.sh - a virtual machine with Debian's kernel, in QEMU without KVM; inside a
# private node (node.sh), with which it ends.
#
#	vm_needs			skip, where it can't be had
#	vm_start COMMAND [QEMU OPTION...]	boot, run COMMAND (a line for sh) as its only service
#	vm_wait SECONDS			until it has switched itself off: COMMAND's status
#	vm_cut				no power any more
#	vm_pass_on NAME			what it said holds or not is said here, after NAME
#
# VM_MORE: more words for the kernel; see test/vm/node.
#
# $T/vm.out: what COMMAND printed; $T/vm.console: what the kernel said.

VM_MODULES='drivers/virtio/virtio_ring drivers/virtio/virtio
	drivers/virtio/virtio_pci_modern_dev drivers/virtio/virtio_pci_legacy_dev
	drivers/virtio/virtio_pci drivers/block/virtio_blk fs/fuse/fuse fs/fuse/virtiofs
	fs/overlayfs/overlay'

vm_needs()
{
	[ "$(uname -m)" = x86_64 ] || skip_all "the virtual machine is an x86_64"
	"$TOP/test/peers" vm || skip_all "QEMU or a kernel can't be fetched"
	VM=$TOP/build/peers/vm
}

vm_initramfs()
{
	local d m

	d=$T/initramfs
	mkdir -p "$d/bin" "$d/dev" "$d/modules" "$d/lower" "$d/upper" "$d/new"
	cp "$TOP/build/peers/root/bin/busybox" "$d/bin/"
	cp "${VM_INIT:-$TOP/test/vm/init}" "$d/init"
	for m in $VM_MODULES; do
		cp "$VM"/lib/modules/*/kernel/"$m.ko" "$d/modules/" || return 1
		echo "${m##*/}"
	done >"$d/modules/order"
	(cd "$d" && find . | "$TOP/build/peers/bin/busybox" cpio -o -H newc 2>/dev/null) \
		>"$T/initramfs.cpio"
	rm -r "$d"
}

vm_start()
{
	local run

	run=$1
	shift
	[ -e "$T/initramfs.cpio" ] || vm_initramfs || return 1
	rm -f "$T/vm.fs" "$T/vm.out" "$T/vm.console"
	"$TOP/build/peers/bin/virtiofsd" --socket-path="$T/vm.fs" -f -o source=/ \
		-o cache=always -o sandbox=chroot >"$T/vm.fs.log" 2>&1 &
	VM_FS=$!
	if ! until_true 60 test -S "$T/vm.fs"; then
		echo "# virtiofsd does not come up: $(cat "$T/vm.fs.log")"
		return 1
	fi
	"$TOP/build/peers/bin/qemu-system-x86_64" -M q35 -accel tcg,thread=multi -cpu max \
		-smp 2 -m "${VM_MEMORY:-1536}" -nodefaults -display none -no-reboot \
		-object memory-backend-memfd,id=mem,size="${VM_MEMORY:-1536}M",share=on \
		-machine memory-backend=mem \
		-chardev socket,id=fs,path="$T/vm.fs" -device vhost-user-fs-pci,chardev=fs,tag=host \
		-kernel "$VM/vmlinuz" -initrd "$T/initramfs.cpio" \
		-append "console=ttyS0 quiet panic=-1 mitigations=off VM_TOP=$TOP VM_RUN=\"$run\" ${VM_MORE:-}" \
		-serial "file:$T/vm.console" -serial "file:$T/vm.out" "$@" \
		>"$T/vm.log" 2>&1 </dev/null &
	VM_PID=$!
}

vm_ended()
{
	! kill -0 "$VM_PID" 2>/dev/null
}

vm_cut()
{
	kill -KILL "$VM_PID" 2>/dev/null
	wait "$VM_PID" 2>/dev/null
	kill "$VM_FS" 2>/dev/null
	wait "$VM_FS" 2>/dev/null
	return 0
}

vm_wait()
{
	if ! until_true "$1" vm_ended; then
		echo "# the virtual machine did not end in $1 s"
		set -- "$1" late
	fi
	vm_cut
	[ "${2:-}" != late ] || return 124
	return "$(sed -n 's/^vm: exit \([0-9]*\)$/\1/p' "$T/vm.out" | grep . || echo 125)"
}

vm_pass_on()
{
	while read -r line; do
		case $line in
		'ok '*) ok "$1: ${line#ok * - }" ;;
		'not ok '*) not_ok "$1: ${line#not ok * - }" ;;
		'#'*) echo "$line" ;;
		esac
	done <"$T/vm.out"
}
