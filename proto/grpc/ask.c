/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/grpc/ask.h"

#include "journal/base/cleanup.h"
#include "proto/api/queries.pb-c.h"
#include "proto/grpc/grpc.h"
#include "proto/ttrpc/client.h"
#include "proto/ttrpc/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TASKS_GET      "/containerd.services.tasks.v1.Tasks/Get"
#define SANDBOX_GET    "/containerd.services.sandbox.v1.Store/Get"
#define CONTAINERS_GET "/containerd.services.containers.v1.Containers/Get"
#define IMAGES_GET     "/containerd.services.images.v1.Images/Get"
#define CONTENT_READ   "/containerd.services.content.v1.Content/Read"

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

/* Ask for @what of the name: -ENODATA if there is none. */
static int find(const struct ask *who, const struct grpc_request *req, const char *what,
		const char *name, ProtobufCMessage **out, struct err *err)
{
	int code;
	int rc = grpc_call(req, out, &code, err);

	if (rc < 0 && code == STATUS_NOT_FOUND)
		return err_say(err, ENODATA, "containerd at %s knows no %s %s/%s", who->address, what,
			       who->ns, name);
	return rc;
}

int ask_labels(const struct ask *who, int (*visit)(void *arg, const char *key, const char *value),
	       void *arg, char **image, struct err *err)
{
	Containerd__Services__GetContainerRequest in =
		CONTAINERD__SERVICES__GET_CONTAINER_REQUEST__INIT;
	struct grpc_request req =
		request(who, CONTAINERS_GET, &in.base,
			&containerd__services__get_container_response__descriptor);
	const Containerd__Services__Container *c;
	ProtobufCMessage *out = NULL;
	int rc;

	in.id = (char *)who->id;
	rc = find(who, &req, "container", who->id, &out, err);
	if (rc < 0)
		return rc;
	c = ((const Containerd__Services__GetContainerResponse *)out)->container;
	for (size_t i = 0; c && i < c->n_labels && rc == 0; i++)
		rc = visit(arg, c->labels[i]->key, c->labels[i]->value);
	if (rc == 0 && image) {
		*image = strdup(c ? c->image : "");
		rc = *image ? 0 : err_set(err, ENOMEM, "keep the name of the image");
	}
	protobuf_c_message_free_unpacked(out, NULL);
	return rc;
}

/* ---- the manifest of an image ---------------------------------------------------- */

static bool is_manifest(const char *type)
{
	return strcmp(type, "application/vnd.oci.image.manifest.v1+json") == 0 ||
	       strcmp(type, "application/vnd.docker.distribution.manifest.v2+json") == 0;
}

/* The digest of what it is. */
static int take_digest(const Containerd__Services__Descriptor *target, const char *image,
		       char **ret, struct err *err)
{
	if (!target || !is_manifest(target->media_type))
		return err_say(err, ENODATA, "image %s is no manifest but %s", image,
			       target ? target->media_type : "nothing");
	if (target->size > ASK_MANIFEST_MAX)
		return err_say(err, EFBIG, "the manifest of image %s has %lld bytes, and the limit "
			       "is %d", image, (long long)target->size, ASK_MANIFEST_MAX);
	*ret = strdup(target->digest);
	return *ret ? 0 : err_set(err, ENOMEM, "keep the digest of image %s", image);
}

static int find_image(const struct ask *who, const char *image, char **digest, struct err *err)
{
	Containerd__Services__GetImageRequest in = CONTAINERD__SERVICES__GET_IMAGE_REQUEST__INIT;
	struct grpc_request req = request(who, IMAGES_GET, &in.base,
					  &containerd__services__get_image_response__descriptor);
	const Containerd__Services__Image *found;
	ProtobufCMessage *out = NULL;
	int rc;

	in.name = (char *)image;
	rc = find(who, &req, "image", image, &out, err);
	if (rc < 0)
		return rc;
	found = ((const Containerd__Services__GetImageResponse *)out)->image;
	rc = take_digest(found ? found->target : NULL, image, digest, err);
	protobuf_c_message_free_unpacked(out, NULL);
	return rc;
}

static int read_content(const struct ask *who, const char *digest, char **ret, size_t *len,
			struct err *err)
{
	Containerd__Services__ReadContentRequest in =
		CONTAINERD__SERVICES__READ_CONTENT_REQUEST__INIT;
	struct grpc_request req =
		request(who, CONTENT_READ, &in.base,
			&containerd__services__read_content_response__descriptor);
	const Containerd__Services__ReadContentResponse *piece;
	ProtobufCMessage *out = NULL;
	int rc;

	in.digest = (char *)digest;
	in.size = ASK_MANIFEST_MAX;
	rc = find(who, &req, "content", digest, &out, err);
	if (rc < 0)
		return rc;
	piece = (const Containerd__Services__ReadContentResponse *)out;
	*len = piece->data.len;
	*ret = malloc(*len + 1);
	if (*ret && *len)
		memcpy(*ret, piece->data.data, *len);
	protobuf_c_message_free_unpacked(out, NULL);
	return *ret ? 0 : err_set(err, ENOMEM, "keep the manifest");
}

int ask_manifest(const struct ask *who, const char *image, char **ret, size_t *len,
		 struct err *err)
{
	int64_t deadline = client_deadline(who->timeout_ms);
	struct ask again = *who;
	auto_free char *digest = NULL;
	int rc = find_image(who, image, &digest, err);

	if (rc < 0)
		return rc;
	again.timeout_ms = client_left(deadline);
	return read_content(&again, digest, ret, len, err);
}
