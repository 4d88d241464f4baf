/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TTRPC_METHOD_H
#define URUNC_TTRPC_METHOD_H

/*
 * method.h - from the name of an rpc to the function that answers it, now or later.
 *
 * A service is a table with a row a method. Decoding, encoding, unknown names and
 * deadlines are the server's business; a handler sees a typed request and a call:
 *
 *	static void on_start(struct call *call, const void *in)
 *	{
 *		const Containerd__Task__V2__StartRequest *req = in;
 *		...
 *		call_answer(call, &out.base);
 *	}
 *
 *	const struct method task_methods[] = {
 *		{ "Start", &containerd__task__v2__start_request__descriptor,
 *		  &containerd__task__v2__start_response__descriptor, on_start },
 *		{ .name = NULL },
 *	};
 *
 * A call is an obligation: each is ended by exactly one of call_answer(),
 * call_fail(), call_fail_code() or call_drop(), in the handler or any time later,
 * and is freed by it. It outlives what it came from. If by then the deadline was
 * reached, the connection lost or the server freed, the answer goes nowhere, and
 * that is no error: whoever gave up waiting has not stopped the work.
 *
 * None of these functions blocks, fails, or calls back into the caller.
 */

#include "journal/base/err.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

struct call;

/* @in: the request, of the row's type; lent until the handler returns. */
typedef void method_fn(struct call *call, const void *in);

struct method {
	const char *name; /* as in the .proto; NULL ends the table */
	const ProtobufCMessageDescriptor *in;
	const ProtobufCMessageDescriptor *out;
	method_fn *fn;
};

/* What the service was registered with: what its handlers work on. Lent. */
void *call_user(const struct call *call);

/* The row that is being called; it tells apart calls kept in one list. */
const struct method *call_method(const struct call *call);

/* Answer; @out (lent) must be of the type in the row. An answer that does not fit
 * into a frame (4 MiB) becomes ResourceExhausted, as the row's type would not. */
void call_answer(struct call *call, const ProtobufCMessage *out);

/* Answer that it failed: code by status.h, text with the class behind it. */
void call_fail(struct call *call, const struct err *err);

/* The same with a code of the caller's choice (enum status_code, not OK). */
void call_fail_code(struct call *call, int code, const char *text);

/* Forget the call unanswered, as at the end of the process or in a gone_fn. */
void call_drop(struct call *call);

/* Nobody waits for it any more: connection closed or deadline reached. */
bool call_gone(const struct call *call);

/**
 * call_when_gone() - be told, once, when nobody waits any more
 * @fn:	called from the loop; may end the call, and may not free the server
 *
 * For calls that may wait for ever (Wait): without this, clients that come and go
 * would leave one call behind each. Short work needs no notice. NULL takes it back.
 * Said of a call that is gone already it has no effect; in its handler none is.
 */
typedef void gone_fn(struct call *call, void *arg);
void call_when_gone(struct call *call, gone_fn *fn, void *arg);

#endif
