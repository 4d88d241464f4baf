/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux_ask.c - jobs that ask containerd: whether it knows a task, and what it says of the
 * image that a container is made of.
 */
#include "supervisor/node/linux.h"

#include "journal/base/cleanup.h"
#include "proto/grpc/ask.h"
#include "proto/ttrpc/client.h"
#include "supervisor/bundle/annotations.h"
#include "supervisor/bundle/json.h"
#include "supervisor/node/node_linux.h"
#include "supervisor/step/step.h"
#include "supervisor/unikernel/facts.h"

#include <string.h>

#define ASK_MS 2000 /* all that is asked about one task; the child has a deadline as well */

static int read_who(struct ask *who, json_object *args, struct err *err)
{
	who->address = linux_job_text(args, "address", err);
	who->ns = who->address ? linux_job_text(args, "ns", err) : NULL;
	who->id = who->ns ? linux_job_text(args, "id", err) : NULL;
	return who->id ? 0 : -EINVAL;
}

int linux_job_ask(json_object *args, struct err *err)
{
	struct ask who = { .timeout_ms = ASK_MS };
	struct ask_task task = { .known = false };
	int rc = read_who(&who, args, err);

	if (rc < 0)
		return rc;
	if (json_true(args, "sandbox"))
		rc = ask_sandbox(&who, &task.known, err);
	else
		rc = ask_task(&who, &task, err);
	if (rc < 0)
		return rc;
	return dprintf(STDOUT_FILENO, "{\"known\":%s,\"pid\":%u}", task.known ? "true" : "false",
		       task.pid) < 0
		       ? err_set(err, errno, "answer")
		       : 0;
}

/* ---- labels and manifest --------------------------------------------------------- */

/* What is known of a container's annotations, and by whom. */
struct known {
	json_object *values, *origin;
};

static int keep_label(void *labels, const char *key, const char *value)
{
	if (strncmp(key, ANNOTATION_PREFIX, strlen(ANNOTATION_PREFIX)) == 0)
		json_put_text(labels, key, value);
	return 0;
}

static int add_manifest(struct known *known, const char *text, size_t len, struct err *err)
{
	struct json_tokener *tok = json_tokener_new();
	auto_json json_object *manifest = NULL;

	if (!tok)
		return err_set(err, ENOMEM, "read the manifest");
	manifest = json_tokener_parse_ex(tok, text, (int)len);
	json_tokener_free(tok);
	if (!json_object_is_type(manifest, json_type_object))
		return err_say(err, EINVAL, "the manifest is no JSON object");
	return annotations_add(known->values, json_object_object_get(manifest, "annotations"),
			       "manifest", known->origin, err);
}

static int ask_image(const struct ask *who, const char *image, struct known *known,
		     struct err *err)
{
	auto_free char *text = NULL;
	size_t len = 0;
	int rc = ask_manifest(who, image, &text, &len, err);

	if (rc == -ENODATA) /* an index, as most images are, or it is gone: no trouble */
		return 0;
	return rc < 0 ? rc : add_manifest(known, text, len, err);
}

/* The manifest's annotations win over the labels, which are taken without them too. */
static int ask_container(json_object *args, struct known *known, struct err *err)
{
	int64_t deadline = client_deadline(ASK_MS);
	struct ask who = { .timeout_ms = ASK_MS };
	auto_json json_object *labels = json_object_new_object();
	auto_free char *image = NULL;
	int rc = read_who(&who, args, err);
	int added;

	if (rc == 0 && !labels)
		rc = err_set(err, ENOMEM, "ask for labels");
	if (rc == 0)
		rc = ask_labels(&who, keep_label, labels, &image, err);
	if (rc < 0)
		return rc;
	who.timeout_ms = client_left(deadline);
	if (*image)
		rc = ask_image(&who, image, known, err);
	added = annotations_add(known->values, labels, "label", known->origin, rc < 0 ? NULL : err);
	return rc < 0 ? rc : added;
}

/* What the bundle says wins over all; then the rest of @args is looked at with it. */
static int ask_first(json_object *args, json_object *ask, struct known *known, struct err *err)
{
	int rc = annotations_add(known->values, json_object_object_get(args, "annotations"),
				 ANNOTATION_BUNDLE, known->origin, err);

	if (rc < 0)
		return rc;
	rc = ask_container(ask, known, err);
	json_put(args, "annotations", json_object_get(known->values));
	return rc;
}

static int look(json_object *args, json_object **found, struct err *err)
{
	struct node *node = NULL;
	int rc = node_linux_new(&node, err);

	if (rc == 0)
		rc = facts_look(node, args, found, err);
	node_linux_free(node);
	return rc;
}

int linux_job_look(json_object *args, struct err *err)
{
	auto_json json_object *values = json_object_new_object();
	auto_json json_object *origin = json_object_new_object();
	auto_json json_object *found = NULL;
	struct known known = { .values = values, .origin = origin };
	struct err trouble = ERR_INIT;
	json_object *ask = NULL; /* { "address", "ns", "id" } */
	int asked = 0;
	int rc;

	if (!values || !origin)
		return err_set(err, ENOMEM, "look");
	if (json_object_object_get_ex(args, "ask", &ask))
		asked = ask_first(args, ask, &known, &trouble);
	rc = look(args, &found, err);
	if (rc < 0)
		return rc;
	if (ask && json_object_object_get_ex(found, "unikernel", NULL))
		json_put(found, "origin", json_object_get(origin));
	if (asked < 0)
		json_put_text(found, "trouble", trouble.text);
	return dprintf(STDOUT_FILENO, "%s", json_object_to_json_string(found)) < 0
		       ? err_set(err, errno, "answer") : 0;
}
