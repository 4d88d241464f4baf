/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before anything is undone, nothing may go on making things. An undoing run's one row
 * is its fence: want says why the run was opened, have whom it killed.
 */
#include "supervisor/engine/run.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/bundle/json.h"
#include "supervisor/oci/cli.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS       10    /* between two looks                                      */
#define SESSION_TICKS 60000 /* how much younger than its child a session's may be     */

struct fence {
	struct run *run;
	struct node *n;
	struct ident self;
	int64_t seq; /* its row; 0: the journal can't be written */
	enum row_state state;
	json_object *have;
	bool changed; /* have, not yet written */
	int alive;
	char first[128]; /* who is alive, for people */
};

static bool same(const struct ident *a, const struct ident *b)
{
	return a->pid == b->pid && a->start == b->start;
}

/* ---- its row -------------------------------------------------------------------------- */

/* An undoing run has no other row. */
static int seek_row(void *arg, const struct step_row *row, struct err *err)
{
	struct fence *f = arg;
	int r;

	f->seq = row->seq;
	f->state = row->state;
	r = json_read_row(&f->have, row->have, "what the fence has", err);
	return r < 0 ? r : 1;
}

static int load(struct fence *f, struct err *err)
{
	struct run *run = f->run;
	int r = 0;

	if (!run->mute)
		r = journal_each_step(run->j, run->seq, OLDEST_FIRST, seek_row, f, err);
	if (!f->have)
		f->have = json_object_new_object();
	if (r >= 0 && !f->have)
		r = err_set(err, ENOMEM, "fence task %s", run->task.key.id);
	return r < 0 ? r : f->n->self(f->n, &f->self, err);
}

static int settle(struct fence *f, enum row_state to, const char *why, struct err *err)
{
	struct run *run = f->run;
	const char *text = f->changed ? json_write(f->have) : NULL;
	int64_t now = run_wall_ms(run);
	int r = 0;

	if (f->state == ROW_PLANNED)
		r = journal_intend(run->j, f->seq, f->n->epoch(f->n), false, now, err);
	if (r == 0 && f->changed)
		r = text ? journal_have(run->j, f->seq, text, err)
			 : err_set(err, ENOMEM, "note whom the fence killed");
	if (r == 0 && to != ROW_INTENT)
		r = journal_settle(run->j, f->seq, to, why, now, err);
	return r;
}

/* One commit. A journal that can't be written does not stop a fence. */
static int write_row(struct fence *f, enum row_state to, const char *why, struct wait *next,
		     struct err *err)
{
	struct err write = ERR_INIT;
	int r;

	if (!f->seq || (to == ROW_INTENT && f->state == ROW_INTENT && !f->changed))
		return 0;
	r = journal_begin(f->run->j, &write);
	if (r == 0) {
		r = settle(f, to, why, &write);
		if (r == 0)
			r = journal_commit(f->run->j, &write);
		else
			journal_rollback(f->run->j);
	}
	if (r == 0)
		return 0;
	if (r == -ESTALE) {
		*err = write;
		return r;
	}
	if (r == -EBUSY && ++f->run->busy < BUSY_TRIES)
		return run_again(f->run, BUSY_AGAIN_MS, next);
	f->run->mute = true;
	f->run->mute_err = write;
	return 0;
}

/* ---- killing ---------------------------------------------------------------------------- */

static void remember(struct fence *f, const struct ident *who, const char *what)
{
	json_object *list = json_list(f->have, "killed");
	size_t n = list ? json_object_array_length(list) : 0;
	json_object *one;
	struct ident was;

	for (size_t i = 0; i < n; i++)
		if (json_ident(json_object_array_get_idx(list, i), "process", &was) &&
		    same(&was, who))
			return;
	one = json_object_new_object();
	json_put_ident(one, "process", who);
	json_put_text(one, "what", what);
	if (!list) {
		list = json_object_new_array();
		json_put(f->have, "killed", list);
	}
	/* Without memory it is killed all the same. */
	if (!json_list(f->have, "killed") || json_object_array_add(list, one) < 0)
		json_object_put(one);
	else
		f->changed = true;
}

/* Counts it if it lives on. Killing is repeated at each look: it does no harm. */
static int kill_one(struct fence *f, const struct ident *who, const char *what,
		    struct err *err)
{
	struct proc_info p;
	int r;

	if (who->pid <= 1 || same(who, &f->self))
		return 0;
	r = f->n->alive(f->n, who, err);
	if (r <= 0)
		return r;
	remember(f, who, what);
	r = f->n->signal(f->n, who, SIGKILL, err);
	crash_point("fence kill");
	if (r < 0 && r != -ESRCH)
		return err_wrap(err, "kill %s, process %d", what, (int)who->pid);
	oci_thaw(f->n, who, f->run->task.key.id);
	if (f->alive++ == 0) {
		r = f->n->look(f->n, who->pid, &p, NULL);
		(void)snprintf(f->first, sizeof(f->first), "%.80s, process %d, state %c", what,
			       (int)who->pid, r == 1 ? p.state : '?');
	}
	return 0;
}

/* The old server first: it might make more. */
static int kill_server(struct fence *f, struct err *err)
{
	const struct task_row *task = &f->run->task;

	if (!f->run->env.recovering || f->run->env.shared ||
	    !epoch_same_pids(task->epoch, f->n->epoch(f->n)))
		return 0;
	return kill_one(f, &task->shim, "the shim", err);
}

static int end_child(struct fence *f, const struct child_row *row, struct err *err)
{
	int status = -1;
	int r = f->n->reap(f->n, &row->ident, &status, NULL);

	if (f->run->mute)
		return 0;
	r = journal_child_ended(f->run->j, row->seq, r == 1 ? status : -1, err);
	/* Not written: the next look finds it dead again. */
	return r == -ESTALE ? r : 0;
}

/* The undo of one exec may end the children of its own steps alone. */
static int spared(struct fence *f, const struct child_row *row, struct err *err)
{
	struct step_row step;
	int ours, r;

	if (f->run->plan != PLAN_EXEC_UNDO)
		return 0;
	r = row->step ? journal_step(f->run->j, row->step, &step, err) : -ENOENT;
	if (r < 0)
		return r == -ENOENT ? 1 : r;
	ours = run_has_exec(f->run, &step, err);
	step_row_clear(&step);
	return ours < 0 ? ours : !ours;
}

static int kill_child(void *arg, const struct child_row *row, struct err *err)
{
	struct fence *f = arg;
	const struct task_row *task = &f->run->task;
	int before = f->alive, r;

	if (same(&row->ident, &f->self))
		return 0;
	r = spared(f, row, err);
	if (r != 0)
		return r < 0 ? r : 0;
	/* A server that stays, for other tasks or because nobody proved it dead. */
	if (same(&row->ident, &task->shim) && f->run->env.shared)
		return 0;
	if (!epoch_same_pids(row->epoch, f->n->epoch(f->n)))
		return end_child(f, row, err);
	r = kill_one(f, &row->ident, row->what, err);
	if (r < 0)
		return r;
	return f->alive == before ? end_child(f, row, err) : 0;
}

/* ---- strays: what the dead left, and nobody recorded -------------------------------------- */

struct strays {
	struct fence *f;
	struct proc_info *at;
	size_t n;
	bool *is;
	uint64_t root_dev, root_ino; /* 0: no process may be known by its root */
};

static const struct proc_info *by_pid(const struct strays *s, pid_t pid, size_t *i)
{
	for (size_t k = 0; k < s->n; k++)
		if (s->at[k].ident.pid == pid) {
			if (i)
				*i = k;
			return &s->at[k];
		}
	return NULL;
}

/*
 * A stray's parent is gone: init has it, or we do, or another stray does. That keeps an
 * operator who stands in the bundle with his shell, and containerd's own children, out
 * of it.
 */
static bool orphan(const struct strays *s, const struct proc_info *p)
{
	size_t i;

	return p->ppid <= 1 || p->ppid == s->f->self.pid ||
	       (by_pid(s, p->ppid, &i) && s->is[i]);
}

/* Who called us waits for us, wherever he stands. */
static bool ancestor(const struct strays *s, const struct proc_info *p)
{
	const struct proc_info *q = by_pid(s, s->f->self.pid, NULL);

	for (size_t depth = 0; q && depth < s->n; depth++) {
		q = by_pid(s, q->ppid, NULL);
		if (q == p)
			return true;
	}
	return false;
}

struct session {
	const struct strays *s;
	const struct proc_info *p;
};

/* Is the process in the session that this child began? A session's number is not given
 * away again while it has members, but may be later: so the leader, if there is one,
 * must be the child, and the member must not be much younger. */
static int in_session(void *arg, const struct child_row *row, struct err *err)
{
	const struct session *q = arg;
	const struct proc_info *leader;
	uint64_t start = q->p->ident.start;

	(void)err;
	if (row->ident.pid != q->p->sid ||
	    !epoch_same_pids(row->epoch, q->s->f->n->epoch(q->s->f->n)))
		return 0;
	leader = by_pid(q->s, row->ident.pid, NULL);
	if (leader && !same(&leader->ident, &row->ident))
		return 0;
	return start >= row->ident.start && start - row->ident.start <= SESSION_TICKS;
}

/* 1, 0, < 0: the journal can't say whose session it is in. */
static int stray(const struct strays *s, const struct proc_info *p, struct err *err)
{
	const struct task_row *task = &s->f->run->task;
	struct session q = { .s = s, .p = p };

	/* The server was dealt with before; one that lives by now is to stay. */
	if (p->ident.pid <= 1 || same(&p->ident, &s->f->self) || p->state == 'Z' ||
	    same(&p->ident, &task->shim) || strcmp(p->comm, "containerd") == 0 ||
	    !orphan(s, p) || ancestor(s, p))
		return 0;
	if (task->bundle_ino && p->cwd_ino == task->bundle_ino && p->cwd_dev == task->bundle_dev)
		return 1;
	if (s->root_ino && p->root_ino == s->root_ino && p->root_dev == s->root_dev)
		return 1;
	if (p->sid == s->f->self.pid)
		return 0;
	return journal_each_child(s->f->run->j, false, in_session, &q, err);
}

static bool stands_on(const struct strays *s, const struct path_ident *root)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->at[i].root_ino == root->ino && s->at[i].root_dev == root->dev)
			return true;
	return false;
}

/* The rootfs tells whose a process is only if its filesystem is mounted nowhere else:
 * two tasks may stand on one directory. */
static int find_root(struct strays *s, struct err *err)
{
	struct node *n = s->f->n;
	struct mount_list list = { 0 };
	char path[PATH_MAX];
	struct path_ident root;
	const struct mount_info *ours = NULL;
	int same_fs = 0, r;

	if (!*s->f->run->task.bundle)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/rootfs", s->f->run->task.bundle);
	if (n->path(n, path, &root, NULL) != 1 || !stands_on(s, &root))
		return 0;
	r = n->mounts(n, &list, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < list.n; i++)
		if (strcmp(list.at[i].target, path) == 0)
			ours = &list.at[i];
	for (size_t i = 0; ours && i < list.n; i++)
		same_fs += list.at[i].major == ours->major && list.at[i].minor == ours->minor;
	if (same_fs == 1) {
		s->root_dev = root.dev;
		s->root_ino = root.ino;
	}
	mount_list_clear(&list);
	return 0;
}

static int mark(struct strays *s, struct err *err)
{
	bool more = true;
	int r;

	s->is = calloc(s->n + 1, sizeof(*s->is));
	if (!s->is)
		return err_set(err, ENOMEM, "look for processes of %s", s->f->run->task.key.id);
	while (more) { /* children of strays, until there is no new one */
		more = false;
		for (size_t i = 0; i < s->n; i++) {
			if (s->is[i])
				continue;
			r = stray(s, &s->at[i], err);
			if (r < 0)
				return r;
			s->is[i] = r == 1;
			more |= s->is[i];
		}
	}
	return 0;
}

static int kill_strays(struct fence *f, struct err *err)
{
	struct strays s = { .f = f };
	int r = f->n->scan(f->n, &s.at, &s.n, err);

	if (r == 0)
		r = find_root(&s, err);
	if (r == 0)
		r = mark(&s, err);
	for (size_t i = 0; r == 0 && i < s.n; i++)
		if (s.is[i])
			r = kill_one(f, &s.at[i].ident, s.at[i].comm, err);
	free(s.at);
	free(s.is);
	return r;
}

/* ---- a turn ----------------------------------------------------------------------------------- */

static int look(struct fence *f, struct err *err)
{
	const struct run *run = f->run;
	bool now = epoch_same_pids(run->task.epoch, f->n->epoch(f->n));
	bool strays = (run->env.recovering || run->failed) && run->plan != PLAN_EXEC_UNDO;
	int r = kill_server(f, err);

	if (r == 0 && f->alive == 0)
		r = journal_each_child(run->j, true, kill_child, f, err);
	/* A runtime that failed may have left its own children to us. */
	if (r == 0 && f->alive == 0 && strays && now)
		r = kill_strays(f, err);
	return r;
}

static int turn(struct fence *f, struct wait *next, struct err *err)
{
	struct err kill = ERR_INIT;
	struct err write = ERR_INIT;
	int r = load(f, err);

	if (r < 0)
		return r;
	r = look(f, &kill);
	if (r == 0 && f->alive == 0) {
		r = write_row(f, ROW_DONE, NULL, next, err);
		if (r == 0)
			crash_point("fenced");
		return r;
	}
	if (r == 0 && run_wall_ms(f->run) - f->run->opened_ms < FENCE_MS) {
		r = write_row(f, ROW_INTENT, NULL, next, err);
		return r != 0 ? r : run_again(f->run, LOOK_MS, next);
	}
	if (r == 0)
		r = err_say(&kill, EBUSY, "%s does not die, so nothing can be taken back yet; "
			    "try again when it is gone", f->first);
	if (write_row(f, ROW_FAILED, kill.text, next, &write) == STEP_WAIT)
		return STEP_WAIT;
	*err = kill;
	return r;
}

int fence_turn(struct run *run, struct wait *next, struct err *err)
{
	struct fence f = { .run = run, .n = run->engine->node };
	int r = turn(&f, next, err);

	json_object_put(f.have);
	return r;
}
