/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.c - a network card of virtio's first kind, and just enough of IP to answer.
 *
 * Two rings, one buffer in each, no interrupts: the card is asked again and again.
 */
#include "test/guest/port.h"

#define CARD      0x10001af4u /* device, vendor */
#define PCI_COMMAND 0x04
#define PCI_BAR0  0x10
#define SLOTS     256 /* of a ring: QEMU's own number */
#define HEADER    10  /* of virtio, before each frame */
#define FRAME_MAX 1600

/* Registers. */
#define GUEST_FEATURES 0x04
#define QUEUE_PAGE     0x08
#define QUEUE_SELECT   0x0e
#define QUEUE_NOTIFY   0x10
#define STATUS         0x12
#define MAC            0x14

#define DESC_WRITE 2 /* the card writes to it */

struct desc {
	uint64_t at;
	uint32_t len;
	uint16_t flags, next;
};

struct ring {
	struct desc desc[SLOTS];
	uint16_t avail_flags, avail_n, avail[SLOTS];
	uint16_t used_flags __attribute__((aligned(4096)));
	volatile uint16_t used_n;
	struct {
		uint32_t id, len;
	} used[SLOTS];
} __attribute__((aligned(4096)));

static struct ring rings[2]; /* what comes, what goes */
static uint8_t frames[2][HEADER + FRAME_MAX];
static uint16_t port;
static uint8_t mac[6];

static void copy(uint8_t *to, const uint8_t *from, uint32_t n)
{
	while (n--)
		*to++ = *from++;
}

static int same(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	while (n && *a == *b)
		n--, a++, b++;
	return n == 0;
}

/* Let the card have the only buffer of a ring. */
static void offer(int q, uint32_t len)
{
	struct ring *r = &rings[q];

	r->desc[0] = (struct desc){ .at = (uint32_t)frames[q], .len = len,
				    .flags = q == 0 ? DESC_WRITE : 0 };
	r->avail[r->avail_n % SLOTS] = 0;
	__asm__ volatile("" ::: "memory");
	r->avail_n++;
	__asm__ volatile("" ::: "memory");
	out16(port + QUEUE_NOTIFY, (uint16_t)q);
}

int net_open(void)
{
	uint32_t slot = 0;

	while (slot < 32 && pci_read(slot, 0) != CARD)
		slot++;
	if (slot == 32)
		return 0;
	pci_write(slot, PCI_COMMAND, pci_read(slot, PCI_COMMAND) | 5); /* ports, bus master */
	port = (uint16_t)(pci_read(slot, PCI_BAR0) & ~3u);
	out8(port + STATUS, 0);
	out8(port + STATUS, 3); /* seen, and driven */
	out32(port + GUEST_FEATURES, 0);
	for (uint16_t q = 0; q < 2; q++) {
		out16(port + QUEUE_SELECT, q);
		out32(port + QUEUE_PAGE, (uint32_t)&rings[q] >> 12);
	}
	for (uint16_t i = 0; i < 6; i++)
		mac[i] = in8(port + MAC + i);
	out8(port + STATUS, 7);
	offer(0, sizeof(frames[0]));
	return 1;
}

static void send(uint32_t len)
{
	struct ring *r = &rings[1];
	uint16_t n = r->used_n;

	offer(1, HEADER + len);
	while (r->used_n == n)
		;
}

/* ---- what is answered ---------------------------------------------------------- */

static uint16_t sum(const uint8_t *p, uint32_t n, uint32_t s)
{
	for (; n > 1; n -= 2, p += 2)
		s += (uint32_t)p[0] << 8 | p[1];
	if (n)
		s += (uint32_t)p[0] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

/* Back to who sent it. */
static void turn(uint8_t *f)
{
	copy(f, f + 6, 6);
	copy(f + 6, mac, 6);
}

static int answer_arp(uint8_t *f, const uint8_t *ip)
{
	static const uint8_t ask[] = { 8, 6, 0, 1, 8, 0, 6, 4, 0, 1 };

	if (!same(f + 12, ask, sizeof(ask)) || !same(f + 38, ip, 4))
		return 0;
	f[21] = 2;
	copy(f + 32, f + 22, 10);
	copy(f + 22, mac, 6);
	copy(f + 28, ip, 4);
	turn(f);
	send(42);
	return 1;
}

static int answer_ping(uint8_t *f, uint32_t len, const uint8_t *ip)
{
	uint32_t all = (uint32_t)f[16] << 8 | f[17];
	uint16_t s;

	if (f[12] != 8 || f[13] != 0 || f[14] != 0x45 || f[23] != 1 || f[34] != 8 ||
	    !same(f + 30, ip, 4) || all < 28 || all + 14 > len)
		return 0;
	copy(f + 30, f + 26, 4);
	copy(f + 26, ip, 4);
	f[34] = f[36] = f[37] = 0;
	s = sum(f + 34, all - 20, 0);
	f[36] = (uint8_t)(s >> 8);
	f[37] = (uint8_t)s;
	turn(f);
	send(14 + all);
	return 1;
}

/* Of IPv6: the checksum is over both addresses, too. */
static void send6(uint8_t *f, const uint8_t *ip, uint32_t size)
{
	uint16_t s;

	copy(f + 38, f + 22, 16);
	copy(f + 22, ip, 16);
	f[18] = (uint8_t)(size >> 8);
	f[19] = (uint8_t)size;
	f[21] = 255;
	f[56] = f[57] = 0;
	s = sum(f + 22, 32 + size, size + 58);
	f[56] = (uint8_t)(s >> 8);
	f[57] = (uint8_t)s;
	turn(f);
	send(54 + size);
}

/* Who asks for the neighbour is told this card. */
static void answer_neighbour(uint8_t *f, const uint8_t *ip)
{
	f[54] = 136;
	f[58] = 0x60;
	f[78] = 2;
	f[79] = 1;
	copy(f + 80, mac, 6);
	send6(f, ip, 32);
}

static int answer_six(uint8_t *f, uint32_t len, const uint8_t *ip)
{
	uint32_t size = (uint32_t)f[18] << 8 | f[19];

	if (len < 62 || f[12] != 0x86 || f[13] != 0xdd || f[20] != 58 || size + 54 > len)
		return 0;
	if (f[54] == 135 && len >= 86 && same(f + 62, ip, 16))
		answer_neighbour(f, ip);
	if (f[54] != 128 || !same(f + 38, ip, 16))
		return 0;
	f[54] = 129;
	send6(f, ip, size);
	return 1;
}

int net_answer(const uint8_t *ip, const uint8_t *ip6)
{
	struct ring *r = &rings[0];
	static uint16_t seen;
	uint8_t *f = frames[1] + HEADER;
	uint32_t len;
	int ping = 0;

	if (r->used_n == seen)
		return 0;
	len = r->used[seen++ % SLOTS].len - HEADER;
	for (uint32_t i = 0; i < HEADER; i++)
		frames[1][i] = 0;
	copy(f, frames[0] + HEADER, len < FRAME_MAX ? len : FRAME_MAX);
	if (len < 42 || len > FRAME_MAX)
		ping = 0;
	else if (ip6 && f[12] == 0x86)
		ping = answer_six(f, len, ip6);
	else if (ip && !answer_arp(f, ip))
		ping = answer_ping(f, len, ip);
	offer(0, sizeof(frames[0]));
	return ping;
}
