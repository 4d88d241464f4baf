/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/guest/power.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/unikernel/qmp.h"

#include <errno.h>

#define ANSWER_MS 1000
#define LINES_MAX 256 /* before the answer, at one wake: events, for one */

bool power_can_be_asked(struct step_env *env)
{
	auto_json json_object *launch = step_have_of(env, "launch");
	auto_json json_object *monitor = NULL;

	if (!json_true(launch, "power"))
		return false;
	monitor = step_have_of(env, "monitor");
	return json_true(monitor, "exec");
}

static int press(struct step *step, struct step_env *env, struct err *err)
{
	char text[QMP_ASK_MAX];
	int rc;

	json_put_int(step->have, "until_ms", env->node->now_ms(env->node) + ANSWER_MS);
	rc = step_save(step, env, err);
	if (rc < 0)
		return rc;
	qmp_ask_power_off(text, step->seq);
	rc = env->node->control_tell(env->node, &step->task->init, text, err);
	crash_point("power-asked");
	return rc;
}

static int wait_on(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	int64_t until = json_int(step->have, "until_ms", 0);
	int fd = env->node->control_fd(env->node, &step->task->init, err);

	if (fd < 0)
		return fd;
	if (env->node->now_ms(env->node) >= until)
		return err_say(err, ETIMEDOUT, "it does not answer in %d ms", ANSWER_MS);
	next->fd = fd;
	next->at_ms = until;
	return STEP_WAIT;
}

/* An enum qmp_line, -EAGAIN: there is none yet. */
static int next_line(struct step *step, struct step_env *env, struct err *err)
{
	auto_free char *line = NULL;
	int rc = env->node->control_hear(env->node, &step->task->init, &line, err);

	if (rc == 0)
		return -EAGAIN;
	return rc < 0 ? rc : qmp_read(line, step->seq, err);
}

int power_ask(struct step *step, struct step_env *env, const struct wake *wake, struct wait *next,
	      struct err *err)
{
	int rc = wake->why == WAKE_BEGIN ? press(step, env, err) : 0;

	if (rc < 0)
		return rc;
	for (int i = 0; i < LINES_MAX; i++) {
		rc = next_line(step, env, err);
		if (rc == -EAGAIN)
			return wait_on(step, env, next, err);
		if (rc != QMP_OTHER)
			return rc == QMP_DONE ? STEP_DONE : rc;
	}
	return err_say(err, EPROTO, "it says much, and does not answer");
}
