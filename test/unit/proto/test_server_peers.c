/* SPDX-License-Identifier: Apache-2.0 */
/* Who may connect, how many, and what a peer can cost us. */
#include "journal/base/cleanup.h"
#include "proto/api/task.pb-c.h"
#include "proto/ttrpc/client.h"
#include "proto/ttrpc/frame.h"
#include "test/lib/task_server.h"

#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#define QUEUE 128

struct place {
	char dir[64], path[80];
};

/* A folder of our own and a listening socket in it. */
static int listen_at(struct place *p)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *tmp = getenv("TMPDIR");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(p->dir, sizeof(p->dir), "%.40s/ttrpc.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->path, sizeof(p->path), "%s/s", p->dir);
	strcpy(to.sun_path, p->path);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(listen(fd, QUEUE), 0);
	return fd;
}

static void remove_place(const struct place *p)
{
	(void)unlink(p->path);
	(void)rmdir(p->dir);
}

static void a_thousand_connections_leave_nothing_behind(void **state)
{
	struct task_server *f = *state;
	struct place p;
	int fds[100], before;

	assert_int_equal(server_listen(f->server, listen_at(&p), NULL), 0);
	assert_int_equal(server_listen(f->server, 0, NULL), -EINVAL);
	before = wire_open_fds();
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 100; i++) {
			fds[i] = client_connect(p.path, 1000, NULL);
			assert_true(fds[i] >= 0);
		}
		while (server_peers(f->server) < 101)
			wire_turn(f->base, 5);
		for (int i = 0; i < 100; i++)
			(void)close(fds[i]);
		while (server_peers(f->server) > 1)
			wire_turn(f->base, 5);
	}
	assert_int_equal(f->opened, 1001);
	assert_int_equal(f->closed, 1000);
	assert_int_equal(wire_open_fds(), before);
	ts_still_good(f, 1);
	remove_place(&p);
}

static void without_descriptors_accepting_pauses_and_goes_on(void **state)
{
	struct task_server *f = *state;
	struct rlimit old, tight;
	struct place p;
	int fd;

	assert_int_equal(server_listen(f->server, listen_at(&p), NULL), 0);
	fd = client_connect(p.path, 1000, NULL);
	assert_true(fd >= 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	tight.rlim_cur = (rlim_t)fd + 1; /* the lowest free number is above it */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	wire_turn(f->base, 20);
	assert_int_equal(server_peers(f->server), 1);
	ts_still_good(f, 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	while (server_peers(f->server) < 2)
		wire_turn(f->base, 10);
	(void)close(fd);
	remove_place(&p);
}

/* In a child: 0 if the server closed us without a word. */
static int be_a_stranger(const char *path)
{
	struct timeval tv = { .tv_sec = 5 };
	char byte;
	int fd;

	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		return 1;
	fd = client_connect(path, 1000, NULL);
	if (fd < 0 || fcntl(fd, F_SETFL, 0) < 0)
		return 2;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return read(fd, &byte, 1) == 0 ? 0 : 3;
}

static void a_stranger_is_closed_without_a_word(void **state)
{
	struct task_server *f = *state;
	struct place p;
	int status = 0;
	pid_t child;

	if (geteuid() != 0)
		skip(); /* only root can become a stranger */
	assert_int_equal(server_listen(f->server, listen_at(&p), NULL), 0);
	assert_int_equal(chmod(p.dir, 0755) | chmod(p.path, 0777), 0);
	child = fork();
	if (child == 0)
		_exit(be_a_stranger(p.path));
	assert_true(child > 0);
	while (waitpid(child, &status, WNOHANG) == 0)
		wire_turn(f->base, 10);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(f->opened, 1);
	remove_place(&p);
}

/* Send Pids calls until the server takes no more. */
static void stuff(struct task_server *f, uint32_t id, int patience)
{
	struct client_request req = { .service = TASK_SERVICE, .method = "Pids" };
	Containerd__Task__V2__PidsRequest in = CONTAINERD__TASK__V2__PIDS_REQUEST__INIT;
	auto_free uint8_t *data = NULL;
	size_t len, at = 0;
	ssize_t n;

	req.in = &in.base;
	for (int idle = 0; idle < patience;) {
		if (at == 0) {
			free(data);
			data = NULL;
			assert_int_equal(client_encode(&req, id, &data, &len, NULL), 0);
		}
		n = send(f->peer, data + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0) {
			idle++;
			wire_turn(f->base, 1);
			continue;
		}
		idle = 0;
		at += (size_t)n;
		if (at == len) {
			at = 0;
			id += 2;
		}
	}
}

static void a_peer_that_does_not_read_is_not_read_from(void **state)
{
	struct task_server *f = *state;
	struct wire_frame got;
	size_t answered, n = 0;

	f->answer_size = 10000;
	stuff(f, 1, 50);
	answered = f->n_started;
	/* the socket's own buffers, our bound, and one answer more */
	assert_true(answered * f->answer_size < 2 * SERVER_UNREAD_MAX + (1u << 20));
	wire_turn(f->base, 20);
	assert_int_equal(f->n_started, answered);
	/* It reads: everything that was sent whole is answered, in order. */
	while (f->n_started > n) {
		assert_true(wire_receive(f->base, f->peer, &got));
		assert_int_equal(got.head.id, 2 * n + 1);
		free(got.payload);
		n++;
		wire_turn(f->base, 0);
	}
	assert_true(n > answered);
}

static void a_peer_that_never_reads_and_leaves_is_noticed(void **state)
{
	struct task_server *f = *state;

	f->answer_size = 10000;
	stuff(f, 1, 50);
	(void)close(f->peer);
	f->peer = -1;
	while (server_peers(f->server))
		wire_turn(f->base, 10);
	assert_int_equal(f->closed, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, task_server_setup, task_server_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_thousand_connections_leave_nothing_behind),
		TEST(without_descriptors_accepting_pauses_and_goes_on),
		TEST(a_stranger_is_closed_without_a_word),
		TEST(a_peer_that_does_not_read_is_not_read_from),
		TEST(a_peer_that_never_reads_and_leaves_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
