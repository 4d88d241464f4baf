/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/bundle/json.h"

#include "journal/base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_LEAST  4096
#define ROOM_NESTED 1024 /* bytes of an object or a list with few members */
#define ROOM_BYTE   16   /* bytes of memory for one of text, with its small values */

static bool has_room(size_t bytes)
{
	void *volatile p = malloc(bytes); /* volatile: or the pair is optimised away */

	free(p);
	return p != NULL;
}

json_object *json_read(const char *text)
{
	enum json_tokener_error why = json_tokener_success;
	json_object *o;
	size_t nested = 0;

	for (const char *at = text; (at = strpbrk(at, "{[")) != NULL; at++)
		nested++;
	if (!has_room(ROOM_LEAST + ROOM_NESTED * nested + ROOM_BYTE * strlen(text))) {
		errno = ENOMEM;
		return NULL;
	}
	o = json_tokener_parse_verbose(text, &why);
	if (!o)
		errno = why == json_tokener_success ? ENOMEM : EINVAL;
	return o;
}

/* What finds no memory while it is read is left out without a word. Our own text is what
 * the value prints as; another's is read again. */
static bool is_whole(json_object *o, const char *text)
{
	const char *printed = json_write(o);
	auto_json json_object *again = NULL;

	if (!printed || strcmp(printed, text) == 0)
		return printed != NULL;
	again = json_read(text);
	return again && json_object_equal(o, again);
}

int json_read_row(json_object **ret, const char *text, const char *what, struct err *err)
{
	json_object *o = json_read(text);

	if (!o && errno == ENOMEM)
		return err_set(err, ENOMEM, "read %s", what);
	if (!json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		return err_say(err, EUCLEAN, "%s is not a JSON object", what);
	}
	if (!is_whole(o, text)) {
		json_object_put(o);
		return err_set(err, ENOMEM, "read %s", what);
	}
	*ret = o;
	return 0;
}

/* Printed again, where all the room is there that the first time has asked for. */
const char *json_write(json_object *o)
{
	size_t len = 0, again = 0;
	const char *text = NULL;

	if (o && has_room(ROOM_LEAST))
		text = json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN, &len);
	if (text)
		text = json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN, &again);
	return len == again ? text : NULL;
}
