/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_SERVICE_SERVICE_H
#define URUNC_SERVICE_SERVICE_H

/*
 * service.h - a serving shim: the task API on a socket, driven by one loop.
 *
 * It serves the task it was started for, and those that `start` has it join later: the
 * containers of a pod. Each has its own journal and they know nothing of each other;
 * what they share is the process, its loop and its socket.
 *
 * All it does to the node goes through runs of the engine. What it keeps in memory
 * besides is what State, Wait and Connect answer, so that they never wait for the
 * journal, and the descriptors of a container's stdio.
 *
 * Nothing on the loop blocks. A caller that gives up only stops waiting: a plan goes
 * on to its end, or to undo.
 */

#include "supervisor/engine/engine.h"
#include "supervisor/io/log.h"

struct service_options {
	struct node *node;           /* lent, with what follows                     */
	const struct config *config;
	const struct journal_place *place;
	struct journal *journal;     /* of the first task, owned; the service's      */
	int listen_fd;               /* bound and listening; the service's, unless it
	                                can't begin                                   */
	struct log *log;
};

/**
 * service_run() - serve until the end
 *
 * It begins by resuming: whatever the rows say is under way is gone on with.
 *
 * A task leaves by Shutdown, or when it was not created, or deleted, for a minute and
 * nobody is connected, or others stay (then for two): what `start` made for it is taken
 * back and its journal moves to the history. With the last of them the shim ends. It ends
 * also by SIGTERM or SIGINT; with a task that exists the rows of all stay, for whoever
 * comes next. A task that was created, never started, and has no connection for a minute is
 * looked at by a child: if containerd does not know it, that ends the shim and takes the
 * task down.
 *
 * Return: 0; 1: tasks stay as they are; < 0 it could not begin. What goes wrong
 * later is in the log; then, too, 1 if the loop could not go on.
 */
int service_run(const struct service_options *options, struct err *err);

#endif
