/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The number of a guest's vsock is the kernel's to give; and a monitor that has a vsock of
 * its own reaches the socket of vAccel's agent. The first needs /dev/vhost-vsock, which
 * test/v2/test_vsock has.
 */
#include "supervisor/launch/launch.h"
#include "supervisor/node/node.h"
#include "test/lib/node_rig.h"

#include "journal/base/cleanup.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#define LIMIT_MS 20000
#define PYTHON   "/usr/bin/python3"

static bool has_device(void)
{
	return access("/dev/vhost-vsock", F_OK) == 0;
}

/* ---- the number --------------------------------------------------------------------- */

/* The number that is had for this wish, and held by this process until let_go(). */
static uint32_t take(uint32_t wish)
{
	auto_json json_object *args = json_object_new_object();
	auto_json json_object *ready = json_object_new_object();
	struct err err = ERR_INIT;
	json_object *cid;

	json_object_object_add(args, "cid", json_object_new_int64(wish));
	if (launch_vsock(args, ready, &err) < 0)
		fail_msg("%s", err.text);
	cid = launch_member(ready, "cid", json_type_int);
	assert_non_null(cid);
	return (uint32_t)json_object_get_int64(cid);
}

static void let_go(void)
{
	assert_int_equal(close(LAUNCH_VSOCK_FD), 0);
}

/* Another process that holds @wish, until it is killed. */
static pid_t holder(uint32_t wish)
{
	int gate[2];
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(gate), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		byte = take(wish) == wish;
		if (write(gate[1], &byte, 1) == 1)
			(void)pause();
		_exit(0);
	}
	(void)close(gate[1]);
	assert_int_equal(read(gate[0], &byte, 1), 1);
	(void)close(gate[0]);
	assert_int_equal(byte, 1);
	return pid;
}

static void end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void two_guests_that_wish_for_one_number_have_two(void **state)
{
	pid_t pid;

	(void)state;
	if (!has_device())
		skip();
	pid = holder(4711);
	assert_int_equal(take(4711), 4712);
	let_go();
	end(pid);
	assert_int_equal(take(4711), 4711);
	let_go();
}

static void after_the_last_number_the_first_is_tried(void **state)
{
	pid_t pid;

	(void)state;
	if (!has_device())
		skip();
	pid = holder(VSOCK_CID_MAX);
	assert_in_range(take(VSOCK_CID_MAX), VSOCK_CID_MIN, 4710);
	let_go();
	end(pid);
}

static void a_number_that_can_not_be_had_is_one_sentence(void **state)
{
	auto_json json_object *args = json_tokener_parse("{\"cid\":1}");
	auto_json json_object *ready = json_object_new_object();
	struct err err = ERR_INIT;

	(void)state;
	assert_true(launch_vsock(args, ready, &err) < 0);
	assert_non_null(strstr(err.text, has_device()
						? "have a number for the guest's vsock: "
						: "open /dev/vhost-vsock, which the annotation vAccel "
						  "needs (load the kernel module vhost_vsock): "));
	assert_null(launch_member(ready, "cid", json_type_int));
}

/* ---- a monitor's own ------------------------------------------------------------------- */

/* As firecracker does: its own name in /tmp, and the agent's beside it. */
#define SCRIPT                                                           \
	"import socket\n"                                                \
	"own = socket.socket(socket.AF_UNIX)\n"                          \
	"own.bind('" LAUNCH_VSOCK_SOCKET "')\n"                          \
	"agent = socket.socket(socket.AF_UNIX)\n"                        \
	"agent.connect('" LAUNCH_VSOCK_SOCKET "_9')\n"                   \
	"try:\n"                                                         \
	"    open('" LAUNCH_AGENT "/x', 'w')\n"                          \
	"except OSError as e:\n"                                         \
	"    agent.send(e.strerror.encode())\n"

static int listen_at(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(strlen(path) < sizeof(at.sun_path));
	(void)strcpy(at.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static char *heard(struct node_rig *rig, const struct ident *who)
{
	struct err err = ERR_INIT;
	char *text = NULL;

	while (rig->n->hear(rig->n, who, &text, &err) == 0) {
		struct pollfd p = { .fd = rig->n->talk_fd(rig->n, who, &err), .events = POLLIN };

		assert_int_equal(poll(&p, 1, LIMIT_MS), 1);
	}
	return text;
}

static struct ident launched(struct node_rig *rig, const char *folder)
{
	auto_json json_object *args = json_object_new_object();
	struct spawn what = { .job = JOB_LAUNCH, .in = SPAWN_NULL, .out = SPAWN_NULL,
			      .err = SPAWN_NULL, .talks = true };
	struct err err = ERR_INIT;
	struct ident who;

	json_object_object_add(args, "rootfs", json_object_new_string(folder));
	json_object_object_add(args, "place", json_object_new_string(folder));
	json_object_object_add(args, "agent", json_object_new_string(folder));
	json_object_object_add(args, "agent_name", json_object_new_string(VSOCK_NAME "_9"));
	json_object_object_add(args, "program", json_object_new_string(PYTHON));
	json_object_object_add(args, "accel", json_object_new_string("none"));
	what.args = json_object_to_json_string(args);
	if (rig->n->spawn(rig->n, &what, &who, &err) < 0 || rig->n->spawn_go(rig->n, &who, &err) < 0)
		fail_msg("%s", err.text);
	return who;
}

static void become(struct node_rig *rig, const struct ident *who)
{
	auto_json json_object *order = json_object_new_object();
	json_object *argv = json_object_new_array();
	auto_free char *text = heard(rig, who);

	if (!text || strcmp(text, "{\"ready\":true,\"accel\":\"none\"}") != 0)
		fail_msg("it said %s", text ? text : "nothing");
	json_object_array_add(argv, json_object_new_string(PYTHON));
	json_object_array_add(argv, json_object_new_string("-c"));
	json_object_array_add(argv, json_object_new_string(SCRIPT));
	json_object_object_add(order, "argv", argv);
	assert_int_equal(rig->n->tell(rig->n, who, json_object_to_json_string(order), NULL), 0);
}

static void a_monitor_has_its_own_socket_beside_the_agents(void **state)
{
	struct node_rig *rig = *state;
	auto_fd int listening = -1;
	auto_fd int agent = -1;
	char path[128];
	char text[128] = "";
	struct ident who;
	struct pollfd p = { .events = POLLIN };

	if (access(PYTHON, X_OK) < 0)
		skip();
	(void)snprintf(path, sizeof(path), "%s/" VSOCK_NAME "_9", rig->dir);
	p.fd = listening = listen_at(path);
	who = launched(rig, rig->dir);
	become(rig, &who);
	assert_int_equal(poll(&p, 1, LIMIT_MS), 1);
	agent = accept(listening, NULL, NULL);
	assert_true(recv(agent, text, sizeof(text) - 1, MSG_WAITALL) > 0);
	assert_string_equal(text, "Read-only file system");
	assert_int_equal(node_rig_end(rig, &who), 0);
	assert_int_equal(unlink(path), 0);
	/* Its own name was never in the folder. */
	path[strlen(path) - 2] = '\0';
	assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_guests_that_wish_for_one_number_have_two),
		cmocka_unit_test(after_the_last_number_the_first_is_tried),
		cmocka_unit_test(a_number_that_can_not_be_had_is_one_sentence),
		cmocka_unit_test_setup_teardown(a_monitor_has_its_own_socket_beside_the_agents,
						node_rig_up, node_rig_down),
	};

	if (geteuid() != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
