/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/base/crash.h"

#ifdef URUNC_CRASH_POINTS

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The only statics of the project: a build that exists to die may count. */
static char role_now[32] = "none";
static long reached;

static void tally(const char *path, const char *name)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s %s\n", role_now, name);
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return;
	(void)!write(fd, line, (size_t)n);
	close(fd);
}

void crash_role(const char *role)
{
	snprintf(role_now, sizeof(role_now), "%s", role);
	reached = 0;
}

void crash_point(const char *name)
{
	const char *at = getenv("URUNC_CRASH_AT");
	const char *role = getenv("URUNC_CRASH_ROLE");
	const char *file = getenv("URUNC_CRASH_TALLY");

	if (role && strcmp(role, role_now) != 0)
		return;
	if (file)
		tally(file, name);
	if (at && ++reached == strtol(at, NULL, 10))
		raise(SIGKILL);
}

#endif
