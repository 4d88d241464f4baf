/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_STEP_ENDING_H
#define URUNC_STEP_ENDING_H

/*
 * ending.h - what the steps that make an init have in common: to write it down, and to
 * end it.
 */

#include "supervisor/step/step.h"

/* The init's step, have.init, and the task's row, in one commit: who knows the one can
 * also find the other. Puts have.init. @child: the row of a child that is the init from
 * here on, and so no child any more; 0: none. */
int step_remember_init(struct step *step, struct step_env *env, const struct ident *init,
		       int64_t child, struct err *err);

/* Kill it and wait until it is gone, wake after wake; then its exit is in the journal.
 * The caller has checked that the pid is of this boot and pid namespace. Commits
 * have.killed. Frozen cgroups with the task's id @id are thawed; a monitor's, whatever
 * their names. */
int step_end_init(struct step *step, struct step_env *env, const struct ident *init,
		  const char *id, struct wait *next, struct err *err);

/* The cgroups of a monitor, which are in the journal, go on. Best effort, as oci_thaw(). */
void step_thaw_monitor(struct step_env *env);

#endif
