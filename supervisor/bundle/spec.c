/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/bundle/spec.h"

#include "journal/base/cleanup.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* In this order, and the first that is there wins, even if it is empty. */
static const char *const group_keys[] = {
	"io.containerd.runc.v2.group",
	"io.kubernetes.cri.sandbox-id",
};

/* A member of @type; absent or null is NULL. < 0: it is of another type. */
static int get(json_object *o, const char *name, enum json_type type, json_object **ret,
	       struct err *err)
{
	json_object *value = NULL;

	*ret = NULL;
	if (!o || !json_object_object_get_ex(o, name, &value) || !value)
		return 0;
	if (!json_object_is_type(value, type))
		return err_say(err, EINVAL, "\"%s\" is a %s where a %s belongs", name,
			       json_type_to_name(json_object_get_type(value)),
			       json_type_to_name(type));
	*ret = value;
	return 0;
}

static int get_text(json_object *o, const char *name, const char **ret, struct err *err)
{
	json_object *value;
	int rc = get(o, name, json_type_string, &value, err);

	if (rc < 0)
		return rc;
	*ret = value ? json_object_get_string(value) : "";
	/* A NUL inside would cut a path where nobody sees it. */
	if (value && strlen(*ret) != (size_t)json_object_get_string_len(value))
		return err_say(err, EINVAL, "\"%s\" holds a NUL character", name);
	return 0;
}

static int read_annotations(struct spec *spec, struct err *err)
{
	int rc = get(spec->json, "annotations", json_type_object, &spec->annotations, err);

	if (rc < 0 || !spec->annotations)
		return rc;
	json_object_object_foreach(spec->annotations, key, text) {
		if (!json_object_is_type(text, json_type_string))
			return err_say(err, EINVAL, "annotation \"%s\" is no string", key);
	}
	for (size_t i = 0; i < ARRAY_SIZE(group_keys) && !spec->group; i++) {
		json_object *group = NULL;

		if (json_object_object_get_ex(spec->annotations, group_keys[i], &group))
			spec->group = json_object_get_string(group);
	}
	return 0;
}

static int read_namespace(struct spec *spec, json_object *one, struct err *err)
{
	const char *type = "";
	const char *path = "";
	int rc;

	if (!json_object_is_type(one, json_type_object))
		return err_say(err, EINVAL, "a namespace is no object");
	rc = get_text(one, "type", &type, err);
	if (rc == 0)
		rc = get_text(one, "path", &path, err);
	if (rc < 0)
		return rc;
	if (strcmp(type, "pid") == 0) {
		spec->pidns = path;
		spec->own_pidns = path[0] == '\0';
	}
	if (strcmp(type, "network") == 0) {
		spec->own_netns = path[0] == '\0';
		spec->netns = path;
	}
	return 0;
}

/* What a runtime makes of .. differs (crun makes the folders on the way as well), so
 * nobody could say beforehand which cgroups there will be. */
static int check_cgroups_path(const char *path, struct err *err)
{
	for (const char *at = path; *at; at += strcspn(at, "/")) {
		at += strspn(at, "/");
		if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0'))
			return err_say(err, EINVAL, "\"cgroupsPath\" %.200s has a .. in it; "
				       "write the path without", path);
	}
	return 0;
}

static int read_linux(struct spec *spec, struct err *err)
{
	json_object *part;
	json_object *list;
	int rc = get(spec->json, "linux", json_type_object, &part, err);

	if (rc == 0)
		rc = get_text(part, "cgroupsPath", &spec->cgroups_path, err);
	if (rc == 0)
		rc = check_cgroups_path(spec->cgroups_path, err);
	if (rc == 0)
		rc = get(part, "namespaces", json_type_array, &list, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; list && rc == 0 && i < json_object_array_length(list); i++)
		rc = read_namespace(spec, json_object_array_get_idx(list, i), err);
	return rc;
}

static int read_members(struct spec *spec, struct err *err)
{
	json_object *part;
	json_object *flag = NULL;
	int rc = read_annotations(spec, err);

	if (rc == 0)
		rc = read_linux(spec, err);
	if (rc == 0)
		rc = get(spec->json, "root", json_type_object, &part, err);
	if (rc == 0)
		rc = get_text(part, "path", &spec->root_path, err);
	if (rc == 0)
		rc = get(spec->json, "process", json_type_object, &part, err);
	if (rc == 0)
		rc = get(part, "terminal", json_type_boolean, &flag, err);
	spec->terminal = flag && json_object_get_boolean(flag);
	return rc;
}

static json_object *parse(const char *text, size_t len, struct err *err)
{
	struct json_tokener *tok = json_tokener_new();
	json_object *o;
	size_t end;

	if (!tok) {
		(void)err_set(err, ENOMEM, "parse");
		return NULL;
	}
	o = json_tokener_parse_ex(tok, text, (int)len);
	end = json_tokener_get_parse_end(tok);
	if (!o) {
		enum json_tokener_error why = json_tokener_get_error(tok);

		(void)err_say(err, EINVAL, "not JSON: %s at byte %zu",
			      why == json_tokener_continue ? "it ends too early"
							   : json_tokener_error_desc(why),
			      end);
	}
	json_tokener_free(tok);
	while (o && end < len && strchr(" \t\r\n", text[end]) && text[end])
		end++;
	if (o && end < len) {
		(void)err_say(err, EINVAL, "not JSON: more text after its end, at byte %zu", end);
		json_object_put(o);
		o = NULL;
	}
	return o;
}

int spec_parse(struct spec *ret, const char *text, size_t len, struct err *err)
{
	int rc;

	*ret = (struct spec){ .cgroups_path = "", .root_path = "", .netns = "" };
	if (len > SPEC_MAX)
		return err_say(err, EFBIG, "%zu bytes, and the limit is %d", len, SPEC_MAX);
	ret->json = parse(text, len, err);
	if (!ret->json)
		return err && err->code == ENOMEM ? -ENOMEM : -EINVAL;
	rc = json_object_is_type(ret->json, json_type_object)
		     ? read_members(ret, err)
		     : err_say(err, EINVAL, "the outermost value is no object");
	if (rc < 0)
		spec_clear(ret);
	return rc;
}

static int load(struct spec *ret, struct node *node, const char *path, struct err *err)
{
	auto_free char *text = NULL;
	struct path_ident what;
	size_t len = 0;
	int rc = node->path(node, path, &what, err);

	if (rc < 0)
		return rc;
	if (rc == 0)
		return err_say(err, EINVAL, "there is no such file; the bundle is not complete");
	if (!S_ISREG(what.mode))
		return err_say(err, EINVAL, "not a regular file");
	if (what.size > SPEC_MAX)
		return err_say(err, EFBIG, "%lld bytes, and the limit is %d",
			       (long long)what.size, SPEC_MAX);
	rc = node->read_file(node, path, SPEC_MAX, &text, &len, err);
	return rc < 0 ? rc : spec_parse(ret, text, len, err);
}

int spec_load(struct spec *ret, struct node *node, const char *bundle, struct err *err)
{
	auto_free char *path = NULL;
	int rc;

	*ret = (struct spec)SPEC_INIT;
	if (asprintf(&path, "%s/config.json", bundle) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "read config.json");
	}
	rc = load(ret, node, path, err);
	return rc < 0 ? err_wrap(err, "%s", path) : rc;
}

void spec_clear(struct spec *spec)
{
	json_object_put(spec->json);
	*spec = (struct spec)SPEC_INIT;
}
