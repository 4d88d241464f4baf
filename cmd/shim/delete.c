/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delete.c - containerd's verdict: this task is over. How did it end?
 *
 * containerd calls it whenever it lost the connection to a shim: after the normal end
 * of every task too, and also while the shim lives. It gives us 5 s, then removes the
 * bundle; often the bundle, and so the working folder, is gone already. So everything
 * comes from the journal, and the answer is out before 4 s whatever happens; what is
 * not finished by then goes on in a child. Its time is counted as containerd counts it,
 * from our birth: on a busy node much of it may be gone before main().
 */
#include "cmd/shim/shim.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "proto/api/task.pb-c.h"
#include "supervisor/engine/recover.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOING_MS   500    /* for who is at it already                        */
#define INLINE_MS  3000   /* after our birth the answer waits for nothing    */
#define REST_MS    600000 /* for what is left of it, when nobody waits       */

static int print(const struct verdict *v, struct err *err)
{
	Containerd__Task__V2__DeleteResponse out = CONTAINERD__TASK__V2__DELETE_RESPONSE__INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	uint8_t data[128];

	at.seconds = v->at_ns / 1000000000;
	at.nanos = (int32_t)(v->at_ns % 1000000000);
	out.pid = (uint32_t)v->pid;
	out.exit_status = v->status;
	out.exited_at = &at;
	return shim_write_stdout(data, containerd__task__v2__delete_response__pack(&out, data),
				 err);
}

/* ---- by force ----------------------------------------------------------------------------- */

enum outcome { NOTHING_LEFT, SOMETHING_LEFT, NOT_KNOWN };

static enum outcome recover(struct shim *shim, int64_t deadline_ms, struct verdict *v)
{
	struct recover_report report = { .result = RECOVER_NONE_ };
	struct err err = ERR_INIT;
	int rc = recover_task(&shim->engine, &shim->place, &shim->key, RECOVER_DELETE,
			      deadline_ms, &report, &err);

	if (rc < 0)
		return rc == -ENOENT ? NOT_KNOWN : SOMETHING_LEFT;
	if (report.init_pid)
		v->pid = report.init_pid;
	if (report.exit_how != EXIT_NONE_) {
		v->status = report.exit_status;
		v->at_ns = report.exit_at_ns;
	}
	rc = report.result == RECOVER_LEFT || report.result == RECOVER_FAILED;
	recover_report_clear(&report);
	return rc ? SOMETHING_LEFT : NOTHING_LEFT;
}

static int64_t born_ms(struct node *n)
{
	struct ident self;

	if (n->self(n, &self, NULL) < 0)
		return n->now_ms(n);
	return (int64_t)(self.start * 1000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* Somebody else may be at it already, and soon be done. */
static enum outcome recover_in_time(struct shim *shim, struct verdict *v)
{
	struct node *n = shim->node;
	int64_t deadline = born_ms(n) + INLINE_MS;
	enum outcome out = recover(shim, deadline, v);

	while (out == SOMETHING_LEFT && shim_owner(shim) && n->now_ms(n) < deadline) {
		shim_let_go(shim, GOING_MS);
		out = recover(shim, deadline, v);
	}
	return out;
}

/* In a child of its own: containerd kills the one it started, and nobody else. */
static int finish(void *arg)
{
	struct shim *shim = arg;
	struct verdict v = { .pid = 0 };

	crash_role("finish");
	return recover(shim, shim->node->now_ms(shim->node) + REST_MS, &v) == SOMETHING_LEFT;
}

/* Nothing was done yet that the child's death would lose: its rows are the task's. */
static void leave_finisher(struct shim *shim)
{
	const struct spawn spawn = { .job = JOB_CALL, .call = finish, .call_arg = shim,
				     .in = SPAWN_NULL, .out = SPAWN_NULL, .err = SPAWN_NULL };
	struct node *n = shim->node;
	struct ident who;

	if (n->spawn(n, &spawn, &who, NULL) < 0)
		return; /* the next recovery finds the rows */
	if (n->spawn_go(n, &who, NULL) < 0)
		(void)n->signal(n, &who, SIGKILL, NULL);
	n->forget(n, &who);
}

int shim_delete(struct shim *shim, struct err *err)
{
	struct node *n = shim->node;
	struct verdict v = { .status = 137, .at_ns = n->wall_ns(n) };
	enum outcome out;
	int rc;

	if (chdir("/") < 0) /* the bundle shall be removable */
		return err_set(err, errno, "can't go to /");
	shim_release(shim, &v); /* after it the journal says the rest */
	crash_point("asked");
	out = recover_in_time(shim, &v);
	crash_point("recovered");
	if (out == NOT_KNOWN)
		v.pid = shim_delete_stranger(shim);
	rc = print(&v, err);
	if (out == SOMETHING_LEFT)
		leave_finisher(shim);
	shim_take_up_later(shim);
	return rc;
}
