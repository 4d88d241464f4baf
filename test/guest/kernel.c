/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel.c - the smallest guest that can tell what it was given.
 *
 * It prints how it was loaded, its command line, disks and shares to the serial port, and
 * then does what the words of the command line, or of an initrd that is text, say
 * (guest.h); exit=N is by isa-debug-exit: QEMU ends with N * 2 + 1. Else it switches the
 * machine off, which ends QEMU with 0.
 */
#include "test/guest/guest.h"
#include "test/guest/port.h"

#define SERIAL      0x3f8
#define DEBUG_EXIT  0x501
#define ACPI_PM1A   0x604
#define MULTIBOOT   0x2badb002u
#define PVH         0x336ec578u
#define VIRTIO      0x1af4u
/* Without the old interface, as shares always are, it is 0x1040 and the kind. */
#define VIRTIO_DISK 0x1001u
#define NEW_DISK    0x1042u
#define NEW_SHARE   0x105au

struct multiboot_info {
	uint32_t flags; /* bit 2: cmdline is valid; bit 3: the modules are */
	uint32_t mem_lower, mem_upper, boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods_at;
};

struct multiboot_module {
	uint32_t start, end, name, reserved;
};

struct pvh_module {
	uint64_t at, size, cmdline, reserved;
};

struct pvh_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modules, cmdline;
};

void put(const char *text)
{
	for (; *text; text++) {
		while (!(in8(SERIAL + 5) & 0x20))
			;
		out8(SERIAL, (uint8_t)*text);
	}
}

static uint32_t count_devices(uint32_t kind, uint32_t or_kind)
{
	uint32_t n = 0;

	for (uint32_t slot = 0; slot < 32; slot++) {
		uint32_t id = pci_read(slot, 0);

		n += (id & 0xffff) == VIRTIO && (id >> 16 == kind || id >> 16 == or_kind);
	}
	return n;
}

void stay(void)
{
	for (;;)
		__asm__ volatile("hlt");
}

void leave_with(uint32_t code)
{
	out16(DEBUG_EXIT, (uint16_t)code);
}

/* What is text of an initrd. */
static const char *read_words(char *words, uint32_t size, uint32_t from, uint32_t len)
{
	uint32_t n = 0;

	for (; n < len && n + 1 < size && ((const char *)from)[n] >= ' '; n++)
		words[n] = ((const char *)from)[n];
	words[n] = '\0';
	return words;
}

void kernel(uint32_t magic, uint32_t info);

void kernel(uint32_t magic, uint32_t info)
{
	const struct multiboot_info *mb = (const struct multiboot_info *)info;
	const struct pvh_info *pvh = (const struct pvh_info *)info;
	const struct multiboot_module *mod;
	const struct pvh_module *pmod;
	const char *line = "";
	const char *text = "";
	char words[128];
	uint32_t modules = 0;

	if (magic == MULTIBOOT) {
		line = mb->flags & 4 ? (const char *)mb->cmdline : "";
		modules = mb->flags & 8 ? mb->mods_count : 0;
		mod = (const struct multiboot_module *)mb->mods_at;
		if (modules)
			text = read_words(words, sizeof(words), mod->start, mod->end - mod->start);
		/* It comes with the name of the kernel's file before it. */
		put("guest: multiboot\n");
	} else if (pvh->magic == PVH) {
		line = pvh->cmdline ? (const char *)(uint32_t)pvh->cmdline : "";
		modules = pvh->nr_modules;
		pmod = (const struct pvh_module *)(uint32_t)pvh->modules;
		if (modules)
			text = read_words(words, sizeof(words), (uint32_t)pmod->at,
					  (uint32_t)pmod->size);
		put("guest: pvh\n");
	}
	put("guest: cmdline=[");
	put(line);
	put("]\nguest: initrds=");
	put_number(modules);
	put(" disks=");
	put_number(count_devices(VIRTIO_DISK, NEW_DISK));
	put("\n");
	if (count_devices(NEW_SHARE, NEW_SHARE) == 1)
		put("guest: shares=1\n");
	if (text[0]) {
		put("guest: words=[");
		put(text);
		put("]\n");
	}
	do_words(line, text);
	out16(ACPI_PM1A, 0x2000);
	stay();
}
