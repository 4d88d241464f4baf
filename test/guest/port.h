/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_GUEST_PORT_H
#define URUNC_GUEST_PORT_H

/*
 * port.h - ports, and PCI by them, of the machine that QEMU makes.
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

#endif
