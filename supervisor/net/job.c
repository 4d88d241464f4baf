/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/net/job.h"

#include "journal/base/cleanup.h"
#include "supervisor/node/proc_stat.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define TURN_MS    10
#define TURN_TRIES 200

const char *job_text(json_object *o, const char *name)
{
	json_object *v = NULL;

	return json_object_object_get_ex(o, name, &v) && json_object_is_type(v, json_type_string)
		       ? json_object_get_string(v) : "";
}

uint64_t job_number(json_object *o, const char *name)
{
	json_object *v = NULL;

	return json_object_object_get_ex(o, name, &v) && json_object_is_type(v, json_type_int)
		       ? json_object_get_uint64(v) : 0;
}

/* ---- the namespace ---------------------------------------------------------------- */

/* After the open: so it is the namespace of the process that was meant. */
static int check_process(json_object *args, struct err *err)
{
	uint64_t pid = job_number(args, "pid");
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
	if (proc_stat_parse(line, &st) < 0 || st.start != job_number(args, "start"))
		return err_say(err, ESTALE, "process %d is another one than the task's", (int)pid);
	return 0;
}

static int check_identity(const struct job *j, const char *path, struct err *err)
{
	json_object *known = NULL;

	if (ioctl(j->netns, NS_GET_NSTYPE) != CLONE_NEWNET)
		return err_say(err, ESTALE, "%s is no network namespace", path);
	if (json_object_object_get_ex(j->args, "netns", &known) &&
	    (job_number(known, "dev") != j->st.st_dev || job_number(known, "ino") != j->st.st_ino))
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

int job_enter(struct job *j, json_object *args, struct err *err)
{
	const char *path = job_text(args, "path");
	struct stat own;
	int rc;

	*j = (struct job){ .args = args, .netns = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK),
			   .nat = strcmp(job_text(args, "mode"), "static") == 0 };
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
	return talk_open(&j->talk, NETLINK_ROUTE, err);
}

int job_leave(struct job *j, int rc)
{
	talk_close(&j->talk);
	talk_close(&j->nft);
	picture_clear(&j->seen);
	if (j->netns >= 0)
		(void)close(j->netns);
	return rc;
}

/* ---- what all of them do ------------------------------------------------------------- */

int job_nft_lacks(int rc, struct err *err)
{
	if (rc != -ENOENT && rc != -EINVAL && rc != -EOPNOTSUPP && rc != -EPROTONOSUPPORT)
		return rc;
	return err_say(err, EOPNOTSUPP, "network mode static: this kernel has no nftables, or no "
		       "masquerade; load nf_tables, nft_chain_nat, nft_masq");
}

int job_look_at_tables(struct job *j, struct err *err)
{
	int rc = j->nft.nl ? 0 : talk_open(&j->nft, NETLINK_NETFILTER, err);

	if (rc == 0)
		rc = talk_tables(&j->nft, &j->seen, err);
	return job_nft_lacks(rc, err);
}

int job_choose(struct job *j, struct net_choice *c, struct err *err)
{
	const struct net_link *uplink;
	int rc = talk_look(&j->talk, &j->seen, err);

	if (rc < 0)
		return rc;
	uplink = net_uplink(&j->seen);
	rc = uplink ? talk_ingress(&j->talk, &j->seen, uplink->index, err) : 0;
	if (rc == 0 && j->nat)
		rc = job_look_at_tables(j, err);
	if (rc < 0)
		return rc;
	return j->nat ? net_choose_nat(c, &j->seen, err) : net_choose(c, &j->seen, err);
}

int job_answer(json_object *o, struct err *err)
{
	auto_json json_object *mine = o;

	return dprintf(STDOUT_FILENO, "%s",
		       json_object_to_json_string_ext(mine, JSON_C_TO_STRING_PLAIN |
								    JSON_C_TO_STRING_NOSLASHESCAPE)) < 0
		       ? err_set(err, errno, "answer") : 0;
}

int job_read_plan(struct job_plan *p, json_object *args, struct err *err)
{
	bool nat = strcmp(job_text(args, "mode"), "static") == 0;
	int qdisc = nat ? 0 : net_qdisc_of(job_text(args, "qdisc"));
	json_object *kept = NULL;

	*p = (struct job_plan){ .iface = job_text(args, "iface"), .tap = job_text(args, "tap"),
			    .alias = job_text(args, "alias"),
			    .index = (int)job_number(args, "ifindex"),
			    .slot = (int)job_number(args, "slot"),
			    .mtu = (uint32_t)job_number(args, "mtu") };
	if (!*p->iface || !net_is_tap_name(p->tap) || !*p->alias || p->index <= 0 ||
	    p->slot < 0 || p->slot >= (nat ? NAT_SLOTS : SLOT_MAX) ||
	    strlen(p->alias) >= WIRE_ALIAS || qdisc < 0 ||
	    net_read_cookie(p->cookie, job_text(args, "cookie")) < 0)
		return err_say(err, EINVAL, "network: the row does not name what is to be made");
	p->qdisc = (enum net_qdisc_is)qdisc;
	p->kept = json_object_object_get_ex(args, "kept", &kept) && json_object_get_boolean(kept);
	return 0;
}

int job_gone(int rc)
{
	return rc == -ENOENT || rc == -ENODEV || rc == -EINVAL ? 0 : rc;
}
