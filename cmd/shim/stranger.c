/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stranger.c - `delete` for a bundle that another shim of our name made.
 *
 * After an upgrade containerd calls us for tasks that are in no journal. A Go shim
 * leaves notes in the bundle: the runtime's name, its options. Without them nothing is
 * known, and nothing is touched.
 */
#include "cmd/shim/shim.h"

#include "supervisor/bundle/json.h"
#include "supervisor/bundle/request.h"
#include "supervisor/oci/cli.h"

#include "journal/base/cleanup.h" /* after json.h */

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_MAX  65536 /* bytes */
#define DELETE_MS 2500

/* A file of the bundle; NULL: there is none. The caller frees. */
static char *note(const struct shim *shim, const char *name)
{
	struct node *n = shim->node;
	auto_free char *path = NULL;
	char *text = NULL;
	size_t len;

	if (shim->flags.bundle[0] != '/' ||
	    asprintf(&path, "%s/%s", shim->flags.bundle, name) < 0)
		return NULL;
	if (n->read_file(n, path, NOTE_MAX, &text, &len, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static void wait_for(struct node *n, const struct ident *who)
{
	int64_t end = n->now_ms(n) + DELETE_MS;
	struct pollfd pfd = { .fd = n->watch(n, who, NULL), .events = POLLIN };
	int status;

	while (pfd.fd >= 0 && n->reap(n, who, &status, NULL) == 0) {
		int64_t left = end - n->now_ms(n);

		if (left <= 0) {
			(void)n->signal(n, who, SIGKILL, NULL);
			break;
		}
		(void)poll(&pfd, 1, (int)left);
	}
	n->forget(n, who);
}

static void runtime_delete(const struct shim *shim, const char *runtime, const char *root)
{
	const char *const argv[] = { runtime, "--root", root, "delete", "--force",
				     shim->key.id, NULL };
	const struct spawn spawn = { .job = JOB_EXEC, .argv = argv, .in = SPAWN_NULL,
				     .out = SPAWN_NULL, .err = SPAWN_NULL,
				     .die_with_us = true };
	struct node *n = shim->node;
	struct ident who;

	if (n->spawn(n, &spawn, &who, NULL) < 0)
		return;
	if (n->spawn_go(n, &who, NULL) == 0)
		wait_for(n, &who);
}

pid_t shim_delete_stranger(const struct shim *shim)
{
	auto_free char *name = note(shim, "runtime");
	auto_free char *pid = note(shim, "init.pid");
	auto_free char *text = note(shim, "options.json");
	auto_json json_object *options = json_read(text ? text : "{}");
	auto_free char *runtime = NULL;
	auto_free char *root = NULL;
	const char *dirs = getenv("PATH");

	if (!name)
		return 0;
	if (runtime_find(shim->node, name[0] ? name : shim->config.runtime, dirs ? dirs : "",
			 &runtime, NULL) == 0 &&
	    request_root(&root, options, shim->key.ns, NULL) == 0)
		runtime_delete(shim, runtime, root);
	return pid ? oci_pid(pid, strlen(pid)) : 0;
}
