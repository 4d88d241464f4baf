/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_files.c - the seam's files, locks, mounts, cgroups and sockets, simulated.
 */
#include "test/lib/sim_call.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- files ------------------------------------------------------------------------------------ */

static int path(struct node *n, const char *name, struct path_ident *ret, struct err *err)
{
	const struct sim_file *f;

	CALL("path");
	f = sim_file(sim, name);
	if (!f)
		return 0;
	*ret = f->what;
	ret->size = (int64_t)strlen(f->data);
	ret->dev = ret->ino = 0;
	sim_ids(sim, name, &ret->dev, &ret->ino);
	return 1;
}

/* A cgroup's file that says whether it is frozen is kept with its folder. */
static const struct sim_file *events_of(struct sim *sim, const char *name)
{
	const char *at = strstr(name, "/cgroup.events");
	const struct sim_file *f;
	char folder[SIM_PATH];

	(void)snprintf(folder, sizeof(folder), "%.*s", at ? (int)(at - name) : 0, name);
	f = sim_file(sim, folder);
	return f && f->data[0] ? f : NULL;
}

static int read_file(struct node *n, const char *name, size_t max, char **ret, size_t *len,
		     struct err *err)
{
	const struct sim_file *f;

	CALL("read_file");
	f = sim_file(sim, name);
	if (!f)
		f = events_of(sim, name);
	else if (S_ISDIR(f->what.mode))
		f = NULL;
	if (!f)
		return err_set(err, ENOENT, "%s", name);
	if (strlen(f->data) > max)
		return err_set(err, EFBIG, "%s", name);
	*ret = strdup(f->data);
	*len = strlen(f->data);
	return *ret ? 0 : -ENOMEM;
}

static int write_file(struct node *n, const char *name, const char *data, size_t len,
		      uint32_t mode, struct err *err)
{
	struct sim_file *f;

	CALL("write_file");
	f = sim_make(sim, name, S_IFREG | mode);
	(void)snprintf(f->data, sizeof(f->data), "%.*s", (int)len, data);
	return 0;
}

static int make_dir(struct node *n, const char *name, uint32_t mode, struct err *err)
{
	CALL("make_dir");
	if (sim_file(sim, name))
		return 0;
	sim_make(sim, name, S_IFDIR | mode);
	return 1;
}

static bool occupied(struct sim *sim, const char *name)
{
	size_t len = strlen(name);

	for (int i = 0; i < SIM_FILES; i++)
		if (strncmp(sim->files[i].path, name, len) == 0 && sim->files[i].path[len] == '/')
			return true;
	return false;
}

static bool inhabited(struct sim *sim, const char *name)
{
	for (int i = 0; i < SIM_PROCS; i++)
		if (sim->procs[i].ident.pid > 0 && !sim->procs[i].zombie &&
		    strcmp(sim->procs[i].cgroup, name) == 0)
			return true;
	return false;
}

static int unname(struct sim *sim, const char *name, const struct path_ident *who,
		  struct err *err)
{
	struct sim_file *f = sim_file(sim, name);

	if (!f)
		return 0;
	if (who && f->what.ino != who->ino)
		return err_set(err, ESTALE, "%s", name);
	if (S_ISDIR(f->what.mode) && occupied(sim, name))
		return err_set(err, ENOTEMPTY, "%s", name);
	if (S_ISDIR(f->what.mode) && inhabited(sim, name))
		return err_set(err, EBUSY, "%s", name);
	for (int i = 0; i < SIM_MOUNTS; i++)
		if (sim->mounts[i].id && strcmp(sim->mounts[i].target, name) == 0)
			return err_set(err, EBUSY, "%s", name);
	memset(f, 0, sizeof(*f));
	return 1;
}

static int remove_dir(struct node *n, const char *name, const struct path_ident *who,
		      struct err *err)
{
	CALL("remove_dir");
	return unname(sim, name, who, err);
}

static int remove_file(struct node *n, const char *name, const struct path_ident *who,
		       struct err *err)
{
	size_t len;

	CALL("remove_file");
	len = strlen(sim->removed);
	(void)snprintf(sim->removed + len, sizeof(sim->removed) - len, "%s ", name);
	return unname(sim, name, who, err);
}

/* Direct children only; sorted by where they are, which no caller minds. */
static int list_dir(struct node *n, const char *name, char ***ret, struct err *err)
{
	size_t len = strlen(name), count = 0, used = (SIM_FILES + 1) * sizeof(char *);
	char *block;

	CALL("list_dir");
	if (!sim_file(sim, name))
		return err_set(err, ENOENT, "%s", name);
	block = calloc(1, used + (size_t)SIM_FILES * SIM_PATH);
	*ret = (char **)(void *)block;
	for (int i = 0; block && i < SIM_FILES; i++) {
		const char *at = sim->files[i].path;

		if (strncmp(at, name, len) != 0 || at[len] != '/' || strchr(at + len + 1, '/'))
			continue;
		(*ret)[count++] = strcpy(block + used, at + len + 1);
		used += strlen(at + len + 1) + 1;
	}
	return block ? 0 : -ENOMEM;
}

static int lock(struct node *n, const char *name, struct err *err)
{
	struct sim_file *f;

	CALL("lock");
	f = sim_file(sim, name);
	if (f && f->owner && f->owner != sim->me)
		return 0;
	if (!f)
		f = sim_make(sim, name, S_IFREG | 0600);
	f->owner = sim->me;
	return 1;
}

static int unlock(struct node *n, const char *name, struct err *err)
{
	struct sim_file *f;

	CALL("unlock");
	f = sim_file(sim, name);
	if (f && f->owner == sim->me)
		memset(f, 0, sizeof(*f));
	return 0;
}

/* ---- mounts, cgroups, sockets -------------------------------------------------------------------- */

/* What a mount stands in: the older one with the longest path that holds it. */
static int64_t parent_of(const struct sim *sim, const struct sim_mount *m)
{
	int64_t found = 1;
	size_t longest = 0;

	for (int i = 0; i < SIM_MOUNTS; i++) {
		const struct sim_mount *o = &sim->mounts[i];
		size_t len = strcmp(o->target, "/") == 0 ? 0 : strlen(o->target);

		if (!o->id || o->id >= m->id || strncmp(m->target, o->target, len) != 0 ||
		    (m->target[len] != '/' && m->target[len]) || len < longest)
			continue;
		longest = len;
		found = o->id;
	}
	return found;
}

static int mounts(struct node *n, struct mount_list *ret, struct err *err)
{
	CALL("mounts");
	ret->at = calloc(SIM_MOUNTS, sizeof(*ret->at));
	ret->n = 0;
	for (int i = 0; i < SIM_MOUNTS; i++) {
		const struct sim_mount *m = &sim->mounts[i];

		if (!m->id)
			continue;
		ret->at[ret->n++] = (struct mount_info){
			.id = m->id, .parent = parent_of(sim, m), .major = 0, .minor = m->minor,
			.root = strdup("/"), .target = strdup(m->target), .type = strdup(m->type),
			.source = strdup(m->source), .options = strdup("rw"), .super = strdup("rw"),
		};
	}
	return 0;
}

static int cgroup(struct node *n, const char *name, struct cgroup_info *ret, struct err *err)
{
	const struct sim_file *f;
	size_t len = strlen(name);

	CALL("cgroup");
	f = sim_file(sim, name);
	if (!f)
		return 0;
	*ret = (struct cgroup_info){ .path = f->what };
	for (int i = 0; i < SIM_PROCS; i++) {
		const struct sim_proc *p = &sim->procs[i];

		if (p->ident.pid <= 0 || p->zombie || strncmp(p->cgroup, name, len) != 0)
			continue;
		ret->procs += p->cgroup[len] == '\0';
		ret->populated = true;
	}
	return 1;
}

static int cgroup_pids(struct node *n, const char *name, struct ident **ret, size_t *count,
		       struct err *err)
{
	CALL("cgroup_pids");
	*ret = calloc(SIM_PROCS, sizeof(**ret));
	*count = 0;
	for (int i = 0; i < SIM_PROCS; i++)
		if (sim->procs[i].ident.pid > 0 && !sim->procs[i].zombie &&
		    strcmp(sim->procs[i].cgroup, name) == 0)
			(*ret)[(*count)++] = sim->procs[i].ident;
	return 0;
}

static int cgroup_write(struct node *n, const char *name, const char *file, const char *text,
			struct err *err)
{
	struct sim_file *f;

	CALL("cgroup_write");
	f = sim_file(sim, name);
	if (f && strcmp(file, "cgroup.freeze") == 0) {
		(void)snprintf(f->data, sizeof(f->data), "frozen %s\n", text);
		return 0;
	}
	if (strcmp(file, "cgroup.kill") != 0)
		return err_set(err, ENOENT, "%s/%s", name, file);
	for (int i = 0; i < SIM_PROCS; i++)
		if (sim->procs[i].ident.pid > 0 && !sim->procs[i].zombie &&
		    strcmp(sim->procs[i].cgroup, name) == 0)
			sim_kill(sim, &sim->procs[i], SIGKILL);
	return 0;
}

static int simple_listen(struct node *n, const char *name, int *ret, struct err *err)
{
	struct sim_file *f;

	CALL("listen");
	if (sim_file(sim, name))
		return err_set(err, EADDRINUSE, "%s", name);
	*ret = open("/dev/null", O_RDWR | O_CLOEXEC);
	f = sim_make(sim, name, S_IFSOCK | 0600);
	f->owner = sim->me;
	(void)snprintf(f->data, sizeof(f->data), "%d", *ret);
	return 0;
}

static int answers(struct node *n, const char *name, struct err *err)
{
	const struct sim_file *f;

	CALL("answers");
	f = sim_file(sim, name);
	/* What the player listened on itself lives as long as its descriptor. */
	if (f && f->owner == sim->me && fcntl(atoi(f->data), F_GETFD) < 0)
		return 0;
	return f && f->owner;
}

static int peers(struct node *n, const char *name, struct err *err)
{
	CALL("peers");
	(void)name;
	return sim->peers;
}

void sim_files_init(struct node *node)
{
	node->path = path;
	node->read_file = read_file;
	node->write_file = write_file;
	node->make_dir = make_dir;
	node->remove_dir = remove_dir;
	node->remove_file = remove_file;
	node->list_dir = list_dir;
	node->lock = lock;
	node->unlock = unlock;
	node->mounts = mounts;
	node->cgroup = cgroup;
	node->cgroup_pids = cgroup_pids;
	node->cgroup_write = cgroup_write;
	node->listen = simple_listen;
	node->answers = answers;
	node->peers = peers;
}
