/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/sim_crew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char ops[] = "csxkprdzvR2B";
static const char faults[] = "DEHXSFG";

char *script_text(const struct script *script, char *buf, size_t size)
{
	size_t len = script->native ? 1 : 0;

	(void)snprintf(buf, size, "%s", script->native ? "u" : "");
	for (int i = 0; i < script->n && len + 16 < size; i++) {
		const struct act *a = &script->at[i];

		len += (size_t)snprintf(buf + len, size - len, "%s%c", len ? " " : "", a->op);
		if (a->fault || a->n)
			len += (size_t)snprintf(buf + len, size - len, "%.1s%d",
						a->fault ? &a->fault : "", a->n);
	}
	return buf;
}

int script_parse(struct script *ret, const char *text)
{
	*ret = (struct script){ .n = 0 };
	while (*text && *text != '#' && *text != '\n') {
		struct act *a = &ret->at[ret->n];
		char *end;

		if (*text == ' ') {
			text++;
			continue;
		}
		if (*text == 'u' && ret->n == 0) {
			ret->native = true;
			text++;
			continue;
		}
		if (ret->n == SCRIPT_MAX || !strchr(ops, *text))
			return -1;
		a->op = *text++;
		if (*text && strchr(faults, *text))
			a->fault = *text++;
		a->n = (int)strtol(text, &end, 10);
		text = end;
		ret->n++;
	}
	return 0;
}

/* splitmix64 */
static uint64_t next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int below(uint64_t *state, int n)
{
	return (int)(next(state) % (uint64_t)n);
}

static int number_for(char fault, uint64_t *state)
{
	switch (fault) {
	case 'H':
		return 1 + below(state, 4);
	case 'X':
		return 1 + below(state, 6);
	case 'D':
	case 'E':
		/* Some operations are short, and most of a long one is in its middle. */
		return 1 + below(state, below(state, 2) ? 30 : 150);
	case 'G':
		return 1 + below(state, 200);
	default:
		return 0;
	}
}

/* What makes sense next comes more often than what is refused. */
static char likely(uint64_t *state, char last)
{
	switch (last) {
	case 'c':
		return "sssxkdzv"[below(state, 8)];
	case 's':
	case 'x':
	case 'r':
		return "xxkkpzvR"[below(state, 8)];
	case 'p':
		return "rrkzvR2B"[below(state, 8)];
	case 'k':
		return "dddzvRB2"[below(state, 8)];
	case 'z':
		return "vvRR2Bcc"[below(state, 8)];
	default:
		return 'c';
	}
}

void script_random(struct script *ret, uint64_t seed)
{
	uint64_t state = seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
	char last = 0;

	*ret = (struct script){ .n = 1 + below(&state, 12), .native = below(&state, 3) == 0 };
	for (int i = 0; i < ret->n; i++) {
		struct act *a = &ret->at[i];

		a->op = below(&state, 5) ? likely(&state, last) : ops[below(&state, (int)sizeof(ops) - 1)];
		if (below(&state, 3) == 0)
			a->fault = faults[below(&state, (int)sizeof(faults) - 1)];
		a->n = a->fault ? number_for(a->fault, &state) : a->op == '2' ? 1 + below(&state, 40) : 0;
		last = a->op;
	}
}
