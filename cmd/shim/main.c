/* SPDX-License-Identifier: Apache-2.0 */
/*
 * containerd-shim-urunc-v2 - a containerd runtime shim that can't forget.
 *
 * containerd runs it: `start` leaves a server behind, `delete` cleans up after one.
 * See containerd-shim-urunc-v2(8).
 */
#include "cmd/shim/shim.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/node/node_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int shim_begin(struct shim *shim, struct err *err)
{
	int rc = config_load(&shim->config, NULL, err);

	if (rc < 0)
		return rc;
	rc = journal_place_make(&shim->place, shim->config.journal, shim->config.run, err);
	if (rc == 0)
		rc = node_linux_new(&shim->node, err);
	if (rc < 0)
		return rc;
	shim->engine = (struct engine){ .node = shim->node, .config = &shim->config };
	return 0;
}

void shim_clear(struct shim *shim)
{
	node_linux_free(shim->node);
	config_clear(&shim->config);
}

int shim_read_stdin(char **ret, size_t *len, size_t max, struct err *err)
{
	size_t room = 4096;
	auto_free char *data = malloc(room);

	*len = 0;
	while (data && !isatty(STDIN_FILENO)) {
		ssize_t n = read(STDIN_FILENO, data + *len, room - *len - 1);
		char *more;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, errno, "can't read standard input");
		if (n == 0)
			break;
		*len += (size_t)n;
		if (*len + 1 < room)
			continue;
		if (room > max)
			return err_say(err, E2BIG, "standard input is longer than %zu bytes", max);
		room *= 2;
		more = realloc(data, room);
		if (!more)
			return err_set(err, ENOMEM, "can't read standard input");
		data = more;
	}
	if (!data)
		return err_set(err, ENOMEM, "can't read standard input");
	data[*len] = '\0';
	*ret = TAKE_PTR(data);
	return 0;
}

int shim_write_stdout(const void *data, size_t len, struct err *err)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(STDOUT_FILENO, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, errno, "can't write the answer");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* 0, 1 and 2 must be open, or the next open would become one of them. */
static int open_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR); /* NOLINT: inherited on purpose */
	} while (fd >= 0 && fd <= STDERR_FILENO);
	return fd < 0 ? -1 : close(fd);
}

static int act(struct shim *shim, struct err *err)
{
	int rc = shim_begin(shim, err);

	if (rc < 0)
		return rc;
	if (shim->flags.info) {
		crash_role("info");
		return shim_info(shim, err);
	}
	rc = task_key_make(&shim->key, shim->flags.address, shim->flags.ns, shim->flags.id, err);
	if (rc < 0)
		return rc;
	shim->engine.address = shim->flags.address;
	shim->engine.bundle = shim->flags.bundle;
	if (strcmp(shim->flags.action, "start") == 0) {
		crash_role("start");
		return shim_start(shim, err);
	}
	if (strcmp(shim->flags.action, "delete") == 0) {
		crash_role("delete");
		return shim_delete(shim, err);
	}
	crash_role("serve");
	return shim_serve_again(shim, err);
}

int main(int argc, char **argv)
{
	struct shim shim = { .node = NULL };
	struct err err = ERR_INIT;
	int rc;

	if (open_standard() < 0) {
		fprintf(stderr, "%s: can't open /dev/null: %s", SHIM_NAME, strerror(errno));
		return 1;
	}
	if (flags_parse(&shim.flags, argc, (const char *const *)argv, &err) < 0) {
		fprintf(stderr, "%s: %s\n%s", SHIM_NAME, err.text, flags_usage);
		return 2;
	}
	if (shim.flags.version) {
		printf("containerd-shim-urunc-v2:\n  Version: %s\n", URUNC_VERSION);
		return 0;
	}
	rc = act(&shim, &err);
	if (rc < 0)
		fprintf(stderr, "%s: %s", SHIM_NAME, err.text);
	shim_clear(&shim);
	return rc < 0 ? 1 : rc;
}
