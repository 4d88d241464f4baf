/* SPDX-License-Identifier: Apache-2.0 */
/* states - the table of life.h, for people and programs. */
#include "cmd/uruncctl/ctl.h"

#include "journal/base/cleanup.h"
#include "supervisor/life/print.h"

static const char *const heads[] = { "FROM", "EVENT", "TO", "PLAN", "WHY", NULL };

static const char *state_or_none(enum life_state s)
{
	return s == LIFE_NONE_ ? "" : life_state_name(s);
}

static const char *plan_or_none(enum plan p)
{
	return p == PLAN_NONE ? "" : plan_name(p);
}

static void arrow_cells(struct table *t, enum life_state from, enum life_event ev)
{
	const struct arrow *a = life_arrow(from, ev);

	table_cell(t, TONE_PLAIN, "%s", life_state_name(from));
	table_cell(t, TONE_PLAIN, "%s", life_event_name(ev));
	table_cell(t, TONE_PLAIN, "%s", state_or_none(a->to));
	table_cell(t, TONE_PLAIN, "%s", plan_or_none(a->run));
	table_cell(t, TONE_PLAIN, "%s", a->why ? a->why : "");
}

static json_object *arrow_json(enum life_state from, enum life_event ev)
{
	const struct arrow *a = life_arrow(from, ev);
	json_object *o = out_object(CTL_UNKNOWN);

	json_object_object_add(o, "from", json_string_of(life_state_name(from)));
	json_object_object_add(o, "event", json_string_of(life_event_name(ev)));
	json_object_object_add(o, "to", json_string_of(state_or_none(a->to)));
	json_object_object_add(o, "plan", json_string_of(plan_or_none(a->run)));
	json_object_object_add(o, "why", json_string_of(a->why));
	return o;
}

static int print_source(enum life_format format, struct err *err)
{
	return life_print(stdout, format) == 0 ? 0 : err_set(err, errno, "print the states");
}

static int print(const struct ctl *ctl, struct err *err)
{
	auto_json json_object *arrows = out_array(CTL_UNKNOWN);
	auto_table struct table t;

	table_init(&t, heads);
	if (ctl->flags & FLAG_MDOC)
		return print_source(LIFE_MDOC, err);
	if (ctl->flags & FLAG_PROMELA)
		return print_source(LIFE_PROMELA, err);
	for (enum life_state s = LIFE_NONE_ + 1; s < LIFE_N; s++)
		for (enum life_event e = EV_NONE_ + 1; e < EV_N; e++) {
			arrow_cells(&t, s, e);
			if (json_object_array_add(arrows, arrow_json(s, e)) < 0)
				return err_set(err, ENOMEM, "print the states");
		}
	if (ctl->flags & FLAG_JSON) {
		json_object *doc = out_object(CTL_UNKNOWN);

		json_object_object_add(doc, "arrows", json_object_get(arrows));
		return out_json(doc, err);
	}
	return table_print(&t, &ctl->out, err);
}

int ctl_states(struct ctl *ctl)
{
	struct err err = ERR_INIT;

	if (print(ctl, &err) == 0)
		return CTL_CLEAN;
	ctl_complain(&err);
	return CTL_UNKNOWN;
}
