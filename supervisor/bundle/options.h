/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_BUNDLE_OPTIONS_H
#define URUNC_BUNDLE_OPTIONS_H

/*
 * options.h - the runtime options of a Create, in whichever form they come.
 *
 *   nothing                       defaults
 *   containerd.runc.v1.Options    clients that name io.containerd.runc.v2
 *   runtimeoptions.v1.Options     CRI, for every other runtime name: the options
 *                                 table of containerd's config, as TOML, or the name
 *                                 of a file with the same (all that 1.6 sends)
 */

#include "journal/base/err.h"

#include <json-c/json.h>
#include <stddef.h>

struct node;

/**
 * options_decode() - options as the request keeps them; pure
 * @type_url:	of the Any; a prefix up to the last slash is passed over; "": none
 * @ret:	the caller's to json_object_put(). Members that were given:
 *		"binary_name", "root", "shim_cgroup", "criu_path", "criu_image_path",
 *		"criu_work_path": text; "no_pivot_root", "no_new_keyring",
 *		"systemd_cgroup": true; "io_uid", "io_gid": number; "config_path": text,
 *		for options_follow(); "unknown": [text], keys of the TOML that mean nothing here
 *
 * Return: 0; -ENOTSUP another type, with its name; -EINVAL it can't be decoded, or a
 * setting has the wrong type, with its name.
 */
int options_decode(json_object **ret, const char *type_url, const void *value, size_t len,
		   struct err *err);

/**
 * options_follow() - read the file "config_path", where one is named, into the options
 *
 * Return: 0; -EINVAL no such regular file, or as options_decode(); -EFBIG; each with the
 * file's name.
 */
int options_follow(json_object *options, struct node *node, struct err *err);

#endif
