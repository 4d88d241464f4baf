/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_net.c - network namespaces of the simulated machine, and what the jobs do in them.
 *
 * A namespace is a file of this machine, or /proc/PID/ns/net of an init; it has one
 * interface, eth0, with number 2, and what is attached to it.
 */
#include "test/lib/sim.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t netns_at(struct sim *sim, const char *path)
{
	const struct sim_file *f = sim_file(sim, path);
	const struct sim_proc *p;
	int pid = 0;

	if (f)
		return f->what.ino;
	if (sscanf(path, "/proc/%d/ns/net", &pid) != 1)
		return 0;
	p = sim_find(sim, pid);
	return p && !p->zombie ? p->netns : 0;
}

static struct sim_link *find(struct sim *sim, uint64_t netns, const char *name)
{
	for (int i = 0; i < SIM_LINKS; i++)
		if (sim->links[i].netns == netns && strcmp(sim->links[i].name, name) == 0)
			return &sim->links[i];
	return NULL;
}

static struct sim_link *add(struct sim *sim, uint64_t netns, const char *name, const char *alias)
{
	struct sim_link *l = NULL;

	for (int i = 0; i < SIM_LINKS && !l; i++)
		if (!sim->links[i].netns)
			l = &sim->links[i];
	if (!l)
		abort();
	*l = (struct sim_link){ .netns = netns, .index = 10 + sim->next_link++ };
	(void)snprintf(l->name, sizeof(l->name), "%s", name);
	(void)snprintf(l->alias, sizeof(l->alias), "%s", alias);
	return l;
}

static void end(struct sim *sim, struct sim_proc *p, int code)
{
	sim_kill(sim, p, code << 8);
}

static void act_look(struct sim *sim, struct sim_proc *p, const char *path, uint64_t netns)
{
	int dev = sim_file(sim, path) ? 1 : 4; /* as what stands there, or as a process has it */
	char name[24];
	int slot = 0;

	do
		(void)snprintf(name, sizeof(name), "tap%d_urunc", slot++);
	while (find(sim, netns, name));
	(void)snprintf(p->out, sizeof(p->out), "{\"netns\":{\"dev\":%d,\"ino\":%llu,\"mode\":0},"
		       "\"iface\":\"eth0\",\"ifindex\":2,\"mac\":\"02:00:00:00:00:01\","
		       "\"mtu\":1500,\"ip\":\"10.4.0.2/24\",\"gateway\":\"10.4.0.1\","
		       "\"tap\":\"%s\",\"slot\":%d,\"qdisc\":\"%s\"}",
		       dev, (unsigned long long)netns, name, slot - 1,
		       slot == 1 ? "made" : "joined");
	end(sim, p, 0);
}

/* A redirect is an entry of its own, as it is on a host: it outlives the tap. */
static void act_attach(struct sim *sim, struct sim_proc *p, json_object *args, uint64_t netns)
{
	struct sim_link *tap = find(sim, netns, sim_text_of(args, "tap"));

	switch (p->at++) {
	case 0:
		if (tap)
			end(sim, p, EAGAIN);
		else
			add(sim, netns, sim_text_of(args, "tap"), sim_text_of(args, "alias"));
		break;
	case 1:
		add(sim, netns, "redirect", sim_text_of(args, "cookie"));
		break;
	default:
		(void)snprintf(p->out, sizeof(p->out), "{\"tap_index\":%d}", tap ? tap->index : 0);
		end(sim, p, 0);
	}
}

static void act_detach(struct sim *sim, struct sim_proc *p, json_object *args, uint64_t netns)
{
	struct sim_link *tap = find(sim, netns, sim_text_of(args, "tap"));

	if (p->at == 0) {
		for (int i = 0; i < SIM_LINKS; i++)
			if (sim->links[i].netns == netns &&
			    strcmp(sim->links[i].alias, sim_text_of(args, "cookie")) == 0)
				memset(&sim->links[i], 0, sizeof(sim->links[i]));
	} else if (p->at == 1 && tap && strcmp(tap->alias, sim_text_of(args, "alias")) == 0 &&
		   (!sim_int_of(args, "tap_index") || tap->index == sim_int_of(args, "tap_index"))) {
		memset(tap, 0, sizeof(*tap));
	} else if (p->at > 1) {
		end(sim, p, 0);
	}
	p->at++;
}

void sim_act_net(struct sim *sim, struct sim_proc *p, json_object *args)
{
	uint64_t netns = netns_at(sim, sim_text_of(args, "path"));

	if (p->job == JOB_NET_LIST) {
		(void)snprintf(p->out, sizeof(p->out), "[]");
		end(sim, p, 0);
	} else if (!netns) {
		end(sim, p, ENOENT);
	} else if (p->job == JOB_NET_LOOK) {
		act_look(sim, p, sim_text_of(args, "path"), netns);
	} else if (p->job == JOB_NET_ATTACH) {
		act_attach(sim, p, args, netns);
	} else {
		act_detach(sim, p, args, netns);
	}
}
