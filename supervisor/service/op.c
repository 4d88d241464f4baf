/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/service/task.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void unlink_op(struct op *op)
{
	struct op **p = &op->task->ops;

	while (*p != op)
		p = &(*p)->next;
	*p = op->next;
}

static void op_free(struct op *op)
{
	if (op->fd >= 0)
		close(op->fd);
	free(op);
}

static int op_drive(struct op *op, struct run *run, enum wake_why why, struct err *err);

/* What runs can be ended on a full disk too; what is new can't begin there. */
static bool may_rescue(enum life_event ev)
{
	return ev != EV_CREATE && ev != EV_START && ev != EV_EXEC;
}

/* The disk took the plan, but not all of its outcome: the same rows, in a copy. */
static bool op_rescued(struct op *op, const struct run_end *end)
{
	struct task *t = op->task;
	struct run_options options = RUN_OPTIONS_INIT;
	struct err err = end->err;
	struct run *run = NULL;

	if (!op->rescue || end->state == RUN_DONE ||
	    !task_disk_failed(-journal_error(t->journal)) || task_rescue(t, &err) < 0)
		return false;
	options.shared = op->shared;
	return run_resume(&run, &t->service->engine, t->journal, &options, &err) == 1 &&
	       op_drive(op, run, WAKE_RESUME, &err) == 0;
}

static void on_end(void *arg, const struct run_end *end)
{
	struct op *op = arg;
	struct task *t = op->task;

	op->driver = NULL;
	unlink_op(op);
	if (op_rescued(op, end))
		return;
	/* What lies beside moves no state, and others may have moved it meanwhile. */
	if (!op->beside)
		t->life = end->life;
	if (end->err.code == ESTALE)
		task_break(t, &end->err);
	op->end(op, end);
	op_free(op);
	share_watch(t);
	exit_watch(t);
	exit_go_on(t);
	delete_go_on(t);
	release_go_on(t);
	exit_reap_orphans(t->service);
	service_rest_soon(t->service);
	service_look_idle(t->service);
}

/* @run is the op's, also on failure. */
static int op_drive(struct op *op, struct run *run, enum wake_why why, struct err *err)
{
	struct task *t = op->task;
	enum life_state life = run_life(run);

	op->beside = plan_beside(run_plan(run));
	op->driver = driver_start(t->service->base, t->service->o->node, run, why, on_end, op,
				  err);
	if (!op->driver)
		return -ENOMEM;
	op->next = t->ops;
	t->ops = op;
	if (!op->beside) {
		t->life = life;
		share_watch(t);
		exit_watch(t);
	}
	return 0;
}

static struct op *op_new(struct task *t, void (*end)(struct op *, const struct run_end *),
			 struct err *err)
{
	struct op *op = calloc(1, sizeof(*op));

	if (!op)
		err_set(err, ENOMEM, "task %s", t->row.key.id);
	else
		*op = (struct op){ .task = t, .end = end, .fd = -1 };
	return op;
}

int op_begin(struct task *t, enum life_event ev, const struct run_options *options,
	     struct call *call, void (*end)(struct op *, const struct run_end *),
	     struct err *err)
{
	struct run *run = NULL;
	struct op *op;
	int rc = task_may_change(t, err);

	if (rc < 0)
		return rc;
	op = op_new(t, end, err);
	if (!op)
		return -ENOMEM;
	rc = run_open(&run, &t->service->engine, t->journal, ev, options, err);
	op->rescue = may_rescue(ev);
	op->shared = options && options->shared;
	if (task_disk_failed(rc) && op->rescue && task_rescue(t, err) == 0)
		rc = run_open(&run, &t->service->engine, t->journal, ev, options, err);
	if (rc == 0)
		rc = op_drive(op, run, WAKE_BEGIN, err);
	if (rc < 0) {
		free(op);
		return rc;
	}
	op->call = call;
	return 0;
}

int op_resume(struct task *t, void (*end)(struct op *, const struct run_end *),
	      struct err *err)
{
	struct run *run = NULL;
	struct op *op = op_new(t, end, err);
	int rc;

	if (!op)
		return -ENOMEM;
	rc = run_resume(&run, &t->service->engine, t->journal, NULL, err);
	if (rc <= 0) {
		free(op);
		return rc;
	}
	rc = op_drive(op, run, WAKE_RESUME, err);
	if (rc < 0)
		free(op);
	return rc < 0 ? rc : 1;
}

void ops_stop(struct task *t)
{
	while (t->ops) {
		struct op *op = t->ops;

		t->ops = op->next;
		driver_stop(op->driver);
		if (op->call)
			call_drop(op->call);
		op_free(op);
	}
}
