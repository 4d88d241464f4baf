/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job.c - the jobs: enter the namespace, look, make, take back.
 */
#include "supervisor/net/choose.h"
#include "supervisor/net/net.h"
#include "supervisor/net/talk.h"
#include "supervisor/net/tap.h"

#include "journal/base/cleanup.h"
#include "supervisor/node/proc_stat.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TURN_MS    10
#define TURN_TRIES 200

struct job {
	json_object *args; /* lent */
	int netns;         /* open, and locked if nobody else keeps it so */
	struct stat st;
	bool host; /* it is the one that we come from */
	struct net_talk talk;
	struct net_picture seen;
};

static const char *text_arg(json_object *o, const char *name)
{
	json_object *v = NULL;

	return json_object_object_get_ex(o, name, &v) && json_object_is_type(v, json_type_string)
		       ? json_object_get_string(v) : "";
}

static uint64_t number_arg(json_object *o, const char *name)
{
	json_object *v = NULL;

	return json_object_object_get_ex(o, name, &v) && json_object_is_type(v, json_type_int)
		       ? json_object_get_uint64(v) : 0;
}

/* ---- the namespace ---------------------------------------------------------------- */

/* After the open: so it is the namespace of the process that was meant. */
static int check_process(json_object *args, struct err *err)
{
	uint64_t pid = number_arg(args, "pid");
	struct proc_stat st;
	char path[64];
	char line[1024];
	ssize_t n;
	auto_fd int fd = -1;

	if (!pid)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (n < 0)
		return err_say(err, ENOENT, "process %d is gone, and its network namespace",
			       (int)pid);
	line[n] = '\0';
	if (proc_stat_parse(line, &st) < 0 || st.start != number_arg(args, "start"))
		return err_say(err, ESTALE, "process %d is another one than the task's", (int)pid);
	return 0;
}

static int check_identity(const struct job *j, const char *path, struct err *err)
{
	json_object *known = NULL;

	if (ioctl(j->netns, NS_GET_NSTYPE) != CLONE_NEWNET)
		return err_say(err, ESTALE, "%s is no network namespace", path);
	if (json_object_object_get_ex(j->args, "netns", &known) &&
	    (number_arg(known, "dev") != j->st.st_dev || number_arg(known, "ino") != j->st.st_ino))
		return err_say(err, ESTALE, "%s is another network namespace than the recorded one",
			       path);
	return check_process(j->args, err);
}

/* Any process of the pod can open that file, and lock it for ever: so jobs take turns,
 * but wait no longer than ten of us would need. What two at once could do to each other
 * the kernel refuses by EEXIST. */
static int take_turn(int netns)
{
	const struct timespec pause = { .tv_nsec = TURN_MS * 1000000L };
	int rc;

	for (int i = 0; (rc = flock(netns, LOCK_EX | LOCK_NB)) < 0 && i < TURN_TRIES; i++)
		(void)nanosleep(&pause, NULL);
	return rc < 0 && errno != EWOULDBLOCK ? -1 : 0;
}

static int enter(struct job *j, json_object *args, struct err *err)
{
	const char *path = text_arg(args, "path");
	struct stat own;
	int rc;

	*j = (struct job){ .args = args, .netns = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) };
	if (j->netns < 0)
		return err_set(err, errno, "network namespace %s", path);
	if (fstat(j->netns, &j->st) < 0 || stat("/proc/self/ns/net", &own) < 0)
		return err_set(err, errno, "network namespace %s", path);
	rc = check_identity(j, path, err);
	if (rc < 0)
		return rc;
	j->host = own.st_dev == j->st.st_dev && own.st_ino == j->st.st_ino;
	if (take_turn(j->netns) < 0 || setns(j->netns, CLONE_NEWNET) < 0)
		return err_set(err, errno, "enter network namespace %s", path);
	return talk_open(&j->talk, err);
}

static int leave(struct job *j, int rc)
{
	talk_close(&j->talk);
	picture_clear(&j->seen);
	if (j->netns >= 0)
		(void)close(j->netns);
	return rc;
}

/* ---- look --------------------------------------------------------------------------- */

static int look(struct job *j, struct net_choice *c, struct err *err)
{
	const struct net_link *uplink;
	int rc = talk_look(&j->talk, &j->seen, err);

	if (rc < 0)
		return rc;
	uplink = net_uplink(&j->seen);
	rc = uplink ? talk_ingress(&j->talk, &j->seen, uplink->index, err) : 0;
	return rc < 0 ? rc : net_choose(c, &j->seen, err);
}

static json_object *put_netns(const struct job *j, json_object *o)
{
	json_object *ns = json_object_new_object();

	json_object_object_add(ns, "dev", json_object_new_uint64(j->st.st_dev));
	json_object_object_add(ns, "ino", json_object_new_uint64(j->st.st_ino));
	json_object_object_add(ns, "mode", json_object_new_uint64(j->st.st_mode));
	json_object_object_add(o, "netns", ns);
	return o;
}

static void put_choice(json_object *o, const struct net_choice *c)
{
	const uint8_t *m = c->uplink->mac;
	char mac[18];

	(void)snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3],
		       m[4], m[5]);
	json_object_object_add(o, "iface", json_object_new_string(c->uplink->name));
	json_object_object_add(o, "ifindex", json_object_new_int(c->uplink->index));
	json_object_object_add(o, "mac", json_object_new_string(mac));
	json_object_object_add(o, "mtu", json_object_new_int((int32_t)c->uplink->mtu));
	json_object_object_add(o, "ip", json_object_new_string(c->ip));
	if (*c->gateway)
		json_object_object_add(o, "gateway", json_object_new_string(c->gateway));
	json_object_object_add(o, "tap", json_object_new_string(c->tap));
	json_object_object_add(o, "slot", json_object_new_int(c->slot));
	json_object_object_add(o, "qdisc", json_object_new_string(net_qdisc_name(c->qdisc)));
	if (c->kept)
		json_object_object_add(o, "kept", json_object_new_boolean(true));
}

static int answer(json_object *o, struct err *err)
{
	auto_json json_object *mine = o;

	return dprintf(STDOUT_FILENO, "%s",
		       json_object_to_json_string_ext(mine, JSON_C_TO_STRING_PLAIN |
								    JSON_C_TO_STRING_NOSLASHESCAPE)) < 0
		       ? err_set(err, errno, "answer") : 0;
}

static int print_choice(const struct job *j, const struct net_choice *c, struct err *err)
{
	json_object *o = put_netns(j, json_object_new_object());

	if (j->host)
		json_object_object_add(o, "none", json_object_new_string(
			"it shares the node's own network, which a guest can't take over"));
	else if (!c->uplink)
		json_object_object_add(o, "none", json_object_new_string(c->why_none));
	else
		put_choice(o, c);
	return answer(o, err);
}

int net_look(json_object *args, struct err *err)
{
	struct job j;
	struct net_choice c = { 0 };
	int rc = enter(&j, args, err);

	if (rc == 0 && !j.host)
		rc = look(&j, &c, err);
	if (rc == 0)
		rc = print_choice(&j, &c, err);
	return leave(&j, rc);
}

/* ---- attach --------------------------------------------------------------------------- */

struct plan {
	const char *iface, *tap, *alias;
	int index, slot;
	enum net_qdisc_is qdisc;
	uint32_t mtu;
	uint8_t cookie[WIRE_COOKIE];
};

static int read_plan(struct plan *p, json_object *args, struct err *err)
{
	int qdisc = net_qdisc_of(text_arg(args, "qdisc"));

	*p = (struct plan){ .iface = text_arg(args, "iface"), .tap = text_arg(args, "tap"),
			    .alias = text_arg(args, "alias"),
			    .index = (int)number_arg(args, "ifindex"),
			    .slot = (int)number_arg(args, "slot"),
			    .mtu = (uint32_t)number_arg(args, "mtu") };
	if (!*p->iface || !net_is_tap_name(p->tap) || !*p->alias || p->index <= 0 ||
	    p->slot >= SLOT_MAX || strlen(p->alias) >= WIRE_ALIAS || qdisc < 0 ||
	    net_read_cookie(p->cookie, text_arg(args, "cookie")) < 0)
		return err_say(err, EINVAL, "network: the row does not name what is to be made");
	p->qdisc = (enum net_qdisc_is)qdisc;
	return 0;
}

/* What was seen is still so. */
static int check_plan(struct job *j, const struct plan *p, struct err *err)
{
	struct net_choice now;
	int rc = look(j, &now, err);

	if (rc < 0)
		return rc;
	if (j->host || !now.uplink || now.uplink->index != p->index ||
	    strcmp(now.uplink->name, p->iface) != 0)
		return err_say(err, ESTALE, "network: %s is not the pod's interface any more",
			       p->iface);
	if (strcmp(now.tap, p->tap) != 0 || now.qdisc != p->qdisc ||
	    now.kept != net_keeps(p->cookie))
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

static int add_filter(struct job *j, const struct plan *p, struct wire_filter f, struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];

	f.cookie = p->cookie;
	return lacks(talk_do(&j->talk, wire_add_filter(buf, &f), err, "add a filter to %s",
			     f.index == p->index ? p->iface : p->tap), err);
}

static int add_qdisc(struct job *j, const char *iface, int index, const char *kind,
		     struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];

	return lacks(talk_do(&j->talk, wire_add_qdisc(buf, index, kind), err,
			     "add an ingress qdisc to %s", iface), err);
}

/* From the guest out. Nothing uses it until the interface's own filters are there. */
static int wire_tap(struct job *j, const struct plan *p, int tap, struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];
	int rc = talk_do(&j->talk, wire_link_up(buf, tap), err, "set %s up", p->tap);

	if (rc == 0)
		rc = add_qdisc(j, p->tap, tap, "ingress", err);
	if (rc == 0)
		rc = add_filter(j, p, (struct wire_filter){
				.index = tap, .parent = AT_QDISC, .pref = PREF_TAKE,
				.act = ACT_REDIRECT, .to = p->index }, err);
	return rc;
}

/* Gone meanwhile is as good. */
static int gone(int rc)
{
	return rc == -ENOENT || rc == -ENODEV || rc == -EINVAL ? 0 : rc;
}

/* Somebody was faster since check_plan(): his qdisc stays. Without the tap nothing says
 * that one is ours, and nothing of us is left. */
static int lost_race(struct job *j, const struct plan *p, int tap, struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];
	int rc = gone(talk_do(&j->talk, wire_del_link(buf, tap), err, "remove %s", p->tap));

	return rc < 0 ? rc : err_say(err, EAGAIN, "network: the ingress of %s was taken since we "
				     "looked", p->iface);
}

/* To the first guest: all; to a further one: a copy, and what protects the others. */
static int wire_uplink(struct job *j, const struct plan *p, int tap, struct err *err)
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
	int rc = p->qdisc == QDISC_MADE ? add_qdisc(j, p->iface, p->index, "clsact", err) : 0;

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

/* It is born with the child, gets its name, and only then stays. */
static int make_tap(struct job *j, const struct plan *p, int *ret, struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];
	auto_fd int fd = -1;
	int rc = tap_make(&fd, ret, p->tap, (uint32_t)number_arg(j->args, "uid"),
			  (uint32_t)number_arg(j->args, "gid"), err);

	if (rc == 0)
		rc = talk_do(&j->talk, wire_name_link(buf, *ret, p->alias, p->mtu), err,
			     "name %s", p->tap);
	return rc < 0 ? rc : tap_keep(fd, p->tap, err);
}

int net_attach(json_object *args, struct err *err)
{
	struct job j;
	struct plan p;
	int tap = 0;
	int rc = enter(&j, args, err);

	if (rc == 0)
		rc = read_plan(&p, args, err);
	if (rc == 0)
		rc = check_plan(&j, &p, err);
	if (rc == 0)
		rc = make_tap(&j, &p, &tap, err);
	if (rc == 0)
		rc = wire_tap(&j, &p, tap, err);
	if (rc == 0)
		rc = wire_uplink(&j, &p, tap, err);
	if (rc == 0 && dprintf(STDOUT_FILENO, "{\"tap_index\":%d}", tap) < 0)
		rc = err_set(err, errno, "answer");
	return leave(&j, rc);
}

/* ---- detach --------------------------------------------------------------------------- */

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
static const struct net_link *find_tap(const struct job *j, const struct plan *p)
{
	int index = (int)number_arg(j->args, "tap_index");
	const struct net_link *l = index ? net_link_at(&j->seen, index)
					 : net_link_named(&j->seen, p->tap);

	return l && strcmp(l->kind, "tun") == 0 && strcmp(l->alias, p->alias) == 0 ? l : NULL;
}

/* Ours go. How many they were, and how many of others remain. */
static int drop_filters(struct job *j, const struct plan *p, size_t *ours, size_t *rest,
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
		rc = gone(talk_do(&j->talk, wire_del_filter(buf, f), err,
				  "remove a filter from %s", p->iface));
	}
	return rc;
}

/* The empty qdisc goes only if something else proves that this is the namespace: the tap,
 * which is made before and removed after, or a filter. Inode numbers are used again. */
static int unwire_uplink(struct job *j, const struct plan *p, bool proved, json_object *left,
			 struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];
	const struct net_qdisc *q = net_ingress(&j->seen, p->index);
	size_t ours = 0;
	size_t rest = 0;
	int rc;

	if (!q)
		return 0;
	rc = drop_filters(j, p, &ours, &rest, err);
	if (rc < 0 || p->qdisc == QDISC_FOUND || net_keeps(p->cookie) || rest > 0)
		return rc; /* whoever else uses it removes it */
	if (!(proved || ours) || strcmp(q->kind, "clsact") != 0) {
		leave_alone(left, "the %s qdisc of %s is not ours", q->kind, p->iface);
		return 0;
	}
	return gone(talk_do(&j->talk, wire_del_qdisc(buf, p->index), err,
			    "remove the ingress qdisc from %s", p->iface));
}

static int remove_tap(struct job *j, const struct plan *p, const struct net_link *tap,
		      json_object *left, struct err *err)
{
	uint64_t buf[WIRE_SIZE / sizeof(uint64_t)];
	const struct net_link *other = net_link_named(&j->seen, p->tap);

	if (tap)
		return gone(talk_do(&j->talk, wire_del_link(buf, tap->index), err, "remove %s",
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
	struct plan p;
	int rc = enter(&j, args, err);

	json_object_object_add(o, "left", left);
	if (rc == 0)
		rc = read_plan(&p, args, err);
	if (rc == 0)
		rc = talk_look(&j.talk, &j.seen, err);
	if (rc == 0)
		tap = find_tap(&j, &p);
	if (rc == 0)
		rc = unwire_uplink(&j, &p, tap != NULL, left, err);
	if (rc == 0)
		rc = remove_tap(&j, &p, tap, left, err);
	if (rc == 0)
		rc = answer(o, err);
	else
		json_object_put(o);
	return leave(&j, rc);
}
