/* SPDX-License-Identifier: Apache-2.0 */
/*
 * info.c - what containerd 2 may know about us and the OCI runtime before any task.
 */
#include "cmd/shim/shim.h"

#include "journal/base/cleanup.h"
#include "proto/api/google.pb-c.h"
#include "proto/api/types.pb-c.h"
#include "supervisor/bundle/json.h"
#include "supervisor/engine/drive.h"
#include "supervisor/oci/runtime.h"

#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX (1u << 20) /* bytes */
#define FEATURES_MS 2000
#define FEATURES_TYPE "types.containerd.io/opencontainers/runtime-spec/1/features/Features"

/* 1: it ended with code 0 in time. */
static int wait_for(struct node *n, const struct ident *who)
{
	int64_t end = n->now_ms(n) + FEATURES_MS;
	struct pollfd pfd = { .fd = n->watch(n, who, NULL), .events = POLLIN };
	int status = -1;

	if (pfd.fd < 0)
		return 0;
	for (;;) {
		int64_t left = end - n->now_ms(n);

		if (left <= 0) {
			(void)n->signal(n, who, SIGKILL, NULL);
			return 0;
		}
		(void)poll(&pfd, 1, (int)left);
		if (n->reap(n, who, &status, NULL))
			return status == 0;
	}
}

/* The runtime's `features`, if it has any: JSON, checked, the caller's; or NULL. */
static char *features_of(struct node *n, const char *runtime)
{
	const char *const argv[] = { runtime, "features", NULL };
	const struct spawn spawn = { .job = JOB_EXEC, .argv = argv, .in = SPAWN_NULL,
				     .out = SPAWN_CAPTURE, .err = SPAWN_NULL,
				     .die_with_us = true };
	auto_free char *text = NULL;
	const char *written = NULL;
	json_object *json;
	struct ident who;
	char *ret = NULL;
	int ok;

	if (runtime_kind_of(runtime) == RUNTIME_URUNC || n->spawn(n, &spawn, &who, NULL) < 0)
		return NULL;
	ok = n->spawn_go(n, &who, NULL) == 0 && wait_for(n, &who);
	if (n->spawn_output(n, &who, &text, NULL) < 0 || !ok)
		return NULL;
	json = json_read(text);
	if (json_object_is_type(json, json_type_object))
		written = json_write(json);
	ret = written ? strdup(written) : NULL;
	json_object_put(json);
	return ret;
}

static int print(const Containerd__Types__RuntimeInfo *info, struct err *err)
{
	size_t len = containerd__types__runtime_info__get_packed_size(info);
	auto_free uint8_t *data = malloc(len + 1);

	if (!data)
		return err_set(err, ENOMEM, "can't answer");
	return shim_write_stdout(data, containerd__types__runtime_info__pack(info, data), err);
}

static int answer(const char *runtime, struct node *n, Google__Protobuf__Any *options,
		  struct err *err)
{
	static char name[] = SHIM_NAME, version[] = URUNC_VERSION, type[] = FEATURES_TYPE;
	Containerd__Types__RuntimeInfo info = CONTAINERD__TYPES__RUNTIME_INFO__INIT;
	Containerd__Types__RuntimeVersion v = CONTAINERD__TYPES__RUNTIME_VERSION__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	auto_free char *features = features_of(n, runtime);

	v.version = version;
	info.name = name;
	info.version = &v;
	info.options = options;
	if (features) {
		any.type_url = type;
		any.value.data = (uint8_t *)features;
		any.value.len = strlen(features);
		info.features = &any;
	}
	return print(&info, err);
}

int shim_info(struct shim *shim, struct err *err)
{
	auto_free char *data = NULL;
	auto_free char *runtime = NULL;
	Google__Protobuf__Any *options = NULL;
	const char *dirs = getenv("PATH");
	size_t len;
	int rc = shim_read_stdin(&data, &len, OPTIONS_MAX, err);

	if (rc == 0 && len) {
		options = google__protobuf__any__unpack(NULL, len, (const uint8_t *)data);
		if (!options)
			rc = err_say(err, EINVAL, "standard input holds no runtime options");
	}
	if (rc == 0)
		rc = runtime_find(shim->node, shim->config.runtime, dirs ? dirs : "", &runtime, err);
	if (rc == 0)
		rc = answer(runtime, shim->node, options, err);
	if (options)
		google__protobuf__any__free_unpacked(options, NULL);
	return rc;
}
