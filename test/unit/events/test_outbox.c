/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/events/outbox.h"

#include "proto/api/events.pb-c.h"
#include "proto/api/task_events.pb-c.h"
#include "proto/ttrpc/server.h"
#include "supervisor/events/events.h"
#include "test/lib/journal_place.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define AT_NS 1700000000000000005

/* A containerd that takes events, on the same loop. */
struct rig {
	struct test_place place;
	struct event_base *base;
	struct journal *j;
	struct outbox *outbox;
	struct server *server;
	char socket[PATH_MAX / 4 + 16];
	char heard[256]; /* topics, with a space behind each */
	int refuse;      /* so many calls fail with .code    */
	int code;
	int troubles;
};

static void on_forward(struct call *call, const void *in)
{
	const Containerd__Services__Events__Ttrpc__V1__ForwardRequest *req = in;
	Google__Protobuf__Empty out = GOOGLE__PROTOBUF__EMPTY__INIT;
	struct rig *r = call_user(call);
	size_t n = strlen(r->heard);

	assert_string_equal(req->envelope->namespace_, "default");
	assert_int_equal(req->envelope->timestamp->seconds, AT_NS / 1000000000);
	assert_int_equal(req->envelope->timestamp->nanos, 5);
	if (r->refuse-- > 0) {
		call_fail_code(call, r->code, "not now");
		return;
	}
	snprintf(r->heard + n, sizeof(r->heard) - n, "%s ", req->envelope->topic);
	call_answer(call, &out.base);
}

static const struct method methods[] = {
	{ "Forward", &containerd__services__events__ttrpc__v1__forward_request__descriptor,
	  &google__protobuf__empty__descriptor, on_forward },
	{ .name = NULL },
};

static void on_drained(void *arg)
{
	struct rig *r = arg;

	event_base_loopbreak(r->base);
}

static void on_trouble(void *arg, const struct err *why)
{
	struct rig *r = arg;

	assert_int_not_equal(why->code, 0);
	r->troubles++;
}

static const struct outbox_hooks hooks = { .drained = on_drained, .trouble = on_trouble };

static void containerd_begin(struct rig *r)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.100s", r->socket);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(server_new(&r->server, r->base, NULL, NULL, NULL), 0);
	assert_int_equal(server_register(r->server, "containerd.services.events.ttrpc.v1.Events",
					 methods, r, NULL), 0);
	assert_int_equal(server_listen(r->server, fd, NULL), 0);
}

static void containerd_end(struct rig *r)
{
	r->server = server_free(r->server);
	unlink(r->socket);
}

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	test_place_make(&r->place, NULL);
	snprintf(r->socket, sizeof(r->socket), "%s/sock", r->place.top);
	r->base = event_base_new();
	r->j = test_open(&r->place, "c1", JOURNAL_CREATE);
	assert_int_equal(outbox_new(&r->outbox, r->base, r->j, r->socket, &hooks, r, NULL), 0);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	outbox_free(r->outbox);
	containerd_end(r);
	journal_close(r->j);
	event_base_free(r->base);
	test_place_remove(&r->place);
	free(r);
	return 0;
}

static void tell_life(struct rig *r)
{
	const struct told_exit exit = { .pid = 4300, .status = 137, .at_ns = AT_NS };

	assert_int_equal(tell_start(r->j, 4300, AT_NS, NULL), 0);
	assert_int_equal(tell_exit(r->j, &exit, AT_NS, NULL), 0);
	assert_int_equal(tell_delete(r->j, &exit, AT_NS, NULL), 0);
	outbox_kick(r->outbox);
}

/* Run until the outbox says it is empty, or for @ms. */
static void run(struct rig *r, int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_base_loopexit(r->base, &tv);
	event_base_dispatch(r->base);
}

static void events_are_told_in_order(void **state)
{
	struct rig *r = *state;

	containerd_begin(r);
	assert_true(outbox_is_empty(r->outbox));
	tell_life(r);
	assert_false(outbox_is_empty(r->outbox));
	run(r, 5000);
	assert_true(outbox_is_empty(r->outbox));
	assert_string_equal(r->heard, "/tasks/start /tasks/exit /tasks/delete ");
	assert_int_equal(r->troubles, 0);
}

static void an_event_that_fails_holds_up_the_others(void **state)
{
	struct rig *r = *state;

	containerd_begin(r);
	r->refuse = 3;
	r->code = 14;
	tell_life(r);
	run(r, 5000);
	assert_true(outbox_is_empty(r->outbox));
	assert_string_equal(r->heard, "/tasks/start /tasks/exit /tasks/delete ");
	assert_int_equal(r->troubles, 1);
}

static void what_containerd_calls_invalid_is_not_told_for_ever(void **state)
{
	struct rig *r = *state;

	containerd_begin(r);
	r->refuse = 1;
	r->code = 3;
	tell_life(r);
	run(r, 5000);
	assert_string_equal(r->heard, "/tasks/exit /tasks/delete ");
}

static void a_containerd_that_comes_late_hears_all(void **state)
{
	struct rig *r = *state;

	tell_life(r);
	run(r, 50);
	assert_false(outbox_is_empty(r->outbox));
	assert_int_equal(r->troubles, 1);
	containerd_begin(r);
	run(r, 5000);
	assert_string_equal(r->heard, "/tasks/start /tasks/exit /tasks/delete ");
	containerd_end(r);
	containerd_begin(r);
	r->heard[0] = '\0';
	tell_life(r);
	run(r, 5000);
	assert_string_equal(r->heard, "/tasks/start /tasks/exit /tasks/delete ");
}

static void what_was_not_told_outlives_the_outbox(void **state)
{
	struct rig *r = *state;

	tell_life(r);
	run(r, 20);
	r->outbox = outbox_free(r->outbox);
	r->j = journal_close(r->j);
	r->j = test_open(&r->place, "c1", JOURNAL_OWN);
	assert_int_equal(outbox_new(&r->outbox, r->base, r->j, r->socket, &hooks, r, NULL), 0);
	containerd_begin(r);
	outbox_kick(r->outbox);
	run(r, 5000);
	assert_string_equal(r->heard, "/tasks/start /tasks/exit /tasks/delete ");
}

static void create_repeats_the_request(void **state)
{
	struct rig *r = *state;
	const struct told_create what = { .id = "c1", .bundle = "/b", .terminal = true,
					  .stdio = { "/in", "/out", "/err" } };
	json_object *mounts = json_tokener_parse(
		"[{\"type\":\"bind\",\"source\":\"/s\",\"options\":[\"rbind\",\"ro\"]}]");
	Containerd__Events__TaskCreate *m;
	struct event_row row;

	assert_int_equal(tell_create(r->j, &what, mounts, 4300, AT_NS, NULL), 0);
	json_object_put(mounts);
	assert_int_equal(journal_untold(r->j, &row, NULL), 1);
	assert_string_equal(row.topic, "/tasks/create");
	assert_string_equal(row.type, "containerd.events.TaskCreate");
	m = containerd__events__task_create__unpack(NULL, row.len, row.data);
	assert_non_null(m);
	assert_string_equal(m->container_id, "c1");
	assert_int_equal(m->pid, 4300);
	assert_string_equal(m->io->stderr, "/err");
	assert_int_equal(m->io->terminal, 1);
	assert_int_equal(m->n_rootfs, 1);
	assert_string_equal(m->rootfs[0]->source, "/s");
	assert_string_equal(m->rootfs[0]->options[1], "ro");
	containerd__events__task_create__free_unpacked(m, NULL);
	event_row_clear(&row);
}

static void an_exit_has_its_golden_bytes(void **state)
{
	static const uint8_t golden[] = {
		0x0a, 0x02, 'c', '1', 0x12, 0x02, 'c', '1', 0x18, 0xcc, 0x21, 0x20, 0x89, 0x01,
		0x2a, 0x06, 0x08, 0x80, 0xe2, 0xcf, 0xaa, 0x06 };
	struct rig *r = *state;
	const struct told_exit exit = { .pid = 4300, .status = 137,
					.at_ns = 1700000000000000000 };
	struct event_row row;

	assert_int_equal(tell_exit(r->j, &exit, AT_NS, NULL), 0);
	assert_int_equal(journal_untold(r->j, &row, NULL), 1);
	assert_int_equal(row.len, sizeof(golden));
	assert_memory_equal(row.data, golden, sizeof(golden));
	event_row_clear(&row);
}

static void no_time_is_the_zero_time_of_go(void **state)
{
	Google__Protobuf__Timestamp at;

	(void)state;
	told_time(&at, 0);
	assert_int_equal(at.seconds, -62135596800);
	assert_int_equal(at.nanos, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(events_are_told_in_order),
		TEST(an_event_that_fails_holds_up_the_others),
		TEST(what_containerd_calls_invalid_is_not_told_for_ever),
		TEST(a_containerd_that_comes_late_hears_all),
		TEST(what_was_not_told_outlives_the_outbox),
		TEST(create_repeats_the_request),
		TEST(an_exit_has_its_golden_bytes),
		cmocka_unit_test(no_time_is_the_zero_time_of_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
