/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forgotten.c - a task that was created, never started, and that nobody is connected
 * for: containerd may have died before it wrote it down.
 *
 * A child recovers it as anybody would: it asks containerd twice, and only if the task
 * is forgotten it ends the shim and takes the task down.
 */
#include "supervisor/service/task.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/engine/recover.h"

#include <signal.h>

#define RECOVER_MS 60000 /* then what is left is for the next recovery */

static int look(void *arg)
{
	struct service *s = arg;
	struct node *n = s->o->node;
	const struct task_key *key = &s->task->row.key;
	struct recover_report report = { .result = RECOVER_NONE_ };

	crash_role("forgotten");
	journal_forget(s->task->journal); /* the shim's, before anything is opened */
	if (recover_task(&s->engine, s->o->place, key, 0, n->now_ms(n) + RECOVER_MS, &report,
			 NULL) == 0)
		recover_report_clear(&report);
	return 0;
}

void forgotten_ask(struct service *s)
{
	const struct spawn spawn = { .job = JOB_CALL, .call = look, .call_arg = s,
				     .in = SPAWN_NULL, .out = SPAWN_NULL, .err = SPAWN_NULL };
	struct node *n = s->o->node;
	struct ident who;

	if (s->asking.pid && n->alive(n, &s->asking, NULL) == 1)
		return;
	if (n->spawn(n, &spawn, &who, NULL) < 0)
		return; /* asked again when the timer comes again */
	if (n->spawn_go(n, &who, NULL) < 0)
		(void)n->signal(n, &who, SIGKILL, NULL);
	n->forget(n, &who);
	s->asking = who;
}
