/* SPDX-License-Identifier: Apache-2.0 */
/* journal check - is every file of the journal whole? */
#include "cmd/uruncctl/task.h"

#include "journal/base/cleanup.h"

static const char *const heads[] = { "TASK", "WHERE", "FOUND", "WHAT", "FIX", NULL };

/* What a file turned out to be; names in JSON are stable. */
enum found { FOUND_WHOLE, FOUND_TORN, FOUND_NEWER, FOUND_UNREADABLE, FOUND_N };
static const struct {
	const char *name, *fix;
	int status;
} founds[FOUND_N] = {
	[FOUND_WHOLE] = { "whole", "", CTL_CLEAN },
	[FOUND_TORN] = { "torn", "uruncctl recover sets it aside and rebuilds the task", CTL_FINDINGS },
	[FOUND_NEWER] = { "newer", "use the uruncctl of the version that wrote it", CTL_FINDINGS },
	[FOUND_UNREADABLE] = { "unreadable", "", CTL_UNKNOWN },
};

struct check {
	struct ctl *ctl;
	struct table table;
	json_object *json;
	bool full;
	size_t n[FOUND_N];
};

static enum found found_of(int r)
{
	switch (r) {
	case 0:
		return FOUND_WHOLE;
	case -EUCLEAN:
		return FOUND_TORN;
	case -EPROTO:
		return FOUND_NEWER;
	default:
		return FOUND_UNREADABLE;
	}
}

static void take(struct check *c, const struct task_item *item, enum found found,
		 const struct err *err)
{
	bool history = item->file != NULL;
	const char *fix = history && found == FOUND_TORN ? "remove it: history holds nothing"
							 : founds[found].fix;
	json_object *o = out_object(CTL_UNKNOWN);
	char name[TASK_NAME_MAX];

	task_key_json(o, &item->key);
	json_object_object_add(o, "live", json_object_new_boolean(!history));
	json_object_object_add(o, "file", json_string_of(item->file));
	json_object_object_add(o, "found", json_string_of(founds[found].name));
	json_object_object_add(o, "error", json_string_of(err->text));
	if (json_object_array_add(c->json, o) < 0)
		c->table.failed = true;
	c->n[found]++;
	if (found == FOUND_WHOLE && !(c->ctl->flags & FLAG_VERBOSE))
		return;
	table_cell(&c->table, TONE_PLAIN, "%s", task_name(name, &item->key, c->full));
	table_cell(&c->table, TONE_PLAIN, "%s", history ? item->file : "live");
	table_cell(&c->table, found == FOUND_WHOLE ? TONE_GOOD : TONE_BAD, "%s", founds[found].name);
	table_cell(&c->table, TONE_PLAIN, "%s", err->text);
	table_cell(&c->table, TONE_PLAIN, "%s", fix);
}

static void look(struct check *c, const struct task_item *item)
{
	struct journal *j = NULL;
	struct err err = ERR_INIT;
	int r = task_open(&j, c->ctl, item, &err);

	if (r == 0)
		r = journal_check(j, &err);
	(void)journal_close(j);
	if (r != -ENOENT) /* else it was finished, or pruned, while we looked */
		take(c, item, found_of(r), &err);
}

static int print(const struct check *c, size_t files, struct err *err)
{
	const struct ctl *ctl = c->ctl;

	if (ctl->flags & FLAG_JSON) {
		json_object *doc = out_object(CTL_UNKNOWN);

		json_object_object_add(doc, "files", json_object_get(c->json));
		return out_json(doc, err);
	}
	if (c->table.n && table_print(&c->table, &ctl->out, err) < 0)
		return -err->code;
	if (c->n[FOUND_WHOLE] == files && !(ctl->flags & FLAG_QUIET))
		out_line(&ctl->out, TONE_GOOD, "all files are whole (%zu)", files);
	return 0;
}

int ctl_check(struct ctl *ctl)
{
	auto_tasks struct task_list list = { .n = 0 };
	auto_json json_object *json = out_array(CTL_UNKNOWN);
	struct check c = { .ctl = ctl, .json = json };
	struct err err = ERR_INIT;
	int status = CTL_CLEAN;
	int r = task_list_add(&list, ctl, JOURNAL_LIVE, &err);

	if (r == 0)
		r = task_list_add(&list, ctl, JOURNAL_DONE, &err);
	table_init(&c.table, heads);
	c.full = task_list_full(&list);
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		out_progress(&ctl->out, "journal check: %zu of %zu", i + 1, list.n);
		look(&c, &list.at[i]);
	}
	out_progress_end(&ctl->out);
	if (r == 0)
		r = print(&c, c.n[0] + c.n[1] + c.n[2] + c.n[3], &err);
	table_clear(&c.table);
	if (r < 0) {
		ctl_complain(&err);
		return CTL_UNKNOWN;
	}
	for (int i = 0; i < FOUND_N; i++)
		if (c.n[i] && founds[i].status > status)
			status = founds[i].status;
	return status;
}
