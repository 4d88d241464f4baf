/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_TEST_SIM_H
#define URUNC_TEST_SIM_H

/*
 * sim.h - a machine in memory, with a clock that moves when everybody waits.
 *
 * The world is in shared memory and holds no pointers: a process of the test that
 * plays a shim, or a recovery, may die anywhere, as a real one does, and the next one
 * finds the world as it was left. The journal is a real one, in a temporary folder.
 *
 * Children of the played process run a program of a few actions, one each simulated
 * millisecond: a runtime's create makes the state folder, the cgroup, the init, the
 * state file, the pid file. Killed between two, it leaves half.
 *
 * Every call of the seam is counted. sim->die_at: the call at which the player dies,
 * before it (odd) or after it (even): see sim_points(). sim->fail_at: the call that
 * fails.
 */

#include "supervisor/node/node.h"

#define SIM_PROCS  40
#define SIM_FILES  96
#define SIM_MOUNTS 16
#define SIM_LINKS  16
#define SIM_TEXT   4096
#define SIM_TOLD   64
#define SIM_PIDS   5000000 /* no process of the test has a number from here on */
#define SIM_PATH   192

enum sim_program { SIM_NONE, SIM_STAY, SIM_RUNTIME, SIM_MOUNT, SIM_UNMOUNT, SIM_REMOVE, SIM_ASK,
		   SIM_SYNC, SIM_LOOK, SIM_NET, SIM_LAUNCH, SIM_HOOK };

struct sim_proc {
	struct ident ident; /* pid 0: the slot is free */
	pid_t ppid, sid;
	char comm[32];
	char cwd[SIM_PATH], root[SIM_PATH], cgroup[SIM_PATH];
	bool zombie, held, die_with_us, immortal;
	bool hangs;     /* a hook that does its work, and does not end */
	pid_t hearer;   /* of one that talks: who has the other end; 0: nobody */
	bool told, closed;
	char said[96];  /* and not yet heard */
	pid_t played_by; /* the process of the test that plays it; 0: a program does */
	int status;
	enum sim_program program;
	enum job job;
	uint64_t netns; /* of its own; 0: the host's, which is not simulated */
	int at;          /* the program's next action */
	int64_t next_ms; /* when                       */
	char args[SIM_TEXT];
	char out[512];
};

struct sim_file {
	char path[SIM_PATH]; /* "": the slot is free */
	struct path_ident what;
	char data[1024];
	pid_t owner; /* a socket's server, a lock's holder */
};

struct sim_mount {
	int64_t id; /* 0: the slot is free */
	char target[SIM_PATH], type[32], source[SIM_PATH];
	uint32_t minor;
};

/* An interface of some network namespace, or a redirect, whose alias is its cookie. */
struct sim_link {
	uint64_t netns; /* 0: the slot is free */
	int index;
	char name[16], alias[SIM_PATH];
};

/* An event as containerd got it. */
struct sim_event {
	char topic[24];
	int life; /* of which create */
};

struct sim {
	/* the test's knobs */
	int die_at, fail_at, fail_code;
	bool unikernel; /* the rootfs says that it is one */
	bool containerd_down, containerd_knows;
	char known[32];        /* ids of one letter that it knows, too                   */
	char runtime_fails[16]; /* the runtime's verb that exits 1 before its last action */
	int runtime_at; /* which of its actions; 0: the last. Of a launch, a hook: too  */
	int peers;
	int hang_at;           /* the spawn whose child does nothing until it is killed */
	bool containerd_silent; /* takes questions, and never answers                    */
	int learns_at;         /* containerd knows the task from this question on       */
	bool disk_full;        /* SQLite can't write below the journal's root           */
	int write_fails;       /* the write of SQLite that fails (EIO)                   */
	bool disk_counts;      /* what SQLite writes counts as calls, too               */
	int starve_at;         /* who asks for memory so many times does not get it      */
	int calls_max;         /* a player that makes more never ends; 0: no limit      */
	/* what came of it */
	int slice;             /* after so many calls somebody else plays, 0: never */
	char removed[128];     /* files, in the order of their removal */
	int calls, spawns, asked, meals, writes;
	struct sim_event told[SIM_TOLD]; /* what containerd accepted */
	int ntold;
	int exit_how, exit_status; /* of the last report of a recovery */
	/* the machine */
	int64_t now_ms;
	char epoch[80];
	uint64_t next_ino;
	pid_t next_pid, me;
	pid_t real_pid; /* the next process has that number; 0: any */
	int64_t next_mount;
	struct sim_proc procs[SIM_PROCS];
	struct sim_file files[SIM_FILES];
	struct sim_mount mounts[SIM_MOUNTS];
	struct sim_link links[SIM_LINKS];
	int next_link;
};

/* A world with init, containerd, a cgroup mount and the folders of a node; shared with
 * the processes forked after it. */
struct sim *sim_new(void);
void sim_free(struct sim *sim);

/* The seam of the player; one for each process of the test. */
struct sim_node {
	struct node node; /* first */
	struct sim *sim;
	int conductor; /* who says when it is its turn to play; 0: it always is */
};
void sim_node_init(struct sim_node *n, struct sim *sim);

/* What SQLite does in this process meets the machine's disk; below @root, which is lent,
 * that may be full. */
void sim_disk_init(struct sim *sim, const char *root);

/* A new process is played by this one from now on; returns its pid. */
pid_t sim_play(struct sim *sim, const char *comm);
/* An existing one does. */
void sim_play_as(struct sim *sim, pid_t pid);
/* The player is dead: its locks and its gates are let go. */
void sim_dead(struct sim *sim);
/* Time passes, children go on. */
void sim_pass(struct sim *sim, int64_t ms);
/* Everything of this boot is gone, but files outside of /run and /sys. */
void sim_reboot(struct sim *sim);

struct sim_proc *sim_proc_new(struct sim *sim, const char *comm, pid_t ppid);
struct sim_proc *sim_find(struct sim *sim, pid_t pid);
void sim_kill(struct sim *sim, struct sim_proc *p, int status);
struct sim_file *sim_file(struct sim *sim, const char *path);
struct sim_file *sim_make(struct sim *sim, const char *path, uint32_t mode);
struct sim_mount *sim_mount_new(struct sim *sim, const char *type, const char *source,
				const char *target);
/* containerd takes an event; a call like any other. -EAGAIN: it is down, or silent. */
int sim_tell(struct node *n, const char *topic, int life);
/* The next action of a child's program. */
void sim_act(struct sim *sim, struct sim_proc *p);
struct json_object;
void sim_act_net(struct sim *sim, struct sim_proc *p, struct json_object *args);
void sim_act_launch(struct sim *sim, struct sim_proc *p, struct json_object *args);
void sim_act_hook(struct sim *sim, struct sim_proc *p, struct json_object *args);
/* What an action reads of its arguments; "" and 0. */
const char *sim_text_of(struct json_object *o, const char *name);
int64_t sim_int_of(struct json_object *o, const char *name);
/* It ends with this code, and these words. */
void sim_done(struct sim *sim, struct sim_proc *p, int code, const char *words);

/* A number that changes with what the machine holds, and not with the time. */
uint64_t sim_digest(const struct sim *sim);

/* What @now has and @before has not, one thing a line; "" is the promise kept. Bundles
 * are containerd's to remove, and a lock that nobody has is only a name. Returns @buf. */
char *sim_left(const struct sim *now, const struct sim *before, char *buf, size_t size);

#endif
