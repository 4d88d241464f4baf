/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/uruncctl/task.h"

#include "journal/base/cleanup.h"

static const char *const heads[] = { "TASK", "STATE", "SHIM", "INIT", "EXIT", "AGE", "NOTE", NULL };

struct ps {
	struct ctl *ctl;
	struct table table;
	json_object *json;
	bool full;    /* names with the daemon */
	size_t ill;   /* tasks an operator should look at */
	int status;
};

static void cell_process(struct table *t, const struct ident *who, int alive)
{
	if (who->pid <= 0)
		table_cell(t, TONE_PLAIN, "-");
	else
		table_cell(t, alive == 0 ? TONE_WARN : TONE_PLAIN, "%d%s", (int)who->pid,
			   alive == 0 ? " gone" : alive < 0 ? " ?" : "");
}

static void row_cells(struct ps *ps, const struct task_item *item, const struct task_view *v)
{
	struct table *t = &ps->table;
	const char *ill = task_view_ill(v);
	struct node *node = ps->ctl->node;
	char name[TASK_NAME_MAX];
	char age[SPAN_MAX];

	table_cell(t, TONE_PLAIN, "%s", task_name(name, &item->key, ps->full));
	table_cell(t, ill ? TONE_BAD : TONE_PLAIN, "%s", v->row.state);
	/* The lock is the proof of life; the row only says who it was. */
	cell_process(t, &(struct ident){ .pid = v->owner ? v->owner : v->row.shim.pid },
		     v->owner || !v->live ? 1 : v->shim_alive);
	cell_process(t, &v->row.init, v->live ? v->init_alive : 1);
	if (v->row.exit_how == EXIT_NONE_)
		table_cell(t, TONE_PLAIN, "-");
	else
		table_cell(t, TONE_PLAIN, "%u%s", v->row.exit_status,
			   v->row.exit_how == EXIT_UNKNOWN ? " ?" : "");
	table_cell(t, TONE_PLAIN, "%s",
		   span_text(age, node->wall_ns(node) / 1000000 - v->row.created_ms));
	table_cell(t, TONE_PLAIN, "%s", v->row.error[0] || !ill ? v->row.error : ill);
}

static void unreadable(struct ps *ps, const struct task_item *item, const struct err *err)
{
	bool known = err->code == EUCLEAN || err->code == EPROTO;
	json_object *o = out_object(CTL_UNKNOWN);
	char name[TASK_NAME_MAX];

	table_cell(&ps->table, TONE_PLAIN, "%s", task_name(name, &item->key, ps->full));
	table_cell(&ps->table, TONE_BAD, "?");
	for (int i = 0; i < 4; i++)
		table_cell(&ps->table, TONE_PLAIN, "-");
	table_cell(&ps->table, TONE_PLAIN, "%s", err->text);
	task_key_json(o, &item->key);
	json_object_object_add(o, "live", json_object_new_boolean(!item->file));
	json_object_object_add(o, "error", json_string_of(err->text));
	json_object_array_add(ps->json, o);
	ps->ill += known;
	if (!known)
		ps->status = CTL_UNKNOWN;
}

static void look(struct ps *ps, const struct task_item *item)
{
	struct journal *j = NULL;
	struct task_view view;
	struct err err = ERR_INIT;
	int r = task_open(&j, ps->ctl, item, &err);

	if (r == 0)
		r = task_view(&view, ps->ctl, item, j, &err);
	(void)journal_close(j);
	if (r == -ENOENT)
		return; /* finished while we looked */
	if (r < 0) {
		unreadable(ps, item, &err);
		return;
	}
	row_cells(ps, item, &view);
	json_object_array_add(ps->json, task_view_json(&view));
	ps->ill += task_view_ill(&view) != NULL;
	task_view_clear(&view);
}

static int print(struct ps *ps, struct err *err)
{
	const struct ctl *ctl = ps->ctl;

	if (ctl->flags & FLAG_JSON) {
		json_object *doc = out_object(CTL_UNKNOWN);

		json_object_object_add(doc, "tasks", json_object_get(ps->json));
		return out_json(doc, err);
	}
	if (ps->table.n == 0 && !(ctl->flags & FLAG_QUIET))
		out_line(&ctl->out, TONE_PLAIN, "no task is in the journal");
	return ps->table.n ? table_print(&ps->table, &ctl->out, err) : 0;
}

int ctl_ps(struct ctl *ctl)
{
	auto_tasks struct task_list list = { .n = 0 };
	auto_json json_object *json = out_array(CTL_UNKNOWN);
	struct ps ps = { .ctl = ctl, .json = json };
	struct err err = ERR_INIT;
	int r = task_list_add(&list, ctl, JOURNAL_LIVE, &err);

	if (r == 0 && (ctl->flags & FLAG_ALL))
		r = task_list_add(&list, ctl, JOURNAL_DONE, &err);
	table_init(&ps.table, heads);
	ps.full = (ctl->flags & FLAG_VERBOSE) || task_list_full(&list);
	for (size_t i = 0; r == 0 && i < list.n; i++)
		look(&ps, &list.at[i]);
	if (r == 0)
		r = print(&ps, &err);
	table_clear(&ps.table);
	if (r < 0) {
		ctl_complain(&err);
		return CTL_UNKNOWN;
	}
	if (ps.ill)
		out_hint(&ctl->out, "%zu of %zu tasks need a look; next: uruncctl doctor", ps.ill,
			 list.n);
	return ps.status ? ps.status : ps.ill ? CTL_FINDINGS : CTL_CLEAN;
}
