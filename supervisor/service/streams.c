/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/service/streams.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/bundle/config.h"
#include "supervisor/io/console.h"
#include "supervisor/io/logger.h"
#include "supervisor/io/pty.h"
#include "supervisor/service/task.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct streams {
	struct task *task;
	struct stdio *io;
	struct stdio_names names;
	int (*may)(void *arg, struct err *err);
	void (*quiet)(void *arg);
	void *owner;
	streams_fn *done; /* NULL: nobody waits */
	void *arg;
	struct event *timer;
	int64_t until_ms;
	char *console;    /* NULL: no terminal */
	int console_fd;   /* the step's, for a turn of its run */
	struct console_wait *wait;
	struct pty *pty;
	bool made;        /* by the runtime */
	bool exited;
	bool drained;     /* or given up    */
	struct err why;   /* the terminal did not come, or the logger was not ready */
	char *id;
	struct logger *logger;
	struct ident child; /* the logger; pid 0: it is no process any more */
	int64_t row;        /* the child's                                  */
	bool ending;        /* the logger's end is waited for               */
};

static struct event_base *base_of(const struct streams *s)
{
	return s->task->service->base;
}

static struct node *node_of(const struct streams *s)
{
	return s->task->service->o->node;
}

int streams_new(struct streams **ret, const struct streams_options *o, struct err *err)
{
	struct streams *s = calloc(1, sizeof(*s));

	if (s) {
		*s = (struct streams){ .task = o->task, .io = o->io, .names = o->names,
				       .may = o->may, .quiet = o->quiet, .owner = o->arg, .console_fd = -1 };
		s->console = *o->console ? strdup(o->console) : NULL;
		s->id = strdup(o->id);
	}
	if (!s || !s->id || (*o->console && !s->console)) {
		streams_free(s);
		return err_set(err, ENOMEM, "the standard streams");
	}
	*ret = s;
	return 0;
}

struct streams *streams_free(struct streams *s)
{
	if (!s)
		return NULL;
	if (s->timer)
		event_free(s->timer);
	if (s->console_fd >= 0)
		(void)close(s->console_fd);
	console_wait_free(s->wait);
	pty_free(s->pty);
	logger_free(s->logger);
	stdio_close(s->io);
	free(s->console);
	free(s->id);
	free(s);
	return NULL;
}

struct streams *streams_drop(struct streams *s)
{
	if (s && s->child.pid)
		(void)node_of(s)->signal(node_of(s), &s->child, SIGKILL, NULL);
	return streams_free(s);
}

/* The last thing of a turn: @s may be gone. */
static void finish(struct streams *s, const struct err *why)
{
	streams_fn *done = s->done;

	s->done = NULL;
	done(s->arg, why);
}

/* ---- a logger ------------------------------------------------------------------------ */

static void warn(const struct streams *s, const char *text)
{
	log_say(s->task->service->o->log, LOG_LEVEL_WARNING, "task %s: %s", s->task->row.key.id,
		text);
}

/* It has been reaped. A row that can't be written is found dead by who comes next. */
static void logger_gone(struct streams *s)
{
	if (s->child.pid && s->task->journal)
		(void)journal_child_ended(s->task->journal, s->row, -1, NULL);
	s->child.pid = 0;
}

static void end_logger(struct streams *s)
{
	s->ending = true;
	logger_end(s->logger);
}

static void logger_ended(struct streams *s)
{
	s->logger = logger_free(s->logger);
	if (s->done)
		finish(s, &s->why);
	else
		s->quiet(s->owner);
}

static void on_logger(void *arg, enum logger_told what, const struct err *why)
{
	struct streams *s = arg;
	struct service *service = s->task->service;

	switch (what) {
	case LOGGER_READY:
		logger_take(s->logger, s->io->fd);
		finish(s, NULL);
		break;
	case LOGGER_FAILED: /* what it has to say can only be a mistake */
		s->why = *why;
		err_wrap(&s->why, "failed to create init process I/O");
		(void)node_of(s)->signal(node_of(s), &s->child, SIGKILL, NULL);
		end_logger(s);
		break;
	case LOGGER_DIED:
		logger_gone(s);
		warn(s, why->text);
		exit_reap_orphans(service);
		break;
	case LOGGER_ENDED:
		logger_gone(s);
		logger_ended(s);
		exit_reap_orphans(service);
		break;
	}
}

/* Its row is committed while it still waits at its gate. */
static int logger_begin(struct streams *s, struct err *err)
{
	struct node *n = node_of(s);
	const struct logger_options o = {
		.base = base_of(s), .node = n, .uri = s->names.name[1], .id = s->id,
		.ns = s->task->row.key.ns, .ready_ms = LOGGER_READY_MS,
		.end_ms = LOGGER_END_MS, .uid = s->names.uid, .gid = s->names.gid,
		.told = on_logger, .arg = s,
	};
	int rc = logger_spawn(&s->logger, &o, &s->child, err);

	if (rc < 0)
		return rc;
	crash_point("logger-held");
	rc = journal_child(s->task->journal, 0, &s->child, "logging binary", n->epoch(n),
			   n->wall_ns(n) / 1000000, 0, &s->row, err);
	if (rc < 0)
		return rc;
	crash_point("logger-known");
	rc = logger_go(s->logger, err);
	return rc < 0 ? rc : STREAMS_WAIT;
}

bool streams_know(const struct streams *s, pid_t pid)
{
	return s && s->child.pid == pid;
}

/* ---- the client ---------------------------------------------------------------------- */

static void open_go_on(struct streams *s);

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	open_go_on(arg);
}

static int wait_for_client(struct streams *s, struct err *err)
{
	struct timeval tv = { .tv_usec = STDIO_AGAIN_MS * 1000 };

	if (node_of(s)->now_ms(node_of(s)) >= s->until_ms)
		return err_say(err, ETIMEDOUT, "nobody has opened %s for reading in %d s",
			       stdio_missing(s->io, &s->names), STDIO_MAX_MS / 1000);
	if (!s->timer)
		s->timer = evtimer_new(base_of(s), on_again, s);
	if (!s->timer || event_add(s->timer, &tv) < 0)
		return err_set(err, ENOMEM, "wait for a client");
	return STREAMS_WAIT;
}

static void open_go_on(struct streams *s)
{
	struct err err = ERR_INIT;
	int rc = s->may ? s->may(s->owner, &err) : 0;

	if (rc < 0) {
		finish(s, &err);
		return;
	}
	rc = stdio_open(s->io, &s->names, &err);
	if (rc == STDIO_WAIT)
		rc = wait_for_client(s, &err);
	else if (rc == STDIO_READY && stdio_wants_logger(&s->names))
		rc = logger_begin(s, &err);
	if (rc == STREAMS_WAIT)
		return;
	if (s->timer)
		event_free(TAKE_PTR(s->timer));
	if (rc < 0)
		err_wrap(&err, "failed to create init process I/O");
	finish(s, rc < 0 ? &err : NULL);
}

void streams_open(struct streams *s, streams_fn *done, void *arg)
{
	s->done = done;
	s->arg = arg;
	s->until_ms = node_of(s)->now_ms(node_of(s)) + STDIO_MAX_MS;
	open_go_on(s);
}

/* ---- the terminal ---------------------------------------------------------------------- */

static void on_pty(void *arg, enum pty_told what, const struct err *why)
{
	struct streams *s = arg;

	if (what == PTY_LOST) {
		warn(s, why->text);
		return;
	}
	s->drained = true;
	s->quiet(s->owner);
}

static void on_console(void *arg, int master, const struct err *why)
{
	struct streams *s = arg;

	s->wait = NULL;
	if (master < 0)
		s->why = *why;
	else if (pty_new(&s->pty, base_of(s), master, s->io, on_pty, s, &s->why) < 0)
		(void)close(master);
	if (s->made)
		finish(s, s->why.code ? &s->why : NULL);
}

/* The step has made the socket in this turn, and let the runtime run. */
static void on_turn(void *arg)
{
	struct streams *s = arg;
	int fd = TAKE_FD(s->console_fd);

	if (fd >= 0)
		(void)console_wait_new(&s->wait, base_of(s), s->console, fd,
				       s->task->service->o->config->runtime_timeout_s * 1000,
				       on_console, s, &s->why);
}

void streams_give(struct streams *s, struct run_options *options)
{
	if (s->console)
		options->ret_console_fd = &s->console_fd;
	else
		memcpy(options->stdio, s->io->fd, sizeof(options->stdio));
}

void streams_watch(struct streams *s, struct driver *d)
{
	if (s->console)
		driver_each_turn(d, on_turn, s);
}

int streams_made(struct streams *s, streams_fn *done, void *arg, struct err *err)
{
	if (!s->console) {
		stdio_given(s->io);
		return 0;
	}
	if (s->pty)
		return 0;
	if (!s->wait) {
		*err = s->why;
		return err->code ? -err->code : err_say(err, EIO, "no console socket was made");
	}
	s->made = true;
	s->done = done;
	s->arg = arg;
	console_runtime_ended(s->wait);
	return STREAMS_WAIT;
}

int streams_resize(struct streams *s, unsigned width, unsigned height, struct err *err)
{
	return s && s->pty ? pty_resize(s->pty, width, height, err) : 0;
}

void streams_close_in(struct streams *s)
{
	if (s && s->pty)
		pty_close_in(s->pty);
	else if (s)
		stdio_close_in(s->io);
}

/* ---- the end ---------------------------------------------------------------------------- */

void streams_exited(struct streams *s)
{
	if (!s || s->exited)
		return;
	s->exited = true;
	if (s->pty)
		pty_exited(s->pty);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	struct streams *s = arg;

	(void)fd;
	(void)what;
	log_say(s->task->service->o->log, LOG_LEVEL_WARNING,
		"task %s: its terminal's last output was not read in %d s, and is given up",
		s->task->row.key.id, STREAMS_DRAIN_MS / 1000);
	s->drained = true;
	s->quiet(s->owner);
}

/* Nobody may ever read the rest. */
static bool wait_for_rest(struct streams *s)
{
	struct timeval tv = { .tv_sec = STREAMS_DRAIN_MS / 1000 };

	if (s->timer)
		return true;
	s->timer = evtimer_new(base_of(s), on_late, s);
	return s->timer && event_add(s->timer, &tv) == 0;
}

bool streams_quiet(struct streams *s)
{
	if (!s || (s->pty && s->exited && !s->drained && wait_for_rest(s)))
		return !s;
	if (!s->logger)
		return true;
	s->pty = pty_free(s->pty);
	if (!s->ending)
		end_logger(s);
	return false;
}
