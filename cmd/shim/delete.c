/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delete.c - containerd's verdict: this task is over. How did it end?
 *
 * containerd calls it whenever it lost the connection to a shim: after the normal end
 * of every task too, and also while the shim lives. It gives us 5 s, then removes the
 * bundle; often the bundle, and so the working folder, is gone already. So everything
 * comes from the journal, and the answer is out before 4 s whatever happens; what is
 * not finished by then goes on in a child.
 */
#include "cmd/shim/shim.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "proto/api/task.pb-c.h"
#include "proto/api/urunc_shim.pb-c.h"
#include "proto/ttrpc/client.h"
#include "supervisor/engine/recover.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RELEASE_MS 500    /* for a living shim to let go of the task         */
#define GOING_MS   500    /* for one that is on its way out                  */
#define INLINE_MS  2500   /* for a recovery that the answer waits for        */
#define REST_MS    600000 /* for what is left of it, when nobody waits       */

struct verdict {
	pid_t pid;
	uint32_t status;
	int64_t at_ns;
};

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

/* ---- a living owner ------------------------------------------------------------------ */

static int ask(const struct shim *shim, const char *socket, struct verdict *v, struct err *err)
{
	Urunc__Shim__V1__ReleaseRequest in = URUNC__SHIM__V1__RELEASE_REQUEST__INIT;
	struct client_request req = {
		.service = "urunc.shim.v1.Shim",
		.method = "Release",
		.ns = shim->key.ns,
		.in = &in.base,
		.out = &urunc__shim__v1__release_response__descriptor,
		.timeout_ms = RELEASE_MS,
	};
	ProtobufCMessage *answer = NULL;
	const Urunc__Shim__V1__ReleaseResponse *out;
	int rc;

	in.id = (char *)shim->key.id;
	rc = client_ask(socket, &req, &answer, NULL, err);
	if (rc < 0)
		return rc;
	out = (const Urunc__Shim__V1__ReleaseResponse *)answer;
	if (out->pid && out->exited_at && out->exited_at->seconds > 0) {
		v->pid = (pid_t)out->pid;
		v->status = out->exit_status;
		v->at_ns = out->exited_at->seconds * 1000000000 + out->exited_at->nanos;
	}
	protobuf_c_message_free_unpacked(answer, NULL);
	return 0;
}

static pid_t owner_of(const struct shim *shim)
{
	pid_t pid = 0;

	(void)journal_owner(&shim->place, &shim->key, &pid, NULL);
	return pid;
}

static void let_go(const struct shim *shim)
{
	struct node *n = shim->node;
	int64_t end = n->now_ms(n) + GOING_MS;
	const struct timespec pause = { .tv_nsec = 1000000 };

	while (owner_of(shim) && n->now_ms(n) < end)
		nanosleep(&pause, NULL);
}

static char *socket_of(const struct shim *shim)
{
	struct journal *j = NULL;
	struct task_row row;
	char *path = NULL;

	if (journal_open(&j, &shim->place, &shim->key, JOURNAL_READ, NULL) < 0)
		return NULL;
	if (journal_task(j, &row, NULL) == 0) {
		path = TAKE_PTR(row.socket);
		task_row_clear(&row);
	}
	journal_close(j);
	return path;
}

/* After it the journal says the rest: in the history, if the owner has let go. */
static void ask_owner(const struct shim *shim, struct verdict *v)
{
	auto_free char *socket = socket_of(shim);
	struct err err = ERR_INIT;
	int rc;

	if (!socket || !owner_of(shim))
		return;
	rc = ask(shim, socket, v, &err);
	/* Released, or no socket any more: it is on its way out. */
	if (rc == 0 || rc == -ENOENT || rc == -ECONNREFUSED || rc == -ECONNRESET)
		let_go(shim);
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

/* Somebody else may be at it already, and soon be done. */
static enum outcome recover_in_time(struct shim *shim, struct verdict *v)
{
	struct node *n = shim->node;
	int64_t deadline = n->now_ms(n) + INLINE_MS;
	enum outcome out = recover(shim, deadline, v);

	while (out == SOMETHING_LEFT && owner_of(shim) && n->now_ms(n) < deadline) {
		let_go(shim);
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
	ask_owner(shim, &v);
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
