/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_LIB_LOOP_H
#define URUNC_TEST_LIB_LOOP_H

/*
 * loop.h - a libevent loop in a test: until something is true, never for ever.
 */

#include <event2/event.h>

/* Turn until *flag is not 0. Fails the test after 30 s. */
void loop_until(struct event_base *base, const int *flag);

/* Turn for so long, and count the turns: what waits well has few. */
int loop_for(struct event_base *base, int ms);

#endif
