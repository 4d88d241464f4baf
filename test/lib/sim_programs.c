/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_programs.c - what children do, an action at a time.
 */
#include "test/lib/sim.h"

#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void sim_done(struct sim *sim, struct sim_proc *p, int code, const char *words)
{
	(void)snprintf(p->out, sizeof(p->out), "%s", words);
	sim_kill(sim, p, code << 8);
}

const char *sim_text_of(json_object *o, const char *name)
{
	json_object *v = NULL;

	return json_object_object_get_ex(o, name, &v) ? json_object_get_string(v) : "";
}

int64_t sim_int_of(json_object *o, const char *name)
{
	json_object *v = NULL;

	return json_object_object_get_ex(o, name, &v) ? json_object_get_int64(v) : 0;
}

/* ---- the null runtime: state, a cgroup, an init that waits ------------------------------ */

struct cli {
	char words[16][SIM_PATH];
	int n;
	const char *verb, *root, *id, *bundle, *pid_file;
	char state[SIM_PATH], cgroup[SIM_PATH], file[SIM_PATH];
};

static void parse(struct cli *c, const char *line)
{
	char *copy = strdup(line), *save = NULL;

	memset(c, 0, sizeof(*c));
	for (char *w = strtok_r(copy, "\n", &save); w && c->n < 16; w = strtok_r(NULL, "\n", &save))
		(void)snprintf(c->words[c->n++], SIM_PATH, "%s", w);
	free(copy);
	c->verb = c->root = c->id = c->bundle = c->pid_file = "";
	for (int i = 1; i < c->n; i++) {
		const char *w = c->words[i];

		if (strcmp(w, "--root") == 0)
			c->root = c->words[++i];
		else if (strcmp(w, "--bundle") == 0)
			c->bundle = c->words[++i];
		else if (strcmp(w, "--pid-file") == 0)
			c->pid_file = c->words[++i];
		else if (strcmp(w, "--log") == 0 || strcmp(w, "--log-format") == 0 ||
			 strcmp(w, "--process") == 0)
			i++;
		else if (*w != '-' && !*c->verb)
			c->verb = w;
		else if (*w != '-' && !*c->id)
			c->id = w;
	}
	(void)snprintf(c->state, SIM_PATH, "%.90s/%.76s", c->root, c->id);
	(void)snprintf(c->cgroup, SIM_PATH, "/sys/fs/cgroup/default/%.76s", c->id);
	(void)snprintf(c->file, SIM_PATH, "%.90s/%.76s/state.json", c->root, c->id);
}

static struct sim_proc *init_of(struct sim *sim, const struct cli *c)
{
	struct sim_file *f = sim_file(sim, c->file);
	json_object *o = f ? json_tokener_parse(f->data) : NULL;
	struct sim_proc *p = sim_find(sim, (pid_t)sim_int_of(o, "init_process_pid"));
	bool same = p && p->ident.start == (uint64_t)sim_int_of(o, "init_process_start");

	json_object_put(o);
	return same && !p->zombie ? p : NULL;
}

static void make_init(struct sim *sim, struct sim_proc *p, const struct cli *c)
{
	struct sim_proc *init = sim_proc_new(sim, "init", p->ident.pid);

	(void)snprintf(init->root, SIM_PATH, "%.180s/rootfs", c->bundle);
	(void)snprintf(init->cwd, SIM_PATH, "%.180s/rootfs", c->bundle);
	(void)snprintf(init->cgroup, SIM_PATH, "%s", c->cgroup);
	init->netns = 4026532000u + (uint64_t)init->ident.pid;
	(void)snprintf(p->out, sizeof(p->out), "%d", (int)init->ident.pid);
}

static void write_state(struct sim *sim, struct sim_proc *p, const struct cli *c)
{
	struct sim_file *f = sim_make(sim, c->file, S_IFREG | 0600);
	const struct sim_proc *init = sim_find(sim, atoi(p->out));

	(void)snprintf(f->data, sizeof(f->data),
		       "{\"init_process_pid\":%d,\"init_process_start\":%llu,\"config\":{"
		       "\"labels\":[\"bundle=%.180s\"]}}", atoi(p->out),
		       init ? (unsigned long long)init->ident.start : 0, c->bundle);
}

static void act_create(struct sim *sim, struct sim_proc *p, const struct cli *c)
{
	struct sim_file *f;

	switch (p->at++) {
	case 0:
		if (sim_file(sim, c->state))
			sim_done(sim, p, 1, "container with given ID already exists");
		else
			sim_make(sim, c->state, S_IFDIR | 0711);
		break;
	case 1:
		if (!sim_file(sim, "/sys/fs/cgroup/default"))
			sim_make(sim, "/sys/fs/cgroup/default", S_IFDIR | 0755);
		break;
	case 2:
		sim_make(sim, c->cgroup, S_IFDIR | 0755);
		break;
	case 3:
		make_init(sim, p, c);
		break;
	case 4:
		write_state(sim, p, c);
		break;
	case 5:
		f = sim_make(sim, c->pid_file, S_IFREG | 0644);
		(void)snprintf(f->data, sizeof(f->data), "%d", atoi(p->out));
		break;
	default:
		sim_done(sim, p, 0, "");
	}
}

static void act_delete(struct sim *sim, struct sim_proc *p, const struct cli *c)
{
	struct sim_proc *init = init_of(sim, c);
	struct sim_file *f;

	switch (p->at++) {
	case 0:
		if (!sim_file(sim, c->state))
			sim_done(sim, p, 1, "container does not exist");
		else if (init)
			sim_kill(sim, init, SIGKILL);
		break;
	case 1:
		f = sim_file(sim, c->cgroup);
		if (f)
			memset(f, 0, sizeof(*f));
		break;
	case 2:
		f = sim_file(sim, c->file);
		if (f)
			memset(f, 0, sizeof(*f));
		break;
	default:
		f = sim_file(sim, c->state);
		if (f)
			memset(f, 0, sizeof(*f));
		sim_done(sim, p, 0, "");
	}
}

/* A process beside init, and the file that says which. */
static void act_exec(struct sim *sim, struct sim_proc *p, const struct cli *c)
{
	const struct sim_proc *init = init_of(sim, c);
	struct sim_proc *one;
	struct sim_file *f;

	switch (p->at++) {
	case 0:
		if (!init)
			sim_done(sim, p, 1, "container not running");
		break;
	case 1:
		one = sim_proc_new(sim, "exec", p->ident.pid);
		(void)snprintf(one->cgroup, SIM_PATH, "%s", c->cgroup);
		(void)snprintf(one->root, SIM_PATH, "%s", init ? init->root : "/");
		(void)snprintf(p->out, sizeof(p->out), "%d", (int)one->ident.pid);
		break;
	case 2:
		f = sim_make(sim, c->pid_file, S_IFREG | 0644);
		(void)snprintf(f->data, sizeof(f->data), "%.20s", p->out);
		break;
	default:
		sim_done(sim, p, 0, "");
	}
}

static bool told_to_fail(const struct sim *sim, const struct sim_proc *p, const struct cli *c)
{
	int last = strcmp(c->verb, "create") == 0 ? 5 : 1;

	return strcmp(sim->runtime_fails, c->verb) == 0 &&
	       p->at == (sim->runtime_at ? sim->runtime_at - 1 : last);
}

static void act_runtime(struct sim *sim, struct sim_proc *p)
{
	struct cli c;

	parse(&c, p->args);
	if (told_to_fail(sim, p, &c)) {
		sim_done(sim, p, 1, "it was told to fail");
	} else if (strcmp(c.verb, "exec") == 0) {
		act_exec(sim, p, &c);
	} else if (strcmp(c.verb, "create") == 0) {
		act_create(sim, p, &c);
	} else if (strcmp(c.verb, "delete") == 0) {
		act_delete(sim, p, &c);
	} else if (p->at++ > 0) {
		if (!init_of(sim, &c))
			sim_done(sim, p, 1, "container not running");
		else
			sim_done(sim, p, 0, "");
	}
}

/* ---- jobs of ours --------------------------------------------------------------------------- */

static void act_mount(struct sim *sim, struct sim_proc *p, json_object *args)
{
	char target[2 * SIM_PATH];

	if (p->at++ == 0) {
		(void)snprintf(target, sizeof(target), "%s%s%s", sim_text_of(args, "root"),
			       *sim_text_of(args, "target") ? "/" : "", sim_text_of(args, "target"));
		sim_mount_new(sim, sim_text_of(args, "type"), sim_text_of(args, "source"), target);
		return;
	}
	sim_done(sim, p, 0, "");
}

static bool busy(struct sim *sim, const struct sim_mount *m)
{
	size_t len = strlen(m->target);

	for (int i = 0; i < SIM_PROCS; i++) {
		const struct sim_proc *p = &sim->procs[i];

		if (p->ident.pid && !p->zombie &&
		    (strncmp(p->cwd, m->target, len) == 0 || strncmp(p->root, m->target, len) == 0))
			return true;
	}
	return false;
}

static void act_unmount(struct sim *sim, struct sim_proc *p, json_object *args)
{
	struct sim_mount *m = NULL;

	if (p->at++ > 0) {
		sim_done(sim, p, 0, "");
		return;
	}
	for (int i = 0; i < SIM_MOUNTS; i++)
		if (sim->mounts[i].id && sim->mounts[i].id == sim_int_of(args, "id"))
			m = &sim->mounts[i];
	if (!m)
		sim_done(sim, p, EINVAL, "nothing is mounted there");
	else if (busy(sim, m))
		sim_done(sim, p, EBUSY, "target is busy");
	else
		memset(m, 0, sizeof(*m));
}

/* A file an action, so that it can be killed half way. */
static void act_remove(struct sim *sim, struct sim_proc *p, json_object *args)
{
	const char *path = sim_text_of(args, "path");
	size_t len = strlen(path);
	struct sim_file *top = sim_file(sim, path);

	if (top && top->what.ino != (uint64_t)sim_int_of(args, "ino")) {
		sim_done(sim, p, ESTALE, "it is another folder");
		return;
	}
	for (int i = 0; i < SIM_FILES; i++)
		if (strncmp(sim->files[i].path, path, len) == 0 &&
		    sim->files[i].path[len] == '/') {
			memset(&sim->files[i], 0, sizeof(sim->files[i]));
			return;
		}
	if (top)
		memset(top, 0, sizeof(*top));
	sim_done(sim, p, top ? 0 : ENOENT, "");
}

static void act_ask(struct sim *sim, struct sim_proc *p, json_object *args)
{
	const char *id = sim_text_of(args, "id");
	bool known = sim->containerd_knows;

	if (sim->containerd_silent)
		return;
	if (++sim->asked == sim->learns_at)
		known = sim->containerd_knows = true;
	known |= strlen(id) == 1 && strchr(sim->known, *id);
	if (sim->containerd_down)
		sim_done(sim, p, ECONNREFUSED, "connection refused");
	else
		sim_done(sim, p, 0, known ? "{\"known\":true,\"pid\":0}"
					  : "{\"known\":false,\"pid\":0}");
}

void sim_act(struct sim *sim, struct sim_proc *p)
{
	json_object *args = p->program == SIM_RUNTIME ? NULL : json_tokener_parse(p->args);

	switch (p->program) {
	case SIM_RUNTIME:
		act_runtime(sim, p);
		break;
	case SIM_MOUNT:
		act_mount(sim, p, args);
		break;
	case SIM_UNMOUNT:
		act_unmount(sim, p, args);
		break;
	case SIM_REMOVE:
		act_remove(sim, p, args);
		break;
	case SIM_ASK:
		act_ask(sim, p, args);
		break;
	case SIM_LOOK:
		sim_done(sim, p, 0, json_object_object_get_ex(args, "unikernel", NULL)
			 ? "{\"binary\":1,\"initrd\":0,\"block\":0}" : sim->unikernel
			 ? "{\"binary\":1,\"initrd\":0,\"block\":0,\"unikernel\":{\"type\":\"mirage\","
			   "\"monitor\":\"hvt\",\"binary\":\"/guest\"}}"
			 : "{\"none\":\"there is no urunc.json in the rootfs\"}");
		break;
	case SIM_NET:
		sim_act_net(sim, p, args);
		break;
	case SIM_LAUNCH:
		sim_act_launch(sim, p, args);
		break;
	case SIM_HOOK:
		sim_act_hook(sim, p, args);
		break;
	case SIM_SYNC:
		sim_done(sim, p, 0, "");
		break;
	case SIM_NONE:
	case SIM_STAY:
		break;
	}
	json_object_put(args);
}
