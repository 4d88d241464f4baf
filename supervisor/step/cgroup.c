/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.c - the cgroups that the OCI runtime is going to make.
 *
 * want: { "runtime", "root", "id", "bundle", "systemd", "cgroups_path", "unikernel" }
 * have: { "folders": [ { "path", "had": bytes of path that were there before,
 *         "plain": true if it is no cgroup } ], "tries" }
 *
 * Nothing is made here. A runtime that is killed half way leaves cgroups that its own
 * delete never removes, so before it runs the folder it may make in each mounted
 * hierarchy is written down, and how much of its path was there already: that much is
 * never touched. When init is known, /proc/<init>/cgroup says where it really is;
 * those count too, if their name carries the id.
 *
 * Undo: whoever is in such a folder is killed; then it is removed, with what is below
 * it, and those of its ancestors that were not there and are empty. Busy is tried
 * again for 3 s; then the row stays, and says who is in there.
 */
#include "supervisor/step/step.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/bundle/json.h"
#include "supervisor/node/cgroup_paths.h"
#include "supervisor/oci/cli.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define BUSY_MS    30
#define BUSY_TRIES 100
#define DEPTH_MAX  16 /* of cgroups below a container's */

extern const struct step_ops step_cgroup;

/* ---- written down ------------------------------------------------------------ */

/* How much of the path is there; / always is. */
static int existing(struct node *node, const char *folder, size_t *ret, struct err *err)
{
	auto_free char *path = strdup(folder);
	struct path_ident what;
	char *slash;

	if (!path)
		return err_set(err, ENOMEM, "look at cgroup %s", folder);
	for (;;) {
		int rc = node->path(node, path, &what, err);

		if (rc < 0 && rc != -ENOTDIR)
			return rc;
		slash = strrchr(path, '/');
		if (rc > 0 || !slash || slash == path)
			break;
		*slash = '\0';
	}
	*ret = strlen(path);
	return 0;
}

static int note_folder(json_object *folders, struct node *node, const struct cgroup_path *at,
		       struct err *err)
{
	json_object *one;
	size_t had = 0;
	int rc = existing(node, at->path, &had, err);

	if (rc < 0)
		return rc;
	one = json_object_new_object();
	if (!one)
		return err_set(err, ENOMEM, "note cgroup %s", at->path);
	json_put_text(one, "path", at->path);
	json_put_int(one, "had", (int64_t)had);
	if (at->plain)
		json_put(one, "plain", json_object_new_boolean(true));
	if (!json_object_get_userdata(one) && json_object_array_add(folders, one) == 0)
		return 0;
	json_object_put(one);
	return err_set(err, ENOMEM, "note cgroup %s", at->path);
}

static int cgroups_of_pid(struct node *node, const struct ident *who, char **ret)
{
	if (node->cgroups_of(node, who, ret, NULL) < 0)
		*ret = strdup("");
	return *ret ? 0 : -ENOMEM;
}

/* A relative path begins at our own cgroup, which the runtime inherits, or beside the
 * first process's. */
static int ask_around(struct node *node, char **own, char **init, struct err *err)
{
	struct proc_info first = { .ident = { .pid = 1 } };
	struct ident self;
	int rc = node->self(node, &self, err);

	if (rc < 0)
		return rc;
	(void)node->look(node, 1, &first, NULL);
	if (cgroups_of_pid(node, &self, own) < 0 || cgroups_of_pid(node, &first.ident, init) < 0)
		return err_set(err, ENOMEM, "note the cgroups");
	return 0;
}

static enum cgroup_habit habit_of(const char *runtime)
{
	switch (runtime_kind_of(runtime)) {
	case RUNTIME_CRUN:
	case RUNTIME_NATIVE: /* see limits.c */
	case RUNTIME_SANDBOX:
		return CGROUP_HABIT_CRUN;
	case RUNTIME_RUNC:
	case RUNTIME_URUNC: /* hands what is no unikernel to runc */
		return CGROUP_HABIT_RUNC;
	case RUNTIME_OTHER:
		break;
	}
	return CGROUP_HABIT_ANY;
}

static int forecast(struct step *step, struct node *node, struct cgroup_paths *ret,
		    struct err *err)
{
	auto_free char *own = NULL;
	auto_free char *init = NULL;
	struct mount_list mounts = { 0 };
	struct cgroup_wish wish = {
		.path = json_text(step->want, "cgroups_path", ""),
		.id = json_text(step->want, "id", ""),
		.systemd = json_true(step->want, "systemd"),
		.habit = habit_of(json_text(step->want, "runtime", "")),
	};
	int rc = ask_around(node, &own, &init, err);

	if (rc == 0)
		rc = node->mounts(node, &mounts, err);
	if (rc < 0)
		return rc;
	wish.own = own;
	wish.init = init;
	rc = cgroup_forecast(&wish, &mounts, ret, err);
	mount_list_clear(&mounts);
	return rc;
}

static int cgroup_probe(struct step *step, struct step_env *env, struct err *err)
{
	json_object *folders = json_object_new_array();
	struct cgroup_paths paths = { 0 };
	int rc = folders ? forecast(step, env->node, &paths, err)
			 : err_set(err, ENOMEM, "note the cgroups");

	/* Ancestors are in the path of a leaf. */
	for (size_t i = 0; rc == 0 && i < paths.n; i++)
		if (paths.at[i].leaf)
			rc = note_folder(folders, env->node, &paths.at[i], err);
	cgroup_paths_clear(&paths);
	json_put(step->have, "folders", folders);
	return rc < 0 ? rc : FACT_ABSENT;
}

/* The probe has written it all down, and the engine has committed it. */
static int cgroup_apply(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	(void)env;
	(void)wake;
	(void)next;
	if (!json_list(step->have, "folders"))
		return err_say(err, EPROTO, "the cgroups of %s/%s were not written down",
			       step->task->key.ns, step->task->key.id);
	return STEP_DONE;
}

/* ---- killing what is in one ---------------------------------------------------- */

/* Visit a folder and those below it, inside out. */
static int each_below(struct node *node, const char *path, int depth,
		      int (*each)(struct node *node, const char *path, void *arg,
				  struct err *err),
		      void *arg, struct err *err)
{
	char **names = NULL;
	int rc = node->list_dir(node, path, &names, err);

	if (rc == -ENOENT || rc == -ENODEV)
		return 0;
	for (size_t i = 0; rc == 0 && names[i] && depth < DEPTH_MAX; i++) {
		auto_free char *below = NULL;
		struct path_ident what;

		if (asprintf(&below, "%s/%s", path, names[i]) < 0) {
			below = NULL;
			rc = err_set(err, ENOMEM, "look into %s", path);
		} else if (node->path(node, below, &what, NULL) > 0 && S_ISDIR(what.mode)) {
			rc = each_below(node, below, depth + 1, each, arg, err);
		}
	}
	free(names);
	return rc < 0 ? rc : each(node, path, arg, err);
}

/* Who is in there, for the decision and for people. */
struct crowd {
	struct ident self;
	bool has_self;
	bool kill;
	size_t n;
	struct ident first;
};

static int visit_pids(struct node *node, const char *path, void *arg, struct err *err)
{
	struct crowd *c = arg;
	auto_free struct ident *pids = NULL;
	size_t n = 0;
	int rc = node->cgroup_pids(node, path, &pids, &n, err);

	if (rc == -ENOENT || rc == -ENODEV)
		return 0;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (c->n++ == 0)
			c->first = pids[i];
		c->has_self |= pids[i].pid == c->self.pid && pids[i].start == c->self.start;
		if (c->kill)
			(void)node->signal(node, &pids[i], SIGKILL, NULL);
	}
	return rc;
}

/* Without cgroup.kill: stand still, kill, go on, so that nobody forks away. A version 1
 * hierarchy without a freezer is only killed: the freezer's own folder does the rest. */
static int kill_one_by_one(struct node *node, const char *path, struct crowd *c, struct err *err)
{
	bool v2 = node->cgroup_write(node, path, "cgroup.freeze", "1", NULL) == 0;
	bool v1 = !v2 && node->cgroup_write(node, path, "freezer.state", "FROZEN", NULL) == 0;
	int rc;

	crash_point("frozen");
	c->kill = true;
	c->n = 0;
	rc = each_below(node, path, 0, visit_pids, c, err);
	if (v2)
		(void)node->cgroup_write(node, path, "cgroup.freeze", "0", NULL);
	if (v1)
		(void)node->cgroup_write(node, path, "freezer.state", "THAWED", NULL);
	return rc;
}

/* 1: somebody was in there and has been sent a SIGKILL; 0: nobody. */
static int kill_all(struct step *step, struct node *node, const char *path, struct crowd *c,
		    struct err *err)
{
	int rc = node->self(node, &c->self, err);

	if (rc == 0)
		rc = each_below(node, path, 0, visit_pids, c, err);
	if (rc < 0 || c->n == 0)
		return rc;
	if (c->has_self)
		return err_say(err, EBUSY, "cgroup %s of %s/%s: process %d, which takes it back, is "
			       "in there itself", path, step->task->key.ns, step->task->key.id,
			       (int)c->self.pid);
	rc = node->cgroup_write(node, path, "cgroup.kill", "1", err);
	if (rc < 0)
		rc = kill_one_by_one(node, path, c, err);
	return rc < 0 ? rc : 1;
}

/* ---- removing ------------------------------------------------------------------ */

static int remove_one(struct node *node, const char *path, void *arg, struct err *err)
{
	struct path_ident what;
	int rc = node->path(node, path, &what, err);

	(void)arg;
	if (rc > 0)
		rc = node->remove_dir(node, path, &what, err);
	return rc < 0 ? rc : 0;
}

static int remove_ancestors(struct node *node, const char *folder, size_t had,
			    struct err *err)
{
	auto_free char *path = strdup(folder);
	char *slash;
	int rc = path ? 0 : err_set(err, ENOMEM, "remove what is above %s", folder);

	while (rc == 0 && (slash = strrchr(path, '/')) && (size_t)(slash - path) > had) {
		*slash = '\0';
		rc = remove_one(node, path, NULL, err);
	}
	/* Another task's may be below it by now: then it stays for that one. */
	return rc == -ENOTEMPTY || rc == -EBUSY ? 0 : rc;
}

/* What one turn of undo finds; @why holds the words for the case that it was the last. */
struct turn {
	struct step *step;
	struct node *node;
	bool again;
	struct err why;
};

static void undo_folder(struct turn *t, const char *path, size_t had)
{
	struct crowd crowd = { .n = 0 };
	struct err why = ERR_INIT;
	struct path_ident what;
	int rc = t->node->path(t->node, path, &what, &why);

	if (rc > 0)
		rc = kill_all(t->step, t->node, path, &crowd, &why);
	if (rc > 0)
		rc = err_say(&why, EBUSY, "cgroup %s: %zu processes do not die, the first is pid %d",
			     path, crowd.n, (int)crowd.first.pid);
	else if (rc == 0)
		rc = each_below(t->node, path, 0, remove_one, NULL, &why);
	if (rc == 0)
		rc = remove_ancestors(t->node, path, had, &why);
	if (rc == 0)
		return;
	t->again = true;
	t->why = why;
}

/* crun takes a folder of a tmpfs for a cgroup, and leaves plain files in it. */
static int empty_plain(struct node *node, const char *path, struct err *err)
{
	char **names = NULL;
	int rc = node->list_dir(node, path, &names, err);

	for (size_t i = 0; rc == 0 && names[i]; i++) {
		auto_free char *file = NULL;
		struct path_ident what;

		if (asprintf(&file, "%s/%s", path, names[i]) < 0) {
			file = NULL;
			rc = err_set(err, ENOMEM, "empty %s", path);
		} else if (node->path(node, file, &what, NULL) > 0 && S_ISREG(what.mode)) {
			rc = node->remove_file(node, file, &what, err);
			rc = rc > 0 ? 0 : rc;
		}
	}
	free(names);
	return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
}

static void undo_plain(struct turn *t, const char *path, size_t had)
{
	struct err why = ERR_INIT;
	int rc = empty_plain(t->node, path, &why);

	if (rc == 0)
		rc = remove_one(t->node, path, NULL, &why);
	if (rc == 0)
		rc = remove_ancestors(t->node, path, had, &why);
	if (rc == 0)
		return;
	t->again = true;
	t->why = why;
}

static void undo_folders(struct turn *t)
{
	json_object *folders = json_list(t->step->have, "folders");
	size_t n = folders ? json_object_array_length(folders) : 0;

	for (size_t i = 0; i < n; i++) {
		json_object *one = json_object_array_get_idx(folders, i);
		const char *path = json_text(one, "path", "");
		size_t had = (size_t)json_uint(one, "had", 0);

		if (had == 0 || had >= strlen(path))
			continue;
		if (json_true(one, "plain"))
			undo_plain(t, path, had);
		else
			undo_folder(t, path, had);
	}
}

/* ---- where init really was ----------------------------------------------------- */

/* A folder that is written down is dealt with there, whether it was there or not. */
static bool written_down(const struct turn *t, const char *folder)
{
	json_object *folders = json_list(t->step->have, "folders");
	size_t n = folders ? json_object_array_length(folders) : 0;

	for (size_t i = 0; i < n; i++)
		if (strcmp(json_text(json_object_array_get_idx(folders, i), "path", ""),
			   folder) == 0)
			return true;
	return false;
}

static int undo_real(struct turn *t, const char *text, struct err *err)
{
	struct mount_list mounts = { 0 };
	struct cgroup_paths paths = { 0 };
	int rc = t->node->mounts(t->node, &mounts, err);

	if (rc == 0)
		rc = cgroup_paths_of(text, &mounts, &paths, err);
	for (size_t i = 0; rc == 0 && i < paths.n; i++) {
		const char *path = paths.at[i].path;

		if (oci_cgroup_names(path, json_text(t->step->want, "id", "")) &&
		    !written_down(t, path))
			undo_folder(t, path, strlen(path));
	}
	cgroup_paths_clear(&paths);
	mount_list_clear(&mounts);
	return rc;
}

static int seek_init(void *arg, const struct step_row *row, struct err *err)
{
	auto_json json_object *have = NULL;
	const char *text;
	int rc;

	if (strcmp(row->kind, "init") != 0 && strcmp(row->kind, "launch") != 0)
		return 0;
	rc = json_read_row(&have, row->have, "what init has", err);
	if (rc < 0)
		return rc;
	text = json_text(have, "cgroups", "");
	return text[0] ? undo_real(arg, text, err) : 0;
}

static int cgroup_undo(struct step *step, struct step_env *env, const struct wake *wake,
		       struct wait *next, struct err *err)
{
	struct turn t = { .step = step, .node = env->node, .why = ERR_INIT };
	int64_t tries = json_int(step->have, "tries", 0);
	int rc;

	if (!epoch_same_boot(step->task->epoch, env->node->epoch(env->node)))
		return STEP_DONE;
	if (wake->why == WAKE_BEGIN || wake->why == WAKE_RESUME)
		tries = 0;
	undo_folders(&t);
	rc = journal_each_step(env->journal, 0, NEWEST_FIRST, seek_init, &t, err);
	if (rc < 0 || !t.again)
		return rc < 0 ? rc : STEP_DONE;
	if (tries >= BUSY_TRIES || wake->why == WAKE_DEADLINE)
		return err_say(err, t.why.code ? t.why.code : EBUSY, "%s", t.why.text);
	json_put_int(step->have, "tries", tries + 1);
	rc = step_save(step, env, err);
	return rc < 0 ? rc : step_again(env, BUSY_MS, next);
}

static int cgroup_verify(struct step *step, struct step_env *env, struct err *err)
{
	json_object *folders = json_list(step->have, "folders");
	size_t n = folders ? json_object_array_length(folders) : 0;

	if (!epoch_same_boot(step->task->epoch, env->node->epoch(env->node)))
		return FACT_ABSENT;
	for (size_t i = 0; i < n; i++) {
		json_object *one = json_object_array_get_idx(folders, i);
		const char *path = json_text(one, "path", "");
		struct path_ident what;
		int rc;

		if ((size_t)json_uint(one, "had", 0) >= strlen(path))
			continue;
		rc = env->node->path(env->node, path, &what, err);
		if (rc)
			return rc < 0 ? rc : FACT_PRESENT;
	}
	return FACT_ABSENT;
}

const struct step_ops step_cgroup = {
	.kind = "cgroup",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 5000,
	.undo_ms = 15000,
	.probe = cgroup_probe,
	.apply = cgroup_apply,
	.undo = cgroup_undo,
	.verify = cgroup_verify,
};
