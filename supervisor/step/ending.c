/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/step/ending.h"

#include "supervisor/oci/cli.h"

#include <sys/wait.h>

int step_remember_init(struct step *step, struct step_env *env, const struct ident *init,
		       int64_t child, struct err *err)
{
	int rc = journal_begin(env->journal, err);

	if (rc < 0)
		return rc;
	json_put_ident(step->have, "init", init);
	rc = step_save(step, env, err);
	if (rc == 0)
		rc = journal_set_init(env->journal, init, err);
	if (rc == 0 && child)
		rc = journal_child_ended(env->journal, child, -1, err);
	if (rc == 0)
		return journal_commit(env->journal, err);
	journal_rollback(env->journal);
	return rc;
}

/* The exit that nobody else may have seen. The first one counts, so it may be told
 * again; @killed: we sent the signal that ended it. */
static int tell_exit(struct step_env *env, const struct ident *init, bool killed,
		     struct err *err)
{
	int64_t now = env->node->wall_ns(env->node);
	int status = -1;
	int rc = env->node->reap(env->node, init, &status, NULL);

	if (killed)
		rc = journal_set_exit(env->journal, EXIT_KILLED, 128 + 9, now, err);
	else if (rc > 0 && status != -1)
		rc = journal_set_exit(env->journal, EXIT_REAPED,
				      WIFSIGNALED(status) ? 128u + (uint32_t)WTERMSIG(status)
							  : (uint32_t)WEXITSTATUS(status),
				      now, err);
	else
		rc = journal_set_exit(env->journal, EXIT_UNKNOWN, 255, now, err);
	env->node->forget(env->node, init);
	return rc < 0 ? rc : 0;
}

int step_end_init(struct step *step, struct step_env *env, const struct ident *init,
		  const char *id, struct wait *next, struct err *err)
{
	bool killed = json_true(step->have, "killed");
	int rc = env->node->alive(env->node, init, err);

	if (rc < 0)
		return rc;
	if (rc > 0 && !killed) {
		json_put(step->have, "killed", json_object_new_boolean(true));
		rc = step_save(step, env, err);
		if (rc < 0)
			return rc;
	}
	rc = step_kill(env, init, next, err);
	if (rc == STEP_WAIT && runtime_is_none(runtime_kind_of(step->task->runtime)))
		step_thaw_monitor(env);
	else if (rc == STEP_WAIT)
		oci_thaw(env->node, init, id);
	return rc == STEP_DONE ? tell_exit(env, init, killed, err) : rc;
}
