/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/service/events.h"

#include "journal/base/cleanup.h"
#include "proto/api/task_events.pb-c.h"

#include <errno.h>
#include <stdlib.h>

#define GO_ZERO_TIME (-62135596800)

void told_time(Google__Protobuf__Timestamp *ret, int64_t at_ns)
{
	google__protobuf__timestamp__init(ret);
	ret->seconds = at_ns ? at_ns / 1000000000 : GO_ZERO_TIME;
	ret->nanos = (int32_t)(at_ns % 1000000000);
}

static int tell(struct journal *j, const char *topic, const ProtobufCMessage *m, int64_t at_ns,
		struct err *err)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	auto_free uint8_t *data = malloc(len + 1);

	if (!data)
		return err_set(err, ENOMEM, "event %s", topic);
	protobuf_c_message_pack(m, data);
	return journal_tell(j, topic, m->descriptor->name, data, len, at_ns, err);
}

static char *own_id(struct journal *j)
{
	return (char *)journal_key(j)->id;
}

int tell_create(struct journal *j, const struct told_create *what, pid_t pid, int64_t at_ns,
		struct err *err)
{
	Containerd__Events__TaskCreate m = CONTAINERD__EVENTS__TASK_CREATE__INIT;
	Containerd__Events__TaskIO io = CONTAINERD__EVENTS__TASK_IO__INIT;

	io.stdin = (char *)what->stdio[0];
	io.stdout = (char *)what->stdio[1];
	io.stderr = (char *)what->stdio[2];
	io.terminal = what->terminal;
	m.container_id = (char *)what->id;
	m.bundle = (char *)what->bundle;
	m.rootfs = what->rootfs;
	m.n_rootfs = what->n_rootfs;
	m.io = &io;
	m.pid = (uint32_t)pid;
	return tell(j, "/tasks/create", &m.base, at_ns, err);
}

int tell_start(struct journal *j, pid_t pid, int64_t at_ns, struct err *err)
{
	Containerd__Events__TaskStart m = CONTAINERD__EVENTS__TASK_START__INIT;

	m.container_id = own_id(j);
	m.pid = (uint32_t)pid;
	return tell(j, "/tasks/start", &m.base, at_ns, err);
}

int tell_exit(struct journal *j, const struct told_exit *exit, int64_t at_ns, struct err *err)
{
	Containerd__Events__TaskExit m = CONTAINERD__EVENTS__TASK_EXIT__INIT;
	Google__Protobuf__Timestamp at;

	told_time(&at, exit->at_ns);
	m.container_id = own_id(j);
	m.id = own_id(j);
	m.pid = (uint32_t)exit->pid;
	m.exit_status = exit->status;
	m.exited_at = &at;
	return tell(j, "/tasks/exit", &m.base, at_ns, err);
}

int tell_delete(struct journal *j, const struct told_exit *exit, int64_t at_ns, struct err *err)
{
	Containerd__Events__TaskDelete m = CONTAINERD__EVENTS__TASK_DELETE__INIT;
	Google__Protobuf__Timestamp at;

	told_time(&at, exit->at_ns);
	m.container_id = own_id(j);
	m.pid = (uint32_t)exit->pid;
	m.exit_status = exit->status;
	m.exited_at = &at;
	return tell(j, "/tasks/delete", &m.base, at_ns, err);
}
