/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket.c - the socket that the shim serves on.
 *
 * want: { "path", "join": true if the shim serves there already }
 * have: { "file": identity of the name we bound, "tries": waits for the lock }
 *
 * The name is the hash of containerd's address, namespace and group, so two `start`
 * of one group want the same one. A lock per name makes them take turns; the second
 * then finds somebody who answers. A name that nobody answers on is a dead one's.
 * One more task of the same shim only notes whose name it is: whichever of them goes
 * last removes it.
 */
#include "supervisor/step/step.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/bundle/config.h"

#include <string.h>
#include <sys/stat.h>

#define LOCK_WAIT_MS 20
#define LOCK_TRIES   100 /* two seconds */

extern const struct step_ops step_socket;

static char *lock_path(struct step *step, struct step_env *env)
{
	const char *path = json_text(step->want, "path", "");
	const char *name = strrchr(path, '/');
	char *lock = NULL;

	return asprintf(&lock, "%s/lock/socket/%s", env->config->run, name ? name + 1 : path) < 0
		       ? NULL
		       : lock;
}

static int served(const char *path, struct err *err)
{
	return err_say(err, EEXIST, "socket %s: a living shim answers there", path);
}

static int socket_probe(struct step *step, struct step_env *env, struct err *err)
{
	const char *path = json_text(step->want, "path", "");
	int rc;

	if (json_true(step->want, "join"))
		return FACT_ABSENT;
	rc = env->node->answers(env->node, path, err);
	if (rc < 0)
		return rc;
	if (rc > 0) {
		(void)served(path, err);
		return FACT_FOREIGN;
	}
	return FACT_ABSENT;
}

/* Remove the name that a dead shim left. */
static int clear_name(struct node *node, const char *path, struct err *err)
{
	struct path_ident what;
	int rc = node->path(node, path, &what, err);

	if (rc <= 0)
		return rc;
	if (!S_ISSOCK(what.mode))
		return err_say(err, EADDRINUSE, "socket %s: the name is taken by something that "
			       "is no socket; remove it", path);
	rc = node->remove_file(node, path, &what, err);
	return rc < 0 ? rc : 0;
}

/* Commit which file the name is. */
static int note_file(struct step *step, struct step_env *env, struct err *err)
{
	const char *path = json_text(step->want, "path", "");
	struct path_ident what;
	int rc = env->node->path(env->node, path, &what, err);

	if (rc < 0)
		return rc;
	if (rc == 0)
		return err_say(err, ENOENT, "socket %s: somebody removed it", path);
	json_put_path(step->have, "file", &what);
	return step_save(step, env, err);
}

/* The lock is held. */
static int bind_name(struct step *step, struct step_env *env, struct err *err)
{
	struct node *node = env->node;
	const char *path = json_text(step->want, "path", "");
	auto_fd int fd = -1;
	int rc = node->answers(node, path, err);

	if (rc)
		return rc < 0 ? rc : served(path, err);
	rc = clear_name(node, path, err);
	if (rc < 0)
		return rc;
	rc = node->listen(node, path, &fd, err);
	if (rc < 0)
		return err_wrap(err, "socket %s", path);
	crash_point("listening");
	rc = note_file(step, env, err);
	if (rc == 0 && env->ret_listen_fd)
		*env->ret_listen_fd = TAKE_FD(fd);
	return rc;
}

static int socket_apply(struct step *step, struct step_env *env, const struct wake *wake,
			struct wait *next, struct err *err)
{
	auto_free char *lock = lock_path(step, env);
	int64_t tries = json_int(step->have, "tries", 0);
	int rc;

	(void)wake;
	if (json_true(step->want, "join"))
		return note_file(step, env, err);
	if (!lock)
		return err_set(err, ENOMEM, "bind a socket");
	rc = env->node->lock(env->node, lock, err);
	if (rc < 0)
		return rc;
	if (rc == 0) {
		if (tries >= LOCK_TRIES)
			return err_say(err, EAGAIN, "socket %s: another start of this group holds "
				       "its lock for 2 s", json_text(step->want, "path", ""));
		json_put_int(step->have, "tries", tries + 1);
		rc = step_save(step, env, err);
		return rc < 0 ? rc : step_again(env, LOCK_WAIT_MS, next);
	}
	rc = bind_name(step, env, err);
	/* From here on whoever comes finds an answer, or the dead name of a failure. */
	(void)env->node->unlock(env->node, lock, NULL);
	return rc;
}

/* We died between bind and the commit of the identity: a dead socket under a name
 * that only this group binds is ours. */
static int remove_unknown(struct step *step, struct step_env *env, struct err *err)
{
	const char *path = json_text(step->want, "path", "");
	int rc = env->node->answers(env->node, path, err);

	struct path_ident what;

	if (rc > 0)
		step_note(step, env, "left alone: %s, a living shim answers there", path);
	if (rc)
		return rc < 0 ? rc : STEP_DONE;
	if (env->node->path(env->node, path, &what, NULL) == 1 && !S_ISSOCK(what.mode)) {
		step_note(step, env, "left alone: %s is no socket", path);
		return STEP_DONE;
	}
	return clear_name(env->node, path, err);
}

static int remove_name(struct step *step, struct step_env *env, struct err *err)
{
	const char *path = json_text(step->want, "path", "");
	struct path_ident what;
	int rc;

	if (!json_path(step->have, "file", &what))
		return remove_unknown(step, env, err);
	rc = env->node->remove_file(env->node, path, &what, err);
	if (rc == -ESTALE) {
		step_note(step, env, "left alone: %s is another shim's socket now", path);
		return STEP_DONE;
	}
	return rc < 0 ? rc : STEP_DONE;
}

static int socket_undo(struct step *step, struct step_env *env, const struct wake *wake,
		       struct wait *next, struct err *err)
{
	auto_free char *lock = NULL;
	int rc;

	(void)wake;
	(void)next;
	if (env->shared) {
		step_note(step, env, "left to the other tasks of the shim: %s",
			  json_text(step->want, "path", ""));
		return STEP_DONE;
	}
	lock = lock_path(step, env);
	if (!lock)
		return err_set(err, ENOMEM, "remove a socket");
	rc = env->node->lock(env->node, lock, err);
	if (rc < 0)
		return rc;
	if (rc == 0) {
		step_note(step, env, "left alone: %s, another start is binding it",
			  json_text(step->want, "path", ""));
		return STEP_DONE;
	}
	rc = remove_name(step, env, err);
	(void)env->node->unlock(env->node, lock, NULL);
	return rc;
}

static int socket_verify(struct step *step, struct step_env *env, struct err *err)
{
	struct path_ident want;
	struct path_ident what;
	int rc = env->node->path(env->node, json_text(step->want, "path", ""), &what, err);

	if (rc <= 0)
		return rc < 0 ? rc : FACT_ABSENT;
	if (!json_path(step->have, "file", &want))
		return FACT_UNSURE;
	return what.dev == want.dev && what.ino == want.ino ? FACT_PRESENT : FACT_FOREIGN;
}

const struct step_ops step_socket = {
	.kind = "socket",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 5000,
	.undo_ms = 5000,
	.probe = socket_probe,
	.apply = socket_apply,
	.undo = socket_undo,
	.verify = socket_verify,
};
