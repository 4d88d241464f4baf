/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detach.c - take back what carries this task's marks.
 */
#include "supervisor/net/job.h"
#include "supervisor/net/nat.h"
#include "supervisor/net/net.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void __attribute__((format(printf, 2, 3)))
leave_alone(json_object *left, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_object_array_add(left, json_object_new_string(text));
}

/* The recorded one, or, while its index is not known, the one of that name and alias. */
static const struct net_link *find_tap(const struct job *j, const struct job_plan *p)
{
	int index = (int)job_number(j->args, "tap_index");
	const struct net_link *l = index ? net_link_at(&j->seen, index)
					 : net_link_named(&j->seen, p->tap);

	return l && strcmp(l->kind, "tun") == 0 && strcmp(l->alias, p->alias) == 0 ? l : NULL;
}

/* Ours go. How many they were, and how many of others remain. */
static int drop_filters(struct job *j, const struct job_plan *p, size_t *ours, size_t *rest,
			struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];
	int rc = talk_ingress(&j->talk, &j->seen, p->index, err);

	*ours = *rest = 0;
	for (size_t i = 0; rc == 0 && i < j->seen.n_filters; i++) {
		const struct net_filter *f = &j->seen.filters[i];

		if (f->index != p->index)
			continue;
		if (!f->has_cookie || memcmp(f->cookie, p->cookie, WIRE_COOKIE) != 0) {
			++*rest;
			continue;
		}
		++*ours;
		rc = job_gone(talk_do(&j->talk, wire_del_filter(buf, f), err,
				  "remove a filter from %s", p->iface));
	}
	return rc;
}

/* Empty, it goes if one of us has made it, whoever of us is the last one in it. @proved,
 * or a filter of ours, or its cookie: this is the namespace, and not another one that has
 * its number by now. */
static int unwire_uplink(struct job *j, const struct job_plan *p, bool proved,
			 json_object *left, struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];
	const struct net_qdisc *q = net_ingress(&j->seen, p->index);
	size_t ours = 0;
	size_t rest = 0;
	int rc;

	if (!q)
		return 0;
	rc = drop_filters(j, p, &ours, &rest, err);
	if (rc < 0 || rest > 0)
		return rc;
	if (!net_made_by_us(q)) {
		if (p->qdisc == QDISC_MADE)
			leave_alone(left, "the %s qdisc of %s is not ours", q->kind, p->iface);
		return 0;
	}
	if (!proved && !ours && memcmp(q->cookie, p->cookie, WIRE_COOKIE) != 0)
		return 0;
	return job_gone(talk_do(&j->talk, wire_del_qdisc(buf, p->index), err,
			    "remove the ingress qdisc from %s", p->iface));
}

static int remove_tap(struct job *j, const struct job_plan *p, const struct net_link *tap,
		      json_object *left, struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];
	const struct net_link *other = net_link_named(&j->seen, p->tap);

	if (tap)
		return job_gone(talk_do(&j->talk, wire_del_link(buf, tap->index), err, "remove %s",
				    tap->name));
	if (other)
		leave_alone(left, "%s is not this task's (alias \"%s\", index %d)", p->tap,
			    other->alias, other->index);
	return 0;
}

int net_detach(json_object *args, struct err *err)
{
	json_object *o = json_object_new_object();
	json_object *left = json_object_new_array();
	const struct net_link *tap = NULL;
	struct job j;
	struct job_plan p;
	int rc = job_enter(&j, args, err);

	json_object_object_add(o, "left", left);
	if (rc == 0)
		rc = job_read_plan(&p, args, err);
	if (rc == 0)
		rc = talk_look(&j.talk, &j.seen, err);
	if (rc == 0)
		tap = find_tap(&j, &p);
	if (rc == 0)
		rc = j.nat ? nat_detach(&j, &p, err)
			   : unwire_uplink(&j, &p, tap != NULL, left, err);
	if (rc == 0)
		rc = remove_tap(&j, &p, tap, left, err);
	if (rc == 0)
		rc = job_answer(o, err);
	else
		json_object_put(o);
	return job_leave(&j, rc);
}
