/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/bundle/request.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/annotations.h"
#include "supervisor/bundle/json.h"
#include "supervisor/step/step.h"

#include <string.h>

static void put_text(json_object *o, const char *name, const char *value)
{
	if (value && value[0])
		json_put_text(o, name, value);
}

static json_object *mount_json(const struct request_mount *m)
{
	json_object *o = json_object_new_object();
	json_object *options = json_object_new_array();

	if (!o || !options) {
		json_object_put(options);
		json_object_put(o);
		return NULL;
	}
	json_put_text(o, "type", m->type ? m->type : "");
	json_put_text(o, "source", m->source ? m->source : "");
	json_put_text(o, "target", m->target ? m->target : "");
	for (size_t i = 0; i < m->n_options; i++) {
		json_object *word = json_object_new_string(m->options[i]);

		if (word && json_object_array_add(options, word) == 0)
			continue;
		json_object_put(word);
		json_object_put(options);
		json_object_put(o);
		return NULL;
	}
	json_put(o, "options", options);
	return o;
}

static int put_rootfs(json_object *o, const struct request_in *in, struct err *err)
{
	json_object *list;

	if (in->n_rootfs == 0)
		return 0;
	list = json_object_new_array();
	for (size_t i = 0; list && i < in->n_rootfs; i++) {
		json_object *one = mount_json(&in->rootfs[i]);

		if (one && json_object_array_add(list, one) == 0)
			continue;
		json_object_put(one);
		json_object_put(list);
		list = NULL;
	}
	if (!list)
		return err_set(err, ENOMEM, "note the request");
	json_put(o, "rootfs", list);
	return 0;
}

/* For who runs them, and in their state: see hook.c. */
static void put_hooks(json_object *o, const struct spec *spec)
{
	json_object *hooks = NULL;

	if (!json_object_object_get_ex(spec->json, "hooks", &hooks) ||
	    !json_object_is_type(hooks, json_type_object))
		return;
	json_put(o, "hooks", json_object_get(hooks));
	json_put_text(o, "oci", json_text(spec->json, "ociVersion", ""));
	if (spec->annotations)
		json_put(o, "annotations", json_object_get(spec->annotations));
}

/* Knative's queue-proxy looks for its guest where the mode static puts it. */
static void put_network(json_object *unikernel, const struct spec *spec)
{
	const char *name = json_text(spec->annotations, "io.kubernetes.cri.container-name", "");

	if (!json_text(unikernel, "network", NULL) && strcmp(name, "user-container") == 0)
		json_put_text(unikernel, "network", "static");
}

static int put_unikernel(json_object *o, const struct spec *spec, struct err *err)
{
	json_object *unikernel = NULL;
	int rc = annotations_unikernel(spec->annotations, &unikernel, err);

	if (rc <= 0)
		return rc;
	put_network(unikernel, spec);
	json_put(o, "unikernel", unikernel);
	put_hooks(o, spec);
	return 0;
}

static int fits(json_object *o, struct err *err)
{
	const char *text = json_write(o);

	if (!text || json_object_get_userdata(o))
		return err_set(err, ENOMEM, "note the request");
	if (strlen(text) > JOURNAL_TEXT_MAX)
		return err_say(err, E2BIG, "the request is %zu bytes long and the journal keeps %d: "
			       "too many or too long mount options", strlen(text),
			       JOURNAL_TEXT_MAX);
	return 0;
}

int request_unikernel(json_object *request, const struct spec *spec, json_object *unikernel,
		      struct err *err)
{
	put_network(unikernel, spec);
	json_put(request, "unikernel", json_object_get(unikernel));
	put_hooks(request, spec);
	return fits(request, err);
}

/* Whose the monitor will be, and so the tap; absent: root's. */
static void put_user(json_object *o, const struct spec *spec)
{
	json_object *process = NULL;
	json_object *user = NULL;

	if (!json_object_object_get_ex(spec->json, "process", &process) ||
	    !json_object_object_get_ex(process, "user", &user))
		return;
	if (json_uint(user, "uid", 0))
		json_put_uint(o, "uid", json_uint(user, "uid", 0));
	if (json_uint(user, "gid", 0))
		json_put_uint(o, "gid", json_uint(user, "gid", 0));
}

static void put_spec(json_object *o, const struct spec *spec)
{
	put_user(o, spec);
	put_text(o, "cgroups_path", spec->cgroups_path);
	put_text(o, "netns", spec->netns);
	json_put_text(o, "pid_namespace", spec->own_pidns ? "private" : "shared");
}

static void put_call(json_object *o, const struct request_in *in)
{
	put_text(o, "stdin", in->in);
	put_text(o, "stdout", in->out);
	put_text(o, "stderr", in->err);
	put_text(o, "console", in->console);
	put_text(o, "checkpoint", in->checkpoint);
	put_text(o, "parent_checkpoint", in->parent_checkpoint);
	put_text(o, "path", in->search);
	if (in->terminal)
		json_put(o, "terminal", json_object_new_boolean(true));
	if (in->options)
		json_put(o, "options", json_object_get(in->options));
	json_put_text(o, "rootfs_choice",
		      in->config->rootfs_choice == CHOICE_REQUIRED ? "required" : "best-effort");
}

int request_make(json_object **ret, const struct request_in *in, struct err *err)
{
	auto_json json_object *o = json_object_new_object();
	int rc;

	if (!o)
		return err_set(err, ENOMEM, "note the request");
	put_call(o, in);
	put_spec(o, in->spec);
	rc = put_rootfs(o, in, err);
	if (rc == 0)
		rc = put_unikernel(o, in->spec, err);
	if (rc == 0)
		rc = fits(o, err);
	if (rc < 0)
		return rc;
	*ret = TAKE_PTR(o);
	return 0;
}

int request_root(char **ret, json_object *options, const char *ns, struct err *err)
{
	const char *root = json_text(options, "root", REQUEST_ROOT);
	size_t len = strlen(root);

	while (len > 0 && root[len - 1] == '/')
		len--;
	if (root[0] != '/' || len == 0 || strstr(root, "/../"))
		return err_say(err, EINVAL, "option root \"%s\" must be an absolute path, and not "
			       "the root folder", root);
	if (asprintf(ret, "%.*s/%s", (int)len, root, ns) < 0)
		return err_set(err, ENOMEM, "name the runtime's root");
	return 0;
}

const char *request_runtime(json_object *options, const struct config *config)
{
	return json_text(options, "binary_name", config->runtime);
}
