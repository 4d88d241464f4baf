/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/grpc/ask.h"

#include "proto/api/queries.pb-c.h"
#include "proto/grpc/grpc.h"
#include "proto/ttrpc/status.h"

#include <errno.h>

#define TASKS_GET      "/containerd.services.tasks.v1.Tasks/Get"
#define SANDBOX_GET    "/containerd.services.sandbox.v1.Store/Get"
#define CONTAINERS_GET "/containerd.services.containers.v1.Containers/Get"

static struct grpc_request request(const struct ask *who, const char *path,
				   const ProtobufCMessage *in,
				   const ProtobufCMessageDescriptor *out)
{
	return (struct grpc_request){
		.socket = who->address,
		.ns = who->ns,
		.path = path,
		.in = in,
		.out = out,
		.timeout_ms = who->timeout_ms,
	};
}

int ask_task(const struct ask *who, struct ask_task *ret, struct err *err)
{
	Containerd__Services__GetTaskRequest in = CONTAINERD__SERVICES__GET_TASK_REQUEST__INIT;
	struct grpc_request req = request(who, TASKS_GET, &in.base,
					  &containerd__services__get_task_response__descriptor);
	const Containerd__Services__GetTaskResponse *answer;
	struct ask_task task = { .known = false };
	ProtobufCMessage *out = NULL;
	int code, rc;

	in.container_id = (char *)who->id;
	rc = grpc_call(&req, &out, &code, err);
	if (rc < 0 && code != STATUS_NOT_FOUND)
		return rc;
	answer = (const Containerd__Services__GetTaskResponse *)out;
	if (answer && answer->process) {
		task.known = true;
		task.pid = answer->process->pid;
		task.status = (int)answer->process->status;
	}
	protobuf_c_message_free_unpacked(out, NULL);
	if (rc == 0 && !task.known)
		return err_say(err, EBADMSG, "%s on %s: an answer without a process", TASKS_GET,
			       who->address);
	*ret = task;
	return 0;
}

int ask_sandbox(const struct ask *who, bool *ret, struct err *err)
{
	Containerd__Services__GetSandboxRequest in =
		CONTAINERD__SERVICES__GET_SANDBOX_REQUEST__INIT;
	struct grpc_request req = request(who, SANDBOX_GET, &in.base,
					  &containerd__services__get_sandbox_response__descriptor);
	ProtobufCMessage *out = NULL;
	int code, rc;

	in.sandbox_id = (char *)who->id;
	rc = grpc_call(&req, &out, &code, err);
	if (rc < 0 && code != STATUS_NOT_FOUND)
		return rc;
	*ret = rc == 0;
	protobuf_c_message_free_unpacked(out, NULL);
	return 0;
}

int ask_labels(const struct ask *who, int (*visit)(void *arg, const char *key, const char *value),
	       void *arg, struct err *err)
{
	Containerd__Services__GetContainerRequest in =
		CONTAINERD__SERVICES__GET_CONTAINER_REQUEST__INIT;
	struct grpc_request req =
		request(who, CONTAINERS_GET, &in.base,
			&containerd__services__get_container_response__descriptor);
	const Containerd__Services__Container *c;
	ProtobufCMessage *out = NULL;
	int code, rc;

	in.id = (char *)who->id;
	rc = grpc_call(&req, &out, &code, err);
	if (rc < 0 && code == STATUS_NOT_FOUND)
		return err_say(err, ENODATA, "containerd at %s knows no container %s/%s",
			       who->address, who->ns, who->id);
	if (rc < 0)
		return rc;
	c = ((const Containerd__Services__GetContainerResponse *)out)->container;
	for (size_t i = 0; c && i < c->n_labels && rc == 0; i++)
		rc = visit(arg, c->labels[i]->key, c->labels[i]->value);
	protobuf_c_message_free_unpacked(out, NULL);
	return rc;
}
