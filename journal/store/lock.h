/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_STORE_LOCK_H
#define URUNC_STORE_LOCK_H

/*
 * lock.h - who owns a task: an fcntl lock on a file of its own.
 *
 * A file of its own, because such a lock is lost when its process closes any
 * descriptor of the file, and SQLite opens and closes the database as it likes. For
 * the same reason nothing here opens the lock file of a task that this very process
 * owns: it is looked for among our own descriptors first. So a process can't own a
 * task twice, either.
 */

#include "journal/base/err.h"

#include <sys/types.h>

/**
 * lock_take() - make the file if needed, and lock it
 * @ret:	the descriptor; closing it releases the lock
 *
 * Never waits. Return: 0; -EAGAIN somebody has it (*who: its pid, -1 if it is in
 * another pid namespace).
 */
int lock_take(const char *path, int *ret, pid_t *who, struct err *err);

/* *who: the owner, as above; 0: nobody. */
int lock_look(const char *path, pid_t *who, struct err *err);

#endif
