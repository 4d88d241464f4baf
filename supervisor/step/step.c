/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/step/step.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "journal/base/file.h"
#include "supervisor/bundle/config.h"
#include "supervisor/bundle/json.h"

#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#define KILL_LOOK_MS 100 /* how often a dying process is looked at */

int64_t step_limit_ms(const struct step_ops *ops, const struct config *config, bool undo)
{
	int64_t own = undo ? ops->undo_ms : ops->apply_ms;
	int64_t given = ops->runtime ? config->runtime_timeout_s * INT64_C(1000) : 0;

	return own > given ? own : given;
}

int step_save(struct step *step, struct step_env *env, struct err *err)
{
	const char *text;
	int rc;

	/* A member that could not be added has left its mark: see json_add(). */
	if (json_object_get_userdata(step->have))
		return err_set(err, ENOMEM, "note what the %s step has", step->ops->kind);
	text = json_write(step->have);
	if (!text)
		return err_set(err, ENOMEM, "note what the %s step has", step->ops->kind);
	rc = journal_have(env->journal, step->seq, text, err);
	if (rc == 0)
		crash_point("have");
	return rc;
}

/* The child's deadline is for people and for the fence; the engine keeps its own. */
static int64_t child_deadline(const struct step *step, const struct step_env *env)
{
	int64_t apply = step_limit_ms(step->ops, env->config, false);
	int64_t undo = step_limit_ms(step->ops, env->config, true);

	return env->node->now_ms(env->node) + (apply > undo ? apply : undo);
}

int step_spawn(struct step *step, struct step_env *env, const struct spawn *spawn,
	       const char *what, struct wait *next, struct err *err)
{
	struct node *node = env->node;
	struct ident who;
	int64_t seq = 0;
	int rc;

	rc = node->spawn(node, spawn, &who, err);
	if (rc < 0)
		return err_wrap(err, "%s", what);
	crash_point("child-held");
	rc = journal_child(env->journal, step->seq, &who, what, node->epoch(node),
			   node->wall_ns(node) / 1000000, child_deadline(step, env), &seq, err);
	if (rc == 0) {
		crash_point("child-known");
		rc = node->spawn_go(node, &who, err);
	}
	if (rc < 0) {
		/* It still stands at its gate, or is gone: it has done nothing. */
		(void)node->signal(node, &who, SIGKILL, NULL);
		node->forget(node, &who);
		return err_wrap(err, "%s", what);
	}
	crash_point("child-gone-on");
	next->child_seq = seq;
	return STEP_WAIT;
}

char *step_output(struct step_env *env, const struct wake *wake)
{
	char *text = NULL;

	if (wake->child)
		(void)env->node->spawn_output(env->node, &wake->child->ident, &text, NULL);
	return text ? text : strdup("");
}

int step_job(struct step *step, struct step_env *env, enum job job, json_object *args,
	     const char *what, struct wait *next, struct err *err)
{
	auto_json json_object *mine = args;
	const char *text = args ? json_write(args)
				: NULL;
	struct spawn spawn = {
		.job = job,
		.args = text,
		.in = SPAWN_NULL,
		.out = SPAWN_CAPTURE,
		.err = SPAWN_CAPTURE,
	};

	if (!mine || !text || json_object_get_userdata(mine))
		return err_set(err, ENOMEM, "%s", what);
	return step_spawn(step, env, &spawn, what, next, err);
}

int step_job_result(struct step_env *env, const struct wake *wake, const char *what,
		    struct err *err)
{
	auto_free char *text = NULL;

	return step_job_answer(env, wake, what, &text, err);
}

int step_job_answer(struct step_env *env, const struct wake *wake, const char *what,
		    char **ret, struct err *err)
{
	const char *text = *ret = step_output(env, wake);
	int status = wake->status;
	int code;

	if (wake->why == WAKE_DEADLINE)
		return err_say(err, ETIMEDOUT, "%s: it took too long and was killed", what);
	if (status == -1)
		return err_say(err, ECHILD, "%s: nobody knows how it ended", what);
	if (WIFSIGNALED(status))
		return err_say(err, EIO, "%s: killed by signal %d", what, WTERMSIG(status));
	code = WEXITSTATUS(status);
	if (code == 0)
		return 0;
	if (text && text[0])
		return err_say(err, code, "%s: %s", what, text);
	return err_set(err, code, "%s", what);
}

void step_note(struct step *step, struct step_env *env, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)journal_note(env->journal, step->ops->kind, text, NULL);
}

int step_again(struct step_env *env, int ms, struct wait *next)
{
	next->at_ms = env->node->now_ms(env->node) + ms;
	return STEP_WAIT;
}

static int remove_named(struct node *node, const char *path, struct err *err)
{
	struct path_ident what;
	int rc = node->path(node, path, &what, err);

	if (rc > 0)
		rc = node->remove_file(node, path, &what, err);
	return rc < 0 ? rc : 0;
}

int step_unwrite(struct step_env *env, const char *path, struct err *err)
{
	char draft[PATH_MAX];
	int rc = file_draft(draft, path, err);

	if (rc == 0)
		rc = remove_named(env->node, draft, err);
	return rc == 0 ? remove_named(env->node, path, err) : rc;
}

int step_nothing(struct step *step, struct step_env *env, const struct wake *wake,
		 struct wait *next, struct err *err)
{
	(void)step;
	(void)env;
	(void)wake;
	(void)next;
	(void)err;
	return STEP_DONE;
}

int step_late(const struct step *step, const char *what, struct err *err)
{
	return err_say(err, ETIMEDOUT, "%s of %s/%s took too long and was killed", what,
		       step->task->key.ns, step->task->key.id);
}

int step_kill(struct step_env *env, const struct ident *who, struct wait *next,
	      struct err *err)
{
	struct node *node = env->node;
	int rc = node->alive(node, who, err);

	if (rc < 0)
		return rc;
	if (rc > 0) {
		rc = node->signal(node, who, SIGKILL, err);
		if (rc < 0 && rc != -ESRCH)
			return rc;
		/* The descriptor says it at once; the clock, where there is none. */
		rc = node->watch(node, who, NULL);
		next->fd = rc < 0 ? -1 : rc;
		return step_again(env, KILL_LOOK_MS, next);
	}
	return STEP_DONE;
}

struct seek {
	const char *kind;
	json_object *have;
};

static int seek_have(void *arg, const struct step_row *row, struct err *err)
{
	struct seek *s = arg;
	int rc;

	if (strcmp(row->kind, s->kind) != 0 || row->state == ROW_PLANNED || row->state == ROW_SKIPPED)
		return 0;
	rc = json_read_row(&s->have, row->have, s->kind, err);
	return rc < 0 ? rc : 1;
}

json_object *step_have_of(struct step_env *env, const char *kind)
{
	struct seek s = { .kind = kind };

	(void)journal_each_step(env->journal, 0, NEWEST_FIRST, seek_have, &s, NULL);
	return s.have;
}

static json_object *member(json_object *o, const char *name, enum json_type type)
{
	json_object *value = NULL;

	if (!o || !json_object_is_type(o, json_type_object) ||
	    !json_object_object_get_ex(o, name, &value) || !json_object_is_type(value, type))
		return NULL;
	return value;
}

const char *json_text(json_object *o, const char *name, const char *or_else)
{
	json_object *value = member(o, name, json_type_string);

	return value ? json_object_get_string(value) : or_else;
}

int64_t json_int(json_object *o, const char *name, int64_t or_else)
{
	json_object *value = member(o, name, json_type_int);

	return value ? json_object_get_int64(value) : or_else;
}

uint64_t json_uint(json_object *o, const char *name, uint64_t or_else)
{
	json_object *value = member(o, name, json_type_int);

	return value ? json_object_get_uint64(value) : or_else;
}

bool json_true(json_object *o, const char *name)
{
	json_object *value = member(o, name, json_type_boolean);

	return value && json_object_get_boolean(value);
}

json_object *json_list(json_object *o, const char *name)
{
	return member(o, name, json_type_array);
}

bool json_is_bind(json_object *mount)
{
	json_object *options = json_list(mount, "options");
	size_t n = options ? json_object_array_length(options) : 0;

	for (size_t i = 0; i < n; i++) {
		const char *word = json_object_get_string(json_object_array_get_idx(options, i));

		if (word && (strcmp(word, "bind") == 0 || strcmp(word, "rbind") == 0))
			return true;
	}
	return strcmp(json_text(mount, "type", ""), "bind") == 0;
}

/* A failure is remembered in the object itself, where no memory is needed for it. */
static void json_add(json_object *o, const char *name, json_object *value)
{
	if (o && value && !json_object_get_userdata(value) &&
	    json_object_object_add(o, name, value) == 0)
		return;
	json_object_put(value);
	if (o)
		json_object_set_userdata(o, o, NULL);
}

void json_put_text(json_object *o, const char *name, const char *value)
{
	json_add(o, name, json_object_new_string(value));
}

void json_put_int(json_object *o, const char *name, int64_t value)
{
	json_add(o, name, json_object_new_int64(value));
}

void json_put_uint(json_object *o, const char *name, uint64_t value)
{
	json_add(o, name, json_object_new_uint64(value));
}

void json_put(json_object *o, const char *name, json_object *value)
{
	json_add(o, name, value);
}

void json_append(json_object *list, json_object *value)
{
	if (list && value && !json_object_get_userdata(value) &&
	    json_object_array_add(list, value) == 0)
		return;
	json_object_put(value);
	if (list)
		json_object_set_userdata(list, list, NULL);
}

void json_put_words(json_object *o, const char *name, char *const *words)
{
	json_object *list = json_object_new_array();

	for (size_t i = 0; list && words && words[i]; i++)
		json_append(list, json_object_new_string(words[i]));
	json_add(o, name, list);
}

void json_put_ident(json_object *o, const char *name, const struct ident *who)
{
	json_object *value = json_object_new_object();

	if (value) {
		json_put_int(value, "pid", who->pid);
		json_put_uint(value, "start", who->start);
	}
	json_add(o, name, value);
}

bool json_ident(json_object *o, const char *name, struct ident *ret)
{
	json_object *value = member(o, name, json_type_object);

	if (!value || json_int(value, "pid", 0) <= 0)
		return false;
	ret->pid = (pid_t)json_int(value, "pid", 0);
	ret->start = json_uint(value, "start", 0);
	return true;
}

void json_put_path(json_object *o, const char *name, const struct path_ident *what)
{
	json_object *value = json_object_new_object();

	if (value) {
		json_put_uint(value, "dev", what->dev);
		json_put_uint(value, "ino", what->ino);
		json_put_uint(value, "mode", what->mode);
	}
	json_add(o, name, value);
}

bool json_path(json_object *o, const char *name, struct path_ident *ret)
{
	json_object *value = member(o, name, json_type_object);

	if (!value)
		return false;
	*ret = (struct path_ident){
		.dev = json_uint(value, "dev", 0),
		.ino = json_uint(value, "ino", 0),
		.mode = (uint32_t)json_uint(value, "mode", 0),
	};
	return true;
}

const struct step_ops *step_kind(const char *kind)
{
	for (size_t i = 0; step_kinds[i]; i++)
		if (strcmp(step_kinds[i]->kind, kind) == 0)
			return step_kinds[i];
	return NULL;
}
