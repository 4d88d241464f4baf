/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint.c - have the runtime write an image of the running container.
 *
 * want: { "runtime", "root", "id", "bundle", "systemd", "path": of the image,
 *         "work": path, "own_work": bool, "parent": path, "exit", "open_tcp",
 *         "external_unix_sockets", "terminal", "file_locks": bool,
 *         "empty_namespaces": [text] }
 * have: { "log_from", "failed": { "code", "text" }, "removing": true }
 *
 *   1 make the work folder, if it is our own    (its name is in want)
 *   2 run checkpoint
 *   3 it failed: keep criu's log as <bundle>/criu-dump.log, and why it failed (committed)
 *   4 remove the work folder
 *
 * The image is the client's, whole or not: it is never touched. Undo: step 4.
 */
#include "supervisor/oci/cli.h"

#include "journal/base/cleanup.h"

#include <string.h>

#define PREFIX   "OCI runtime checkpoint failed"
#define DUMP_MAX (4 * 1024 * 1024) /* bytes of criu's log; a longer one is not kept */

extern const struct step_ops step_checkpoint;

/* ---- the work folder ----------------------------------------------------------- */

static int remove_work(struct step *step, struct step_env *env, struct wait *next,
		       struct err *err)
{
	const char *work = json_text(step->want, "work", "");
	struct path_ident what;
	json_object *args;
	int rc;

	if (!json_true(step->want, "own_work"))
		return STEP_DONE;
	rc = env->node->path(env->node, work, &what, err);
	if (rc <= 0) /* gone, perhaps with the bundle */
		return rc == -ENOTDIR ? STEP_DONE : rc;
	args = json_object_new_object();
	if (args) {
		json_put_text(args, "path", work);
		json_put_uint(args, "dev", what.dev);
		json_put_uint(args, "ino", what.ino);
	}
	return step_job(step, env, JOB_REMOVE_TREE, args, "remove criu's work folder", next, err);
}

/* ---- make it ------------------------------------------------------------------- */

static void flag(struct oci_args *args, struct step *step, const char *member,
		 const char *word)
{
	if (json_true(step->want, member))
		oci_arg(args, word);
}

static void value(struct oci_args *args, struct step *step, const char *member,
		  const char *word)
{
	const char *text = json_text(step->want, member, "");

	if (!text[0])
		return;
	oci_arg(args, word);
	oci_arg(args, text);
}

static void words(struct oci_args *args, struct step *step)
{
	json_object *empty = json_list(step->want, "empty_namespaces");
	size_t n = empty ? json_object_array_length(empty) : 0;

	oci_arg(args, "checkpoint");
	value(args, step, "path", "--image-path");
	value(args, step, "work", "--work-path");
	value(args, step, "parent", "--parent-path");
	flag(args, step, "open_tcp", "--tcp-established");
	flag(args, step, "external_unix_sockets", "--ext-unix-sk");
	flag(args, step, "terminal", "--shell-job");
	flag(args, step, "file_locks", "--file-locks");
	for (size_t i = 0; i < n; i++) {
		oci_arg(args, "--empty-ns");
		oci_arg(args, json_object_get_string(json_object_array_get_idx(empty, i)));
	}
	if (!json_true(step->want, "exit"))
		oci_arg(args, "--leave-running");
	oci_arg(args, json_text(step->want, "id", ""));
}

static int begin(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	struct oci_args args = { .n = 0 };
	int rc = 0;

	if (json_true(step->want, "own_work"))
		rc = env->node->make_dir(env->node, json_text(step->want, "work", ""), 0700, err);
	if (rc < 0)
		return rc;
	words(&args, step);
	return oci_call(step, env, args.at, SPAWN_NULL, next, err);
}

/* Best effort: the reason of the failure is what matters. */
static char *keep_dump(struct step *step, struct step_env *env)
{
	const char *work = json_text(step->want, "work", "");
	auto_free char *to = oci_bundle_path(step->want, "criu-dump.log");
	auto_free char *from = NULL;
	auto_free char *text = NULL;
	size_t len = 0;

	if (!to || asprintf(&from, "%s/dump.log", work) < 0 ||
	    env->node->read_file(env->node, from, DUMP_MAX, &text, &len, NULL) < 0 ||
	    env->node->write_file(env->node, to, text, len, 0600, NULL) < 0)
		return NULL;
	return TAKE_PTR(to);
}

static int failed(struct step *step, struct step_env *env, struct err *err)
{
	auto_free char *dump = keep_dump(step, env);
	json_object *why = json_object_new_object();
	struct err first = *err;

	if (dump)
		err_say(err, first.code, "%.*s path= %s", (int)strcspn(first.text, "\n"),
			first.text, dump);
	if (why) {
		json_put_int(why, "code", err->code);
		json_put_text(why, "text", err->text);
	}
	json_put(step->have, "failed", why);
	return 0;
}

/* The runtime has ended. */
static int ended(struct step *step, struct step_env *env, const struct wake *wake,
		 struct wait *next, struct err *err)
{
	struct err why = ERR_INIT;
	int rc = oci_call_result(step, env, wake, PREFIX, &why);

	if (rc < 0)
		rc = failed(step, env, &why);
	if (wake->why == WAKE_DEADLINE) { /* no time is left to tidy up; undo will */
		*err = why;
		return -why.code;
	}
	json_put(step->have, "removing", json_object_new_boolean(true));
	rc = step_save(step, env, err);
	return rc < 0 ? rc : remove_work(step, env, next, err);
}

/* All is tidied up: what came of it? */
static int outcome(struct step *step, struct err *err)
{
	json_object *why = NULL;

	if (!json_object_object_get_ex(step->have, "failed", &why))
		return STEP_DONE;
	return err_say(err, (int)json_int(why, "code", EIO), "%s", json_text(why, "text", PREFIX));
}

static int checkpoint_apply(struct step *step, struct step_env *env, const struct wake *wake,
			    struct wait *next, struct err *err)
{
	int rc;

	if (wake->why == WAKE_RESUME)
		return err_say(err, EINTR, PREFIX ": it was interrupted; the image is not whole");
	if (wake->why == WAKE_BEGIN) {
		rc = begin(step, env, next, err);
		return rc < 0 ? err_wrap(err, PREFIX) : rc;
	}
	if (!json_true(step->have, "removing")) {
		rc = ended(step, env, wake, next, err);
		return rc == STEP_DONE ? outcome(step, err) : rc;
	}
	if (step_job_result(env, wake, "remove criu's work folder", err) < 0)
		step_note(step, env, "%s", err->text);
	return outcome(step, err);
}

static int checkpoint_undo(struct step *step, struct step_env *env, const struct wake *wake,
			   struct wait *next, struct err *err)
{
	int rc;

	if (wake->why != WAKE_CHILD && wake->why != WAKE_DEADLINE)
		return remove_work(step, env, next, err);
	rc = step_job_result(env, wake, "remove criu's work folder", err);
	return rc == -ENOENT ? STEP_DONE : rc;
}

const struct step_ops step_checkpoint = {
	.kind = "checkpoint",
	.effect = EFFECT_DURABLE,
	.apply_ms = 10000,
	.undo_ms = 10000,
	.runtime = true,
	.apply = checkpoint_apply,
	.undo = checkpoint_undo,
};
