/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ttrpc/release.h"

#include "proto/api/urunc_shim.pb-c.h"
#include "proto/ttrpc/client.h"

int release_ask(const struct release *r, struct release_end *ret, struct err *err)
{
	Urunc__Shim__V1__ReleaseRequest in = URUNC__SHIM__V1__RELEASE_REQUEST__INIT;
	const struct client_request req = {
		.service = "urunc.shim.v1.Shim", .method = "Release", .ns = r->ns,
		.in = &in.base, .out = &urunc__shim__v1__release_response__descriptor,
		.timeout_ms = r->timeout_ms,
	};
	ProtobufCMessage *answer = NULL;
	const Urunc__Shim__V1__ReleaseResponse *out;
	int rc;

	*ret = (struct release_end){ .pid = 0 };
	in.id = (char *)r->id;
	rc = client_ask(r->socket, &req, &answer, NULL, err);
	if (rc < 0)
		return rc;
	out = (const Urunc__Shim__V1__ReleaseResponse *)answer;
	if (out->pid && out->exited_at && out->exited_at->seconds > 0) {
		ret->pid = (pid_t)out->pid;
		ret->status = out->exit_status;
		ret->at_ns = out->exited_at->seconds * 1000000000 + out->exited_at->nanos;
	}
	protobuf_c_message_free_unpacked(answer, NULL);
	return 0;
}
