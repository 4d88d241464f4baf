/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_BUNDLE_SPEC_H
#define URUNC_BUNDLE_SPEC_H

/*
 * spec.h - what the supervisor needs to know of a bundle's config.json.
 *
 * The OCI runtime reads all of it; here only the few members that decide about
 * groups, cgroups, exits and guests. Strings are lent by the struct until
 * spec_clear().
 */

#include "journal/base/err.h"
#include "supervisor/node/node.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#define SPEC_MAX (16 * 1024 * 1024) /* bytes of config.json */

struct spec {
	json_object *json;        /* all of it, owned                              */
	json_object *annotations; /* an object of strings, or NULL                 */
	const char *group;        /* the group annotation, may be ""; NULL: none   */
	const char *cgroups_path; /* linux.cgroupsPath, or ""                      */
	const char *root_path;    /* root.path, or ""                              */
	const char *netns;        /* path of the network namespace joined, or ""   */
	bool own_netns;           /* it gets a new one                             */
	const char *pidns;        /* "" a new pid namespace, or the path of the one
	                             joined; NULL: the node's                      */
	bool own_pidns;           /* it gets a new one: when init dies, all die    */
	bool terminal;            /* process.terminal                              */
};
#define SPEC_INIT { .json = NULL }

/* Pure. -EINVAL: not JSON, or a member of the wrong type, with its name. */
int spec_parse(struct spec *ret, const char *text, size_t len, struct err *err);

/* <bundle>/config.json. -EINVAL also: it is missing, or no regular file; -EFBIG: with
 * its size and the limit. *ret can always be cleared. */
int spec_load(struct spec *ret, struct node *node, const char *bundle, struct err *err);

void spec_clear(struct spec *spec);

#endif
