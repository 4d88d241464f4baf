/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_CTL_OUT_H
#define URUNC_CTL_OUT_H

/*
 * out.h - tables, JSON and the progress line.
 *
 * Answers go to stdout, talk goes to stderr. Colours and the progress line are for
 * terminals alone. Texts come from journals, and so from runtimes and containers:
 * every control character, and every byte that is no UTF-8, is shown as '?', so that
 * none of them reaches a terminal.
 *
 * Allocation failing is remembered by the table and reported once, when printed.
 */

#include "journal/base/err.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tone { TONE_PLAIN, TONE_GOOD, TONE_WARN, TONE_BAD, TONE_N };

struct out {
	bool color;   /* stdout is a terminal, and nobody objects */
	bool quiet;   /* no hints                                 */
	bool talk;    /* stderr is a terminal, and not quiet      */
	bool talking; /* a progress line stands on it             */
	int width;    /* columns of stdout's terminal; 0: none    */
};

/* Ask the terminal and the environment (NO_COLOR, TERM). */
void out_init(struct out *out, bool no_color, bool quiet);

/* One line on stderr that the next one replaces. Nothing on a file or pipe. */
void out_progress(struct out *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Erase it. Before anything else is printed. */
void out_progress_end(struct out *out);

/* A line on stdout, cleaned; toned if colours are on. */
void out_line(const struct out *out, enum tone tone, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A line on stderr, after all that went to stdout. Nothing if quiet. */
void out_hint(const struct out *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Print one JSON value (consumed) and a newline; NULL: -ENOMEM. */
int out_json(json_object *value, struct err *err);

/* Flush stdout: an answer that could not be written is no answer. */
int out_flush(struct err *err);

/* ---- tables ---------------------------------------------------------------- */

struct cell {
	char *text;
	enum tone tone;
};

/*
 * Rows of cells under fixed heads. Columns are as wide as their widest cell, two
 * blanks apart, the last one not padded; an empty cell is "-". Where a terminal is
 * too narrow for that, every row becomes a paragraph of "head  cell" lines.
 */
struct table {
	const char *const *heads; /* ended by NULL, lent */
	size_t columns;
	struct cell *cells;
	size_t n, room;
	bool failed; /* out of memory */
};

void table_init(struct table *t, const char *const *heads);
/* The next cell, row by row, left to right. */
void table_cell(struct table *t, enum tone tone, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int table_print(const struct table *t, const struct out *out, struct err *err);
void table_clear(struct table *t);
#define auto_table __attribute__((cleanup(table_clear)))

/* ---- texts and JSON members -------------------------------------------------- */

#define SPAN_MAX 24

/* "5s", "3m", "2h", "4d": how long @ms is; "-" if negative. */
const char *span_text(char buf[SPAN_MAX], int64_t ms);
/* Wall clock ms as "2026-01-31 12:34:56", in local time; "-" for 0. */
const char *time_text(char buf[SPAN_MAX], int64_t ms);

/* A new object, array. json-c takes none for an answer where it is given one: without
 * memory for it the program says so and exits with @status. What was done is in the
 * journal. */
json_object *out_object(int status);
json_object *out_array(int status);

/* A string for JSON: bytes that are no UTF-8 become '?'. NULL and "" are null. */
json_object *json_string_of(const char *text);
/* JSON kept as text in a row, parsed again; a string if it is none. */
json_object *json_value_of(const char *text);

#endif
