/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/bundle/options.h"

#include "journal/base/cleanup.h"
#include "proto/api/runc_options.pb-c.h"
#include "proto/api/runtime_options.pb-c.h"
#include "supervisor/bundle/toml.h"
#include "supervisor/node/node.h"
#include "supervisor/step/step.h"

#include <string.h>
#include <sys/stat.h>

#define OPTIONS_MAX (256 * 1024) /* bytes, encoded */
#define RUNC_TYPE    "containerd.runc.v1.Options"
#define RUNTIME_TYPE "runtimeoptions.v1.Options"

/* Name in the request, and in containerd's config file. */
static const struct {
	const char *name, *toml;
	enum toml_type type;
} known[] = {
	{ "no_pivot_root", "NoPivotRoot", TOML_BOOL },
	{ "no_new_keyring", "NoNewKeyring", TOML_BOOL },
	{ "systemd_cgroup", "SystemdCgroup", TOML_BOOL },
	{ "shim_cgroup", "ShimCgroup", TOML_TEXT },
	{ "binary_name", "BinaryName", TOML_TEXT },
	{ "root", "Root", TOML_TEXT },
	{ "criu_path", "CriuPath", TOML_TEXT },
	{ "criu_image_path", "CriuImagePath", TOML_TEXT },
	{ "criu_work_path", "CriuWorkPath", TOML_TEXT },
	{ "io_uid", "IoUid", TOML_INT },
	{ "io_gid", "IoGid", TOML_INT },
};

/* Only what was given: an empty value is protobuf's way to say nothing. */
static void put_text(json_object *o, const char *name, const char *value)
{
	if (value && value[0])
		json_put_text(o, name, value);
}

static void put_flag(json_object *o, const char *name, bool value)
{
	if (value)
		json_put(o, name, json_object_new_boolean(true));
}

static void put_id(json_object *o, const char *name, uint32_t value)
{
	if (value)
		json_put_int(o, name, value);
}

static int from_runc(json_object *o, const void *value, size_t len, struct err *err)
{
	Containerd__Runc__V1__Options *m = containerd__runc__v1__options__unpack(NULL, len, value);

	if (!m)
		return err_say(err, EINVAL, "options: the bytes are no " RUNC_TYPE);
	put_flag(o, "no_pivot_root", m->no_pivot_root);
	put_flag(o, "no_new_keyring", m->no_new_keyring);
	put_flag(o, "systemd_cgroup", m->systemd_cgroup);
	put_text(o, "shim_cgroup", m->shim_cgroup);
	put_text(o, "binary_name", m->binary_name);
	put_text(o, "root", m->root);
	put_text(o, "criu_path", m->criu_path);
	put_text(o, "criu_image_path", m->criu_image_path);
	put_text(o, "criu_work_path", m->criu_work_path);
	put_id(o, "io_uid", m->io_uid);
	put_id(o, "io_gid", m->io_gid);
	containerd__runc__v1__options__free_unpacked(m, NULL);
	return 0;
}

static int put_setting(json_object *o, const char *name, const struct toml_value *value,
		       struct err *err)
{
	switch (value->type) {
	case TOML_BOOL:
		put_flag(o, name, value->yes);
		return 0;
	case TOML_TEXT:
		put_text(o, name, value->text);
		return 0;
	case TOML_INT:
		if (value->number < 0 || value->number > UINT32_MAX)
			return err_say(err, EINVAL, "%s must be from 0 to %u", value->key,
				       UINT32_MAX);
		put_id(o, name, (uint32_t)value->number);
		return 0;
	case TOML_NONE_:
	case TOML_LIST:
		break;
	}
	return err_say(err, EINVAL, "%s has no meaning as a list", value->key);
}

/* containerd itself passes over what it does not know; the caller can log these. */
static void put_unknown(json_object *o, const char *key)
{
	json_object *list = json_list(o, "unknown");

	if (!list) {
		list = json_object_new_array();
		json_put(o, "unknown", list);
	}
	if (list)
		(void)json_object_array_add(list, json_object_new_string(key));
}

static int set_one(void *arg, const struct toml_value *value, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		int rc;

		if (strcmp(value->key, known[i].toml) != 0 && strcmp(value->key, known[i].name) != 0)
			continue;
		rc = toml_want(value, known[i].type, err);
		return rc < 0 ? rc : put_setting(arg, known[i].name, value, err);
	}
	put_unknown(arg, value->key);
	return 0;
}

static int from_runtime(json_object *o, const void *value, size_t len, struct err *err)
{
	Runtimeoptions__V1__Options *m = runtimeoptions__v1__options__unpack(NULL, len, value);
	int rc;

	if (!m)
		return err_say(err, EINVAL, "options: the bytes are no " RUNTIME_TYPE);
	put_text(o, "config_path", m->config_path);
	rc = toml_read((const char *)m->config_body.data, m->config_body.len, set_one, o, err);
	if (rc < 0)
		rc = err_wrap(err, "options in containerd's config");
	runtimeoptions__v1__options__free_unpacked(m, NULL);
	return rc;
}

int options_decode(json_object **ret, const char *type_url, const void *value, size_t len,
		   struct err *err)
{
	const char *slash = strrchr(type_url, '/');
	const char *type = slash ? slash + 1 : type_url;
	auto_json json_object *o = json_object_new_object();
	int rc = 0;

	if (!o)
		return err_set(err, ENOMEM, "options");
	if (len > OPTIONS_MAX)
		return err_say(err, EINVAL, "options: %zu bytes, and the limit is %d", len,
			       OPTIONS_MAX);
	if (strcmp(type, RUNC_TYPE) == 0)
		rc = from_runc(o, value, len, err);
	else if (strcmp(type, RUNTIME_TYPE) == 0)
		rc = from_runtime(o, value, len, err);
	else if (type[0])
		rc = err_say(err, ENOTSUP, "options of type \"%s\" are not known; send " RUNC_TYPE
			     " or " RUNTIME_TYPE, type);
	if (rc == 0 && json_object_get_userdata(o))
		rc = err_set(err, ENOMEM, "options");
	if (rc == 0)
		*ret = TAKE_PTR(o);
	return rc;
}

int options_follow(json_object *options, struct node *node, struct err *err)
{
	const char *path = json_text(options, "config_path", "");
	auto_free char *text = NULL;
	struct path_ident what;
	size_t len = 0;
	int rc;

	if (!path[0])
		return 0;
	rc = node->path(node, path, &what, err);
	if (rc > 0 && !S_ISREG(what.mode)) /* a FIFO would be waited for */
		rc = err_say(err, EINVAL, "not a regular file");
	else if (rc == 0)
		rc = err_say(err, EINVAL, "there is no such file; see the runtime's ConfigPath");
	if (rc > 0)
		rc = node->read_file(node, path, OPTIONS_MAX, &text, &len, err);
	if (rc >= 0)
		rc = toml_read(text, len, set_one, options, err);
	return rc < 0 ? err_wrap(err, "options in %s", path) : 0;
}
