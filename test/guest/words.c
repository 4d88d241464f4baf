/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words.c - what a guest does with the words that it was given, on every machine.
 */
#include "test/guest/guest.h"

void put_number(uint32_t n)
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
const char *find(const char *line, const char *word)
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

	if (!where)
		where = find(line, "--ipv4=");
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
		leave_with(number(code));
}

void do_words(const char *line, const char *words)
{
	answer(line, words);
	obey(line);
	obey(words);
}
