/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_SHIM_FLAGS_H
#define URUNC_SHIM_FLAGS_H

/*
 * flags.h - the command line that containerd speaks: Go's.
 *
 *	-x v, -x=v, --x v, --x=v; in any order, the last one wins. A switch takes its
 *	value only behind "=". Flags end at "--" or at the first word that is none.
 */

#include "journal/base/err.h"

#include <stdbool.h>

/* Texts are the argument vector's own; "" if not given. */
struct flags {
	const char *ns, *id, *address, *publish_binary, *bundle, *socket, *debug_socket;
	bool debug, version, info;
	const char *action; /* "start", "delete", or whatever came: then serve */
};

/* Return: 0; -EINVAL: print the sentence and usage, exit 2. */
int flags_parse(struct flags *ret, int argc, const char *const *argv, struct err *err);

/* What a usage error prints. */
extern const char flags_usage[];

#endif
