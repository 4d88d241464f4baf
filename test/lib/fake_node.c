/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/fake_node.h"

#include "journal/base/cleanup.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

static struct fake_node *of(struct node *n)
{
	return (struct fake_node *)n;
}

__attribute__((format(printf, 2, 3)))
static void note(struct fake_node *f, const char *fmt, ...)
{
	size_t used = strlen(f->log);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f->log + used, sizeof(f->log) - used, fmt, ap);
	va_end(ap);
}

static int failing(struct fake_node *f, const char *op, struct err *err)
{
	if (f->fail && strcmp(f->fail, op) == 0)
		return err_set(err, f->fail_code, "%s", op);
	return 0;
}

static int64_t fake_now(struct node *n)
{
	return of(n)->now_ms;
}

static int64_t fake_wall(struct node *n)
{
	return INT64_C(1700000000000000000) + of(n)->now_ms * 1000000;
}

static uint64_t fake_random(struct node *n)
{
	return ++of(n)->next_ino;
}

static const char *fake_epoch(struct node *n)
{
	return of(n)->epoch;
}

/* ---- processes --------------------------------------------------------------- */

static struct fake_proc *proc(struct fake_node *f, pid_t pid)
{
	for (size_t i = 0; i < f->n_procs; i++)
		if (f->procs[i].info.ident.pid == pid && !f->procs[i].gone)
			return &f->procs[i];
	return NULL;
}

static struct fake_proc *exactly(struct fake_node *f, const struct ident *who)
{
	struct fake_proc *p = proc(f, who->pid);

	return p && p->info.ident.start == who->start ? p : NULL;
}

static int fake_self(struct node *n, struct ident *ret, struct err *err)
{
	(void)err;
	*ret = of(n)->self;
	return 0;
}

static int fake_alive(struct node *n, const struct ident *who, struct err *err)
{
	struct fake_proc *p = exactly(of(n), who);
	int rc = failing(of(n), "alive", err);

	return rc < 0 ? rc : p && p->info.state != 'Z';
}

static int fake_look(struct node *n, pid_t pid, struct proc_info *ret, struct err *err)
{
	struct fake_proc *p = proc(of(n), pid);
	int rc = failing(of(n), "look", err);

	if (rc < 0)
		return rc;
	if (p)
		*ret = p->info;
	return p != NULL;
}

static int fake_scan(struct node *n, struct proc_info **ret, size_t *count, struct err *err)
{
	struct fake_node *f = of(n);

	*ret = calloc(f->n_procs + 1, sizeof(**ret));
	if (!*ret)
		return err_set(err, ENOMEM, "scan");
	*count = 0;
	for (size_t i = 0; i < f->n_procs; i++)
		if (!f->procs[i].gone)
			(*ret)[(*count)++] = f->procs[i].info;
	return 0;
}

static int fake_cgroups_of(struct node *n, const struct ident *who, char **ret, struct err *err)
{
	struct fake_proc *p = exactly(of(n), who);

	if (!p)
		return err_set(err, ESRCH, "cgroups of %d", (int)who->pid);
	*ret = strdup(p->cgroups ? p->cgroups : "");
	return 0;
}

static int fake_signal(struct node *n, const struct ident *who, int sig, struct err *err)
{
	struct fake_proc *p = exactly(of(n), who);
	int rc = failing(of(n), "signal", err);

	if (rc < 0)
		return rc;
	if (!p || p->info.state == 'Z')
		return err_set(err, ESRCH, "signal %d", (int)who->pid);
	note(of(n), "kill %d %d\n", (int)who->pid, sig);
	if (sig == SIGKILL && p->immortal-- <= 0)
		p->gone = true;
	return 0;
}

/* ---- children ---------------------------------------------------------------- */

static int fake_spawn(struct node *n, const struct spawn *what, struct ident *ret,
		      struct err *err)
{
	struct fake_node *f = of(n);
	size_t used = 0;
	int rc = failing(f, "spawn", err);

	if (rc < 0)
		return rc;
	f->job = what->job;
	f->gate_open = false;
	f->call = what->call;
	f->controls = what->controls;
	f->line[0] = '\0';
	(void)snprintf(f->cwd, sizeof(f->cwd), "%s", what->cwd ? what->cwd : "/");
	if (what->args)
		(void)snprintf(f->line, sizeof(f->line), "%s", what->args);
	for (size_t i = 0; what->argv && what->argv[i] && used < sizeof(f->line); i++)
		used += (size_t)snprintf(f->line + used, sizeof(f->line) - used, "%s%s",
					 i ? " " : "", what->argv[i]);
	*ret = fake_add_proc(f, f->next_pid++, 5000, NULL)->info.ident;
	f->child = *ret;
	note(f, "spawn %s\n", what->job == JOB_CALL ? "call" : f->line);
	return 0;
}

static int fake_go(struct node *n, const struct ident *child, struct err *err)
{
	int rc = failing(of(n), "spawn_go", err);

	(void)child;
	if (rc == 0)
		of(n)->gate_open = true;
	return rc;
}

static int fake_watch(struct node *n, const struct ident *who, struct err *err)
{
	(void)n, (void)who;
	return err_set(err, ESRCH, "watch");
}

static int fake_reap(struct node *n, const struct ident *who, int *status, struct err *err)
{
	struct fake_node *f = of(n);

	(void)err;
	for (size_t i = 0; i < f->n_procs; i++) {
		struct fake_proc *p = &f->procs[i];

		if (p->info.ident.pid != who->pid || p->info.ident.start != who->start)
			continue;
		if (!p->gone && p->info.state != 'Z')
			return 0;
		p->gone = true;
		*status = p->status;
		return 1;
	}
	*status = -1;
	return 1;
}

static int fake_output(struct node *n, const struct ident *child, char **ret, struct err *err)
{
	(void)child;
	*ret = strdup(of(n)->output ? of(n)->output : "");
	return *ret ? 0 : err_set(err, ENOMEM, "output");
}

static void fake_forget(struct node *n, const struct ident *who)
{
	(void)n, (void)who;
}

/* ---- files ------------------------------------------------------------------- */

static int fake_path(struct node *n, const char *path, struct path_ident *ret, struct err *err)
{
	struct fake_file *file = fake_find(of(n), path);
	int rc = failing(of(n), "path", err);

	if (rc < 0)
		return rc;
	if (file)
		*ret = file->what;
	return file != NULL;
}

static int fake_read(struct node *n, const char *path, size_t max, char **ret, size_t *len,
		     struct err *err)
{
	struct fake_file *file = fake_find(of(n), path);
	size_t size = file && file->data ? strlen(file->data) : 0;

	if (!file || !file->data)
		return err_set(err, ENOENT, "%s", path);
	if (size > max)
		return err_set(err, EFBIG, "%s", path);
	*ret = strdup(file->data);
	if (len)
		*len = size;
	return 0;
}

static int fake_write(struct node *n, const char *path, const char *data, size_t len,
		      uint32_t mode, struct err *err)
{
	char text[1024];
	int rc = failing(of(n), "write_file", err);

	(void)mode;
	if (rc < 0)
		return rc;
	(void)snprintf(text, sizeof(text), "%.*s", (int)len, data);
	fake_remove(of(n), path);
	fake_add_file(of(n), path, text);
	note(of(n), "write_file %s\n", path);
	return 0;
}

static int fake_make_dir(struct node *n, const char *path, uint32_t mode, struct err *err)
{
	int rc = failing(of(n), "make_dir", err);

	if (rc < 0 || fake_find(of(n), path))
		return rc;
	fake_add_dir(of(n), path);
	note(of(n), "make_dir %s %o\n", path, mode);
	return 1;
}

static int fake_remove_file(struct node *n, const char *path, const struct path_ident *who,
			    struct err *err)
{
	struct fake_file *file = fake_find(of(n), path);
	int rc = failing(of(n), "remove_file", err);

	if (rc < 0 || !file)
		return rc;
	if (file->what.ino != who->ino)
		return err_set(err, ESTALE, "%s", path);
	note(of(n), "remove_file %s\n", path);
	fake_remove(of(n), path);
	return 1;
}

static bool has_below(struct fake_node *f, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < f->n_files; i++)
		if (strncmp(f->files[i].path, path, len) == 0 && f->files[i].path[len] == '/')
			return true;
	for (size_t i = 0; i < f->n_cgroups; i++)
		if (strncmp(f->cgroups[i].path, path, len) == 0 && f->cgroups[i].path[len] == '/')
			return true;
	return false;
}

static int remove_cgroup(struct fake_node *f, struct fake_cgroup *cg,
			 const struct path_ident *who, struct err *err)
{
	if (cg->what.ino != who->ino)
		return err_set(err, ESTALE, "%s", cg->path);
	if (has_below(f, cg->path) || cg->n_procs > 0 || cg->busy-- > 0)
		return err_set(err, EBUSY, "%s", cg->path);
	note(f, "remove_dir %s\n", cg->path);
	fake_remove(f, cg->path);
	*cg = f->cgroups[--f->n_cgroups];
	return 1;
}

static int fake_remove_dir(struct node *n, const char *path, const struct path_ident *who,
			   struct err *err)
{
	struct fake_file *file = fake_find(of(n), path);
	struct fake_cgroup *cg = fake_find_cgroup(of(n), path);

	if (cg)
		return remove_cgroup(of(n), cg, who, err);
	if (!file)
		return 0;
	if (file->what.ino != who->ino)
		return err_set(err, ESTALE, "%s", path);
	if (has_below(of(n), path))
		return err_set(err, ENOTEMPTY, "%s", path);
	note(of(n), "remove_dir %s\n", path);
	fake_remove(of(n), path);
	return 1;
}

/* Cgroups only, in the table's order: nothing else is listed by a step. The names
 * follow the array. */
static int fake_list_dir(struct node *n, const char *path, char ***ret, struct err *err)
{
	struct fake_node *f = of(n);
	size_t len = strlen(path);
	size_t count = 0;
	char *text;

	if (!fake_find_cgroup(f, path))
		return err_set(err, ENOENT, "%s", path);
	*ret = calloc(1, (FAKE_MAX + 1) * sizeof(char *) + FAKE_MAX * sizeof(f->cgroups[0].path));
	if (!*ret)
		return err_set(err, ENOMEM, "%s", path);
	text = (char *)(*ret + FAKE_MAX + 1);
	for (size_t i = 0; i < f->n_cgroups; i++) {
		const char *p = f->cgroups[i].path;

		if (strncmp(p, path, len) != 0 || p[len] != '/' || strchr(p + len + 1, '/'))
			continue;
		(*ret)[count++] = strcpy(text, p + len + 1);
		text += strlen(text) + 1;
	}
	return 0;
}

/* ---- locks, mounts, sockets -------------------------------------------------- */

static int fake_lock(struct node *n, const char *path, struct err *err)
{
	struct fake_node *f = of(n);
	int rc = failing(f, "lock", err);

	if (rc < 0)
		return rc;
	if (f->locked_by_others && strstr(path, f->locked_by_others))
		return 0;
	note(f, "lock\n");
	return 1;
}

static int fake_unlock(struct node *n, const char *path, struct err *err)
{
	(void)path, (void)err;
	note(of(n), "unlock\n");
	return 0;
}

static int fake_mounts(struct node *n, struct mount_list *ret, struct err *err)
{
	struct fake_node *f = of(n);
	int rc = failing(f, "mounts", err);

	if (rc < 0)
		return rc;
	ret->n = f->n_mounts;
	ret->at = calloc(f->n_mounts + 1, sizeof(*ret->at));
	for (size_t i = 0; ret->at && i < f->n_mounts; i++) {
		ret->at[i] = f->mounts[i];
		ret->at[i].root = strdup(f->mounts[i].root);
		ret->at[i].target = strdup(f->mounts[i].target);
		ret->at[i].type = strdup(f->mounts[i].type);
		ret->at[i].source = strdup(f->mounts[i].source);
		ret->at[i].options = strdup("rw");
		ret->at[i].super = strdup(f->mounts[i].super ? f->mounts[i].super : "rw");
	}
	return ret->at ? 0 : err_set(err, ENOMEM, "mounts");
}

static int fake_listen(struct node *n, const char *path, int *ret, struct err *err)
{
	int rc = failing(of(n), "listen", err);

	if (rc < 0)
		return rc;
	if (fake_find(of(n), path))
		return err_set(err, EADDRINUSE, "%s", path);
	fake_add_socket(of(n), path, true);
	note(of(n), "listen %s\n", path);
	*ret = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return *ret < 0 ? err_set(err, errno, "%s", path) : 0;
}

static int fake_answers(struct node *n, const char *path, struct err *err)
{
	struct fake_file *file = fake_find(of(n), path);
	int rc = failing(of(n), "answers", err);

	return rc < 0 ? rc : file && file->answers;
}

/* ---- cgroups ----------------------------------------------------------------- */

static bool populated(struct fake_node *f, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < f->n_cgroups; i++)
		if (strncmp(f->cgroups[i].path, path, len) == 0 && f->cgroups[i].n_procs > 0 &&
		    (f->cgroups[i].path[len] == '\0' || f->cgroups[i].path[len] == '/'))
			return true;
	return false;
}

static int fake_cgroup(struct node *n, const char *path, struct cgroup_info *ret,
		       struct err *err)
{
	struct fake_cgroup *cg = fake_find_cgroup(of(n), path);

	(void)err;
	if (cg)
		*ret = (struct cgroup_info){ .path = cg->what,
					     .populated = populated(of(n), path),
					     .procs = cg->n_procs };
	return cg != NULL;
}

static int fake_cgroup_pids(struct node *n, const char *path, struct ident **ret, size_t *count,
			    struct err *err)
{
	struct fake_cgroup *cg = fake_find_cgroup(of(n), path);

	if (!cg)
		return err_set(err, ENOENT, "%s", path);
	*ret = malloc(sizeof(cg->procs));
	if (!*ret)
		return err_set(err, ENOMEM, "%s", path);
	memcpy(*ret, cg->procs, sizeof(cg->procs));
	*count = (size_t)cg->n_procs;
	return 0;
}

static int fake_cgroup_write(struct node *n, const char *path, const char *file,
			     const char *text, struct err *err)
{
	struct fake_node *f = of(n);
	size_t len = strlen(path);

	if (f->no_kill_file && strcmp(file, "cgroup.kill") == 0)
		return err_set(err, ENOENT, "%s/%s", path, file);
	note(f, "%s/%s=%s\n", path, file, text);
	for (size_t i = 0; strcmp(file, "cgroup.kill") == 0 && i < f->n_cgroups; i++)
		if (strncmp(f->cgroups[i].path, path, len) == 0)
			f->cgroups[i].n_procs = 0;
	return 0;
}

/* ---- the node ---------------------------------------------------------------- */

void fake_node_init(struct fake_node *f)
{
	*f = (struct fake_node){
		.node = {
			.now_ms = fake_now, .wall_ns = fake_wall, .random = fake_random,
			.epoch = fake_epoch, .self = fake_self, .alive = fake_alive,
			.look = fake_look, .scan = fake_scan, .cgroups_of = fake_cgroups_of,
			.signal = fake_signal, .spawn = fake_spawn, .spawn_go = fake_go,
			.watch = fake_watch, .reap = fake_reap, .spawn_output = fake_output,
			.forget = fake_forget, .path = fake_path, .read_file = fake_read,
			.write_file = fake_write, .make_dir = fake_make_dir,
			.remove_dir = fake_remove_dir, .remove_file = fake_remove_file,
			.list_dir = fake_list_dir, .lock = fake_lock, .unlock = fake_unlock,
			.mounts = fake_mounts, .cgroup = fake_cgroup,
			.cgroup_pids = fake_cgroup_pids, .cgroup_write = fake_cgroup_write,
			.listen = fake_listen, .answers = fake_answers,
		},
		.now_ms = 1000, .next_ino = 100, .next_pid = 900,
		.self = { .pid = 1, .start = 1 }, .epoch = FAKE_EPOCH,
	};
}
