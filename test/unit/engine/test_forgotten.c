/* SPDX-License-Identifier: Apache-2.0 */
/* When a task whose shim lives is taken for forgotten, and what is said when it is not. */
#include "supervisor/engine/forgotten.h"

#include "supervisor/bundle/json.h"
#include "supervisor/oci/runtime.h"
#include "test/lib/engine_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The bench's task as containerd's, with a socket. Caller clears. */
static struct task_row task_of(struct bench *b)
{
	struct task_row task;

	assert_int_equal(journal_set_text(b->j, TASK_ADDRESS, "/run/c.sock", NULL), 0);
	assert_int_equal(journal_set_text(b->j, TASK_SOCKET, "/run/s", NULL), 0);
	assert_int_equal(journal_task(b->j, &task, NULL), 0);
	return task;
}

/* The answer must be @forgotten, with these words. */
static void expect(struct bench *b, bool any_known, int clients, bool anyway, int forgotten,
		   const char *words)
{
	struct task_row task = task_of(b);
	char why[ERR_TEXT_MAX] = "";

	assert_int_equal(task_forgotten(&b->engine, &task, any_known, clients, anyway, why),
			 forgotten);
	assert_string_equal(why, words);
	task_row_clear(&task);
}

/* One question must be answered with @known; < 0: in these words. */
static void expect_known(struct bench *b, pid_t init, int known, const char *words)
{
	struct task_row task = task_of(b);
	struct err err = ERR_INIT;

	task.init.pid = init;
	assert_int_equal(task_known(&b->engine, &task, &err), known);
	assert_string_equal(err.text, words);
	task_row_clear(&task);
}

static void what_containerd_knows_is_not_forgotten(void **state)
{
	struct bench *b = *state;

	b->sim->containerd_knows = true;
	expect(b, true, 0, true, 0, "its shim lives and containerd knows it");
	assert_int_equal(b->sim->asked, 1);
}

static void a_no_counts_when_it_is_said_twice_and_apart(void **state)
{
	struct bench *b = *state;
	int64_t since = b->sim->now_ms;

	b->sim->containerd_knows = false;
	expect(b, true, 0, false, 1, "containerd had forgotten it");
	assert_int_equal(b->sim->asked, 2);
	assert_true(b->sim->now_ms - since >= FORGOTTEN_APART_MS);
}

static void who_learns_of_it_between_the_questions_knows_it(void **state)
{
	struct bench *b = *state;

	b->sim->containerd_knows = false;
	b->sim->learns_at = 2;
	expect(b, true, 0, false, 0, "its shim lives and containerd knows it");
}

static void a_daemon_that_is_down_has_forgotten_nothing_unless_told_so(void **state)
{
	struct bench *b = *state;

	b->sim->containerd_down = true;
	expect(b, true, 0, false, 0, "its shim lives; containerd at /run/c.sock does not answer: "
				     "connection refused");
	expect(b, true, 0, true, 1, "containerd had forgotten it");
}

static void a_daemon_that_knows_nothing_is_no_proof_unless_told_so(void **state)
{
	struct bench *b = *state;

	b->sim->containerd_knows = false;
	expect(b, false, 0, false, 0, "its shim lives; containerd knows none of several living "
				      "tasks, which is no proof (--forgotten takes it for one)");
	expect(b, false, 0, true, 1, "containerd had forgotten it");
}

static void who_is_connected_to_its_shim_keeps_it(void **state)
{
	struct bench *b = *state;

	b->sim->containerd_knows = false;
	b->sim->peers = 1;
	expect(b, true, 0, true, 0, "its shim lives and has a client: somebody is connected to "
				    "/run/s");
	/* The connection of another task in the same shim. */
	expect(b, true, 1, false, 1, "containerd had forgotten it");
}

static int nobody_can_say(struct node *n, const char *path, struct err *err)
{
	(void)n;
	return err_say(err, EIO, "%s: no list of its peers", path);
}

static void clients_that_cannot_be_counted_keep_it(void **state)
{
	struct bench *b = *state;

	b->sim->containerd_knows = false;
	b->node.node.peers = nobody_can_say;
	expect(b, true, 0, true, 0, "its shim lives, and nobody can say whether it has a client: "
				    "/run/s: no list of its peers");
}

static void a_daemon_that_is_silent_is_given_up(void **state)
{
	struct bench *b = *state;
	int64_t since = b->sim->now_ms;

	b->sim->containerd_silent = true;
	expect_known(b, 0, -ETIMEDOUT, "ask containerd at /run/c.sock: no answer in time");
	assert_in_range(b->sim->now_ms - since, 5000, 6000);
}

static int another_life(struct node *n, const struct ident *child, char **ret, struct err *err)
{
	(void)err;
	n->forget(n, child);
	*ret = strdup("{\"known\":true,\"pid\":7}");
	return 0;
}

static void another_life_of_the_id_is_not_this_task(void **state)
{
	struct bench *b = *state;

	b->node.node.spawn_output = another_life;
	expect_known(b, 7, 1, "");
	expect_known(b, 8, 0, "");
	expect_known(b, 0, 1, ""); /* not created yet: nobody can tell them apart */
}

static int no_answer(struct node *n, const struct ident *child, char **ret, struct err *err)
{
	(void)err;
	n->forget(n, child);
	*ret = strdup("[");
	return 0;
}

static void an_answer_that_cannot_be_read_is_none(void **state)
{
	struct bench *b = *state;

	b->node.node.spawn_output = no_answer;
	expect_known(b, 0, -EPROTO,
		     "containerd at /run/c.sock gave no answer that can be read");
}

static int no_words(struct node *n, const struct ident *child, char **ret, struct err *err)
{
	(void)err;
	n->forget(n, child);
	*ret = strdup("");
	return 0;
}

static void an_error_without_words_is_told_in_the_systems(void **state)
{
	struct bench *b = *state;

	b->sim->containerd_down = true;
	b->node.node.spawn_output = no_words;
	expect_known(b, 0, -ECONNREFUSED,
		     "containerd at /run/c.sock does not answer: Connection refused");
}

/* Who is asked about a sandbox knows sandboxes, and tasks else. */
static int sandboxes_are_known(struct node *n, const struct ident *child, char **ret,
			       struct err *err)
{
	const struct sim_proc *job = sim_find(((struct sim_node *)n)->sim, -child->pid);
	json_object *args = json_read(job->args);

	(void)err;
	*ret = strdup(json_true(args, "sandbox") ? "{\"known\":true}" : "{\"known\":false}");
	json_object_put(args);
	n->forget(n, child);
	return 0;
}

static void a_sandbox_is_asked_about_as_one(void **state)
{
	struct bench *b = *state;

	b->node.node.spawn_output = sandboxes_are_known;
	expect_known(b, 0, 0, "");
	assert_int_equal(journal_set_text(b->j, TASK_RUNTIME, RUNTIME_SANDBOX_NAME, NULL), 0);
	expect_known(b, 0, 1, "");
}

static void a_shim_without_a_socket_has_no_client(void **state)
{
	struct bench *b = *state;
	struct task_row task;
	char why[ERR_TEXT_MAX] = "";

	b->sim->containerd_knows = false;
	b->sim->peers = 1; /* of whatever is asked about */
	assert_int_equal(journal_task(b->j, &task, NULL), 0);
	assert_int_equal(task_forgotten(&b->engine, &task, true, 0, false, why), 1);
	task_row_clear(&task);
}

/* A job that nothing plays: it stays until it is killed. */
static void a_shim_that_does_not_let_go_is_told(void **state)
{
	struct bench *b = *state;
	struct task_row task = task_of(b);
	struct err err = ERR_INIT;

	task.shim.pid = 12;
	assert_int_equal(task_release(&b->engine, &task, &err), -ETIMEDOUT);
	assert_string_equal(err.text, "ask shim 12 to let go of it: no answer in time");
	task_row_clear(&task);
}

#define T(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_containerd_knows_is_not_forgotten),
		T(a_no_counts_when_it_is_said_twice_and_apart),
		T(who_learns_of_it_between_the_questions_knows_it),
		T(a_daemon_that_is_down_has_forgotten_nothing_unless_told_so),
		T(a_daemon_that_knows_nothing_is_no_proof_unless_told_so),
		T(who_is_connected_to_its_shim_keeps_it),
		T(clients_that_cannot_be_counted_keep_it),
		T(a_daemon_that_is_silent_is_given_up),
		T(another_life_of_the_id_is_not_this_task),
		T(an_answer_that_cannot_be_read_is_none),
		T(an_error_without_words_is_told_in_the_systems),
		T(a_sandbox_is_asked_about_as_one),
		T(a_shim_without_a_socket_has_no_client),
		T(a_shim_that_does_not_let_go_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
