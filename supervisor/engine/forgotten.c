/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/engine/forgotten.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/json.h"
#include "supervisor/engine/drive.h"
#include "supervisor/oci/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ASK_MS     5000
#define RELEASE_MS 10000

/* The child's answer: {"known":bool,"pid":N}. */
static int read_answer(const struct task_row *task, const char *text, struct err *err)
{
	auto_json json_object *answer = json_read(text);
	int64_t pid;

	if (!json_object_is_type(answer, json_type_object))
		return err_say(err, EPROTO, "containerd at %s gave no answer that can be read",
			       task->address);
	pid = json_int(answer, "pid", 0);
	if (!json_true(answer, "known"))
		return 0;
	/* Known, but another life of the id: this one is not. */
	return pid == 0 || task->init.pid == 0 || pid == task->init.pid;
}

/* As drive_job(), about @task. */
static int ask(struct engine *e, const struct task_row *task, enum job job, json_object *args,
	       int ms, char **out, struct err *err)
{
	json_put_text(args, "ns", task->key.ns);
	json_put_text(args, "id", task->key.id);
	return drive_job(e->node, job, json_write(args), e->node->now_ms(e->node) + ms, out, err);
}

int task_known(struct engine *e, const struct task_row *task, struct err *err)
{
	auto_json json_object *args = json_object_new_object();
	auto_free char *out = NULL;
	int r;

	json_put_text(args, "address", task->address);
	if (runtime_kind_of(task->runtime) == RUNTIME_SANDBOX)
		json_put(args, "sandbox", json_object_new_boolean(true));
	r = ask(e, task, JOB_ASK, args, ASK_MS, &out, err);
	if (r < 0)
		return err_wrap(err, "ask containerd at %s", task->address);
	if (r > 0)
		return err_say(err, r, "containerd at %s does not answer: %s", task->address,
			       *out ? out : strerror(r));
	return read_answer(task, out, err);
}

int task_release(struct engine *e, const struct task_row *task, struct err *err)
{
	auto_json json_object *args = json_object_new_object();
	auto_free char *out = NULL;
	int r;

	json_put_text(args, "socket", task->socket);
	r = ask(e, task, JOB_RELEASE, args, RELEASE_MS, &out, err);
	if (r > 0)
		r = err_say(err, r, "%s", *out ? out : strerror(r));
	return r < 0 ? err_wrap(err, "ask shim %d to let go of it", (int)task->shim.pid) : 0;
}

int task_forgotten(struct engine *e, const struct task_row *task, bool any_known, int clients,
		   bool anyway, char *why)
{
	struct node *n = e->node;
	struct err err = ERR_INIT;
	int r = task_known(e, task, &err);

	if (r == 0) {
		drive_pause(n, FORGOTTEN_APART_MS);
		r = task_known(e, task, &err);
	}
	if (r == 1) {
		(void)snprintf(why, ERR_TEXT_MAX, "its shim lives and containerd knows it");
		return 0;
	}
	if (r < 0 && !anyway) {
		(void)snprintf(why, ERR_TEXT_MAX, "its shim lives; %.900s", err.text);
		return 0;
	}
	if (r == 0 && !any_known && !anyway) {
		(void)snprintf(why, ERR_TEXT_MAX, "its shim lives; containerd knows none of several "
			       "living tasks, which is no proof (--forgotten takes it for one)");
		return 0;
	}
	r = *task->socket ? n->peers(n, task->socket, &err) : 0;
	if (r < 0 || r > clients) {
		(void)snprintf(why, ERR_TEXT_MAX, r > 0 ? "its shim lives and has a client: somebody "
			       "is connected to %.900s" : "its shim lives, and nobody can say whether "
			       "it has a client: %.900s", r > 0 ? task->socket : err.text);
		return 0;
	}
	(void)snprintf(why, ERR_TEXT_MAX, "containerd had forgotten it");
	return 1;
}
