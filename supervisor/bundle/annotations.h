/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_BUNDLE_ANNOTATIONS_H
#define URUNC_BUNDLE_ANNOTATIONS_H

/*
 * annotations.h - is this bundle a unikernel, and which?
 *
 * The keys com.urunc.unikernel.*. Old images have their values in base64, newer ones
 * in plain text; the type, which is one of a few known words, decides for all.
 */

#include "journal/base/err.h"

#include <json-c/json.h>
#include <stddef.h>

#define ANNOTATION_PREFIX "com.urunc.unikernel."
#define ANNOTATION_BUNDLE "bundle" /* a source */
#define ANNOTATION_MAX 4096 /* bytes of one value */

#define ANNOTATION_FILE     "urunc.json" /* at the root of the container's rootfs */
#define ANNOTATION_FILE_MAX 65536        /* its bytes                             */

/**
 * annotations_unikernel() - describe the unikernel of a bundle
 * @annotations:	an object of strings, or NULL
 * @ret:	the caller's to json_object_put(): { "type", "monitor", "binary" } and, if
 *		given, "version", "cmdline", "initrd", "block", "block_mount",
 *		"mount_rootfs" (bool; "mount_rootfs_text" too, if it was no boolean and so
 *		counts as false), "vaccel", "rpc_address", "network"
 *
 * Return: 1; 0: not a unikernel, for type, monitor or binary is missing; -EINVAL a
 * value is too long or no text.
 */
int annotations_unikernel(json_object *annotations, json_object **ret, struct err *err);

/**
 * annotations_file() - as annotations_unikernel(), with the text of the rootfs's own file
 * @text:	@len bytes: one flat object of the same keys, its values in base64, or all in
 *		plain text, as its own type tells; without one what can be read as base64 is
 *
 * What the bundle says wins, key by key; vAccel comes from the bundle alone. Pure.
 *
 * Return: as above; -EINVAL also if it is no such object.
 */
int annotations_file(json_object *annotations, const char *text, size_t len,
		     json_object **ret, struct err *err);

/**
 * annotations_add() - what one more source says, where those before it said nothing
 * @to:		an object of the keys, in plain text
 * @from:	one of the keys in plain text or, as its own type tells, in base64; NULL: none
 * @who:	the source's name; vAccel, RPCAddress and network are taken from
 *		ANNOTATION_BUNDLE alone, for they reach what is the node's
 * @origin:	gets { name of a member as of annotations_unikernel(): @who }
 *
 * Keys that nobody knows, and empty values, are left out. Pure.
 *
 * Return: 0; -EINVAL a value is too long: nothing of @from was added.
 */
int annotations_add(json_object *to, json_object *from, const char *who, json_object *origin,
		    struct err *err);

/* Strict base64 of printable text into @out (@size with the NUL): its length, or -1:
 * it is not that. Pure. */
int annotations_base64(const char *text, char *out, size_t size);

#endif
