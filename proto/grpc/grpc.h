/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_GRPC_GRPC_H
#define URUNC_GRPC_GRPC_H

/*
 * grpc.h - one unary gRPC call over a unix socket, waited for.
 *
 * For a short-lived child: it blocks, and HTTP/2 needs some 100 KiB of memory that a
 * serving shim should not have. Every call makes its own connection.
 */

#include "journal/base/err.h"

#include <protobuf-c/protobuf-c.h>

#define GRPC_ANSWER_MAX (16u << 20) /* bytes of an answer; containerd's own limit */

/* One call; all of it lent. */
struct grpc_request {
	const char *socket; /* path; a leading unix:// is passed over       */
	const char *ns;     /* containerd's namespace; NULL: none is sent   */
	const char *path;   /* /containerd.services.tasks.v1.Tasks/Get      */
	const ProtobufCMessage *in;
	const ProtobufCMessageDescriptor *out;
	int timeout_ms;     /* for all of it, connecting too                */
};

/**
 * grpc_call() - connect, call, wait for the answer, disconnect
 * @ret:	the answer, of type @req->out; free with protobuf_c_message_free_unpacked
 *
 * Return: 0; -ECONNREFUSED nobody listens; -ENOENT no such socket, or: the server
 * says NotFound (@ret_code tells them apart); -ENAMETOOLONG; -ETIMEDOUT;
 * -ECONNRESET it closed first; -EPROTO it does not speak gRPC; -EFBIG an answer over
 * GRPC_ANSWER_MAX; -EBADMSG an answer that can't be read; else what the server
 * answered, by proto/ttrpc/status.h, with the server's text.
 *
 * @ret_code: enum status_code that the server answered; -1: none. May be NULL.
 */
int grpc_call(const struct grpc_request *req, ProtobufCMessage **ret, int *ret_code,
	      struct err *err);

#endif
