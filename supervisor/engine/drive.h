/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_ENGINE_DRIVE_H
#define URUNC_ENGINE_DRIVE_H

/*
 * drive.h - waiting, for programs that have no loop. These block.
 */

#include "supervisor/node/node.h"

/* Let @ms pass. */
void drive_pause(struct node *node, int ms);

/**
 * drive_job() - run one job that belongs to no task's life, and wait for it
 * @deadline_ms:	node->now_ms() time; then it is killed
 * @out:	NULL before; what it wrote, the caller's to free whatever is returned
 *
 * For jobs that change nothing (JOB_ASK): no row names the child.
 *
 * Return: its exit code, 0 to 255; -ETIMEDOUT; < 0 it could not be run.
 */
int drive_job(struct node *node, enum job job, const char *args, int64_t deadline_ms,
	      char **out, struct err *err);

#endif
