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

void service_forget_journals(struct service *s)
{
	for (struct task *t = s->tasks; t; t = t->next)
		journal_forget(t->journal);
}

static int look(void *arg)
{
	struct task *t = arg;
	struct service *s = t->service;
	struct node *n = s->o->node;
	struct recover_report report = { .result = RECOVER_NONE_ };

	crash_role("forgotten");
	service_forget_journals(s);
	if (recover_task(&s->engine, s->o->place, &t->row.key, 0, n->now_ms(n) + RECOVER_MS,
			 &report, NULL) == 0)
		recover_report_clear(&report);
	return 0;
}

void forgotten_ask(struct task *t)
{
	const struct spawn spawn = { .job = JOB_CALL, .call = look, .call_arg = t,
				     .in = SPAWN_NULL, .out = SPAWN_NULL, .err = SPAWN_NULL };
	struct node *n = t->service->o->node;
	struct ident who;

	if (t->asking.pid && n->alive(n, &t->asking, NULL) == 1)
		return;
	if (n->spawn(n, &spawn, &who, NULL) < 0)
		return; /* asked again when the timer comes again */
	if (n->spawn_go(n, &who, NULL) < 0)
		(void)n->signal(n, &who, SIGKILL, NULL);
	n->forget(n, &who);
	t->asking = who;
}
