/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_UNIKERNEL_BINDS_H
#define URUNC_UNIKERNEL_BINDS_H

/*
 * binds.h - the bind mounts of the spec, which a guest can be given where its root file
 * system is a share: whoever serves the share has them below it. Pure.
 */

#include "supervisor/bundle/spec.h"

/* How many there are, by their options: the type of a bind mount says nothing. */
size_t binds_count(const struct spec *spec);

/**
 * binds_read() - those of @spec, as the launch is told
 * @ret:	the caller's to json_object_put(): [{ "source": path on the node, "to": path in
 *		the rootfs, "recursive": bool, "flags": of MS_RDONLY, MS_NOSUID, MS_NODEV,
 *		MS_NOEXEC, MS_NOATIME, MS_NODIRATIME and MS_STRICTATIME }], in the spec's order
 *
 * Return: 0; -EINVAL: a source or destination is no absolute path, as the node or the guest
 * has it; -ENOTSUP: an option can't be honoured, which is named: propagation between the
 * node and a share, and what is a file system's; -ENOMEM.
 */
int binds_read(json_object **ret, const struct spec *spec, struct err *err);

#endif
