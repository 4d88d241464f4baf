/* SPDX-License-Identifier: Apache-2.0 */
/* Children that talk, and the pid namespace that a child is born in. */
#include "supervisor/node/node_linux.h"
#include "test/lib/node_rig.h"

#include "journal/base/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

/* Says what it hears, and its pid, until its talk ends. */
static int echo(void *arg)
{
	char text[70000];
	ssize_t n;

	(void)arg;
	while ((n = recv(SPAWN_TALK_FD, text, sizeof(text) - 32, 0)) > 0) {
		n += snprintf(text + n, 32, " to %d", (int)getpid());
		if (send(SPAWN_TALK_FD, text, (size_t)n, 0) < 0)
			return 2;
	}
	return 7;
}

static int says_and_goes(void *arg)
{
	(void)arg;
	return send(SPAWN_TALK_FD, "last", 4, 0) == 4 ? 3 : 2;
}

static struct ident talker(struct node_rig *rig, int (*call)(void *), const char *pidns)
{
	const struct spawn what = { .job = JOB_CALL, .call = call, .in = SPAWN_NULL,
				    .out = SPAWN_NULL, .err = SPAWN_NULL, .talks = true,
				    .pidns = pidns };
	struct err err = ERR_INIT;
	struct ident who;

	if (rig->n->spawn(rig->n, &what, &who, &err) < 0 || rig->n->spawn_go(rig->n, &who, &err) < 0)
		fail_msg("%s", err.text);
	return who;
}

/* Wait for the next word; NULL: it has closed its end. */
static char *heard(struct node_rig *rig, const struct ident *who)
{
	struct err err = ERR_INIT;
	char *text = NULL;
	int rc;

	while ((rc = rig->n->hear(rig->n, who, &text, &err)) == 0) {
		struct pollfd p = { .fd = rig->n->talk_fd(rig->n, who, &err), .events = POLLIN };

		assert_true(p.fd >= 0);
		assert_int_equal(poll(&p, 1, 10000), 1);
	}
	assert_true(rc == 1 || rc == -EPIPE);
	return rc == 1 ? text : NULL;
}

static void hears(struct node_rig *rig, const struct ident *who, const char *expected)
{
	auto_free char *text = heard(rig, who);

	assert_non_null(text);
	assert_string_equal(text, expected);
}

static void test_a_child_hears_and_answers_in_whole_messages(void **state)
{
	struct node_rig *rig = *state;
	struct ident who = talker(rig, echo, NULL);
	char expected[64];

	assert_int_equal(rig->n->tell(rig->n, &who, "one", NULL), 0);
	assert_int_equal(rig->n->tell(rig->n, &who, "two", NULL), 0);
	(void)snprintf(expected, sizeof(expected), "one to %d", (int)who.pid);
	hears(rig, &who, expected);
	(void)snprintf(expected, sizeof(expected), "two to %d", (int)who.pid);
	hears(rig, &who, expected);
	assert_int_equal(rig->n->tell(rig->n, &who, "", NULL), -EMSGSIZE);
	assert_int_equal(rig->n->signal(rig->n, &who, SIGKILL, NULL), 0);
	assert_null(heard(rig, &who));
	assert_int_equal(rig->n->tell(rig->n, &who, "x", NULL), -EPIPE);
	assert_int_equal(WTERMSIG(node_rig_end(rig, &who)), SIGKILL);
}

static void test_its_last_word_is_heard_after_it_was_reaped(void **state)
{
	struct node_rig *rig = *state;
	int before = node_rig_descriptors();
	struct ident who = talker(rig, says_and_goes, NULL);

	assert_int_equal(WEXITSTATUS(node_rig_end(rig, &who)), 3);
	hears(rig, &who, "last");
	assert_null(heard(rig, &who));
	assert_int_equal(node_rig_descriptors(), before);
}

static void test_when_it_is_forgotten_it_hears_the_end(void **state)
{
	struct node_rig *rig = *state;
	struct ident who = talker(rig, echo, NULL);
	int status = -1;

	rig->n->forget(rig->n, &who);
	assert_int_equal(waitpid(who.pid, &status, 0), who.pid);
	assert_int_equal(WEXITSTATUS(status), 7);
}

static void test_a_child_may_be_the_first_of_its_pid_namespace(void **state)
{
	struct node_rig *rig = *state;
	struct ident who;

	if (geteuid() != 0)
		skip();
	who = talker(rig, echo, "");
	assert_int_equal(rig->n->tell(rig->n, &who, "you", NULL), 0);
	hears(rig, &who, "you to 1");
	rig->n->forget(rig->n, &who);
	assert_int_equal(waitpid(who.pid, NULL, 0), who.pid);
	/* The next ones are born in ours again. */
	who = talker(rig, says_and_goes, NULL);
	hears(rig, &who, "last");
	assert_int_equal(WEXITSTATUS(node_rig_end(rig, &who)), 3);
}

/* Becomes a shell that answers by its control, which all it had besides does not reach. */
static int becomes_a_monitor(void *arg)
{
	static const char script[] =
		"printf '{\"hello\":1}\\n{\"ha' >&4; read -r line <&4; printf 'lf\":2}\\n%s\\n' \"$line\" "
		">&4; [ ! -e /proc/self/fd/3 ] || echo 3 >&4; read -r line <&4; head -c 20000 /dev/zero "
		">&4; exit 4";

	(void)arg;
	return execl("/bin/sh", "sh", "-c", script, (char *)NULL);
}

static struct ident controlled(struct node_rig *rig)
{
	const struct spawn what = { .job = JOB_CALL, .call = becomes_a_monitor, .in = SPAWN_NULL,
				    .out = SPAWN_NULL, .err = SPAWN_NULL, .talks = true,
				    .controls = true };
	struct err err = ERR_INIT;
	struct ident who;

	if (rig->n->spawn(rig->n, &what, &who, &err) < 0 || rig->n->spawn_go(rig->n, &who, &err) < 0)
		fail_msg("%s", err.text);
	return who;
}

/* What control_hear() says at last, and a line. */
static int control_heard(struct node_rig *rig, const struct ident *who, char **ret)
{
	struct err err = ERR_INIT;
	int rc;

	while ((rc = rig->n->control_hear(rig->n, who, ret, &err)) == 0) {
		struct pollfd p = { .fd = rig->n->control_fd(rig->n, who, &err), .events = POLLIN };

		assert_true(p.fd >= 0);
		assert_int_equal(poll(&p, 1, 10000), 1);
	}
	return rc;
}

static void control_says(struct node_rig *rig, const struct ident *who, const char *expected)
{
	auto_free char *line = NULL;

	assert_int_equal(control_heard(rig, who, &line), 1);
	assert_string_equal(line, expected);
}

static void test_what_it_becomes_is_heard_line_by_line(void **state)
{
	struct node_rig *rig = *state;
	int before = node_rig_descriptors();
	struct ident who = controlled(rig);
	char *line = NULL;

	assert_null(heard(rig, &who)); /* the exec has closed its talk */
	control_says(rig, &who, "{\"hello\":1}");
	assert_int_equal(rig->n->control_tell(rig->n, &who, "you\n", NULL), 0);
	control_says(rig, &who, "{\"half\":2}");
	control_says(rig, &who, "you");
	assert_int_equal(rig->n->control_tell(rig->n, &who, "on\n", NULL), 0);
	assert_int_equal(control_heard(rig, &who, &line), -EMSGSIZE);
	assert_int_equal(WEXITSTATUS(node_rig_end(rig, &who)), 4);
	assert_int_equal(rig->n->control_hear(rig->n, &who, &line, NULL), -EPIPE);
	assert_int_equal(rig->n->control_tell(rig->n, &who, "x", NULL), -EPIPE);
	assert_int_equal(rig->n->control_fd(rig->n, &who, NULL), -EPIPE);
	assert_int_equal(node_rig_descriptors(), before);
}

static void test_who_has_no_control_is_told_nothing(void **state)
{
	struct node_rig *rig = *state;
	struct ident who = talker(rig, says_and_goes, NULL);
	char *line = NULL;

	assert_int_equal(rig->n->control_tell(rig->n, &who, "x", NULL), -EPIPE);
	assert_int_equal(rig->n->control_hear(rig->n, &who, &line, NULL), -EPIPE);
	hears(rig, &who, "last");
	assert_int_equal(WEXITSTATUS(node_rig_end(rig, &who)), 3);
}

static void test_a_pid_namespace_that_is_none_is_refused(void **state)
{
	struct node_rig *rig = *state;
	const struct spawn what = { .job = JOB_CALL, .call = echo, .in = SPAWN_NULL,
				    .out = SPAWN_NULL, .err = SPAWN_NULL, .talks = true,
				    .pidns = "/dev/null" };
	struct err err = ERR_INIT;
	struct ident who;

	assert_true(rig->n->spawn(rig->n, &what, &who, &err) < 0);
	assert_non_null(strstr(err.text, "enter the pid namespace /dev/null"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, node_rig_up, node_rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_child_hears_and_answers_in_whole_messages),
		T(test_its_last_word_is_heard_after_it_was_reaped),
		T(test_when_it_is_forgotten_it_hears_the_end),
		T(test_a_child_may_be_the_first_of_its_pid_namespace),
		T(test_what_it_becomes_is_heard_line_by_line),
		T(test_who_has_no_control_is_told_nothing),
		T(test_a_pid_namespace_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
