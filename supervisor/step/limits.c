/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.c - make the cgroups of a monitor, or of a sandbox, and set their limits.
 *
 * want: { "id", "bundle", "unikernel" or "sandbox" }
 * have: { }
 *
 * Which folders these are, and how much of each was there before, is in the row of the
 * cgroup step, whose undo removes them: so this one has none. The limits are those of
 * the spec; a monitor needs some memory besides its guest's, which gets all of the limit.
 * A sandbox has no spec and no limits: those of a pod are on the cgroup above.
 */
#include "supervisor/step/step.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/bundle/spec.h"
#include "supervisor/unikernel/monitors.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define VALUE_MAX 4096

extern const struct step_ops step_limits;

/* One control file in one version's words. */
struct limit {
	const char *what;    /* in the spec  */
	const char *file[2]; /* version 1, 2 */
	char text[2][VALUE_MAX];
	bool asked, set, cut;
};
enum { MEMORY, SHARES, PERIOD, QUOTA, PIDS, CPUS, MEMS, LIMITS_N };

/* ---- what is asked ----------------------------------------------------------------- */

static json_object *object(json_object *o, const char *name)
{
	json_object *value = NULL;

	return o && json_object_object_get_ex(o, name, &value) ? value : NULL;
}

__attribute__((format(printf, 3, 4)))
static void put(struct limit *l, int version, const char *fmt, ...)
{
	va_list ap;

	l->asked = true;
	va_start(ap, fmt);
	if (vsnprintf(l->text[version - 1], sizeof(l->text[0]), fmt, ap) >= (int)sizeof(l->text[0]))
		l->cut = true;
	va_end(ap);
}

static void read_cpu(struct limit *list, json_object *cpu)
{
	int64_t shares = json_int(cpu, "shares", 0);
	int64_t period = json_int(cpu, "period", 0);
	int64_t quota = json_int(cpu, "quota", 0);

	if (shares > 1) {
		int64_t most = shares < 262144 ? shares : 262144;
		int64_t weight = 1 + (most - 2) * 9999 / 262142;

		put(&list[SHARES], 1, "%" PRId64, shares);
		put(&list[SHARES], 2, "%" PRId64, weight);
	}
	if (period > 0)
		put(&list[PERIOD], 1, "%" PRId64, period);
	if (quota > 0) {
		put(&list[QUOTA], 1, "%" PRId64, quota);
		put(&list[QUOTA], 2, "%" PRId64 " %" PRId64, quota, period > 0 ? period : 100000);
	}
	if (json_text(cpu, "cpus", "")[0])
		for (int v = 1; v <= 2; v++)
			put(&list[CPUS], v, "%s", json_text(cpu, "cpus", ""));
	if (json_text(cpu, "mems", "")[0])
		for (int v = 1; v <= 2; v++)
			put(&list[MEMS], v, "%s", json_text(cpu, "mems", ""));
}

static void read_limits(struct limit *list, json_object *resources)
{
	int64_t memory = json_int(object(resources, "memory"), "limit", 0);
	int64_t pids = json_int(object(resources, "pids"), "limit", 0);

	for (int v = 1; v <= 2; v++) {
		if (memory > 0)
			put(&list[MEMORY], v, "%" PRId64,
			    memory < INT64_MAX - MONITOR_MEMORY ? memory + MONITOR_MEMORY : INT64_MAX);
		if (pids > 0)
			put(&list[PIDS], v, "%" PRId64, pids);
	}
	read_cpu(list, object(resources, "cpu"));
}

/* ---- one folder ---------------------------------------------------------------------- */

static char *join(const char *folder, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

static char *read_text(struct node *node, const char *folder, const char *name)
{
	auto_free char *path = join(folder, name);
	char *text = NULL;
	size_t len = 0;

	if (!path || node->read_file(node, path, VALUE_MAX, &text, &len, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* A cpuset of version 1 takes nobody in before it has processors and memory. */
static void inherit(struct node *node, const char *parent, const char *folder)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		auto_free char *theirs = read_text(node, parent, files[i]);
		auto_free char *ours = read_text(node, folder, files[i]);

		if (theirs && ours && theirs[0] && !ours[0])
			(void)node->cgroup_write(node, folder, files[i], theirs, NULL);
	}
}

/* What the parent may hand on depends on the node; what is missing shows below. */
static void hand_on(struct node *node, const char *parent)
{
	static const char *const controllers[] = { "+memory", "+cpu", "+pids", "+cpuset" };

	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
		(void)node->cgroup_write(node, parent, "cgroup.subtree_control", controllers[i], NULL);
}

/* From the deepest that was there down. */
static int make(struct node *node, const char *folder, size_t had, struct err *err)
{
	auto_free char *path = strdup(folder);
	auto_free char *parent = strdup(folder);
	size_t len = strlen(folder);
	int rc = path && parent ? 0 : err_set(err, ENOMEM, "make cgroup %s", folder);

	for (size_t at = had; rc >= 0 && at < len;) {
		size_t next = at + 1 + strcspn(folder + at + 1, "/");

		parent[at] = '\0';
		path[next] = '\0';
		hand_on(node, parent);
		rc = node->make_dir(node, path, 0755, err);
		if (rc >= 0)
			inherit(node, parent, path);
		memcpy(path, folder, len);
		memcpy(parent, folder, len);
		at = next;
	}
	return rc < 0 ? rc : 0;
}

static int set_limit(struct node *node, const char *folder, struct limit *l, struct err *err)
{
	for (int v = 0; v < 2; v++) {
		auto_free char *path = l->text[v][0] ? join(folder, l->file[v]) : NULL;
		struct path_ident what;
		int rc;

		if (!path || node->path(node, path, &what, NULL) <= 0)
			continue;
		rc = node->cgroup_write(node, folder, l->file[v], l->text[v], err);
		if (rc < 0)
			return err_wrap(err, "set %s to %s", l->what, l->text[v]);
		l->set = true;
	}
	return 0;
}

/* A folder with somebody in it is another's: his limits are not ours to set. */
static int take(struct step *step, struct node *node, json_object *one, struct limit *list,
		struct err *err)
{
	const char *folder = json_text(one, "path", "");
	size_t had = (size_t)json_uint(one, "had", 0);
	struct cgroup_info info;
	int rc;

	if (json_true(one, "plain") || had == 0)
		return 0;
	if (had >= strlen(folder) && node->cgroup(node, folder, &info, NULL) > 0 && info.populated)
		return err_say(err, EEXIST, "cgroup %s of %s/%s is in use by another container", folder,
			       step->task->key.ns, step->task->key.id);
	rc = make(node, folder, had, err);
	crash_point("cgroup-made");
	for (int i = 0; i < LIMITS_N && rc == 0; i++)
		if (list[i].asked)
			rc = set_limit(node, folder, &list[i], err);
	return rc;
}

static int set_all(struct step *step, struct step_env *env, json_object *resources,
		   struct err *err)
{
	struct limit list[LIMITS_N] = {
		[MEMORY] = { .what = "the memory limit", .file = { "memory.limit_in_bytes", "memory.max" } },
		[SHARES] = { .what = "the cpu shares", .file = { "cpu.shares", "cpu.weight" } },
		[PERIOD] = { .what = "the cpu period", .file = { "cpu.cfs_period_us", "" } },
		[QUOTA] = { .what = "the cpu quota", .file = { "cpu.cfs_quota_us", "cpu.max" } },
		[PIDS] = { .what = "the limit of processes", .file = { "pids.max", "pids.max" } },
		[CPUS] = { .what = "the processors", .file = { "cpuset.cpus", "cpuset.cpus" } },
		[MEMS] = { .what = "the memory nodes", .file = { "cpuset.mems", "cpuset.mems" } },
	};
	auto_json json_object *have = step_have_of(env, "cgroup");
	json_object *folders = json_list(have, "folders");
	size_t n = folders ? json_object_array_length(folders) : 0;
	int rc = 0;

	if (!have)
		return err_say(err, EIO, "the cgroups of %s/%s can't be read from the journal",
			       step->task->key.ns, step->task->key.id);
	read_limits(list, resources);
	for (int i = 0; i < LIMITS_N && rc == 0; i++)
		if (list[i].cut)
			rc = err_say(err, E2BIG, "%s of %s/%s can't be set: more than %d bytes",
				     list[i].what, step->task->key.ns, step->task->key.id, VALUE_MAX - 1);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = take(step, env->node, json_object_array_get_idx(folders, i), list, err);
	for (int i = 0; i < LIMITS_N && rc == 0; i++)
		if (list[i].asked && !list[i].set && i == SHARES) /* a wish, beside others */
			step_note(step, env, "%s are not set: there is no such controller", list[i].what);
		else if (list[i].asked && !list[i].set && i != PERIOD)
			rc = err_say(err, ENOTSUP, "%s of %s/%s can't be set: no cgroup of it has a "
				     "%s or %s", list[i].what, step->task->key.ns, step->task->key.id,
				     list[i].file[0], list[i].file[1]);
	return rc;
}

static int limits_apply(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	struct spec spec = SPEC_INIT;
	int rc = 0;

	(void)wake;
	(void)next;
	if (!object(step->want, "sandbox"))
		rc = spec_load(&spec, env->node, json_text(step->want, "bundle", ""), err);
	if (rc == 0)
		rc = set_all(step, env, object(object(spec.json, "linux"), "resources"), err);
	spec_clear(&spec);
	return rc;
}

const struct step_ops step_limits = {
	.kind = "limits",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 5000,
	.undo_ms = 1000,
	.apply = limits_apply,
	.undo = step_nothing,
};
