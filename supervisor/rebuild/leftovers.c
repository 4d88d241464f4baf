/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/rebuild/leftovers.h"

#include "supervisor/engine/drive.h"
#include "supervisor/engine/search.h"
#include "supervisor/step/step.h"
#include "supervisor/unikernel/monitors.h"

#include "journal/base/cleanup.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_MAX  (1 << 20) /* bytes of a state.json                   */
#define LIST_MS    30000     /* for all network namespaces              */
#define NETNS_MAX  4096      /* of them                                 */
#define FIX_SIZE   256
#define INIT_PID   1         /* who inherits a dead shim's children     */

struct hunt {
	struct engine *e;
	struct node *n;
	void (*each)(void *arg, const struct leftover_found *found);
	void *arg;
	struct proc_info *procs;
	size_t n_procs;
	char *ours; /* "/ns/id\n" of every task of our journals */
	struct err *err; /* of that list */
};

__attribute__((format(printf, 5, 6)))
static void found(struct hunt *h, enum leftover what, bool safe, const char *fix,
		  const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	const struct leftover_found f = { .what = what, .safe = safe, .text = text, .fix = fix };
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	h->each(h->arg, &f);
}

/* What is printed for root to paste, and is named by somebody else. */
static bool is_plain(const char *name)
{
	return !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789/._:@%+=-")];
}

/* A command for people to paste: none, if the name is not plain, or it would be cut. */
__attribute__((format(printf, 3, 4)))
static void command(char *fix, const char *name, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(fix, FIX_SIZE, fmt, ap);
	va_end(ap);
	if (n >= FIX_SIZE || !is_plain(name))
		fix[0] = '\0';
}

/* ---- what is ours ------------------------------------------------------------------ */

static int keep_key(void *arg, const struct task_key *key, const char *file)
{
	struct hunt *h = arg;
	char *more = NULL;

	(void)file;
	if (asprintf(&more, "%s/%s/%s\n", h->ours ? h->ours : "", key->ns, key->id) < 0)
		return err_set(h->err, ENOMEM, "list the tasks");
	free(h->ours);
	h->ours = more;
	return 0;
}

/* A path with the namespace and the id of one of our tasks, one after the other. */
static bool is_ours(const struct hunt *h, const char *path)
{
	for (const char *at = h->ours; at && *at; at = strchr(at, '\n') + 1) {
		size_t len = strcspn(at, "\n");
		const char *in = memmem(path, strlen(path), at, len);

		if (in && (in[len] == '/' || in[len] == '\0'))
			return true;
	}
	return false;
}

static const struct proc_info *proc_of(const struct hunt *h, int64_t pid)
{
	for (size_t i = 0; i < h->n_procs; i++)
		if (h->procs[i].ident.pid == pid && h->procs[i].state != 'Z')
			return &h->procs[i];
	return NULL;
}

/* Of urunc's: the runtime itself, waiting, or what it has become. comm is cut. */
static bool is_urunc(const struct proc_info *p)
{
	if (strncmp(p->comm, "urunc", strlen("urunc")) == 0)
		return true;
	for (const struct monitor *m = monitors; m->name; m++)
		if (strncmp(p->comm, m->binary, 15) == 0)
			return true;
	return false;
}

/* ---- state folders, and their processes --------------------------------------------- */

struct state {
	const char *folder, *id, *bundle; /* lent */
	int64_t pid;
};

static void look_at_process(struct hunt *h, const struct state *s, const struct proc_info *p,
			    bool bundle)
{
	char fix[FIX_SIZE];

	if (p->ppid != INIT_PID)
		return;
	(void)snprintf(fix, sizeof(fix), "kill -KILL %d", (int)p->ident.pid);
	/* A pid and a name prove nothing: it may be another's monitor by now. */
	found(h, LEFT_PROCESS, false, fix, "process %d (%s) of urunc's container %s lives, its "
	      "shim is dead%s", (int)p->ident.pid, p->comm, s->id,
	      bundle ? "; its bundle is still there, so ask containerd for it first"
		     : "; see from its command line that it is this one");
}

static void look_at_state(struct hunt *h, const struct state *s)
{
	const struct proc_info *p = s->pid > 0 ? proc_of(h, s->pid) : NULL;
	struct path_ident what;
	bool bundle = h->n->path(h->n, s->bundle, &what, NULL) != 0;
	char fix[FIX_SIZE];

	if (p && is_urunc(p)) {
		look_at_process(h, s, p, bundle);
		return;
	}
	command(fix, s->folder, "rm -r %s", s->folder);
	found(h, LEFT_STATE, !bundle, fix, "state folder %s of urunc's container %s, whose process "
	      "%lld is gone%s", s->folder, s->id, (long long)s->pid,
	      bundle ? "; its bundle is still there, so ask containerd for it first" : "");
}

/* Only urunc's runtime writes such a file: OCI's members, and annotations of its own. */
static bool is_urunc_state(json_object *o)
{
	json_object *annotations = NULL;

	if (!json_object_is_type(o, json_type_object) || !json_text(o, "ociVersion", NULL) ||
	    !json_text(o, "bundle", NULL) ||
	    !json_object_object_get_ex(o, "annotations", &annotations))
		return false;
	return strstr(json_object_to_json_string_ext(annotations, JSON_C_TO_STRING_PLAIN),
		      "\"com.urunc.unikernel.") != NULL;
}

/* 1: it is a state folder, whosever; 0: it has no state.json. */
static int look_in(struct hunt *h, const char *folder)
{
	auto_free char *file = NULL;
	auto_free char *text = NULL;
	auto_json json_object *o = NULL;
	size_t len = 0;

	if (asprintf(&file, "%s/state.json", folder) < 0) {
		file = NULL;
		return 0;
	}
	if (h->n->read_file(h->n, file, STATE_MAX, &text, &len, NULL) < 0)
		return 0;
	o = json_tokener_parse(text);
	if (is_urunc_state(o) && !is_ours(h, folder)) {
		const struct state s = { .folder = folder, .id = strrchr(folder, '/') + 1,
					 .bundle = json_text(o, "bundle", ""),
					 .pid = json_int(o, "pid", 0) };

		look_at_state(h, &s);
	}
	return 1;
}

static void look_below(struct hunt *h, const char *folder, int depth)
{
	auto_free char **names = NULL;

	if (h->n->list_dir(h->n, folder, &names, NULL) < 0)
		return;
	for (char **name = names; *name; name++) {
		auto_free char *path = NULL;

		if (asprintf(&path, "%s/%s", folder, *name) < 0)
			path = NULL;
		if (path && !look_in(h, path) && depth > 1)
			look_below(h, path, depth - 1);
	}
}

/* ---- mounts --------------------------------------------------------------------------- */

static bool has_part(const char *path, const char *part)
{
	const char *at = strstr(path, part);

	return at && (at[strlen(part)] == '/' || at[strlen(part)] == '\0');
}

static int look_at_mounts(struct hunt *h, struct err *err)
{
	struct mount_list list = { 0 };
	int rc = h->n->mounts(h->n, &list, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < list.n; i++) {
		const char *target = list.at[i].target;
		bool view = has_part(target, "/rootfs-view-mount");
		char fix[FIX_SIZE];

		if ((!view && !has_part(target, "/monRootfs")) || is_ours(h, target))
			continue;
		command(fix, target, "umount %s", target);
		found(h, LEFT_MOUNT, !view, fix, "a %s is mounted on %s%s", list.at[i].type, target,
		      view ? "; its lease and its snapshot may be there as well"
			   : ", which should be seen by a monitor alone");
	}
	mount_list_clear(&list);
	return 0;
}

/* ---- network namespaces ---------------------------------------------------------------- */

struct namespaces {
	json_object *paths;
	uint64_t *inos;
	size_t n;
};

static void add_namespace(struct namespaces *all, uint64_t ino, const char *path)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->inos[i] == ino)
			return;
	if (!ino || all->n >= NETNS_MAX)
		return;
	all->inos[all->n++] = ino;
	json_object_array_add(all->paths, json_object_new_string(path));
}

static void add_named(struct hunt *h, struct namespaces *all, const char *folder)
{
	auto_free char **names = NULL;

	if (h->n->list_dir(h->n, folder, &names, NULL) < 0)
		return;
	for (char **name = names; *name; name++) {
		char path[PATH_MAX];
		struct path_ident what;

		(void)snprintf(path, sizeof(path), "%s/%s", folder, *name);
		if (h->n->path(h->n, path, &what, NULL) > 0)
			add_namespace(all, what.ino, path);
	}
}

/* Somebody of urunc's is in there, who may be just about to use it. */
static bool is_used(const struct hunt *h, const struct namespaces *all, const char *path)
{
	uint64_t ino = 0;

	for (size_t i = 0; i < all->n; i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(all->paths, i)),
			   path) == 0)
			ino = all->inos[i];
	for (size_t i = 0; i < h->n_procs; i++)
		if (h->procs[i].netns == ino && is_urunc(&h->procs[i]))
			return true;
	return false;
}

static void tell_taps(struct hunt *h, json_object *one, const char *path, bool used)
{
	json_object *taps = json_list(one, "taps");
	size_t n = taps ? json_object_array_length(taps) : 0;
	char fix[FIX_SIZE];

	for (size_t i = 0; i < n; i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(taps, i));

		command(fix, path, "nsenter --net=%s ip link del %s", path, name);
		found(h, LEFT_TAP, !used, fix, "%s in network namespace %s, which nobody has open%s",
		      name, path, used ? "; but a process of urunc's is in there" : "");
	}
}

static void tell_redirects(struct hunt *h, json_object *one, const char *path, bool used)
{
	json_object *list = json_list(one, "redirects");
	size_t n = list ? json_object_array_length(list) : 0;
	char fix[FIX_SIZE];

	for (size_t i = 0; i < n; i++) {
		json_object *r = json_object_array_get_idx(list, i);
		const char *iface = json_text(r, "iface", "");
		const char *to = json_text(r, "to", "");

		command(fix, path, "nsenter --net=%s tc qdisc del dev %s %s", path, iface,
			json_text(r, "kind", ""));
		if (!is_plain(iface)) /* whoever is root in the pod has named it */
			fix[0] = '\0';
		found(h, LEFT_REDIRECT, !used, fix, "what comes in at %s in network namespace %s "
		      "goes to %s, so that the pod hears nothing%s", iface, path,
		      *to ? to : "an interface that is gone",
		      used ? "; but a process of urunc's is in there" : "");
	}
}

static int ask(struct hunt *h, const struct namespaces *all, json_object **ret, struct err *err)
{
	auto_json json_object *args = json_object_new_object();
	auto_free char *out = NULL;
	int rc;

	json_put(args, "paths", json_object_get(all->paths));
	rc = drive_job(h->n, JOB_NET_LIST,
		       json_object_to_json_string_ext(args, JSON_C_TO_STRING_PLAIN),
		       h->n->now_ms(h->n) + LIST_MS, &out, err);
	if (rc < 0)
		return rc;
	if (rc > 0)
		return err_say(err, rc, "list the network namespaces: %s", out ? out : "");
	*ret = json_tokener_parse(out);
	return json_object_is_type(*ret, json_type_array)
		       ? 0 : err_say(err, EPROTO, "list the network namespaces: no answer");
}

static int look_at_networks(struct hunt *h, struct err *err)
{
	auto_json json_object *paths = json_object_new_array();
	auto_json json_object *answer = NULL;
	auto_free uint64_t *inos = calloc(NETNS_MAX, sizeof(*inos));
	struct namespaces all = { .paths = paths, .inos = inos };
	char path[64];
	int rc;

	if (!inos)
		return err_set(err, ENOMEM, "list the network namespaces");
	add_named(h, &all, "/run/netns");
	add_named(h, &all, "/run/docker/netns");
	for (size_t i = 0; i < h->n_procs; i++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)h->procs[i].ident.pid);
		add_namespace(&all, h->procs[i].netns, path);
	}
	rc = ask(h, &all, &answer, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < json_object_array_length(answer); i++) {
		json_object *one = json_object_array_get_idx(answer, i);
		const char *where = json_text(one, "path", "");
		bool used = is_used(h, &all, where);

		tell_taps(h, one, where, used);
		tell_redirects(h, one, where, used);
	}
	return 0;
}

int leftovers(struct engine *e, const struct journal_place *place,
	      void (*each)(void *arg, const struct leftover_found *found), void *arg,
	      struct err *err)
{
	struct hunt h = { .e = e, .n = e->node, .each = each, .arg = arg, .err = err };
	int rc = journal_list(place, JOURNAL_LIVE, keep_key, &h, err);

	if (rc == 0)
		rc = h.n->scan(h.n, &h.procs, &h.n_procs, err);
	if (rc == 0)
		rc = look_at_networks(&h, err);
	for (size_t i = 0; rc == 0 && host_state_roots[i]; i++)
		look_below(&h, host_state_roots[i], 2);
	if (rc == 0)
		rc = look_at_mounts(&h, err);
	free(h.procs);
	free(h.ours);
	return rc;
}
