/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.c - just enough of IP to answer, on whatever card the machine has.
 */
#include "test/guest/guest.h"

#define FRAME_MAX 1600

static uint8_t frame[FRAME_MAX];
static uint8_t mac[6];

static int same(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	while (n && *a == *b)
		n--, a++, b++;
	return n == 0;
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
	card_send(f, 42);
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
	card_send(f, 14 + all);
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
	card_send(f, 54 + size);
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

int net_open(void)
{
	return card_open(mac);
}

int net_answer(const uint8_t *ip, const uint8_t *ip6)
{
	uint32_t len = card_receive(frame, sizeof(frame));

	if (len < 42)
		return 0;
	if (ip6 && frame[12] == 0x86)
		return answer_six(frame, len, ip6);
	return ip && !answer_arp(frame, ip) ? answer_ping(frame, len, ip) : 0;
}
