/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/oci/cli.h"

#include "journal/base/cleanup.h"
#include "supervisor/bundle/config.h"
#include "supervisor/bundle/json.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>

#define LOG_MAX   (16 * 1024 * 1024) /* bytes of log.json; a longer one is not read */
#define LOG_TAIL  (64 * 1024)        /* bytes at its end that are looked at  */
#define STATE_MAX (4 * 1024 * 1024)  /* bytes of a runtime's state file      */
#define PID_MAX   32                 /* bytes of a pid file                  */

void oci_arg(struct oci_args *args, const char *word)
{
	if (args->n < OCI_ARGS_MAX)
		args->at[args->n++] = word;
}

void oci_args_begin(struct oci_args *args, json_object *want, const char *log)
{
	oci_arg(args, json_text(want, "runtime", ""));
	oci_arg(args, "--root");
	oci_arg(args, json_text(want, "root", ""));
	if (log) {
		oci_arg(args, "--log");
		oci_arg(args, log);
		oci_arg(args, "--log-format");
		oci_arg(args, "json");
	}
	if (json_true(want, "systemd"))
		oci_arg(args, "--systemd-cgroup");
}

static char *join(const char *folder, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

char *oci_bundle_path(json_object *want, const char *name)
{
	return join(json_text(want, "bundle", ""), name);
}

char *oci_state_path(json_object *want)
{
	return join(json_text(want, "root", ""), json_text(want, "id", ""));
}

int64_t oci_log_size(struct node *n, const char *log)
{
	struct path_ident what;

	return n->path(n, log, &what, NULL) > 0 ? what.size : 0;
}

/* ---- what it said ------------------------------------------------------------ */

static char *trimmed(const char *text)
{
	size_t len;

	while (isspace((unsigned char)*text))
		text++;
	len = strlen(text);
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		len--;
	return len ? strndup(text, len) : NULL;
}

char *oci_log_error(const char *text, size_t len)
{
	struct json_tokener *tok = json_tokener_new();
	char *last = NULL;

	while (tok && len > 0 && len <= INT_MAX) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) + 1 : len;
		auto_json json_object *o = NULL;
		size_t used = line;

		json_tokener_reset(tok);
		o = json_tokener_parse_ex(tok, text, (int)len);
		/* More than one object on a line, or one over several: go by the parser. */
		if (json_object_is_type(o, json_type_object))
			used = json_tokener_get_parse_end(tok);
		if (strcmp(json_text(o, "level", ""), "error") == 0) {
			free(last);
			last = trimmed(json_text(o, "msg", ""));
		}
		used = used ? used : line;
		text += used;
		len -= used;
	}
	if (tok)
		json_tokener_free(tok);
	return last;
}

static char *log_since(struct node *n, const char *log, int64_t from)
{
	auto_free char *text = NULL;
	size_t len = 0;

	if (!log || n->read_file(n, log, LOG_MAX, &text, &len, NULL) < 0)
		return NULL;
	/* Shorter than before: somebody has begun it anew. */
	if (from < 0 || (uint64_t)from > len)
		from = 0;
	if (len - (size_t)from > LOG_TAIL)
		from = (int64_t)(len - LOG_TAIL);
	return oci_log_error(text + from, len - (size_t)from);
}

static int say_exit(const char *runtime, int code, const char *prefix, const char *output,
		    struct err *err)
{
	auto_free char *said = trimmed(output);

	if (!said && code == 127)
		return err_say(err, EIO, "%s: exec: \"%s\": executable file not found in $PATH",
			       prefix, runtime);
	return err_say(err, EIO, "%s: %s did not terminate successfully: exit status %d%s%s",
		       prefix, runtime, code, said ? ": " : "", said ? said : "");
}

int oci_result(struct step *step, struct step_env *env, const struct wake *wake,
	       const char *prefix, const char *log, int64_t log_from, struct err *err)
{
	const char *runtime = json_text(step->want, "runtime", "");
	auto_free char *output = step_output(env, wake);
	auto_free char *said = NULL;

	if (wake->why == WAKE_DEADLINE)
		return err_say(err, ETIMEDOUT,
			       "%s: %s did not end within %d s and was killed; see "
			       "runtime_timeout_s in the config file",
			       prefix, runtime, env->config->runtime_timeout_s);
	if (wake->status == 0)
		return 0;
	if (wake->status == -1)
		return err_say(err, EIO, "%s: nobody knows how %s ended", prefix, runtime);
	said = log_since(env->node, log, log_from);
	if (said)
		return err_say(err, EIO, "%s: %s", prefix, said);
	if (WIFSIGNALED(wake->status))
		return err_say(err, EIO, "%s: %s was killed by signal %d", prefix, runtime,
			       WTERMSIG(wake->status));
	return say_exit(runtime, WEXITSTATUS(wake->status), prefix, output ? output : "", err);
}

/* ---- a call that leaves nothing but its words ---------------------------------- */

int oci_call(struct step *step, struct step_env *env, const char *const *words, int in,
	     struct wait *next, struct err *err)
{
	auto_free char *log = oci_bundle_path(step->want, "log.json");
	auto_free char *what = NULL;
	struct oci_args args = { .n = 0 };
	struct spawn spawn = {
		.job = JOB_EXEC,
		.in = in,
		.out = SPAWN_CAPTURE,
		.err = SPAWN_CAPTURE,
		.die_with_us = true,
	};
	int rc;

	if (!log || asprintf(&what, "runtime %s", words[0]) < 0)
		return err_set(err, ENOMEM, "runtime %s", words[0]);
	json_put_int(step->have, "log_from", oci_log_size(env->node, log));
	rc = step_save(step, env, err);
	if (rc < 0)
		return rc;
	oci_args_begin(&args, step->want, log);
	while (*words)
		oci_arg(&args, *words++);
	spawn.argv = args.at;
	return step_spawn(step, env, &spawn, what, next, err);
}

int oci_call_result(struct step *step, struct step_env *env, const struct wake *wake,
		    const char *prefix, struct err *err)
{
	auto_free char *log = oci_bundle_path(step->want, "log.json");

	return oci_result(step, env, wake, prefix, log, json_int(step->have, "log_from", 0), err);
}

/* ---- its init ---------------------------------------------------------------- */

pid_t oci_pid(const char *text, size_t len)
{
	int64_t pid = 0;

	if (len > 0 && text[len - 1] == '\n')
		len--;
	if (len == 0 || len > 10)
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		pid = pid * 10 + (text[i] - '0');
	}
	return pid <= INT_MAX ? (pid_t)pid : 0;
}

static json_object *read_json(struct node *n, const char *folder, const char *name)
{
	auto_free char *path = join(folder, name);
	auto_free char *text = NULL;
	size_t len = 0;

	if (!path || n->read_file(n, path, STATE_MAX, &text, &len, NULL) < 0)
		return NULL;
	return json_read(text);
}

/* Pid and start time, as runc ("state.json") and crun ("status") write them. */
static bool state_ident(json_object *o, const char *pid, const char *start, struct ident *ret)
{
	int64_t n = json_int(o, pid, 0);

	if (n <= 0 || n > INT_MAX || json_uint(o, start, 0) == 0)
		return false;
	*ret = (struct ident){ .pid = (pid_t)n, .start = json_uint(o, start, 0) };
	return true;
}

bool oci_cgroup_names(const char *path, const char *id)
{
	const char *name = strrchr(path, '/');
	size_t len = strlen(id);
	size_t have;

	name = name ? name + 1 : path;
	have = strlen(name);
	if (have > 6 && strcmp(name + have - 6, ".scope") == 0)
		have -= 6;
	if (len == 0 || have < len || memcmp(name + have - len, id, len) != 0)
		return false;
	/* A whole word: not the tail of a longer id, unless a prefix ends before it. */
	return have == len || name[have - len - 1] == '-' || name[have - len - 1] == ':';
}

/* 1: some cgroup of the process carries the task's id in its name; 0: none, or it is
 * gone. */
static int carries_id(struct node *n, const struct ident *who, const char *id, struct err *err)
{
	auto_free char *text = NULL;
	char *save = NULL;
	int rc = n->cgroups_of(n, who, &text, err);

	if (rc < 0)
		return rc == -ESRCH || rc == -ENOENT ? 0 : rc;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (oci_cgroup_names(line, id))
			return 1;
	return 0;
}

static int by_pid(struct step *step, struct node *n, pid_t pid, struct ident *ret,
		  struct err *err)
{
	struct proc_info proc;
	int rc;

	if (pid <= 0)
		return 0;
	rc = n->look(n, pid, &proc, err);
	if (rc <= 0)
		return rc;
	rc = carries_id(n, &proc.ident, json_text(step->want, "id", ""), err);
	if (rc == 1)
		*ret = proc.ident;
	return rc;
}

/* *ret is 0 if the file names none, or is not there. What can't be read names a process all
 * the same. */
static int read_pid(struct node *n, const char *pid_file, pid_t *ret, struct err *err)
{
	auto_free char *text = NULL;
	size_t len = 0;
	int rc = n->read_file(n, pid_file, PID_MAX, &text, &len, err);

	*ret = rc < 0 ? 0 : oci_pid(text, len);
	return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
}

int oci_look_pid(struct node *n, const char *pid_file, struct proc_info *ret, struct err *err)
{
	pid_t pid;
	int rc = read_pid(n, pid_file, &pid, err);

	return rc < 0 || pid <= 0 ? rc : n->look(n, pid, ret, err);
}

int oci_find_pid(struct step *step, struct step_env *env, const char *pid_file,
		 struct ident *ret, struct err *err)
{
	pid_t pid;
	int rc = read_pid(env->node, pid_file, &pid, err);

	return rc < 0 ? rc : by_pid(step, env->node, pid, ret, err);
}

int oci_find_init(struct step *step, struct step_env *env, struct ident *ret, struct err *err)
{
	struct node *n = env->node;
	auto_free char *folder = oci_state_path(step->want);
	auto_free char *pid_file = oci_bundle_path(step->want, "init.pid");
	auto_json json_object *state = NULL;
	auto_json json_object *status = NULL;
	int64_t pid;
	int rc;

	if (!folder || !pid_file)
		return err_set(err, ENOMEM, "look for init");
	state = read_json(n, folder, "state.json");
	if (state_ident(state, "init_process_pid", "init_process_start", ret))
		return n->alive(n, ret, err);
	status = read_json(n, folder, "status");
	if (state_ident(status, "pid", "process-start-time", ret))
		return n->alive(n, ret, err);
	pid = json_int(state, "pid", 0);
	rc = by_pid(step, n, pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0, ret, err);
	return rc ? rc : oci_find_pid(step, env, pid_file, ret, err);
}
