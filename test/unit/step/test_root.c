/* SPDX-License-Identifier: Apache-2.0 */
/* The root of a launched process, which it makes when it is told. */
#include "test/lib/step_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void open_root(struct rig *r, const char *words)
{
	rig_open(r, "root", "{'id':'c1','bundle':'/b/c1'}");
	rig_talks(r, 77);
	r->f.said = words;
	assert_int_equal(rig_probe(r), FACT_ABSENT);
}

static void it_is_told_once_and_waited_for(void **state)
{
	struct rig r;

	(void)state;
	open_root(&r, NULL);
	assert_int_equal(rig_apply(&r, WAKE_BEGIN), STEP_WAIT);
	assert_string_equal(r.f.line, "{\"build\":true}");
	assert_int_equal(r.next.fd, 77);
	r.f.line[0] = '\0';
	assert_int_equal(rig_apply(&r, WAKE_READY), STEP_WAIT);
	r.f.said = "{\"built\":true}";
	assert_int_equal(rig_apply(&r, WAKE_READY), STEP_DONE);
	assert_string_equal(r.f.line, "");
	assert_int_equal(rig_undo(&r, WAKE_BEGIN), STEP_DONE);
	rig_close(&r);
}

static void fails(const char *words, enum wake_why why, int code, const char *text)
{
	struct rig r;

	open_root(&r, words);
	assert_int_equal(rig_apply(&r, why), -code);
	assert_string_equal(r.err.text, text);
	rig_close(&r);
}

static void what_goes_wrong_fails_the_launch(void **state)
{
	(void)state;
	fails("{\"error\":\"no room\",\"code\":28}", WAKE_BEGIN, EIO, "launch failed: no room");
	fails("", WAKE_BEGIN, EPIPE, "launch failed: it has closed its end");
	fails("{}", WAKE_BEGIN, EPROTO, "launch failed: it said what nobody understands");
	fails(NULL, WAKE_RESUME, EINTR, "launch failed: it was interrupted; create the task again");
	fails(NULL, WAKE_DEADLINE, ETIMEDOUT, "the launch of default/c1 took too long and was killed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_told_once_and_waited_for),
		cmocka_unit_test(what_goes_wrong_fails_the_launch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
