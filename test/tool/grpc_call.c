/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_call.c - one unary gRPC call: its message comes and goes as bytes.
 *
 *	grpc_call [--timeout-ms N] SOCKET /PACKAGE.SERVICE/METHOD <REQUEST >ANSWER
 *
 * protoc --encode and --decode make the bytes and read them. To us they are the unknown
 * fields of an empty message. Exit: 0 answered; 1 "error CODE TEXT", CODE being enum
 * status_code or, if no server said it, -1; 2 usage.
 */
#include "journal/base/cleanup.h"
#include "proto/api/google.pb-c.h"
#include "proto/grpc/grpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX (1 << 20)

static int usage(const char *why)
{
	fprintf(stderr, "grpc_call: %s; see the head of test/tool/grpc_call.c\n", why);
	return 2;
}

static int call(struct grpc_request *req, const uint8_t *bytes, size_t len)
{
	struct err err = { 0 };
	auto_free uint8_t *packed = NULL;
	ProtobufCMessage *answer = NULL;
	ProtobufCMessage *asked =
		protobuf_c_message_unpack(&google__protobuf__empty__descriptor, NULL, len, bytes);
	int code = -1, rc;

	if (!asked)
		return usage("the request is no message");
	req->in = asked;
	req->out = &google__protobuf__empty__descriptor;
	rc = grpc_call(req, &answer, &code, &err);
	protobuf_c_message_free_unpacked(asked, NULL);
	if (rc < 0) {
		printf("error %d %s\n", code, err.text);
		return 1;
	}
	len = protobuf_c_message_get_packed_size(answer);
	packed = malloc(len + 1);
	if (!packed)
		return usage("out of memory");
	protobuf_c_message_pack(answer, packed);
	protobuf_c_message_free_unpacked(answer, NULL);
	return fwrite(packed, 1, len, stdout) == len && fflush(stdout) == 0 ? 0 : 2;
}

int main(int argc, char **argv)
{
	struct grpc_request req = { .timeout_ms = 30000 };
	auto_free uint8_t *bytes = malloc(MESSAGE_MAX);
	size_t len;

	if (argc > 2 && strcmp(argv[1], "--timeout-ms") == 0) {
		req.timeout_ms = atoi(argv[2]);
		argc -= 2;
		argv += 2;
	}
	if (argc != 3 || req.timeout_ms <= 0 || !bytes)
		return usage("SOCKET and METHOD, please");
	req.socket = argv[1];
	req.path = argv[2];
	len = fread(bytes, 1, MESSAGE_MAX, stdin);
	return call(&req, bytes, len);
}
