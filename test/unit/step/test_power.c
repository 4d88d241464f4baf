/* SPDX-License-Identifier: Apache-2.0 */
/* SIGTERM to a monitor: its guest's power button is pressed, where that can be heard. */
#include "test/lib/step_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define WANT "'runtime':'unikernel','root':'/r/default','id':'c1','bundle':'/b/c1'"
#define FD   77

/* The monitor: what it says, line after line, and what is to become of its end. */
struct monitor_end {
	const char *lines[8];
	size_t at;
	bool silent; /* it says nothing more, else its end is closed */
	bool endless; /* it says the last again and again            */
	int tell_code;
	char told[512];
};

struct bench {
	struct rig r; /* first: the node is in its front */
	struct monitor_end m;
};

static struct monitor_end *end_of(struct node *node)
{
	return &((struct bench *)node)->m;
}

static int control_tell(struct node *node, const struct ident *who, const char *text,
			struct err *err)
{
	struct monitor_end *m = end_of(node);

	assert_int_equal(who->pid, 42);
	if (m->tell_code)
		return err_set(err, m->tell_code, "tell it");
	(void)snprintf(m->told, sizeof(m->told), "%s", text);
	return 0;
}

static int control_hear(struct node *node, const struct ident *who, char **ret, struct err *err)
{
	struct monitor_end *m = end_of(node);
	const char *line = m->lines[m->at];

	(void)who;
	if (!line && m->silent)
		return 0;
	if (!line)
		return err_say(err, EPIPE, "it has closed its end");
	if (!m->endless)
		m->at++;
	*ret = strdup(line);
	return 1;
}

static int control_fd(struct node *node, const struct ident *who, struct err *err)
{
	(void)node;
	(void)who;
	(void)err;
	return FD;
}

static void open_bench(struct bench *b, const char *more, const char *launch)
{
	const struct ident init = { .pid = 42, .start = 420 };
	char want[256];

	memset(&b->m, 0, sizeof(b->m));
	(void)snprintf(want, sizeof(want), "{" WANT ",%s}", more);
	rig_open(&b->r, "signal", want);
	b->r.f.node.control_tell = control_tell;
	b->r.f.node.control_hear = control_hear;
	b->r.f.node.control_fd = control_fd;
	assert_int_equal(journal_set_text(b->r.j, TASK_RUNTIME, "unikernel", NULL), 0);
	assert_int_equal(journal_set_init(b->r.j, &init, NULL), 0);
	fake_add_proc(&b->r.f, init.pid, init.start, "0::/x\n");
	rig_beside(&b->r, "launch", launch);
	assert_int_equal(rig_probe(&b->r), FACT_ABSENT);
	b->r.f.log[0] = '\0';
}

static void open_running(struct bench *b)
{
	open_bench(b, "'signal':15", "{'power':true}");
	rig_beside(&b->r, "monitor", "{'exec':true}");
}

static const char *answer(struct bench *b, const char *what, char *text, size_t size)
{
	(void)snprintf(text, size, "{\"%s\": {\"desc\":\"not now\"}, \"id\": %d}", what,
		       (int)b->r.seq);
	return text;
}

/* The signal was sent after all, and the history says why. */
static void is_signalled(struct bench *b, const char *why)
{
	char text[256];

	assert_string_equal(b->r.f.log, "kill 42 15\n");
	(void)snprintf(text, sizeof(text), "its guest could not be asked to power off (%s): its "
		       "monitor got SIGTERM", why);
	if (!rig_noted(&b->r, text))
		fail_msg("not noted: %s", text);
	rig_close(&b->r);
}

static void the_button_is_pressed_and_no_signal_is_sent(void **state)
{
	struct bench b;
	char text[80];

	(void)state;
	open_running(&b);
	b.m.silent = true;
	b.m.lines[0] = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}";
	b.m.lines[1] = "{\"return\": {}, \"id\": -1}";
	assert_int_equal(rig_apply(&b.r, WAKE_BEGIN), STEP_WAIT);
	assert_int_equal(b.r.next.fd, FD);
	assert_int_equal(b.r.next.at_ms, b.r.f.now_ms + 1000);
	assert_non_null(strstr(b.m.told, "\"qmp_capabilities\""));
	assert_non_null(strstr(b.m.told, "\"system_powerdown\""));
	b.m.lines[2] = "{\"event\": \"POWERDOWN\", \"timestamp\": {\"seconds\": 1}}\r";
	b.m.lines[3] = answer(&b, "return", text, sizeof(text));
	assert_int_equal(rig_apply(&b.r, WAKE_READY), STEP_DONE);
	assert_string_equal(b.r.f.log, "");
	rig_close(&b.r);
}

static void a_silent_monitor_gets_the_signal_after_a_second(void **state)
{
	struct bench b;

	(void)state;
	open_running(&b);
	b.m.silent = true;
	assert_int_equal(rig_apply(&b.r, WAKE_BEGIN), STEP_WAIT);
	b.r.f.now_ms += 999;
	assert_int_equal(rig_apply(&b.r, WAKE_READY), STEP_WAIT);
	assert_string_equal(b.r.f.log, "");
	b.r.f.now_ms += 1;
	assert_int_equal(rig_apply(&b.r, WAKE_TIMER), STEP_DONE);
	is_signalled(&b, "it does not answer in 1000 ms");
}

static void a_monitor_that_talks_nonsense_gets_the_signal(void **state)
{
	static const char *const nonsense[] = { "hello", "", "[1]", "{}", "{\"id\": 3}", "\"x\"" };
	struct bench b;

	(void)state;
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		open_running(&b);
		b.m.lines[0] = nonsense[i];
		assert_int_equal(rig_apply(&b.r, WAKE_BEGIN), STEP_DONE);
		is_signalled(&b, "it says what is not of its protocol");
	}
}

static void a_monitor_that_closes_its_end_gets_the_signal(void **state)
{
	struct bench b;

	(void)state;
	open_running(&b);
	b.m.lines[0] = "{\"QMP\": {}}";
	assert_int_equal(rig_apply(&b.r, WAKE_BEGIN), STEP_DONE);
	is_signalled(&b, "it has closed its end");
	open_running(&b);
	b.m.tell_code = EPIPE;
	assert_int_equal(rig_apply(&b.r, WAKE_BEGIN), STEP_DONE);
	is_signalled(&b, "tell it: Broken pipe");
}

static void a_monitor_that_refuses_gets_the_signal(void **state)
{
	struct bench b;
	char text[80];

	(void)state;
	open_running(&b);
	b.m.lines[0] = answer(&b, "error", text, sizeof(text));
	assert_int_equal(rig_apply(&b.r, WAKE_BEGIN), STEP_DONE);
	is_signalled(&b, "it refuses: not now");
}

static void an_answer_to_another_press_is_none(void **state)
{
	struct bench b;

	(void)state;
	open_running(&b);
	b.m.silent = true;
	b.m.lines[0] = "{\"return\": {}, \"id\": 9999}";
	assert_int_equal(rig_apply(&b.r, WAKE_BEGIN), STEP_WAIT);
	rig_close(&b.r);
}

static void a_monitor_that_never_stops_talking_gets_the_signal(void **state)
{
	struct bench b;

	(void)state;
	open_running(&b);
	b.m.endless = true;
	b.m.lines[0] = "{\"event\": \"RESET\"}";
	assert_int_equal(rig_apply(&b.r, WAKE_BEGIN), STEP_DONE);
	is_signalled(&b, "it says much, and does not answer");
}

static void a_monitor_that_is_gone_has_finished(void **state)
{
	struct bench b;

	(void)state;
	open_running(&b);
	b.r.f.procs[0].gone = true;
	assert_int_equal(rig_apply(&b.r, WAKE_BEGIN), -ESRCH);
	assert_string_equal(b.r.err.text, "process already finished");
	rig_close(&b.r);
}

static void is_never_asked(const char *more, const char *launch, bool runs, const char *log)
{
	struct bench b;

	open_bench(&b, more, launch);
	if (runs)
		rig_beside(&b.r, "monitor", "{'exec':true}");
	assert_int_equal(rig_apply(&b.r, WAKE_BEGIN), STEP_DONE);
	assert_string_equal(b.m.told, "");
	assert_string_equal(b.r.f.log, log);
	assert_false(rig_noted(&b.r, "power off"));
	rig_close(&b.r);
}

static void only_sigterm_to_a_running_guest_that_hears_it_presses_it(void **state)
{
	(void)state;
	is_never_asked("'signal':15", "{}", true, "kill 42 15\n");
	is_never_asked("'signal':15", "{'power':true}", false, "kill 42 15\n");
	is_never_asked("'signal':2", "{'power':true}", true, "kill 42 2\n");
	is_never_asked("'signal':9", "{'power':true}", true, "kill 42 9\n");
	is_never_asked("'signal':15,'paused':true", "{'power':true}", true, "kill 42 15\n");
}

static void a_press_that_was_interrupted_is_not_made_again(void **state)
{
	struct bench b;

	(void)state;
	open_running(&b);
	b.m.silent = true;
	assert_int_equal(rig_apply(&b.r, WAKE_BEGIN), STEP_WAIT);
	b.m.told[0] = '\0';
	assert_int_equal(rig_apply(&b.r, WAKE_RESUME), -EINTR);
	assert_string_equal(b.m.told, "");
	assert_string_equal(b.r.f.log, "");
	rig_close(&b.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_button_is_pressed_and_no_signal_is_sent),
		cmocka_unit_test(a_silent_monitor_gets_the_signal_after_a_second),
		cmocka_unit_test(a_monitor_that_talks_nonsense_gets_the_signal),
		cmocka_unit_test(a_monitor_that_closes_its_end_gets_the_signal),
		cmocka_unit_test(a_monitor_that_refuses_gets_the_signal),
		cmocka_unit_test(an_answer_to_another_press_is_none),
		cmocka_unit_test(a_monitor_that_never_stops_talking_gets_the_signal),
		cmocka_unit_test(a_monitor_that_is_gone_has_finished),
		cmocka_unit_test(only_sigterm_to_a_running_guest_that_hears_it_presses_it),
		cmocka_unit_test(a_press_that_was_interrupted_is_not_made_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
