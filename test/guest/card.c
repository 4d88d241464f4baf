/* SPDX-License-Identifier: Apache-2.0 */
/*
 * card.c - a network card of virtio's first kind.
 *
 * Two rings, one buffer in each, no interrupts: the card is asked again and again.
 */
#include "test/guest/guest.h"
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

int card_open(uint8_t *mac)
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

void card_send(const uint8_t *frame, uint32_t len)
{
	struct ring *r = &rings[1];
	uint16_t n = r->used_n;

	for (uint32_t i = 0; i < HEADER; i++)
		frames[1][i] = 0;
	copy(frames[1] + HEADER, frame, len);
	offer(1, HEADER + len);
	while (r->used_n == n)
		;
}

uint32_t card_receive(uint8_t *frame, uint32_t max)
{
	struct ring *r = &rings[0];
	static uint16_t seen;
	uint32_t len;

	if (r->used_n == seen)
		return 0;
	len = r->used[seen++ % SLOTS].len - HEADER;
	len = len <= max ? len : 0;
	copy(frame, frames[0] + HEADER, len);
	offer(0, sizeof(frames[0]));
	return len;
}
