/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_DOCTOR_BENCH_H
#define URUNC_TEST_DOCTOR_BENCH_H

/*
 * doctor_bench.h - what the doctor says of a bench's task, as text.
 *
 * The kind of the bench's files is seen with the fact that its want asks for:
 *
 *   { "path": ..., "fact": an enum step_fact, else present; "says": its sentence }
 */

#include "supervisor/engine/doctor.h"
#include "test/lib/engine_bench.h"

extern const struct step_ops *const doctor_kinds[];

/* All findings, a line each: code, task, step or not, text, what to type. */
struct doctor_told {
	char text[8192];
};
/* For doctor(); @arg: one of these. */
void doctor_tell(void *arg, const struct finding *f);

/* It tells these lines, no more, and their number is its answer. */
void doctor_expect(struct bench *b, const char *lines);

#endif
