/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/engine/recover.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/engine/forgotten.h"
#include "supervisor/engine/work.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_WAIT_MS 2000 /* until a killed owner's lock is free */
#define LOCK_LOOK_MS 10

void recover_report_clear(struct recover_report *report)
{
	free(report->found);
	free(report->done);
	free(report->left);
	free(report->why);
	memset(report, 0, sizeof(*report));
}

/* Replace one text of the report; short of memory it stays as it was. */
__attribute__((format(printf, 2, 3)))
static void say(char **text, const char *fmt, ...)
{
	char *said = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&said, fmt, ap) >= 0) {
		free(*text);
		*text = said;
	}
	va_end(ap);
}

static int answer(struct work *w, enum recover_result result, const char *why)
{
	w->ret->result = result;
	if (why)
		say(&w->ret->why, "%s", why);
	return 0;
}

bool work_late(const struct work *w)
{
	return w->deadline_ms && w->node->now_ms(w->node) >= w->deadline_ms;
}

/* ---- look ----------------------------------------------------------------------------- */

static void say_process(char *buf, size_t size, const char *what, const struct ident *who,
			bool alive)
{
	if (who->pid)
		(void)snprintf(buf, size, "; %s %d %s", what, (int)who->pid,
			       alive ? "alive" : "dead");
	else
		*buf = '\0';
}

static void say_found(struct work *w)
{
	char held[512], shim[64], init[64];

	picture_words(&w->before, NULL, held, sizeof(held));
	say_process(shim, sizeof(shim), "shim", &w->task.shim, w->shim_alive);
	say_process(init, sizeof(init), "init", &w->task.init, w->init_alive);
	if (!w->rebuilt) {
		say(&w->ret->found, "%s%s%s%s%s", w->task.state, shim, init, *held ? "; " : "",
		    held);
		return;
	}
	say(&w->ret->found, "a journal that says nothing%s%s%s%s%s%s", *w->torn ? " (the damaged "
	    "one is kept as " : "", w->torn, *w->torn ? ")" : "", init, *held ? "; " : "", held);
}

/* Everything that its rows and the host say at first sight. */
static int look(struct work *w, struct journal *j, struct err *err)
{
	struct node *n = w->node;
	int r;

	task_row_clear(&w->task);
	journal_hold(j);
	r = journal_task(j, &w->task, err);
	if (r == 0)
		r = picture_take(&w->before, j, err);
	journal_let(j);
	if (r < 0)
		return r;
	w->now = epoch_same_pids(w->task.epoch, n->epoch(n));
	w->shim_alive = w->now && w->task.shim.pid && n->alive(n, &w->task.shim, NULL) == 1;
	w->init_alive = w->now && w->task.init.pid && n->alive(n, &w->task.init, NULL) == 1;
	w->ret->exit_how = w->task.exit_how;
	w->ret->exit_status = w->task.exit_status;
	w->ret->exit_at_ns = w->task.exit_at_ns;
	w->ret->init_pid = w->task.init.pid;
	say_found(w);
	return 0;
}

static int look_first(struct work *w, struct err *err)
{
	struct journal *j = NULL;
	int r = journal_open(&j, w->place, &w->ret->key, JOURNAL_READ, err);

	if (r < 0)
		return r;
	r = look(w, j, err);
	journal_close(j);
	return r;
}

/* ---- take the lease ---------------------------------------------------------------------- */

static int own(struct work *w, struct err *err)
{
	int r = journal_open(&w->j, w->place, &w->ret->key, JOURNAL_OWN, err);

	if (r == -ENOSPC || r == -EROFS || r == -EIO)
		r = journal_open_rescue(&w->j, w->place, &w->ret->key, err);
	return r;
}

static int own_after_death(struct work *w, struct err *err)
{
	int64_t end = w->node->now_ms(w->node) + LOCK_WAIT_MS;
	int r;

	while ((r = own(w, err)) == -EAGAIN && !work_late(w) && w->node->now_ms(w->node) < end)
		drive_pause(w->node, LOCK_LOOK_MS);
	return r;
}

/* Its shim has done what a take down does, and closes the file. */
static int released(struct work *w, pid_t owner)
{
	int64_t end = w->node->now_ms(w->node) + LOCK_WAIT_MS;
	pid_t now = owner;

	while (now == owner && !work_late(w) && w->node->now_ms(w->node) < end) {
		drive_pause(w->node, LOCK_LOOK_MS);
		if (journal_owner(w->place, &w->ret->key, &now, NULL) < 0)
			now = owner; /* nobody can say, which is no answer */
	}
	if (now == owner)
		return answer(w, RECOVER_LEFT, "its shim lets go of it; the next recovery looks");
	say(&w->ret->done, "shim %d took it back, and serves its others", (int)owner);
	return answer(w, RECOVER_DONE, w->why_forgotten);
}

/* The verdict holds for what runs; what else it has waits for the shim. */
static int take_from_others(struct work *w, pid_t owner)
{
	struct err why = ERR_INIT;
	char text[ERR_TEXT_MAX];

	if (w->forgotten && task_release(w->engine, &w->task, &why) == 0)
		return released(w, owner);
	if ((w->flags & RECOVER_DELETE) && w->init_alive)
		(void)w->node->signal(w->node, &w->task.init, SIGKILL, NULL);
	(void)snprintf(text, sizeof(text), "its shim %d lives, does not let go of it, and serves "
		       "other tasks too%s%.500s", (int)owner, why.code ? ": " : "", why.text);
	return answer(w, RECOVER_LEFT, text);
}

/* Not the shim that the rows name: another recovery, or who takes it over. */
static int at_it_already(struct work *w, pid_t owner, enum recover_result result)
{
	char text[ERR_TEXT_MAX];

	if (owner < 0)
		return answer(w, result, "a process of another pid namespace is at it already");
	(void)snprintf(text, sizeof(text), "process %d is at it already", (int)owner);
	return answer(w, result, text);
}

/* The shim lives, but this task is over for it: containerd said so, or forgot it. */
static int take_from(struct work *w, pid_t owner, struct err *err)
{
	int r;

	if (owner != w->task.shim.pid || !w->shim_alive) {
		(void)at_it_already(w, owner, RECOVER_LEFT);
		return -EAGAIN;
	}
	if (w->shared) {
		(void)take_from_others(w, owner);
		return -EAGAIN;
	}
	r = w->node->signal(w->node, &w->task.shim, SIGKILL, err);
	crash_point("shim killed");
	if (r < 0 && r != -ESRCH)
		return r;
	r = own_after_death(w, err);
	if (r == -EAGAIN)
		answer(w, RECOVER_LEFT, err->text);
	return r;
}

/* ---- take down --------------------------------------------------------------------------- */

/* Before the run: who dies by its hand is known to have been killed, whatever happens
 * to us. The first exit counts. */
static int note_kill(struct work *w, struct err *err)
{
	int r;

	if (!w->init_alive || w->task.exit_how != EXIT_NONE_)
		return 0;
	r = journal_set_exit(w->j, EXIT_KILLED, 128 + SIGKILL, w->node->wall_ns(w->node), err);
	return r < 0 ? r : 0; /* 1: the copy of a full disk has it already */
}

/* After it: an init that nobody saw end. */
static void note_gone(struct work *w)
{
	struct task_row now;

	if (journal_task(w->j, &now, NULL) < 0)
		return;
	if (now.init.pid && now.exit_how == EXIT_NONE_) {
		now.exit_how = EXIT_UNKNOWN;
		now.exit_status = 255;
		now.exit_at_ns = w->node->wall_ns(w->node);
		(void)journal_set_exit(w->j, EXIT_UNKNOWN, 255, now.exit_at_ns, NULL);
	}
	w->ret->exit_how = now.exit_how;
	w->ret->exit_status = now.exit_status;
	w->ret->exit_at_ns = now.exit_at_ns;
	w->ret->init_pid = now.init.pid;
	task_row_clear(&now);
}

static void say_done(struct work *w)
{
	struct picture after;
	char words[512];

	if (picture_take(&after, w->j, NULL) < 0)
		return;
	picture_words(&w->before, &after, words, sizeof(words));
	w->did = *words || *after.killed || w->damaged;
	say(&w->ret->done, "%s%s%s%s%s", *after.killed ? "killed " : "", after.killed,
	    *after.killed && *words ? "; " : "", *words ? "took back " : "", words);
	if (after.total || *w->unclear)
		say(&w->ret->left, "%s%s%s", after.rows,
		    after.total && *w->unclear ? "; " : "", w->unclear);
}

static int close_file(struct work *w, struct err *err)
{
	int r = 0;

	if (w->flags & RECOVER_DELETE)
		r = journal_close_outbox(w->j, err);
	if (r == 0)
		r = journal_finish(&w->j, err);
	crash_point("finished");
	if (r < 0)
		return answer(w, RECOVER_LEFT, err->text);
	if (*w->unclear)
		return answer(w, RECOVER_LEFT, "its journal said nothing, and the host does not prove "
			      "this to be the task's; look, and remove by hand what is");
	return answer(w, w->did ? RECOVER_DONE : RECOVER_CLEAN,
		      w->forgotten ? w->why_forgotten : NULL);
}

static int ended(struct work *w, struct run *run, enum run_state s, struct err *err)
{
	note_gone(w);
	say_done(w);
	if (s == RUN_DONE)
		return close_file(w, err);
	if (s == RUN_WAITING)
		return answer(w, RECOVER_LEFT, "the time was over; the next recovery goes on");
	return answer(w, RECOVER_LEFT, run_error(run)->text);
}

static int open_takedown(struct work *w, struct run **run, struct err *err)
{
	struct run_options o = RUN_OPTIONS_INIT;
	int r;

	o.recovering = true;
	o.forgotten = w->forgotten;
	o.shared = w->shared;
	r = note_kill(w, err);
	if (r == 0)
		r = run_open(run, w->engine, w->j, EV_RECOVER, &o, err);
	return r;
}

/* What was written went to a disk that takes no more: go on in a copy. */
static int to_rescue(struct work *w, struct err *err)
{
	if (journal_is_rescue(w->j))
		return -err->code;
	w->j = journal_close(w->j);
	return journal_open_rescue(&w->j, w->place, &w->ret->key, err);
}

static int take_down(struct work *w, struct err *err)
{
	struct run *run = NULL;
	enum run_state s;
	int r;

	if (strcmp(w->task.state, life_state_name(LIFE_GONE)) == 0)
		return close_file(w, err);
	r = open_takedown(w, &run, err);
	if (r == -ENOSPC || r == -EROFS || r == -EIO) {
		r = to_rescue(w, err);
		if (r == 0)
			r = open_takedown(w, &run, err);
	}
	if (r < 0)
		return r;
	s = drive(run, w->node, w->deadline_ms, NULL, NULL);
	r = ended(w, run, s, err);
	run_close(run);
	return r;
}

/* The lease is ours, and its rows were looked at. */
static int take_down_all(struct work *w, struct err *err)
{
	int r = 0;

	if (!*w->task.epoch) {
		r = work_rebuild(w, err);
		if (r == 0)
			r = look(w, w->j, err);
	}
	return r < 0 ? r : take_down(w, err);
}

/* The lease is ours. */
static int go_on(struct work *w, struct err *err)
{
	int r = look(w, w->j, err);

	return r < 0 ? r : take_down_all(w, err);
}

/* ---- one task ------------------------------------------------------------------------------ */

/* 1: it may be taken; 0: the report says why not. */
static int may_take(struct work *w, pid_t owner)
{
	char text[ERR_TEXT_MAX];

	if ((w->flags & RECOVER_BOOT) && w->now)
		return answer(w, RECOVER_HEALTHY, "it is of this boot, and the boot's hook leaves "
						  "it alone");
	w->shared = w->shim_alive && work_shim_serves_others(w);
	if (w->flags & RECOVER_DELETE)
		return 1;
	if (owner && owner != w->task.shim.pid)
		return at_it_already(w, owner, RECOVER_HEALTHY);
	if (!owner && w->shim_alive && shim_is_young(w->node, &w->task.shim)) {
		(void)snprintf(text, sizeof(text), "its shim %d is just starting",
			       (int)w->task.shim.pid);
		return answer(w, RECOVER_HEALTHY, text);
	}
	if (!owner)
		return 1;
	w->forgotten = work_forgotten(w);
	if (w->forgotten && w->shared)
		w->shared = !work_all_forgotten(w);
	return w->forgotten ? 1 : answer(w, RECOVER_HEALTHY, w->why_forgotten);
}

/* Nobody owns it, as most that are left by a boot: one open for the look and for what
 * comes of it. -EAGAIN: somebody does; -ENOSPC, -EROFS, -EIO: it can't be used there. */
static int one_unowned(struct work *w, struct err *err)
{
	int r = journal_open(&w->j, w->place, &w->ret->key, JOURNAL_LOCK, err);

	if (r == 0)
		r = look(w, w->j, err);
	if (r < 0 || !may_take(w, 0))
		return r;
	r = journal_claim(w->j, err);
	return r < 0 ? r : take_down_all(w, err);
}

static int one_looked_at(struct work *w, struct err *err)
{
	pid_t owner = 0;
	int r = look_first(w, err);

	if (r == 0)
		r = journal_owner(w->place, &w->ret->key, &owner, err);
	if (r == -ENOSPC || r == -EROFS || r == -EIO)
		r = 0; /* it can't be read where it is: the copy will be */
	else if (r == 0 && !may_take(w, owner))
		return 0;
	if (r < 0)
		return r;
	if (w->flags & RECOVER_DRY)
		return answer(w, RECOVER_WOULD, w->forgotten ? w->why_forgotten : NULL);
	r = owner ? take_from(w, owner, err) : own(w, err);
	if (r == -EAGAIN)
		return w->ret->result != RECOVER_NONE_ ? 0 : answer(w, RECOVER_HEALTHY, err->text);
	return r < 0 ? r : go_on(w, err);
}

/* Its damaged file is kept, and an empty one is in its place: what it held is for the
 * host to say. */
static int damaged(struct work *w, struct err *err)
{
	int r;

	if (w->flags & RECOVER_DRY)
		return answer(w, RECOVER_WOULD, err->text);
	w->j = journal_close(w->j);
	w->damaged = true;
	r = journal_set_aside(&w->j, w->place, &w->ret->key, w->torn, err);
	return r < 0 ? r : go_on(w, err);
}

static int one(struct work *w, struct err *err)
{
	struct err why = ERR_INIT;
	int r;

	if (w->flags & RECOVER_DRY)
		return one_looked_at(w, err);
	r = one_unowned(w, &why);
	if (r == -EAGAIN || r == -ENOSPC || r == -EROFS || r == -EIO) {
		w->j = journal_close(w->j);
		return one_looked_at(w, err);
	}
	*err = why;
	return r;
}

/* From the beginning. What was done already is in the rows, or will be found. */
static int again(struct work *w, const struct task_key *key, struct err *err)
{
	const struct work fresh = { .engine = w->engine, .node = w->node, .place = w->place,
				    .flags = w->flags, .deadline_ms = w->deadline_ms,
				    .ret = w->ret, .earlier = w->earlier };

	journal_close(w->j);
	task_row_clear(&w->task);
	recover_report_clear(w->ret);
	*w = fresh;
	w->ret->key = *key;
	return one(w, err);
}

/* A file that can't be used. 0: the report says so. */
static int unusable(struct work *w, int r, struct err *err)
{
	if (r == -ENOENT && !(w->flags & RECOVER_DRY))
		(void)journal_sweep(w->place, &w->ret->key, NULL);
	if (r == -ENOENT && (w->flags & RECOVER_DELETE))
		return work_history(w, err);
	if (r == -ENOENT || r == -ENOMEM)
		return r;
	return answer(w, RECOVER_FAILED, err->text);
}

int recover_task(struct engine *e, const struct journal_place *place,
		 const struct task_key *key, unsigned flags, int64_t deadline_ms,
		 struct recover_report *ret, struct err *err)
{
	struct work w = { .engine = e, .node = e->node, .place = place, .flags = flags,
			  .deadline_ms = deadline_ms, .ret = ret,
			  .earlier = !journal_has_lock(place, key) };
	int64_t since = e->node->now_ms(e->node);
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->key = *key;
	r = one(&w, err);
	/* A single read that the disk refused looks the same to SQLite: look twice. */
	if (r == -EUCLEAN && !(flags & RECOVER_DRY))
		r = again(&w, key, err);
	if (r == -EUCLEAN)
		r = damaged(&w, err);
	w.j = journal_close(w.j);
	if (r < 0)
		r = unusable(&w, r, err);
	task_row_clear(&w.task);
	ret->took_ms = e->node->now_ms(e->node) - since;
	if (r < 0)
		recover_report_clear(ret);
	return r;
}
