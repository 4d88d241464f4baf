/* SPDX-License-Identifier: Apache-2.0 */
/*
 * look.c - what is there, and what would be made.
 */
#include "supervisor/net/job.h"
#include "supervisor/net/net.h"

#include <stdio.h>

static json_object *put_netns(const struct job *j, json_object *o)
{
	json_object *ns = json_object_new_object();

	json_object_object_add(ns, "dev", json_object_new_uint64(j->st.st_dev));
	json_object_object_add(ns, "ino", json_object_new_uint64(j->st.st_ino));
	json_object_object_add(ns, "mode", json_object_new_uint64(j->st.st_mode));
	json_object_object_add(o, "netns", ns);
	return o;
}

static void put_text(json_object *o, const char *name, const char *text)
{
	if (*text)
		json_object_object_add(o, name, json_object_new_string(text));
}

static void put_choice(json_object *o, const struct net_choice *c, bool nat)
{
	const uint8_t *m = c->uplink->mac;
	char mac[18];

	(void)snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3],
		       m[4], m[5]);
	json_object_object_add(o, "iface", json_object_new_string(c->uplink->name));
	json_object_object_add(o, "ifindex", json_object_new_int(c->uplink->index));
	json_object_object_add(o, "mac", json_object_new_string(mac));
	json_object_object_add(o, "mtu", json_object_new_int((int32_t)c->uplink->mtu));
	put_text(o, "ip", c->ip);
	put_text(o, "gateway", c->gateway);
	put_text(o, "ip6", c->ip6);
	put_text(o, "gateway6", c->gateway6);
	json_object_object_add(o, "tap", json_object_new_string(c->tap));
	json_object_object_add(o, "slot", json_object_new_int(c->slot));
	if (!nat)
		put_text(o, "qdisc", net_qdisc_name(c->qdisc));
	if (c->kept)
		json_object_object_add(o, "kept", json_object_new_boolean(true));
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
		put_choice(o, c, j->nat);
	return job_answer(o, err);
}

int net_look(json_object *args, struct err *err)
{
	struct job j;
	struct net_choice c = { 0 };
	int rc = job_enter(&j, args, err);

	if (rc == 0 && !j.host)
		rc = job_choose(&j, &c, err);
	if (rc == 0)
		rc = print_choice(&j, &c, err);
	return job_leave(&j, rc);
}
