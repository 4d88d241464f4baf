/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/service/task.h"

#include "journal/base/cleanup.h"
#include "proto/api/urunc_shim.pb-c.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void release_answer(struct task *t)
{
	Urunc__Shim__V1__ReleaseResponse out = URUNC__SHIM__V1__RELEASE_RESPONSE__INIT;
	Google__Protobuf__Timestamp at;
	struct call *call = t->release;

	if (call_method(call)->out != out.base.descriptor) { /* a sandbox's, answered at the end */
		t->shutdown = TAKE_PTR(t->release);
		member_finish(t);
		return;
	}
	told_time(&at, t->exit.at_ns);
	out.pid = (uint32_t)t->exit.pid;
	out.exit_status = t->exit.status;
	out.exited_at = &at;
	t->release = NULL;
	call_answer(call, &out.base);
	member_finish(t);
}

static void release_fail(struct task *t, const struct err *err)
{
	struct call *call = t->release;

	t->release = NULL;
	call_fail(call, err);
}

static void on_thawed(struct op *op, const struct run_end *end)
{
	(void)op;
	(void)end;
}

/* What counts is the exit, which comes by itself: but not if nobody was killed. */
static void on_killed(struct op *op, const struct run_end *end)
{
	struct task *t = op->task;

	if (end->state == RUN_DONE || end->err.code == ESRCH)
		return;
	t->released = false;
	if (t->release)
		release_fail(t, &end->err);
}

static void on_deleted(struct op *op, const struct run_end *end)
{
	struct task *t = op->task;
	struct err err = ERR_INIT;

	if (task_refresh(t, &err) == 0)
		exit_from_row(t);
	if (end->state == RUN_DONE) {
		execs_gone(t);
		exit_for_delete(t);
	} else {
		execs_watch(t);
	}
	if (end->state != RUN_DONE && t->release)
		release_fail(t, &end->err);
}

static int release_kill(struct task *t, struct err *err)
{
	struct run_options options = RUN_OPTIONS_INIT;
	int rc;

	if (t->released)
		return 0;
	options.signal = SIGKILL;
	rc = op_begin(t, EV_KILL, &options, NULL, on_killed, err);
	t->released = rc == 0;
	return rc;
}

/* What is frozen may not die of a signal; if it can't be thawed, it is tried. */
static int release_thaw(struct task *t, struct err *err)
{
	if (t->thawed)
		return release_kill(t, err);
	t->thawed = true;
	return op_begin(t, EV_RESUME, NULL, NULL, on_thawed, err);
}

static int release_delete(struct task *t, struct err *err)
{
	int rc = op_begin(t, EV_DELETE, NULL, NULL, on_deleted, err);

	if (rc == 0)
		execs_unwatch(t);
	return rc;
}

void release_go_on(struct task *t)
{
	struct err err = ERR_INIT;
	int rc = 0;

	if (!t->release || t->ops || t->creating)
		return;
	if (t->life == LIFE_RUNNING)
		rc = release_kill(t, &err);
	else if (t->life == LIFE_PAUSED)
		rc = release_thaw(t, &err);
	else if (task_exists(t))
		rc = release_delete(t, &err);
	else
		release_answer(t);
	if (rc < 0)
		release_fail(t, &err);
}

static void on_release(struct call *call, const void *in)
{
	const Urunc__Shim__V1__ReleaseRequest *req = in;
	struct service *s = call_user(call);
	struct task *t = task_find(s, req->id);
	struct err err = ERR_INIT;
	int rc = 0;

	if (!t || t->going)
		rc = err_say(&err, ENOENT, "no task %s here", req->id);
	else if (t->release)
		rc = err_say(&err, EBUSY, "task %s is being released", req->id);
	else
		rc = task_may_change(t, &err);
	if (rc == 0)
		rc = journal_close_outbox(t->journal, &err);
	if (rc < 0) {
		call_fail(call, &err);
		return;
	}
	t->release = call;
	release_go_on(t);
}

/* What `start` wants is there already, or was: 1, and it is answered; 0: nothing is. */
static int look_at_member(struct task *t, const struct path_ident *bundle, struct err *err)
{
	if (t->going)
		return err_say(err, ESHUTDOWN, "task %s is going", t->row.key.id);
	if (t->row.bundle_dev == bundle->dev && t->row.bundle_ino == bundle->ino &&
	    t->life != LIFE_DELETED) {
		t->unused = false;
		return 1;
	}
	if (task_is_busy(t))
		return err_say(err, EEXIST, "this shim serves a task %s of another bundle",
			       t->row.key.id);
	member_finish(t);
	return err_say(err, ESHUTDOWN, "an older task %s is going", t->row.key.id);
}

static int check_join(const struct service *s, const Urunc__Shim__V1__JoinRequest *req,
		      struct path_ident *bundle, struct err *err)
{
	struct node *n = s->o->node;
	struct task_key key;
	int rc = task_key_make(&key, req->address, req->namespace_, req->id, err);

	if (rc < 0)
		return rc;
	if (strcmp(key.daemon, s->group.key.daemon) != 0 ||
	    strcmp(key.ns, s->group.key.ns) != 0)
		return err_say(err, EINVAL, "this shim is of another containerd, or namespace");
	rc = req->bundle[0] == '/' ? n->path(n, req->bundle, bundle, err) : 0;
	return rc < 0 ? rc : rc ? 0 : err_say(err, EINVAL, "there is no bundle %s", req->bundle);
}

static void on_join(struct call *call, const void *in)
{
	Urunc__Shim__V1__JoinResponse out = URUNC__SHIM__V1__JOIN_RESPONSE__INIT;
	const Urunc__Shim__V1__JoinRequest *req = in;
	const struct join join = { .id = req->id, .bundle = req->bundle, .group = req->group,
				   .ttrpc_address = req->ttrpc_address };
	struct service *s = call_user(call);
	struct task *t = task_find(s, req->id);
	struct path_ident bundle;
	struct err err = ERR_INIT;
	int rc = check_join(s, req, &bundle, &err);

	if (rc == 0 && t)
		rc = look_at_member(t, &bundle, &err);
	if (rc == 0)
		rc = member_join(s, &join, &err);
	if (rc < 0) {
		call_fail(call, &err);
		return;
	}
	out.pid = (uint32_t)getpid();
	call_answer(call, &out.base);
}

const struct method shim_methods[] = {
	{ "Join", &urunc__shim__v1__join_request__descriptor,
	  &urunc__shim__v1__join_response__descriptor, on_join },
	{ "Release", &urunc__shim__v1__release_request__descriptor,
	  &urunc__shim__v1__release_response__descriptor, on_release },
	{ .name = NULL },
};
