/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_BUNDLE_TOML_H
#define URUNC_BUNDLE_TOML_H

/*
 * toml.h - a small strict reader for settings.
 *
 * The subset: comments, [table] and [table.sub] headers, one "key = value" a line.
 * Keys are bare ([A-Za-z0-9_-]), quoted, or dotted. Values are "basic" and 'literal'
 * strings, integers in decimal (with _), true and false, and arrays of strings, which
 * may go over several lines. Anything else of TOML (floats, dates, inline tables,
 * arrays of tables, multi-line strings) is refused by name and line: half-read
 * settings are worse than none. A key given twice is refused.
 *
 * Pure: no I/O, bounded by its input, no statics.
 */

#include "journal/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOML_KEY_MAX  256      /* bytes of a key with its tables             */
#define TOML_TEXT_MAX (1 << 20) /* bytes of one document                      */

enum toml_type { TOML_NONE_, TOML_TEXT, TOML_INT, TOML_BOOL, TOML_LIST };

/* One setting; lent to the visitor. */
struct toml_value {
	enum toml_type type;
	const char *key; /* with its tables: "a.b.key"; a dot in a quoted key stays a dot */
	int line;        /* from 1 */
	const char *text; /* TEXT */
	int64_t number;   /* INT  */
	bool yes;         /* BOOL */
	char *const *list; /* LIST: NULL-terminated texts */
};

/**
 * toml_read() - visit every setting, in order
 * @visit:	0 to go on; < 0 with *err filled: its sentence gets "line N: " in front
 *
 * Return: 0; -EINVAL with "line N: what is wrong"; what visit returned.
 */
int toml_read(const char *text, size_t len,
	      int (*visit)(void *arg, const struct toml_value *value, struct err *err),
	      void *arg, struct err *err);

/* For visitors: -EINVAL "key: must be a string" unless it is of @type. */
int toml_want(const struct toml_value *value, enum toml_type type, struct err *err);

#endif
