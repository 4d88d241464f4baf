/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spt.c - a guest for solo5-spt, which runs it as a process with hardly a system call.
 *
 * It prints its command line and does what the words there say (guest.h); "crash" writes
 * where there is no memory. Else it ends with 0. With -DCARD it has a network card by the
 * name of a mirage guest's, and solo5-spt wants to be told its tap.
 *
 * The layouts are those of Solo5's include/mft_abi.h (1), elf_abi.h and spt_abi.h (2).
 */
#include "test/guest/guest.h"

#include <linux/unistd.h>

#define STDOUT    1
#define RESERVED  (1u << 30)
#define NET_BASIC 2
#define SPT       2

struct entry {
	char name[68];
	uint32_t type;
	uint8_t mac[6];
	uint16_t mtu;
	uint64_t more; /* what other kinds have there */
	int64_t fd;
	uint64_t attached;
};

struct manifest {
	uint32_t version, n;
#ifdef CARD
	struct entry at[2];
#else
	struct entry at[1];
#endif
};

struct note {
	uint32_t name_size, size, type;
	char name[8];
};

static const struct {
	struct note head;
	uint32_t target, version, reserved[2];
} abi __attribute__((section(".note.abi"), used, aligned(4))) = {
	{ 6, 16, 0x31494241, "Solo5" }, SPT, 2, { 0, 0 }
};

static const struct {
	struct note head;
	struct manifest manifest;
} devices __attribute__((section(".note.manifest"), used, aligned(8))) = {
	{ 6, 4 + sizeof(struct manifest), 0x3154464d, "Solo5" },
	{ 1, sizeof(devices.manifest.at) / sizeof(struct entry), {
		{ .type = RESERVED },
#ifdef CARD
		{ .name = "service", .type = NET_BASIC },
#endif
	} },
};

struct boot_info {
	uint64_t memory, kernel_end;
	const char *cmdline;
	const struct manifest *manifest;
	int epoll, timer;
};

static const struct boot_info *boot;

static long call(long n, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = 0;
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret;
}

void put(const char *text)
{
	long n = 0;

	while (text[n])
		n++;
	call(__NR_write, STDOUT, (long)text, n, 0);
}

void leave_with(uint32_t code)
{
	call(__NR_exit_group, code, 0, 0, 0);
}

/* Until a frame comes, or for ever. */
static void wait_for_frame(void)
{
	struct {
		uint32_t events;
		uint64_t which;
	} __attribute__((packed)) e;

	call(__NR_epoll_pwait, boot->epoll, (long)&e, 1, -1);
}

void stay(void)
{
	for (;;)
		wait_for_frame();
}

#ifdef CARD

int card_open(uint8_t *mac)
{
	copy(mac, boot->manifest->at[1].mac, 6);
	return 1;
}

uint32_t card_receive(uint8_t *frame, uint32_t max)
{
	long n;

	wait_for_frame();
	n = call(__NR_read, boot->manifest->at[1].fd, (long)frame, max, 0);
	return n > 0 ? (uint32_t)n : 0;
}

void card_send(const uint8_t *frame, uint32_t len)
{
	call(__NR_write, boot->manifest->at[1].fd, (long)frame, len, 0);
}

#else

int card_open(uint8_t *mac)
{
	(void)mac;
	return 0;
}

uint32_t card_receive(uint8_t *frame, uint32_t max)
{
	(void)frame;
	(void)max;
	return 0;
}

void card_send(const uint8_t *frame, uint32_t len)
{
	(void)frame;
	(void)len;
}

#endif

void _start(const struct boot_info *info);

void _start(const struct boot_info *info)
{
	boot = info;
	put("guest: spt\nguest: cmdline=[");
	put(info->cmdline);
	put("]\n");
	if (find(info->cmdline, "crash"))
		__asm__ volatile("movl $1, 8" : : : "memory");
	do_words(info->cmdline, info->cmdline);
	leave_with(0);
}
