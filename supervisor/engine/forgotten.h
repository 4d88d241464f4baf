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
 * @anyway:	RECOVER_FORGOTTEN: a daemon that is down or knows nothing is a reason too
 * @why:	ERR_TEXT_MAX bytes: the sentence of the answer, either way
 *
 * Return: 1 forgotten, 0 not, or nobody can say.
 */
int task_forgotten(struct engine *e, const struct task_row *task, bool any_known, bool anyway,
		   char *why);

/* One question. 1: containerd knows this task (same id, same init); 0: it does not; < 0:
 * no answer. Blocks for some seconds at most. */
int task_known(struct engine *e, const struct task_row *task, struct err *err);

#endif
