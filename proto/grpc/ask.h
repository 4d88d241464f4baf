/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_GRPC_ASK_H
#define URUNC_GRPC_ASK_H

/*
 * ask.h - the questions we have for containerd. Each blocks, for a child to ask.
 *
 * "Not known" is an answer that costs a task its life, so it is given only when
 * containerd said NotFound itself. Every other failure, a socket that is not there
 * included, is an error and means: unknown, touch nothing. And even NotFound may
 * be an accident: containerd says it for a task whose shim just now did not answer.
 * Ask twice, some seconds apart.
 */

#include "journal/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who is asked, and about what; all lent. */
struct ask {
	const char *address; /* containerd's gRPC socket */
	const char *ns;
	const char *id;
	int timeout_ms;      /* for all of it */
};

struct ask_task {
	bool known;   /* containerd has this task; else the rest is 0 */
	uint32_t pid; /* of its first process                         */
	int status;   /* Containerd__V1__Types__Status                */
};

/* Return: 0; or as grpc_call(), never for NotFound. */
int ask_task(const struct ask *who, struct ask_task *ret, struct err *err);

/* Has it a sandbox of this id? Return: as ask_task(). */
int ask_sandbox(const struct ask *who, bool *ret, struct err *err);

/* Visit a container's labels; visit() returns 0 to go on, any other value ends it and
 * is returned. @image: gets the name of its image, "" for none; the caller's to free;
 * may be NULL. Return: 0; -ENODATA containerd knows no such container; -ENOMEM; or as
 * grpc_call(), never for NotFound. */
int ask_labels(const struct ask *who, int (*visit)(void *arg, const char *key, const char *value),
	       void *arg, char **image, struct err *err);

#define ASK_MANIFEST_MAX (1 << 20) /* bytes; containerd sends that much in one piece */

/**
 * ask_manifest() - the manifest that an image is
 * @who:	who->id is not looked at; timeout_ms is for both questions that it takes
 * @ret:	its text, not ended by a NUL; the caller's to free
 *
 * An index, which names a manifest for each platform, is not followed.
 *
 * Return: 0; -ENODATA no such image, or no such text, or it is an index or something else;
 * -EFBIG it is over ASK_MANIFEST_MAX; -ENOMEM; or as grpc_call(), never for NotFound.
 */
int ask_manifest(const struct ask *who, const char *image, char **ret, size_t *len,
		 struct err *err);

#endif
