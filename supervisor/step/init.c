/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init.c - the OCI runtime's create, and the process that it leaves behind; or, for a
 * task that was created from a checkpoint, its restore.
 *
 * want: { "runtime", "root", "id", "bundle", "systemd", "no_pivot", "no_new_keyring",
 *         "console": path of a console socket;
 *         "checkpoint": path, "work": path, "parent_checkpoint": path }  if restored
 * have: { "log_from": bytes of log.json before, "console_folder": identity,
 *         "init": identity, "cgroups": text }
 *
 *   1 remove an init.pid of an earlier try; note the size of log.json    (committed)
 *   2 run create, or restore; its child, the container's init, outlives it
 *   3 read init.pid, look the process up, commit its identity and cgroups
 *
 * The runtime dies: init reads end of file and goes, or is in the runtime's state, or
 * in the predicted cgroups, which the cgroup step empties. No or a wrong init.pid after
 * success: a failure like any other. Undo: kill init and wait, ask the runtime to
 * delete what is left; if it can't, the steps before this one remove it by hand.
 */
#include "supervisor/oci/cli.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/step/console.h"
#include "supervisor/step/ending.h"

#include <string.h>


extern const struct step_ops step_init;

static bool restores(const struct step *step)
{
	return json_text(step->want, "checkpoint", "")[0];
}

static const char *prefix(const struct step *step)
{
	return restores(step) ? "OCI runtime restore failed" : "OCI runtime create failed";
}

/* ---- make it ----------------------------------------------------------------- */

static int remove_old_pid(struct node *node, const char *path, struct err *err)
{
	struct path_ident what;
	int rc = node->path(node, path, &what, err);

	if (rc > 0)
		rc = node->remove_file(node, path, &what, err);
	return rc < 0 ? rc : 0;
}

static void option(struct oci_args *args, struct step *step, const char *name,
		   const char *member)
{
	const char *value = json_text(step->want, member, "");

	if (!value[0])
		return;
	oci_arg(args, name);
	oci_arg(args, value);
}

static void restore_args(struct oci_args *args, struct step *step, const char *pid_file)
{
	enum runtime_kind kind = runtime_kind_of(json_text(step->want, "runtime", ""));

	oci_arg(args, "restore");
	option(args, step, "--image-path", "checkpoint");
	option(args, step, "--work-path", "work");
	option(args, step, "--parent-path", "parent_checkpoint");
	oci_arg(args, "--detach");
	oci_arg(args, "--pid-file");
	oci_arg(args, pid_file);
	option(args, step, "--console-socket", "console");
	if (json_true(step->want, "no_pivot"))
		oci_arg(args, "--no-pivot");
	if (kind != RUNTIME_CRUN) /* which has no such word, and is no subreaper */
		oci_arg(args, "-no-subreaper");
	option(args, step, "--bundle", "bundle");
	oci_arg(args, json_text(step->want, "id", ""));
}

static void create_args(struct oci_args *args, struct step *step, const char *pid_file)
{
	bool urunc = runtime_kind_of(json_text(step->want, "runtime", "")) == RUNTIME_URUNC;

	oci_arg(args, "create");
	option(args, step, "--bundle", "bundle");
	oci_arg(args, "--pid-file");
	oci_arg(args, pid_file);
	option(args, step, "--console-socket", "console");
	/* urunc refuses words that it does not know, also for what it hands to runc. */
	if (json_true(step->want, "no_pivot") && !urunc)
		oci_arg(args, "--no-pivot");
	if (json_true(step->want, "no_new_keyring") && !urunc)
		oci_arg(args, "--no-new-keyring");
	oci_arg(args, json_text(step->want, "id", ""));
}

static int call_create(struct step *step, struct step_env *env, struct wait *next,
		       struct err *err)
{
	auto_free char *log = oci_bundle_path(step->want, "log.json");
	auto_free char *pid_file = oci_bundle_path(step->want, "init.pid");
	struct oci_args args = { .n = 0 };
	struct spawn spawn = {
		.job = JOB_EXEC,
		.cwd = json_text(step->want, "bundle", ""),
		.in = env->stdio[0],
		.out = env->stdio[1],
		.err = env->stdio[2],
		.die_with_us = true,
	};
	int rc;

	if (!log || !pid_file)
		return err_set(err, ENOMEM, "no memory for its paths");
	rc = remove_old_pid(env->node, pid_file, err);
	if (rc < 0)
		return rc;
	json_put_int(step->have, "log_from", oci_log_size(env->node, log));
	rc = step_save(step, env, err);
	if (rc == 0)
		rc = step_console_make(step, env, err);
	if (rc < 0)
		return rc;
	if (json_text(step->want, "console", "")[0]) { /* init has the terminal */
		spawn.in = SPAWN_NULL;
		spawn.out = spawn.err = SPAWN_CAPTURE;
	}
	oci_args_begin(&args, step->want, log);
	if (restores(step))
		restore_args(&args, step, pid_file);
	else
		create_args(&args, step, pid_file);
	spawn.argv = args.at;
	return step_spawn(step, env, &spawn, restores(step) ? "runtime restore" : "runtime create",
			  next, err);
}

static int begin(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	const char *runtime = json_text(step->want, "runtime", "");
	int rc = runtime_executable(env->node, runtime, err);

	if (rc < 0)
		return rc;
	if (rc == 0)
		return err_say(err, EIO, "%s: exec: \"%s\": executable file not found in $PATH",
			       prefix(step), runtime);
	rc = call_create(step, env, next, err);
	return rc < 0 ? err_wrap(err, "%s", prefix(step)) : rc;
}

static int identify(struct step *step, struct step_env *env, struct err *err)
{
	auto_free char *cgroups = NULL;
	auto_free char *pid_file = oci_bundle_path(step->want, "init.pid");
	struct proc_info proc;
	int rc = pid_file ? oci_look_pid(env->node, pid_file, &proc, err)
			  : err_set(err, ENOMEM, "read init.pid");

	if (rc < 0)
		return err_wrap(err, "%s", prefix(step));
	if (rc == 0)
		return err_say(err, EIO, "%s: %s ended well, but %s/init.pid names no process",
			       prefix(step), json_text(step->want, "runtime", ""),
			       json_text(step->want, "bundle", ""));
	/* An init that has exited already says no more where it was. */
	if (env->node->cgroups_of(env->node, &proc.ident, &cgroups, NULL) < 0) {
		free(TAKE_PTR(cgroups));
		cgroups = strdup("");
	}
	json_put_text(step->have, "cgroups", cgroups ? cgroups : "");
	return step_remember_init(step, env, &proc.ident, 0, err);
}

static int init_apply(struct step *step, struct step_env *env, const struct wake *wake,
		      struct wait *next, struct err *err)
{
	auto_free char *log = NULL;
	int rc;

	if (wake->why == WAKE_BEGIN)
		return begin(step, env, next, err);
	if (wake->why == WAKE_RESUME)
		return err_say(err, EINTR, "%s: it was interrupted; create the task again",
			       prefix(step));
	log = oci_bundle_path(step->want, "log.json");
	rc = oci_result(step, env, wake, prefix(step), log, json_int(step->have, "log_from", 0), err);
	if (rc < 0)
		return rc;
	crash_point("created");
	rc = identify(step, env, err);
	return rc < 0 ? rc : step_console_remove(step, env, err);
}

/* ---- take it back ------------------------------------------------------------ */

/* Which process is to be killed: the one in the row, or the one a lost call made.
 * 1 and *ret; 0: there is none. */
static int our_init(struct step *step, struct step_env *env, struct ident *ret,
		    struct err *err)
{
	int rc;

	if (!epoch_same_pids(step->task->epoch, env->node->epoch(env->node)))
		return 0;
	if (json_ident(step->have, "init", ret))
		return 1;
	rc = oci_find_init(step, env, ret, err);
	if (rc <= 0)
		return rc;
	json_put_ident(step->have, "init", ret);
	rc = step_save(step, env, err);
	return rc < 0 ? rc : 1;
}

static int end_init(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	struct ident init;
	int rc = our_init(step, env, &init, err);

	return rc <= 0 ? rc : step_end_init(step, env, &init, json_text(step->want, "id", ""), next, err);
}

/* urunc kills whatever has the pid in its state, without a start time. */
static bool delete_would_kill_another(struct step *step, struct step_env *env)
{
	enum runtime_kind kind = runtime_kind_of(json_text(step->want, "runtime", ""));
	struct proc_info now;
	struct ident init;

	if (!epoch_same_pids(step->task->epoch, env->node->epoch(env->node)))
		return true;
	if (kind == RUNTIME_RUNC || kind == RUNTIME_CRUN || !json_ident(step->have, "init", &init))
		return false;
	return env->node->look(env->node, init.pid, &now, NULL) > 0 &&
	       now.ident.start != init.start;
}

static int call_delete(struct step *step, struct step_env *env, struct wait *next,
		       struct err *err)
{
	auto_free char *folder = oci_state_path(step->want);
	struct oci_args args = { .n = 0 };
	struct spawn spawn = {
		.job = JOB_EXEC,
		.in = SPAWN_NULL,
		.out = SPAWN_CAPTURE,
		.err = SPAWN_CAPTURE,
		.die_with_us = true,
	};
	struct path_ident what;
	int rc;

	if (!folder)
		return err_set(err, ENOMEM, "delete the container");
	rc = env->node->path(env->node, folder, &what, err);
	if (rc <= 0) /* it knows nothing of the id, so it holds nothing for it */
		return rc == -ENOTDIR ? STEP_DONE : rc;
	rc = runtime_executable(env->node, json_text(step->want, "runtime", ""), err);
	if (rc < 0)
		return rc;
	if (rc == 0 || delete_would_kill_another(step, env)) {
		step_note(step, env, "%s is not asked to delete %s: %s",
			  json_text(step->want, "runtime", ""), json_text(step->want, "id", ""),
			  rc ? "the pid in its state is another process now"
			     : "the binary is gone");
		return STEP_DONE;
	}
	oci_args_begin(&args, step->want, NULL);
	oci_arg(&args, "delete");
	oci_arg(&args, "--force");
	oci_arg(&args, json_text(step->want, "id", ""));
	spawn.argv = args.at;
	return step_spawn(step, env, &spawn, "runtime delete", next, err);
}

/* Its refusal is no failure of ours: the host is asked, by the steps that follow. */
static int deleted(struct step *step, struct step_env *env, const struct wake *wake)
{
	struct err why = ERR_INIT;

	if (oci_result(step, env, wake, "runtime delete", NULL, 0, &why) < 0 &&
	    !strstr(why.text, "does not exist") && !strstr(why.text, "no such file"))
		step_note(step, env, "%s", why.text);
	return STEP_DONE;
}

static int init_undo(struct step *step, struct step_env *env, const struct wake *wake,
		     struct wait *next, struct err *err)
{
	int rc;

	/* The only child of this undo is the runtime's delete. */
	if (wake->why == WAKE_CHILD)
		return deleted(step, env, wake);
	if (wake->why == WAKE_DEADLINE && wake->child) {
		/* No failure of ours either: init is gone, and it can't act any more. */
		step_note(step, env, "runtime delete of %s took too long and was killed",
			  json_text(step->want, "id", ""));
		return STEP_DONE;
	}
	if (wake->why == WAKE_DEADLINE)
		return step_late(step, "the end of init, or the runtime's delete,", err);
	rc = step_console_remove(step, env, err);
	if (rc < 0)
		return rc;
	rc = end_init(step, env, next, err);
	return rc == STEP_DONE ? call_delete(step, env, next, err) : rc;
}

static int init_verify(struct step *step, struct step_env *env, struct err *err)
{
	struct ident init;
	int rc;

	if (!epoch_same_pids(step->task->epoch, env->node->epoch(env->node)))
		return FACT_ABSENT;
	if (!json_ident(step->have, "init", &init))
		return FACT_UNSURE;
	rc = env->node->alive(env->node, &init, err);
	return rc < 0 ? rc : rc ? FACT_PRESENT : FACT_ABSENT;
}

const struct step_ops step_init = {
	.kind = "init",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 10000,
	.undo_ms = 10000,
	.runtime = true,
	.apply = init_apply,
	.undo = init_undo,
	.verify = init_verify,
};
