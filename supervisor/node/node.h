/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_NODE_NODE_H
#define URUNC_NODE_NODE_H

/*
 * node.h - everything the supervisor may ask of, or do to, the machine.
 *
 * This is the seam. Above it (life, step, engine) no code calls the system; below it
 * is Linux (node_linux.h), or a simulated machine (test/sim). One call makes at most
 * one effect, so that no crash point hides inside.
 *
 * Nothing here blocks for longer than one quick system call. What may block (runtime
 * CLIs, mount, unmount, removing a tree, fsync, asking containerd) is a child: see
 * spawn(). A child is born held at a gate, a pipe: it acts only after spawn_go(), and
 * if we die before that it reads end of file and exits. So its pid can be journalled
 * before it does anything.
 *
 * A node is an object; there are no statics. It keeps one table: its children, with
 * their pidfd, gate and captured output, by pid. Ownership: strings and arrays
 * returned through char ** or struct ** are the caller's to free(). Paths are
 * absolute. Times: _ms is CLOCK_BOOTTIME milliseconds, _ns is wall clock nanoseconds.
 *
 * Errors: negative errno with *err filled; the named ones are for the caller to
 * handle. "1 / 0" means yes / no.
 */

#include "journal/base/err.h"
#include "journal/journal.h" /* struct ident */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct node;
struct pollfd;

/* What stands under a path, without following a final symlink. */
struct path_ident {
	uint64_t dev, ino;
	uint32_t mode; /* with the file type */
	int64_t size;
};

/* One line of mountinfo. */
struct mount_info {
	int64_t id, parent;
	uint32_t major, minor;
	char *root, *target, *type, *source;
	char *options, *super; /* the mount's and the superblock's, with commas */
	bool shared;
};
struct mount_list {
	struct mount_info *at;
	size_t n;
};
void mount_list_clear(struct mount_list *list);

/* One process, as a scan sees it. dev/ino are 0 where /proc would not say. */
struct proc_info {
	struct ident ident;
	pid_t ppid, sid;
	char state;    /* R S D Z T ... */
	bool exiting;  /* it ends, and has perhaps closed its descriptors already */
	char comm[32];
	uint64_t cwd_dev, cwd_ino;
	uint64_t root_dev, root_ino;
	uint64_t mntns, netns, pidns;
};

/* What a child does. EXEC runs argv; the others run a function of ours, in a child. */
enum job {
	JOB_NONE_,
	JOB_EXEC,        /* argv, envp, cwd                                        */
	JOB_CALL,        /* call(arg): for the server that `start` forks            */
	JOB_MOUNT,       /* args: {"type","source","target","options":[],"root"}:
	                    mounts at root joined with target, below root only (no
	                    symlink followed out of it), option words as mount(8)'s */
	JOB_UNMOUNT,     /* args: {"target","id"}: only if the top mount there has that
	                    mount id; exit EBUSY: try again; ENOENT, EINVAL, ESTALE:
	                    it is not there any more                                */
	JOB_REMOVE_TREE, /* args: {"path","dev","ino"}: never across a mount, never
	                    following a symlink; exit EXDEV: something is mounted;
	                    ESTALE: another identity; nothing there: 0                */
	JOB_SYNC,        /* args: {"path"}: fsync the file and its folder              */
	JOB_LAUNCH,      /* args: see supervisor/launch/launch.h; needs .talks. It becomes a
	                    monitor, or holds a sandbox, when it is told to         */
	JOB_ASK,         /* args: {"address","ns","id"}: does containerd know this task, or,
	                    with "sandbox": true, this sandbox?
	                    output: {"known":bool,"pid":N}; exit ECONNREFUSED, ETIMEDOUT  */
	JOB_RELEASE,     /* args: {"socket","ns","id"}: the shim that listens there shall end
			    this task and let go of it; exit ENOENT, ECONNREFUSED, ETIMEDOUT  */
	JOB_LOOK,        /* what a rootfs says of itself, see facts_look(), for its file
	                    system may hang                                          */
	JOB_HOOK,        /* args: {"hook": as in the spec, "state": its standard input}; its
	                    exit code is the hook's                                  */
	JOB_NET_LOOK,    /* in another network namespace, arguments and answers in       */
	JOB_NET_ATTACH,  /* supervisor/net/net.h: what is there; make a tap and the      */
	JOB_NET_DETACH,  /* redirects; take away what has the recorded identity;         */
	JOB_NET_LIST,    /* what others left in many of them                             */
	JOB_N
};

#define SPAWN_NULL    (-1) /* /dev/null                                            */
#define SPAWN_CAPTURE (-2) /* kept, the first 64 KiB; spawn_output() after the end. For
	                      children with a deadline; never for what a container
	                      inherits: nothing stops it from writing on           */
#define SPAWN_PASS_MAX 8
#define TALK_MAX 65536 /* bytes of a message with a child that talks */
#define SPAWN_TALK_FD  3 /* of a child that talks: its end */
#define SPAWN_CONTROL_FD 4 /* of one with .controls: that of its control */

struct spawn {
	enum job job;
	const char *const *argv; /* EXEC; argv[0] is the path                    */
	const char *const *envp; /* EXEC; NULL: ours without NOTIFY_SOCKET       */
	const char *cwd;         /* NULL: /                                      */
	const char *args;        /* JSON, for our own jobs                       */
	int (*call)(void *arg);  /* CALL; its value is the exit code             */
	void *call_arg;
	int in, out, err;        /* descriptors (lent), SPAWN_NULL, SPAWN_CAPTURE */
	const int *keep;         /* descriptors (lent, >= 3; -1: none) that stay open in
	                            the child, at their numbers; all others are closed */
	size_t nkeep;
	const int *pass;         /* descriptors (lent) that the child has as 3, 4, 5 ...;
	                            not together with keep                          */
	size_t npass;            /* at most SPAWN_PASS_MAX                          */
	bool die_with_us;        /* PR_SET_PDEATHSIG SIGKILL, parent checked      */
	bool talks;              /* its gate stays open, for tell() and hear(); not together
	                            with keep or pass                              */
	bool controls;           /* who talks has a stream to us besides, which stays open
	                            over its exec: for control_tell()               */
	const char *pidns;       /* the pid namespace it is born in: NULL ours, "" a new
	                            one, or a path; not together with die_with_us   */
};

/*
 * A job of ours ends with exit code 0 or an errno value (1..254), and the sentence
 * in its captured output. An EXEC that can't be executed exits 127 with "not found"
 * (126: other reasons) and the sentence in the output, if captured.
 */

/* A cgroup folder. */
struct cgroup_info {
	struct path_ident path;
	bool populated; /* some process in it or below                        */
	int procs;      /* in it, not below                                   */
};

struct node {
	/* -- this machine and this instant -- */
	int64_t (*now_ms)(struct node *n);
	int64_t (*wall_ns)(struct node *n);
	uint64_t (*random)(struct node *n);
	/* "<boot id> <pid namespace inode> <mount namespace inode>"; lent, constant. Pids
	 * of a row mean something only if the first two words are ours, mounts only
	 * if the first and third are. */
	const char *(*epoch)(struct node *n);

	/* -- processes -- */
	int (*self)(struct node *n, struct ident *ret, struct err *err);
	/* 1 it lives (a zombie does not), 0 gone or another process, < 0 */
	int (*alive)(struct node *n, const struct ident *who, struct err *err);
	/* 1 and *ret, or 0: no such process */
	int (*look)(struct node *n, pid_t pid, struct proc_info *ret, struct err *err);
	/* Every process, with everything filled. *ret is the caller's to free(). */
	int (*scan)(struct node *n, struct proc_info **ret, size_t *count, struct err *err);
	/* The text of /proc/PID/cgroup, see cgroup_paths.h. -ESRCH. */
	int (*cgroups_of)(struct node *n, const struct ident *who, char **ret, struct err *err);
	/* By pidfd, after the identity was checked. -ESRCH: gone, or not that one. */
	int (*signal)(struct node *n, const struct ident *who, int sig, struct err *err);

	/* -- children -- */
	int (*spawn)(struct node *n, const struct spawn *what, struct ident *ret, struct err *err);
	int (*spawn_go)(struct node *n, const struct ident *child, struct err *err);
	/* A descriptor that becomes readable when the process ends; the node's, valid
	 * until reap() or forget(). Works for any process, child or not. -ESRCH. */
	int (*watch)(struct node *n, const struct ident *who, struct err *err);
	/* 1 ended (*status as of wait(2); -1 where only its parent could know), 0 runs */
	int (*reap)(struct node *n, const struct ident *who, int *status, struct err *err);
	/* What an ended child wrote (NUL-terminated); "" if nothing or unknown. Also
	 * drops it from the table. */
	int (*spawn_output)(struct node *n, const struct ident *child, char **ret, struct err *err);
	/* With a child that talks. A message is text of at most TALK_MAX bytes, and arrives
	 * whole. tell(): -EPIPE it listens no more, -EMSGSIZE. hear(): 1 and *ret, the
	 * caller's to free; 0 nothing was said yet; -EPIPE it has closed its end, or ended, and said no
	 * more. talk_fd(): readable when hear() would not say 0; lent, until -EPIPE; -ESRCH. */
	int (*tell)(struct node *n, const struct ident *child, const char *text, struct err *err);
	int (*hear)(struct node *n, const struct ident *child, char **ret, struct err *err);
	int (*talk_fd)(struct node *n, const struct ident *child, struct err *err);
	/* With what a child that was spawned with .controls has become: a stream of lines,
	 * each of less than 16 KiB. control_tell(): @text has its line ends; -EPIPE it has
	 * closed its end, -EAGAIN it does not read. control_hear(): 1 and *ret, one line
	 * without its end, the caller's to free; 0 there is none yet; -EPIPE no more come,
	 * -EMSGSIZE a longer one. control_fd(): readable when more has come; lent; -EPIPE. */
	int (*control_tell)(struct node *n, const struct ident *child, const char *text,
			    struct err *err);
	int (*control_hear)(struct node *n, const struct ident *child, char **ret,
			    struct err *err);
	int (*control_fd)(struct node *n, const struct ident *child, struct err *err);
	/* Close the watch without reaping. */
	void (*forget)(struct node *n, const struct ident *who);

	/* Behind node_poll(): NULL is poll(2). A simulated node moves its clock instead. */
	int (*poll)(struct node *n, struct pollfd *fds, unsigned count, int ms);

	/* -- files; identity before removal, no symlink followed at the end -- */
	int (*path)(struct node *n, const char *path, struct path_ident *ret, struct err *err); /* 1/0 */
	/* -EFBIG over max; -ENOENT */
	int (*read_file)(struct node *n, const char *path, size_t max, char **ret, size_t *len,
			 struct err *err);
	/* Replace atomically; no fsync. A death in it leaves the file_draft() of path. */
	int (*write_file)(struct node *n, const char *path, const char *data, size_t len,
			  uint32_t mode, struct err *err);
	int (*make_dir)(struct node *n, const char *path, uint32_t mode, struct err *err); /* 1 made, 0 was there */
	/* 1 removed, 0 was not there; -ESTALE another identity; -ENOTEMPTY, -EBUSY.
	 * For cgroups too. */
	int (*remove_dir)(struct node *n, const char *path, const struct path_ident *who,
			  struct err *err);
	int (*remove_file)(struct node *n, const char *path, const struct path_ident *who,
			   struct err *err);
	/* Names, without . and .., sorted, as a NULL-terminated array in one allocation. */
	int (*list_dir)(struct node *n, const char *path, char ***ret, struct err *err);

	/* -- locks: fcntl, held by this process until its death or unlock(); @path and its
	 * folder are made. 1 held, also if it was held by us already; 0 another process
	 * holds it. unlock() removes the file as well. -- */
	int (*lock)(struct node *n, const char *path, struct err *err);
	int (*unlock)(struct node *n, const char *path, struct err *err);

	/* -- mounts -- */
	int (*mounts)(struct node *n, struct mount_list *ret, struct err *err);

	/* -- cgroups; @path is the folder in its hierarchy's mount -- */
	int (*cgroup)(struct node *n, const char *path, struct cgroup_info *ret, struct err *err); /* 1/0 */
	/* Pids in it (not below); *ret is the caller's to free(). */
	int (*cgroup_pids)(struct node *n, const char *path, struct ident **ret, size_t *count,
			   struct err *err);
	/* Write one control file ("cgroup.kill", "freezer.state"); -ENOENT: no such file. */
	int (*cgroup_write)(struct node *n, const char *path, const char *file, const char *text,
			    struct err *err);

	/* -- sockets -- */
	/* Bind and listen (0600 in a 0700 folder made if missing). *ret: a descriptor, the
	 * caller's. -EADDRINUSE: something is under that name. */
	int (*listen)(struct node *n, const char *path, int *ret, struct err *err);
	/* 1: somebody answers a connect within 100 ms; 0: a dead name or none; -EAGAIN:
	 * somebody listens and does not accept, which is no reason to remove the name. */
	int (*answers)(struct node *n, const char *path, struct err *err);
	/* How many connections this listening socket has, by sock_diag or /proc/net/unix. */
	int (*peers)(struct node *n, const char *path, struct err *err);
};

/* poll(2), for drivers, between two wakes; the one call here that waits. -1 and errno. */
int node_poll(struct node *n, struct pollfd *fds, unsigned count, int ms);

/* Two epochs speak of the same pids / of the same mounts. Pure. */
bool epoch_same_pids(const char *a, const char *b);
bool epoch_same_mounts(const char *a, const char *b);
bool epoch_same_boot(const char *a, const char *b);

#endif
