/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/service/task.h"

#include "supervisor/bundle/json.h"
#include "supervisor/engine/plan.h"
#include "supervisor/oci/runtime.h"

#include "journal/base/cleanup.h" /* after json.h */

#include <errno.h>
#include <event2/event.h>
#include <string.h>

bool task_exists(const struct task *t)
{
	switch (t->life) {
	case LIFE_CREATED:
	case LIFE_STARTING:
	case LIFE_RUNNING:
	case LIFE_PAUSING:
	case LIFE_PAUSED:
	case LIFE_RESUMING:
	case LIFE_STOPPED:
	case LIFE_DELETING:
	case LIFE_STUCK:
		return true;
	case LIFE_NONE_:
	case LIFE_NEW:
	case LIFE_CREATING:
	case LIFE_UNDOING:
	case LIFE_DELETED:
	case LIFE_FINISHING:
	case LIFE_TAKEDOWN:
	case LIFE_GONE:
	case LIFE_N:
		break;
	}
	return false;
}

bool task_is_sandbox(const struct task *t)
{
	return runtime_kind_of(t->row.runtime) == RUNTIME_SANDBOX;
}

bool task_is_busy(const struct task *t)
{
	return task_exists(t) || t->creating || t->ops || t->release ||
	       (t->life != LIFE_NEW && t->life != LIFE_DELETED && t->life != LIFE_GONE);
}

bool task_passes(int rc)
{
	return rc == -EBUSY || rc == -ENOMEM || rc == -EINTR || rc == -EMFILE || rc == -ENFILE;
}

int task_has_journal(const struct task *t, struct err *err)
{
	if (t->journal)
		return 0;
	return err_say(err, EUCLEAN, "task %s has no journal any more; see the shim's log",
		       t->row.key.id);
}

int task_refresh(struct task *t, struct err *err)
{
	struct task_row row;
	int rc = task_has_journal(t, err), tries = 0;

	if (rc < 0)
		return rc;
	do {
		*err = (struct err)ERR_INIT;
		rc = journal_task(t->journal, &row, err);
	} while (task_passes(rc) && ++tries < READ_TRIES);
	if (rc < 0)
		return rc;
	task_row_clear(&t->row);
	t->row = row;
	t->life = life_state_of(row.state);
	return 0;
}

void task_break(struct task *t, const struct err *why)
{
	if (t->broken.code)
		return;
	t->broken = *why;
	log_say(t->service->o->log, LOG_LEVEL_ERROR, "task %s/%s: %s; nothing is changed any more",
		t->row.key.ns, t->row.key.id, why->text);
	if (t->journal)
		(void)journal_note(t->journal, "broken", why->text, NULL);
}

int task_may_change(const struct task *t, struct err *err)
{
	if (!t->broken.code)
		return 0;
	return err_say(err, t->broken.code, "task %s is left alone since: %s; see uruncctl show",
		       t->row.key.id, t->broken.text);
}

bool task_disk_failed(int rc)
{
	return rc == -ENOSPC || rc == -EROFS || rc == -EIO;
}

int task_rescue(struct task *t, struct err *err)
{
	struct journal *copy = NULL;
	struct err why = *err;
	int rc;

	if (t->ops || !t->journal || journal_is_rescue(t->journal))
		return -err->code;
	/* The lock goes over to the copy's handle; nobody else wants a young lease. */
	t->journal = journal_close(t->journal);
	rc = journal_open_rescue(&copy, t->service->o->place, &t->row.key, err);
	if (rc < 0)
		rc = journal_open(&copy, t->service->o->place, &t->row.key, JOURNAL_OWN, &why);
	t->journal = copy;
	outbox_use(t->outbox, copy);
	if (!copy) {
		task_break(t, &why);
		return rc;
	}
	if (!journal_is_rescue(copy))
		return -err->code;
	log_say(t->service->o->log, LOG_LEVEL_WARNING,
		"task %s: its journal goes on in %s/rescue: %s", t->row.key.id,
		t->service->o->place->run, why.text);
	return 0;
}

int task_commit(struct task *t, int rc, struct err *err)
{
	if (rc >= 0)
		return journal_commit(t->journal, err);
	journal_rollback(t->journal);
	return rc;
}

int64_t task_wall_ns(const struct task *t)
{
	struct node *n = t->service->o->node;

	return n->wall_ns(n);
}

static void on_drained(void *arg)
{
	struct task *t = arg;

	service_look_idle(t->service);
}

int task_read_request(struct task *t, json_object *request, struct err *err)
{
	static const char *const names[3] = { "stdin", "stdout", "stderr" };
	json_object *options;

	for (int i = 0; i < 3; i++) {
		t->name[i] = strdup(json_text(request, names[i], ""));
		if (!t->name[i])
			return err_set(err, ENOMEM, "task %s", t->row.key.id);
	}
	t->terminal = json_true(request, "terminal");
	if (json_object_object_get_ex(request, "options", &options)) {
		t->io_uid = (uid_t)json_uint(options, "io_uid", 0);
		t->io_gid = (gid_t)json_uint(options, "io_gid", 0);
	}
	t->created_ns = json_int(request, "created_ns", 0);
	t->shared_pids = strcmp(json_text(request, "pid_namespace", ""), "shared") == 0;
	return 0;
}

static void on_trouble(void *arg, const struct err *why)
{
	const struct task *t = arg;

	log_say(t->service->o->log, LOG_LEVEL_WARNING,
		"task %s: containerd can't be told yet, its events are kept: %s", t->row.key.id,
		why->text);
}

static const struct outbox_hooks outbox_hooks = { .drained = on_drained,
						  .trouble = on_trouble };

/* What an earlier server was asked, from the row. */
static int read_row_request(struct task *t, struct err *err)
{
	const char *text = t->row.request[0] ? t->row.request : "{}";
	auto_json json_object *request = NULL;
	int rc = json_read_row(&request, text, "what Create asked", err);

	return rc == 0 ? task_read_request(t, request, err) : rc;
}

static void on_resumed(struct op *op, const struct run_end *end)
{
	struct err err = ERR_INIT;

	(void)end;
	if (task_refresh(op->task, &err) < 0)
		task_break(op->task, &err);
}

static int task_begin(struct task *t, struct err *err)
{
	int rc = task_refresh(t, err);

	if (rc == 0)
		rc = read_row_request(t, err);
	if (rc == 0)
		rc = outbox_new(&t->outbox, t->service->base, t->journal, t->row.ttrpc_address,
				&outbox_hooks, t, err);
	if (rc == 0)
		rc = exit_begin(t, err);
	if (rc == 0)
		rc = op_resume(t, on_resumed, err);
	if (rc < 0)
		return rc;
	exit_from_row(t);
	if (task_exists(t) && !t->exit_journalled)
		usage_begin(t);
	share_watch(t);
	exit_watch(t);
	outbox_kick(t->outbox);
	return 0;
}

int task_new(struct service *s, struct journal *j, struct err *err)
{
	struct task *t = calloc(1, sizeof(*t));
	struct task **end = &s->tasks;
	int rc;

	if (!t)
		return err_set(err, ENOMEM, "a task");
	t->service = s;
	t->journal = j;
	t->stdio = (struct stdio)STDIO_INIT;
	while (*end)
		end = &(*end)->next;
	*end = t;
	rc = task_begin(t, err);
	if (rc < 0)
		task_free(t);
	return rc;
}

struct task *task_find(const struct service *s, const char *id)
{
	for (struct task *t = s->tasks; t; t = t->next)
		if (strcmp(t->row.key.id, id) == 0)
			return t;
	return NULL;
}

static void unlist(struct task *t)
{
	struct task **p = &t->service->tasks;

	while (*p && *p != t)
		p = &(*p)->next;
	if (*p)
		*p = t->next;
}

struct task *task_free(struct task *t)
{
	if (!t)
		return NULL;
	unlist(t);
	create_drop(t);
	ops_stop(t);
	exit_unwatch(t);
	share_unwatch(t);
	execs_free(t);
	wait_drop(&t->waiters);
	if (t->deleting)
		call_drop(t->deleting);
	if (t->release)
		call_drop(t->release);
	if (t->shutdown)
		call_drop(t->shutdown);
	if (t->exit_again)
		event_free(t->exit_again);
	grace_end(t);
	if (t->drain)
		event_free(t->drain);
	if (t->stop)
		event_free(t->stop);
	outbox_free(t->outbox);
	usage_end(t);
	streams_free(t->streams);
	stdio_close(&t->stdio);
	for (int i = 0; i < 3; i++)
		free(t->name[i]);
	task_row_clear(&t->row);
	free(t);
	return NULL;
}
