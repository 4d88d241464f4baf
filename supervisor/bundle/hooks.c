/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/bundle/hooks.h"

#include "journal/base/cleanup.h"
#include "supervisor/step/step.h"

#include <string.h>

/* When they run, in what state the container is then, and whether in its namespaces. */
static const struct {
	const char *when, *status;
	bool inside;
} kinds[] = {
	{ "prestart", "creating", .inside = false },
	{ "createRuntime", "creating", .inside = false },
	{ "createContainer", "creating", .inside = true },
	{ "startContainer", "created", .inside = true },
	{ "poststart", "running", .inside = false },
	{ "poststop", "stopped", .inside = false },
};

static json_object *list_of(json_object *request, const char *when)
{
	json_object *hooks = NULL;

	(void)json_object_object_get_ex(request, "hooks", &hooks);
	return json_list(hooks, when);
}

bool hooks_any(json_object *request, const char *when)
{
	json_object *list = list_of(request, when);

	return list && json_object_array_length(list) > 0;
}

static void copy(json_object *to, json_object *from, const char *name)
{
	json_object *value = NULL;

	if (json_object_object_get_ex(from, name, &value))
		json_put(to, name, json_object_get(value));
}

json_object *hooks_want(const struct task_row *task, json_object *request, const char *when)
{
	json_object *want = json_object_new_object();

	if (!want)
		return NULL;
	json_put_text(want, "id", task->key.id);
	json_put_text(want, "bundle", task->bundle);
	json_put_text(want, "when", when);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i].when, when) != 0)
			continue;
		json_put_text(want, "status", kinds[i].status);
		if (kinds[i].inside)
			json_put(want, "inside", json_object_new_boolean(true));
	}
	copy(want, request, "oci");
	json_put(want, "list", json_object_get(list_of(request, when)));
	copy(want, request, "annotations");
	return want;
}
