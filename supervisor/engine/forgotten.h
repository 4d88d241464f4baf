/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_ENGINE_FORGOTTEN_H
#define URUNC_ENGINE_FORGOTTEN_H

/*
 * forgotten.h - does its own containerd still know a task whose shim lives?
 */

#include "supervisor/engine/engine.h"

#define FORGOTTEN_APART_MS 2500 /* between two questions about one task */

/**
 * task_forgotten() - ask twice; blocks for some seconds if the first answer is no
 * @any_known:	the daemon is known to know another living task, or this one is its only
 * @clients:	so many connections its shim has for other tasks, which containerd knows
 * @anyway:	RECOVER_FORGOTTEN: a daemon that is down or knows nothing is a reason too
 * @why:	ERR_TEXT_MAX bytes: the sentence of the answer, either way
 *
 * Return: 1 forgotten, 0 not, or nobody can say.
 */
int task_forgotten(struct engine *e, const struct task_row *task, bool any_known, int clients,
		   bool anyway, char *why);

/* One question. 1: containerd knows this task (same id, same init); 0: it does not; < 0:
 * no answer. Blocks for some seconds at most. */
int task_known(struct engine *e, const struct task_row *task, struct err *err);

/* Ask its shim to end it and let go of it, as the shim of other tasks too is asked.
 * Blocks for some seconds at most. 0: it has; < 0: it has not, or not yet. */
int task_release(struct engine *e, const struct task_row *task, struct err *err);

#endif
