/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_BUNDLE_REQUEST_H
#define URUNC_BUNDLE_REQUEST_H

/*
 * request.h - what a Create asks, gathered into the JSON that plans are made of.
 *
 * The members are described in supervisor/engine/plan.h. Pure.
 */

#include "journal/base/err.h"
#include "supervisor/bundle/config.h"
#include "supervisor/bundle/spec.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#define REQUEST_ROOT "/run/containerd/runc" /* where containerd keeps runtimes' state */

/* A containerd.types.Mount. */
struct request_mount {
	const char *type, *source, *target;
	const char *const *options;
	size_t n_options;
};

/* Everything is lent; NULL strings are "". */
struct request_in {
	const char *in, *out, *err;
	const char *console; /* path of the console socket, if terminal */
	const char *checkpoint, *parent_checkpoint;
	const char *search;  /* the value of PATH */
	bool terminal;
	const struct request_mount *rootfs;
	size_t n_rootfs;
	json_object *options; /* of options_decode(), or NULL */
	const struct spec *spec;
	const struct config *config;
};

/* @ret: the caller's to json_object_put(). -EINVAL what can't be asked; -E2BIG it would
 * not fit into the journal. */
int request_make(json_object **ret, const struct request_in *in, struct err *err);

/* What a request with "decide" becomes once the rootfs has said that it is a unikernel.
 * @unikernel: of annotations.h, lent. -ENOMEM; -E2BIG. */
int request_unikernel(json_object *request, const struct spec *spec, json_object *unikernel,
		      struct err *err);

/* The runtime's --root: that of the options, or REQUEST_ROOT, and the namespace. The
 * caller frees. -EINVAL the root is not absolute, or is /. */
int request_root(char **ret, json_object *options, const char *ns, struct err *err);

/* The name of the runtime that was asked for: of the options, else of the config; ""
 * is for runtime_find() to choose. Lent. */
const char *request_runtime(json_object *options, const struct config *config);

#endif
