/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux_hook.c - become a hook of the spec.
 */
#include "supervisor/node/linux.h"
#include "supervisor/node/node_linux.h"

#include "journal/base/cleanup.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define WORDS_MAX 256

/* Lent by the list, ended by NULL. */
static int words(json_object *hook, const char *name, const char **ret, size_t n, struct err *err)
{
	json_object *list = NULL;
	size_t count;

	if (json_object_object_get_ex(hook, name, &list) &&
	    !json_object_is_type(list, json_type_array))
		return err_say(err, EINVAL, "\"%s\" of a hook is no list", name);
	count = list ? json_object_array_length(list) : 0;
	if (count > WORDS_MAX)
		return err_say(err, E2BIG, "\"%s\" of a hook has %zu words, and the limit is %d", name,
			       count, WORDS_MAX);
	for (size_t i = 0; i < count; i++, n++) {
		ret[n] = json_object_get_string(json_object_array_get_idx(list, i));
		if (!ret[n])
			ret[n] = "";
	}
	ret[n] = NULL;
	return (int)n;
}

static int give_state(json_object *args, struct err *err)
{
	json_object *state = NULL;
	const char *text;
	auto_fd int fd = memfd_create("state", MFD_CLOEXEC);

	text = json_object_object_get_ex(args, "state", &state)
		       ? json_object_to_json_string_ext(state, JSON_C_TO_STRING_PLAIN)
		       : "";
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
	    lseek(fd, 0, SEEK_SET) < 0 || dup2(fd, STDIN_FILENO) < 0)
		return err_set(err, errno ? errno : EIO, "hand the state to a hook");
	return 0;
}

int linux_job_hook(json_object *args, struct err *err)
{
	const char *argv[WORDS_MAX + 2];
	const char *envp[WORDS_MAX + 1];
	json_object *hook = NULL;
	json_object *timeout = NULL;
	const char *path;
	int n;

	if (!json_object_object_get_ex(args, "hook", &hook))
		return err_say(err, EINVAL, "job: \"hook\" is missing");
	path = linux_job_text(hook, "path", err);
	if (!path || path[0] != '/')
		return err_say(err, EINVAL, "the path of a hook is not absolute");
	n = words(hook, "args", argv, 0, err);
	if (n == 0) {
		argv[0] = path;
		argv[1] = NULL;
	}
	if (n < 0 || words(hook, "env", envp, 0, err) < 0 || give_state(args, err) < 0)
		return -err->code;
	/* It goes on to count over the exec. */
	if (json_object_object_get_ex(hook, "timeout", &timeout) && json_object_get_int(timeout) > 0)
		(void)alarm((unsigned int)json_object_get_int(timeout));
	(void)execve(path, (char **)argv, (char **)envp);
	return err_set(err, errno, "exec");
}
