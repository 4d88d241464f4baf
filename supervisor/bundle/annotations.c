/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/bundle/annotations.h"

#include "journal/base/cleanup.h"
#include "supervisor/step/step.h"
#include "supervisor/unikernel/monitors.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PREFIX ANNOTATION_PREFIX

/* Key in the bundle, name in the request. Only the classic ones were ever encoded. */
static const struct {
	const char *key, *name;
	bool must, flag, encoded;
} known[] = {
	{ PREFIX "unikernelType", "type", .must = true, .encoded = true },
	{ PREFIX "hypervisor", "monitor", .must = true, .encoded = true },
	{ PREFIX "binary", "binary", .must = true, .encoded = true },
	{ PREFIX "unikernelVersion", "version", .encoded = true },
	{ PREFIX "cmdline", "cmdline", .encoded = true },
	{ PREFIX "initrd", "initrd", .encoded = true },
	{ PREFIX "block", "block", .encoded = true },
	{ PREFIX "blkMntPoint", "block_mount", .encoded = true },
	{ PREFIX "mountRootfs", "mount_rootfs", .flag = true, .encoded = true },
	{ PREFIX "vAccel", "vaccel", .encoded = false },
	{ PREFIX "network", "network", .encoded = false },
	{ PREFIX "RPCAddress", "rpc_address", .encoded = false },
};

static int digit64(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int annotations_base64(const char *text, char *out, size_t size)
{
	size_t len = strlen(text);
	size_t pad = len >= 1 && text[len - 1] == '=' ? 1 + (len >= 2 && text[len - 2] == '=') : 0;
	uint32_t bits = 0;
	size_t used = 0;
	int have = 0;

	if (len == 0 || len % 4 != 0)
		return -1;
	for (size_t i = 0; i < len - pad; i++) {
		int d = digit64(text[i]);

		if (d < 0)
			return -1;
		bits = (bits << 6) | (uint32_t)d;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		out[used] = (char)(bits >> have);
		if (out[used] < 0x20 || out[used] > 0x7e || used + 1 >= size)
			return -1;
		used++;
		bits &= (1u << have) - 1;
	}
	if (bits != 0 || used == 0)
		return -1;
	out[used] = '\0';
	return (int)used;
}

/* As Go reads a boolean: 1, 0, or -1: it is none. */
static int boolean(const char *text)
{
	static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
	static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		if (strcmp(text, yes[i]) == 0)
			return 1;
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		if (strcmp(text, no[i]) == 0)
			return 0;
	return -1;
}

static const char *lookup(json_object *annotations, const char *key)
{
	json_object *value = NULL;

	if (!annotations || !json_object_object_get_ex(annotations, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}

static int check(json_object *annotations, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		const char *text = lookup(annotations, known[i].key);
		size_t len = text ? strlen(text) : 0;

		if (len > ANNOTATION_MAX)
			return err_say(err, EINVAL, "annotation %s is %zu bytes long, and the "
				       "limit is %d", known[i].key, len, ANNOTATION_MAX);
	}
	return 0;
}

/* @unsure: what holds where there is no type. */
static bool is_encoded(json_object *values, bool unsure)
{
	const char *type = lookup(values, known[0].key);
	char buf[ANNOTATION_MAX + 1];

	if (!type)
		return unsure;
	return !monitor_type_known(type) && annotations_base64(type, buf, sizeof(buf)) > 0;
}

static int add(json_object *o, const char *name, json_object *value)
{
	if (value && json_object_object_add(o, name, value) == 0)
		return 0;
	json_object_put(value);
	return -ENOMEM;
}

/* @text, or what it encodes, which is then in @buf. */
static const char *plain(size_t i, const char *text, bool encoded, char buf[ANNOTATION_MAX + 1])
{
	if (encoded && known[i].encoded && annotations_base64(text, buf, ANNOTATION_MAX + 1) > 0)
		return buf;
	return text;
}

static int put(json_object *o, size_t i, const char *text, bool encoded)
{
	char buf[ANNOTATION_MAX + 1];

	text = plain(i, text, encoded, buf);
	if (!known[i].flag)
		return add(o, known[i].name, json_object_new_string(text));
	if (boolean(text) < 0 && add(o, "mount_rootfs_text", json_object_new_string(text)) < 0)
		return -ENOMEM;
	return add(o, known[i].name, json_object_new_boolean(boolean(text) > 0));
}

/* @file: the rootfs's own object, or NULL. */
static int describe(json_object *annotations, json_object *file, json_object **ret,
		    struct err *err)
{
	auto_json json_object *o = json_object_new_object();
	bool encoded = is_encoded(annotations, false);
	bool file_encoded = is_encoded(file, true);

	if (!o)
		return err_set(err, ENOMEM, "read the annotations");
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		const char *text = lookup(annotations, known[i].key);
		bool own = text && text[0];

		if (!own && known[i].encoded)
			text = lookup(file, known[i].key);
		if (known[i].must && (!text || !text[0]))
			return 0;
		if (text && text[0] && put(o, i, text, own ? encoded : file_encoded) < 0)
			return err_set(err, ENOMEM, "read the annotations");
	}
	*ret = TAKE_PTR(o);
	return 1;
}

int annotations_add(json_object *to, json_object *from, const char *who, json_object *origin,
		    struct err *err)
{
	bool encoded = is_encoded(from, false);
	bool bundle = strcmp(who, ANNOTATION_BUNDLE) == 0;
	char buf[ANNOTATION_MAX + 1];
	int rc = check(from, err);

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(known); i++) {
		const char *text = lookup(from, known[i].key);

		if (!text || !text[0] || lookup(to, known[i].key) || (!bundle && !known[i].encoded))
			continue;
		json_put_text(to, known[i].key, plain(i, text, encoded, buf));
		json_put_text(origin, known[i].name, who);
	}
	return rc;
}

int annotations_unikernel(json_object *annotations, json_object **ret, struct err *err)
{
	int rc = check(annotations, err);

	return rc < 0 ? rc : describe(annotations, NULL, ret, err);
}

int annotations_file(json_object *annotations, const char *text, size_t len,
		     json_object **ret, struct err *err)
{
	struct json_tokener *tok = json_tokener_new();
	auto_json json_object *file = NULL;
	int rc;

	if (!tok)
		return err_set(err, ENOMEM, "read " ANNOTATION_FILE);
	if (len <= ANNOTATION_FILE_MAX)
		file = json_tokener_parse_ex(tok, text, (int)len);
	json_tokener_free(tok);
	if (!json_object_is_type(file, json_type_object))
		return err_say(err, EINVAL, ANNOTATION_FILE " is no JSON object");
	rc = check(annotations, err);
	if (rc == 0)
		rc = check(file, err);
	return rc < 0 ? rc : describe(annotations, file, ret, err);
}
