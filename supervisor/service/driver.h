/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_SERVICE_DRIVER_H
#define URUNC_SERVICE_DRIVER_H

/*
 * driver.h - drives one run of the engine from libevent: the serving shim's drive().
 *
 * It waits for what the run waits for (a child, a descriptor, a time), wakes it, and
 * tells when it has ended. What it holds is nothing but events.
 */

#include "supervisor/engine/engine.h"

struct event_base;
struct driver;

/* How a run ended; the run is closed, the driver is gone. */
struct run_end {
	enum run_state state;
	enum life_state life; /* the task's, as journalled                     */
	struct err err;       /* what went wrong first; code 0 if nothing did  */
};
typedef void driver_done_fn(void *arg, const struct run_end *end);

/**
 * driver_start() - wake a run until it ends
 * @run:	the driver's from here on, also on failure
 * @why:	WAKE_BEGIN or WAKE_RESUME
 * @done:	called exactly once, and never before this returns
 *
 * Return: the driver, lent until @done or driver_stop(); NULL: -ENOMEM in *err.
 */
struct driver *driver_start(struct event_base *base, struct node *node, struct run *run,
			    enum wake_why why, driver_done_fn *done, void *arg, struct err *err);

/* From now on call @fn after each turn of the run that did not end it. */
void driver_each_turn(struct driver *d, void (*fn)(void *arg), void *arg);

/* Stop waiting and close the run; its rows stay. @done is not called. NULL is fine. */
void driver_stop(struct driver *d);

#endif
