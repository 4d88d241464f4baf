/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_REBUILD_EVIDENCE_H
#define URUNC_REBUILD_EVIDENCE_H

/*
 * evidence.h - what the host proves to be a task's, when its journal says nothing.
 *
 * The one thing known is the key: a hash of containerd's address, namespace, id. The
 * rest is a chain, and each link must hold, or the next one stays unknown:
 *
 *   address   said by the caller, or of another task of this daemon, or a usual one;
 *             its hash is the key's
 *   socket    its name is a hash of address, namespace and id. If somebody answers
 *             there nothing is this task's: a server of ours would hold its lock
 *   bundle    the caller's; or its address file names that socket; or another task of
 *             this daemon has its own beside it, and no address file names another
 *   state     the folder where a runtime says that it made the id from that bundle
 *   monitor   of our own launch: the one process whose environment names the task, whose
 *             cgroup the id, and which is in the network namespace that it was told of
 */

#include "supervisor/engine/work.h"

struct evidence {
	char *address, *ttrpc_address; /* owned; NULL: not known, as the others */
	char *socket;
	char *bundle;
	struct path_ident dir; /* of the bundle; ino 0: it is gone          */
	char *runtime;
	char *root;            /* the runtime's, namespace included         */
	bool state;            /* <root>/<id> is this task's                */
	struct ident monitor;  /* pid 0: there is none                      */
	char *network;         /* JSON: what its network step has           */
};

/* Return: 0, *ret the caller's to clear; -EBUSY: a server that is not ours answers on
 * the task's socket, or two processes say that they are its monitor. */
int evidence_take(struct evidence *ret, struct work *w, struct err *err);
/* Could something not be looked at, for want of memory or descriptors? Then it may be
 * there: no evidence is complete without it, and the next recovery may see it. */
bool evidence_unseen(int rc);
/* monitor.c: the last of it. */
int evidence_monitor(struct evidence *ev, struct work *w, struct err *err);
void evidence_clear(struct evidence *ev);

#endif
