/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A console socket on this machine, and runtimes that do all kinds of things with it.
 */
#include "supervisor/io/console.h"
#include "test/lib/loop.h"
#include "test/lib/node_rig.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct rig {
	struct node_rig *node;
	struct event_base *base;
	char *path;
	struct path_ident folder;
	struct console_wait *wait;
	int master, slave; /* the runtime's */
	int peer;
	int told, got;     /* what we were given */
	struct err why;
};

static void on_told(void *arg, int master, const struct err *why)
{
	struct rig *r = arg;

	r->told++;
	r->got = master;
	r->wait = NULL;
	if (why)
		r->why = *why;
}

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	void *node = NULL;

	if (node_rig_up(&node) < 0)
		return -1;
	r->node = node;
	r->base = event_base_new();
	r->peer = r->got = -1;
	*state = r;
	if (openpty(&r->master, &r->slave, NULL, NULL, NULL) < 0)
		return -1;
	return console_path(&r->path, r->node->dir, 0x1234, NULL);
}

static int tear_down(void **state)
{
	struct rig *r = *state;
	void *node = r->node;

	console_wait_free(r->wait);
	event_base_free(r->base);
	for (int *fd = (int[]){ r->master, r->slave, r->peer, r->got, -2 }; *fd != -2; fd++)
		if (*fd >= 0)
			close(*fd);
	free(r->path);
	free(r);
	return node_rig_down(&node);
}

static void begin(struct rig *r, int ms)
{
	struct err err = ERR_INIT;
	int fd = -1;

	if (console_listen(r->node->n, r->path, &r->folder, &fd, &err) < 0 ||
	    console_wait_new(&r->wait, r->base, r->path, fd, ms, on_told, r, &err) < 0)
		fail_msg("%s", err.text);
}

static void dial(struct rig *r)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	strcpy(addr.sun_path, r->path);
	r->peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(r->peer, (struct sockaddr *)&addr, sizeof(addr)), 0);
}

static void post(struct rig *r, const char *name, size_t len, const int *fds, size_t n)
{
	union {
		char buf[CMSG_SPACE(64 * sizeof(int))];
		struct cmsghdr align;
	} control = { .buf = { 0 } };
	struct iovec iov = { .iov_base = (char *)name, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n > 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), fds, n * sizeof(int));
	}
	assert_int_equal(sendmsg(r->peer, &msg, 0), len);
}

static void post_master(struct rig *r)
{
	post(r, "/dev/ptmx", 9, &r->master, 1);
}

static void assert_refused(struct rig *r, int code, const char *text)
{
	loop_until(r->base, &r->told);
	assert_int_equal(r->told, 1);
	assert_int_equal(r->got, -1);
	assert_int_equal(r->why.code, code);
	if (!strstr(r->why.text, text))
		fail_msg("%s", r->why.text);
	assert_non_null(strstr(r->why.text, r->path));
}

/* ---- the place --------------------------------------------------------------------- */

static void the_path_is_known_before_and_short_enough_for_a_runtime(void **state)
{
	struct rig *r = *state;
	char run[128], want[128], *path = NULL;
	struct err err = ERR_INIT;

	snprintf(want, sizeof(want), "%s/pty/0000000000001234/pty.sock", r->node->dir);
	assert_string_equal(r->path, want);
	memset(run, 'r', sizeof(run));
	run[0] = '/';
	run[108 - sizeof("/pty/0000000000001234/pty.sock")] = '\0';
	assert_int_equal(console_path(&path, run, UINT64_MAX, &err), 0);
	assert_int_equal(strlen(path), 107);
	free(path);
	strcat(run, "r");
	assert_int_equal(console_path(&path, run, 1, &err), -ENAMETOOLONG);
}

static void socket_and_folder_are_private_and_removed_together(void **state)
{
	struct rig *r = *state;
	struct stat st;

	begin(r, 1000);
	assert_int_equal(stat(r->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(node_rig_path(r->node, "pty/0000000000001234"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(console_remove(r->node->n, r->path, &r->folder, NULL), 1);
	assert_int_equal(stat(node_rig_path(r->node, "pty/0000000000001234"), &st), -1);
	assert_int_equal(console_remove(r->node->n, r->path, &r->folder, NULL), 0);
	assert_int_equal(console_remove(r->node->n, r->path, NULL, NULL), 0);
}

static void half_made_is_removed_by_name_alone(void **state)
{
	struct rig *r = *state;

	mkdir(node_rig_path(r->node, "pty"), 0700);
	mkdir(node_rig_path(r->node, "pty/0000000000001234"), 0700);
	assert_int_equal(console_remove(r->node->n, r->path, NULL, NULL), 1);
	begin(r, 1000);
	assert_int_equal(console_remove(r->node->n, r->path, NULL, NULL), 1);
}

static void a_folder_that_is_not_ours_is_left_alone(void **state)
{
	struct rig *r = *state;
	struct err err = ERR_INIT;
	struct path_ident folder;
	int fd = -1;

	mkdir(node_rig_path(r->node, "pty"), 0700);
	mkdir(node_rig_path(r->node, "pty/0000000000001234"), 0700);
	assert_int_equal(console_listen(r->node->n, r->path, &folder, &fd, &err), -EEXIST);
	assert_int_equal(fd, -1);
	folder = (struct path_ident){ .dev = 1, .ino = 1 };
	assert_int_equal(console_remove(r->node->n, r->path, &folder, &err), -ESTALE);
	close(open(r->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(console_remove(r->node->n, r->path, NULL, &err), -ENOTEMPTY);
	assert_int_equal(access(r->path, F_OK), 0);
}

/* ---- the master --------------------------------------------------------------------- */

static void a_master_is_received_and_works(void **state)
{
	struct rig *r = *state;
	char got[8] = "";

	begin(r, 10000);
	dial(r);
	post_master(r);
	loop_until(r->base, &r->told);
	assert_int_equal(r->why.code, 0);
	assert_true(r->got >= 0);
	assert_int_equal(fcntl(r->got, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(r->slave, "x", 1), 1);
	assert_int_equal(read(r->got, got, sizeof(got)), 1);
}

static void a_runtime_may_be_slow_between_connecting_and_sending(void **state)
{
	struct rig *r = *state;

	begin(r, 10000);
	dial(r);
	assert_in_range(loop_for(r->base, 100), 1, 4);
	assert_int_equal(r->told, 0);
	post_master(r);
	loop_until(r->base, &r->told);
	assert_true(r->got >= 0);
}

static void what_was_sent_before_the_runtime_ended_is_received(void **state)
{
	struct rig *r = *state;

	begin(r, 10000);
	dial(r);
	post_master(r);
	close(r->peer);
	r->peer = -1;
	console_runtime_ended(r->wait);
	loop_until(r->base, &r->told);
	assert_true(r->got >= 0);
}

static void a_runtime_that_ends_without_connecting_is_told_at_once(void **state)
{
	struct rig *r = *state;

	begin(r, 60000);
	console_runtime_ended(r->wait);
	assert_int_equal(r->told, 0); /* not from within our own call */
	assert_refused(r, EPROTO, "the runtime has ended without sending a terminal");
}

static void a_runtime_that_never_connects_ends_at_the_deadline(void **state)
{
	struct rig *r = *state;

	begin(r, 30);
	assert_refused(r, ETIMEDOUT, "the runtime has not connected in 30 ms");
}

static void a_runtime_that_connects_and_sends_nothing_ends_at_the_deadline(void **state)
{
	struct rig *r = *state;

	begin(r, 30);
	dial(r);
	assert_refused(r, ETIMEDOUT, "the runtime has connected, and not sent a terminal");
}

static void a_hang_up_without_a_descriptor_is_named(void **state)
{
	struct rig *r = *state;

	begin(r, 60000);
	dial(r);
	close(r->peer);
	r->peer = -1;
	assert_refused(r, EPROTO, "the runtime hung up before it sent a terminal");
}

static void anything_but_one_descriptor_is_named_and_closed(void **state)
{
	static const struct { size_t n; const char *text; } cases[] = {
		{ 0, "3 bytes with 0 descriptors" }, { 2, "3 bytes with 2 descriptors" },
		{ 8, "3 bytes with 8 descriptors" }, { 64, "more than 8 descriptors" },
	};
	struct rig *r = *state;
	int fds[64];

	for (int i = 0; i < 64; i++)
		fds[i] = r->master;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int before = node_rig_descriptors();

		r->told = 0;
		begin(r, 60000);
		dial(r);
		post(r, "pts", 3, fds, cases[i].n);
		assert_refused(r, EPROTO, cases[i].text);
		close(r->peer);
		r->peer = -1;
		assert_int_equal(node_rig_descriptors(), before);
		assert_int_equal(console_remove(r->node->n, r->path, &r->folder, NULL), 1);
	}
}

static void a_name_of_4096_bytes_is_refused_and_one_of_4095_is_not(void **state)
{
	struct rig *r = *state;
	char name[4096];

	memset(name, 'n', sizeof(name));
	begin(r, 60000);
	dial(r);
	post(r, name, sizeof(name), &r->master, 1);
	assert_refused(r, EPROTO, "a terminal's name of 4096 or more bytes");
	close(r->peer);
	assert_int_equal(console_remove(r->node->n, r->path, &r->folder, NULL), 1);
	r->told = 0;
	r->why.code = 0;
	begin(r, 60000);
	dial(r);
	post(r, name, sizeof(name) - 1, &r->master, 1);
	loop_until(r->base, &r->told);
	assert_true(r->got >= 0);
}

static void what_is_no_terminal_is_named(void **state)
{
	struct rig *r = *state;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	begin(r, 60000);
	dial(r);
	post(r, "x", 1, &null, 1);
	close(null);
	assert_refused(r, EPROTO, "a descriptor that is no terminal: /dev/null");
}

static void a_thousand_waits_leave_no_descriptor_and_nothing_on_disk(void **state)
{
	struct rig *r = *state;
	int before = node_rig_descriptors();

	for (int i = 0; i < 1000; i++) {
		r->told = 0;
		begin(r, 60000);
		dial(r);
		if (i % 2) {
			post_master(r);
			loop_until(r->base, &r->told);
			close(r->got);
			r->got = -1;
		}
		close(r->peer);
		r->peer = -1;
		r->wait = console_wait_free(r->wait);
		assert_int_equal(console_remove(r->node->n, r->path, &r->folder, NULL), 1);
	}
	assert_int_equal(node_rig_descriptors(), before);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_path_is_known_before_and_short_enough_for_a_runtime),
		TEST(socket_and_folder_are_private_and_removed_together),
		TEST(half_made_is_removed_by_name_alone),
		TEST(a_folder_that_is_not_ours_is_left_alone),
		TEST(a_master_is_received_and_works),
		TEST(a_runtime_may_be_slow_between_connecting_and_sending),
		TEST(what_was_sent_before_the_runtime_ended_is_received),
		TEST(a_runtime_that_ends_without_connecting_is_told_at_once),
		TEST(a_runtime_that_never_connects_ends_at_the_deadline),
		TEST(a_runtime_that_connects_and_sends_nothing_ends_at_the_deadline),
		TEST(a_hang_up_without_a_descriptor_is_named),
		TEST(anything_but_one_descriptor_is_named_and_closed),
		TEST(a_name_of_4096_bytes_is_refused_and_one_of_4095_is_not),
		TEST(what_is_no_terminal_is_named),
		TEST(a_thousand_waits_leave_no_descriptor_and_nothing_on_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
