/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/events/events.h"

#include "journal/base/cleanup.h"
#include "proto/api/task_events.pb-c.h"
#include "supervisor/step/step.h"

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

struct mounts {
	Containerd__Types__Mount *at, **list;
	char ***options;
	size_t n;
};

static void mounts_free(struct mounts *m)
{
	for (size_t i = 0; m->options && i < m->n; i++)
		free(m->options[i]);
	free(m->options);
	free(m->list);
	free(m->at);
}

/* Texts are lent by the JSON. */
static int mount_fill(struct mounts *m, size_t i, json_object *from)
{
	json_object *words = json_list(from, "options");
	size_t n = words ? json_object_array_length(words) : 0;

	m->list[i] = &m->at[i];
	m->options[i] = calloc(n + 1, sizeof(char *));
	if (!m->options[i])
		return -ENOMEM;
	for (size_t k = 0; k < n; k++)
		m->options[i][k] = (char *)json_object_get_string(
			json_object_array_get_idx(words, k));
	containerd__types__mount__init(&m->at[i]);
	m->at[i].type = (char *)json_text(from, "type", "");
	m->at[i].source = (char *)json_text(from, "source", "");
	m->at[i].target = (char *)json_text(from, "target", "");
	m->at[i].options = m->options[i];
	m->at[i].n_options = n;
	return 0;
}

static int mounts_read(struct mounts *ret, json_object *list, struct err *err)
{
	size_t n = list ? json_object_array_length(list) : 0;
	int rc = 0;

	*ret = (struct mounts){ .at = calloc(n + 1, sizeof(*ret->at)),
				.list = calloc(n + 1, sizeof(*ret->list)),
				.options = calloc(n + 1, sizeof(*ret->options)),
				.n = n };
	if (!ret->at || !ret->list || !ret->options)
		rc = -ENOMEM;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = mount_fill(ret, i, json_object_array_get_idx(list, i));
	if (rc == 0)
		return 0;
	mounts_free(ret);
	return err_set(err, ENOMEM, "event /tasks/create");
}

int tell_create(struct journal *j, const struct told_create *what, json_object *list,
		pid_t pid, int64_t at_ns, struct err *err)
{
	Containerd__Events__TaskCreate m = CONTAINERD__EVENTS__TASK_CREATE__INIT;
	Containerd__Events__TaskIO io = CONTAINERD__EVENTS__TASK_IO__INIT;
	struct mounts mounts;
	int rc = mounts_read(&mounts, list, err);

	if (rc < 0)
		return rc;
	io.stdin = (char *)what->stdio[0];
	io.stdout = (char *)what->stdio[1];
	io.stderr = (char *)what->stdio[2];
	io.terminal = what->terminal;
	m.container_id = (char *)what->id;
	m.bundle = (char *)what->bundle;
	m.rootfs = mounts.list;
	m.n_rootfs = mounts.n;
	m.io = &io;
	if (what->checkpoint)
		m.checkpoint = (char *)what->checkpoint;
	m.pid = (uint32_t)pid;
	rc = tell(j, "/tasks/create", &m.base, at_ns, err);
	mounts_free(&mounts);
	return rc;
}

int tell_oom(struct journal *j, int64_t at_ns, struct err *err)
{
	Containerd__Events__TaskOOM m = CONTAINERD__EVENTS__TASK_OOM__INIT;

	m.container_id = own_id(j);
	return tell(j, "/tasks/oom", &m.base, at_ns, err);
}

int tell_start(struct journal *j, pid_t pid, int64_t at_ns, struct err *err)
{
	Containerd__Events__TaskStart m = CONTAINERD__EVENTS__TASK_START__INIT;

	m.container_id = own_id(j);
	m.pid = (uint32_t)pid;
	return tell(j, "/tasks/start", &m.base, at_ns, err);
}

int tell_exec_exit(struct journal *j, const char *exec_id, const struct told_exit *exit,
		   int64_t at_ns, struct err *err)
{
	Containerd__Events__TaskExit m = CONTAINERD__EVENTS__TASK_EXIT__INIT;
	Google__Protobuf__Timestamp at;

	told_time(&at, exit->at_ns);
	m.container_id = own_id(j);
	m.id = (char *)exec_id;
	m.pid = (uint32_t)exit->pid;
	m.exit_status = exit->status;
	m.exited_at = &at;
	return tell(j, "/tasks/exit", &m.base, at_ns, err);
}

int tell_exit(struct journal *j, const struct told_exit *exit, int64_t at_ns, struct err *err)
{
	return tell_exec_exit(j, own_id(j), exit, at_ns, err);
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

int tell_exec_added(struct journal *j, const char *exec_id, int64_t at_ns, struct err *err)
{
	Containerd__Events__TaskExecAdded m = CONTAINERD__EVENTS__TASK_EXEC_ADDED__INIT;

	m.container_id = own_id(j);
	m.exec_id = (char *)exec_id;
	return tell(j, "/tasks/exec-added", &m.base, at_ns, err);
}

int tell_exec_started(struct journal *j, const char *exec_id, pid_t pid, int64_t at_ns,
		      struct err *err)
{
	Containerd__Events__TaskExecStarted m = CONTAINERD__EVENTS__TASK_EXEC_STARTED__INIT;

	m.container_id = own_id(j);
	m.exec_id = (char *)exec_id;
	m.pid = (uint32_t)pid;
	return tell(j, "/tasks/exec-started", &m.base, at_ns, err);
}

int tell_paused(struct journal *j, int64_t at_ns, struct err *err)
{
	Containerd__Events__TaskPaused m = CONTAINERD__EVENTS__TASK_PAUSED__INIT;

	m.container_id = own_id(j);
	return tell(j, "/tasks/paused", &m.base, at_ns, err);
}

int tell_resumed(struct journal *j, int64_t at_ns, struct err *err)
{
	Containerd__Events__TaskResumed m = CONTAINERD__EVENTS__TASK_RESUMED__INIT;

	m.container_id = own_id(j);
	return tell(j, "/tasks/resumed", &m.base, at_ns, err);
}
