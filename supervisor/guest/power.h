/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_GUEST_POWER_H
#define URUNC_GUEST_POWER_H

/*
 * power.h - a guest that is asked to power off, by its monitor's power button. What it does
 * then is its own affair, and takes its time: see supervisor/service/grace.c.
 */

#include "supervisor/step/step.h"

/* Its monitor runs, and was launched so that it can be asked. */
bool power_can_be_asked(struct step_env *env);

/**
 * power_ask() - ask, and wait at most a second for the monitor's word that it was done
 *
 * Wake after wake; commits have.until_ms.
 *
 * Return: STEP_DONE the button was pressed; STEP_WAIT; < 0 it was not: the monitor does not
 * answer, refuses, or is gone.
 */
int power_ask(struct step *step, struct step_env *env, const struct wake *wake, struct wait *next,
	      struct err *err);

#endif
