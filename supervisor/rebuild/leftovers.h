/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_REBUILD_LEFTOVERS_H
#define URUNC_REBUILD_LEFTOVERS_H

/*
 * leftovers.h - what urunc's own shim and runtime left on this node.  Reads only.
 *
 * They keep no journal, so there is no row to compare with, and only names tell. What
 * carries the name of a task in our journal is that task's, and passed over; so is what
 * has a living user: a tap that somebody has open, a process whose shim lives.
 *
 *   tap       tapN_urunc without an alias, not open: it keeps urunc from starting
 *             another guest in that pod
 *   redirect  an ingress qdisc on the pod's interface whose frames go to such a tap, or
 *             to one that is gone: the pod hears nothing
 *   state     a folder of urunc's runtime whose process is dead, or was never there
 *   process   a monitor, or urunc's parked init, whose shim is dead
 *   mount     below a bundle's monRootfs, or of a rootfs view, on the host
 *
 * "Safe" means: nothing that lives can need it. The rest asks for a look first.
 */

#include "supervisor/engine/engine.h"

#include <stdbool.h>

enum leftover {
	LEFT_TAP,
	LEFT_REDIRECT,
	LEFT_STATE,
	LEFT_PROCESS,
	LEFT_MOUNT,
};

struct leftover_found {
	enum leftover what;
	bool safe;
	const char *text; /* lent */
	const char *fix;  /* lent: the command that removes it, or that tells more */
};

/* Return: 0, or < 0: the host can't be looked at. */
int leftovers(struct engine *e, const struct journal_place *place,
	      void (*each)(void *arg, const struct leftover_found *found), void *arg,
	      struct err *err);

#endif
