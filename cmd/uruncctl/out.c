/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/uruncctl/out.h"

#include "journal/base/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const char *const tones[TONE_N] = {
	[TONE_PLAIN] = "",
	[TONE_GOOD] = "\033[32m",
	[TONE_WARN] = "\033[33m",
	[TONE_BAD] = "\033[31m",
};

static int terminal_width(int fd)
{
	struct winsize size;

	return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

void out_init(struct out *out, bool no_color, bool quiet)
{
	const char *env = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	bool tty = isatty(STDOUT_FILENO);
	bool dumb = !term || strcmp(term, "dumb") == 0;

	*out = (struct out){
		.color = tty && !no_color && !dumb && !(env && *env),
		.quiet = quiet,
		.talk = isatty(STDERR_FILENO) && !dumb && !quiet,
		.width = tty ? terminal_width(STDOUT_FILENO) : 0,
	};
}

/* Length of the UTF-8 character at @p, 0 if there is none: no overlong forms, no
 * surrogates, nothing above U+10FFFF. */
static size_t utf8_len(const unsigned char *p)
{
	size_t n = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
	    (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* In place: what could steer a terminal becomes '?', line ends become blanks. */
static void clean(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p;) {
		size_t n = utf8_len(p);
		bool c1 = p[0] == 0xc2 && p[1] < 0xa0; /* U+0080 to U+009F */

		if (*p == '\n' || *p == '\t' || *p == '\r')
			*p = ' ';
		else if (!n || *p < 0x20 || *p == 0x7f || c1)
			*p = '?';
		p += n && !c1 ? n : 1;
	}
}

static char *vtext(const char *fmt, va_list ap)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		return NULL;
	clean(text);
	return text;
}

void out_progress(struct out *out, const char *fmt, ...)
{
	auto_free char *text = NULL;
	int width = terminal_width(STDERR_FILENO);
	va_list ap;

	if (!out->talk)
		return;
	va_start(ap, fmt);
	text = vtext(fmt, ap);
	va_end(ap);
	if (!text)
		return;
	/* One column short: some terminals wrap when the last one is written. */
	(void)fprintf(stderr, "\r\033[K%.*s", width > 1 ? width - 1 : 79, text);
	(void)fflush(stderr);
	out->talking = true;
}

void out_progress_end(struct out *out)
{
	if (!out->talking)
		return;
	(void)fputs("\r\033[K", stderr);
	(void)fflush(stderr);
	out->talking = false;
}

static void put(const struct out *out, enum tone tone, const char *text)
{
	bool color = out->color && tone != TONE_PLAIN;

	(void)printf("%s%s%s", color ? tones[tone] : "", text, color ? "\033[0m" : "");
}

void out_line(const struct out *out, enum tone tone, const char *fmt, ...)
{
	auto_free char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = vtext(fmt, ap);
	va_end(ap);
	put(out, tone, text ? text : "(out of memory)");
	(void)putchar('\n');
}

void out_hint(const struct out *out, const char *fmt, ...)
{
	auto_free char *text = NULL;
	va_list ap;

	if (out->quiet)
		return;
	(void)fflush(stdout);
	va_start(ap, fmt);
	text = vtext(fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "%s\n", text ? text : "(out of memory)");
}

int out_json(json_object *value, struct err *err)
{
	auto_json json_object *owned = value;
	const char *text = owned ? json_object_to_json_string_ext(
					   owned, JSON_C_TO_STRING_PRETTY |
							  JSON_C_TO_STRING_NOSLASHESCAPE)
				 : NULL;

	if (!text)
		return err_set(err, ENOMEM, "print the answer as JSON");
	(void)puts(text);
	return 0;
}

int out_flush(struct err *err)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	return err_set(err, errno ? errno : EIO, "write the answer to stdout");
}

/* ---- tables ---------------------------------------------------------------- */

void table_init(struct table *t, const char *const *heads)
{
	*t = (struct table){ .heads = heads };
	while (heads[t->columns])
		t->columns++;
}

void table_clear(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i].text);
	free(t->cells);
	*t = (struct table){ .heads = t->heads, .columns = t->columns };
}

static bool table_room(struct table *t)
{
	size_t room = t->room ? t->room * 2 : 64;
	struct cell *cells;

	if (t->n < t->room)
		return true;
	cells = reallocarray(t->cells, room, sizeof(*cells));
	if (!cells)
		return false;
	t->cells = cells;
	t->room = room;
	return true;
}

void table_cell(struct table *t, enum tone tone, const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	text = vtext(fmt, ap);
	va_end(ap);
	if (text && !*text) {
		free(text);
		text = strdup("-");
	}
	if (!text || !table_room(t)) {
		free(text);
		t->failed = true;
		return;
	}
	t->cells[t->n++] = (struct cell){ .text = text, .tone = tone };
}

/* Columns of a UTF-8 text, one for each character: bytes that begin one. */
static int columns_of(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static int width_of(const struct table *t, size_t column)
{
	int width = columns_of(t->heads[column]);

	for (size_t i = column; i < t->n; i += t->columns) {
		int w = columns_of(t->cells[i].text);

		width = w > width ? w : width;
	}
	return width;
}

static void print_line(const struct table *t, const struct out *out, const struct cell *row,
		       const int *widths)
{
	for (size_t c = 0; c < t->columns; c++) {
		const char *text = row ? row[c].text : t->heads[c];
		int pad = c + 1 < t->columns ? widths[c] - columns_of(text) + 2 : 0;

		put(out, row ? row[c].tone : TONE_PLAIN, text);
		(void)printf("%*s", pad, "");
	}
	(void)putchar('\n');
}

static void print_paragraphs(const struct table *t, const struct out *out)
{
	int head = 0;

	for (size_t c = 1; c < t->columns; c++) {
		int w = columns_of(t->heads[c]);

		head = w > head ? w : head;
	}
	for (size_t i = 0; i < t->n; i += t->columns) {
		put(out, t->cells[i].tone, t->cells[i].text);
		(void)putchar('\n');
		for (size_t c = 1; c < t->columns; c++) {
			if (strcmp(t->cells[i + c].text, "-") == 0)
				continue;
			(void)printf("  %-*s  ", head, t->heads[c]);
			put(out, t->cells[i + c].tone, t->cells[i + c].text);
			(void)putchar('\n');
		}
	}
}

int table_print(const struct table *t, const struct out *out, struct err *err)
{
	auto_free int *widths = calloc(t->columns, sizeof(*widths));
	int total = 0;

	if (t->failed || !widths)
		return err_set(err, ENOMEM, "print the table");
	for (size_t c = 0; c < t->columns; c++) {
		widths[c] = width_of(t, c);
		total += widths[c] + (c ? 2 : 0);
	}
	if (out->width && total > out->width) {
		print_paragraphs(t, out);
		return 0;
	}
	print_line(t, out, NULL, widths);
	for (size_t i = 0; i + t->columns <= t->n; i += t->columns)
		print_line(t, out, t->cells + i, widths);
	return 0;
}

/* ---- texts and JSON members -------------------------------------------------- */

const char *span_text(char buf[SPAN_MAX], int64_t ms)
{
	static const struct {
		int64_t ms;
		char unit;
	} units[] = { { 86400000, 'd' }, { 3600000, 'h' }, { 60000, 'm' } };

	if (ms < 0)
		return strcpy(buf, "-");
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (ms >= 2 * units[i].ms) {
			(void)snprintf(buf, SPAN_MAX, "%lld%c", (long long)(ms / units[i].ms),
				       units[i].unit);
			return buf;
		}
	(void)snprintf(buf, SPAN_MAX, "%llds", (long long)(ms / 1000));
	return buf;
}

const char *time_text(char buf[SPAN_MAX], int64_t ms)
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;

	if (!ms || !localtime_r(&s, &tm) || !strftime(buf, SPAN_MAX, "%Y-%m-%d %H:%M:%S", &tm))
		return strcpy(buf, "-");
	return buf;
}

/* A copy in which bytes that are no UTF-8 are '?'. */
static char *utf8_copy(const char *text)
{
	char *copy = strdup(text);

	for (unsigned char *p = (unsigned char *)copy; p && *p;) {
		size_t n = utf8_len(p);

		if (!n)
			*p = '?';
		p += n ? n : 1;
	}
	return copy;
}

static json_object *or_end(json_object *made, int status)
{
	if (made)
		return made;
	(void)fputs("uruncctl: there is no memory left for the report; try again\n", stderr);
	exit(status);
}

json_object *out_object(int status)
{
	return or_end(json_object_new_object(), status);
}

json_object *out_array(int status)
{
	return or_end(json_object_new_array(), status);
}

json_object *json_string_of(const char *text)
{
	auto_free char *copy = text && *text ? utf8_copy(text) : NULL;

	return copy ? json_object_new_string(copy) : NULL;
}

json_object *json_value_of(const char *text)
{
	auto_free char *copy = text && *text ? utf8_copy(text) : NULL;
	json_object *value = copy ? json_tokener_parse(copy) : NULL;

	return value || !copy ? value : json_object_new_string(copy);
}
