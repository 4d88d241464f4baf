/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files, locks, sockets, and the machine itself.
 */
#include "journal/base/cleanup.h"
#include "supervisor/node/node_linux.h"
#include "test/lib/node_rig.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <cmocka.h>

static struct path_ident ident(struct node_rig *rig, const char *path)
{
	struct path_ident what;

	assert_int_equal(rig->n->path(rig->n, path, &what, NULL), 1);
	return what;
}

/* ---- files ------------------------------------------------------------------- */

static void test_a_file_is_written_read_and_removed(void **state)
{
	struct node_rig *rig = *state;
	struct node *n = rig->n;
	const char *path = node_rig_path(rig, "file");
	struct path_ident what;
	char *text;
	size_t len;

	assert_int_equal(n->path(n, path, &what, NULL), 0);
	assert_int_equal(n->read_file(n, path, 100, &text, &len, NULL), -ENOENT);
	assert_int_equal(n->write_file(n, path, "one", 3, 0600, NULL), 0);
	assert_int_equal(n->write_file(n, path, "t\0o", 3, 0600, NULL), 0);
	assert_int_equal(n->read_file(n, path, 3, &text, &len, NULL), 0);
	assert_int_equal(len, 3);
	assert_memory_equal(text, "t\0o", 4);
	free(text);
	assert_int_equal(n->read_file(n, path, 2, &text, &len, NULL), -EFBIG);
	what = ident(rig, path);
	assert_true(S_ISREG(what.mode));
	assert_int_equal(what.size, 3);
	assert_int_equal(n->remove_file(n, path, &what, NULL), 1);
	assert_int_equal(n->remove_file(n, path, &what, NULL), 0);
	assert_int_equal(n->path(n, node_rig_path(rig, "file/below"), &what, NULL), 0);
}

static void test_a_long_file_is_read_whole(void **state)
{
	struct node_rig *rig = *state;
	const char *path = node_rig_path(rig, "file");
	char *text = malloc(100000);
	char *back;
	size_t len;

	memset(text, 'x', 100000);
	assert_int_equal(rig->n->write_file(rig->n, path, text, 100000, 0600, NULL), 0);
	assert_int_equal(rig->n->read_file(rig->n, path, 100000, &back, &len, NULL), 0);
	assert_int_equal(len, 100000);
	assert_memory_equal(text, back, 100000);
	free(text);
	free(back);
}

static void test_what_is_no_regular_file_is_not_read(void **state)
{
	struct node_rig *rig = *state;
	const char *fifo = node_rig_path(rig, "fifo");
	const char *link = node_rig_path(rig, "link");
	char *text;

	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	assert_int_equal(rig->n->read_file(rig->n, fifo, 10, &text, NULL, NULL), -EINVAL);
	assert_int_equal(rig->n->read_file(rig->n, link, 10, &text, NULL, NULL), -ELOOP);
}

static void test_what_was_replaced_is_left_alone(void **state)
{
	struct node_rig *rig = *state;
	struct node *n = rig->n;
	const char *dir = node_rig_path(rig, "dir");
	const char *file = node_rig_path(rig, "file");
	struct path_ident old_dir;
	struct path_ident old_file;

	assert_int_equal(n->make_dir(n, dir, 0700, NULL), 1);
	assert_int_equal(n->make_dir(n, dir, 0700, NULL), 0);
	assert_int_equal(n->write_file(n, file, "", 0, 0600, NULL), 0);
	old_dir = ident(rig, dir);
	old_file = ident(rig, file);
	/* Kept under other names, so that the inode numbers can't come again. */
	assert_int_equal(rename(dir, node_rig_path(rig, "dir.old")), 0);
	assert_int_equal(rename(file, node_rig_path(rig, "file.old")), 0);
	assert_int_equal(n->make_dir(n, dir, 0700, NULL), 1);
	assert_int_equal(n->write_file(n, file, "", 0, 0600, NULL), 0);
	assert_int_equal(n->remove_dir(n, dir, &old_dir, NULL), -ESTALE);
	assert_int_equal(n->remove_file(n, file, &old_file, NULL), -ESTALE);
	old_dir = ident(rig, dir);
	assert_int_equal(n->remove_dir(n, dir, &old_dir, NULL), 1);
	assert_int_equal(n->remove_dir(n, dir, &old_dir, NULL), 0);
}

static void test_a_folder_that_is_not_empty_stays(void **state)
{
	struct node_rig *rig = *state;
	struct node *n = rig->n;
	const char *dir = node_rig_path(rig, "dir");
	struct path_ident what;

	assert_int_equal(n->make_dir(n, dir, 0700, NULL), 1);
	assert_int_equal(n->write_file(n, node_rig_path(rig, "dir/x"), "", 0, 0600, NULL), 0);
	what = ident(rig, dir);
	assert_int_equal(n->remove_dir(n, dir, &what, NULL), -ENOTEMPTY);
	assert_int_equal(n->make_dir(n, node_rig_path(rig, "dir/x"), 0700, NULL), -ENOTDIR);
	assert_int_equal(n->make_dir(n, node_rig_path(rig, "no/dir"), 0700, NULL), -ENOENT);
	assert_int_equal(n->remove_dir(n, "relative", &what, NULL), -EINVAL);
}

static void test_a_link_is_removed_and_not_what_it_names(void **state)
{
	struct node_rig *rig = *state;
	struct node *n = rig->n;
	const char *file = node_rig_path(rig, "file");
	const char *link = node_rig_path(rig, "link");
	struct path_ident what;

	assert_int_equal(n->write_file(n, file, "", 0, 0600, NULL), 0);
	assert_int_equal(symlink("file", link), 0);
	what = ident(rig, link);
	assert_true(S_ISLNK(what.mode));
	assert_int_equal(n->remove_file(n, link, &what, NULL), 1);
	assert_int_equal(n->path(n, file, &what, NULL), 1);
}

static void test_names_are_listed_in_order(void **state)
{
	struct node_rig *rig = *state;
	struct node *n = rig->n;
	char **names;

	assert_int_equal(n->list_dir(n, rig->dir, &names, NULL), 0);
	assert_null(names[0]);
	free(names);
	assert_int_equal(n->make_dir(n, node_rig_path(rig, "b"), 0700, NULL), 1);
	assert_int_equal(n->make_dir(n, node_rig_path(rig, ".a"), 0700, NULL), 1);
	assert_int_equal(n->make_dir(n, node_rig_path(rig, "a"), 0700, NULL), 1);
	assert_int_equal(n->list_dir(n, rig->dir, &names, NULL), 0);
	assert_string_equal(names[0], ".a");
	assert_string_equal(names[1], "a");
	assert_string_equal(names[2], "b");
	assert_null(names[3]);
	free(names);
	assert_int_equal(n->list_dir(n, node_rig_path(rig, "none"), &names, NULL), -ENOENT);
}

/* ---- locks ------------------------------------------------------------------- */

struct try {
	struct node *n;
	const char *path;
	bool and_unlock;
};

static int try_lock(void *arg)
{
	const struct try *t = arg;
	int rc = t->n->lock(t->n, t->path, NULL);

	if (rc == 1 && t->and_unlock)
		(void)t->n->unlock(t->n, t->path, NULL);
	return rc < 0 ? 100 : rc;
}

/* 1 or 0: what another process gets. */
static int locks_elsewhere(struct node_rig *rig, const char *path, bool and_unlock)
{
	struct try t = { rig->n, path, and_unlock };
	struct spawn what = { .job = JOB_CALL, .call = try_lock, .call_arg = &t,
			      .in = SPAWN_NULL, .out = SPAWN_NULL, .err = SPAWN_NULL };

	return node_rig_run(rig, &what, NULL);
}

static void test_a_lock_is_held_against_others_until_unlock(void **state)
{
	struct node_rig *rig = *state;
	struct node *n = rig->n;
	const char *path = node_rig_path(rig, "locks/deep/one");
	struct path_ident what;

	assert_int_equal(n->lock(n, path, NULL), 1);
	assert_int_equal(locks_elsewhere(rig, path, false), 0);
	/* Again is fine, and must not drop it. */
	assert_int_equal(n->lock(n, path, NULL), 1);
	assert_int_equal(locks_elsewhere(rig, path, false), 0);
	assert_int_equal(n->unlock(n, path, NULL), 0);
	assert_int_equal(n->path(n, path, &what, NULL), 0);
	assert_int_equal(locks_elsewhere(rig, path, true), 1);
	assert_int_equal(n->unlock(n, path, NULL), 0);
}

static void test_a_dead_holder_is_no_holder(void **state)
{
	struct node_rig *rig = *state;
	const char *path = node_rig_path(rig, "lock");

	assert_int_equal(locks_elsewhere(rig, path, false), 1);
	assert_int_equal(rig->n->lock(rig->n, path, NULL), 1);
}

/* ---- sockets ----------------------------------------------------------------- */

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void test_a_socket_answers_while_somebody_listens(void **state)
{
	struct node_rig *rig = *state;
	struct node *n = rig->n;
	const char *path = node_rig_path(rig, "run/s");
	struct stat st;
	int fd;
	int again;

	assert_int_equal(n->answers(n, path, NULL), 0);
	assert_int_equal(n->listen(n, path, &fd, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	assert_int_equal(stat(node_rig_path(rig, "run"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(n->answers(n, path, NULL), 1);
	assert_int_equal(n->listen(n, path, &again, NULL), -EADDRINUSE);
	close(fd);
	assert_int_equal(n->answers(n, path, NULL), 0);
	assert_int_equal(n->write_file(n, node_rig_path(rig, "plain"), "", 0, 0600, NULL), 0);
	assert_int_equal(n->answers(n, node_rig_path(rig, "plain"), NULL), 0);
}

static void test_a_path_that_is_too_long_for_a_socket_is_refused(void **state)
{
	struct node_rig *rig = *state;
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/%0120d", rig->dir, 0);
	assert_int_equal(rig->n->listen(rig->n, path, &fd, NULL), -ENAMETOOLONG);
	assert_int_equal(rig->n->answers(rig->n, path, NULL), -ENAMETOOLONG);
}

/* Neither a yes, nor the no that lets its name be removed. */
static void test_a_listener_that_does_not_accept_is_an_error(void **state)
{
	struct node_rig *rig = *state;
	const char *path = node_rig_path(rig, "s");
	int queue[4];
	int fd;

	assert_int_equal(rig->n->listen(rig->n, path, &fd, NULL), 0);
	assert_int_equal(listen(fd, 1), 0);
	for (int i = 0; i < 2; i++)
		queue[i] = connect_to(path);
	assert_int_equal(rig->n->answers(rig->n, path, NULL), -EAGAIN);
	for (int i = 0; i < 2; i++)
		close(queue[i]);
	close(fd);
}

static void test_connections_are_counted_accepted_or_not(void **state)
{
	struct node_rig *rig = *state;
	struct node *n = rig->n;
	const char *path = node_rig_path(rig, "s");
	const char *other = node_rig_path(rig, "s2");
	int fd;
	int fd2;
	int client[2];
	int server;

	assert_int_equal(n->listen(n, path, &fd, NULL), 0);
	assert_int_equal(n->listen(n, other, &fd2, NULL), 0);
	assert_int_equal(n->peers(n, path, NULL), 0);
	client[0] = connect_to(path);
	assert_int_equal(n->peers(n, path, NULL), 1);
	server = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	assert_int_equal(n->peers(n, path, NULL), 1);
	client[1] = connect_to(path);
	assert_int_equal(n->peers(n, path, NULL), 2);
	assert_int_equal(n->peers(n, other, NULL), 0);
	/* The other side has gone; the server has not noticed yet. */
	close(client[0]);
	assert_int_equal(n->peers(n, path, NULL), 1);
	close(client[1]);
	close(server);
	close(fd);
	close(fd2);
}

/* A kernel without unix_diag: netlink sockets are refused from here on. */
static int count_without_netlink(void *arg)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPROTONOSUPPORT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(code), .filter = code };
	struct try *t = arg;
	int rc;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ||
	    socket(AF_NETLINK, SOCK_RAW, 0) >= 0)
		return 100;
	rc = t->n->peers(t->n, t->path, NULL);
	return rc < 0 ? 101 : rc;
}

static void test_connections_are_counted_without_netlink_too(void **state)
{
	struct node_rig *rig = *state;
	struct try t = { .n = rig->n, .path = node_rig_path(rig, "s") };
	struct spawn what = { .job = JOB_CALL, .call = count_without_netlink, .call_arg = &t,
			      .in = SPAWN_NULL, .out = SPAWN_NULL, .err = SPAWN_NULL };
	int client[2];
	int server;
	int fd;

	assert_int_equal(rig->n->listen(rig->n, t.path, &fd, NULL), 0);
	assert_int_equal(node_rig_run(rig, &what, NULL), 0);
	client[0] = connect_to(t.path);
	server = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(node_rig_run(rig, &what, NULL), 1);
	client[1] = connect_to(t.path);
	assert_int_equal(node_rig_run(rig, &what, NULL), 2);
	close(client[0]);
	close(client[1]);
	close(server);
	close(fd);
}

/* ---- the machine ------------------------------------------------------------- */

static void test_the_clocks_go_on_and_numbers_differ(void **state)
{
	struct node_rig *rig = *state;
	struct node *n = rig->n;
	int64_t ms = n->now_ms(n);
	int64_t ns = n->wall_ns(n);

	assert_true(ms > 0 && n->now_ms(n) >= ms);
	assert_true(ns > 1500000000000000000);
	assert_true(n->random(n) != n->random(n));
}

static void test_the_epoch_tells_namespaces_apart(void **state)
{
	struct node_rig *rig = *state;
	char before[128];
	struct node *other;

	snprintf(before, sizeof(before), "%s", rig->n->epoch(rig->n));
	assert_true(epoch_same_boot(before, rig->n->epoch(rig->n)));
	if (!node_rig_private_mounts())
		skip();
	assert_int_equal(node_linux_new(&other, NULL), 0);
	assert_true(epoch_same_boot(before, other->epoch(other)));
	assert_true(epoch_same_pids(before, other->epoch(other)));
	assert_false(epoch_same_mounts(before, other->epoch(other)));
	node_linux_free(other);
}

static void test_we_know_ourselves(void **state)
{
	struct node_rig *rig = *state;
	struct ident who;

	assert_int_equal(rig->n->self(rig->n, &who, NULL), 0);
	assert_int_equal(who.pid, getpid());
	assert_int_equal(rig->n->alive(rig->n, &who, NULL), 1);
	assert_null(node_linux_free(NULL));
}

#define T(name) cmocka_unit_test_setup_teardown(name, node_rig_up, node_rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_file_is_written_read_and_removed),
		T(test_a_long_file_is_read_whole),
		T(test_what_is_no_regular_file_is_not_read),
		T(test_what_was_replaced_is_left_alone),
		T(test_a_folder_that_is_not_empty_stays),
		T(test_a_link_is_removed_and_not_what_it_names),
		T(test_names_are_listed_in_order),
		T(test_a_lock_is_held_against_others_until_unlock),
		T(test_a_dead_holder_is_no_holder),
		T(test_a_socket_answers_while_somebody_listens),
		T(test_a_path_that_is_too_long_for_a_socket_is_refused),
		T(test_a_listener_that_does_not_accept_is_an_error),
		T(test_connections_are_counted_accepted_or_not),
		T(test_connections_are_counted_without_netlink_too),
		T(test_the_clocks_go_on_and_numbers_differ),
		T(test_we_know_ourselves),
		T(test_the_epoch_tells_namespaces_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
