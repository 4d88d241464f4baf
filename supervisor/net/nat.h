/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_NET_NAT_H
#define URUNC_NET_NAT_H

/*
 * nat.h - the mode static: what is made besides the tap, and taken back before it.
 */

#include "supervisor/net/job.h"

/* Both as net_attach() and net_detach(). */
int nat_attach(struct job *j, const struct job_plan *p, int tap, struct err *err);
int nat_detach(struct job *j, const struct job_plan *p, struct err *err);

#endif
