/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec.c - one more process in the container.
 *
 * want: { "runtime", "root", "id", "bundle", "systemd", "exec_id",
 *         "console": path of a console socket }
 * have: { "spec": path of the process spec, "pid_file": path, "log_from",
 *         "console_folder": identity, "process": identity, "exit": see engine/execs.h }
 *
 *   1 choose the files' names, random and in <run>/exec      (committed)
 *   2 write the spec, which is env.input
 *   3 run exec; its child, the process, outlives it
 *   4 remove the spec; read the pid file, look the process up (committed), remove it
 *
 * The names say nothing of the ids, which could collide there (init.pid is a file of the
 * bundle, "init" a fine id for an exec). The runtime dies: the process is named by the
 * pid file, or dies with the container. Undo: kill the process and wait, remove the files,
 * also what was half written of them.
 */
#include "supervisor/oci/cli.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/bundle/config.h"
#include "supervisor/step/console.h"

#include <inttypes.h>
#include <string.h>

#define PREFIX "OCI runtime exec failed"

extern const struct step_ops step_exec;

/* ---- its files --------------------------------------------------------------- */

static int name_file(struct step *step, struct step_env *env, const char *member,
		     uint64_t token, const char *suffix, struct err *err)
{
	auto_free char *path = NULL;

	if (asprintf(&path, "%s/exec/%016" PRIx64 ".%s", env->config->run, token, suffix) < 0)
		return err_set(err, ENOMEM, PREFIX);
	json_put_text(step->have, member, path);
	return 0;
}

static int name_files(struct step *step, struct step_env *env, struct err *err)
{
	uint64_t token = env->node->random(env->node);
	int rc = name_file(step, env, "spec", token, "json", err);

	if (rc == 0)
		rc = name_file(step, env, "pid_file", token, "pid", err);
	return rc;
}

/* Ours by its random name. */
static int remove_named(struct step *step, struct step_env *env, const char *member,
			struct err *err)
{
	const char *path = json_text(step->have, member, "");

	return path[0] ? step_unwrite(env, path, err) : 0;
}

/* runc writes its pid file as ".<name>", and may have died before it was renamed. */
static int remove_pid_file(struct step *step, struct step_env *env, struct err *err)
{
	const char *path = json_text(step->have, "pid_file", "");
	const char *slash = strrchr(path, '/');
	auto_free char *half = NULL;
	int rc;

	if (!slash)
		return 0;
	if (asprintf(&half, "%.*s/.%s", (int)(slash - path), path, slash + 1) < 0)
		return err_set(err, ENOMEM, PREFIX);
	rc = step_unwrite(env, half, err);
	return rc < 0 ? rc : step_unwrite(env, path, err);
}

static int write_spec(struct step *step, struct step_env *env, struct err *err)
{
	auto_free char *folder = NULL;
	int rc;

	if (!env->input)
		return err_say(err, EINVAL, "no process is given");
	if (asprintf(&folder, "%s/exec", env->config->run) < 0)
		return err_set(err, ENOMEM, PREFIX);
	rc = env->node->make_dir(env->node, folder, 0700, err);
	if (rc < 0)
		return rc;
	rc = env->node->write_file(env->node, json_text(step->have, "spec", ""), env->input,
				   strlen(env->input), 0600, err);
	crash_point("spec");
	return rc;
}

/* ---- make it ----------------------------------------------------------------- */

static void exec_args(struct oci_args *args, struct step *step, const char *log)
{
	const char *console = json_text(step->want, "console", "");

	oci_args_begin(args, step->want, log);
	oci_arg(args, "exec");
	oci_arg(args, "--process");
	oci_arg(args, json_text(step->have, "spec", ""));
	if (console[0]) {
		oci_arg(args, "--console-socket");
		oci_arg(args, console);
	}
	oci_arg(args, "--detach");
	oci_arg(args, "--pid-file");
	oci_arg(args, json_text(step->have, "pid_file", ""));
	oci_arg(args, json_text(step->want, "id", ""));
}

static int call_exec(struct step *step, struct step_env *env, const char *log,
		     struct wait *next, struct err *err)
{
	struct oci_args args = { .n = 0 };
	struct spawn spawn = {
		.job = JOB_EXEC,
		.cwd = json_text(step->want, "bundle", ""),
		.in = env->stdio[0],
		.out = env->stdio[1],
		.err = env->stdio[2],
		.die_with_us = true,
	};

	if (json_text(step->want, "console", "")[0]) { /* the process has the terminal */
		spawn.in = SPAWN_NULL;
		spawn.out = spawn.err = SPAWN_CAPTURE;
	}
	exec_args(&args, step, log);
	spawn.argv = args.at;
	return step_spawn(step, env, &spawn, "runtime exec", next, err);
}

static int begin(struct step *step, struct step_env *env, struct wait *next, struct err *err)
{
	auto_free char *log = oci_bundle_path(step->want, "log.json");
	int rc;

	if (!log)
		return err_set(err, ENOMEM, PREFIX);
	rc = name_files(step, env, err);
	if (rc < 0)
		return rc;
	json_put_int(step->have, "log_from", oci_log_size(env->node, log));
	rc = step_save(step, env, err);
	if (rc == 0)
		rc = write_spec(step, env, err);
	if (rc == 0)
		rc = step_console_make(step, env, err);
	return rc < 0 ? rc : call_exec(step, env, log, next, err);
}

static int identify(struct step *step, struct step_env *env, struct err *err)
{
	const char *path = json_text(step->have, "pid_file", "");
	struct proc_info proc;
	int rc = oci_look_pid(env->node, path, &proc, err);

	if (rc < 0)
		return rc;
	if (rc == 0)
		return err_say(err, EIO, "%s ended well, but %s names no process",
			       json_text(step->want, "runtime", ""), path);
	json_put_ident(step->have, "process", &proc.ident);
	return step_save(step, env, err);
}

static int ended(struct step *step, struct step_env *env, struct err *err)
{
	int rc = remove_named(step, env, "spec", err);

	crash_point("executed");
	if (rc == 0)
		rc = identify(step, env, err);
	if (rc == 0)
		rc = remove_named(step, env, "pid_file", err);
	return rc == 0 ? step_console_remove(step, env, err) : rc;
}

static int exec_apply(struct step *step, struct step_env *env, const struct wake *wake,
		      struct wait *next, struct err *err)
{
	auto_free char *log = NULL;
	int rc;

	if (wake->why == WAKE_RESUME)
		return err_say(err, EINTR, PREFIX ": it was interrupted; ask for it again");
	if (wake->why == WAKE_BEGIN) {
		rc = begin(step, env, next, err);
		return rc < 0 ? err_wrap(err, PREFIX) : rc;
	}
	log = oci_bundle_path(step->want, "log.json");
	rc = oci_result(step, env, wake, PREFIX, log, json_int(step->have, "log_from", 0), err);
	if (rc < 0)
		return rc;
	rc = ended(step, env, err);
	return rc < 0 ? err_wrap(err, PREFIX) : rc;
}

/* ---- take it back ------------------------------------------------------------ */

/* The process in the row, or the one that a lost call made. 1 and *ret; 0: none. */
static int our_process(struct step *step, struct step_env *env, struct ident *ret,
		       struct err *err)
{
	int rc;

	if (!epoch_same_pids(step->epoch, env->node->epoch(env->node)))
		return 0;
	if (json_ident(step->have, "process", ret))
		return 1;
	rc = oci_find_pid(step, env, json_text(step->have, "pid_file", ""), ret, err);
	if (rc <= 0)
		return rc;
	json_put_ident(step->have, "process", ret);
	rc = step_save(step, env, err);
	return rc < 0 ? rc : 1;
}

static int end_process(struct step *step, struct step_env *env, struct wait *next,
		       struct err *err)
{
	struct ident who;
	int rc = our_process(step, env, &who, err);

	if (rc <= 0)
		return rc;
	rc = step_kill(env, &who, next, err);
	if (rc == STEP_WAIT)
		oci_thaw(env->node, &who, json_text(step->want, "id", ""));
	if (rc != STEP_DONE)
		return rc;
	/* A zombie of ours that nobody has asked for yet. */
	(void)env->node->reap(env->node, &who, &(int){ -1 }, NULL);
	env->node->forget(env->node, &who);
	return STEP_DONE;
}

static int exec_undo(struct step *step, struct step_env *env, const struct wake *wake,
		     struct wait *next, struct err *err)
{
	int rc;

	if (wake->why == WAKE_DEADLINE)
		return step_late(step, "the end of an exec's process", err);
	rc = end_process(step, env, next, err);
	if (rc == STEP_DONE)
		rc = remove_named(step, env, "spec", err);
	if (rc == STEP_DONE)
		rc = remove_pid_file(step, env, err);
	return rc == STEP_DONE ? step_console_remove(step, env, err) : rc;
}

static int exec_verify(struct step *step, struct step_env *env, struct err *err)
{
	struct ident who;
	int rc;

	if (!epoch_same_pids(step->epoch, env->node->epoch(env->node)))
		return FACT_ABSENT;
	if (!json_ident(step->have, "process", &who))
		return FACT_UNSURE;
	rc = env->node->alive(env->node, &who, err);
	return rc < 0 ? rc : rc ? FACT_PRESENT : FACT_ABSENT;
}

const struct step_ops step_exec = {
	.kind = "exec",
	.effect = EFFECT_VOLATILE,
	.apply_ms = 10000,
	.undo_ms = 10000,
	.runtime = true,
	.apply = exec_apply,
	.undo = exec_undo,
	.verify = exec_verify,
};
