/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_native.c - a unikernel that no OCI runtime makes, simulated: the process that
 * becomes its monitor, what is said with it, and hooks.
 *
 * A hook leaves something behind, /run/hooks/NAME, and its counterpart takes that away:
 * so it shows whether the second one was run for each first one that may have been.
 */
#include "test/lib/sim_call.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- with a child that talks ---------------------------------------------------------- */

/* It may have been reaped: its last words are kept. */
static struct sim_proc *talker(struct sim *sim, const struct ident *who)
{
	struct sim_proc *p = sim_find(sim, who->pid);

	if (!p)
		p = sim_find(sim, -who->pid);
	return p && p->hearer && p->hearer == sim->me ? p : NULL;
}

static bool ended(const struct sim_proc *p)
{
	return p->closed || p->zombie || p->ident.pid < 0;
}

static int tell(struct node *n, const struct ident *who, const char *text, struct err *err)
{
	struct sim_proc *p;

	CALL("tell");
	(void)text;
	p = talker(sim, who);
	if (!p || ended(p))
		return err_set(err, EPIPE, "process %d does not listen", (int)who->pid);
	p->told = true;
	return 0;
}

static int hear(struct node *n, const struct ident *who, char **ret, struct err *err)
{
	struct sim_proc *p;

	CALL("hear");
	p = talker(sim, who);
	if (!p || (!*p->said && ended(p))) {
		if (p)
			p->hearer = 0;
		return err_set(err, EPIPE, "process %d has closed its end", (int)who->pid);
	}
	if (!*p->said)
		return 0;
	*ret = strdup(p->said);
	*p->said = '\0';
	return *ret ? 1 : -ENOMEM;
}

static int talk_fd(struct node *n, const struct ident *who, struct err *err)
{
	CALL("talk_fd");
	if (!talker(sim, who))
		return err_set(err, ESRCH, "process %d is no child that talks", (int)who->pid);
	return SIM_TALK_FD + who->pid;
}

bool sim_talk_ready(struct sim *sim, int fd)
{
	const struct ident who = { .pid = fd - SIM_TALK_FD };
	const struct sim_proc *p = talker(sim, &who);

	return !p || *p->said || ended(p);
}

void sim_talk_init(struct node *node)
{
	node->tell = tell;
	node->hear = hear;
	node->talk_fd = talk_fd;
}

/* ---- what they do ------------------------------------------------------------------------ */

static void say(struct sim_proc *p, const char *text)
{
	(void)snprintf(p->said, sizeof(p->said), "%s", text);
}

/* @at: which action of the verb it is, from 0. */
static bool told_to_fail(const struct sim *sim, const char *verb, int at)
{
	return strcmp(sim->runtime_fails, verb) == 0 &&
	       at == (sim->runtime_at ? sim->runtime_at - 1 : 1);
}

static void join_cgroup(struct sim *sim, struct sim_proc *p, json_object *args)
{
	json_object *list = NULL;
	const char *folder;

	if (!json_object_object_get_ex(args, "cgroups", &list) || json_object_array_length(list) == 0)
		return;
	folder = json_object_get_string(json_object_array_get_idx(list, 0));
	if (folder && sim_file(sim, folder))
		(void)snprintf(p->cgroup, sizeof(p->cgroup), "%s", folder);
}

static void enter_netns(struct sim *sim, struct sim_proc *p, json_object *args)
{
	json_object *list = NULL;
	const struct sim_file *f;

	p->netns = 4026532000u + (uint64_t)p->ident.pid;
	if (!json_object_object_get_ex(args, "namespaces", &list))
		return;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		f = sim_file(sim, sim_text_of(json_object_array_get_idx(list, i), "path"));
		if (f)
			p->netns = f->what.ino;
	}
}

/* Who has the other end is dead. */
static bool deaf(struct sim *sim, const struct sim_proc *p)
{
	const struct sim_proc *other = sim_find(sim, p->hearer);

	return !other || other->zombie;
}

void sim_act_launch(struct sim *sim, struct sim_proc *p, struct json_object *args)
{
	bool waits = p->at >= 3;

	if (told_to_fail(sim, waits ? "start" : "create", waits ? p->at - 3 : p->at) &&
	    (!waits || p->told)) {
		say(p, "{\"error\":\"it was told to fail\",\"code\":5}");
		sim_done(sim, p, 1, "");
		return;
	}
	switch (p->at) {
	case 0:
		join_cgroup(sim, p, args);
		break;
	case 1:
		enter_netns(sim, p, args);
		break;
	case 2:
		say(p, "{\"ready\":true,\"accel\":\"kvm\"}");
		break;
	case 3:
		if (deaf(sim, p))
			sim_done(sim, p, 1, "");
		if (!p->told)
			return;
		say(p, "{\"exec\":true}");
		break;
	default:
		p->closed = true; /* it is the monitor now */
		p->program = SIM_STAY;
	}
	p->at++;
}

void sim_act_hook(struct sim *sim, struct sim_proc *p, struct json_object *args)
{
	json_object *hook = NULL, *state = NULL;
	struct sim_file *f;
	char name[SIM_PATH];
	const char *path;

	(void)json_object_object_get_ex(args, "hook", &hook);
	(void)json_object_object_get_ex(args, "state", &state);
	path = sim_text_of(hook, "path");
	if (strcmp(path, "/hooks/add") == 0 && told_to_fail(sim, "create", p->at + 3)) {
		sim_done(sim, p, 1, "it was told to fail");
		return;
	}
	(void)snprintf(name, sizeof(name), "/run/hooks/%.76s", sim_text_of(state, "id"));
	f = sim_file(sim, name);
	if (p->at++ > 0) {
		if (p->hangs)
			p->program = SIM_STAY;
		else
			sim_done(sim, p, 0, "");
	} else if (strcmp(path, "/hooks/add") == 0) {
		sim_make(sim, name, S_IFREG | 0644);
	} else if (strcmp(path, "/hooks/del") == 0 && f) {
		memset(f, 0, sizeof(*f));
	}
}
