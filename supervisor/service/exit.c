/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/service/task.h"

#include <json-c/json.h> /* first: auto_json */

#include "journal/base/cleanup.h"
#include "supervisor/oci/runtime.h"
#include "supervisor/unikernel/monitors.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

/* ---- writing it down ------------------------------------------------------------ */

/* A guest's exit comes through its monitor. Best effort. */
static void note_monitor(struct task *t)
{
	auto_json json_object *request = NULL;
	json_object *unikernel = NULL;
	char text[128];

	if (runtime_kind_of(t->row.runtime) != RUNTIME_NATIVE || t->exit_how != EXIT_REAPED)
		return;
	request = json_tokener_parse(t->row.request);
	(void)json_object_object_get_ex(request, "unikernel", &unikernel);
	monitor_exit_text(json_text(unikernel, "monitor", ""), json_text(unikernel, "type", ""),
			  t->exit.status, t->exit_killed, text, sizeof(text));
	(void)journal_note(t->journal, "exit", text, NULL);
}

static int exit_commit(struct task *t, struct err *err)
{
	enum life_state now = t->life;
	int rc = task_has_journal(t, err);

	if (rc == 0)
		rc = journal_begin(t->journal, err);
	if (rc < 0)
		return rc;
	rc = journal_set_exit(t->journal, t->exit_how, t->exit.status, t->exit.at_ns, err);
	if (rc >= 0)
		rc = engine_fire(t->journal, EV_EXIT, &now, err);
	if (rc >= 0)
		note_monitor(t);
	if (rc >= 0)
		rc = usage_tell(t, err);
	if (rc >= 0 && !task_is_sandbox(t)) /* who waits for a sandbox asks for it */
		rc = tell_exit(t->journal, &t->exit, task_wall_ns(t), err);
	rc = task_commit(t, rc, err);
	if (rc == 0) {
		t->life = now;
		usage_told(t);
	}
	return rc;
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct task *t = arg;

	(void)fd;
	(void)what;
	t->exit_waits = true;
	exit_go_on(t);
}

int exit_begin(struct task *t, struct err *err)
{
	t->exit_again = evtimer_new(t->service->base, on_again, t);
	return t->exit_again ? 0 : err_set(err, ENOMEM, "task %s", t->row.key.id);
}

/* Without memory for the timer's place: see exits_look_again(). */
static void exit_later(struct task *t)
{
	const struct timeval tv = { .tv_usec = EXIT_AGAIN_MS * 1000 };

	if (event_add(t->exit_again, &tv) < 0)
		t->exit_waits = true;
}

/* Outcome before answer: nobody is told before the journal has it. */
static void exit_write(struct task *t)
{
	struct err err = ERR_INIT;
	int rc = exit_commit(t, &err);

	if (task_disk_failed(rc) && task_rescue(t, &err) == 0)
		rc = exit_commit(t, &err);
	if (task_passes(rc) || (task_disk_failed(rc) && t->ops)) {
		exit_later(t);
		return;
	}
	if (rc < 0) /* it can't be written: the truth is told all the same */
		task_break(t, &err);
	t->exit_journalled = true;
	wait_tell(&t->waiters, &t->exit);
	outbox_kick(t->outbox);
	release_go_on(t);
}

/* Init's exit is the last, and moves the state: what is under way comes first. */
void exit_go_on(struct task *t)
{
	bool still = t->life == LIFE_CREATED || t->life == LIFE_RUNNING || t->life == LIFE_PAUSED;

	if (!t->exit_waits || !still || execs_live(t))
		return;
	t->exit_waits = false;
	exit_write(t);
}

/* ---- seeing it -------------------------------------------------------------------- */

static void on_rest_killed(struct op *op, const struct run_end *end)
{
	if (end->err.code)
		log_say(op->task->service->o->log, LOG_LEVEL_WARNING, "task %s: %s",
			op->task->row.key.id, end->err.text);
	op->task->exit_waits = true;
	exit_go_on(op->task);
}

/* Without a pid namespace of its own the kernel kills nobody else with init. */
static int kill_rest(struct task *t)
{
	struct run_options options = RUN_OPTIONS_INIT;
	struct err err = ERR_INIT;

	options.signal = SIGKILL;
	options.all = true;
	return op_begin(t, EV_KILL, &options, NULL, on_rest_killed, &err);
}

static void end_rest(struct task *t)
{
	if (t->shared_pids && kill_rest(t) == 0)
		return;
	t->exit_waits = true;
	exit_go_on(t);
}

static void on_thawed(struct op *op, const struct run_end *end)
{
	if (end->err.code)
		log_say(op->task->service->o->log, LOG_LEVEL_WARNING, "task %s: %s",
			op->task->row.key.id, end->err.text);
	end_rest(op->task);
}

/* What is frozen can't die: the others would stay. */
static int thaw(struct task *t)
{
	struct err err = ERR_INIT;

	return op_begin(t, EV_RESUME, NULL, NULL, on_thawed, &err);
}

static void exit_seen(struct task *t, int status)
{
	exit_unwatch(t);
	share_end(t);
	t->exit.pid = t->row.init.pid;
	t->exit.at_ns = task_wall_ns(t);
	t->exit.status = status == -1 ? 255
		       : WIFSIGNALED(status) ? 128 + (uint32_t)WTERMSIG(status)
					     : (uint32_t)WEXITSTATUS(status);
	t->exit_killed = status != -1 && WIFSIGNALED(status);
	usage_exited(t);
	streams_exited(t->streams);
	t->exit_how = status == -1 ? EXIT_UNKNOWN : EXIT_REAPED;
	if (t->life != LIFE_PAUSED || thaw(t) < 0)
		end_rest(t);
	exit_reap_orphans(t->service);
}

static void on_gone(evutil_socket_t fd, short what, void *arg);

/* It can't be watched, or not be told: look from time to time, and when a child has ended.
 * An exit is neither missed nor made up. */
static void look_often(struct task *t)
{
	const struct timeval often = { .tv_usec = EXIT_AGAIN_MS * 1000 };

	exit_unwatch(t);
	t->init_gone = event_new(t->service->base, -1, EV_PERSIST, on_gone, t);
	if (t->init_gone && event_add(t->init_gone, &often) < 0)
		exit_unwatch(t);
}

static void on_gone(evutil_socket_t fd, short what, void *arg)
{
	struct task *t = arg;
	struct node *n = t->service->o->node;
	int status = -1;
	int rc = n->reap(n, &t->row.init, &status, NULL);

	(void)what;
	if (rc > 0) {
		exit_seen(t, status);
	} else if (rc < 0) {
		look_often(t);
	} else if (fd < 0) {
		exit_unwatch(t);
		exit_watch(t);
	}
}

void exit_unwatch(struct task *t)
{
	if (t->init_gone)
		event_free(t->init_gone);
	t->init_gone = NULL;
}

/* Its init may still end, and nobody has seen it. */
static bool has_init(const struct task *t)
{
	return (t->life == LIFE_CREATED || t->life == LIFE_RUNNING || t->life == LIFE_PAUSED) &&
	       !t->exit.at_ns;
}

/* While a plan that moves the state is under way an exit stays a zombie: TaskStart
 * must come before TaskExit, and an undo wants to see for itself. */
void exit_watch(struct task *t)
{
	struct node *n = t->service->o->node;
	struct err err = ERR_INIT;
	int fd;

	if (!has_init(t)) {
		exit_unwatch(t);
		return;
	}
	if (t->init_gone || !t->row.init.pid)
		return;
	fd = n->watch(n, &t->row.init, &err);
	if (fd == -ESRCH) {
		exit_seen(t, -1);
		return;
	}
	if (fd >= 0)
		t->init_gone = event_new(t->service->base, fd, EV_READ | EV_PERSIST, on_gone, t);
	if (!t->init_gone || event_add(t->init_gone, NULL) < 0)
		look_often(t);
}

void exit_from_row(struct task *t)
{
	if (t->row.exit_how == EXIT_NONE_ || t->exit_journalled)
		return;
	t->exit = (struct told_exit){ .pid = t->row.init.pid,
				      .status = t->row.exit_status,
				      .at_ns = t->row.exit_at_ns };
	t->exit_journalled = true;
	wait_tell(&t->waiters, &t->exit);
}

/* Somebody waits for it: he reaps it. */
static bool is_known(const struct service *s, pid_t pid)
{
	for (const struct task *t = s->tasks; t; t = t->next)
		if ((pid == t->row.init.pid && has_init(t)) || execs_know(t, pid) ||
		    streams_know(t->streams, pid) || share_knows(t, pid))
			return true;
	return false;
}

/* Processes that lost their parent below us become our children. While a plan is
 * under way, or an exec is being started, a zombie that nobody knows may be the init that it is about to name. */
void exit_reap_orphans(struct service *s)
{
	for (const struct task *t = s->tasks; t; t = t->next)
		if (t->ops || execs_starting(t))
			return;
	for (;;) {
		siginfo_t si = { .si_pid = 0 };

		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid == 0 ||
		    is_known(s, si.si_pid))
			return;
		(void)waitpid(si.si_pid, NULL, WNOHANG);
	}
}

void exits_look_again(struct service *s)
{
	for (struct task *t = s->tasks; t; t = t->next) {
		exit_watch(t);
		execs_go_on(t);
		exit_go_on(t);
	}
	exit_reap_orphans(s);
}
