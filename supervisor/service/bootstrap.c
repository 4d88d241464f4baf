/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/service/bootstrap.h"

#include "proto/api/bootstrap.pb-c.h"
#include "proto/api/google.pb-c.h"

#include <errno.h>
#include <json-c/json.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/base/cleanup.h"
#include "supervisor/bundle/json.h"

static int keep_options(struct bootstrap *b, const Google__Protobuf__Any *any)
{
	const char *slash = strrchr(any->type_url, '/');

	free(b->options_type);
	b->options_type = strdup(slash ? slash + 1 : any->type_url);
	free(b->options);
	b->options = malloc(any->value.len + 1);
	if (!b->options_type || !b->options)
		return -ENOMEM;
	if (any->value.len)
		memcpy(b->options, any->value.data, any->value.len);
	b->options_len = any->value.len;
	return 0;
}

static bool is_options(const char *type)
{
	const char *slash = strrchr(type, '/');

	type = slash ? slash + 1 : type;
	return strcmp(type, "containerd.runc.v1.Options") == 0 ||
	       strcmp(type, "runtimeoptions.v1.Options") == 0;
}

static int keep_params(struct bootstrap *b,
		       const Containerd__Runtime__Bootstrap__V1__BootstrapParams *p)
{
	b->params = true;
	b->debug = p->log_level <= CONTAINERD__RUNTIME__BOOTSTRAP__V1__LOG_LEVEL__DEBUG;
	free(b->ttrpc_address);
	b->ttrpc_address = strdup(p->containerd_ttrpc_address);
	if (p->socket_dir[0] == '/') {
		free(b->socket_dir);
		b->socket_dir = strdup(p->socket_dir);
	}
	for (size_t i = 0; i < p->n_extensions; i++) {
		const Google__Protobuf__Any *any = p->extensions[i]->value;

		if (any && is_options(any->type_url) && keep_options(b, any) < 0)
			return -ENOMEM;
	}
	return b->ttrpc_address && b->socket_dir ? 0 : -ENOMEM;
}

static int read_params(struct bootstrap *b, const uint8_t *data, size_t len, const char *ns,
		       const char *id)
{
	Containerd__Runtime__Bootstrap__V1__BootstrapParams *p =
		containerd__runtime__bootstrap__v1__bootstrap_params__unpack(NULL, len, data);
	int rc = 0;

	if (p && strcmp(p->instance_id, id) == 0 && strcmp(p->namespace_, ns) == 0)
		rc = keep_params(b, p);
	if (p)
		containerd__runtime__bootstrap__v1__bootstrap_params__free_unpacked(p, NULL);
	return rc;
}

static int read_any(struct bootstrap *b, const uint8_t *data, size_t len)
{
	Google__Protobuf__Any *any = google__protobuf__any__unpack(NULL, len, data);
	int rc = 0;

	if (any && is_options(any->type_url))
		rc = keep_options(b, any);
	if (any)
		google__protobuf__any__free_unpacked(any, NULL);
	return rc;
}

int bootstrap_read(struct bootstrap *ret, const uint8_t *data, size_t len, const char *ns,
		   const char *id, struct err *err)
{
	struct bootstrap b = { .ttrpc_address = strdup(""),
			       .socket_dir = strdup(SOCKET_DIR),
			       .options_type = strdup("") };
	int rc = b.ttrpc_address && b.socket_dir && b.options_type ? 0 : -ENOMEM;

	if (rc == 0 && len > 0)
		rc = read_params(&b, data, len, ns, id);
	if (rc == 0 && len > 0 && !b.params)
		rc = read_any(&b, data, len);
	if (rc < 0) {
		bootstrap_clear(&b);
		return err_set(err, ENOMEM, "can't keep the bootstrap parameters");
	}
	*ret = b;
	return 0;
}

void bootstrap_clear(struct bootstrap *b)
{
	free(b->ttrpc_address);
	free(b->socket_dir);
	free(b->options_type);
	free(b->options);
	*b = (struct bootstrap){ .params = false };
}

int bootstrap_group(char **ret, const char *json, const char *id, struct err *err)
{
	static const char *const keys[] = { "io.containerd.runc.v2.group",
					    "io.kubernetes.cri.sandbox-id" };
	auto_json json_object *spec = json_read(json);
	json_object *notes, *value;
	const char *group = id;

	if (!json_object_is_type(spec, json_type_object))
		return err_say(err, EINVAL, "config.json is no JSON object");
	if (json_object_object_get_ex(spec, "annotations", &notes)) {
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			if (!json_object_object_get_ex(notes, keys[i], &value))
				continue;
			if (json_object_is_type(value, json_type_string))
				group = json_object_get_string(value);
			break;
		}
	}
	*ret = strdup(group);
	return *ret ? 0 : err_set(err, ENOMEM, "can't keep the group");
}

/* Take one component off the end of ret[0..len), not below @root. */
static size_t clean_up(const char *ret, size_t len, size_t root)
{
	while (len > root && ret[len - 1] != '/')
		len--;
	return len > root ? len - 1 : len;
}

void bootstrap_clean(char *path)
{
	bool rooted = path[0] == '/';
	size_t root = rooted, len = root; /* written so far; never ends with / but the root */
	size_t floor = root;              /* leading ".." of a relative path stay          */
	const char *p = path;

	while (*p) {
		size_t n = strcspn(p, "/");

		if (n == 0) {
			p++;
			continue;
		}
		if (n == 2 && p[0] == '.' && p[1] == '.') {
			if (len > floor) {
				len = clean_up(path, len, floor);
			} else if (!rooted) {
				if (len > 0)
					path[len++] = '/';
				memmove(path + len, "..", 2);
				len += 2;
				floor = len;
			}
		} else if (!(n == 1 && p[0] == '.')) {
			if (len > root)
				path[len++] = '/';
			memmove(path + len, p, n);
			len += n;
		}
		p += n;
	}
	if (len == 0)
		path[len++] = '.';
	path[len] = '\0';
}

int bootstrap_socket(char ret[SOCKET_PATH_MAX + 1], const char *dir, const char *address,
		     const char *ns, const char *group, struct err *err)
{
	char hash[SHA256_DIGEST_STRING_LENGTH];
	auto_free char *name = NULL;
	int n;

	if (asprintf(&name, "%s/%s/%s", address, ns, group) < 0)
		return err_set(err, ENOMEM, "can't name the socket");
	bootstrap_clean(name);
	SHA256Data((const uint8_t *)name, strlen(name), hash);
	n = snprintf(ret, SOCKET_PATH_MAX + 1, "%s/%s", dir, hash);
	if (n > SOCKET_PATH_MAX)
		return err_say(err, ENAMETOOLONG,
			       "socket folder %s is too long: with the name it may have %d bytes", dir,
			       SOCKET_PATH_MAX);
	return 0;
}

static int answer_plain(uint8_t **ret, size_t *len, const char *address, struct err *err)
{
	*ret = (uint8_t *)strdup(address);
	if (!*ret)
		return err_set(err, ENOMEM, "can't answer");
	*len = strlen(address);
	return 0;
}

int bootstrap_answer(uint8_t **ret, size_t *len, bool params, const char *address,
		     struct err *err)
{
	Containerd__Runtime__Bootstrap__V1__BootstrapResult out =
		CONTAINERD__RUNTIME__BOOTSTRAP__V1__BOOTSTRAP_RESULT__INIT;
	static char protocol[] = "ttrpc";
	auto_free char *copy = strdup(address);

	if (!params)
		return answer_plain(ret, len, address, err);
	out.version = 3;
	out.address = copy;
	out.protocol = protocol;
	*ret = copy ? malloc(protobuf_c_message_get_packed_size(&out.base)) : NULL;
	if (!*ret)
		return err_set(err, ENOMEM, "can't answer");
	*len = protobuf_c_message_pack(&out.base, *ret);
	return 0;
}
