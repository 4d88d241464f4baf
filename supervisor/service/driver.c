/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/service/driver.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#define AGAIN_MS 20 /* when a wait can't be set up */

struct driver {
	struct event_base *base;
	struct node *node;
	struct run *run;
	driver_done_fn *done;
	void *arg;
	void (*turned)(void *arg); /* NULL: nobody is told */
	void *turned_arg;
	struct wake wake; /* the next one */
	struct ident child;
	struct event *ev_child, *ev_fd, *ev_time; /* NULL: not waited for */
};

static void event_drop(struct event **ev)
{
	if (*ev)
		event_free(*ev);
	*ev = NULL;
}

static void disarm(struct driver *d)
{
	event_drop(&d->ev_child);
	event_drop(&d->ev_fd);
	event_drop(&d->ev_time);
}

void driver_stop(struct driver *d)
{
	if (!d)
		return;
	disarm(d);
	run_close(d->run);
	free(d);
}

static struct event *arm_time(struct driver *d, int64_t ms, event_callback_fn fn)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	struct event *ev = evtimer_new(d->base, fn, d);

	if (ev && event_add(ev, &tv) < 0)
		event_drop(&ev);
	return ev;
}

static struct event *arm_fd(struct driver *d, int fd, event_callback_fn fn)
{
	struct event *ev = event_new(d->base, fd, EV_READ, fn, d);

	if (ev && event_add(ev, NULL) < 0)
		event_drop(&ev);
	return ev;
}

static void turn(struct driver *d);
static void arm_child(struct driver *d);

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	struct driver *d = arg;

	(void)fd;
	(void)what;
	d->wake = (struct wake){ .why = WAKE_TIMER, .status = -1 };
	turn(d);
}

static void on_begin(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	turn(arg);
}

static void on_fd(evutil_socket_t fd, short what, void *arg)
{
	struct driver *d = arg;

	(void)fd;
	(void)what;
	d->wake = (struct wake){ .why = WAKE_READY, .status = -1 };
	turn(d);
}

static void on_child(evutil_socket_t fd, short what, void *arg)
{
	struct driver *d = arg;
	struct err err = ERR_INIT;
	int status = -1;
	int rc = d->node->reap(d->node, &d->child, &status, &err);

	(void)fd;
	(void)what;
	if (rc == 0) { /* readable too early, or it could not be watched: look again */
		event_drop(&d->ev_child);
		arm_child(d);
		return;
	}
	d->wake = (struct wake){ .why = WAKE_CHILD, .status = rc < 0 ? -1 : status };
	turn(d);
}

/* A child that is no process any more: nobody can know how it ended. */
static void on_lost_child(evutil_socket_t fd, short what, void *arg)
{
	struct driver *d = arg;

	(void)fd;
	(void)what;
	d->wake = (struct wake){ .why = WAKE_CHILD, .status = -1 };
	turn(d);
}

static void arm_child(struct driver *d)
{
	struct err err = ERR_INIT;
	int fd;

	if (run_child(d->run, &d->child) < 0) {
		d->ev_child = arm_time(d, AGAIN_MS, on_lost_child);
		return;
	}
	fd = d->node->watch(d->node, &d->child, &err);
	if (fd < 0) {
		d->ev_child = arm_time(d, AGAIN_MS, on_lost_child);
		return;
	}
	d->ev_child = arm_fd(d, fd, on_child);
	if (!d->ev_child)
		d->ev_child = arm_time(d, AGAIN_MS, on_child);
}

static void arm(struct driver *d, const struct wait *wait)
{
	int64_t ms = wait->at_ms - d->node->now_ms(d->node);

	if (wait->child_seq)
		arm_child(d);
	if (wait->fd >= 0)
		d->ev_fd = arm_fd(d, wait->fd, on_fd);
	if (wait->at_ms)
		d->ev_time = arm_time(d, ms > 0 ? ms : 0, on_time);
	else if (!d->ev_child && !d->ev_fd) /* out of memory, or nothing to wait for */
		d->ev_time = arm_time(d, AGAIN_MS, on_time);
}

static void finish(struct driver *d, enum run_state state)
{
	struct run_end end = { .state = state, .life = run_life(d->run), .err = *run_error(d->run) };
	driver_done_fn *done = d->done;
	void *arg = d->arg;

	driver_stop(d);
	done(arg, &end);
}

static void turn(struct driver *d)
{
	struct wait wait = { .fd = -1 };
	enum run_state state;

	disarm(d);
	state = run_wake(d->run, &d->wake, &wait);
	if (state == RUN_WAITING) {
		arm(d, &wait);
		if (d->turned)
			d->turned(d->turned_arg);
		return;
	}
	finish(d, state);
}

void driver_each_turn(struct driver *d, void (*fn)(void *arg), void *arg)
{
	d->turned = fn;
	d->turned_arg = arg;
}

struct driver *driver_start(struct event_base *base, struct node *node, struct run *run,
			    enum wake_why why, driver_done_fn *done, void *arg, struct err *err)
{
	struct driver *d = calloc(1, sizeof(*d));

	if (!d) {
		run_close(run);
		err_set(err, ENOMEM, "can't drive the plan");
		return NULL;
	}
	*d = (struct driver){ .base = base, .node = node, .run = run, .done = done, .arg = arg,
			      .wake = { .why = why, .status = -1 } };
	d->ev_time = arm_time(d, 0, on_begin);
	if (!d->ev_time) {
		driver_stop(d);
		err_set(err, ENOMEM, "can't drive the plan");
		return NULL;
	}
	return d;
}
