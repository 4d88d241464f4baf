/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_GUEST_PORT_H
#define URUNC_GUEST_PORT_H

/*
 * port.h - what the files of the tests' kernel share: ports, PCI, and the network card.
 */

#include <stdint.h>

#define PCI_ADDRESS 0xcf8
#define PCI_DATA    0xcfc

static inline void out8(uint16_t at, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(at));
}

static inline void out16(uint16_t at, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(at));
}

static inline void out32(uint16_t at, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(at));
}

static inline uint8_t in8(uint16_t at)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(at));
	return value;
}

static inline uint32_t in32(uint16_t at)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(at));
	return value;
}

/* A register of the device in a slot of the first bus. */
static inline uint32_t pci_read(uint32_t slot, uint32_t reg)
{
	out32(PCI_ADDRESS, 0x80000000u | slot << 11 | reg);
	return in32(PCI_DATA);
}

static inline void pci_write(uint32_t slot, uint32_t reg, uint32_t value)
{
	out32(PCI_ADDRESS, 0x80000000u | slot << 11 | reg);
	out32(PCI_DATA, value);
}

/* net.c: is there a card? Then it is ready. */
int net_open(void);
/* Answer what came, if it asks for @ip, or @ip6, which may be null pointers: 1 it was a
 * ping; 0 it was not, or nothing came. */
int net_answer(const uint8_t *ip, const uint8_t *ip6);

#endif
