/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.c - the cgroups that the OCI runtime is going to make.
 *
 * want: { "runtime", "root", "id", "bundle", "systemd", "cgroups_path", "unikernel" }
 * have: { "folders": [ { "path", "had": bytes of path that were there before } ],
 *         "tries" }
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
#include "supervisor/oci/cgroups.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define BUSY_MS    30
#define BUSY_TRIES 100
#define DEPTH_MAX  16 /* of cgroups below a container's */

extern const struct step_ops step_cgroup;

/* ---- written down ------------------------------------------------------------ */

struct noting {
	struct node *node;
	json_object *folders;
};

/* How much of the path is there; at least its mount. */
static int existing(struct node *node, const char *folder, size_t root, size_t *ret,
		    struct err *err)
{
	auto_free char *path = strdup(folder);
	struct path_ident what;
	size_t len = strlen(folder);

	if (!path)
		return err_set(err, ENOMEM, "look at cgroup %s", folder);
	while (len > root) {
		int rc = node->path(node, path, &what, err);

		if (rc < 0 && rc != -ENOTDIR)
			return rc;
		if (rc > 0)
			break;
		while (len > root && path[len - 1] != '/')
			len--;
		len -= len > root;
		path[len] = '\0';
	}
	*ret = len;
	return 0;
}

static int note_folder(void *arg, const char *folder, size_t root, struct err *err)
{
	struct noting *n = arg;
	json_object *one;
	size_t had = 0;
	int rc = existing(n->node, folder, root, &had, err);

	if (rc < 0)
		return rc;
	one = json_object_new_object();
	if (!one)
		return err_set(err, ENOMEM, "note cgroup %s", folder);
	json_put_text(one, "path", folder);
	json_put_int(one, "had", (int64_t)had);
	if (!json_object_get_userdata(one) && json_object_array_add(n->folders, one) == 0)
		return 0;
	json_object_put(one);
	return err_set(err, ENOMEM, "note cgroup %s", folder);
}

/* A relative path is below our own cgroup, which the runtime inherits. */
static int own_cgroups(struct node *node, char **ret, struct err *err)
{
	struct ident self;
	int rc = node->self(node, &self, err);

	return rc < 0 ? rc : node->cgroups_of(node, &self, ret, err);
}

static int predict(struct step *step, struct step_env *env, struct noting *n, struct err *err)
{
	auto_free char *own = NULL;
	struct mount_list mounts = { 0 };
	struct cgroup_ask ask = {
		.mounts = &mounts,
		.kind = runtime_kind_of(json_text(step->want, "runtime", "")),
		.systemd = json_true(step->want, "systemd"),
		.cgroups_path = json_text(step->want, "cgroups_path", ""),
		.id = json_text(step->want, "id", ""),
	};
	int rc = own_cgroups(env->node, &own, err);

	if (rc < 0)
		return rc;
	ask.own = own;
	rc = env->node->mounts(env->node, &mounts, err);
	if (rc == 0)
		rc = cgroups_predict(&ask, note_folder, n, err);
	mount_list_clear(&mounts);
	return rc;
}

static int cgroup_probe(struct step *step, struct step_env *env, struct err *err)
{
	struct noting n = { .node = env->node, .folders = json_object_new_array() };
	int rc = n.folders ? predict(step, env, &n, err)
			   : err_set(err, ENOMEM, "note the cgroups");

	json_put(step->have, "folders", n.folders);
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

static void undo_folders(struct turn *t)
{
	json_object *folders = json_list(t->step->have, "folders");
	size_t n = folders ? json_object_array_length(folders) : 0;

	for (size_t i = 0; i < n; i++) {
		json_object *one = json_object_array_get_idx(folders, i);
		const char *path = json_text(one, "path", "");
		size_t had = (size_t)json_uint(one, "had", 0);

		if (had > 0 && had < strlen(path))
			undo_folder(t, path, had);
	}
}

/* ---- where init really was ----------------------------------------------------- */

/* A folder that is written down is dealt with there, whether it was there or not. */
static int undo_real(void *arg, const char *folder, size_t root, struct err *err)
{
	struct turn *t = arg;
	json_object *folders = json_list(t->step->have, "folders");
	size_t n = folders ? json_object_array_length(folders) : 0;

	(void)root;
	(void)err;
	if (!cgroup_names(folder, json_text(t->step->want, "id", "")))
		return 0;
	for (size_t i = 0; i < n; i++)
		if (strcmp(json_text(json_object_array_get_idx(folders, i), "path", ""),
			   folder) == 0)
			return 0;
	undo_folder(t, folder, strlen(folder));
	return 0;
}

static int seek_init(void *arg, const struct step_row *row, struct err *err)
{
	struct turn *t = arg;
	auto_json json_object *have = NULL;
	struct mount_list mounts = { 0 };
	const char *text;
	int rc;

	if (strcmp(row->kind, "init") != 0)
		return 0;
	have = json_tokener_parse(row->have);
	text = json_text(have, "cgroups", "");
	rc = text[0] ? t->node->mounts(t->node, &mounts, err) : 0;
	if (rc == 0 && text[0])
		rc = cgroups_of_text(&mounts, text, undo_real, t, err);
	mount_list_clear(&mounts);
	return rc < 0 ? rc : 0;
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
