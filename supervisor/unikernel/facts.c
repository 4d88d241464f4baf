/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/unikernel/facts.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/annotations.h"
#include "supervisor/step/step.h"

#include <string.h>
#include <sys/stat.h>

int facts_root(char **ret, const struct spec *spec, const char *bundle, struct err *err)
{
	const char *path = spec->root_path;
	size_t len = strlen(path);
	int n;

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len == 0)
		return err_say(err, EINVAL, "%s/config.json has no root.path", bundle);
	n = path[0] == '/' ? asprintf(ret, "%.*s", (int)len, path)
			   : asprintf(ret, "%s/%.*s", bundle, (int)len, path);
	return n < 0 ? err_set(err, ENOMEM, "name the rootfs") : 0;
}

static int read_file(struct node *node, const char *path, char **text, size_t *len,
		     struct err *why)
{
	struct path_ident what;
	int rc = node->path(node, path, &what, why);

	if (rc <= 0)
		return rc < 0 ? rc : err_say(why, ENOENT, "there is no " ANNOTATION_FILE " in the rootfs");
	if (!S_ISREG(what.mode))
		return err_say(why, EINVAL, ANNOTATION_FILE " is no regular file");
	return node->read_file(node, path, ANNOTATION_FILE_MAX, text, len, why);
}

int facts_unikernel(struct node *node, const char *root, json_object *annotations,
		    json_object **ret, struct err *why)
{
	auto_free char *path = NULL;
	auto_free char *text = NULL;
	size_t len = 0;
	int rc;

	rc = annotations_unikernel(annotations, ret, why);
	if (rc != 0)
		return rc == -ENOMEM ? rc : rc > 0;
	if (asprintf(&path, "%s/" ANNOTATION_FILE, root) < 0) {
		path = NULL;
		return err_set(why, ENOMEM, "look for " ANNOTATION_FILE);
	}
	rc = read_file(node, path, &text, &len, why);
	if (rc == 0)
		rc = annotations_file(annotations, text, len, ret, why);
	if (rc == 0)
		(void)err_say(why, EINVAL, ANNOTATION_FILE " lacks the type, the monitor or the binary");
	return rc == -ENOMEM ? rc : rc > 0;
}

/* The next component of @rest is appended to @at. */
static bool step_into(char *at, size_t size, const char **rest)
{
	const char *name = *rest + strspn(*rest, "/");
	size_t len = strcspn(name, "/");
	size_t used = strlen(at);

	if (len == 0 || used + len + 2 > size)
		return false;
	at[used] = '/';
	memcpy(at + used + 1, name, len);
	at[used + 1 + len] = '\0';
	*rest = name + len;
	return true;
}

static bool at_end(const char *rest)
{
	return rest[strspn(rest, "/")] == '\0';
}

enum choice_file facts_file(struct node *node, const char *root, const char *path)
{
	char at[4096];
	const char *rest = path;
	struct path_ident what;
	int rc;

	if (strlen(root) + 1 > sizeof(at) || strstr(path, ".."))
		return FILE_UNSURE;
	(void)strcpy(at, root);
	rc = node->path(node, at, &what, NULL);
	if (rc <= 0 || !S_ISDIR(what.mode))
		return FILE_UNSURE;
	while (step_into(at, sizeof(at), &rest)) {
		rc = node->path(node, at, &what, NULL);
		if (rc < 0 || (rc > 0 && S_ISLNK(what.mode)))
			return FILE_UNSURE;
		if (rc == 0)
			return FILE_MISSING;
		if (at_end(rest))
			return S_ISREG(what.mode) ? FILE_THERE : FILE_MISSING;
		if (!S_ISDIR(what.mode))
			return FILE_MISSING;
	}
	return FILE_UNSURE;
}

static void look_for(struct node *node, const char *root, json_object *unikernel,
		     const char *name, json_object *ret)
{
	json_put_int(ret, name, facts_file(node, root, json_text(unikernel, name, "")));
}

int facts_look(struct node *node, json_object *args, json_object **ret, struct err *err)
{
	const char *root = json_text(args, "root", "");
	json_object *unikernel = json_object_object_get(args, "unikernel");
	auto_json json_object *found = json_object_new_object();
	struct err why = ERR_INIT;
	int rc = 1;

	if (!root[0])
		return err_say(err, EINVAL, "look: \"root\" is missing");
	if (!unikernel) {
		rc = facts_unikernel(node, root, json_object_object_get(args, "annotations"), &unikernel,
				     &why);
		json_put(found, rc > 0 ? "unikernel" : "none",
			 rc > 0 ? unikernel : json_object_new_string(why.text));
	}
	if (rc < 0 || !found)
		return err_set(err, ENOMEM, "look into %s", root);
	if (rc > 0) {
		look_for(node, root, unikernel, "binary", found);
		look_for(node, root, unikernel, "initrd", found);
		look_for(node, root, unikernel, "block", found);
	}
	*ret = found;
	found = NULL;
	return 0;
}
