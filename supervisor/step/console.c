/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/step/console.h"

#include "journal/base/crash.h"
#include "supervisor/io/console.h"

#include <errno.h>

int step_console_make(struct step *step, struct step_env *env, struct err *err)
{
	const char *path = json_text(step->want, "console", "");
	struct path_ident folder;
	int rc;

	if (!path[0])
		return 0;
	if (!env->ret_console_fd)
		return err_say(err, EINVAL, "nobody is there to take the terminal");
	rc = console_listen(env->node, path, &folder, env->ret_console_fd, err);
	if (rc < 0)
		return rc;
	crash_point("console");
	json_put_path(step->have, "console_folder", &folder);
	return step_save(step, env, err);
}

int step_console_remove(struct step *step, struct step_env *env, struct err *err)
{
	const char *path = json_text(step->want, "console", "");
	struct path_ident folder;
	bool known = json_path(step->have, "console_folder", &folder);
	int rc;

	if (!path[0])
		return 0;
	rc = console_remove(env->node, path, known ? &folder : NULL, err);
	return rc < 0 && rc != -ESTALE ? rc : 0;
}
