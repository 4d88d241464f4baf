/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_LIFE_PRINT_H
#define URUNC_LIFE_PRINT_H

/*
 * print.h - the table of life.h, for people, the manual and the model.
 *
 * PLAIN is a line an arrow, columns by tab: from, event, to, plan, why; "-" for none,
 * refusals too. MDOC is the states and the arrows as lists of mdoc(7), which
 * urunc-states(7) holds between its two "table from life.c" comments. PROMELA is the
 * same as mtypes and guarded assignments for SPIN, with what each plan undoes, and how.
 */

#include "supervisor/life/life.h"

#include <stdio.h>

enum life_format { LIFE_PLAIN, LIFE_MDOC, LIFE_PROMELA, LIFE_FORMAT_N };

/* "plain", "mdoc", "promela"; LIFE_FORMAT_N: none of them. */
enum life_format life_format_of(const char *name);

/* 0, or -1: writing failed (errno). */
int life_print(FILE *out, enum life_format format);

#endif
