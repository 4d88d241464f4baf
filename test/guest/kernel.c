/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel.c - the smallest guest that can tell what it was given.
 *
 * It prints how it was loaded, its command line, disks and shares to the serial port, and
 * then does what the words of the command line, or of an initrd that is text, say:
 *
 *   exit=N   leave by isa-debug-exit: QEMU ends with N * 2 + 1
 *   answer=N answer N pings of the address in "ip=A.B.C.D" or "--ipv6=A::B", first
 *   spin     stay
 *
 * or switches the machine off, which ends QEMU with 0.
 */
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

static void put(const char *text)
{
	for (; *text; text++) {
		while (!(in8(SERIAL + 5) & 0x20))
			;
		out8(SERIAL, (uint8_t)*text);
	}
}

static void put_number(uint32_t n)
{
	char text[11];
	char *p = text + sizeof(text) - 1;

	*p = '\0';
	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	put(p);
}

/* What follows @word where it begins a word of @line, or a null pointer. */
static const char *find(const char *line, const char *word)
{
	for (const char *at = line; *at; at++) {
		const char *p = at;
		const char *w = word;

		if (at != line && at[-1] != ' ')
			continue;
		for (; *w && *p == *w; p++)
			w++;
		if (!*w)
			return p;
	}
	return 0;
}

static uint32_t number(const char *text)
{
	uint32_t n = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		n = n * 10 + (uint32_t)(*text - '0');
	return n;
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

static __attribute__((noreturn)) void stay(void)
{
	for (;;)
		__asm__ volatile("hlt");
}

static void address(const char *text, uint8_t *ip)
{
	for (int i = 0; i < 4; i++) {
		ip[i] = (uint8_t)number(text);
		while (*text >= '0' && *text <= '9')
			text++;
		text += *text == '.';
	}
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Groups, once with "::" between them: what comes after that is moved to the end. */
static void address6(const char *text, uint8_t *ip)
{
	int n = 0;
	int gap = -1;

	for (int i = 0; i < 16; i++)
		ip[i] = 0;
	while (n < 16 && (digit(*text) >= 0 || *text == ':')) {
		uint32_t group = 0;

		for (; digit(*text) >= 0; text++)
			group = group << 4 | (uint32_t)digit(*text);
		ip[n++] = (uint8_t)(group >> 8);
		ip[n++] = (uint8_t)group;
		text += *text == ':';
		if (*text == ':' && text++)
			gap = n;
	}
	for (int i = 1; gap >= 0 && n < 16 && i <= n - gap; i++) {
		ip[16 - i] = ip[n - i];
		ip[n - i] = 0;
	}
}

static void answer(const char *line, const char *words)
{
	const char *count = find(words, "answer=");
	const char *where = find(line, "ip=");
	const char *where6 = find(line, "--ipv6=");
	uint32_t n = count ? number(count) : 0;
	uint8_t ip[4];
	uint8_t ip6[16];

	if (!n || (!where && !where6) || !net_open()) {
		put(n ? "guest: no network\n" : "");
		return;
	}
	if (where)
		address(where, ip);
	if (where6)
		address6(where6, ip6);
	put("guest: listens\n");
	while (n)
		n -= (uint32_t)net_answer(where ? ip : 0, where6 ? ip6 : 0);
	put("guest: answered\n");
}

static void obey(const char *line)
{
	const char *code = find(line, "exit=");

	if (find(line, "spin"))
		stay();
	if (code)
		out16(DEBUG_EXIT, (uint16_t)number(code));
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

static __attribute__((noreturn)) void leave(const char *line, const char *words)
{
	obey(line);
	obey(words);
	out16(ACPI_PM1A, 0x2000);
	stay();
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
	answer(line, text);
	leave(line, text);
}
