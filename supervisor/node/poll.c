/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/node/node.h"

#include <poll.h>

int node_poll(struct node *n, struct pollfd *fds, unsigned count, int ms)
{
	return n->poll ? n->poll(n, fds, count, ms) : poll(fds, count, ms);
}
