/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rebuild.c - rows for a task whose journal says nothing, from what the host proves.
 *
 * They are the rows that `start` and Create would have written, done, with the
 * identities of what stands there now: so the ordinary takedown takes it back.
 *
 * A cgroup has no owner but its path. One that init is in is found through init; an
 * empty one goes; one with strangers in it stays, and is named.
 */
#include "supervisor/rebuild/evidence.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/bundle/json.h"
#include "supervisor/bundle/request.h"
#include "supervisor/bundle/spec.h"
#include "supervisor/engine/plan.h"
#include "supervisor/oci/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rebuild {
	struct work *w;
	struct node *n;
	struct evidence ev;
	struct mount_list mounts;
	struct task_row task;
	json_object *request;
	size_t next_mount;  /* of the mount rows, which come in the mounts' order */
	struct ident init;
	bool init_alive;
};

/* ---- the task's row -------------------------------------------------------------------- */

static bool on_rootfs(const struct rebuild *b, const struct mount_info *m)
{
	size_t len = strlen(b->ev.bundle);

	if (strncmp(m->target, b->ev.bundle, len) != 0 ||
	    strncmp(m->target + len, "/rootfs", 7) != 0)
		return false;
	return m->target[len + 7] == '\0' || m->target[len + 7] == '/';
}

static json_object *rootfs(struct rebuild *b)
{
	json_object *list = json_object_new_array();

	for (size_t i = 0; i < b->mounts.n; i++) {
		const struct mount_info *m = &b->mounts.at[i];
		json_object *one;

		if (!on_rootfs(b, m))
			continue;
		one = json_object_new_object();
		json_put_text(one, "type", m->type);
		json_put_text(one, "source", m->source);
		json_put_text(one, "target", m->target + strlen(b->ev.bundle) + strlen("/rootfs"));
		json_object_array_add(list, one);
	}
	return list;
}

/* systemd's way to name a cgroup: slice:prefix:name. */
static bool is_systemd(const char *cgroup)
{
	const char *colon = strchr(cgroup, ':');

	return colon && strchr(colon + 1, ':');
}

/* What Create asked, as far as the bundle and the mounts still tell. */
static void make_request(struct rebuild *b)
{
	json_object *options = json_object_new_object();
	struct spec spec = SPEC_INIT;
	const char *cgroup = "";

	b->request = json_object_new_object();
	json_put(b->request, "rootfs", rootfs(b));
	if (spec_load(&spec, b->n, b->ev.bundle, NULL) == 0) {
		cgroup = spec.cgroups_path;
		json_put_text(b->request, "netns", spec.netns);
	}
	json_put_text(b->request, "cgroups_path", cgroup);
	json_put(options, "systemd_cgroup", json_object_new_boolean(is_systemd(cgroup)));
	json_put(b->request, "options", options);
	if (b->ev.monitor.pid) { /* which one is nobody's business any more */
		auto_json json_object *unikernel = json_object_new_object();

		(void)request_unikernel(b->request, &spec, unikernel, NULL);
	}
	spec_clear(&spec);
}

static int write_texts(struct rebuild *b, struct err *err)
{
	struct journal *j = b->w->j;
	const struct {
		enum task_text field;
		const char *text;
	} texts[] = {
		{ TASK_EPOCH, b->n->epoch(b->n) },
		{ TASK_ADDRESS, b->ev.address },
		{ TASK_TTRPC_ADDRESS, b->ev.ttrpc_address },
		{ TASK_SOCKET, b->ev.socket },
		{ TASK_RUNTIME, b->ev.runtime },
		{ TASK_RUNTIME_ROOT, b->ev.root },
		{ TASK_REQUEST, b->request ? json_write(b->request) : NULL },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++)
		if (texts[i].text)
			r = journal_set_text(j, texts[i].field, texts[i].text, err);
	if (r == 0 && b->ev.bundle)
		r = journal_set_bundle(j, b->ev.bundle, b->ev.dir.dev, b->ev.dir.ino, err);
	return r == 0 ? journal_task(j, &b->task, err) : r;
}

/* ---- what the steps have ------------------------------------------------------------------ */

static void have_mount(struct rebuild *b, json_object *have)
{
	const struct mount_info *m;
	json_object *known;

	while (b->next_mount < b->mounts.n && !on_rootfs(b, &b->mounts.at[b->next_mount]))
		b->next_mount++;
	if (b->next_mount == b->mounts.n)
		return;
	m = &b->mounts.at[b->next_mount++];
	known = json_object_new_object();
	json_put_int(known, "id", m->id);
	json_put_text(known, "type", m->type);
	json_put_text(known, "source", m->source);
	json_put_text(known, "target", m->target);
	json_put(have, "mount", known);
}

static int have_init(struct rebuild *b, struct step *step, struct step_env *env, struct err *err)
{
	auto_free char *cgroups = NULL;

	if (!b->init_alive)
		return 0;
	if (b->n->cgroups_of(b->n, &b->init, &cgroups, NULL) == 0)
		json_put_text(step->have, "cgroups", cgroups);
	json_put_ident(step->have, "init", &b->init);
	return journal_set_init(env->journal, &b->init, err);
}

static void unclear(struct rebuild *b, const char *path)
{
	char *text = b->w->unclear;
	size_t len = strlen(text);

	(void)snprintf(text + len, sizeof(b->w->unclear) - len, "%scgroup %s, with processes that "
		       "nobody can tell to be this task's", len ? "; " : "", path);
}

/* Is it ours to remove? Where init is, and nobody's. */
static bool may_go(struct rebuild *b, json_object *folder, const char *id)
{
	const char *path = json_text(folder, "path", "");
	struct cgroup_info info;

	/* What was there in all its length: it stands now. */
	if (json_uint(folder, "had", 0) != strlen(path) || !oci_cgroup_names(path, id))
		return false;
	if (json_true(folder, "plain"))
		return true;
	if (b->n->cgroup(b->n, path, &info, NULL) != 1)
		return false;
	if (!info.populated)
		return true;
	if (!b->init_alive)
		unclear(b, path);
	return false;
}

/* The forecast of the step itself; "had" is then all but the last folder. */
static int have_cgroups(struct rebuild *b, struct step *step, struct step_env *env,
			struct err *err)
{
	int r = step->ops->probe(step, env, err);
	json_object *all = json_list(step->have, "folders");
	json_object *ours = json_object_new_array();
	size_t n = all ? json_object_array_length(all) : 0;

	for (size_t i = 0; r >= 0 && i < n; i++) {
		json_object *one = json_object_array_get_idx(all, i);
		const char *path = json_text(one, "path", "");

		if (!may_go(b, one, b->task.key.id))
			continue;
		json_put_int(one, "had", strrchr(path, '/') - path);
		json_object_array_add(ours, json_object_get(one));
	}
	json_put(step->have, "folders", ours);
	return r < 0 ? r : 0;
}

/* As the monitor was told it; a process of the task may have put it there, to have
 * another task's taken. */
static void have_network(struct rebuild *b, json_object *have)
{
	auto_json json_object *known = json_read(b->ev.network);
	const struct task_key *key = &b->task.key;
	struct json_object_iterator at, end;
	char alias[256];

	(void)snprintf(alias, sizeof(alias), "urunc:%s/%s/%s", key->daemon, key->ns, key->id);
	if (!json_object_is_type(known, json_type_object) ||
	    strcmp(json_text(known, "alias", ""), alias) != 0)
		return;
	at = json_object_iter_begin(known);
	end = json_object_iter_end(known);
	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at))
		json_put(have, json_object_iter_peek_name(&at),
			 json_object_get(json_object_iter_peek_value(&at)));
}

static int fill(struct rebuild *b, struct step *step, struct step_env *env, struct err *err)
{
	const char *kind = step->ops->kind;

	if (strcmp(kind, "bundle") == 0)
		json_put_path(step->have, "dir", &b->ev.dir);
	else if (strcmp(kind, "mount") == 0)
		have_mount(b, step->have);
	else if (strcmp(kind, "cgroup") == 0)
		return have_cgroups(b, step, env, err);
	else if (strcmp(kind, "network") == 0)
		have_network(b, step->have);
	else if (strcmp(kind, "init") == 0 || strcmp(kind, "launch") == 0)
		return have_init(b, step, env, err);
	return 0;
}

/* ---- the steps' rows -------------------------------------------------------------------------- */

static bool is_held(const struct rebuild *b, const char *kind)
{
	if (strcmp(kind, "socket") == 0)
		return b->ev.socket;
	if (strcmp(kind, "state") == 0 || strcmp(kind, "init") == 0)
		return b->ev.state;
	if (strcmp(kind, "launch") == 0 || strcmp(kind, "poststop") == 0)
		return b->ev.monitor.pid != 0;
	if (strcmp(kind, "network") == 0)
		return b->ev.network;
	if (strcmp(kind, "address") == 0 || strcmp(kind, "bundle") == 0)
		return b->ev.dir.ino != 0;
	return strcmp(kind, "mount") == 0 || strcmp(kind, "cgroup") == 0;
}

static int write_row(struct rebuild *b, const struct step_row *row, json_object *have,
		     struct err *err)
{
	struct journal *j = b->w->j;
	int64_t now = b->n->wall_ns(b->n) / 1000000;
	int r = journal_intend(j, row->seq, b->n->epoch(b->n), false, now, err);

	if (r == 0)
		r = journal_have(j, row->seq, json_write(have), err);
	return r == 0 ? journal_settle(j, row->seq, ROW_DONE, NULL, now, err) : r;
}

static int settle_row(void *arg, const struct step_row *row, struct err *err)
{
	struct rebuild *b = arg;
	auto_json json_object *want = NULL;
	auto_json json_object *have = json_object_new_object();
	int r = json_read_row(&want, row->want, "the want of a row", err);
	struct step_env env = { .node = b->n, .journal = b->w->j,
				.config = b->w->engine->config, .stdio = { -1, -1, -1 },
				.recovering = true };
	struct step step = { .seq = row->seq, .ops = step_kind(row->kind), .task = &b->task,
			     .epoch = b->n->epoch(b->n), .want = want, .have = have };

	if (r == 0 && !have)
		r = err_set(err, ENOMEM, "rebuild");
	if (r < 0)
		return r;
	if (!step.ops || !is_held(b, row->kind))
		return journal_settle(b->w->j, row->seq, ROW_SKIPPED, NULL,
				      b->n->wall_ns(b->n) / 1000000, err);
	r = fill(b, &step, &env, err);
	return r == 0 ? write_row(b, row, have, err) : r;
}

static int write_plan(struct rebuild *b, enum plan plan, json_object *args, struct err *err)
{
	auto_free struct plan_list *list = calloc(1, sizeof(*list));
	struct journal *j = b->w->j;
	int64_t now = b->n->wall_ns(b->n) / 1000000;
	int64_t run;
	int r = list ? plan_make(list, plan, &b->task, b->request, args, err)
		     : err_set(err, ENOMEM, "a plan");

	if (r < 0)
		return r;
	r = journal_plan(j, plan_name(plan), list->at, list->n, now, &run, err);
	plan_clear(list);
	if (r == 0)
		r = journal_each_step(j, run, OLDEST_FIRST, settle_row, b, err);
	return r == 0 ? journal_close_run(j, run, RUN_DONE_ROW, "", now, err) : r;
}

static int write_serve(struct rebuild *b, struct err *err)
{
	auto_json json_object *args = json_object_new_object();
	auto_free char *address = NULL;

	if (!b->ev.socket)
		return 0;
	if (asprintf(&address, "unix://%s", b->ev.socket) < 0) {
		address = NULL;
		return err_set(err, ENOMEM, "rebuild");
	}
	json_put_text(args, "socket", b->ev.socket);
	json_put_text(args, "address", address);
	return write_plan(b, PLAN_SERVE, args, err);
}

/* init first: what its cgroups are depends on it. */
static int find_init(struct rebuild *b, struct err *err)
{
	auto_json json_object *want = json_object_new_object();
	struct step_env env = { .node = b->n };
	struct step step = { .task = &b->task, .want = want };
	int r;

	b->init = b->ev.monitor;
	b->init_alive = b->init.pid != 0;
	if (!b->ev.state)
		return 0;
	json_put_text(want, "root", b->ev.root);
	json_put_text(want, "bundle", b->ev.bundle);
	json_put_text(want, "id", b->task.key.id);
	r = oci_find_init(&step, &env, &b->init, err);
	b->init_alive = r > 0;
	return r < 0 ? r : 0;
}

static int write_all(struct rebuild *b, struct err *err)
{
	struct journal *j = b->w->j;
	int r = journal_begin(j, err);

	if (r < 0)
		return r;
	r = write_texts(b, err);
	if (r == 0)
		r = write_serve(b, err);
	if (r == 0)
		r = find_init(b, err);
	if (r == 0 && b->ev.bundle)
		r = write_plan(b, PLAN_CREATE, NULL, err);
	if (r == 0)
		r = journal_note(j, "rebuild", "its journal said nothing; these rows are what the "
				 "host proves to be this task's", err);
	if (r == 0)
		return journal_commit(j, err);
	journal_rollback(j);
	return r;
}

/*
 * Nothing below a bundle is proved: what has the name is told, and stays. What outlives a
 * boot is in the file, and that on the disk, before it is made: so a damaged file of an
 * earlier boot, as a power cut leaves some, held what died with it.
 */
static void search_names(struct rebuild *b)
{
	char *text = b->w->unclear;
	size_t size = sizeof(b->w->unclear);

	work_search_host(b->w, text, size);
	if (!*text && !b->w->earlier)
		(void)snprintf(text, size, "no bundle of it and nothing under its name was found; what "
			       "else it held nobody can tell");
}

int work_rebuild(struct work *w, struct err *err)
{
	struct rebuild b = { .w = w, .n = w->node };
	int r = evidence_take(&b.ev, w, err);

	if (r < 0)
		return r;
	w->rebuilt = true;
	if (b.ev.bundle) {
		r = b.n->mounts(b.n, &b.mounts, err);
		if (r == 0)
			make_request(&b);
	} else if (w->damaged) { /* else a start died before its first row */
		search_names(&b);
	}
	crash_point("rebuild");
	if (r == 0)
		r = write_all(&b, err);
	crash_point("rebuilt");
	json_object_put(b.request);
	task_row_clear(&b.task);
	mount_list_clear(&b.mounts);
	evidence_clear(&b.ev);
	return r;
}
