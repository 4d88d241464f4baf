/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/service/task.h"

#include "proto/api/sandbox.pb-c.h"
#include "proto/api/task.pb-c.h"

#include <errno.h>
#include <stdlib.h>

struct waiter {
	struct waiter *next;
	struct waiter **head;
	struct call *call;
};

static void answer_sandbox(struct call *call, const struct told_exit *exit)
{
	Containerd__Runtime__Sandbox__V1__WaitSandboxResponse out =
		CONTAINERD__RUNTIME__SANDBOX__V1__WAIT_SANDBOX_RESPONSE__INIT;
	Google__Protobuf__Timestamp at;

	told_time(&at, exit->at_ns);
	out.exit_status = exit->status;
	out.exited_at = &at;
	call_answer(call, &out.base);
}

void wait_answer(struct call *call, const struct told_exit *exit)
{
	Containerd__Task__V2__WaitResponse out = CONTAINERD__TASK__V2__WAIT_RESPONSE__INIT;
	const ProtobufCMessageDescriptor *type = call_method(call)->out;
	Google__Protobuf__Timestamp at;

	if (type == &containerd__runtime__sandbox__v1__wait_sandbox_response__descriptor) {
		answer_sandbox(call, exit);
		return;
	}
	if (type != out.base.descriptor) { /* who stops it waits, too, and is told no more */
		answer_empty(call);
		return;
	}
	told_time(&at, exit->at_ns);
	out.exit_status = exit->status;
	out.exited_at = &at;
	call_answer(call, &out.base);
}

static void on_gone(struct call *call, void *arg)
{
	struct waiter *w = arg;
	struct waiter **p = w->head;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	free(w);
	call_drop(call);
}

void wait_add(struct waiter **head, struct call *call)
{
	struct waiter *w = malloc(sizeof(*w));
	struct err err = ERR_INIT;

	if (!w) {
		err_set(&err, ENOMEM, "can't wait");
		call_fail(call, &err);
		return;
	}
	*w = (struct waiter){ .next = *head, .head = head, .call = call };
	*head = w;
	call_when_gone(call, on_gone, w);
}

static struct call *take(struct waiter **head)
{
	struct waiter *w = *head;
	struct call *call = w->call;

	*head = w->next;
	free(w);
	call_when_gone(call, NULL, NULL);
	return call;
}

void wait_fail_of(struct waiter **head, const ProtobufCMessageDescriptor *out,
		  const struct err *err)
{
	while (*head)
		if (call_method((*head)->call)->out == out)
			call_fail(take(head), err);
		else
			head = &(*head)->next;
}

void wait_tell(struct waiter **head, const struct told_exit *exit)
{
	while (*head)
		wait_answer(take(head), exit);
}

void wait_fail(struct waiter **head, const struct err *err)
{
	while (*head)
		call_fail(take(head), err);
}

void wait_drop(struct waiter **head)
{
	while (*head)
		call_drop(take(head));
}
