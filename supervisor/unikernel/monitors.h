/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_UNIKERNEL_MONITORS_H
#define URUNC_UNIKERNEL_MONITORS_H

/*
 * monitors.h - the monitors that can run a unikernel, of which type, and from what.
 */

#include <stdbool.h>
#include <stddef.h>

#define MONITOR_TYPES_MAX 8

/* Bytes that a monitor may need besides its guest's memory. */
#define MONITOR_MEMORY (INT64_C(128) << 20)
/* Bytes of a guest for which no limit is set. */
#define GUEST_MEMORY (INT64_C(256) << 20)

/* What it wants /dev/kvm for. */
enum monitor_kvm {
	KVM_NEVER, /* it runs the guest as a process                     */
	KVM_MAY,   /* it can emulate a processor, slowly                 */
	KVM_MUST,
};

/* Whose is its guest's vsock? */
enum monitor_vsock {
	VSOCK_NONE,
	VSOCK_KERNEL, /* the node's kernel's        */
	VSOCK_OWN,    /* its own, at a unix socket  */
};

struct monitor {
	const char *name;   /* as in the annotation "hypervisor"            */
	const char *binary; /* looked up in PATH if no path is given        */
	const char *types[MONITOR_TYPES_MAX + 1]; /* NULL-terminated         */
	bool block;         /* it has disks                                 */
	bool virtiofs, p9;  /* it shares folders so                         */
	bool power;         /* it presses a power button when it is asked   */
	enum monitor_kvm kvm;
	enum monitor_vsock vsock;
};

/* Ended by an entry without a name. */
extern const struct monitor monitors[];

const struct monitor *monitor_find(const char *name); /* NULL: unknown */
bool monitor_runs(const struct monitor *monitor, const char *type);
/* Is there any monitor that runs this type? */
bool monitor_type_known(const char *type);

/* Whose exit status is this? @status: 128 and more: a signal; @guest: its type. In half a
 * sentence. */
void monitor_exit_text(const char *monitor, const char *guest, unsigned int status, bool killed,
		       char *text, size_t size);

/* "qemu, firecracker": those that run @type ("" for all), for messages. */
void monitor_names(const char *type, char *text, size_t size);

#endif
