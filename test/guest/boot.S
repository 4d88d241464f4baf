/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot.S - how a loader finds the kernel: by the multiboot 1 header, or, where that is
 * not looked for, by the PVH note. Both enter _start in 32 bit protected mode with
 * paging off: EAX tells which one, EBX where its facts are.
 */
#ifndef PVH_ONLY
	.section .multiboot, "a"
	.balign 4
	.long 0x1badb002, 0, -0x1badb002	/* magic, flags, checksum */
#endif

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18				/* name, value, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long _start

	.section .text
	.code32
	.globl _start
_start:
	cli
	mov $stack_top, %esp
	push %ebx
	push %eax
	call kernel
1:	hlt
	jmp 1b

	.bss
	.balign 16
	.skip 4096
stack_top:

	.section .note.GNU-stack, "", @progbits
