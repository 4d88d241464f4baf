/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/node_rig.h"

#include "supervisor/node/node_linux.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void must(int rc, const struct err *err, const char *what)
{
	if (rc < 0)
		fail_msg("%s: %s", what, err->text);
}

int node_rig_up(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct node_rig *rig = calloc(1, sizeof(*rig));
	struct err err = ERR_INIT;

	if (!rig)
		return -1;
	snprintf(rig->dir, sizeof(rig->dir), "%s/node-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(rig->dir) || node_linux_new(&rig->n, &err) < 0) {
		free(rig);
		return -1;
	}
	*state = rig;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int node_rig_down(void **state)
{
	struct node_rig *rig = *state;

	node_linux_free(rig->n);
	(void)nftw(rig->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	free(rig);
	return 0;
}

bool node_rig_private_mounts(void)
{
	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

const char *node_rig_path(const struct node_rig *rig, const char *name)
{
	static char paths[8][PATH_MAX];
	static unsigned int next;
	char *path = paths[next++ % 8];

	snprintf(path, PATH_MAX, "%s/%s", rig->dir, name);
	return path;
}

int node_rig_end(struct node_rig *rig, const struct ident *who)
{
	struct err err = ERR_INIT;
	struct pollfd p = { .events = POLLIN };
	int status = -1;

	p.fd = rig->n->watch(rig->n, who, &err);
	must(p.fd, &err, "watch");
	assert_int_equal(poll(&p, 1, 60000), 1); /* else it hangs */
	assert_int_equal(rig->n->reap(rig->n, who, &status, &err), 1);
	return status;
}

int node_rig_run(struct node_rig *rig, const struct spawn *what, char **output)
{
	struct err err = ERR_INIT;
	struct ident who;
	char *text = NULL;
	int status;

	must(rig->n->spawn(rig->n, what, &who, &err), &err, "spawn");
	must(rig->n->spawn_go(rig->n, &who, &err), &err, "spawn_go");
	status = node_rig_end(rig, &who);
	must(rig->n->spawn_output(rig->n, &who, &text, &err), &err, "spawn_output");
	if (output)
		*output = text;
	else
		free(text);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

int node_rig_job(struct node_rig *rig, enum job job, char **output, const char *fmt, ...)
{
	struct spawn what = { .job = job, .in = SPAWN_NULL, .out = SPAWN_CAPTURE,
			      .err = SPAWN_CAPTURE };
	char *args = NULL;
	va_list ap;
	int code;

	va_start(ap, fmt);
	assert_true(vasprintf(&args, fmt, ap) >= 0);
	va_end(ap);
	what.args = args;
	code = node_rig_run(rig, &what, output);
	free(args);
	return code;
}

struct ident node_rig_ident(struct node_rig *rig, pid_t pid)
{
	struct err err = ERR_INIT;
	struct proc_info info;
	int rc = rig->n->look(rig->n, pid, &info, &err);

	must(rc, &err, "look");
	assert_int_equal(rc, 1);
	return info.ident;
}

int node_rig_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}
