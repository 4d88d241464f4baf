/* SPDX-License-Identifier: Apache-2.0 */
/* What is too much, or too vague, for any plan. */
#include "supervisor/engine/plan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct task_row task = {
	.key = { .daemon = "0123456789ab", .ns = "default", .id = "c1" },
	.bundle = (char *)"/b/c1",
	.runtime = (char *)"/usr/bin/runc",
	.runtime_root = (char *)"/r/default",
};

/* Consumes @request. */
static void refuses(const struct task_row *row, json_object *request, int code, const char *why)
{
	struct plan_list *list = calloc(1, sizeof(*list));
	struct err err = ERR_INIT;

	assert_non_null(list);
	assert_int_equal(plan_make(list, PLAN_CREATE, row, request, NULL, &err), -code);
	assert_string_equal(err.text, why);
	assert_int_equal(list->n, 0);
	json_object_put(request);
	free(list);
}

static void too_many_mounts_are_refused(void **state)
{
	json_object *request = json_object_new_object();
	json_object *rootfs = json_object_new_array();

	(void)state;
	for (int i = 0; i < PLAN_STEPS_MAX; i++) {
		json_object *one = json_object_new_object();

		json_object_object_add(one, "type", json_object_new_string("tmpfs"));
		json_object_array_add(rootfs, one);
	}
	json_object_object_add(request, "rootfs", rootfs);
	refuses(&task, request, E2BIG, "more than 160 steps: too many rootfs mounts");
}

static void what_the_journal_does_not_keep_is_refused(void **state)
{
	json_object *request = json_object_new_object();
	char *path = malloc(JOURNAL_TEXT_MAX + 1);

	(void)state;
	assert_non_null(path);
	memset(path, 'p', JOURNAL_TEXT_MAX);
	path[JOURNAL_TEXT_MAX] = '\0';
	json_object_object_add(request, "cgroups_path", json_object_new_string(path));
	free(path);
	refuses(&task, request, E2BIG, "what the cgroup step wants is 65653 bytes long and the "
				       "journal keeps 65536");
}

static void a_task_of_relative_paths_is_refused(void **state)
{
	struct task_row bundle = task, runtime = task, root = task;

	(void)state;
	bundle.bundle = (char *)"b/c1";
	refuses(&bundle, NULL, EINVAL, "bundle \"b/c1\" is no absolute path");
	runtime.runtime = (char *)"runc";
	refuses(&runtime, NULL, EINVAL, "runtime \"runc\" is no absolute path");
	root.runtime_root = (char *)"";
	refuses(&root, NULL, EINVAL, "runtime root \"\" is no absolute path");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(too_many_mounts_are_refused),
		cmocka_unit_test(what_the_journal_does_not_keep_is_refused),
		cmocka_unit_test(a_task_of_relative_paths_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
