/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_BUNDLE_POD_H
#define URUNC_BUNDLE_POD_H

/*
 * pod.h - what a CreateSandbox asks, gathered into the JSON that plans are made of.
 *
 * A sandbox is a process that holds a pod's namespaces for its containers. Which of them
 * it has of its own is in the pod's config, runtime.v1.PodSandboxConfig; without one, all.
 * Where the pod is in the node's network it keeps the node's name as well. Pure.
 */

#include "journal/base/err.h"

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

/* Everything is lent; NULL strings are "". */
struct pod_in {
	const char *id;
	const char *netns; /* path of the network namespace to be joined; "": none */
	const char *type;  /* type_url of the config; "": there is none            */
	const void *value;
	size_t len;
	int64_t at_ns;     /* now */
};

/**
 * pod_request() - the request of a sandbox
 * @ret:	the caller's to json_object_put(): { "sandbox": { "hostname", "namespaces",
 *		"pids": "own" | "node", "sysctls" }, "cgroups_path", "options":
 *		{ "systemd_cgroup" }, "netns", "created_ns" }, see supervisor/engine/plan.h
 *
 * Return: 0; -ENOTSUP a config of another type, or what it asks for is not there, by
 * name; -EINVAL it can't be decoded, or contradicts itself; -E2BIG the config has
 * more than 256 KiB, or the request would not fit into the journal.
 */
int pod_request(json_object **ret, const struct pod_in *in, struct err *err);

#endif
