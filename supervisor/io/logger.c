/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/io/logger.h"

#include "journal/base/cleanup.h"
#include "supervisor/io/uri.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define AGAIN_MS 50 /* a process that can't be watched is looked at again and again */

enum phase { HELD, STARTING, CLOSED, RUNNING, DEAD, FAILED, ENDING };

struct logger {
	struct event_base *base;
	struct node *node;
	char *uri;
	bool v2;
	bool gone;   /* reaped, with .status */
	int status;
	int ready_ms, end_ms;
	enum phase phase;
	struct ident who;
	int give[2]; /* the container's ends            */
	int twin[2]; /* our own readers                 */
	int wait;    /* becomes readable when it is ready */
	int watch;   /* and when it has ended: ours, since others may reap it too */
	struct event *ready, *died, *timer, *discard[2];
	logger_fn *told;
	void *arg;
};

static void drop_event(struct event **ev)
{
	if (*ev)
		event_free(TAKE_PTR(*ev));
}

static void drop_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(TAKE_FD(*fd));
}

static void set_timer(struct logger *l, int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	(void)event_add(l->timer, &tv);
}

static void close_pipes(struct logger *l)
{
	for (int i = 0; i < 2; i++) {
		drop_event(&l->discard[i]);
		drop_fd(&l->give[i]);
		drop_fd(&l->twin[i]);
	}
	drop_event(&l->ready);
	drop_fd(&l->wait);
}

struct logger *logger_free(struct logger *l)
{
	if (!l)
		return NULL;
	close_pipes(l);
	drop_event(&l->died);
	drop_event(&l->timer);
	drop_fd(&l->watch);
	if (l->who.pid > 0 && !l->gone)
		l->node->forget(l->node, &l->who);
	free(l->uri);
	free(l);
	return NULL;
}

/* ---- after a crash ------------------------------------------------------------------- */

static void on_output(evutil_socket_t fd, short what, void *arg)
{
	struct logger *l = arg;
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));

	(void)what;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		drop_event(&l->discard[fd == l->twin[1]]); /* all writers are gone */
}

static void discard(struct logger *l)
{
	for (int i = 0; i < 2; i++) {
		l->discard[i] = event_new(l->base, l->twin[i], EV_READ | EV_PERSIST, on_output, l);
		if (l->discard[i])
			(void)event_add(l->discard[i], NULL);
	}
}

/* ---- what is told; the last thing of a turn: @l may be gone ------------------------------ */

static void tell_ready(struct logger *l)
{
	l->phase = RUNNING;
	event_del(l->timer);
	drop_event(&l->ready);
	drop_fd(&l->wait);
	l->told(l->arg, LOGGER_READY, NULL);
}

static void tell_failed(struct logger *l, struct err *err)
{
	l->phase = FAILED;
	event_del(l->timer);
	drop_event(&l->ready);
	err_wrap(err, "%.200s", l->uri);
	l->told(l->arg, LOGGER_FAILED, err);
}

static int how_it_ended(int status, struct err *err)
{
	if (status >= 0 && WIFSIGNALED(status))
		return err_say(err, EIO, "the logging binary was killed by signal %d",
			       WTERMSIG(status));
	if (status >= 0 && (WEXITSTATUS(status) == 126 || WEXITSTATUS(status) == 127))
		return err_say(err, EIO, "the logging binary could not be executed (exit %d)",
			       WEXITSTATUS(status));
	return err_say(err, EIO, "the logging binary ended with exit code %d",
		       status < 0 ? -1 : WEXITSTATUS(status));
}

static void fail_not_ready(struct logger *l)
{
	struct err err = ERR_INIT;

	err_say(&err, EIO, "logging binary did not call ready (it may have crashed or exited "
		"prematurely)");
	tell_failed(l, &err);
}

/* ---- its life ---------------------------------------------------------------------------- */

/* A byte on the pipe: 1; it was closed: 0; -1: neither. */
static int look_ready(struct logger *l)
{
	char byte;
	ssize_t n = read(l->wait, &byte, 1);

	return n >= 0 ? (int)n : -1;
}

/* A process that ends closes its descriptors a moment before it can be seen dead. */
static bool is_exiting(struct logger *l)
{
	struct proc_info info;

	return l->gone || l->node->look(l->node, l->who.pid, &info, NULL) != 1 ||
	       info.ident.start != l->who.start || info.exiting;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct logger *l = arg;
	int rc = look_ready(l);

	(void)fd;
	(void)what;
	if (rc > 0) {
		tell_ready(l);
	} else if (rc == 0 && l->v2) {
		fail_not_ready(l);
	} else if (rc == 0 && is_exiting(l)) {
		drop_event(&l->ready);
		l->phase = CLOSED; /* on_died() says how it went */
	} else if (rc == 0) {
		tell_ready(l);
	}
}

/* It ended while it should have been starting. If it has been ready for a moment, its
 * end is told at the next turn. */
static void ended_early(struct logger *l)
{
	bool ready = l->phase == STARTING && look_ready(l) > 0;
	struct err err = ERR_INIT;

	if (ready || (!l->v2 && l->status == 0)) {
		event_active(l->died, EV_READ, 0);
		tell_ready(l);
	} else if (l->v2) {
		fail_not_ready(l);
	} else {
		how_it_ended(l->status, &err);
		tell_failed(l, &err);
	}
}

static void died_while_running(struct logger *l)
{
	struct err err = ERR_INIT;

	l->phase = DEAD;
	if (l->status != 0)
		discard(l);
	how_it_ended(l->status, &err);
	err_wrap(&err, "%.200s", l->uri);
	l->told(l->arg, LOGGER_DIED, &err);
}

/* 1: it is gone, .status says how; 0: it lives. */
static int look_gone(struct logger *l)
{
	int status = -1;
	int rc;

	if (l->gone)
		return 1;
	rc = l->node->reap(l->node, &l->who, &status, NULL);
	if (rc == 0)
		return 0;
	l->gone = true;
	l->status = rc < 0 ? -1 : status;
	return 1;
}

static void on_died(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = { .tv_usec = AGAIN_MS * 1000 };
	struct logger *l = arg;

	(void)fd;
	(void)what;
	if (!look_gone(l))
		(void)event_add(l->died, &tv);
	else if (l->phase == STARTING || l->phase == CLOSED)
		ended_early(l);
	else if (l->phase == RUNNING)
		died_while_running(l);
	else if (l->phase == ENDING)
		l->told(l->arg, LOGGER_ENDED, NULL);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct logger *l = arg;
	struct err err = ERR_INIT;

	(void)fd;
	(void)what;
	if (l->phase == STARTING || l->phase == CLOSED) {
		err_say(&err, ETIMEDOUT, "the logging binary did not call ready in %d ms",
			l->ready_ms);
		tell_failed(l, &err);
	} else if (l->phase == ENDING) {
		(void)l->node->signal(l->node, &l->who, SIGKILL, NULL);
	}
}

int logger_go(struct logger *l, struct err *err)
{
	int rc = l->node->spawn_go(l->node, &l->who, err);

	if (rc < 0)
		return err_wrap(err, "%.200s", l->uri);
	l->phase = STARTING;
	set_timer(l, l->ready_ms);
	return 0;
}

void logger_take(struct logger *l, int io_fd[3])
{
	io_fd[1] = TAKE_FD(l->give[0]);
	io_fd[2] = TAKE_FD(l->give[1]);
}

void logger_end(struct logger *l)
{
	l->phase = ENDING;
	close_pipes(l);
	if (l->gone) {
		event_active(l->died, EV_READ, 0);
		return;
	}
	(void)l->node->signal(l->node, &l->who, SIGTERM, NULL);
	set_timer(l, l->end_ms);
}

/* ---- its birth --------------------------------------------------------------------------- */

/* What the process is given: the readers and the end that says ready. */
struct ends {
	int fd[3];
};

static void ends_close(struct ends *e)
{
	for (int i = 0; i < 3; i++)
		drop_fd(&e->fd[i]);
}

static int fd_reopen(int fd)
{
	char name[32];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

static int make_pipes(struct logger *l, struct ends *e, const struct logger_options *o,
		      struct err *err)
{
	int fd[2];

	for (int i = 0; i < 2; i++) {
		if (pipe2(fd, O_CLOEXEC) < 0)
			return err_set(err, errno, "a pipe");
		e->fd[i] = fd[0];
		l->give[i] = fd[1];
		/* Its own open file: to be non-blocking for us alone. */
		l->twin[i] = fd_reopen(fd[0]);
		if (l->twin[i] < 0)
			return err_set(err, errno, "a second reader of a pipe");
		if ((o->uid || o->gid) && fchown(fd[1], o->uid, o->gid) < 0)
			return err_set(err, errno, "give a pipe to %u:%u", o->uid, o->gid);
	}
	if (pipe2(fd, O_CLOEXEC) < 0)
		return err_set(err, errno, "a pipe");
	l->wait = fd[0];
	e->fd[2] = fd[1];
	return fcntl(fd[0], F_SETFL, O_NONBLOCK) < 0 ? err_set(err, errno, "a pipe") : 0;
}

static int start(struct logger *l, const struct ends *e, const struct logger_options *o,
		 char **argv, struct err *err)
{
	auto_free char *id = NULL;
	auto_free char *ns = NULL;
	struct spawn spawn = { .job = JOB_EXEC, .argv = (const char *const *)argv,
			       .in = SPAWN_NULL, .out = SPAWN_NULL, .err = SPAWN_NULL,
			       .pass = e->fd, .npass = 3 };

	if (asprintf(&id, "CONTAINER_ID=%s", o->id) < 0)
		id = NULL;
	if (asprintf(&ns, "CONTAINER_NAMESPACE=%s", o->ns) < 0)
		ns = NULL;
	if (!id || !ns)
		return err_set(err, ENOMEM, "its environment");
	if (access(argv[0], X_OK) < 0)
		return err_set(err, errno, "exec \"%s\"", argv[0]);
	spawn.envp = (const char *const[]){ id, ns, NULL };
	return l->node->spawn(l->node, &spawn, &l->who, err);
}

/* Without a watch it is looked at by time. */
static int make_events(struct logger *l, struct err *err)
{
	struct timeval tv = { .tv_usec = AGAIN_MS * 1000 };
	int fd = l->node->watch(l->node, &l->who, NULL);

	l->watch = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	l->died = event_new(l->base, l->watch, EV_READ, on_died, l);
	l->ready = event_new(l->base, l->wait, EV_READ | EV_PERSIST, on_ready, l);
	l->timer = evtimer_new(l->base, on_timer, l);
	if (!l->died || !l->ready || !l->timer || event_add(l->ready, NULL) < 0 ||
	    event_add(l->died, l->watch < 0 ? &tv : NULL) < 0)
		return err_set(err, ENOMEM, "watch it");
	return 0;
}

static int begin(struct logger *l, const struct logger_options *o, struct err *err)
{
	struct ends ends = { { -1, -1, -1 } };
	auto_free char **argv = NULL;
	int rc = uri_argv(&argv, o->uri, err);

	if (rc < 0)
		return rc; /* it names the URI */
	l->uri = strdup(o->uri);
	rc = l->uri ? make_pipes(l, &ends, o, err) : err_set(err, ENOMEM, "a logger");
	if (rc == 0)
		rc = start(l, &ends, o, argv, err);
	ends_close(&ends);
	if (rc == 0)
		rc = make_events(l, err);
	return rc < 0 ? err_wrap(err, "%.200s", o->uri) : 0;
}

int logger_spawn(struct logger **ret, const struct logger_options *o, struct ident *child,
		 struct err *err)
{
	struct logger *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return err_set(err, ENOMEM, "a logger");
	*l = (struct logger){ .base = o->base, .node = o->node, .ready_ms = o->ready_ms,
			      .end_ms = o->end_ms,
			      .v2 = strncmp(o->uri, "binary-v2:", 10) == 0,
			      .give = { -1, -1 }, .twin = { -1, -1 }, .wait = -1, .watch = -1,
			      .told = o->told, .arg = o->arg };
	rc = begin(l, o, err);
	if (rc < 0) {
		logger_free(l);
		return rc;
	}
	*child = l->who;
	*ret = l;
	return 0;
}
