/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach.c - the tap, and the redirects between it and the pod's interface.
 */
#include "supervisor/net/job.h"
#include "supervisor/net/nat.h"
#include "supervisor/net/net.h"
#include "supervisor/net/tap.h"

#include "journal/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What was seen is still so. */
static int check_plan(struct job *j, const struct job_plan *p, struct err *err)
{
	struct net_choice now;
	int rc = job_choose(j, &now, err);

	if (rc < 0)
		return rc;
	if (j->host || !now.uplink || now.uplink->index != p->index ||
	    strcmp(now.uplink->name, p->iface) != 0)
		return err_say(err, ESTALE, "network: %s is not the pod's interface any more",
			       p->iface);
	if (strcmp(now.tap, p->tap) != 0 || now.qdisc != p->qdisc || now.kept != p->kept)
		return err_say(err, EAGAIN, "network: %s or the ingress of %s was taken since we "
			       "looked", p->tap, p->iface);
	return 0;
}

/* What the kernel answers when it has no module of that name. */
static int lacks(int rc, struct err *err)
{
	if (rc != -ENOENT)
		return rc;
	return err_say(err, EOPNOTSUPP, "network: this kernel has no ingress qdisc, u32 or bpf "
		       "filter, or mirred action; load sch_ingress, cls_u32, cls_bpf, act_mirred");
}

static int add_filter(struct job *j, const struct job_plan *p, struct wire_filter f, struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];

	f.cookie = p->cookie;
	return lacks(talk_do(&j->talk, wire_add_filter(buf, &f), err, "add a filter to %s",
			     f.index == p->index ? p->iface : p->tap), err);
}

static int add_qdisc(struct job *j, const char *iface, int index, const char *kind,
		     const uint8_t *cookie, struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];

	return lacks(talk_do(&j->talk, wire_add_qdisc(buf, index, kind, cookie), err,
			     "add an ingress qdisc to %s", iface), err);
}

/* From the guest out. Nothing uses it until the interface's own filters are there. */
static int wire_tap(struct job *j, const struct job_plan *p, int tap, struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];
	int rc = talk_do(&j->talk, wire_link_up(buf, tap), err, "set %s up", p->tap);

	if (rc == 0)
		rc = add_qdisc(j, p->tap, tap, "ingress", NULL, err);
	if (rc == 0)
		rc = add_filter(j, p, (struct wire_filter){
				.index = tap, .parent = AT_QDISC, .pref = PREF_TAKE,
				.act = ACT_REDIRECT, .to = p->index }, err);
	return rc;
}

/* Somebody was faster since check_plan(): his qdisc stays, and of us nothing. */
static int lost_race(struct job *j, const struct job_plan *p, int tap, struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];
	int rc = job_gone(talk_do(&j->talk, wire_del_link(buf, tap), err, "remove %s", p->tap));

	return rc < 0 ? rc : err_say(err, EAGAIN, "network: the ingress of %s was taken since we "
				     "looked", p->iface);
}

/* To the first guest: all; to a further one: a copy, and what protects the others. */
static int wire_uplink(struct job *j, const struct job_plan *p, int tap, struct err *err)
{
	const uint16_t slot = (uint16_t)p->slot;
	const struct wire_filter alone[] = {
		{ .parent = AT_INGRESS, .pref = (uint16_t)(PREF_TAKE + slot), .act = ACT_REDIRECT },
	};
	const struct wire_filter joined[] = {
		{ .parent = AT_EGRESS, .pref = (uint16_t)(PREF_COPY + slot), .act = ACT_GUARD },
		{ .parent = AT_INGRESS, .pref = (uint16_t)(PREF_SEAL + slot), .act = ACT_DROP },
		{ .parent = AT_INGRESS, .pref = (uint16_t)(PREF_COPY + slot), .act = ACT_MIRROR },
	};
	const struct wire_filter *list = p->qdisc == QDISC_JOINED ? joined : alone;
	size_t n = p->qdisc == QDISC_JOINED ? 3 : 1;
	int rc = p->qdisc != QDISC_MADE ? 0 : add_qdisc(j, p->iface, p->index, "clsact", p->cookie,
							err);

	if (rc == -EEXIST)
		return lost_race(j, p, tap, err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct wire_filter f = list[i];

		f.index = p->index;
		f.to = tap;
		rc = add_filter(j, p, f, err);
	}
	return rc;
}

static int wire(struct job *j, const struct job_plan *p, int tap, struct err *err)
{
	int rc = wire_tap(j, p, tap, err);

	return rc < 0 ? rc : wire_uplink(j, p, tap, err);
}

/* It is born with the child, gets its name, and only then stays. */
static int make_tap(struct job *j, const struct job_plan *p, int *ret, struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];
	auto_fd int fd = -1;
	int rc = tap_make(&fd, ret, p->tap, (uint32_t)job_number(j->args, "uid"),
			  (uint32_t)job_number(j->args, "gid"), err);

	if (rc == 0)
		rc = talk_do(&j->talk, wire_name_link(buf, *ret, p->alias, p->mtu), err,
			     "name %s", p->tap);
	return rc < 0 ? rc : tap_keep(fd, p->tap, err);
}

int net_attach(json_object *args, struct err *err)
{
	struct job j;
	struct job_plan p;
	int tap = 0;
	int rc = job_enter(&j, args, err);

	if (rc == 0)
		rc = job_read_plan(&p, args, err);
	if (rc == 0)
		rc = check_plan(&j, &p, err);
	if (rc == 0)
		rc = make_tap(&j, &p, &tap, err);
	if (rc == 0)
		rc = j.nat ? nat_attach(&j, &p, tap, err) : wire(&j, &p, tap, err);
	if (rc == 0 && dprintf(STDOUT_FILENO, "{\"tap_index\":%d}", tap) < 0)
		rc = err_set(err, errno, "answer");
	return job_leave(&j, rc);
}
