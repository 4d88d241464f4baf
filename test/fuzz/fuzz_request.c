/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of a Create, the first byte says of which type: they are refused with a
 * sentence, or a plan can be tried with them.
 */
#include "supervisor/bundle/options.h"
#include "supervisor/bundle/request.h"
#include "supervisor/engine/plan.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_plan(json_object *options, const struct request_mount *mount)
{
	static const struct task_row task = {
		.bundle = (char *)"/b", .runtime = (char *)"/r", .runtime_root = (char *)"/s",
	};
	struct spec spec = { .cgroups_path = "" };
	struct config config = { .debug = false };
	struct request_in in = { .options = options, .rootfs = mount, .n_rootfs = 1,
				 .spec = &spec, .config = &config };
	struct plan_list *list = calloc(1, sizeof(*list));
	json_object *request = NULL;
	struct err err = ERR_INIT;

	if (!list)
		abort();
	if (request_make(&request, &in, &err) < 0 ||
	    plan_make(list, PLAN_CREATE, &task, request, NULL, &err) < 0) {
		if (!err.text[0] || list->n != 0)
			abort();
	} else if (list->n != 6) {
		abort();
	}
	plan_clear(list);
	free(list);
	json_object_put(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = { "", "containerd.runc.v1.Options",
					     "x/runtimeoptions.v1.Options", "other" };
	json_object *options = NULL;
	struct err err = ERR_INIT;
	char *text;
	const char *words[1];
	struct request_mount mount = { .type = "bind", .options = words, .n_options = 1 };

	if (size == 0)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	if (!text)
		abort();
	mount.target = words[0] = text;
	if (options_decode(&options, types[data[0] % 4], data + 1, size - 1, &err) == 0)
		try_plan(options, &mount);
	else if (!err.text[0] || options)
		abort();
	json_object_put(options);
	free(text);
	return 0;
}
