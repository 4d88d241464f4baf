/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/unikernel/monitors.h"

#include <stdio.h>
#include <string.h>

#if defined(__aarch64__)
#define QEMU "qemu-system-aarch64"
#else
#define QEMU "qemu-system-x86_64"
#endif

const struct monitor monitors[] = {
	{ "qemu", QEMU, { "linux", "unikraft", "mirage", "mewz", "hermit", "freebsd" },
	  .block = true, .virtiofs = true, .p9 = true, .power = true, .kvm = KVM_MAY,
	  .vsock = VSOCK_KERNEL },
	{ "firecracker", "firecracker", { "linux", "unikraft", "freebsd" }, .block = true,
	  .kvm = KVM_MUST, .vsock = VSOCK_OWN },
	{ "cloud-hypervisor", "cloud-hypervisor", { "linux" }, .block = true, .virtiofs = true,
	  .kvm = KVM_MUST, .vsock = VSOCK_OWN },
	{ "hvt", "solo5-hvt", { "rumprun", "mirage" }, .block = true, .kvm = KVM_MUST },
	{ "spt", "solo5-spt", { "rumprun", "mirage" }, .block = true, .kvm = KVM_NEVER },
	{ "hyperlight-unikraft", "hyperlight-unikraft", { "unikraft" }, .kvm = KVM_MUST },
	{ .name = NULL },
};

const struct monitor *monitor_find(const char *name)
{
	for (const struct monitor *m = monitors; m->name; m++)
		if (strcmp(m->name, name) == 0)
			return m;
	return NULL;
}

bool monitor_runs(const struct monitor *monitor, const char *type)
{
	for (size_t i = 0; monitor->types[i]; i++)
		if (strcmp(monitor->types[i], type) == 0)
			return true;
	return false;
}

bool monitor_type_known(const char *type)
{
	for (const struct monitor *m = monitors; m->name; m++)
		if (monitor_runs(m, type))
			return true;
	return false;
}

/* QEMU ends with twice what the guest writes to isa-debug-exit, and one. It ends with 1 by
 * itself, so that a guest's 0 can't be told from QEMU's own failure. */
void monitor_exit_text(const char *monitor, const char *guest, unsigned int status, bool killed,
		       char *text, size_t size)
{
	bool qemu = strcmp(monitor, "qemu") == 0;

	if (killed)
		(void)snprintf(text, size, "%s was killed by signal %u", monitor, status - 128);
	else if (qemu && strcmp(guest, "mewz") == 0 && status % 2 == 1 && status > 1)
		(void)snprintf(text, size, "%s exit code %u is its guest's own, %u", monitor, status,
			       status / 2);
	else if (qemu && status == 0)
		(void)snprintf(text, size, "%s exit code 0: its guest was switched off, or it was "
			       "asked to end", monitor);
	else
		(void)snprintf(text, size, "%s exit code %u is its own, or its guest's", monitor, status);
}

void monitor_names(const char *type, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (const struct monitor *m = monitors; m->name && used < size; m++)
		if (!type[0] || monitor_runs(m, type))
			used += (size_t)snprintf(text + used, size - used, "%s%s",
						 used ? ", " : "", m->name);
}
