/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_METRICS_METRICS_H
#define URUNC_METRICS_METRICS_H

/*
 * metrics.h - what a container uses, as Stats answers it.
 *
 * The whole message of containerd's: io.containerd.cgroups.v1.Metrics or
 * io.containerd.cgroups.v2.Metrics. A control file that is not there, can't be read or
 * is not understood leaves its field out: the numbers of a container that has just gone
 * are an almost empty message, never an error. cpu and memory are always in it.
 *
 * Files are read through the node: about forty short ones, none of which waits. Nothing
 * is kept from one call to the next.
 */

#include "supervisor/metrics/folders.h"

struct metrics {
	const char *type; /* for an Any's type_url; a constant */
	uint8_t *data;    /* its value                         */
	size_t len;
};

/**
 * metrics_read() - as it is now
 * @ret:	the caller's to metrics_clear(), whatever is returned
 *
 * Return: 0; -ENOMEM.
 */
int metrics_read(struct node *node, const struct cgroup_folders *folders, struct metrics *ret,
		 struct err *err);

void metrics_clear(struct metrics *m);

#endif
