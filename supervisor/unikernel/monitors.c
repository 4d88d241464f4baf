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
	  .block = true, .virtiofs = true, .p9 = true, .kvm = KVM_MAY },
	{ "firecracker", "firecracker", { "linux", "unikraft", "freebsd" }, .block = true,
	  .kvm = KVM_MUST },
	{ "cloud-hypervisor", "cloud-hypervisor", { "linux" }, .block = true, .virtiofs = true,
	  .kvm = KVM_MUST },
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

void monitor_names(const char *type, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (const struct monitor *m = monitors; m->name && used < size; m++)
		if (!type[0] || monitor_runs(m, type))
			used += (size_t)snprintf(text + used, size - used, "%s%s",
						 used ? ", " : "", m->name);
}
