/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/io/uri.h"

#include "journal/base/cleanup.h"

#include <stdbool.h>
#include <string.h>

#define SHOWN 200 /* bytes of a URI in a sentence */

static int bad(struct err *err, int code, const char *uri, const char *why)
{
	return err_say(err, code, "%.*s: %s", SHOWN, uri, why);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decode @n bytes; @ret has room for them and a NUL. False: a bad %XX. */
static bool decode(char *ret, const char *s, size_t n, bool query)
{
	for (const char *end = s + n; s < end; s++) {
		char c = *s;

		if (c == '%') {
			int high = end - s > 2 ? hex(s[1]) : -1;
			int low = end - s > 2 ? hex(s[2]) : -1;

			if (high < 0 || low < 0 || high + low == 0)
				return false;
			c = (char)(high << 4 | low);
			s += 2;
		} else if (c == '+' && query) {
			c = ' ';
		}
		*ret++ = c;
	}
	*ret = '\0';
	return true;
}

/* Where the path of a URI begins, and how long it is. */
static int find_path(const char *uri, const char **path, size_t *n, struct err *err)
{
	const char *colon = strstr(uri, "://");

	if (strnlen(uri, URI_MAX + 1) > URI_MAX)
		return bad(err, ENAMETOOLONG, uri, "the URI is longer than 8192 bytes");
	if (!colon || colon[3] != '/')
		return bad(err, EINVAL, uri, "the path is not absolute; write three slashes");
	*path = colon + 3;
	*n = strcspn(*path, "?#");
	return 0;
}

int uri_path(char *ret, size_t size, const char *uri, struct err *err)
{
	const char *path;
	size_t n;
	int rc = find_path(uri, &path, &n, err);

	if (rc < 0)
		return rc;
	if (n >= size)
		return bad(err, ENAMETOOLONG, uri, "the path is too long");
	if (!decode(ret, path, n, false))
		return bad(err, EINVAL, uri, "a % in it is not followed by two hex digits, or is %00");
	return 0;
}

static bool known(char *const *argv, size_t n, const char *key)
{
	for (size_t i = 1; i < n; i += 2)
		if (strcmp(argv[i], key) == 0)
			return true;
	return false;
}

/* One pair of @n bytes, at *at; false: a bad %XX. */
static bool take_pair(char **argv, size_t *argc, char **at, const char *pair, size_t n)
{
	const char *equals = memchr(pair, '=', n);
	size_t key = equals ? (size_t)(equals - pair) : n;
	size_t skip = equals ? key + 1 : n;
	char *value = *at + key + 1;

	if (!decode(*at, pair, key, true) || !decode(value, pair + skip, n - skip, true))
		return false;
	if (known(argv, *argc, *at))
		return true;
	argv[(*argc)++] = *at;
	argv[(*argc)++] = value;
	*at = value + strlen(value) + 1;
	return true;
}

int uri_argv(char ***ret, const char *uri, struct err *err)
{
	const size_t words = 1 + 2 * URI_PAIRS_MAX;
	auto_free char **argv = NULL;
	size_t argc = 1, n;
	const char *s;
	char *at;
	int rc = find_path(uri, &s, &n, err);

	if (rc < 0)
		return rc;
	/* Decoding never lengthens; each word has a NUL. */
	argv = calloc(1, (words + 1) * sizeof(*argv) + strlen(uri) + words);
	if (!argv)
		return err_set(err, ENOMEM, "read a URI");
	at = (char *)(argv + words + 1);
	argv[0] = at;
	rc = uri_path(at, n + 1, uri, err);
	if (rc < 0)
		return rc;
	at += n + 1;
	for (s += n; *s == '?' || *s == '&'; s += n) {
		n = strcspn(++s, "&#");
		if (n > 0 && argc + 2 > words)
			return bad(err, E2BIG, uri, "the query has more than 64 pairs");
		if (n > 0 && !take_pair(argv, &argc, &at, s, n))
			return bad(err, EINVAL, uri,
				   "a % in it is not followed by two hex digits, or is %00");
	}
	*ret = TAKE_PTR(argv);
	return 0;
}
