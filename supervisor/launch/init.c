/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/launch/launch.h"

#include "journal/base/cleanup.h"
#include "supervisor/node/node.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define MONITOR_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

json_object *launch_member(json_object *o, const char *name, enum json_type type)
{
	json_object *value = NULL;

	if (!o || !json_object_is_type(o, json_type_object) ||
	    !json_object_object_get_ex(o, name, &value) || !json_object_is_type(value, type))
		return NULL;
	return value;
}

const char *launch_text(json_object *o, const char *name)
{
	json_object *value = launch_member(o, name, json_type_string);

	return value ? json_object_get_string(value) : "";
}

bool launch_serves(json_object *args)
{
	return json_object_get_boolean(launch_member(args, "serves", json_type_boolean));
}

/* ---- talking ------------------------------------------------------------------- */

int launch_say(json_object *message, struct err *err)
{
	const char *text = json_object_to_json_string_ext(message, JSON_C_TO_STRING_PLAIN);

	if (!text)
		return err_set(err, ENOMEM, "talk to the shim");
	if (send(SPAWN_TALK_FD, text, strlen(text), MSG_NOSIGNAL) < 0)
		return err_set(err, errno, "talk to the shim");
	return 0;
}

static void say_error(const struct err *why)
{
	auto_json json_object *o = json_object_new_object();
	struct err err = ERR_INIT;

	if (!o)
		return;
	json_object_object_add(o, "error", json_object_new_string(why->text));
	json_object_object_add(o, "code", json_object_new_int(why->code));
	(void)launch_say(o, &err);
}

/* What the first process of a pid namespace does not handle is not delivered to it. */
static void on_end(int signal)
{
	_exit(128 + signal);
}

static void handle(int signal)
{
	struct sigaction sa = { .sa_handler = on_end };

	(void)sigaction(signal, &sa, NULL);
}

static int hear(json_object **ret, struct err *err)
{
	auto_free char *text = malloc(TALK_MAX + 1);
	ssize_t n;

	if (!text)
		return err_set(err, ENOMEM, "wait for the start");
	do
		n = recv(SPAWN_TALK_FD, text, TALK_MAX, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0) /* the shim is gone, and with it whoever could start us */
		_exit(1);
	text[n] = '\0';
	*ret = json_tokener_parse(text);
	return 0;
}

static int claim(struct err *err)
{
	auto_json json_object *answer = json_object_new_object();
	int rc = launch_disk_claim(err);

	if (rc < 0 && rc != -EBUSY)
		return rc;
	if (!answer)
		return err_set(err, ENOMEM, "claim the disk");
	json_object_object_add(answer, rc < 0 ? "busy" : "claimed", json_object_new_boolean(true));
	return launch_say(answer, err);
}

/* 1: it was something to be done while we wait. */
static int heed(json_object *order, json_object *args, struct err *err)
{
	int rc;

	if (launch_member(order, "claim", json_type_boolean))
		rc = claim(err);
	else if (launch_member(order, "hook", json_type_object))
		rc = launch_hook(order, args, err);
	else
		return 0;
	return rc < 0 ? rc : 1;
}

int launch_order(json_object **ret, json_object *args, const char *member, enum json_type type,
		 struct err *err)
{
	int rc = hear(ret, err);

	while (rc == 0 && (rc = heed(*ret, args, err)) > 0) {
		json_object_put(TAKE_PTR(*ret));
		rc = hear(ret, err);
	}
	if (rc < 0)
		return rc;
	return launch_member(*ret, member, type)
		       ? 0
		       : err_say(err, EINVAL, "the order to start has no %s", member);
}

/* ---- the accelerator ------------------------------------------------------------- */

/* "kvm", "tcg" or "none", and why not kvm. */
static int choose_accel(json_object *args, json_object *ready, struct err *err)
{
	const char *accel = launch_text(args, "accel");
	struct err why = ERR_INIT;
	bool may = strcmp(accel, "may") == 0;
	int rc = 0;

	if (may || strcmp(accel, "kvm") == 0)
		rc = launch_kvm(may, &why);
	if (rc < 0 && !may)
		return err_say(err, ENOTSUP, "KVM can't be used: %s", why.text);
	if (rc < 0)
		json_object_object_add(ready, "why", json_object_new_string(why.text));
	json_object_object_add(ready, "accel", json_object_new_string(rc < 0 ? "tcg" : may ? "kvm" : accel));
	return 0;
}

/* ---- becoming it --------------------------------------------------------------------- */

static int write_file(json_object *file, struct err *err)
{
	const char *path = launch_text(file, "path");
	const char *text = launch_text(file, "text");
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return err_set(err, errno ? errno : EIO, "write the monitor's %s", path);
	return 0;
}

static int write_files(json_object *order, struct err *err)
{
	json_object *files = launch_member(order, "files", json_type_array);
	size_t n = files ? json_object_array_length(files) : 0;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = write_file(json_object_array_get_idx(files, i), err);
	return rc;
}

/* The texts of @list, lent by it, behind @first if that is one; NULL without memory. */
static char **texts(json_object *list, const char *first)
{
	size_t n = list ? json_object_array_length(list) : 0;
	size_t at = first ? 1 : 0;
	char **out = calloc(n + at + 1, sizeof(*out));

	if (out && first)
		out[0] = (char *)first;
	for (size_t i = 0; out && i < n; i++)
		out[at + i] = (char *)json_object_get_string(json_object_array_get_idx(list, i));
	return out;
}

static int become(json_object *order, struct err *err)
{
	json_object *words = launch_member(order, "argv", json_type_array);
	auto_free char **argv = texts(words, NULL);
	auto_free char **env = texts(launch_member(order, "env", json_type_array), MONITOR_PATH);
	auto_json json_object *going = json_tokener_parse("{\"exec\":true}");
	int rc;

	if (!argv || !env || !going)
		return err_set(err, ENOMEM, "become the monitor");
	if (!argv[0])
		return err_say(err, EINVAL, "the order to start names no program");
	rc = launch_say(going, err);
	if (rc < 0)
		return rc;
	(void)execve(argv[0], argv, env);
	return err_set(err, errno, "exec: \"%s\"%s", argv[0],
		       errno == ENOENT && access(argv[0], F_OK) == 0
			       ? " (its interpreter or a library's loader is not among what a "
				 "monitor is shown: see monitor_paths)"
			       : "");
}

/* It goes over the exec, at a number that virtiofsd is told. */
static int listen_for_monitor(struct err *err)
{
	const struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = LAUNCH_SHARE_SOCKET };
	auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
	    chmod(LAUNCH_SHARE_SOCKET, 0666) < 0 || listen(fd, 1) < 0 ||
	    dup2(fd, LAUNCH_SHARE_FD) < 0)
		return err_set(err, errno, "listen at " LAUNCH_SHARE_SOCKET);
	return 0;
}

static bool holds(json_object *args)
{
	return json_object_get_boolean(launch_member(args, "holds", json_type_boolean));
}

static int make_root(json_object *args, struct err *err)
{
	int rc = launch_root(args, err);

	return rc == 0 && launch_serves(args) ? listen_for_monitor(err) : rc;
}

/* Hooks have been in its namespaces, where its root is the node's still. */
static int make_root_when_told(json_object *args, struct err *err)
{
	auto_json json_object *order = NULL;
	auto_json json_object *built = json_tokener_parse("{\"built\":true}");
	int rc = built ? launch_order(&order, args, "build", json_type_boolean, err)
		       : err_set(err, ENOMEM, "make its root");

	if (rc == 0)
		rc = make_root(args, err);
	return rc < 0 ? rc : launch_say(built, err);
}

static int prepare(json_object *args, struct err *err)
{
	auto_json json_object *ready = json_tokener_parse("{\"ready\":true}");
	int rc = ready ? 0 : err_set(err, ENOMEM, "prepare the monitor");

	if (rc == 0)
		rc = launch_console(args, err);
	if (rc == 0)
		rc = launch_space(args, err);
	if (rc == 0)
		rc = launch_limits(launch_member(args, "process", json_type_object), err);
	if (rc == 0)
		rc = choose_accel(args, ready, err);
	if (rc == 0)
		rc = launch_vsock(args, ready, err);
	if (rc == 0 && !holds(args))
		rc = make_root(args, err);
	return rc < 0 ? rc : launch_say(ready, err);
}

static int live(json_object *args, struct err *err)
{
	auto_json json_object *order = NULL;
	int rc = prepare(args, err);

	if (rc < 0)
		return rc;
	handle(SIGTERM);
	handle(SIGINT);
	handle(SIGHUP);
	if (holds(args))
		rc = make_root_when_told(args, err);
	if (rc == 0)
		rc = launch_order(&order, args, "argv", json_type_array, err);
	if (rc == 0)
		rc = write_files(order, err);
	if (rc == 0)
		rc = launch_user(args, err);
	return rc < 0 ? rc : become(order, err);
}

int launch_init(json_object *args, struct err *err)
{
	int rc;

	(void)umask(022);
	rc = launch_member(args, "pause", json_type_string) ? launch_pause(args, err)
							   : live(args, err);
	say_error(err);
	return rc;
}
