/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/bundle/toml.h"

#include "journal/base/cleanup.h"

#include <stdarg.h>
#include <string.h>

#define LIST_MAX 1024 /* members of an array  */
#define KEYS_MAX 1024 /* settings of a document */

struct reader {
	const char *at, *end;
	int line;
	char table[TOML_KEY_MAX]; /* "" or "a.b" */
	char key[TOML_KEY_MAX];
	char *seen[KEYS_MAX];
	size_t n_seen;
	struct err *err;
};

static int bad(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int bad(struct reader *r, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_say(r->err, EINVAL, "line %d: %s", r->line, text);
}

static int peek(const struct reader *r)
{
	return r->at < r->end ? (unsigned char)*r->at : -1;
}

static void skip_blanks(struct reader *r)
{
	while (peek(r) == ' ' || peek(r) == '\t')
		r->at++;
}

static int skip_comment(struct reader *r)
{
	if (peek(r) != '#')
		return 0;
	while (r->at < r->end && *r->at != '\n') {
		unsigned char c = (unsigned char)*r->at;

		if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f)
			return bad(r, "a control character in a comment");
		r->at++;
	}
	return 0;
}

/* Past blanks, a comment and the end of the line. */
static int end_line(struct reader *r)
{
	int rc;

	skip_blanks(r);
	rc = skip_comment(r);
	if (rc < 0 || r->at == r->end)
		return rc;
	if (peek(r) == '\r')
		r->at++;
	if (peek(r) != '\n')
		return bad(r, "expected the end of the line");
	r->at++;
	r->line++;
	return 0;
}

/* ---- strings ------------------------------------------------------------------- */

/* Append a code point as UTF-8; -1: it is none. */
static int put_utf8(char **out, uint32_t c)
{
	char *p = *out;

	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) || c == 0)
		return -1;
	if (c < 0x80) {
		*p++ = (char)c;
	} else if (c < 0x800) {
		*p++ = (char)(0xc0 | (c >> 6));
		*p++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*p++ = (char)(0xe0 | (c >> 12));
		*p++ = (char)(0x80 | ((c >> 6) & 0x3f));
		*p++ = (char)(0x80 | (c & 0x3f));
	} else {
		*p++ = (char)(0xf0 | (c >> 18));
		*p++ = (char)(0x80 | ((c >> 12) & 0x3f));
		*p++ = (char)(0x80 | ((c >> 6) & 0x3f));
		*p++ = (char)(0x80 | (c & 0x3f));
	}
	*out = p;
	return 0;
}

static int hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int read_unicode(struct reader *r, int digits, char **out)
{
	uint32_t c = 0;

	for (int i = 0; i < digits; i++) {
		int d = hex_digit(peek(r));

		if (d < 0)
			return bad(r, "\\%c wants %d hex digits", digits == 4 ? 'u' : 'U', digits);
		c = (c << 4) | (uint32_t)d;
		r->at++;
	}
	return put_utf8(out, c) < 0 ? bad(r, "not a character: U+%X", c) : 0;
}

static int read_escape(struct reader *r, char **out)
{
	static const char from[] = "btnfr\"\\";
	static const char to[] = "\b\t\n\f\r\"\\";
	int c = peek(r);
	const char *found = c > 0 ? strchr(from, c) : NULL;

	if (r->at < r->end)
		r->at++;
	if (found) {
		*(*out)++ = to[found - from];
		return 0;
	}
	if (c == 'u' || c == 'U')
		return read_unicode(r, c == 'u' ? 4 : 8, out);
	return bad(r, "unknown escape in a string");
}

/* One quoted string of a single line; the caller frees *ret. */
static int read_string(struct reader *r, char **ret)
{
	int quote = peek(r);
	/* No escape gets longer by being read. */
	auto_free char *text = malloc((size_t)(r->end - r->at) + 1);
	char *out = text;
	int rc = 0;

	if (!text)
		return err_set(r->err, ENOMEM, "read settings");
	if (r->end - r->at >= 3 && r->at[1] == quote && r->at[2] == quote)
		return bad(r, "multi-line strings are not read here");
	for (r->at++; peek(r) != quote;) {
		int c = peek(r);

		if (c == -1 || c == '\n')
			return bad(r, "a string without its closing quote");
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return bad(r, "a control character in a string");
		r->at++;
		if (c == '\\' && quote == '"')
			rc = read_escape(r, &out);
		else
			*out++ = (char)c;
		if (rc < 0)
			return rc;
	}
	r->at++;
	*out = '\0';
	*ret = strdup(text);
	return *ret ? 0 : err_set(r->err, ENOMEM, "read settings");
}

/* ---- keys ---------------------------------------------------------------------- */

static bool is_bare(int c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '_' || c == '-';
}

static int append(struct reader *r, char *key, const char *part, size_t len)
{
	size_t used = strlen(key);

	if (len == 0)
		return bad(r, "an empty key");
	if (used + len + 2 > TOML_KEY_MAX)
		return bad(r, "the key is longer than %d bytes", TOML_KEY_MAX - 2);
	if (used)
		key[used++] = '.';
	memcpy(key + used, part, len);
	key[used + len] = '\0';
	return 0;
}

static int read_key_part(struct reader *r, char *key)
{
	const char *start = r->at;

	if (peek(r) == '"' || peek(r) == '\'') {
		auto_free char *text = NULL;
		int rc = read_string(r, &text);

		return rc < 0 ? rc : append(r, key, text, strlen(text));
	}
	while (is_bare(peek(r)))
		r->at++;
	if (r->at == start)
		return bad(r, "expected a key");
	return append(r, key, start, (size_t)(r->at - start));
}

/* a.b."c d", appended to what @key holds. */
static int read_key(struct reader *r, char *key)
{
	for (;;) {
		int rc = read_key_part(r, key);

		if (rc < 0)
			return rc;
		skip_blanks(r);
		if (peek(r) != '.')
			return 0;
		r->at++;
		skip_blanks(r);
	}
}

static int read_table(struct reader *r)
{
	int rc;

	r->at++;
	if (peek(r) == '[')
		return bad(r, "arrays of tables are not read here");
	skip_blanks(r);
	r->table[0] = '\0';
	rc = read_key(r, r->table);
	if (rc < 0)
		return rc;
	if (peek(r) != ']')
		return bad(r, "expected ] after the table's name");
	r->at++;
	return 0;
}

static int remember(struct reader *r)
{
	for (size_t i = 0; i < r->n_seen; i++)
		if (strcmp(r->seen[i], r->key) == 0)
			return bad(r, "%s is given twice", r->key);
	if (r->n_seen == KEYS_MAX)
		return bad(r, "more than %d settings", KEYS_MAX);
	r->seen[r->n_seen] = strdup(r->key);
	if (!r->seen[r->n_seen])
		return err_set(r->err, ENOMEM, "read settings");
	r->n_seen++;
	return 0;
}

/* ---- values -------------------------------------------------------------------- */

static int read_int(struct reader *r, struct toml_value *value)
{
	bool minus = peek(r) == '-';
	const char *first;
	int64_t n = 0;

	if (peek(r) == '-' || peek(r) == '+')
		r->at++;
	first = r->at;
	for (; peek(r) == '_' || (peek(r) >= '0' && peek(r) <= '9'); r->at++) {
		int digit = *r->at - '0';

		if (*r->at == '_') {
			bool between = r->at > first && r->at[-1] != '_' && r->at + 1 < r->end &&
				       r->at[1] >= '0' && r->at[1] <= '9';
			if (!between)
				return bad(r, "_ stands between digits only");
			continue;
		}
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, minus ? -digit : digit, &n))
			return bad(r, "the number does not fit 64 bits");
	}
	if (r->at == first)
		return bad(r, "expected a value");
	if (*first == '0' && r->at - first > 1)
		return bad(r, "a number must not begin with 0");
	if (peek(r) == '.' || peek(r) == 'e' || peek(r) == 'E' || peek(r) == '-' ||
	    peek(r) == ':' || is_bare(peek(r)))
		return bad(r, "only decimal integers are read here");
	value->type = TOML_INT;
	value->number = n;
	return 0;
}

static bool take_word(struct reader *r, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
		return false;
	if (r->at + len < r->end && is_bare((unsigned char)r->at[len]))
		return false;
	r->at += len;
	return true;
}

/* Blanks, comments and ends of lines, as they may stand inside an array. */
static int skip_space(struct reader *r)
{
	for (;;) {
		int rc;

		skip_blanks(r);
		rc = skip_comment(r);
		if (rc < 0)
			return rc;
		if (peek(r) != '\n' && peek(r) != '\r')
			return 0;
		rc = end_line(r);
		if (rc < 0)
			return rc;
	}
}

static int read_list(struct reader *r, char **list)
{
	size_t n = 0;
	int rc;

	for (r->at++;;) {
		rc = skip_space(r);
		if (rc < 0)
			return rc;
		if (peek(r) == ']')
			break;
		if (peek(r) != '"' && peek(r) != '\'')
			return bad(r, "an array must be of strings");
		if (n == LIST_MAX)
			return bad(r, "more than %d members", LIST_MAX);
		rc = read_string(r, &list[n]);
		if (rc == 0)
			rc = skip_space(r);
		if (rc < 0)
			return rc;
		n++;
		if (peek(r) == ',')
			r->at++;
		else if (peek(r) != ']')
			return bad(r, "expected , or ] in an array");
	}
	r->at++;
	return 0;
}

/* @text and @list are the caller's to free. */
static int read_value(struct reader *r, struct toml_value *value, char **text, char **list)
{
	int rc;

	switch (peek(r)) {
	case '"':
	case '\'':
		rc = read_string(r, text);
		value->type = TOML_TEXT;
		value->text = *text;
		return rc;
	case '[':
		value->type = TOML_LIST;
		value->list = list;
		return read_list(r, list);
	case '{':
		return bad(r, "inline tables are not read here");
	default:
		break;
	}
	value->type = TOML_BOOL;
	value->yes = take_word(r, "true");
	if (value->yes || take_word(r, "false"))
		return 0;
	return read_int(r, value);
}

typedef int visit_fn(void *arg, const struct toml_value *value, struct err *err);

static int give(struct reader *r, struct toml_value *value, char **list, visit_fn *visit,
		void *arg)
{
	auto_free char *text = NULL;
	struct err why = ERR_INIT;
	int rc = read_value(r, value, &text, list);

	if (rc < 0)
		return rc;
	rc = visit(arg, value, &why);
	if (rc < 0)
		return err_say(r->err, -rc, "line %d: %s", value->line, why.text);
	return 0;
}

static int read_setting(struct reader *r, visit_fn *visit, void *arg)
{
	struct toml_value value = { .line = r->line, .key = r->key };
	char **list;
	int rc;

	memcpy(r->key, r->table, sizeof(r->key));
	rc = read_key(r, r->key);
	if (rc == 0)
		rc = remember(r);
	if (rc < 0)
		return rc;
	if (peek(r) != '=')
		return bad(r, "expected = after %s", r->key);
	r->at++;
	skip_blanks(r);
	list = calloc(LIST_MAX + 1, sizeof(*list));
	if (!list)
		return err_set(r->err, ENOMEM, "read settings");
	rc = give(r, &value, list, visit, arg);
	for (size_t i = 0; list[i]; i++)
		free(list[i]);
	free(list);
	return rc;
}

static int read_line(struct reader *r, visit_fn *visit, void *arg)
{
	int rc = 0;

	skip_blanks(r);
	if (peek(r) == '[')
		rc = read_table(r);
	else if (peek(r) != '#' && peek(r) != '\n' && peek(r) != '\r' && peek(r) != -1)
		rc = read_setting(r, visit, arg);
	return rc < 0 ? rc : end_line(r);
}

int toml_read(const char *text, size_t len, visit_fn *visit, void *arg, struct err *err)
{
	auto_free struct reader *r = NULL;
	int rc = 0;

	if (len > TOML_TEXT_MAX)
		return err_say(err, EINVAL, "the file is longer than %d bytes", TOML_TEXT_MAX);
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_set(err, ENOMEM, "read settings");
	text = len ? text : ""; /* an empty document may be NULL */
	*r = (struct reader){ .at = text, .end = text + len, .line = 1, .err = err };
	while (rc == 0 && r->at < r->end)
		rc = read_line(r, visit, arg);
	for (size_t i = 0; i < r->n_seen; i++)
		free(r->seen[i]);
	return rc;
}

int toml_want(const struct toml_value *value, enum toml_type type, struct err *err)
{
	static const char *const names[] = {
		[TOML_TEXT] = "a string",
		[TOML_INT] = "an integer",
		[TOML_BOOL] = "true or false",
		[TOML_LIST] = "an array of strings",
	};

	if (value->type == type)
		return 0;
	return err_say(err, EINVAL, "%s must be %s", value->key, names[type]);
}
