/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network.c - the guest's tap, and the redirects between it and the pod's interface.
 *
 * want, have: see supervisor/net/net.h
 * in have besides: "undoing": true while a resumed apply takes back what an earlier one
 * made; "tries".
 *
 * All work is done by children, for it is done in another network namespace: one looks
 * and names what would be made; that is committed; one makes it. What apply finds under
 * way when it is resumed is taken back first, and made anew: a look costs a few ms.
 *
 * Failures: the name is taken between look and making: looked again. Undo: the namespace
 * is gone, or its number belongs to another one now: nothing of ours is left. It is
 * looked for at its path, at init, and then at every process; and again, if what it was
 * found at is gone when the child gets there, until it is found nowhere.
 */
#include "supervisor/net/choose.h"
#include "supervisor/net/net.h"
#include "supervisor/bundle/json.h"
#include "supervisor/step/step.h"
#include "supervisor/unikernel/order.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"

#include <errno.h>
#include <string.h>

#define TRIES 8

extern const struct step_ops step_network;

/* ---- which namespace --------------------------------------------------------- */

static char *of_process(const struct ident *who)
{
	char *path = NULL;

	return asprintf(&path, "/proc/%d/ns/net", (int)who->pid) < 0 ? NULL : path;
}

/* Where it is looked for at first; the caller frees. */
static char *wanted_path(struct step *step, struct ident *ret_init, struct err *err)
{
	const char *path = json_text(step->want, "netns", "");
	char *text = NULL;

	*ret_init = (struct ident){ 0 };
	if (*path) {
		text = strdup(path);
	} else if (json_true(step->want, "init") && step->task->init.pid > 0) {
		*ret_init = step->task->init;
		text = of_process(ret_init);
	} else {
		(void)err_say(err, EINVAL, "network of %s/%s: neither a namespace's path nor an "
			      "init is known", step->task->key.ns, step->task->key.id);
		return NULL;
	}
	if (!text)
		(void)err_set(err, ENOMEM, "network of %s/%s", step->task->key.ns,
			      step->task->key.id);
	return text;
}

static int by_scan(char **ret, struct node *node, uint64_t ino, struct err *err)
{
	struct proc_info *procs = NULL;
	size_t n = 0;
	int rc = node->scan(node, &procs, &n, err);

	for (size_t i = 0; rc == 0 && i < n && !*ret; i++) {
		if (procs[i].netns != ino)
			continue;
		*ret = of_process(&procs[i].ident);
		if (!*ret)
			rc = err_set(err, ENOMEM, "look for a network namespace");
	}
	free(procs);
	return rc < 0 ? rc : 0;
}

/* A process in the namespace, by which one can look into it without going there, or go
 * there; *ret NULL: there is none. */
static int inside(char **ret, struct step *step, struct node *node, uint64_t ino,
		  struct err *err)
{
	struct proc_info init;

	if (step->task->init.pid > 0 && node->look(node, step->task->init.pid, &init, NULL) > 0 &&
	    init.netns == ino)
		*ret = of_process(&step->task->init);
	return *ret ? 0 : by_scan(ret, node, ino, err);
}

/* Where the recorded namespace is now; *ret NULL: nowhere, for sure. The child checks the
 * identity of what it opens, so this may be wrong by then. */
static int recorded_path(char **ret, struct step *step, struct node *node, struct err *err)
{
	const char *path = json_text(step->want, "netns", "");
	struct path_ident was = { 0 };
	struct path_ident is;
	int rc = *path ? node->path(node, path, &is, err) : 0;

	(void)json_path(step->have, "netns", &was);
	if (rc < 0 && rc != -ENOTDIR && rc != -ESRCH)
		return rc;
	if (rc <= 0 || is.dev != was.dev || is.ino != was.ino)
		return inside(ret, step, node, was.ino, err);
	*ret = strdup(path);
	return *ret ? 0 : err_set(err, ENOMEM, "look for a network namespace");
}

/* ---- the three children ------------------------------------------------------- */

/* What the jobs get: have, and where. */
static json_object *job_args(struct step *step, const char *path, const struct ident *init)
{
	json_object *args = NULL;

	if (json_object_deep_copy(step->have, &args, NULL) < 0)
		return NULL;
	/* A rebuilt row's want has none. */
	json_put_text(args, "mode", json_text(step->have, "mode",
					      json_text(step->want, "mode", "dynamic")));
	json_put_text(args, "path", path);
	json_put_int(args, "uid", json_int(step->want, "uid", 0));
	json_put_int(args, "gid", json_int(step->want, "gid", 0));
	if (init->pid > 0) {
		json_put_int(args, "pid", init->pid);
		json_put_uint(args, "start", init->start);
	}
	return args;
}

static int start_job(struct step *step, struct step_env *env, enum job job, struct wait *next,
		     struct err *err)
{
	struct ident init;
	auto_free char *path = wanted_path(step, &init, err);

	if (!path)
		return err->code ? -err->code : -EINVAL;
	return step_job(step, env, job, job_args(step, path, &init),
			job == JOB_NET_LOOK ? "look at the network" : "make the network", next,
			err);
}

static int look(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	return start_job(step, env, JOB_NET_LOOK, next, err);
}

/* STEP_DONE: there is nothing to take back. */
static int detach(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	auto_free char *path = NULL;
	const struct ident nobody = { 0 };
	int rc = recorded_path(&path, step, env->node, err);

	if (rc < 0 || !path)
		return rc < 0 ? rc : STEP_DONE;
	return step_job(step, env, JOB_NET_DETACH, job_args(step, path, &nobody),
			"take the network back", next, err);
}

/* What a look may answer, and what we add to it. */
static const char *const names[] = { "netns", "none", "iface", "ifindex", "mac", "mtu", "ip",
				     "gateway", "ip6", "gateway6", "tap", "slot", "qdisc",
				     "kept", "alias", "cookie", "tap_index", "undoing", NULL };

static void keep_answer(struct step *step, json_object *seen)
{
	json_object *value = NULL;

	for (size_t i = 0; names[i]; i++)
		if (json_object_object_get_ex(seen, names[i], &value))
			json_put(step->have, names[i], json_object_get(value));
}

/* ---- apply -------------------------------------------------------------------- */

static void name_ours(struct step *step, struct step_env *env)
{
	const struct task_key *key = &step->task->key;
	struct node *node = env->node;
	char alias[256];
	char cookie[40];

	(void)snprintf(alias, sizeof(alias), "urunc:%s/%s/%s", key->daemon, key->ns, key->id);
	(void)snprintf(cookie, sizeof(cookie), "75726e63%08x%016llx", (uint32_t)node->random(node),
		       (unsigned long long)node->random(node));
	json_put_text(step->have, "mode", json_text(step->want, "mode", "dynamic"));
	json_put_text(step->have, "alias", alias);
	json_put_text(step->have, "cookie", cookie);
}

static int no_network(struct step *step, struct step_env *env, const char *why, struct err *err)
{
	step_note(step, env, "no network for %s/%s: %s", step->task->key.ns, step->task->key.id,
		  why);
	json_put_text(step->have, "none", why);
	return step_save(step, env, err);
}

/* Before anything is made: can this type of guest be told what it is to have? */
static int check_guest(struct step *step, struct step_env *env, json_object *seen,
		       struct err *err)
{
	const struct guest *guest = guest_find(json_text(step->want, "guest", ""));
	const char *version = json_text(step->want, "version", "");
	struct order_net net;
	int rc = order_read_net(&net, seen, err);

	if (rc < 0 || !guest || json_text(seen, "none", NULL))
		return rc;
	rc = guest_net_check(guest, &net.net, err);
	if (rc == 0 && net.net.ip6 && net.net.ip && !guest_ipv6(guest, version, true))
		step_note(step, env, "a guest of type %s%s%s is not told %s: its command line takes "
			  "no IPv6 address beside %s", guest->name, version[0] ? " " : "", version,
			  net.ip6, net.ip);
	return rc;
}

static int looked(struct step *step, struct step_env *env, const struct wake *wake,
		  struct wait *next, struct err *err)
{
	auto_free char *text = wake->why == WAKE_CHILD && wake->status == 0
				       ? step_output(env, wake) : NULL;
	auto_json json_object *seen = text ? json_read(text) : NULL;
	int rc = text ? 0 : step_job_result(env, wake, "look at the network", err);

	if (rc < 0)
		return rc;
	if (!json_object_is_type(seen, json_type_object))
		return err_say(err, EPROTO, "look at the network: its answer is no JSON object");
	rc = check_guest(step, env, seen, err);
	if (rc < 0)
		return rc;
	keep_answer(step, seen);
	if (json_text(seen, "none", NULL))
		return no_network(step, env, json_text(seen, "none", ""), err);
	if (!json_text(seen, "tap", NULL) || !json_text(seen, "iface", NULL))
		return err_say(err, EPROTO, "look at the network: its answer names no tap");
	name_ours(step, env);
	rc = step_save(step, env, err);
	return rc < 0 ? rc : start_job(step, env, JOB_NET_ATTACH, next, err);
}

/* Nothing of it is there: forget the names, and begin anew. */
static int look_again(struct step *step, struct step_env *env, struct wait *next,
		      struct err *err)
{
	int64_t tries = json_int(step->have, "tries", 0);
	int rc;

	if (tries >= TRIES)
		return err_say(err, EBUSY, "network of %s/%s: what was free at the look was taken "
			       "before it could be made, %d times", step->task->key.ns,
			       step->task->key.id, TRIES);
	for (size_t i = 0; names[i]; i++)
		json_object_object_del(step->have, names[i]);
	json_put_int(step->have, "tries", tries + 1);
	rc = step_save(step, env, err);
	return rc < 0 ? rc : look(step, env, next, err);
}

static int attached(struct step *step, struct step_env *env, const struct wake *wake,
		    struct wait *next, struct err *err)
{
	auto_free char *text = wake->why == WAKE_CHILD && wake->status == 0
				       ? step_output(env, wake) : NULL;
	auto_json json_object *made = text ? json_read(text) : NULL;
	int rc = text ? 0 : step_job_result(env, wake, "make the network", err);

	if (rc == -EAGAIN)
		return look_again(step, env, next, err);
	if (rc < 0)
		return rc;
	crash_point("network-made");
	if (json_int(made, "tap_index", 0) <= 0)
		return err_say(err, EPROTO, "make the network: its answer has no index");
	json_put_int(step->have, "tap_index", json_int(made, "tap_index", 0));
	return step_save(step, env, err);
}

/* An earlier apply got somewhere; nobody knows where. */
static int start_over(struct step *step, struct step_env *env, struct wait *next,
		      struct err *err)
{
	int rc;

	json_put(step->have, "undoing", json_object_new_boolean(true));
	rc = step_save(step, env, err);
	if (rc == 0)
		rc = detach(step, env, next, err);
	return rc == STEP_DONE ? look_again(step, env, next, err) : rc;
}

static int started_over(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	int rc = step_job_result(env, wake, "take the network back", err);

	if (rc == -ENOENT || rc == -ESTALE)
		rc = detach(step, env, next, err);
	return rc == STEP_DONE ? look_again(step, env, next, err) : rc;
}

static int network_apply(struct step *step, struct step_env *env, const struct wake *wake,
			 struct wait *next, struct err *err)
{
	const char *mode = json_text(step->want, "mode", "dynamic");
	bool named = json_text(step->have, "tap", NULL) != NULL;

	if (strcmp(mode, "none") == 0)
		return no_network(step, env, "none is wanted", err);
	if (strcmp(mode, "dynamic") != 0 && strcmp(mode, "static") != 0)
		return err_say(err, EINVAL, "network of %s/%s: mode \"%s\" is not known; it can be "
			       "dynamic, static or none", step->task->key.ns, step->task->key.id, mode);
	if (wake->why == WAKE_BEGIN || wake->why == WAKE_RESUME)
		return named ? start_over(step, env, next, err) : look(step, env, next, err);
	if (json_true(step->have, "undoing"))
		return started_over(step, env, wake, next, err);
	return named ? attached(step, env, wake, next, err)
		     : looked(step, env, wake, next, err);
}

/* ---- undo --------------------------------------------------------------------- */

static void say_what_is_left(struct step *step, struct step_env *env, const char *text)
{
	auto_json json_object *out = json_read(text);
	json_object *left = json_list(out, "left");
	size_t n = left ? json_object_array_length(left) : 0;

	for (size_t i = 0; i < n; i++)
		step_note(step, env, "left alone: %s",
			  json_object_get_string(json_object_array_get_idx(left, i)));
}

/* A process that was found in there may have ended before the child came to it: others
 * may be in there still. undo_ms is the end of it. */
static int detached(struct step *step, struct step_env *env, const struct wake *wake,
		    struct wait *next, struct err *err)
{
	auto_free char *text = NULL;
	int rc;

	if (wake->status == 0) {
		text = step_output(env, wake);
		if (text)
			say_what_is_left(step, env, text);
		return STEP_DONE;
	}
	rc = step_job_result(env, wake, "take the network back", err);
	return rc == -ENOENT || rc == -ESTALE ? detach(step, env, next, err) : rc;
}

static int network_undo(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	if (!json_text(step->have, "tap", NULL) ||
	    !epoch_same_boot(step->epoch, env->node->epoch(env->node)))
		return STEP_DONE;
	if (wake->why == WAKE_DEADLINE)
		return step_late(step, "taking back the network", err);
	if (wake->why == WAKE_CHILD)
		return detached(step, env, wake, next, err);
	return detach(step, env, next, err);
}

/* ---- verify ------------------------------------------------------------------- */

/* /proc/PID/net/dev has a line for each interface of that process's namespace. */
static bool has_interface(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = text; (at = strstr(at, name)); at += len)
		if (at > text && (at[-1] == ' ' || at[-1] == '\n') && at[len] == ':')
			return true;
	return false;
}

static int network_verify(struct step *step, struct step_env *env, struct err *err)
{
	struct node *node = env->node;
	struct path_ident netns = { 0 };
	auto_free char *ns = NULL;
	auto_free char *path = NULL;
	auto_free char *text = NULL;
	size_t len = 0;
	int rc;

	if (!json_text(step->have, "tap", NULL))
		return FACT_PRESENT;
	if (!epoch_same_boot(step->epoch, node->epoch(node)))
		return FACT_ABSENT;
	(void)json_path(step->have, "netns", &netns);
	rc = inside(&ns, step, node, netns.ino, err);
	if (rc < 0 || !ns)
		return rc < 0 ? rc : FACT_UNSURE;
	if (asprintf(&path, "%.*s/net/dev", (int)(strlen(ns) - strlen("/ns/net")), ns) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "look at the network");
	}
	rc = node->read_file(node, path, 1 << 20, &text, &len, err);
	if (rc < 0)
		return rc == -ENOENT ? FACT_UNSURE : rc;
	return has_interface(text, json_text(step->have, "tap", "")) ? FACT_PRESENT : FACT_ABSENT;
}

const struct step_ops step_network = {
	.kind = "network",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 10000,
	.undo_ms = 10000,
	.apply = network_apply,
	.undo = network_undo,
	.verify = network_verify,
};
