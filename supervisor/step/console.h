/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_STEP_CONSOLE_H
#define URUNC_STEP_CONSOLE_H

/*
 * console.h - the console socket of a step that runs something with a terminal.
 *
 * want.console is its path, of console_path() in supervisor/io/console.h; absent or "":
 * no terminal. The folder's identity goes into have.console_folder.
 */

#include "supervisor/step/step.h"

/* Make it, if one is wanted, once want and have are committed; *env->ret_console_fd gets
 * the listening socket. Commits. -EINVAL: nobody is there to take it. */
int step_console_make(struct step *step, struct step_env *env, struct err *err);

/* Take it away; may be repeated. */
int step_console_remove(struct step *step, struct step_env *env, struct err *err);

#endif
