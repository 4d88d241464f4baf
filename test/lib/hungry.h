/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_HUNGRY_H
#define URUNC_TEST_HUNGRY_H

/*
 * hungry.h - memory that is not there for the Nth who asks, and a journal that refuses the
 * Nth statement, or all from there on.
 *
 * For a test that is linked with libhungry.a, where what the supervisor asks of memory and
 * of SQLite has the names that hungry.c defines (Makefile). The test itself, and the
 * simulated machine, are never hungry.
 */

#include "test/lib/sim.h"

/* What is refused; memory, if there is no name. */
struct lack {
	const char *name;
	int code;    /* SQLite's; SQLITE_OK: somebody else takes the task over */
	bool for_ever;
};

/* From now on, also in processes forked after it, it is lacking for the @n-th: counted in
 * @sim, which is lent. FAMINE_WHERE=1: say who asked, for addr2line(1). */
void hungry_begin(struct sim *sim, const struct lack *lack, int n);

/* Nothing is refused any more. Return: was there an @n-th? */
bool hungry_end(void);

#endif
