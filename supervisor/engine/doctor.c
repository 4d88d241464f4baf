/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/engine/doctor.h"

#include "supervisor/bundle/json.h"
#include "supervisor/engine/run.h"
#include "supervisor/engine/search.h"
#include "supervisor/engine/work.h"
#include "supervisor/rebuild/leftovers.h"

#include "journal/base/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY_MAX 200 /* finished tasks whose names are looked for on the host */

/* Codes and names are published: never renamed, never reused. */
enum code { DEAD_OWNER, MISSING, PARTIAL, FOREIGN, UNSURE, NO_LOCK, DAMAGED, NEWER, STUCK,
	    STALE_SOCKET, UNRECORDED, READ_ONLY, UNREADABLE, UNTOLD, INIT_GONE,
	    URUNC_TAP, URUNC_REDIRECT, URUNC_STATE, URUNC_PROCESS, URUNC_MOUNT };

const struct doctor_code doctor_codes[] = {
	[DEAD_OWNER] = { "UR001", "dead-owner", "the task's shim is dead, and its rows say that it holds something" },
	[MISSING] = { "UR002", "missing", "a row says that something is held, and the host does not have it" },
	[PARTIAL] = { "UR003", "partial", "the host has only a part of what a row says is held" },
	[FOREIGN] = { "UR004", "foreign", "under the name in a row stands something that is not the task's" },
	[UNSURE] = { "UR005", "unsure", "the host can't tell whether what a row names is there" },
	[NO_LOCK] = { "UR006", "no-lock", "the task's shim lives and does not hold the task's lock" },
	[DAMAGED] = { "UR007", "damaged", "the task's journal file is damaged" },
	[NEWER] = { "UR008", "newer", "the task's journal file was written by a newer version" },
	[STUCK] = { "UR009", "stuck", "something of the task could not be taken back" },
	[STALE_SOCKET] = { "UR010", "stale-socket", "a task's socket is there and nobody answers on it" },
	[UNRECORDED] = { "UR011", "unrecorded", "the host has something under a task's name that is in no row" },
	[READ_ONLY] = { "UR012", "read-only", "the journal's folder is on a file system that can't be written" },
	[UNREADABLE] = { "UR013", "unreadable", "the task's journal file can't be read" },
	[UNTOLD] = { "UR014", "untold", "a dead task has events that containerd has not accepted" },
	[INIT_GONE] = { "UR015", "init-gone", "the task's init is gone and its exit is not in the journal" },
	[URUNC_TAP] = { "UR016", "urunc-tap", "urunc's own runtime left a tap in a pod" },
	[URUNC_REDIRECT] = { "UR017", "urunc-redirect", "urunc's own runtime left a redirect to a tap that nobody reads" },
	[URUNC_STATE] = { "UR018", "urunc-state", "urunc's own runtime left a state folder" },
	[URUNC_PROCESS] = { "UR019", "urunc-process", "urunc's own shim died and left a process" },
	[URUNC_MOUNT] = { "UR020", "urunc-mount", "urunc's own shim or runtime left a mount" },
	{ NULL, NULL, NULL },
};

struct doctor {
	struct engine *e;
	struct node *n;
	const struct journal_place *place;
	void (*each)(void *arg, const struct finding *finding);
	void *arg;
	int n_found;
	enum finding_safe safe; /* of the next finding */
	int history;
	/* the task being looked at */
	struct journal *j;
	struct task_row task;
	pid_t owner;
	char *rows; /* all wants and haves, one text */
};

__attribute__((format(printf, 6, 7)))
static void find(struct doctor *d, enum code code, const struct task_key *key, int64_t step,
		 const char *fix, const char *fmt, ...)
{
	struct finding f = { .code = doctor_codes[code].code, .name = doctor_codes[code].name,
			     .step = step, .safe = d->safe };
	va_list ap;

	if (key)
		f.key = *key;
	va_start(ap, fmt);
	(void)vsnprintf(f.text, sizeof(f.text), fmt, ap);
	va_end(ap);
	if (key)
		(void)snprintf(f.fix, sizeof(f.fix), "uruncctl %s %s/%s", fix, key->ns, key->id);
	else
		(void)snprintf(f.fix, sizeof(f.fix), "%s", fix);
	d->n_found++;
	d->each(d->arg, &f);
}

/* ---- a row against the host ------------------------------------------------------------- */

int doctor_step(struct engine *e, struct journal *j, const struct task_row *task,
		const struct step_row *row, struct err *err)
{
	auto_json json_object *want = NULL;
	auto_json json_object *have = NULL;
	struct step_env env = { .node = e->node, .journal = j, .config = e->config,
				.stdio = { -1, -1, -1 }, .recovering = true };
	struct step step = { .seq = row->seq, .ops = engine_kind(e, row->kind), .task = task,
			     .epoch = row->epoch };
	int r;

	if (!step.ops || !step.ops->verify)
		return FACT_UNSURE;
	r = json_read_row(&want, row->want, "its want", err);
	if (r == 0)
		r = json_read_row(&have, row->have, "its have", err);
	if (r < 0)
		return err_wrap(err, "step %lld (%s)", (long long)row->seq, row->kind);
	step.want = want;
	step.have = have;
	return step.ops->verify(&step, &env, err);
}

static void held(struct doctor *d, const struct step_row *row)
{
	struct err err = ERR_INIT;
	int fact = doctor_step(d->e, d->j, &d->task, row, &err);
	enum code code;

	if (fact == FACT_PRESENT)
		return;
	code = fact == FACT_ABSENT ? MISSING : fact == FACT_PARTIAL ? PARTIAL :
	       fact == FACT_FOREIGN ? FOREIGN : UNSURE;
	find(d, code, &d->task.key, row->seq, "show", "%s: %s%s%s", row->kind,
	     doctor_codes[code].text, *err.text ? ": " : "", err.text);
}

/* Paths as the host writes them, not as JSON escapes them. */
static const char *plain(json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							 JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* @before and what the row names, to be freed; NULL: no memory. What is no JSON names
 * nothing: see held(). */
static char *add_names(const char *before, const struct step_row *row)
{
	auto_json json_object *want = NULL;
	auto_json json_object *have = NULL;
	const char *wanted, *had;
	char *names;

	if (json_read_row(&want, row->want, "a want", NULL) == -ENOMEM ||
	    json_read_row(&have, row->have, "a have", NULL) == -ENOMEM)
		return NULL;
	wanted = plain(want);
	had = plain(have);
	/* A state folder is in the row in two parts. */
	if (!wanted || !had ||
	    asprintf(&names, "%s%s\n%s\n%s/%s\n", before, wanted, had,
		     json_text(want, "root", ""), json_text(want, "id", "")) < 0)
		return NULL;
	return names;
}

static int look_step(void *arg, const struct step_row *row, struct err *err)
{
	struct doctor *d = arg;
	const struct step_ops *ops = engine_kind(d->e, row->kind);
	char *rows = add_names(d->rows ? d->rows : "", row);

	if (!rows)
		return err_set(err, ENOMEM, "read what step %lld holds", (long long)row->seq);
	free(d->rows);
	d->rows = rows;
	if (row->state == ROW_STUCK)
		find(d, STUCK, &d->task.key, row->seq, "recover", "%s: %s", row->kind, row->error);
	/* A dead owner's rows are one finding, not a dozen. */
	else if (row->state == ROW_DONE && d->owner && ops && ops->verify)
		held(d, row);
	return 0;
}

static int look_run(void *arg, const struct run_row *row, struct err *err)
{
	struct doctor *d = arg;
	enum plan plan = plan_of(row->plan);

	if (plan != PLAN_SERVE && plan != PLAN_CREATE)
		return 0;
	return journal_each_step(d->j, row->seq, OLDEST_FIRST, look_step, d, err);
}

/* ---- a task --------------------------------------------------------------------------------- */

static int unrecorded(void *arg, const struct task_key *key, const char *what)
{
	struct doctor *d = arg;

	/* What is found is a word or two, and a path. */
	if (d->rows && strstr(d->rows, strchr(what, '/')))
		return 0;
	find(d, UNRECORDED, key, 0, "show", "%s is in no row of the journal", what);
	return 0;
}

/* What stands under its name besides what @d->rows name. */
static void look_host(struct doctor *d, const struct task_key *key)
{
	struct err err = ERR_INIT;

	if (host_search(d->e, key, unrecorded, d, &err) < 0)
		find(d, UNSURE, key, 0, "show", "what else the host has under its name can't be told: "
		     "%s", err.text);
}

/* 1, 0; < 0: it can't be told, and that was. */
static int lives(struct doctor *d, const char *what, const struct ident *who)
{
	struct node *n = d->n;
	struct err err = ERR_INIT;
	int r;

	if (!who->pid || !epoch_same_pids(d->task.epoch, n->epoch(n)))
		return 0;
	r = n->alive(n, who, &err);
	if (r < 0)
		find(d, UNSURE, &d->task.key, 0, "show", "whether its %s %d lives can't be told: %s",
		     what, (int)who->pid, err.text);
	return r;
}

static void look_owner(struct doctor *d)
{
	const struct task_row *t = &d->task;
	struct node *n = d->n;
	int shim = lives(d, "shim", &t->shim);
	int init = lives(d, "init", &t->init);
	enum life_state s = life_state_of(t->state);

	if (!d->owner && shim == 1 && !shim_is_young(n, &t->shim))
		find(d, NO_LOCK, &t->key, 0, "recover", "shim %d lives without the task's lock",
		     (int)t->shim.pid);
	if (!d->owner && shim == 0 && s != LIFE_GONE)
		find(d, DEAD_OWNER, &t->key, 0, "recover", "%s, its shim %d is dead%s", t->state,
		     (int)t->shim.pid, init == 1 ? ", its init lives" : "");
	if (t->init.pid && init == 0 && (s == LIFE_CREATED || s == LIFE_RUNNING) && d->owner)
		find(d, INIT_GONE, &t->key, 0, "show", "%s, but init %d is gone", t->state,
		     (int)t->init.pid);
	if (s == LIFE_STUCK)
		find(d, STUCK, &t->key, 0, "recover", "%s", t->error);
	if (*t->socket && d->owner && n->answers(n, t->socket, NULL) == 0)
		find(d, STALE_SOCKET, &t->key, 0, "show", "nobody answers on %s", t->socket);
}

static int look_outbox(struct doctor *d, struct err *err)
{
	struct event_row event;
	int r = d->owner ? 0 : journal_untold(d->j, &event, err);

	if (r <= 0)
		return r;
	find(d, UNTOLD, &d->task.key, 0, "recover", "%s waits to be told", event.topic);
	event_row_clear(&event);
	return 0;
}

static int look_task(struct doctor *d, struct err *err)
{
	int r = journal_check(d->j, err);

	if (r == 0)
		r = journal_task(d->j, &d->task, err);
	if (r == 0)
		r = journal_owner(d->place, journal_key(d->j), &d->owner, err);
	if (r < 0)
		return r;
	look_owner(d);
	r = look_outbox(d, err);
	if (r == 0)
		r = journal_each_run(d->j, OLDEST_FIRST, look_run, d, err);
	if (r == 0)
		look_host(d, &d->task.key);
	return r;
}

static void cant_look(struct doctor *d, const struct task_key *key, int r, const struct err *err)
{
	enum code code = r == -EUCLEAN ? DAMAGED : r == -EPROTO ? NEWER : UNREADABLE;

	if (r != -ENOENT) /* it ended meanwhile */
		find(d, code, key, 0, code == DAMAGED ? "recover" : "show", "%s", err->text);
}

static int look_live(void *arg, const struct task_key *key, const char *file)
{
	struct doctor *d = arg;
	struct err err = ERR_INIT;
	int r = journal_open(&d->j, d->place, key, JOURNAL_READ, &err);

	(void)file;
	memset(&d->task, 0, sizeof(d->task));
	d->owner = 0;
	if (r == 0)
		r = look_task(d, &err);
	if (r < 0)
		cant_look(d, key, r, &err);
	task_row_clear(&d->task);
	d->j = journal_close(d->j);
	free(d->rows);
	d->rows = NULL;
	return 0;
}

/* What a finished task's name still stands on. A new life of the id has its own rows. */
static int look_done(void *arg, const struct task_key *key, const char *file)
{
	struct doctor *d = arg;
	struct journal *j = NULL;
	int r = journal_open(&j, d->place, key, JOURNAL_READ, NULL);

	(void)file;
	journal_close(j);
	if (r == -ENOENT)
		look_host(d, key);
	return ++d->history >= HISTORY_MAX;
}

/* ---- the node --------------------------------------------------------------------------------- */

static bool below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return strncmp(path, folder, len) == 0 &&
	       (len == 1 || path[len] == '/' || path[len] == '\0');
}

static void look_leftover(void *arg, const struct leftover_found *found)
{
	static const enum code codes[] = {
		[LEFT_TAP] = URUNC_TAP, [LEFT_REDIRECT] = URUNC_REDIRECT,
		[LEFT_STATE] = URUNC_STATE, [LEFT_PROCESS] = URUNC_PROCESS,
		[LEFT_MOUNT] = URUNC_MOUNT,
	};
	struct doctor *d = arg;

	d->safe = found->safe ? SAFE_YES : SAFE_LOOK;
	find(d, codes[found->what], NULL, 0, found->fix, "%s", found->text);
	d->safe = SAFE_NONE;
}

static int look_place(struct doctor *d, struct err *err)
{
	struct mount_list list = { 0 };
	const struct mount_info *best = NULL;
	int r = d->n->mounts(d->n, &list, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < list.n; i++)
		if (below(d->place->root, list.at[i].target) &&
		    (!best || strlen(list.at[i].target) >= strlen(best->target)))
			best = &list.at[i];
	if (best && (strncmp(best->options, "ro,", 3) == 0 || strcmp(best->options, "ro") == 0 ||
		     strncmp(best->super, "ro,", 3) == 0 || strcmp(best->super, "ro") == 0))
		find(d, READ_ONLY, NULL, 0, "mount -o remount,rw",
		     "%s is on %s, which is mounted read-only: no task can be created",
		     d->place->root, best->target);
	mount_list_clear(&list);
	return 0;
}

int doctor(struct engine *e, const struct journal_place *place,
	   void (*each)(void *arg, const struct finding *finding), void *arg, struct err *err)
{
	struct doctor d = { .e = e, .n = e->node, .place = place, .each = each, .arg = arg };
	int r = look_place(&d, err);

	if (r == 0)
		r = journal_list(place, JOURNAL_LIVE, look_live, &d, err);
	if (r == 0)
		r = journal_list(place, JOURNAL_DONE, look_done, &d, err);
	if (r >= 0) /* 1: there is more history than is looked at */
		r = leftovers(e, place, look_leftover, &d, err);
	return r < 0 ? r : d.n_found;
}
