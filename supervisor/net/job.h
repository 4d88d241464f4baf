/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_NET_JOB_H
#define URUNC_NET_JOB_H

/*
 * job.h - what the jobs of net.h have in common: they enter a namespace, look around in
 * it, and read what the row says.
 */

#include "supervisor/net/choose.h"
#include "supervisor/net/talk.h"

#include <json-c/json.h>
#include <sys/stat.h>

struct job {
	json_object *args; /* lent */
	int netns;         /* open, and locked if nobody else keeps it so */
	struct stat st;
	bool host; /* it is the one that we come from */
	bool nat;  /* mode "static" */
	struct net_talk talk;
	struct net_talk nft; /* open in that mode */
	struct net_picture seen;
};

/* Go into the namespace that the arguments name, when it is our turn; job_leave() in any
 * case, which returns @rc. -ENOENT, -ESTALE as net.h says. */
int job_enter(struct job *j, json_object *args, struct err *err);
int job_leave(struct job *j, int rc);

/* A member; "" and 0: there is none, or it is something else. */
const char *job_text(json_object *o, const char *name);
uint64_t job_number(json_object *o, const char *name);

/* Look, and choose: see net_choose(), and net_choose_nat(). */
int job_choose(struct job *j, struct net_choice *c, struct err *err);

/* The tables of nftables into @j->seen. -EOPNOTSUPP: this kernel has none. */
int job_look_at_tables(struct job *j, struct err *err);
/* What the kernel answers when it lacks a part of nftables is -EOPNOTSUPP, and a sentence. */
int job_nft_lacks(int rc, struct err *err);

/* What the row names. -EINVAL: it doesn't. Strings are lent. */
struct job_plan {
	const char *iface, *tap, *alias;
	int index, slot;
	enum net_qdisc_is qdisc;
	uint32_t mtu;
	bool kept;
	uint8_t cookie[WIRE_COOKIE];
};
int job_read_plan(struct job_plan *p, json_object *args, struct err *err);

/* What is gone meanwhile is as good as removed: @rc, or 0 for that. */
int job_gone(int rc);

/* Print @o, and put it. */
int job_answer(json_object *o, struct err *err);

#endif
