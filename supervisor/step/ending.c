/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/step/ending.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/json.h"
#include "supervisor/oci/cli.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

/* ---- hearing it -------------------------------------------------------------------- */

struct held {
	int64_t step;
	struct heard *heard;
};

static int seek_held(void *arg, const struct child_row *row, struct err *err)
{
	struct held *h = arg;

	(void)err;
	if (row->step != h->step)
		return 0;
	h->heard->child = row->seq;
	h->heard->who = row->ident;
	return 1;
}

/* The child, while it is one. */
static int find_held(struct step *step, struct step_env *env, struct heard *ret, struct err *err)
{
	struct held h = { .step = step->seq, .heard = ret };
	int rc = journal_each_child(env->journal, false, seek_held, &h, err);

	return rc == 0 ? err_say(err, EPROTO, "its child is not in the journal") : rc < 0 ? rc : 0;
}

static int take_word(struct heard *h, const char *text, struct err *err)
{
	const char *error;
	int code;

	h->said = json_read(text);
	error = json_text(h->said, "error", "");
	code = (int)json_int(h->said, "code", EIO);
	if (!error[0])
		return STEP_DONE;
	(void)err_say(err, code == ENOTSUP ? ENOTSUP : EIO, "%s", error);
	json_object_put(TAKE_PTR(h->said));
	return -err->code;
}

/* Its word, and its end, wake. */
static int wait_for_word(struct step_env *env, const struct heard *h, struct wait *next)
{
	int fd = env->node->talk_fd(env->node, &h->who, NULL);

	next->fd = fd < 0 ? -1 : fd;
	next->child_seq = h->child;
	return STEP_WAIT;
}

int step_hear(struct step *step, struct step_env *env, const struct wake *wake, const char *what,
	      struct heard *ret, struct wait *next, struct err *err)
{
	auto_free char *text = NULL;
	struct err silent = ERR_INIT;
	int rc = find_held(step, env, ret, err);

	if (rc < 0)
		return rc;
	if (env->node->hear(env->node, &ret->who, &text, &silent) > 0)
		return take_word(ret, text, err);
	if (wake->why == WAKE_DEADLINE)
		return step_late(step, what, err);
	if (wake->why != WAKE_CHILD)
		return wait_for_word(env, ret, next);
	if (wake->status != -1 && WIFSIGNALED(wake->status))
		return err_say(err, EIO, "it was killed by signal %d", WTERMSIG(wake->status));
	return err_say(err, EIO, "it ended without a word");
}

int step_hear_init(struct step *step, struct step_env *env, json_object **ret, struct wait *next,
		   struct err *err)
{
	const struct ident *init = &step->task->init;
	auto_free char *text = NULL;
	auto_json json_object *said = NULL;
	int rc = env->node->hear(env->node, init, &text, err);

	if (rc == 0) {
		rc = env->node->talk_fd(env->node, init, err);
		next->fd = rc;
		return rc < 0 ? rc : STEP_WAIT;
	}
	if (rc < 0)
		return rc;
	said = json_read(text);
	if (json_text(said, "error", "")[0])
		return err_say(err, EIO, "%s", json_text(said, "error", ""));
	*ret = TAKE_PTR(said);
	return STEP_DONE;
}

/* ---- what it is told ------------------------------------------------------------------- */

/* The folders that the limits step has made. */
int step_tell_cgroups(struct step_env *env, json_object *args, struct err *err)
{
	auto_json json_object *have = step_have_of(env, "cgroup");
	json_object *folders = json_list(have, "folders");
	size_t n = folders ? json_object_array_length(folders) : 0;
	json_object *out;

	if (!have)
		return err_say(err, EIO, "its cgroups can't be read from the journal");
	out = json_object_new_array();
	for (size_t i = 0; out && i < n; i++) {
		json_object *one = json_object_array_get_idx(folders, i);

		if (!json_true(one, "plain") && json_uint(one, "had", 0) > 0)
			json_append(out, json_object_new_string(json_text(one, "path", "")));
	}
	json_put(args, "cgroups", out);
	return 0;
}

/* ---- writing it down --------------------------------------------------------------------- */

int step_remember(struct step *step, struct step_env *env, const char *name,
		  const struct heard *heard, struct err *err)
{
	int rc = journal_begin(env->journal, err);

	if (rc < 0)
		return rc;
	json_put_ident(step->have, name, &heard->who);
	rc = step_save(step, env, err);
	if (rc == 0)
		rc = journal_child_ended(env->journal, heard->child, -1, err);
	if (rc == 0)
		return journal_commit(env->journal, err);
	journal_rollback(env->journal);
	return rc;
}

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

/* ---- its end ------------------------------------------------------------------------------- */

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
