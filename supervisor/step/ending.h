/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_STEP_ENDING_H
#define URUNC_STEP_ENDING_H

/*
 * ending.h - what the steps that make an init, or a process beside it, have in common: to
 * hear it, to write it down, and to end it.
 */

#include "supervisor/step/step.h"

/* What a launched process has said: {"ready":true} and the like. */
struct heard {
	struct ident who;
	int64_t child;     /* its row                      */
	json_object *said; /* the caller's to json_object_put() */
};

/**
 * step_hear() - the next word of the step's child, a JOB_LAUNCH
 * @what:	for people: "the launch"
 *
 * Return: STEP_DONE and *ret; STEP_WAIT, for its word or its end; < 0: it told an error,
 * ended, or took too long.
 */
int step_hear(struct step *step, struct step_env *env, const struct wake *wake, const char *what,
	      struct heard *ret, struct wait *next, struct err *err);

/* The next word of the task's init, which was launched. STEP_DONE and *ret, the caller's to
 * json_object_put(); STEP_WAIT; -EIO it told an error; -EPIPE it has closed its end, or ended. */
int step_hear_init(struct step *step, struct step_env *env, json_object **ret, struct wait *next,
		   struct err *err);

/* The cgroups of a monitor, as the member "cgroups" of what a launched process is told. */
int step_tell_cgroups(struct step_env *env, json_object *args, struct err *err);

/* A child that is none any more, but what its step holds, as the member @name of its have.
 * One commit. */
int step_remember(struct step *step, struct step_env *env, const char *name,
		  const struct heard *heard, struct err *err);

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
