/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.c - from the fork of `start`, or from nothing, to a serving shim.
 */
#include "cmd/shim/shim.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/service/service.h"

#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define OWN_AGAIN_US 200
#define OWN_MAX_MS   10000 /* for a starter that was stopped on its way out */
#define AGAIN_N      20    /* times that serving is begun                   */
#define AGAIN_MS     50

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

static int serve_once(struct shim *shim, int listen_fd, struct log *log, struct err *err)
{
	struct service_options o = { .node = shim->node, .config = &shim->config,
				     .place = &shim->place, .log = log, .listen_fd = listen_fd };
	int rc = own(&o.journal, shim, err);

	if (rc < 0)
		return rc;
	crash_point("serving");
	return service_run(&o, err);
}

/* What the node has none of now, it may have again in a moment. SQLite takes a read that
 * failed once for damage; what is damaged stays so for the last time, too. */
static bool may_pass(int rc)
{
	return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE || rc == -EIO || rc == -EBUSY ||
	       rc == -EINTR || rc == -ENOSPC || rc == -EPERM || rc == -EUCLEAN;
}

/* What could not begin may begin again. Who has connected meanwhile
 * waits: the socket listens. @listen_fd is consumed. */
static int serve(struct shim *shim, int listen_fd, struct log *log, struct err *err)
{
	const struct timespec pause = { .tv_nsec = AGAIN_MS * 1000000 };
	int rc = -EINTR;

	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		log_say(log, LOG_LEVEL_WARNING, "can't become the reaper of the container: %s",
			strerror(errno));
	for (int tries = 1; tries <= AGAIN_N && may_pass(rc); tries++) {
		if (tries > 1) {
			log_say(log, LOG_LEVEL_WARNING, "%s/%s: the shim begins again: %s",
				shim->key.ns, shim->key.id, err->text);
			nanosleep(&pause, NULL);
		}
		*err = (struct err)ERR_INIT;
		rc = serve_once(shim, listen_fd, log, err);
	}
	if (rc < 0)
		(void)close(listen_fd);
	return rc;
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
	if (rc != 1) /* else ours shall stay as they are, and have no owner any more */
		shim_take_up(shim); /* nobody waits for us any more */
	return rc < 0;
}

int shim_serve_again(struct shim *shim, struct err *err)
{
	return err_say(err, ENOTSUP,
		       "nothing to do for %s/%s: containerd starts this program with the action "
		       "start or delete", shim->key.ns, shim->key.id);
}
