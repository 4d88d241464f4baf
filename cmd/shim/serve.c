/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.c - from the fork of `start`, or from nothing, to a serving shim.
 */
#include "cmd/shim/shim.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/service/service.h"

#include <sys/prctl.h>
#include <time.h>

#define OWN_AGAIN_US 200
#define OWN_MAX_MS   10000 /* for a starter that was stopped on its way out */

/* The starter still holds the lock for a moment: it prints the address last. */
static int own(struct journal **ret, struct shim *shim, struct err *err)
{
	int64_t end = shim->node->now_ms(shim->node) + OWN_MAX_MS;
	const struct timespec pause = { .tv_nsec = OWN_AGAIN_US * 1000 };

	for (;;) {
		int rc = journal_open(ret, &shim->place, &shim->key, JOURNAL_OWN, err);

		if (rc != -EAGAIN && rc != -EBUSY)
			return rc;
		if (shim->node->now_ms(shim->node) > end)
			return rc;
		nanosleep(&pause, NULL);
	}
}

/* @listen_fd is consumed. */
static int serve(struct shim *shim, int listen_fd, struct log *log, struct err *err)
{
	struct service_options o = { .node = shim->node, .config = &shim->config,
				     .place = &shim->place, .listen_fd = listen_fd, .log = log };
	int rc;

	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return err_set(err, errno, "can't become the reaper of the container");
	rc = own(&o.journal, shim, err);
	if (rc < 0)
		return rc;
	crash_point("serving");
	return service_run(&o, err);
}

int shim_serve(void *arg)
{
	struct serve *s = arg;
	struct shim *shim = s->shim;
	struct log log;
	struct err err = ERR_INIT;
	int rc;

	crash_role("serve");
	journal_forget(s->journal); /* before anything is opened */
	log_open(&log, s->bundle, s->debug || shim->config.debug);
	rc = serve(shim, s->listen_fd, &log, &err);
	if (rc < 0)
		log_say(&log, LOG_LEVEL_ERROR, "%s/%s: the shim ends: %s", shim->key.ns,
			shim->key.id, err.text);
	log_close(&log);
	shim_take_up(shim); /* nobody waits for us any more */
	return rc < 0;
}

int shim_serve_again(struct shim *shim, struct err *err)
{
	return err_say(err, ENOTSUP,
		       "nothing to do for %s/%s: containerd starts this program with the action "
		       "start or delete", shim->key.ns, shim->key.id);
}
