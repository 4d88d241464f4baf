/* SPDX-License-Identifier: Apache-2.0 */
/* pair.c - two tasks in one shim; see test/tool/sweep.c. */
#include "test/sweep/sweep.h"

#include <stdio.h>
#include <string.h>

/* Only so far as the second one's start, or whatever dies, lets it. */
static void second_lives(struct sweep *s, const struct axe *start, enum op until)
{
	struct verb v;

	sweep_bundle_make(s);
	if (sweep_run(s, start, "start", &v) != 0 ||
	    sscanf(v.text, "unix://%127s", s->life.socket) != 1)
		return;
	for (enum op op = OP_CREATE; op <= until; op++)
		if (life_call(&s->life, sweep_ops[op], NULL) != 0)
			sweep_say(s, "the second one fails at", sweep_ops[op]);
}

static struct life first_begins(struct sweep *s, const struct axe *axe)
{
	const struct life second = s->life;
	struct life first;
	char spec[PATH_MAX];

	(void)snprintf(spec, sizeof(spec), "%s.first", second.spec);
	s->life.id = "w";
	s->life.spec = spec;
	second_lives(s, axe, OP_START);
	first = s->life;
	first.spec = second.spec;
	s->life = second;
	picture_take(&s->before, &s->places);
	return first;
}

static void first_ends(struct sweep *s, struct life *first)
{
	const struct life second = s->life;

	s->life = *first;
	for (enum op op = OP_KILL; op <= OP_SHUTDOWN; op++)
		if (life_call(first, sweep_ops[op], NULL) != 0)
			sweep_say(s, "the first one fails at", sweep_ops[op]);
	sweep_wait_for_shim();
	sweep_bundle_remove(s);
	s->life = second;
}

/* The second one is over, as containerd's last word says; the first has seen nothing. */
static void second_ends(struct sweep *s, const struct life *first)
{
	struct verb v;

	if (sweep_run(s, NULL, "delete", &v) != 0)
		sweep_say(s, "delete does not answer", v.text);
	sweep_look(s);
	if (life_call(first, "Pids", NULL) != 0)
		sweep_say(s, "the first one is not there any more", "");
}

/* Who dies is a program of the second one's. */
void sweep_second(struct sweep *s, const char *role)
{
	struct life first = first_begins(s, NULL);
	struct verb v;
	bool died = true;

	for (long n = s->part + 1; died; n += s->parts) {
		const struct axe axe = { role, n };

		second_lives(s, role[0] == 's' ? &axe : NULL, OP_START);
		if (role[0] == 'd')
			(void)sweep_run(s, &axe, "delete", &v);
		died = sweep_passed(s, n, s->point) >= n;
		s->deaths += died;
		second_ends(s, &first);
	}
	first_ends(s, &first);
}

/* ---- two tasks, and their server dies ------------------------------------------------------- */

/* containerd's last word on a task: how did it end? It was killed; if that was @asked of
 * the server, it may have died with it that the end was seen. */
static void verdict(struct sweep *s, bool asked)
{
	static const char killed[] = "\x10\x89\x01", unknown[] = "\x10\xff\x01"; /* 137, 255 */
	struct verb v;

	if (sweep_run(s, NULL, "delete", &v) != 0 ||
	    (!strstr(v.text, killed) && !(asked && strstr(v.text, unknown))))
		sweep_say(s, "delete does not say that it was killed", s->life.id);
}

/* The @n-th point of the first one's server is deadly, 0: none. How many has it passed when
 * the second one comes? */
static long first_serves(struct sweep *s, struct life *first, long n)
{
	const struct axe axe = { "serve", n };
	const struct life second = s->life;
	long points;

	s->life = *first;
	sweep_bundle_make(s);
	(void)sweep_live_until(s, &axe, OP_START);
	points = sweep_passed(s, 0, s->point);
	*first = s->life; /* it has a socket now */
	s->life = second;
	return points;
}

static bool die_beside(struct sweep *s, struct life *first, long n)
{
	const struct life second = s->life;
	enum op op, end = OP_KILL;
	bool died;

	s->inner_point[0] = '\0';
	(void)first_serves(s, first, n);
	sweep_bundle_make(s);
	op = sweep_live_until(s, NULL, OP_SHUTDOWN);
	s->life = *first;
	while (end <= OP_SHUTDOWN && life_call(first, sweep_ops[end], NULL) == 0)
		end++;
	sweep_wait_for_shim();
	died = sweep_passed(s, n, s->point) >= n;
	if (died) {
		s->deaths++;
		s->by_op[op]++;
		sweep_recover_to_end(s, NULL);
		verdict(s, op == OP_END);
	} else if (end <= OP_SHUTDOWN) {
		sweep_say(s, "the first one fails at", sweep_ops[end]);
	}
	sweep_bundle_remove(s);
	s->life = second;
	sweep_look(s);
	return died;
}

void sweep_join(struct sweep *s)
{
	struct life first = s->life;
	char spec[PATH_MAX];
	long n;

	(void)snprintf(spec, sizeof(spec), "%s.first", s->life.spec);
	first.id = "w";
	first.spec = spec;
	n = first_serves(s, &first, 0) + 1 + s->part * s->stride;
	first_ends(s, &first);
	while (die_beside(s, &first, n))
		n += s->parts * s->stride;
}
