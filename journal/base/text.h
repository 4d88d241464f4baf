/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_BASE_TEXT_H
#define URUNC_BASE_TEXT_H

/*
 * text.h - reading numbers and names that others wrote. Strict, pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The whole of @s is one decimal number between @min and @max: digits, after an
 * optional '-'; no blanks, no '+', no other base. *ret is set only on success.
 *
 * Return: 0; -EINVAL not such a number (or NULL); -ERANGE out of range.
 */
int text_int64(const char *s, int64_t min, int64_t max, int64_t *ret);

/* containerd's identifiers: 1 to @max bytes of [A-Za-z0-9], in runs joined by a
 * single '.', '_' or '-'. So never a path, a hidden file, or an option. */
bool text_is_identifier(const char *s, size_t max);

/* @s ends with @tail. */
bool text_ends(const char *s, const char *tail);

/* @s is exactly @n lower case hex digits. */
bool text_is_hex(const char *s, size_t n);

#endif
