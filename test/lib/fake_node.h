/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_FAKE_NODE_H
#define URUNC_TEST_FAKE_NODE_H

/*
 * fake_node.h - a machine of tables, for tests of one step.
 *
 * The test fills the tables and hands &fake->node to the step. Every effect changes
 * the tables and adds one line to .log, so that a test can say exactly what was done,
 * and that nothing else was. Children never run: the test decides how they end.
 */

#include "supervisor/node/node.h"

#define FAKE_MAX  64
#define FAKE_EPOCH "boot-1 11 22"

struct fake_file {
	char path[256];
	char *data; /* NULL: a folder, or a socket */
	struct path_ident what;
	bool answers; /* a socket with somebody behind it */
};

struct fake_proc {
	struct proc_info info;
	bool gone;
	int immortal;     /* SIGKILLs that it survives */
	const char *cgroups;
	int status;       /* for reap(): wait(2) status, -1 unknown */
};

struct fake_cgroup {
	char path[256];
	struct path_ident what;
	struct ident procs[8];
	int n_procs;
	int busy; /* removals that fail with EBUSY */
};

struct fake_node {
	struct node node; /* first */
	int64_t now_ms;
	uint64_t next_ino;
	pid_t next_pid;
	struct ident self;
	const char *epoch;
	struct fake_file files[FAKE_MAX];
	size_t n_files;
	struct fake_proc procs[FAKE_MAX];
	size_t n_procs;
	struct mount_info mounts[FAKE_MAX];
	size_t n_mounts;
	struct fake_cgroup cgroups[FAKE_MAX];
	size_t n_cgroups;
	const char *locked_by_others; /* a part of lock paths; NULL: none */
	bool no_kill_file;            /* a kernel without cgroup.kill      */

	/* The last spawn, and what the test says its output is. */
	enum job job;
	char line[4096]; /* argv joined by blanks, or the job's args */
	char cwd[256];
	bool gate_open;
	bool controls;
	const char *said; /* by init, see rig_talks(); NULL: nothing; "": its end is closed */
	int talk;         /* the descriptor to wait on for it, or < 0                       */
	struct ident child;
	const char *output;
	int (*call)(void *arg);

	const char *fail; /* the operation of this name fails ...  */
	int fail_code;    /* ... with this errno value             */
	char log[8192];   /* "kill 7 9\nremove_file /x\n"          */
};

void fake_node_init(struct fake_node *f);
void fake_node_clear(struct fake_node *f);

struct fake_file *fake_add_file(struct fake_node *f, const char *path, const char *data);
struct fake_file *fake_add_program(struct fake_node *f, const char *path);
struct fake_file *fake_add_dir(struct fake_node *f, const char *path);
struct fake_file *fake_add_socket(struct fake_node *f, const char *path, bool answers);
struct fake_file *fake_find(struct fake_node *f, const char *path);
void fake_remove(struct fake_node *f, const char *path);
struct fake_proc *fake_add_proc(struct fake_node *f, pid_t pid, uint64_t start,
				const char *cgroups);
void fake_add_mount(struct fake_node *f, int64_t id, int64_t parent, const char *target,
		    const char *type, const char *source);
void fake_remove_mount(struct fake_node *f, int64_t id);
struct fake_cgroup *fake_add_cgroup(struct fake_node *f, const char *path);
struct fake_cgroup *fake_find_cgroup(struct fake_node *f, const char *path);

#endif
