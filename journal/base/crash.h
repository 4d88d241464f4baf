/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_BASE_CRASH_H
#define URUNC_BASE_CRASH_H

/*
 * crash.h - the places where the power may fail.
 *
 * crash_point("name") stands between any two effects that recovery must be able
 * to tell apart: after every journal commit and after every effect. It is
 * nothing at all, except in MODE=crash. There
 *
 *	URUNC_CRASH_AT=N	the Nth point this process reaches is its last
 *	URUNC_CRASH_ROLE=R	only in processes of this role (see crash_role())
 *	URUNC_CRASH_TALLY=file	every point reached is appended as "role name"
 *
 * and the death is SIGKILL to itself: no handler, no exit path, no flush.
 * Counting restarts in each process, also after a fork (crash_role() does it).
 */

#ifdef URUNC_CRASH_POINTS
void crash_point(const char *name);
/* Say which part this process plays: "start", "serve", "delete", "recover". */
void crash_role(const char *role);
#else
static inline void crash_point(const char *name)
{
	(void)name;
}
static inline void crash_role(const char *role)
{
	(void)role;
}
#endif

#endif
