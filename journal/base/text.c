/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool all_digits(const char *s)
{
	if (!*s)
		return false;
	while (is_digit(*s))
		s++;
	return !*s;
}

int text_int64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
	long long v;

	if (!s || !all_digits(s + (*s == '-')))
		return -EINVAL;
	errno = 0;
	v = strtoll(s, NULL, 10);
	if (errno || v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

bool text_is_identifier(const char *s, size_t max)
{
	bool joint = true; /* a joint must stand between two runs, so not here */
	size_t n;

	for (n = 0; s[n]; n++) {
		if (n == max)
			return false;
		if (is_alnum(s[n]))
			joint = false;
		else if (!joint && strchr("._-", s[n]))
			joint = true;
		else
			return false;
	}
	return n > 0 && !joint;
}

bool text_ends(const char *s, const char *tail)
{
	size_t n = strlen(s);
	size_t t = strlen(tail);

	return n >= t && !memcmp(s + n - t, tail, t);
}

bool text_is_hex(const char *s, size_t n)
{
	return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}
