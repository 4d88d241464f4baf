/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.c - what others of this trade left, in one namespace after the other.
 */
#include "supervisor/net/choose.h"
#include "supervisor/net/net.h"
#include "supervisor/net/talk.h"

#include "journal/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>

#define OUTPUT_MAX 60000 /* less than a child's captured output may be */

/* As urunc's runtime makes them, and nobody's now. */
static bool is_left(const struct net_link *l)
{
	return net_is_tap_name(l->name) && !*l->alias && !l->running;
}

static void put_taps(json_object *to, const struct net_picture *p)
{
	for (size_t i = 0; i < p->n_links; i++)
		if (is_left(&p->links[i]))
			json_object_array_add(to, json_object_new_string(p->links[i].name));
}

/* One entry an interface is enough: its whole qdisc is in the way. */
static const struct net_filter *find_redirect(const struct net_picture *p, int index)
{
	for (size_t i = 0; i < p->n_filters; i++) {
		const struct net_filter *f = &p->filters[i];
		const struct net_link *to = f->to ? net_link_at(p, f->to) : NULL;

		if (f->index == index && f->redirects && !net_is_ours(f) && (!to || is_left(to)))
			return f;
	}
	return NULL;
}

static void put_redirects(json_object *list, const struct net_picture *p)
{
	for (size_t i = 0; i < p->n_qdiscs; i++) {
		const struct net_filter *f = find_redirect(p, p->qdiscs[i].index);
		const struct net_link *at = net_link_at(p, p->qdiscs[i].index);
		const struct net_link *to = f ? net_link_at(p, f->to) : NULL;
		json_object *o;

		if (!f || !at || net_is_tap_name(at->name))
			continue;
		o = json_object_new_object();
		json_object_object_add(o, "iface", json_object_new_string(at->name));
		json_object_object_add(o, "kind", json_object_new_string(p->qdiscs[i].kind));
		json_object_object_add(o, "to", json_object_new_string(to ? to->name : ""));
		json_object_array_add(list, o);
	}
}

static int look(struct net_talk *t, struct net_picture *p)
{
	int rc = talk_open(t, NETLINK_ROUTE, NULL);

	if (rc == 0)
		rc = talk_look(t, p, NULL);
	for (size_t i = 0; rc == 0 && i < p->n_qdiscs; i++)
		rc = talk_ingress(t, p, p->qdiscs[i].index, NULL);
	talk_close(t);
	return rc;
}

/* NULL: nothing, or it can't be entered any more. */
static json_object *list_one(const char *path)
{
	auto_fd int ns = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct net_picture p = { 0 };
	struct net_talk t;
	json_object *o;
	json_object *taps;
	json_object *redirects;

	if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
		return NULL;
	o = json_object_new_object();
	taps = json_object_new_array();
	redirects = json_object_new_array();
	json_object_object_add(o, "path", json_object_new_string(path));
	json_object_object_add(o, "taps", taps);
	json_object_object_add(o, "redirects", redirects);
	if (look(&t, &p) == 0) {
		put_taps(taps, &p);
		put_redirects(redirects, &p);
	}
	picture_clear(&p);
	if (json_object_array_length(taps) + json_object_array_length(redirects) > 0)
		return o;
	json_object_put(o);
	return NULL;
}

static const char *plain(json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							 JSON_C_TO_STRING_NOSLASHESCAPE);
}

int net_list(json_object *args, struct err *err)
{
	auto_json json_object *all = json_object_new_array();
	json_object *paths = NULL;
	size_t n;
	size_t size = 0;

	if (!json_object_object_get_ex(args, "paths", &paths) ||
	    !json_object_is_type(paths, json_type_array))
		return err_say(err, EINVAL, "list network namespaces: \"paths\" is missing");
	n = json_object_array_length(paths);
	for (size_t i = 0; i < n && size < OUTPUT_MAX; i++) {
		json_object *path = json_object_array_get_idx(paths, i);
		json_object *one = list_one(json_object_get_string(path));

		if (!one)
			continue;
		size += strlen(plain(one)) + 1;
		if (size < OUTPUT_MAX)
			json_object_array_add(all, one);
		else
			json_object_put(one);
	}
	return dprintf(STDOUT_FILENO, "%s", plain(all)) < 0 ? err_set(err, errno, "answer") : 0;
}
