# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# systemd.sh - a virtual machine (vm.sh) whose first program is Debian's systemd, with
# D-Bus, and with containerd and ours installed as on a node.
#
#	systemd_needs			skip, where it can't be had
#	systemd_image			$T/image: what is laid over its root
#	systemd_enable UNIT TARGET	there
#	systemd_start SCRIPT [QEMU OPTION...]	SCRIPT runs in it once all is up, as a service
#
# Then vm_wait and its fellows.

systemd_needs()
{
	vm_needs
	"$TOP/test/peers" guest || skip_all "systemd can't be fetched"
}

systemd_enable()
{
	mkdir -p "$T/image/etc/systemd/system/$2.wants"
	ln -s "/usr/local/lib/systemd/system/$1" "$T/image/etc/systemd/system/$2.wants/$1"
}

PEERS=$TOP/build/peers

# What a node has by its packages, and what a machine without a screen does not need.
systemd_image()
{
	local units u

	units=$T/image/etc/systemd/system
	mkdir -p "$units" "$T/image/usr/bin" "$T/image/etc/urunc" "$T/image/etc/containerd" \
		"$T/image/var/lib/urunc"
	make -s -C "$TOP" MODE="${MODE:-release}" install DESTDIR="$T/image" >"$T/install" 2>&1 || {
		sed 's/^/# /' "$T/install"
		return 1
	}
	for u in getty.target systemd-udevd.service systemd-udev-trigger.service \
		systemd-logind.service systemd-hwdb-update.service systemd-firstboot.service \
		systemd-sysusers.service ldconfig.service systemd-journal-catalog-update.service \
		systemd-networkd.service systemd-timesyncd.service systemd-tmpfiles-setup.service \
		systemd-tmpfiles-clean.timer systemd-binfmt.service; do
		ln -s /dev/null "$units/$u"
	done
	for u in containerd ctr containerd-shim-runc-v2 runc crun; do
		ln -s "$PEERS/bin/$u" "$T/image/usr/bin/$u"
	done
	cp "$PEERS/root/lib/systemd/system/containerd.service" \
		"$T/image/usr/local/lib/systemd/system/"
	echo 'disabled_plugins = ["io.containerd.grpc.v1.cri"]' >"$T/image/etc/containerd/config.toml"
	# No overlay takes a folder of the root, an overlay, as its upper one.
	cat >"$units/var-lib-containerd.mount" <<-END
		[Mount]
		What=tmpfs
		Where=/var/lib/containerd
		Type=tmpfs
	END
	mkdir -p "$units/local-fs.target.wants"
	ln -s ../var-lib-containerd.mount "$units/local-fs.target.wants/"
	cat >"$units/vm.service" <<-END
		[Unit]
		Description=What the test does in this machine
		After=multi-user.target
		[Service]
		Type=oneshot
		ExecStart=$TOP/test/vm/service
	END
	ln -s /lib/systemd/system/multi-user.target "$units/default.target"
	mkdir -p "$units/multi-user.target.wants"
	ln -s ../vm.service "$units/multi-user.target.wants/vm.service"
	systemd_enable containerd.service multi-user.target
	systemd_enable urunc-recover-boot.service multi-user.target
	systemd_enable urunc-recover.timer timers.target
}

systemd_start()
{
	local run

	run=$1
	shift
	VM_MORE="VM_INIT=/lib/systemd/systemd VM_OVER=\"$PEERS/guest $T/image\" loglevel=3" \
		vm_start "$TOP/test/vm/$run" "$@"
}
