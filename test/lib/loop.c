/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define GUARD_S 30

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(int *)arg = 1;
}

static struct event *timer(struct event_base *base, int ms, int *flag)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	struct event *ev = evtimer_new(base, on_time, flag);

	assert_non_null(ev);
	assert_int_equal(event_add(ev, &tv), 0);
	return ev;
}

void loop_until(struct event_base *base, const int *flag)
{
	int late = 0;
	struct event *guard = timer(base, GUARD_S * 1000, &late);

	while (!*flag && !late)
		event_base_loop(base, EVLOOP_ONCE);
	event_free(guard);
	assert_true(*flag);
}

int loop_for(struct event_base *base, int ms)
{
	int over = 0, turns = 0;
	struct event *end = timer(base, ms, &over);

	while (!over) {
		event_base_loop(base, EVLOOP_ONCE);
		turns++;
	}
	event_free(end);
	return turns;
}
