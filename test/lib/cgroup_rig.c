/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/cgroup_rig.h"

#include "journal/base/cleanup.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#define TOP      "/sys/fs/cgroup"
#define V2_MAGIC 0x63677270

static const char *const v1_tops[] = { TOP "/memory", TOP "/cpu", TOP "/cpuacct", TOP "/pids",
				       TOP "/blkio" };
static const char *const v2_tops[] = { TOP };

static const char *const *tops(bool unified, size_t *n)
{
	*n = unified ? ARRAY_SIZE(v2_tops) : ARRAY_SIZE(v1_tops);
	return unified ? v2_tops : v1_tops;
}

static void ours(const struct cgroup_rig *r, const char *top, char path[128])
{
	snprintf(path, 128, "%s/urunc-test-%d", top, (int)r->maker);
}

int cgroup_rig_put(const char *folder, const char *file, const char *text)
{
	char path[256];
	auto_fd int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, text, strlen(text)) > 0 ? 0 : -1;
}

uint64_t cgroup_rig_get(const char *folder, const char *file)
{
	char path[256];
	auto_file FILE *f = NULL;
	unsigned long long n = 0;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%llu", &n) != 1)
		fail_msg("%s: no number", path);
	return n;
}

/* ---- processes in our cgroup ------------------------------------------------------- */

void act_nothing(const struct cgroup_rig *r)
{
	(void)r;
}

void act_burn(const struct cgroup_rig *r)
{
	struct timespec ts;

	(void)r;
	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	while (ts.tv_nsec < 100000000);
}

void act_eat(const struct cgroup_rig *r)
{
	(void)r;
	for (int i = 0; i < 256; i++) {
		char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		if (p != MAP_FAILED)
			memset(p, i + 1, 1 << 20);
	}
}

void act_eat_some(const struct cgroup_rig *r)
{
	char *p = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)r;
	if (p != MAP_FAILED)
		memset(p, 1, 4 << 20);
}

/* A child of ours that eats, as in a container whose init lives on. */
void act_feed(const struct cgroup_rig *r)
{
	pid_t pid = fork();

	if (pid == 0) {
		act_eat(r);
		_exit(0);
	}
	(void)waitpid(pid, NULL, 0);
}

void act_eat_below(const struct cgroup_rig *r)
{
	char path[160];
	size_t n;

	ours(r, tops(r->unified, &n)[0], path);
	strcat(path, "/below");
	(void)mkdir(path, 0755);
	if (fork() == 0) {
		(void)cgroup_rig_put(path, "cgroup.procs", "0");
		act_eat(r);
		_exit(0);
	}
	(void)wait(NULL);
}

/* It is in the cgroups, and has done it, unless it was killed. */
pid_t cgroup_rig_child(const struct cgroup_rig *r, cgroup_act *act, bool done)
{
	size_t n;
	const char *const *top = tops(r->unified, &n);
	int pipefd[2];
	char path[128], byte;
	pid_t pid;

	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (size_t i = 0; i < n; i++) {
			ours(r, top[i], path);
			if (access(path, F_OK) == 0 && cgroup_rig_put(path, "cgroup.procs", "0") < 0)
				_exit(1);
		}
		if (!done)
			(void)!write(pipefd[1], "", 1);
		act(r);
		(void)!write(pipefd[1], "", 1);
		for (;;)
			pause();
	}
	close(pipefd[1]);
	(void)!read(pipefd[0], &byte, 1);
	close(pipefd[0]);
	return pid;
}

void cgroup_rig_end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* ---- the rig ---------------------------------------------------------------------------- */

static int make_cgroups(const struct cgroup_rig *r)
{
	size_t n;
	const char *const *top = tops(r->unified, &n);
	char path[128], limit[32];

	if (r->unified)
		(void)cgroup_rig_put(TOP, "cgroup.subtree_control", "+memory +pids +cpu");
	for (size_t i = 0; i < n; i++) {
		ours(r, top[i], path);
		if (access(top[i], F_OK) == 0 && mkdir(path, 0755) < 0 && errno != EEXIST)
			return -1;
	}
	ours(r, top[0], path);
	snprintf(limit, sizeof(limit), "%d", CGROUP_RIG_LIMIT);
	if (cgroup_rig_put(path, r->unified ? "memory.max" : "memory.limit_in_bytes", limit) < 0)
		return -1;
	(void)cgroup_rig_put(path, r->unified ? "memory.swap.max" : "memory.memsw.limit_in_bytes",
		  r->unified ? "0" : limit);
	return 0;
}

/* Whoever a failed test has left in there. */
static void kill_all(const char *folder)
{
	char path[256];
	auto_file FILE *f = NULL;
	int pid;

	snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	f = fopen(path, "re");
	while (f && fscanf(f, "%d", &pid) == 1 && pid > 1) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
}

static void remove_one(const char *path)
{
	kill_all(path);
	for (int t = 0; t < 1000 && rmdir(path) < 0 && errno == EBUSY; t++)
		usleep(1000); /* the kernel is not done with the dead */
}

void cgroup_rig_remove(const struct cgroup_rig *r)
{
	size_t n;
	const char *const *top = tops(r->unified, &n);
	char path[128], below[160];

	for (size_t i = 0; i < n; i++) {
		ours(r, top[i], path);
		snprintf(below, sizeof(below), "%s/below", path);
		remove_one(below);
		remove_one(path);
	}
}

bool cgroup_rig_possible(void)
{
	return geteuid() == 0 && (access(TOP "/memory/memory.oom_control", F_OK) == 0 ||
				  access(TOP "/cgroup.subtree_control", F_OK) == 0);
}

int cgroup_rig_up(void **state)
{
	struct cgroup_rig *r = calloc(1, sizeof(*r));
	struct statfs fs;

	if (!r || statfs(TOP, &fs) < 0 || node_rig_up((void **)&r->node) < 0)
		return -1;
	r->maker = getpid();
	r->unified = fs.f_type == V2_MAGIC;
	*state = r;
	return make_cgroups(r);
}

int cgroup_rig_down(void **state)
{
	struct cgroup_rig *r = *state;

	cgroup_rig_remove(r);
	cgroup_folders_clear(&r->folders);
	node_rig_down((void **)&r->node);
	free(r);
	return 0;
}

/* Where a process is, as the shim finds it. */
void cgroup_rig_find(struct cgroup_rig *r, pid_t pid)
{
	struct ident who = node_rig_ident(r->node, pid);
	auto_free char *text = NULL;
	struct mount_list mounts = { 0 };
	struct err err = ERR_INIT;

	if (r->node->n->cgroups_of(r->node->n, &who, &text, &err) < 0 ||
	    r->node->n->mounts(r->node->n, &mounts, &err) < 0 ||
	    cgroup_folders_find(&r->folders, &mounts, text, &err) < 0)
		fail_msg("%s", err.text);
	mount_list_clear(&mounts);
	r->memory = r->unified ? r->folders.unified : r->folders.of[CGROUP_MEMORY];
	assert_non_null(r->memory);
}
