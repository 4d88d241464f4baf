/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover - take back what dead owners left, and say what was found, done and left.
 *
 * It may be killed at any point and run beside itself: the locks and leases of the
 * tasks decide who acts, and whoever comes next goes on from the rows.
 */
#include "cmd/uruncctl/task.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/engine/recover.h"

#include <string.h>

/* The boot waits for us, and the unit's TimeoutStartSec is 60 s. What is not done by
 * then stays in the journal for the timer. */
#define BOOT_MS 45000

static const char *const heads[] = { "TASK", "FOUND", "DONE", "LEFT", "WHY", NULL };
static const char *const dry_heads[] = { "TASK", "FOUND", "WOULD DO", "LEFT", "WHY", NULL };

struct recover {
	struct ctl *ctl;
	unsigned flags; /* RECOVER_* */
	struct table table;
	json_object *json;
	bool full;
	int status; /* FSCK_*, the worst of all tasks */
	size_t healthy, taken, left;
	bool usage;  /* a name that names no task, or several */
	bool failed; /* out of memory */
};

static const struct {
	const char *name; /* in JSON, stable */
	enum tone tone;
	int status;
} results[] = {
	[RECOVER_HEALTHY] = { "healthy", TONE_PLAIN, FSCK_NOTHING },
	[RECOVER_CLEAN] = { "clean", TONE_GOOD, FSCK_ALL },
	[RECOVER_DONE] = { "done", TONE_GOOD, FSCK_ALL },
	[RECOVER_LEFT] = { "left", TONE_BAD, FSCK_LEFT },
	[RECOVER_WOULD] = { "would", TONE_WARN, FSCK_ALL },
	[RECOVER_FAILED] = { "failed", TONE_BAD, FSCK_BROKEN },
};

static void report_json(struct recover *rc, const struct recover_report *p)
{
	json_object *o = out_object(FSCK_BROKEN);

	task_key_json(o, &p->key);
	json_object_object_add(o, "result", json_string_of(results[p->result].name));
	json_object_object_add(o, "found", json_string_of(p->found));
	json_object_object_add(o, "done", json_string_of(p->done));
	json_object_object_add(o, "left", json_string_of(p->left));
	json_object_object_add(o, "why", json_string_of(p->why));
	exit_json(o, p->exit_how, p->exit_status, p->exit_at_ns);
	json_object_object_add(o, "init_pid", p->init_pid ? json_object_new_int64(p->init_pid) : NULL);
	json_object_object_add(o, "took_ms", json_object_new_int64(p->took_ms));
	if (json_object_array_add(rc->json, o) < 0)
		rc->failed = true;
}

/* Healthy tasks are rows only for those who ask. */
static bool worth_a_row(const struct recover *rc, enum recover_result result)
{
	if (result != RECOVER_HEALTHY || (rc->ctl->flags & FLAG_VERBOSE))
		return true;
	return rc->ctl->argc > 0 && !(rc->ctl->flags & FLAG_QUIET);
}

static const char *done_text(const struct recover_report *p)
{
	if (p->done && *p->done)
		return p->done;
	return p->result == RECOVER_WOULD ? "take it back" : "";
}

static void report_cells(struct recover *rc, const struct recover_report *p)
{
	enum tone tone = results[p->result].tone;
	char name[TASK_NAME_MAX];

	table_cell(&rc->table, tone, "%s", task_name(name, &p->key, rc->full));
	table_cell(&rc->table, TONE_PLAIN, "%s", p->found ? p->found : "");
	table_cell(&rc->table, TONE_PLAIN, "%s", done_text(p));
	table_cell(&rc->table, p->left ? tone : TONE_PLAIN, "%s", p->left ? p->left : "");
	table_cell(&rc->table, TONE_PLAIN, "%s", p->why ? p->why : "");
}

static int take(void *arg, const struct recover_report *p, int at, int of)
{
	struct recover *rc = arg;
	int status = results[p->result].status;
	char name[TASK_NAME_MAX];

	out_progress(&rc->ctl->out, "recover: %d of %d, %s", at, of, task_name(name, &p->key, rc->full));
	report_json(rc, p);
	if (worth_a_row(rc, p->result))
		report_cells(rc, p);
	rc->healthy += status == FSCK_NOTHING;
	rc->taken += status == FSCK_ALL;
	rc->left += status >= FSCK_LEFT;
	rc->status = status > rc->status ? status : rc->status;
	rc->failed = rc->failed || rc->table.failed;
	return rc->failed;
}

/* A task that recover_task() could do nothing about is a row like the others. */
static void take_failure(struct recover *rc, const struct task_key *key, struct err *err, int at)
{
	const struct recover_report failed = {
		.key = *key,
		.result = RECOVER_FAILED,
		.why = err->text,
	};

	(void)take(rc, &failed, at, rc->ctl->argc);
}

/* It was taken back before: nothing to do is no mistake. */
static bool in_history(const struct ctl *ctl, const char *word)
{
	auto_tasks struct task_list done = { .n = 0 };
	const struct task_item *past;

	return task_list_add(&done, ctl, JOURNAL_DONE, NULL) == 0 &&
	       task_find(&done, word, &past, NULL) == 0;
}

/* Find all of the named tasks before touching one: a misspelt name acts on nothing. */
static int find_named(struct recover *rc, const struct task_list *live,
		      const struct task_item **ret, struct err *err)
{
	const struct ctl *ctl = rc->ctl;

	for (int i = 0; i < ctl->argc; i++) {
		int r = task_find(live, ctl->argv[i], &ret[i], err);

		if (r == -ENOENT && in_history(ctl, ctl->argv[i])) {
			ret[i] = NULL;
		} else if (r < 0) {
			rc->usage = true;
			return r;
		}
	}
	return 0;
}

static int recover_named(struct recover *rc, const struct task_list *live, int64_t deadline_ms,
			 struct err *err)
{
	struct ctl *ctl = rc->ctl;
	auto_free const struct task_item **items = calloc((size_t)ctl->argc, sizeof(*items));
	int r;

	if (!items)
		return err_set(err, ENOMEM, "recover");
	r = find_named(rc, live, items, err);
	if (r < 0)
		return r;
	for (int i = 0; i < ctl->argc && !rc->failed; i++) {
		struct recover_report report = { .result = RECOVER_NONE_ };
		struct err why = ERR_INIT;

		if (!items[i])
			continue;
		r = recover_task(&ctl->engine, &ctl->place, &items[i]->key, rc->flags, deadline_ms,
				 &report, &why);
		if (r == 0)
			(void)take(rc, &report, i + 1, ctl->argc);
		else if (r != -ENOENT) /* else another recover was faster */
			take_failure(rc, &items[i]->key, &why, i + 1);
		recover_report_clear(&report);
	}
	return 0;
}

static int print(struct recover *rc, struct err *err)
{
	const struct ctl *ctl = rc->ctl;

	if (ctl->flags & FLAG_JSON) {
		json_object *doc = out_object(FSCK_BROKEN);

		json_object_object_add(doc, "dry_run",
				       json_object_new_boolean(!!(rc->flags & RECOVER_DRY)));
		json_object_object_add(doc, "exit_status", json_object_new_int(rc->status));
		json_object_object_add(doc, "tasks", json_object_get(rc->json));
		return out_json(doc, err);
	}
	return rc->table.n ? table_print(&rc->table, &ctl->out, err) : 0;
}

static void sum_up(const struct recover *rc)
{
	const struct ctl *ctl = rc->ctl;
	const char *did = rc->flags & RECOVER_DRY ? "would be taken back" : "taken back";

	if (ctl->flags & (FLAG_JSON | FLAG_QUIET))
		return;
	if (rc->taken + rc->left == 0 && ctl->argc > 0 && rc->healthy == 0)
		out_line(&ctl->out, TONE_PLAIN, "nothing to take back: it is in the history");
	else if (rc->taken + rc->left == 0 && rc->healthy == 0)
		out_line(&ctl->out, TONE_PLAIN, "nothing to take back: no task is in the journal");
	else if (rc->taken + rc->left == 0)
		out_line(&ctl->out, TONE_PLAIN, "nothing to take back: %zu task%s, all healthy",
			 rc->healthy, rc->healthy == 1 ? "" : "s");
	else
		out_hint(&ctl->out, "%zu %s, %zu left, %zu healthy%s", rc->taken, did, rc->left,
			 rc->healthy,
			 rc->left ? "; next: uruncctl show TASK, then uruncctl recover again" : "");
}

static unsigned engine_flags(unsigned flags)
{
	return (flags & FLAG_DRY_RUN ? RECOVER_DRY : 0) | (flags & FLAG_BOOT ? RECOVER_BOOT : 0) |
	       (flags & FLAG_FORGOTTEN ? RECOVER_FORGOTTEN : 0);
}

/* The history is bounded here. What recover was called for is done, so a failure is
 * said, and changes no exit status. */
static void prune(const struct ctl *ctl)
{
	struct err err = ERR_INIT;

	if (journal_prune(&ctl->place, (int64_t)ctl->config.history_days * 86400,
			  ctl->config.history_count, &err) < 0)
		ctl_complain(&err);
}

static int work(struct recover *rc, struct err *err)
{
	struct ctl *ctl = rc->ctl;
	auto_tasks struct task_list live = { .n = 0 };
	struct err why = ERR_INIT;
	int64_t deadline_ms = ctl->flags & FLAG_BOOT ? ctl->node->now_ms(ctl->node) + BOOT_MS : 0;
	int r = task_list_add(&live, ctl, JOURNAL_LIVE, err);

	if (r < 0)
		return r;
	/* Before anything new is there: what a power cut damaged is the newest. */
	if (ctl->flags & FLAG_BOOT && !(rc->flags & RECOVER_DRY) &&
	    journal_drop_torn(&ctl->place, &why) < 0)
		ctl_complain(&why);
	rc->full = task_list_full(&live);
	out_progress(&ctl->out, "recover: looking at %zu tasks", live.n);
	if (ctl->argc > 0)
		r = recover_named(rc, &live, deadline_ms, err);
	else
		r = recover_all(&ctl->engine, &ctl->place, rc->flags, deadline_ms, take, rc, err);
	if (rc->failed)
		return err_set(err, ENOMEM, "recover: report what was done");
	if (r == 0 && !(rc->flags & RECOVER_DRY))
		prune(ctl);
	return r < 0 ? r : 0;
}

int ctl_recover(struct ctl *ctl)
{
	auto_json json_object *json = out_array(FSCK_BROKEN);
	struct recover rc = { .ctl = ctl, .json = json, .flags = engine_flags(ctl->flags) };
	struct err broken = ERR_INIT;
	struct err err = ERR_INIT;
	int r;

	crash_role("recover");
	table_init(&rc.table, rc.flags & RECOVER_DRY ? dry_heads : heads);
	r = work(&rc, &broken);
	out_progress_end(&ctl->out);
	/* Tasks that were recovered before the failure are told, too. */
	if (r < 0) {
		ctl_complain(&broken);
		rc.status = rc.usage ? FSCK_USAGE : FSCK_BROKEN;
	}
	if (!rc.usage && print(&rc, &err) < 0) {
		ctl_complain(&err);
		rc.status = FSCK_BROKEN;
	} else if (r >= 0) {
		sum_up(&rc);
	}
	table_clear(&rc.table);
	return rc.status;
}
