/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pids.c - the processes of a container, by its cgroup: not every runtime has a `ps`.
 */
#include "supervisor/service/task.h"

#include "journal/base/cleanup.h"
#include "proto/api/runc_options.pb-c.h"
#include "proto/api/task.pb-c.h"
#include "supervisor/node/cgroup_paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 8 /* of cgroups that a container makes below its own */

struct found {
	struct node *node;
	pid_t *at;
	size_t n;
};

static int add(struct found *f, pid_t pid)
{
	pid_t *more = f->at;

	for (size_t i = 0; i < f->n; i++)
		if (f->at[i] == pid)
			return 0;
	if ((f->n & (f->n - 1)) == 0)
		more = realloc(f->at, (f->n ? 2 * f->n : 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	f->at = more;
	f->at[f->n++] = pid;
	return 0;
}

static int walk(struct found *f, const char *folder, int depth);

static int walk_below(struct found *f, const char *folder, int depth)
{
	struct node *n = f->node;
	auto_free char **names = NULL;
	int rc = n->list_dir(n, folder, &names, NULL);

	for (size_t i = 0; rc >= 0 && names[i]; i++) {
		auto_free char *path = NULL;
		struct path_ident what;

		if (asprintf(&path, "%s/%s", folder, names[i]) < 0)
			return -ENOMEM;
		if (n->path(n, path, &what, NULL) == 1 && S_ISDIR(what.mode))
			rc = walk(f, path, depth + 1);
	}
	return rc == -ENOMEM ? rc : 0;
}

static int walk(struct found *f, const char *folder, int depth)
{
	struct node *n = f->node;
	auto_free struct ident *pids = NULL;
	size_t count = 0;
	int rc = 0;

	if (n->cgroup_pids(n, folder, &pids, &count, NULL) < 0)
		return 0; /* it went away meanwhile */
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = add(f, pids[i].pid);
	return rc == 0 && depth < DEPTH_MAX ? walk_below(f, folder, depth) : rc;
}

static int paths_of(struct node *n, const struct ident *who, const struct mount_list *mounts,
		    struct cgroup_paths *ret, struct err *err)
{
	auto_free char *text = NULL;
	int rc = n->cgroups_of(n, who, &text, err);

	return rc < 0 ? rc : cgroup_paths_of(text, mounts, ret, err);
}

static bool holds(const struct cgroup_paths *paths, const char *path)
{
	for (size_t i = 0; i < paths->n; i++)
		if (strcmp(paths->at[i].path, path) == 0)
			return true;
	return false;
}

/* The first folder that is the container's alone: where we are ourselves are others. */
static int walk_own(struct found *f, const struct ident *init, struct err *err)
{
	struct node *n = f->node;
	struct mount_list mounts = { .at = NULL };
	struct cgroup_paths theirs = { .at = NULL }, ours = { .at = NULL };
	struct ident self;
	int rc = n->self(n, &self, err);

	if (rc == 0)
		rc = n->mounts(n, &mounts, err);
	if (rc == 0)
		rc = paths_of(n, init, &mounts, &theirs, err);
	if (rc == 0)
		rc = paths_of(n, &self, &mounts, &ours, err);
	for (size_t i = 0; rc == 0 && i < theirs.n; i++) {
		if (holds(&ours, theirs.at[i].path))
			continue;
		rc = walk(f, theirs.at[i].path, 0);
		break;
	}
	cgroup_paths_clear(&theirs);
	cgroup_paths_clear(&ours);
	mount_list_clear(&mounts);
	return rc;
}

static int task_pids(const struct task *t, pid_t **ret, size_t *n, struct err *err)
{
	struct found f = { .node = t->service->o->node };
	/* Whatever goes wrong, and also when it has ended, init is told: a containerd from
	 * 1.7 on that hears of no process after its restart deletes the task, and how it
	 * ended is lost. */
	int rc = add(&f, t->row.init.pid);

	if (rc == 0 && !t->exit.at_ns && walk_own(&f, &t->row.init, err) == -ENOMEM)
		rc = -ENOMEM;
	if (rc < 0) {
		free(f.at);
		return err_set(err, ENOMEM, "list the processes of %s", t->row.key.id);
	}
	*ret = f.at;
	*n = f.n;
	return 0;
}

/* Which exec a process is; its bytes are *@value's, the caller's to free(). */
static int put_details(Containerd__V1__Types__ProcessInfo *at, const struct exec *e,
		       Google__Protobuf__Any *any)
{
	Containerd__Runc__V1__ProcessDetails d = CONTAINERD__RUNC__V1__PROCESS_DETAILS__INIT;

	d.exec_id = e->id;
	google__protobuf__any__init(any);
	any->type_url = (char *)"containerd.runc.v1.ProcessDetails";
	any->value.len = containerd__runc__v1__process_details__get_packed_size(&d);
	any->value.data = malloc(any->value.len + 1);
	if (!any->value.data)
		return -ENOMEM;
	containerd__runc__v1__process_details__pack(&d, any->value.data);
	at->info = any;
	return 0;
}

static int answer_pids(struct call *call, const struct task *t, const pid_t *pids, size_t n)
{
	auto_free Google__Protobuf__Any *info = calloc(n + 1, sizeof(*info));
	int rc = 0;
	Containerd__Task__V2__PidsResponse out = CONTAINERD__TASK__V2__PIDS_RESPONSE__INIT;
	auto_free Containerd__V1__Types__ProcessInfo *at = calloc(n + 1, sizeof(*at));
	auto_free Containerd__V1__Types__ProcessInfo **list = calloc(n + 1, sizeof(*list));

	if (!at || !list || !info)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct exec *e = exec_of_pid(t, pids[i]);

		containerd__v1__types__process_info__init(&at[i]);
		at[i].pid = (uint32_t)pids[i];
		list[i] = &at[i];
		if (e && rc == 0)
			rc = put_details(&at[i], e, &info[i]);
	}
	out.processes = list;
	out.n_processes = n;
	if (rc == 0)
		call_answer(call, &out.base);
	for (size_t i = 0; i < n; i++)
		free(info[i].value.data);
	return rc;
}

void pids_answer(const struct task *t, struct call *call)
{
	auto_free pid_t *pids = NULL;
	struct err err = ERR_INIT;
	size_t n = 0;
	int rc = task_pids(t, &pids, &n, &err);

	if (rc == 0)
		rc = answer_pids(call, t, pids, n);
	if (rc < 0) {
		err_set(&err, ENOMEM, "list the processes of %s", t->row.key.id);
		call_fail(call, &err);
	}
}
