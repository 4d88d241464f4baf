/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_BUNDLE_JSON_H
#define URUNC_BUNDLE_JSON_H

/*
 * json.h - JSON to and from text, where memory may run out.
 *
 * json-c 0.16 takes memory for granted: a name that it can't copy is a crash, and a
 * piece of text that finds no room is left out without a word. So these ask for more
 * than it will take first, and give that back: who is told no finds out here, and not
 * in the middle of a row.
 */

#include "journal/base/err.h"

#include <json-c/json.h>

/* The value that @text is, to be put by the caller; NULL and errno: ENOMEM, or EINVAL
 * for what is no JSON. */
json_object *json_read(const char *text);

/* An object of a row, @what says which. 0; -ENOMEM; -EUCLEAN: @text is no JSON object. */
int json_read_row(json_object **ret, const char *text, const char *what, struct err *err);

/* The text of @o on one line, lent until @o changes or is put; NULL: @o is NULL, or there
 * is no memory. */
const char *json_write(json_object *o);

#endif
