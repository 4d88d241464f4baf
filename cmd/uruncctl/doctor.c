/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/uruncctl/task.h"

#include "journal/base/cleanup.h"
#include "supervisor/engine/doctor.h"

static const char *const heads[] = { "CODE", "FINDING", "TASK", "WHAT", "FIX", NULL };

struct doctor_out {
	struct table table;
	json_object *json;
	bool full;
};

static void take(void *arg, const struct finding *f)
{
	struct doctor_out *d = arg;
	json_object *o = out_object(CTL_UNKNOWN);
	bool node = !f->key.id[0];
	char name[TASK_NAME_MAX];

	table_cell(&d->table, TONE_BAD, "%s", f->code);
	table_cell(&d->table, TONE_PLAIN, "%s", f->name);
	table_cell(&d->table, TONE_PLAIN, "%s", node ? "" : task_name(name, &f->key, d->full));
	table_cell(&d->table, TONE_PLAIN, "%s", f->text);
	table_cell(&d->table, TONE_PLAIN, "%s%s", f->safe == SAFE_YES ? "safe: " :
		   f->safe == SAFE_LOOK ? "look first: " : "", f->fix);

	json_object_object_add(o, "code", json_string_of(f->code));
	json_object_object_add(o, "name", json_string_of(f->name));
	task_key_json(o, &f->key);
	json_object_object_add(o, "step", f->step ? json_object_new_int64(f->step) : NULL);
	json_object_object_add(o, "text", json_string_of(f->text));
	json_object_object_add(o, "fix", json_string_of(f->fix));
	json_object_object_add(o, "safe", f->safe == SAFE_NONE ? NULL :
			       json_object_new_boolean(f->safe == SAFE_YES));
	if (json_object_array_add(d->json, o) < 0)
		d->table.failed = true;
}

static int print(const struct ctl *ctl, const struct doctor_out *d, size_t tasks, struct err *err)
{
	if (ctl->flags & FLAG_JSON) {
		json_object *doc = out_object(CTL_UNKNOWN);

		json_object_object_add(doc, "tasks", json_object_new_int64((int64_t)tasks));
		json_object_object_add(doc, "findings", json_object_get(d->json));
		return out_json(doc, err);
	}
	if (d->table.n)
		return table_print(&d->table, &ctl->out, err);
	if (!(ctl->flags & FLAG_QUIET))
		out_line(&ctl->out, TONE_GOOD, "all tasks are healthy (%zu)", tasks);
	return 0;
}

int ctl_doctor(struct ctl *ctl)
{
	auto_tasks struct task_list list = { .n = 0 };
	auto_json json_object *json = out_array(CTL_UNKNOWN);
	struct doctor_out d = { .json = json };
	struct err err = ERR_INIT;
	int found = 0;
	int r = task_list_add(&list, ctl, JOURNAL_LIVE, &err);

	table_init(&d.table, heads);
	d.full = task_list_full(&list);
	if (r == 0) {
		out_progress(&ctl->out, "doctor: looking at %zu tasks", list.n);
		r = found = doctor(&ctl->engine, &ctl->place, take, &d, &err);
		out_progress_end(&ctl->out);
	}
	if (r >= 0)
		r = print(ctl, &d, list.n, &err);
	table_clear(&d.table);
	if (r < 0) {
		ctl_complain(&err);
		return CTL_UNKNOWN;
	}
	return found > 0 ? CTL_FINDINGS : CTL_CLEAN;
}
