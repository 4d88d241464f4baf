/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show - everything the journal and the host know about one task.
 *
 * The answer is made once, as JSON; for people it is printed from that.
 */
#include "cmd/uruncctl/task.h"

#include "journal/base/cleanup.h"
#include "supervisor/engine/doctor.h"

#include <string.h>

struct show {
	struct ctl *ctl;
	struct journal *j;
	struct task_view view;
	json_object *to; /* the array a visitor adds to */
	int64_t run;     /* whose steps are visited */
	bool stuck;      /* some step is */
	bool unsure;     /* some step could not be looked at */
};

/* ---- gather ------------------------------------------------------------------ */

static const char *fact_name(int fact)
{
	static const char *const names[] = {
		[FACT_ABSENT] = "absent",   [FACT_PARTIAL] = "partial", [FACT_PRESENT] = "present",
		[FACT_FOREIGN] = "foreign", [FACT_UNSURE] = "unsure",
	};

	return fact > FACT_NONE_ && (size_t)fact < ARRAY_SIZE(names) ? names[fact] : NULL;
}

static const char *outcome_name(enum run_outcome outcome)
{
	switch (outcome) {
	case RUN_OPEN_ROW:
		return "open";
	case RUN_DONE_ROW:
		return "done";
	case RUN_FAILED_ROW:
		return "failed";
	}
	return NULL;
}

/* What stands on the host now. The history holds nothing, so nobody is asked; nor is
 * it for a step that leaves nothing to be asked for. */
static void step_fact(struct show *s, const struct step_row *row, json_object *o)
{
	const struct step_ops *ops = step_kind(row->kind);
	struct err err = ERR_INIT;
	int fact = 0;

	if (s->view.live && ops && ops->verify)
		fact = doctor_step(&s->ctl->engine, s->j, &s->view.row, row, &err);
	if (fact < 0)
		s->unsure = true;
	json_object_object_add(o, "host", json_string_of(fact_name(fact)));
	json_object_object_add(o, "host_error", json_string_of(fact < 0 ? err.text : NULL));
}

static int step_visit(void *arg, const struct step_row *row, struct err *err)
{
	struct show *s = arg;
	json_object *o = out_object(CTL_UNKNOWN);

	(void)err;
	s->stuck = s->stuck || row->state == ROW_STUCK;
	json_object_object_add(o, "seq", json_object_new_int64(row->seq));
	json_object_object_add(o, "kind", json_string_of(row->kind));
	json_object_object_add(o, "state", json_string_of(row_state_name(row->state)));
	step_fact(s, row, o);
	json_object_object_add(o, "want", json_value_of(row->want));
	json_object_object_add(o, "have", json_value_of(row->have));
	json_object_object_add(o, "epoch", json_string_of(row->epoch));
	json_object_object_add(o, "error", json_string_of(row->error));
	json_object_object_add(o, "lease", json_object_new_int64(row->lease));
	json_object_object_add(o, "intent_ms", json_object_new_int64(row->intent_ms));
	json_object_object_add(o, "settled_ms", json_object_new_int64(row->settled_ms));
	json_object_object_add(o, "undone_ms", json_object_new_int64(row->undone_ms));
	return json_object_array_add(s->to, o);
}

static int run_visit(void *arg, const struct run_row *row, struct err *err)
{
	struct show *s = arg;
	struct show steps = *s;
	json_object *o = out_object(CTL_UNKNOWN);
	int r;

	json_object_object_add(o, "seq", json_object_new_int64(row->seq));
	json_object_object_add(o, "plan", json_string_of(row->plan));
	json_object_object_add(o, "outcome", json_string_of(outcome_name(row->outcome)));
	json_object_object_add(o, "opened_ms", json_object_new_int64(row->opened_ms));
	json_object_object_add(o, "closed_ms", json_object_new_int64(row->closed_ms));
	json_object_object_add(o, "error", json_string_of(row->error));
	steps.to = out_array(CTL_UNKNOWN);
	json_object_object_add(o, "steps", steps.to);
	r = json_object_array_add(s->to, o);
	if (r == 0)
		r = journal_each_step(s->j, row->seq, OLDEST_FIRST, step_visit, &steps, err);
	s->stuck = steps.stuck;
	s->unsure = steps.unsure;
	return r;
}

static int child_visit(void *arg, const struct child_row *row, struct err *err)
{
	struct show *s = arg;
	json_object *o = out_object(CTL_UNKNOWN);

	(void)err;
	json_object_object_add(o, "seq", json_object_new_int64(row->seq));
	json_object_object_add(o, "step", json_object_new_int64(row->step));
	json_object_object_add(o, "pid", json_object_new_int64(row->ident.pid));
	json_object_object_add(o, "start", json_object_new_uint64(row->ident.start));
	json_object_object_add(o, "what", json_string_of(row->what));
	json_object_object_add(o, "ended", json_object_new_boolean(row->ended));
	json_object_object_add(o, "status", row->ended ? json_object_new_int(row->status) : NULL);
	return json_object_array_add(s->to, o);
}

static int note_visit(void *arg, const struct note_row *row, struct err *err)
{
	struct show *s = arg;
	json_object *o = out_object(CTL_UNKNOWN);

	(void)err;
	json_object_object_add(o, "seq", json_object_new_int64(row->seq));
	json_object_object_add(o, "at_ms", json_object_new_int64(row->at_ms));
	json_object_object_add(o, "lease", json_object_new_int64(row->lease));
	json_object_object_add(o, "what", json_string_of(row->what));
	json_object_object_add(o, "text", json_string_of(row->text));
	return json_object_array_add(s->to, o);
}

/* The oldest event that containerd has not accepted. */
static int untold(struct show *s, json_object *doc, struct err *err)
{
	struct event_row event;
	json_object *o = NULL;
	int r = journal_untold(s->j, &event, err);

	if (r < 0)
		return r;
	if (r > 0) {
		o = out_object(CTL_UNKNOWN);
		json_object_object_add(o, "seq", json_object_new_int64(event.seq));
		json_object_object_add(o, "topic", json_string_of(event.topic));
		json_object_object_add(o, "type", json_string_of(event.type));
		json_object_object_add(o, "at_ns", json_object_new_int64(event.at_ns));
		event_row_clear(&event);
	}
	json_object_object_add(doc, "untold", o);
	return 0;
}

static json_object *section(struct show *s, json_object *doc, const char *name)
{
	s->to = out_array(CTL_UNKNOWN);
	json_object_object_add(doc, name, s->to);
	return s->to;
}

static int gather(struct show *s, json_object *doc, struct err *err)
{
	int r;

	json_object_object_add(doc, "task", task_view_json(&s->view));
	(void)section(s, doc, "runs");
	r = journal_each_run(s->j, OLDEST_FIRST, run_visit, s, err);
	if (r < 0)
		return r;
	(void)section(s, doc, "children");
	r = journal_each_child(s->j, false, child_visit, s, err);
	if (r < 0)
		return r;
	r = untold(s, doc, err);
	if (r < 0)
		return r;
	(void)section(s, doc, "notes");
	return journal_each_note(s->j, note_visit, s, err);
}

/* ---- print for people --------------------------------------------------------- */

/* A member as text: "" if it is absent or null. */
static const char *text(json_object *o, const char *name)
{
	json_object *value = json_object_object_get(o, name);

	if (!value)
		return "";
	if (json_object_is_type(value, json_type_string))
		return json_object_get_string(value);
	return json_object_to_json_string_ext(value, JSON_C_TO_STRING_NOSLASHESCAPE);
}

static int64_t number(json_object *o, const char *name)
{
	return json_object_get_int64(json_object_object_get(o, name));
}

static void field(const struct out *out, const char *name, const char *value)
{
	if (value && *value && strcmp(value, "{}") != 0)
		out_line(out, TONE_PLAIN, "  %-9s %s", name, value);
}

static void print_process(const struct out *out, const char *name, json_object *task)
{
	json_object *o = json_object_object_get(task, name);
	json_object *alive = json_object_object_get(o, "alive");

	if (!o)
		return;
	out_line(out, TONE_PLAIN, "  %-9s %lld, %s", name, (long long)number(o, "pid"),
		 !alive ? "in another pid namespace" : json_object_get_boolean(alive) ? "alive" : "gone");
}

static void print_exit(const struct out *out, json_object *o)
{
	char at[SPAN_MAX];

	if (!o)
		return;
	out_line(out, TONE_PLAIN, "  %-9s %lld (%s) at %s", "exit", (long long)number(o, "status"),
		 text(o, "how"), time_text(at, number(o, "at_ns") / 1000000));
}

static void print_task(const struct out *out, json_object *task)
{
	static const char *const names[] = { "bundle", "runtime", "runtime_root", "group", "socket",
					     "error" };
	const char *ill = text(task, "ill");
	char at[SPAN_MAX];

	out_line(out, *ill ? TONE_BAD : TONE_PLAIN, "%s/%s  %s%s%s%s", text(task, "ns"),
		 text(task, "id"), text(task, "state"),
		 json_object_get_boolean(json_object_object_get(task, "live")) ? "" : ", in the history",
		 *ill ? ": " : "", ill);
	out_line(out, TONE_PLAIN, "  %-9s %s, %s", "daemon", text(task, "daemon"),
		 text(task, "address"));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		field(out, strcmp(names[i], "runtime_root") == 0 ? "root" : names[i],
		      text(task, names[i]));
	print_process(out, "shim", task);
	print_process(out, "init", task);
	print_exit(out, json_object_object_get(task, "exit"));
	field(out, "made", time_text(at, number(task, "created_ms")));
	out_line(out, TONE_PLAIN, "  %-9s %lld%s", "lease", (long long)number(task, "lease"),
		 number(task, "owner") ? ", its lock is held" : ", its lock is free");
}

static void print_step(const struct out *out, json_object *step)
{
	const char *state = text(step, "state");
	const char *host = text(step, "host");
	bool bad = strcmp(state, row_state_name(ROW_STUCK)) == 0;

	out_line(out, bad ? TONE_BAD : TONE_PLAIN, "  %4lld  %-13s  %s%s%s",
		 (long long)number(step, "seq"), text(step, "kind"), state,
		 *host ? ", on the host: " : "", host);
	out_line(out, TONE_PLAIN, "        want  %s", text(step, "want"));
	if (strcmp(text(step, "have"), "{}") != 0 && strcmp(text(step, "have"), "{ }") != 0)
		out_line(out, TONE_PLAIN, "        have  %s", text(step, "have"));
	if (*text(step, "error"))
		out_line(out, TONE_BAD, "        error %s", text(step, "error"));
	if (*text(step, "host_error"))
		out_line(out, TONE_WARN, "        host  %s", text(step, "host_error"));
}

static void print_runs(const struct out *out, json_object *runs)
{
	for (size_t i = 0; i < json_object_array_length(runs); i++) {
		json_object *run = json_object_array_get_idx(runs, i);
		json_object *steps = json_object_object_get(run, "steps");
		const char *error = text(run, "error");

		out_line(out, TONE_PLAIN, "run %lld %s: %s%s%s", (long long)number(run, "seq"),
			 text(run, "plan"), text(run, "outcome"), *error ? ", " : "", error);
		for (size_t k = 0; k < json_object_array_length(steps); k++)
			print_step(out, json_object_array_get_idx(steps, k));
	}
}

static void print_children(const struct out *out, json_object *children)
{
	for (size_t i = 0; i < json_object_array_length(children); i++) {
		json_object *o = json_object_array_get_idx(children, i);
		bool ended = json_object_get_boolean(json_object_object_get(o, "ended"));

		out_line(out, TONE_PLAIN, "child %lld of step %lld: %s%s%s", (long long)number(o, "pid"),
			 (long long)number(o, "step"), text(o, "what"),
			 ended ? ", ended with wait status " : ", not seen to end",
			 ended ? text(o, "status") : "");
	}
}

static void print_notes(const struct out *out, json_object *notes)
{
	int64_t first = 0;

	for (size_t i = 0; i < json_object_array_length(notes); i++) {
		json_object *o = json_object_array_get_idx(notes, i);
		int64_t at = number(o, "at_ms");
		char when[SPAN_MAX];

		if (i == 0) {
			first = at;
			out_line(out, TONE_PLAIN, "history, from %s", time_text(when, at));
		}
		out_line(out, TONE_PLAIN, "  %+10.3f s  %-10s  %s", (double)(at - first) / 1000.0,
			 text(o, "what"), text(o, "text"));
	}
}

static void print(const struct out *out, json_object *doc)
{
	json_object *untold = json_object_object_get(doc, "untold");

	print_task(out, json_object_object_get(doc, "task"));
	print_runs(out, json_object_object_get(doc, "runs"));
	print_children(out, json_object_object_get(doc, "children"));
	if (untold)
		out_line(out, TONE_WARN, "containerd has not accepted %s", text(untold, "topic"));
	print_notes(out, json_object_object_get(doc, "notes"));
}

/* ---- the verb ------------------------------------------------------------------ */

static int show(struct show *s, struct err *err)
{
	auto_json json_object *doc = out_object(CTL_UNKNOWN);
	const struct ctl *ctl = s->ctl;
	bool ill = task_view_ill(&s->view) != NULL;
	int r = gather(s, doc, err);

	if (r < 0)
		return r;
	if (ctl->flags & FLAG_JSON)
		r = out_json(json_object_get(doc), err);
	else
		print(&ctl->out, doc);
	if (r < 0)
		return r;
	if (ill)
		out_hint(&ctl->out, "next: uruncctl recover %s", ctl->argv[0]);
	return s->unsure ? CTL_UNKNOWN : s->stuck || ill ? CTL_FINDINGS : CTL_CLEAN;
}

/* Live tasks first: a name means the task that is, before one that was. */
static int find(struct ctl *ctl, struct task_list *list, const struct task_item **ret,
		struct err *err)
{
	int r = task_list_add(list, ctl, JOURNAL_LIVE, err);

	if (r == 0)
		r = task_find(list, ctl->argv[0], ret, err);
	if (r != -ENOENT)
		return r;
	r = task_list_add(list, ctl, JOURNAL_DONE, err);
	return r < 0 ? r : task_find(list, ctl->argv[0], ret, err);
}

int ctl_show(struct ctl *ctl)
{
	auto_tasks struct task_list list = { .n = 0 };
	struct show s = { .ctl = ctl };
	const struct task_item *item = NULL;
	struct err err = ERR_INIT;
	int r = find(ctl, &list, &item, &err);

	if (r == 0)
		r = task_open(&s.j, ctl, item, &err);
	if (r == 0)
		r = task_view(&s.view, ctl, item, s.j, &err);
	if (r == 0) {
		r = show(&s, &err);
		task_view_clear(&s.view);
	}
	(void)journal_close(s.j);
	if (r >= 0)
		return r;
	ctl_complain(&err);
	return CTL_UNKNOWN;
}
