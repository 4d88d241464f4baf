/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/rebuild/evidence.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/json.h"
#include "supervisor/bundle/request.h"
#include "supervisor/engine/search.h"
#include "supervisor/oci/runtime.h"
#include "supervisor/service/bootstrap.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_MAX   (4 * 1024 * 1024) /* bytes of a runtime's state file */
#define ADDRESS_MAX 4096              /* bytes of an address file        */
#define DIRS "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define TASKS "/run/containerd/io.containerd.runtime.v2.task"

static const char *const usual_addresses[] = {
	"/run/containerd/containerd.sock",
	"/run/docker/containerd/containerd.sock",
	"/run/k3s/containerd/containerd.sock",
};

/* What another task of the same containerd says of where things are. */
struct search {
	struct work *w;
	struct evidence *ev;
	bool done;        /* it is the history that is read               */
	int rc;           /* < 0: a task could not be looked at           */
	char *tasks;      /* the folder above <ns>/<id>, of bundles       */
	char *roots;      /* the folder above <ns>, of the runtime's state */
	char *runtime;
	char *socket_dir;
};

static void search_clear(struct search *s)
{
	free(s->tasks);
	free(s->roots);
	free(s->runtime);
	free(s->socket_dir);
}

void evidence_clear(struct evidence *ev)
{
	free(ev->address);
	free(ev->ttrpc_address);
	free(ev->socket);
	free(ev->bundle);
	free(ev->runtime);
	free(ev->root);
	free(ev->network);
	*ev = (struct evidence){ .state = false };
}

/* ---- the address ------------------------------------------------------------------------ */

/* The length of @path without @tail; 0: it does not end so. */
static size_t before(const char *path, const char *tail)
{
	size_t len = strlen(path), cut = strlen(tail);

	return len > cut && strcmp(path + len - cut, tail) == 0 ? len - cut : 0;
}

static bool hashes_to(const struct task_key *key, const char *address)
{
	struct task_key made;

	return *address && task_key_make(&made, address, key->ns, key->id, NULL) == 0 &&
	       strcmp(made.daemon, key->daemon) == 0;
}

/* Nothing, if it is known or the text is empty. */
static void keep(struct search *s, char **to, const char *text, size_t len)
{
	if (*to || !len)
		return;
	*to = strndup(text, len);
	if (!*to)
		s->rc = -ENOMEM;
}

static void learn(struct search *s, const struct task_row *task)
{
	char tail[2 * JOURNAL_ID_MAX + 8];
	const char *slash = strrchr(task->socket, '/');

	(void)snprintf(tail, sizeof(tail), "/%s/%s", task->key.ns, task->key.id);
	keep(s, &s->tasks, task->bundle, before(task->bundle, tail));
	(void)snprintf(tail, sizeof(tail), "/%s", task->key.ns);
	keep(s, &s->roots, task->runtime_root, before(task->runtime_root, tail));
	if (task->runtime[0] == '/')
		keep(s, &s->runtime, task->runtime, strlen(task->runtime));
	keep(s, &s->socket_dir, task->socket, slash ? (size_t)(slash - task->socket) : 0);
	keep(s, &s->ev->address, task->address, strlen(task->address));
	keep(s, &s->ev->ttrpc_address, task->ttrpc_address, strlen(task->ttrpc_address));
}

/* Stops at the first that says it all. */
static int look_at_task(void *arg, const struct task_key *key, const char *file)
{
	struct search *s = arg;
	const struct task_key *ours = &s->w->ret->key;
	struct journal *j = NULL;
	struct task_row task;
	int r;

	if (strcmp(key->daemon, ours->daemon) != 0)
		return 0;
	r = s->done ? journal_open_file(&j, file, NULL)
		    : journal_open(&j, s->w->place, key, JOURNAL_READ, NULL);
	if (r == 0)
		r = journal_task(j, &task, NULL);
	if (r == 0) {
		if (hashes_to(ours, task.address))
			learn(s, &task);
		task_row_clear(&task);
	}
	journal_close(j);
	if (evidence_unseen(r))
		s->rc = r;
	return s->rc < 0 || (s->tasks && s->roots && s->runtime && s->socket_dir);
}

static int find_address(struct search *s, struct err *err)
{
	struct evidence *ev = s->ev;
	const struct task_key *key = &s->w->ret->key;
	const char *said = s->w->engine->address;
	int r;

	if (said && hashes_to(key, said))
		keep(s, &ev->address, said, strlen(said));
	r = journal_list(s->w->place, JOURNAL_LIVE, look_at_task, s, err);
	s->done = true;
	if (r == 0)
		r = journal_list(s->w->place, JOURNAL_DONE, look_at_task, s, err);
	for (size_t i = 0; i < ARRAY_SIZE(usual_addresses); i++)
		if (hashes_to(key, usual_addresses[i]))
			keep(s, &ev->address, usual_addresses[i], strlen(usual_addresses[i]));
	if (s->rc < 0)
		return err_set(err, -s->rc, "look at what other tasks of its containerd say");
	return r < 0 ? r : 0;
}

/* ---- the socket --------------------------------------------------------------------------- */

static int check_nobody(struct search *s, const char *path, struct err *err)
{
	struct node *n = s->w->node;
	int r = n->answers(n, path, err);

	if (r > 0)
		return err_say(err, EBUSY, "its journal says nothing, and a shim that does not hold "
			       "its lock answers on %s: whose things these are nobody can tell",
			       path);
	return r;
}

static int find_socket(struct search *s, struct err *err)
{
	const struct task_key *key = &s->w->ret->key;
	char path[SOCKET_PATH_MAX + 1];
	int r;

	if (!s->ev->address)
		return 0;
	r = bootstrap_socket(path, s->socket_dir ? s->socket_dir : SOCKET_DIR, s->ev->address,
			     key->ns, key->id, err);
	if (r == 0)
		r = check_nobody(s, path, err);
	if (r < 0)
		return r;
	s->ev->socket = strdup(path);
	return s->ev->socket ? 0 : err_set(err, ENOMEM, "look for %s", path);
}

/* ---- the bundle ---------------------------------------------------------------------------- */

static const char *last(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool evidence_unseen(int rc)
{
	return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE;
}

/* 1 and *ret; 0: there is none, or it says nothing. */
static int read_json(json_object **ret, struct node *n, const char *folder, const char *name,
		     struct err *err)
{
	auto_free char *path = NULL;
	auto_free char *text = NULL;
	size_t len;
	int r;

	if (asprintf(&path, "%s/%s", folder, name) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "read %s/%s", folder, name);
	}
	r = n->read_file(n, path, STATE_MAX, &text, &len, err);
	if (r < 0)
		return evidence_unseen(r) ? r : 0;
	*ret = json_read(text);
	return *ret != NULL;
}

/* crun and the OCI's own state name the bundle; runc has it among its labels. "": neither;
 * lent. */
static const char *bundle_of(json_object *state)
{
	json_object *config = NULL;
	json_object *labels;
	size_t n;

	if (!json_object_is_type(state, json_type_object) ||
	    !json_object_object_get_ex(state, "config", &config))
		return json_text(state, "bundle", "");
	labels = json_list(config, "labels");
	n = labels ? json_object_array_length(labels) : 0;
	for (size_t i = 0; i < n; i++) {
		const char *label = json_object_get_string(json_object_array_get_idx(labels, i));

		if (label && strncmp(label, "bundle=", 7) == 0)
			return label + 7;
	}
	return json_text(state, "bundle", "");
}

static bool names_bundle(json_object *state, const char *bundle)
{
	return strcmp(bundle_of(state), bundle) == 0;
}

/* 1: its address file names the task's socket; -ESTALE: another one; 0: there is none. */
static int read_address(struct search *s, const char *bundle, struct err *err)
{
	struct node *n = s->w->node;
	struct evidence *ev = s->ev;
	auto_free char *path = NULL;
	auto_free char *text = NULL;
	size_t len;
	int r;

	if (asprintf(&path, "%s/address", bundle) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "look at bundle %s", bundle);
	}
	r = n->read_file(n, path, ADDRESS_MAX, &text, &len, err);
	if (r < 0)
		return evidence_unseen(r) ? r : 0;
	if (!ev->socket || strncmp(text, "unix:///", 8) != 0 ||
	    strcmp(last(text), last(ev->socket)) != 0)
		return -ESTALE;
	/* The folder of sockets may be another one than is usual. */
	free(ev->socket);
	ev->socket = strdup(text + strlen("unix://"));
	return ev->socket ? 1 : err_set(err, ENOMEM, "look at bundle %s", bundle);
}

/* @sure: who named it knows. Takes the first that is proved. */
static int try_bundle(struct search *s, const char *path, bool sure, struct err *err)
{
	struct node *n = s->w->node;
	struct evidence *ev = s->ev;
	int r;

	if (ev->bundle)
		return 0;
	r = read_address(s, path, err);
	if (r == -ESTALE || (r == 0 && !sure))
		return 0;
	if (r == 1)
		r = check_nobody(s, ev->socket, err);
	if (r < 0)
		return r;
	ev->bundle = strdup(path);
	if (!ev->bundle)
		return err_set(err, ENOMEM, "look at bundle %s", path);
	r = n->path(n, path, &ev->dir, err);
	if (r <= 0)
		ev->dir = (struct path_ident){ .ino = 0 };
	return r < 0 && r != -ENOTDIR ? r : 0;
}

static int try_beside(struct search *s, const char *tasks, bool sure, struct err *err)
{
	const struct task_key *key = &s->w->ret->key;
	auto_free char *path = NULL;

	if (asprintf(&path, "%s/%s/%s", tasks, key->ns, key->id) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "look for a bundle");
	}
	return try_bundle(s, path, sure, err);
}

/* Any place, if a rootfs is mounted there. */
static int try_mounts(struct search *s, struct err *err)
{
	struct node *n = s->w->node;
	const struct task_key *key = &s->w->ret->key;
	struct mount_list list = { 0 };
	char tail[2 * JOURNAL_ID_MAX + 16];
	int r = n->mounts(n, &list, err);

	(void)snprintf(tail, sizeof(tail), "/%s/%s/rootfs", key->ns, key->id);
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		size_t len = before(list.at[i].target, tail);
		auto_free char *path = len ? strndup(list.at[i].target, len) : NULL;

		if (path)
			r = try_beside(s, path, false, err);
		else if (len)
			r = err_set(err, ENOMEM, "look for a bundle");
	}
	mount_list_clear(&list);
	return r;
}

/* Any place at all, if a runtime made a container of that name of it. */
static int try_named(struct search *s, const char *roots, struct err *err)
{
	static const char *const files[] = { "state.json", "status" };
	const struct task_key *key = &s->w->ret->key;
	auto_free char *folder = NULL;
	int r = 0;

	if (asprintf(&folder, "%s/%s/%s", roots, key->ns, key->id) < 0) {
		folder = NULL;
		return err_set(err, ENOMEM, "look for the runtime's state");
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++) {
		auto_json json_object *state = NULL;
		const char *path;

		r = read_json(&state, s->w->node, folder, files[i], err);
		path = bundle_of(state);
		if (r == 1)
			r = path[0] == '/' ? try_bundle(s, path, false, err) : 0;
	}
	return r;
}

static int find_bundle(struct search *s, struct err *err)
{
	const char *said = s->w->engine->bundle;
	int r = said && said[0] == '/' ? try_bundle(s, said, true, err) : 0;

	if (r == 0 && s->tasks)
		r = try_beside(s, s->tasks, true, err);
	if (r == 0)
		r = try_mounts(s, err);
	if (r == 0 && s->roots)
		r = try_named(s, s->roots, err);
	for (size_t i = 0; r == 0 && host_state_roots[i]; i++)
		r = try_named(s, host_state_roots[i], err);
	return r == 0 ? try_beside(s, TASKS, false, err) : r;
}

/* ---- the runtime's state ---------------------------------------------------------------------- */

/* The kind of runtime whose state this is, if it was made of the bundle; or NULL. */
static int made_by(const char **ret, struct node *n, const char *folder, const char *bundle,
		   struct err *err)
{
	auto_json json_object *state = NULL;
	auto_json json_object *status = NULL;
	int r = read_json(&state, n, folder, "state.json", err);

	*ret = NULL;
	if (r >= 0)
		r = read_json(&status, n, folder, "status", err);
	if (r < 0)
		return r;
	if (names_bundle(status, bundle))
		*ret = "crun";
	else if (names_bundle(state, bundle))
		*ret = json_int(state, "init_process_pid", 0) > 0 ? "runc" : "urunc";
	return 0;
}

static char *binary(struct search *s, const char *name)
{
	struct node *n = s->w->node;
	char *path = NULL;

	if (s->runtime && (!name || strcmp(last(s->runtime), name) == 0))
		return strdup(s->runtime);
	if (runtime_find(n, name ? name : s->w->engine->config->runtime, DIRS, &path, NULL) == 0)
		return path;
	/* Gone: what it would do is done by hand. */
	return asprintf(&path, "/usr/bin/%s", name ? name : "runc") < 0 ? NULL : path;
}

static int try_state(struct search *s, const char *roots, struct err *err)
{
	const struct task_key *key = &s->w->ret->key;
	struct evidence *ev = s->ev;
	auto_free char *root = NULL;
	auto_free char *folder = NULL;
	const char *kind;
	int r;

	if (ev->state)
		return 0;
	if (asprintf(&root, "%s/%s", roots, key->ns) < 0) {
		root = NULL;
		return err_set(err, ENOMEM, "look for the runtime's state");
	}
	if (asprintf(&folder, "%s/%s", root, key->id) < 0) {
		folder = NULL;
		return err_set(err, ENOMEM, "look for the runtime's state");
	}
	r = made_by(&kind, s->w->node, folder, ev->bundle, err);
	if (r < 0 || !kind)
		return r;
	ev->runtime = binary(s, kind);
	ev->root = TAKE_PTR(root);
	ev->state = true;
	return 0;
}

static int find_state(struct search *s, struct err *err)
{
	struct evidence *ev = s->ev;
	int r = 0;

	if (!ev->bundle)
		return 0;
	if (s->roots)
		r = try_state(s, s->roots, err);
	for (size_t i = 0; r == 0 && host_state_roots[i]; i++)
		r = try_state(s, host_state_roots[i], err);
	if (r < 0 || ev->state)
		return r;
	/* Nothing of a runtime: what plans are made of needs names all the same. */
	ev->runtime = binary(s, NULL);
	return asprintf(&ev->root, "%s/%s", s->roots ? s->roots : REQUEST_ROOT,
			s->w->ret->key.ns) < 0
		       ? err_set(err, ENOMEM, "look for the runtime's state")
		       : 0;
}

int evidence_take(struct evidence *ret, struct work *w, struct err *err)
{
	struct evidence ev = { .state = false };
	struct search s = { .w = w, .ev = &ev };
	int r = find_address(&s, err);

	if (r == 0)
		r = find_socket(&s, err);
	if (r == 0)
		r = find_bundle(&s, err);
	if (r == 0)
		r = find_state(&s, err);
	if (r == 0)
		r = evidence_monitor(&ev, w, err);
	search_clear(&s);
	if (r == 0)
		*ret = ev;
	else
		evidence_clear(&ev);
	return r;
}
