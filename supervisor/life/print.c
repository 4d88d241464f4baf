/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/life/print.h"

#include <string.h>

static const char *const formats[LIFE_FORMAT_N] = {
	[LIFE_PLAIN] = "plain", [LIFE_MDOC] = "mdoc", [LIFE_PROMELA] = "promela",
};

enum life_format life_format_of(const char *name)
{
	int i;

	for (i = 0; i < LIFE_FORMAT_N; i++)
		if (strcmp(formats[i], name) == 0)
			break;
	return (enum life_format)i;
}

/* ---- plain ------------------------------------------------------------------------ */

static void plain(FILE *out, enum life_state s, enum life_event e)
{
	const struct arrow *a = life_arrow(s, e);

	fprintf(out, "%s\t%s\t%s\t%s\t%s\n", life_state_name(s), life_event_name(e),
		a->to ? life_state_name(a->to) : "-", a->run ? plan_name(a->run) : "-",
		a->why ? a->why : "-");
}

static void print_plain(FILE *out)
{
	fprintf(out, "from\tevent\tto\tplan\twhy\n");
	for (int s = LIFE_NONE_ + 1; s < LIFE_N; s++)
		for (int e = EV_NONE_ + 1; e < EV_N; e++)
			plain(out, (enum life_state)s, (enum life_event)e);
}

/* ---- mdoc --------------------------------------------------------------------------- */

static void mdoc_go(FILE *out, enum life_event e, const struct arrow *a)
{
	fprintf(out, ".It Em %s\n", life_event_name(e));
	if (a->to && a->run)
		fprintf(out, "to\n.Sy %s ,\nruns\n.Em %s\n", life_state_name(a->to),
			plan_name(a->run));
	else if (a->to)
		fprintf(out, "to\n.Sy %s\n", life_state_name(a->to));
	else
		fprintf(out, "refused: %s\n", a->why);
}

static void print_mdoc(FILE *out)
{
	for (int s = LIFE_NONE_ + 1; s < LIFE_N; s++) {
		fprintf(out, ".Ss %s\n%s.\n.Bl -tag -width exec_delete -compact\n",
			life_state_name((enum life_state)s), life_state_text((enum life_state)s));
		for (int e = EV_NONE_ + 1; e < EV_N; e++)
			mdoc_go(out, (enum life_event)e,
				life_arrow((enum life_state)s, (enum life_event)e));
		fprintf(out, ".El\n");
	}
}

/* ---- promela -------------------------------------------------------------------------- */

static void names(FILE *out, const char *prefix, int n, const char *(*name)(int))
{
	fprintf(out, "mtype = {");
	for (int i = 1; i < n; i++)
		fprintf(out, "%s %s_%s", i > 1 ? "," : "", prefix, name(i));
	fprintf(out, " };\n");
}

static const char *state_name(int i)
{
	return life_state_name((enum life_state)i);
}

static const char *event_name(int i)
{
	return life_event_name((enum life_event)i);
}

static const char *a_plan_name(int i)
{
	return plan_name((enum plan)i);
}

/* What an undoing plan does: a fence first, then these rows. */
static void promela_scopes(FILE *out)
{
	fprintf(out, "\n/* plan: does it undo, what serve made, what create made, after a fence */\n"
		     "inline plan_scope(plan, undoes, serve, task, fence)\n{\n\tif\n");
	for (int i = PLAN_NONE + 1; i < PLAN_N; i++) {
		enum plan p = (enum plan)i;
		bool undoes = !plan_applies(p) && !plan_beside(p);

		fprintf(out, "\t:: plan == plan_%s -> undoes = %d; serve = %d; task = %d; fence = %d\n",
			plan_name(p), undoes, plan_undoes(p, PLAN_SERVE),
			undoes && plan_undoes(p, PLAN_CREATE), undoes);
	}
	fprintf(out, "\t:: plan == plan_none || plan == plan_refused -> undoes = 0; serve = 0; "
		     "task = 0; fence = 0\n\tfi\n}\n");
}

static void print_promela(FILE *out)
{
	names(out, "state", LIFE_N, state_name);
	names(out, "ev", EV_N, event_name);
	names(out, "plan", PLAN_N, a_plan_name);
	fprintf(out, "mtype = { plan_none, plan_refused };\n\n"
		     "/* state, event: to and plan. */\n"
		     "inline life_move(state, event, plan)\n{\n\tif\n");
	for (int s = LIFE_NONE_ + 1; s < LIFE_N; s++)
		for (int e = EV_NONE_ + 1; e < EV_N; e++) {
			const struct arrow *a = life_arrow((enum life_state)s, (enum life_event)e);

			if (a->to)
				fprintf(out, "\t:: atomic { state == state_%s && event == ev_%s -> "
					     "state = state_%s; plan = plan_%s }\n", state_name(s),
					event_name(e), state_name(a->to),
					a->run ? plan_name(a->run) : "none");
		}
	fprintf(out, "\t:: else -> plan = plan_refused\n\tfi\n}\n");
	promela_scopes(out);
}

int life_print(FILE *out, enum life_format format)
{
	switch (format) {
	case LIFE_PLAIN:
		print_plain(out);
		break;
	case LIFE_MDOC:
		print_mdoc(out);
		break;
	case LIFE_PROMELA:
		print_promela(out);
		break;
	case LIFE_FORMAT_N:
		break;
	}
	return fflush(out) || ferror(out) ? -1 : 0;
}
