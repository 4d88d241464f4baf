/* SPDX-License-Identifier: Apache-2.0 */
/* control.c - what is done to a running container: pause, resume, update, checkpoint. */
#include "supervisor/service/task.h"

#include "journal/base/cleanup.h"
#include "proto/api/runc_options.pb-c.h"
#include "proto/api/task.pb-c.h"
#include "supervisor/bundle/json.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- Pause, Resume --------------------------------------------------------------------- */

static void on_frozen(struct op *op, const struct run_end *end,
		      int (*tell)(struct journal *, int64_t, struct err *))
{
	struct task *t = op->task;
	struct err err = ERR_INIT;

	if (end->state != RUN_DONE) {
		answer_failure(op->call, end);
		return;
	}
	if (tell(t->journal, task_wall_ns(t), &err) < 0)
		log_say(t->service->o->log, LOG_LEVEL_ERROR, "event lost: %s", err.text);
	outbox_kick(t->outbox);
	answer_empty(op->call);
}

static void on_paused(struct op *op, const struct run_end *end)
{
	on_frozen(op, end, tell_paused);
}

static void on_resumed(struct op *op, const struct run_end *end)
{
	on_frozen(op, end, tell_resumed);
	if (end->state == RUN_DONE)
		grace_again(op->task);
}

void control_pause(struct task *t, struct call *call)
{
	struct err err = ERR_INIT;

	if (op_begin(t, EV_PAUSE, NULL, call, on_paused, &err) < 0)
		call_fail(call, &err);
}

void control_resume(struct task *t, struct call *call)
{
	struct err err = ERR_INIT;

	if (op_begin(t, EV_RESUME, NULL, call, on_resumed, &err) < 0)
		call_fail(call, &err);
}

/* ---- Update ---------------------------------------------------------------------------- */

static void on_done(struct op *op, const struct run_end *end)
{
	if (end->state == RUN_DONE)
		answer_empty(op->call);
	else
		answer_failure(op->call, end);
}

/* The resources as something to be read; the run's spawn has its own copy of it. */
static int resources_fd(const Google__Protobuf__Any *any, struct err *err)
{
	size_t len = any ? any->value.len : 0;
	auto_free char *text = any ? strndup((const char *)any->value.data, len) : NULL;
	auto_json json_object *resources = text ? json_read(text) : NULL;
	auto_fd int fd = -1;

	if (!text || (!resources && errno == ENOMEM))
		return err_set(err, ENOMEM, "the resources");
	if (!json_object_is_type(resources, json_type_object))
		return err_say(err, EPROTO, "the resources are no JSON object");
	fd = memfd_create("resources", MFD_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
	    lseek(fd, 0, SEEK_SET) < 0)
		return err_set(err, errno ? errno : EIO, "keep the resources for the runtime");
	return TAKE_FD(fd);
}

void control_update(struct task *t, struct call *call, const void *in)
{
	const Containerd__Task__V2__UpdateTaskRequest *req = in;
	struct run_options options = RUN_OPTIONS_INIT;
	struct err err = ERR_INIT;
	int fd = resources_fd(req->resources, &err);
	int rc = fd;

	options.stdio[0] = fd;
	if (fd >= 0)
		rc = op_begin(t, EV_UPDATE, &options, call, on_done, &err);
	if (rc < 0) {
		call_fail(call, &err);
		if (fd >= 0)
			close(fd);
		return;
	}
	t->ops->fd = fd; /* the newest is the one that began */
}

/* ---- Checkpoint ------------------------------------------------------------------------ */

static void put_true(json_object *o, const char *name, bool value)
{
	if (value)
		json_object_object_add(o, name, json_object_new_boolean(true));
}

static void put_text(json_object *o, const char *name, const char *value)
{
	if (value && *value)
		json_object_object_add(o, name, json_object_new_string(value));
}

static void put_options(json_object *o, const Containerd__Runc__V1__CheckpointOptions *c)
{
	json_object *empty = json_object_new_array();

	put_true(o, "exit", c->exit);
	put_true(o, "open_tcp", c->open_tcp);
	put_true(o, "external_unix_sockets", c->external_unix_sockets);
	put_true(o, "terminal", c->terminal);
	put_true(o, "file_locks", c->file_locks);
	put_text(o, "work", c->work_path);
	put_text(o, "parent", c->parent_path);
	for (size_t i = 0; i < c->n_empty_namespaces; i++)
		json_object_array_add(empty, json_object_new_string(c->empty_namespaces[i]));
	json_object_object_add(o, "empty_namespaces", empty);
}

static int checkpoint_args(json_object *o, const Containerd__Task__V2__CheckpointTaskRequest *in,
			   struct err *err)
{
	const Google__Protobuf__Any *any = in->options;
	Containerd__Runc__V1__CheckpointOptions *c;

	put_text(o, "path", in->path);
	if (!any || !any->value.len)
		return 0;
	c = containerd__runc__v1__checkpoint_options__unpack(NULL, any->value.len,
							     any->value.data);
	if (!c)
		return err_say(err, EINVAL, "the options can't be decoded as "
			       "containerd.runc.v1.CheckpointOptions");
	put_options(o, c);
	containerd__runc__v1__checkpoint_options__free_unpacked(c, NULL);
	return 0;
}

void control_checkpoint(struct task *t, struct call *call, const void *in)
{
	struct run_options options = RUN_OPTIONS_INIT;
	auto_json json_object *args = json_object_new_object();
	struct err err = ERR_INIT;
	int rc = args ? checkpoint_args(args, in, &err)
		      : err_set(&err, ENOMEM, "checkpoint %s", t->row.key.id);

	if (rc == 0) {
		options.args = json_write(args);
		rc = op_begin(t, EV_CHECKPOINT, &options, call, on_done, &err);
	}
	if (rc < 0)
		call_fail(call, &err);
}
