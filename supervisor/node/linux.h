/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_NODE_LINUX_H
#define URUNC_NODE_LINUX_H

/*
 * linux.h - what the files linux_*.c share. For them alone.
 */

#include "supervisor/node/node.h"
#include "supervisor/node/proc_stat.h"

#include <json-c/json.h>

/* A process that is watched. Ours: forked by spawn(), so waitpid() tells how it ended. */
struct child {
	struct ident who;
	int pidfd;  /* -1 once it is reaped                        */
	int gate;   /* -1 once it is open, or, if it talks, closed by it */
	bool talks;
	int control; /* our end of the stream to what it becomes, -1: none */
	char *heard; /* by that, and no whole line yet; NULL: nothing      */
	size_t n_heard;
	int output; /* memfd, -1: nothing is captured              */
	bool ended;
	int status; /* of wait(2), once ended                      */
};

struct held {
	char *path;
	int fd;
};

struct linux_node {
	struct node node; /* first: a struct node * is one of these */
	char epoch[128];
	struct child *children;
	size_t nchildren;
	struct held *locks;
	size_t nlocks;
	bool keeps_mounts;
	int mounts_fd;     /* mountinfo, -1: not open; the text is of its last change */
	char *mounts_text;
	size_t mounts_len;
};

static inline struct linux_node *linux_of(struct node *n)
{
	return (struct linux_node *)n;
}

/* linux_proc.c: 1 and *ret; 0: no such process (reaped). Reads /proc/PID/stat. */
int linux_stat(pid_t pid, struct proc_stat *ret, struct err *err);

/* linux_spawn.c: the child's entry, NULL: none. */
struct child *linux_child(struct linux_node *n, const struct ident *who);
/* A new entry without descriptors; valid until the next is added. NULL: no memory. */
struct child *linux_child_add(struct linux_node *n, const struct ident *who);
void linux_child_drop(struct linux_node *n, struct child *c);
/* Close every descriptor that the tables hold, and empty them. */
void linux_drop_all(struct linux_node *n);
/* In a child, whose descriptors are closed already: empty the tables, close nothing. */
void linux_forget_parent(struct linux_node *n);

/* linux_born.c: what a child is born with, and its life. */
struct birth {
	const struct spawn *what;
	struct linux_node *node;
	pid_t parent;
	int gate;   /* its end           */
	int control; /* its end, or -1   */
	int output; /* the memfd, or -1  */
};
_Noreturn void linux_child_main(struct birth *b);

/* linux_talk.c: into the pid namespace of @path (NULL: ours, "": a new one) for the
 * children that are forked next; @ret: the way back, -1 for ours. */
int linux_pidns_enter(const char *path, int *ret, struct err *err);
int linux_pidns_leave(int *back, struct err *err);

/* linux_file.c: all of an open file, NUL-terminated; @name is for the error. */
int linux_read(int fd, const char *name, size_t max, char **ret, size_t *len, struct err *err);
/* Open @path without following a last symlink, read all of it. */
int linux_read_path(const char *path, size_t max, char **ret, size_t *len, struct err *err);
/* The folder of @path as O_PATH, and its last component (lent, within @path). */
int linux_open_parent(const char *path, const char **name, struct err *err);

/* Our own jobs, run in a child: 0, or a negative errno with the sentence. */
int linux_job(enum job job, const char *args, struct err *err);
const char *linux_job_name(enum job job); /* NULL: not one of ours */
int linux_job_ask(json_object *args, struct err *err);
int linux_job_look(json_object *args, struct err *err);
int linux_job_mount(json_object *args, struct err *err);
int linux_job_unmount(json_object *args, struct err *err);
/* A member that must be there: NULL and *err, or the text. */
const char *linux_job_text(json_object *args, const char *name, struct err *err);
int linux_job_number(json_object *args, const char *name, uint64_t *ret, struct err *err);

/* The operations, by file. */
void linux_proc_ops(struct node *n);
void linux_spawn_ops(struct node *n);
void linux_talk_ops(struct node *n);
void linux_control_ops(struct node *n);
void linux_file_ops(struct node *n);
void linux_cgroup_ops(struct node *n);
void linux_socket_ops(struct node *n);

#endif
