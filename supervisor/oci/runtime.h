/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_OCI_RUNTIME_H
#define URUNC_OCI_RUNTIME_H

/*
 * runtime.h - which OCI runtime, and how it differs from the others.
 */

#include "journal/base/err.h"
#include "supervisor/node/node.h"

#include <stdbool.h>

/* Told by the name of the binary alone: nothing is run to find out. */
enum runtime_kind {
	RUNTIME_OTHER, /* driven like runc, trusted with less                   */
	RUNTIME_RUNC,
	RUNTIME_CRUN,
	RUNTIME_NATIVE, /* none: the monitor is launched by us                  */
	RUNTIME_SANDBOX, /* none: it holds a pod's namespaces, and runs nothing  */
	RUNTIME_URUNC, /* no --no-pivot, no --no-new-keyring; delete trusts a pid */
};
/* Where else the path of a binary stands. */
#define RUNTIME_NATIVE_NAME  "unikernel"
#define RUNTIME_SANDBOX_NAME "sandbox"

enum runtime_kind runtime_kind_of(const char *path);

/* There is no OCI runtime: its process is ours. */
bool runtime_is_none(enum runtime_kind kind);

/* The runtime may be signalled past: its init takes signals like any process. */
bool runtime_takes_pidfd(enum runtime_kind kind);

/* Is there something under @path that can be executed? A symbolic link counts; where
 * it leads shows when it is executed. 1, 0, or < 0. */
int runtime_executable(struct node *n, const char *path, struct err *err);

/**
 * runtime_search() - look a program up as execvp(3) would
 * @name:	a path if it holds a slash
 * @dirs:	the value of PATH
 * @ret:	the path, the caller's to free
 *
 * Return: 1, or 0: not found.
 */
int runtime_search(struct node *n, const char *name, const char *dirs, char **ret,
		   struct err *err);

/**
 * runtime_find() - the path of the OCI runtime's binary
 * @name:	what was asked for; "": the first found of urunc, runc, crun
 *
 * Return: 0; -ENOEXEC there is none, with its quoted name, as clients expect it:
 * exec: "foo": executable file not found in $PATH
 */
int runtime_find(struct node *n, const char *name, const char *dirs, char **ret,
		 struct err *err);

#endif
