/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hook.c - a hook of the spec, run by the launched process where that is: its child, which
 * dies with it.
 */
#include "supervisor/launch/launch.h"

#include "journal/base/cleanup.h"
#include "supervisor/node/node_linux.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define TEXT_MAX 1000 /* bytes that it has said, of which its failure tells */

static _Noreturn void become_hook(json_object *order, json_object *args, int out)
{
	json_object *user = launch_member(order, "user", json_type_boolean);
	struct err err = ERR_INIT;
	int rc = 0;

	(void)setsid();
	if (dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
		_exit(EIO);
	/* What is held for the monitor is not the hook's. */
	if (close_range(3, ~0U, 0) < 0)
		rc = err_set(&err, errno, "close what is not the hook's");
	if (rc == 0 && json_object_get_boolean(user))
		rc = launch_user(args, &err);
	/* After the user, with which it would be lost. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (rc == 0)
		rc = linux_job_hook(order, &err);
	(void)!write(STDERR_FILENO, err.text, strlen(err.text));
	_exit(rc < 0 && -rc < 255 ? -rc : EIO);
}

/* Or until the shim is gone, and with it whoever wanted it. */
static int wait_for(pid_t pid, int *status, struct err *err)
{
	auto_fd int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = SPAWN_TALK_FD } };

	if (fd < 0) {
		(void)kill(pid, SIGKILL);
		return err_set(err, errno, "watch a hook");
	}
	while (poll(p, ARRAY_SIZE(p), -1) < 0 && errno == EINTR)
		;
	if (!(p[0].revents & POLLIN)) {
		(void)kill(pid, SIGKILL);
		_exit(1);
	}
	return waitpid(pid, status, 0) < 0 ? err_set(err, errno, "wait for a hook") : 0;
}

static int tell_end(int status, int out, struct err *err)
{
	auto_json json_object *answer = json_object_new_object();
	char text[TEXT_MAX + 1];
	ssize_t n = pread(out, text, TEXT_MAX, 0);

	if (!answer)
		return err_set(err, ENOMEM, "tell how a hook ended");
	text[n > 0 ? n : 0] = '\0';
	if (WIFSIGNALED(status))
		(void)snprintf(text, sizeof(text), "killed by signal %d", WTERMSIG(status));
	else if (!text[0])
		(void)snprintf(text, sizeof(text), "exit code %d", WEXITSTATUS(status));
	json_object_object_add(answer, "hooked", json_object_new_boolean(status == 0));
	json_object_object_add(answer, "text", json_object_new_string(text));
	return launch_say(answer, err);
}

int launch_hook(json_object *order, json_object *args, struct err *err)
{
	json_object *state = launch_member(order, "state", json_type_object);
	auto_fd int out = memfd_create("said", MFD_CLOEXEC);
	int status = 0;
	pid_t pid;
	int rc;

	if (out < 0)
		return err_set(err, errno, "run a hook");
	if (state) /* as it is seen in here */
		json_object_object_add(state, "pid", json_object_new_int64(getpid()));
	pid = fork();
	if (pid < 0)
		return err_set(err, errno, "run a hook");
	if (pid == 0)
		become_hook(order, args, out);
	rc = wait_for(pid, &status, err);
	return rc < 0 ? rc : tell_end(status, out, err);
}
