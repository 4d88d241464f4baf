/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause.c - the process that a sandbox is: it has its namespaces, and does nothing.
 *
 * It runs no program, so that it needs no image and no rootfs: what the fork of the shim
 * has in memory can't be read by who shares its pid namespace (it is not dumpable).
 */
#include "supervisor/launch/launch.h"

#include "journal/base/cleanup.h"
#include "supervisor/node/node.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

/* ---- a name of its own ------------------------------------------------------------- */

/* Where the kernel reads our command line: it is the shim's, and looked for by that. */
static char *command_line(size_t *len)
{
	unsigned long from = 0, to = 0;
	auto_free char *text = calloc(1, 4096);
	auto_fd int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	const char *at;

	if (!text || fd < 0 || read(fd, text, 4095) <= 0)
		return NULL;
	/* From the name's end on: the 3rd field is the first, these are the 48th and 49th. */
	at = strrchr(text, ')');
	for (int field = 2; at && field < 48; field++)
		at = strchr(at + 1, ' ');
	if (!at || sscanf(at, "%lu %lu", &from, &to) != 2 || !from || to <= from)
		return NULL;
	*len = to - from;
	return (char *)from; /* NOLINT(performance-no-int-to-ptr): the kernel's word */
}

static void take_name(const char *id)
{
	size_t len = 0;
	char *line = command_line(&len);

	(void)prctl(PR_SET_NAME, "urunc-pause");
	if (!line)
		return;
	memset(line, 0, len);
	(void)snprintf(line, len, "urunc-pause %s", id);
}

/* ---- sysctls ------------------------------------------------------------------------- */

/* Those of a namespace are those of whoever writes. */
static int set_sysctl(const char *name, const char *value, struct err *err)
{
	auto_free char *path = NULL;
	auto_fd int fd = -1;

	if (asprintf(&path, "/proc/sys/%s", name) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "set sysctl %s", name);
	}
	for (char *p = path + strlen("/proc/sys/"); *p; p++)
		if (*p == '.')
			*p = '/';
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value))
		return err_set(err, errno ? errno : EIO, "set sysctl %s to \"%s\"", name, value);
	return 0;
}

static int set_sysctls(json_object *args, struct err *err)
{
	json_object *list = launch_member(args, "sysctls", json_type_object);
	struct json_object_iterator it, end;
	int rc = 0;

	if (!list)
		return 0;
	it = json_object_iter_begin(list);
	end = json_object_iter_end(list);
	for (; rc == 0 && !json_object_iter_equal(&it, &end); json_object_iter_next(&it))
		rc = set_sysctl(json_object_iter_peek_name(&it),
				json_object_get_string(json_object_iter_peek_value(&it)), err);
	return rc;
}

/* ---- its life -------------------------------------------------------------------------- */

static void on_end(int signal)
{
	(void)signal;
	_exit(0);
}

/* The first process of a pid namespace gets no signal that it does not handle, and all
 * children whose parents have ended: the kernel reaps those of who ignores SIGCHLD. */
static void handle_signals(void)
{
	struct sigaction sa = { .sa_handler = on_end };

	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGINT, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	(void)sigaction(SIGCHLD, &sa, NULL);
}

static int prepare(json_object *args, struct err *err)
{
	auto_json json_object *ready = json_tokener_parse("{\"ready\":true}");
	int rc = ready ? 0 : err_set(err, ENOMEM, "prepare the sandbox");

	if (rc == 0)
		rc = launch_space(args, err);
	if (rc == 0)
		rc = set_sysctls(args, err);
	if (rc == 0)
		rc = launch_empty_root(args, err);
	if (rc == 0)
		rc = launch_user(args, err);
	if (rc == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		rc = err_set(err, errno, "keep others from looking into the sandbox's process");
	return rc < 0 ? rc : launch_say(ready, err);
}

int launch_pause(json_object *args, struct err *err)
{
	auto_json json_object *going = json_tokener_parse("{\"exec\":true}");
	auto_json json_object *order = NULL;
	int rc;

	take_name(launch_text(args, "pause"));
	handle_signals();
	rc = going ? prepare(args, err) : err_set(err, ENOMEM, "prepare the sandbox");
	if (rc == 0)
		rc = launch_order(&order, args, "pause", json_type_boolean, err);
	if (rc == 0)
		rc = launch_say(going, err);
	if (rc < 0)
		return rc;
	(void)close(SPAWN_TALK_FD);
	for (;;)
		(void)pause();
}
