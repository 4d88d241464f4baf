/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_GUEST_GUEST_H
#define URUNC_GUEST_GUEST_H

/*
 * guest.h - what the tests' guests share: the words that they are given, and an answer to
 * who asks for them by a network; and what each machine has to have for that.
 */

#include <stdint.h>

static inline void copy(uint8_t *to, const uint8_t *from, uint32_t n)
{
	while (n--)
		*to++ = *from++;
}

/* ---- words.c, net.c ---------------------------------------------------------- */

void put_number(uint32_t n);

/* What follows @word where it begins a word of @line, or a null pointer. */
const char *find(const char *line, const char *word);

/*
 * Do what the words say, those of the command line or others, which may be the same:
 *
 *   answer=N answer N pings of the address that the command line has in "ip=A.B.C.D",
 *            "--ipv4=A.B.C.D" or "--ipv6=A::B", first; of the others alone
 *   spin     stay
 *   exit=N   leave_with(N)
 *
 * It comes back if neither of the last two is among them.
 */
void do_words(const char *line, const char *words);

/* Is there a card? Then it is ready. */
int net_open(void);
/* Answer what came, if it asks for @ip, or @ip6, which may be null pointers: 1 it was a
 * ping; 0 it was not, or nothing came. */
int net_answer(const uint8_t *ip, const uint8_t *ip6);

/* ---- kernel.c and card.c for QEMU; spt.c for solo5-spt ----------------------------- */

void put(const char *text);
__attribute__((noreturn)) void stay(void);
void leave_with(uint32_t code);

/* 1: there is a card, and @mac has its address; 0: there is none. */
int card_open(uint8_t *mac);
/* The next frame's length, 0: none has come, or it was longer than @max. */
uint32_t card_receive(uint8_t *frame, uint32_t max);
void card_send(const uint8_t *frame, uint32_t len);

#endif
