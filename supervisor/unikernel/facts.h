/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_UNIKERNEL_FACTS_H
#define URUNC_UNIKERNEL_FACTS_H

/*
 * facts.h - what the node and the rootfs say that a choice depends on. Reads only.
 */

#include "supervisor/bundle/spec.h"
#include "supervisor/node/node.h"
#include "supervisor/unikernel/choice.h"

/* The container's rootfs: root.path of the spec, below the bundle if it is relative.
 * The caller frees. */
int facts_root(char **ret, const struct spec *spec, const char *bundle, struct err *err);

/**
 * facts_unikernel() - do the annotations, or else the rootfs itself, say that it is a unikernel?
 * @annotations: of the bundle, which win; may be NULL
 * @ret:	the caller's to json_object_put(), as of annotations.h
 * @why:	if it does not: in half a sentence
 *
 * A file that is missing, too long, no regular file, or can't be read as what it should
 * be makes no unikernel; a symbolic link is not followed.
 *
 * Return: 1; 0; -ENOMEM.
 */
int facts_unikernel(struct node *node, const char *root, json_object *annotations,
		    json_object **ret, struct err *why);

/* Is @path, taken from @root as its root, a regular file? A symbolic link on the way is
 * not followed, for it may lead anywhere: FILE_UNSURE. "": FILE_UNSURE. */
enum choice_file facts_file(struct node *node, const char *root, const char *path);

/**
 * facts_look() - all that a choice asks of a rootfs, in one go
 * @args:	{ "root", "annotations": of the bundle, "unikernel": as in want }; the
 *		last is absent if only the rootfs can say that it is one
 * @ret:	the caller's: { "binary", "initrd", "block": enum choice_file,
 *		"unikernel": if it is one by "annotations" or the rootfs }, or { "none": why it is none }
 *
 * A file system may hang, so it is for a child: JOB_LOOK.
 *
 * Return: 0; -EINVAL; -ENOMEM.
 */
int facts_look(struct node *node, json_object *args, json_object **ret, struct err *err);

#endif
