/* SPDX-License-Identifier: Apache-2.0 */
/* usage.c - what a container uses, and whether it ran out of memory. */
#include "supervisor/service/task.h"

#include "journal/base/cleanup.h"
#include "proto/api/task.pb-c.h"
#include "supervisor/metrics/metrics.h"
#include "supervisor/metrics/oom.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

struct usage {
	struct cgroup_folders folders;
	struct oom *oom; /* NULL: not watched, or not any more */
	struct event *ready;
	bool untold;     /* a kill that the journal did not take yet */
};

static int find_folders(const struct task *t, struct cgroup_folders *ret, struct err *err)
{
	struct node *n = t->service->o->node;
	struct mount_list mounts = { .at = NULL };
	auto_free char *text = NULL;
	int rc = n->cgroups_of(n, &t->row.init, &text, err);

	if (rc >= 0)
		rc = n->mounts(n, &mounts, err);
	if (rc >= 0)
		rc = cgroup_folders_find(ret, &mounts, text, err);
	mount_list_clear(&mounts);
	return rc;
}

/* ---- out of memory ------------------------------------------------------------------- */

static void oom_end(struct usage *u)
{
	if (u->ready)
		event_free(TAKE_PTR(u->ready));
	u->oom = oom_close(u->oom);
}

int usage_tell(struct task *t, struct err *err)
{
	int rc;

	if (!t->usage || !t->usage->untold)
		return 0;
	rc = task_has_journal(t, err);
	return rc < 0 ? rc : tell_oom(t->journal, task_wall_ns(t), err);
}

void usage_told(struct task *t)
{
	if (t->usage)
		t->usage->untold = false;
}

/* What the journal does not take now is told with the next kill, or the exit. */
static void on_oom(evutil_socket_t fd, short what, void *arg)
{
	struct task *t = arg;
	struct usage *u = t->usage;
	struct err err = ERR_INIT;
	int rc = oom_read(u->oom);

	(void)fd;
	(void)what;
	if (rc == 1)
		u->untold = true;
	if (rc == -ENODEV)
		oom_end(u);
	if (!u->untold || usage_tell(t, &err) < 0)
		return;
	u->untold = false;
	outbox_kick(t->outbox);
}

static void oom_begin(struct task *t)
{
	struct usage *u = t->usage;
	struct err err = ERR_INIT;
	int rc = oom_open(&u->oom, &u->folders, &err);

	if (rc == 0) {
		u->ready = event_new(t->service->base, oom_fd(u->oom), EV_READ | EV_PERSIST, on_oom,
				     t);
		if (!u->ready || event_add(u->ready, NULL) < 0)
			rc = err_set(&err, ENOMEM, "watch its memory");
	}
	if (rc == 0)
		return;
	oom_end(u);
	if (rc != -ENOENT)
		log_say(t->service->o->log, LOG_LEVEL_WARNING,
			"task %s: that it runs out of memory will not be told: %s", t->row.key.id,
			err.text);
}

void usage_exited(struct task *t)
{
	struct usage *u = t->usage;

	if (!u || !u->oom)
		return;
	if (oom_read(u->oom) == 1)
		u->untold = true;
	oom_end(u);
}

/* ---- from Create to Delete -------------------------------------------------------------- */

void usage_begin(struct task *t)
{
	struct err err = ERR_INIT;

	if (t->usage || !t->row.init.pid)
		return;
	t->usage = calloc(1, sizeof(*t->usage));
	if (!t->usage)
		return;
	if (find_folders(t, &t->usage->folders, &err) == 0) {
		oom_begin(t);
		return;
	}
	log_say(t->service->o->log, LOG_LEVEL_WARNING, "task %s: what it uses can't be told: %s",
		t->row.key.id, err.text);
	usage_end(t);
}

void usage_end(struct task *t)
{
	if (!t->usage)
		return;
	oom_end(t->usage);
	cgroup_folders_clear(&t->usage->folders);
	free(TAKE_PTR(t->usage));
}

int usage_read(struct task *t, struct metrics *ret, struct err *err)
{
	if (!t->usage)
		return err_say(err, ENOENT, "cgroup does not exist");
	return metrics_read(t->service->o->node, &t->usage->folders, ret, err);
}

void usage_stats(struct task *t, struct call *call)
{
	Containerd__Task__V2__StatsResponse out = CONTAINERD__TASK__V2__STATS_RESPONSE__INIT;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	struct metrics m = { .data = NULL };
	struct err err = ERR_INIT;

	if (usage_read(t, &m, &err) < 0) {
		call_fail(call, &err);
	} else {
		any.type_url = (char *)m.type;
		any.value.data = m.data;
		any.value.len = m.len;
		out.stats = &any;
		call_answer(call, &out.base);
	}
	metrics_clear(&m);
}
