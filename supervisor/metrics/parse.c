/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/metrics/parse.h"

#include "journal/base/text.h"

#include <stdio.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool span_is(struct span s, const char *word)
{
	return strlen(word) == s.len && memcmp(s.at, word, s.len) == 0;
}

bool span_line(const char **rest, struct span *line)
{
	size_t len = strcspn(*rest, "\n");

	if (!**rest)
		return false;
	*line = (struct span){ *rest, len };
	*rest += len;
	*rest += **rest == '\n';
	return true;
}

bool span_word(struct span *rest, const char *separators, struct span *word)
{
	while (rest->len > 0 && strchr(separators, *rest->at)) {
		rest->at++;
		rest->len--;
	}
	*word = (struct span){ rest->at, 0 };
	while (rest->len > 0 && !strchr(separators, *rest->at)) {
		rest->at++;
		rest->len--;
		word->len++;
	}
	return word->len > 0;
}

uint64_t span_number(struct span s, uint64_t max)
{
	uint64_t n = 0;

	if (span_is(s, "max"))
		return max;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_digit(s.at[i]))
			return 0;
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(s.at[i] - '0'), &n))
			return UINT64_MAX;
	}
	return n;
}

uint64_t stat_number(const char *text, uint64_t max)
{
	struct span line, word;

	if (!span_line(&text, &line) || !span_word(&line, " \t", &word))
		return 0;
	return span_number(word, max);
}

double span_fraction(struct span s)
{
	double value = 0, unit = 1;
	bool point = false;

	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] == '.' && !point) {
			point = true;
			continue;
		}
		if (!is_digit(s.at[i]))
			return 0;
		value = value * 10 + (s.at[i] - '0');
		if (point)
			unit *= 10;
		if (value > 1e15) /* no share of time, and no exact number */
			return 0;
	}
	return value / unit;
}

static void put(const struct stat_key *keys, size_t n, struct span key, uint64_t value,
		void *into)
{
	for (size_t i = 0; i < n; i++)
		if (span_is(key, keys[i].key))
			memcpy((char *)into + keys[i].at, &value, sizeof(value));
}

void stat_keys(const char *text, const struct stat_key *keys, size_t n, void *into)
{
	struct span line, key, value;

	while (span_line(&text, &line))
		if (span_word(&line, " \t", &key) && span_word(&line, " \t", &value))
			put(keys, n, key, span_number(value, UINT64_MAX), into);
}

/* Part "key=value" in two. */
static bool pair(struct span word, struct span *key, struct span *value)
{
	const char *equals = memchr(word.at, '=', word.len);

	if (!equals)
		return false;
	*key = (struct span){ word.at, (size_t)(equals - word.at) };
	*value = (struct span){ equals + 1, word.len - key->len - 1 };
	return true;
}

size_t stat_words(struct span rest, uint64_t max, const struct stat_key *keys, size_t n,
		  void *into)
{
	struct span word, key, value;
	size_t count = 0;

	while (span_word(&rest, " \t", &word)) {
		if (!pair(word, &key, &value))
			continue;
		put(keys, n, key, span_number(value, max), into);
		count++;
	}
	return count;
}

static void put_pressure(struct span key, struct span value, struct pressure *ret)
{
	if (span_is(key, "avg10"))
		ret->avg10 = span_fraction(value);
	else if (span_is(key, "avg60"))
		ret->avg60 = span_fraction(value);
	else if (span_is(key, "avg300"))
		ret->avg300 = span_fraction(value);
	else if (span_is(key, "total"))
		ret->total = span_number(value, 0);
}

bool stat_pressure(const char *text, const char *which, struct pressure *ret)
{
	struct span line, word, key, value;

	while (span_line(&text, &line)) {
		if (!span_word(&line, " \t", &word) || !span_is(word, which))
			continue;
		*ret = (struct pressure){ .total = 0 };
		while (span_word(&line, " \t", &word))
			if (pair(word, &key, &value))
				put_pressure(key, value, ret);
		return true;
	}
	return false;
}

/* A number that names something: a wrong one can't stand for 0. */
static bool take_number(struct span *rest, const char *separators, uint64_t *ret)
{
	struct span word;

	if (!span_word(rest, separators, &word) || !is_digit(word.at[0]))
		return false;
	*ret = span_number(word, 0);
	return true;
}

bool stat_blkio(struct span line, struct blkio_line *ret)
{
	struct span first, second;

	if (!take_number(&line, " :", &ret->major) || !take_number(&line, " :", &ret->minor) ||
	    !span_word(&line, " :", &first))
		return false;
	ret->op = (struct span){ first.at, 0 };
	if (span_word(&line, " :", &second)) {
		ret->op = first;
		first = second;
	}
	ret->value = span_number(first, 0);
	return true;
}

static uint32_t small(uint64_t n)
{
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

bool stat_rdma(struct span line, struct rdma_line *ret)
{
	uint64_t numbers[2] = { 0, 0 };
	static const struct stat_key keys[] = {
		{ "hca_handle", 0 },
		{ "hca_object", sizeof(numbers[0]) },
	};

	if (!span_word(&line, " \t", &ret->device) ||
	    stat_words(line, UINT32_MAX, keys, 2, numbers) != 2)
		return false;
	ret->handles = small(numbers[0]);
	ret->objects = small(numbers[1]);
	return true;
}

bool stat_partition(struct span line, struct partition_line *ret)
{
	uint64_t blocks;

	return take_number(&line, " \t", &ret->major) &&
	       take_number(&line, " \t", &ret->minor) && take_number(&line, " \t", &blocks) &&
	       span_word(&line, " \t", &ret->name);
}

bool stat_hugepage(const char *folder, char ret[24])
{
	static const char *const units[] = { "KB", "MB", "GB", "TB" };
	const char *text = folder + strlen("hugepages-");
	size_t unit = 0;
	uint64_t size;

	if (strncmp(folder, "hugepages-", strlen("hugepages-")) != 0 || !text_ends(text, "kB"))
		return false;
	size = span_number((struct span){ text, strlen(text) - 2 }, 0);
	if (size == 0)
		return false;
	for (; size % 1024 == 0 && unit < 3; unit++)
		size /= 1024;
	return snprintf(ret, 24, "%llu%s", (unsigned long long)size, units[unit]) < 24;
}

size_t stat_lines(const char *text)
{
	size_t n = 1;

	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}
