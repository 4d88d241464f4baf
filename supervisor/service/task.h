/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_SERVICE_TASK_H
#define URUNC_SERVICE_TASK_H

/*
 * task.h - the inside of the service, for the files of this folder alone.
 */

#include "proto/ttrpc/method.h"
#include "supervisor/io/stdio.h"
#include "supervisor/service/driver.h"
#include "supervisor/events/events.h"
#include "supervisor/events/outbox.h"
#include "supervisor/service/service.h"
#include "supervisor/service/streams.h"

#include <signal.h>

#define EXIT_AGAIN_MS 20   /* the journal was busy              */
#define READ_TRIES    3    /* of a row, where memory runs short */
#define DRAIN_MS      5000 /* for the last events, at the end   */
#define STOP_MS       500  /* for peers to read the last answer */
#define REST_MS       300  /* after a plan: then memory is given back */
#define FOLD_BYTES    (4 << 20) /* of the WAL: then it is folded      */

struct event;
struct server;
struct op;
struct usage;
struct metrics;
struct create;
struct waiter;
struct exec;

/* What all tasks of a shim have in common; of its first one's rows. */
struct group_of {
	struct task_key key; /* .id: the first one's */
	char *address, *ttrpc_address, *name, *socket;
};

struct service {
	const struct service_options *o;
	struct engine engine;
	struct event_base *base;
	struct server *server;
	struct task *tasks; /* in the order they came; none only before the end */
	struct group_of group;
	struct event *signals; /* readable: signal_fd */
	int signal_fd;
	sigset_t signals_before;
	struct event *idle, *rest;
	struct event *bury;       /* members have left: see members.c        */
	struct event *synced;     /* the end of .sync; NULL: there is none   */
	struct task *syncing;     /* whose WAL it flushes, so that a fold is short */
	struct ident sync;
	int64_t sync_seq;         /* its row                                 */
	bool ending;   /* no task comes any more, nothing new is begun        */
	bool stays;    /* a signal ended it: the tasks stay, in their rows    */
};

/* One task, as far as memory goes. */
struct task {
	struct service *service;
	struct task *next;
	struct journal *journal; /* the task's; NULL: a rescue of it failed      */
	bool going;      /* its end has begun: nothing new                      */
	bool left;       /* and is over, but for its last events                */
	bool finished;   /* what `start` made was taken back                    */
	bool unused;     /* when last looked at; see service_look_idle()        */
	struct call *shutdown; /* who asked for that; NULL: nobody, or answered */
	struct event *drain; /* for its last events                             */
	struct ident asking; /* who asks whether it is forgotten; pid 0: nobody did yet */
	struct outbox *outbox;
	struct task_row row;      /* as of the last refresh; texts for answers */
	enum life_state life;
	char *name[3];            /* of its stdio                              */
	bool terminal;
	uid_t io_uid;             /* who the ends of its, and its execs', stdio belong to */
	gid_t io_gid;
	bool shared_pids;         /* its processes outlive its init            */
	int64_t created_ns;       /* a sandbox: when, by the wall clock         */
	struct event *stop;       /* its end is to come in time; NULL: no haste */
	int64_t stop_at_ms;       /* when; node->now_ms() time                 */
	bool stop_killed;         /* and by force                               */
	struct usage *usage;      /* of its cgroup; NULL: none, or not known   */
	struct stdio stdio;
	struct streams *streams;  /* which has it; NULL: none, or not ours     */
	struct create *creating;  /* between the request and its answer        */
	struct op *ops;           /* plans under way                           */
	struct waiter *waiters;
	struct event *init_gone;  /* its pidfd; NULL: not watched              */
	struct event *grace;      /* of a monitor that was asked to end; NULL: none was */
	int grace_again_s;        /* until it is tried to be killed again, if it can't be */
	struct event *share_gone; /* virtiofsd's pidfd; NULL: not watched      */
	struct ident share;       /* virtiofsd; pid 0: there is none, or not yet */
	bool share_over;          /* its end was seen                           */
	struct event *exit_again; /* an exit that the journal did not take yet */
	struct told_exit exit;    /* .at_ns 0: it has not                      */
	enum exit_how exit_how;
	bool exit_killed;         /* by a signal                                */
	bool exit_waits;          /* seen; to be written when all else is over  */
	bool exit_journalled;     /* waiters were, and are, answered            */
	struct exec *execs;       /* newest first                               */
	struct call *deleting;    /* a Delete, while plans are under way        */
	bool released;            /* its init was killed for that               */
	bool thawed;              /* and resumed before                         */
	struct call *release;     /* who waits for the task to be released, or its sandbox
	                             to be shut down                           */
	struct err broken;        /* code 0: not; else why nothing is changed  */
};

/* ---- task.c ------------------------------------------------------------------- */

/* A task of the journal's rows, in the service's list; it resumes the run that is under
 * way. On failure the journal stays the caller's. */
int task_new(struct service *s, struct journal *j, struct err *err);
/* Also from the list; its journal stays open, and is the caller's. */
struct task *task_free(struct task *t);
/* NULL: none of this id. */
struct task *task_find(const struct service *s, const char *id);

/* It exists for callers: created, and not deleted. */
bool task_exists(const struct task *t);
/* It holds a pod's namespaces: no container, but as a life a task like any. */
bool task_is_sandbox(const struct task *t);
/* Something of it exists, or is about to. */
bool task_is_busy(const struct task *t);

/* 0, or -EUCLEAN: a rescue has failed, and the task is broken. */
int task_has_journal(const struct task *t, struct err *err);

/* Read the row again. On failure the memory stays. */
int task_refresh(struct task *t, struct err *err);

/* Keep what a request says about answers; the old ones must be freed. */
int task_read_request(struct task *t, json_object *request, struct err *err);

/* An invariant is broken: from here on nothing is changed. */
void task_break(struct task *t, const struct err *why);

/* 0, or the error that a changing call is refused with. */
int task_may_change(const struct task *t, struct err *err);

/* The disk takes no more: go on in a copy on tmpfs, so that what runs can still be
 * ended. 0: t->journal is the copy; it may be NULL on failure. Not while a plan is under
 * way. */
int task_rescue(struct task *t, struct err *err);
/* May it go well in a moment? */
bool task_passes(int rc);
/* Is this what a rescue is for? */
bool task_disk_failed(int rc);

/* Begin, commit, or roll back if @rc says so; @rc or the commit's code. */
int task_commit(struct task *t, int rc, struct err *err);

int64_t task_wall_ns(const struct task *t);

/* ---- op.c: plans under way ------------------------------------------------------ */

/* A plan under way, and who waits for it. */
struct op {
	struct task *task;
	struct op *next;
	struct driver *driver;
	bool beside;        /* see plan_beside()              */
	bool rescue;        /* it goes on in a copy when the disk is full */
	bool shared;        /* as in its run_options          */
	struct call *call;  /* NULL: nobody                   */
	struct exec *exec;  /* whom it is about; NULL: the task */
	int fd;             /* lent to its run; -1: none      */
	void (*end)(struct op *op, const struct run_end *end); /* ends .call */
};

/* Let an event with a plan happen; op->end follows, never before this returns. @call
 * passes over on success only; then t->ops is the new one. */
int op_begin(struct task *t, enum life_event ev, const struct run_options *options,
	     struct call *call, void (*end)(struct op *, const struct run_end *),
	     struct err *err);
/* Go on with the newest open run of the rows. 1, or 0: there is none. */
int op_resume(struct task *t, void (*end)(struct op *, const struct run_end *),
	      struct err *err);
void ops_stop(struct task *t);

/* ---- exit.c: the end of init ------------------------------------------------------ */

/* An exit must not need memory to be written later. -ENOMEM. */
int exit_begin(struct task *t, struct err *err);

/* Watch init, unless its end is to be kept for later. Call it after each change. */
void exit_watch(struct task *t);
void exit_unwatch(struct task *t);

/* What the row says about an exit that a plan has seen; then the waiters are told. */
void exit_from_row(struct task *t);

/* Something ended that init's exit may have waited for. */
void exit_go_on(struct task *t);

/* Exits that there was no memory for: to watch for them, or to write them later. */
void exits_look_again(struct service *s);

/* Reap children that nobody knows, if none can be an init. */
void exit_reap_orphans(struct service *s);

/* ---- share.c: virtiofsd, which shares the rootfs with a guest -------------------------- */

/* Watch it as long as init may live. Call it after each change. */
void share_watch(struct task *t);
void share_unwatch(struct task *t);
/* Init has ended: nobody needs it any more. */
void share_end(struct task *t);
bool share_knows(const struct task *t, pid_t pid);

/* ---- wait.c: who waits for an exit --------------------------------------------------- */

void wait_answer(struct call *call, const struct told_exit *exit);
/* These take the call. */
void wait_add(struct waiter **head, struct call *call);
void wait_tell(struct waiter **head, const struct told_exit *exit);
void wait_fail(struct waiter **head, const struct err *err);
/* Those alone who are to be answered with an @out. */
void wait_fail_of(struct waiter **head, const ProtobufCMessageDescriptor *out,
		  const struct err *err);
void wait_drop(struct waiter **head);

/* ---- exec.c, exec_api.c: more processes in the container ----------------------------- */

enum exec_state { EXEC_NONE_, EXEC_ADDED, EXEC_STARTING, EXEC_RUNNING, EXEC_STOPPED,
		  EXEC_DELETING };

/* One more process, as far as memory goes; what was started is in rows as well. */
struct exec {
	struct task *task;
	struct exec *next;
	char *id;
	char *process;  /* the OCI process, JSON */
	char *name[3];
	bool terminal;
	enum exec_state state;
	struct stdio stdio;
	struct streams *streams; /* which has it       */
	char *console;           /* of its socket; NULL: no terminal */
	struct ident process_id; /* once it has run   */
	struct told_exit exit;   /* .at_ns 0: it has not */
	struct event *gone;      /* its pidfd         */
	struct event *timer;     /* an exit that the journal did not take yet, or one that
				  * there was no room to watch for               */
	bool left;               /* to the container's undo, which ends it      */
	struct call *starting;   /* while its stdio waits for a client, or its terminal */
	struct call *deleting;   /* while its last output is waited for                 */
	struct err why;          /* no terminal came  */
	struct waiter *waiters;
};

struct exec *exec_of(const struct task *t, const char *id); /* NULL: none */
/* A process of theirs is about to run, or runs. */
bool execs_live(const struct task *t);
/* One waits for its stdio's client, or for its plan. */
bool execs_starting(const struct task *t);
/* A zombie of this pid is waited for. */
bool execs_know(const struct task *t, pid_t pid);
struct exec *exec_of_pid(const struct task *t, pid_t pid);
/* In the task's list. -ENOMEM. */
int exec_new(struct exec **ret, struct task *t, struct err *err);
/* Also from the task's list. Who waits for something of it is told that it is not there. */
struct exec *exec_free(struct exec *e);
void execs_free(struct task *t);
/* Write the exits, and look for those, that wait without a timer. */
void execs_go_on(struct task *t);
void exec_watch(struct exec *e);
/* The container goes: nobody watches them any more, its undo ends them. */
void execs_unwatch(struct task *t);
void execs_watch(struct task *t); /* it stays after all */
/* It is gone, and they with it. */
void execs_gone(struct task *t);
/* These take @call. */
void exec_add(struct task *t, struct call *call, const void *in);
void exec_start(struct exec *e, struct call *call);
void exec_delete(struct exec *e, struct call *call);
void exec_kill(struct exec *e, struct call *call, int signal);
void exec_state(struct exec *e, struct call *call);

/* ---- control.c: pause, resume, update, checkpoint ------------------------------------- */

void control_pause(struct task *t, struct call *call);
void control_resume(struct task *t, struct call *call);
void control_update(struct task *t, struct call *call, const void *in);
void control_checkpoint(struct task *t, struct call *call, const void *in);

/* ---- create.c ---------------------------------------------------------------------- */

/* The task that a Create is about. A client may create one without a `start` where it
 * knows that this shim serves its pod. NULL: *err says why. */
struct task *create_task(struct service *s, const void *in, struct err *err);
/* Takes @call. */
void create_begin(struct task *t, struct call *call, const void *in);
/* May it be created, in this bundle? 0, or the refusal. */
int create_check(const struct task *t, const char *bundle, struct err *err);
/* Who is going to run it is written down, and what is remembered of an earlier life of the
 * task ends here. */
int create_write(struct task *t, const char *runtime, const char *root, json_object *request,
		 struct err *err);
void create_drop(struct task *t);

/* ---- release.c --------------------------------------------------------------------- */

extern const struct method shim_methods[];

/* If somebody asked for the task's release: do the next thing for it. */
void release_go_on(struct task *t);

/* ---- pids.c ------------------------------------------------------------------------- */

/* The container's processes on this machine, init first, and alone after its exit. Takes
 * @call. */
void pids_answer(const struct task *t, struct call *call);

/* ---- grace.c ------------------------------------------------------------------ */

/* SIGTERM was sent: a monitor of ours that it does not end in its time is killed. */
void grace_begin(struct task *t);
/* It was frozen, and has all of its time again. */
void grace_again(struct task *t);
void grace_end(struct task *t);

/* ---- usage.c: Stats, and the end of memory ------------------------------------------- */

/* Find the cgroups of init and watch them. Again is nothing; a failure is logged. */
void usage_begin(struct task *t);
/* Init has been reaped: one more look. */
void usage_exited(struct task *t);
/* A kill that is still to be told: before the exit, in its transaction, and what to do
 * once that is committed. The journal's errors. */
int usage_tell(struct task *t, struct err *err);
void usage_told(struct task *t);
/* At Delete. */
void usage_end(struct task *t);
/* What it uses now; -ENOENT, and as metrics_read(). */
int usage_read(struct task *t, struct metrics *ret, struct err *err);
/* Takes @call. */
void usage_stats(struct task *t, struct call *call);

/* ---- sandbox.c ------------------------------------------------------------------------- */

extern const struct method sandbox_methods[];

/* It serves one that exists: containers may come without a `start`. */
bool service_has_sandbox(const struct service *s);

/* ---- api.c --------------------------------------------------------------------------- */

extern const struct method task_methods[];

/* With the method's own kind of nothing. */
void answer_empty(struct call *call);
/* A created task that was never started has no exit but this; its waiters are told. */
void exit_for_delete(struct task *t);
/* Go on with a Delete that waited for plans. */
void delete_go_on(struct task *t);

/* A failure of a plan: the caller must not take it for a missing task. */
void answer_failure(struct call *call, const struct run_end *end);

/* ---- members.c: tasks come and go --------------------------------------------------------- */

struct join {
	const char *id, *bundle, *group, *ttrpc_address;
};

/* Write down one more task, as `start` does for the first. Blocks for some ms. 0: there
 * is such a task, at the list's end; -EEXIST there is another of this id, or its journal;
 * -EINVAL its bundle is no absolute path; -ESHUTDOWN: no more. */
int member_join(struct service *s, const struct join *join, struct err *err);

/* What `start` made for the task is taken back, and it leaves; with the last of them the
 * shim ends. Not while it is busy. */
void member_finish(struct task *t);
/* Let go of those that have left. From the loop, never in a callback of theirs. */
void members_bury(struct service *s);
void members_bury_soon(struct service *s);
/* The last: into the history, or, if something is left, not. After the loop. */
int member_put_away(struct service *s, struct task *t, struct err *err);

/* ---- service.c ------------------------------------------------------------------------- */

/* The end, with what `start` made taken back. Not while a task is busy. */
void service_end(struct service *s);
/* The end of the loop; what is not finished stays in its rows. */
void service_stop(struct service *s);
bool service_is_busy(const struct service *s); /* a task of it is */

/* A plan has ended: give memory back, if no other follows at once. */
void service_rest_soon(struct service *s);

/* After anything that may have made the service idle. */
void service_look_idle(struct service *s);

/* ---- forgotten.c ------------------------------------------------------------------ */

/* In a child: if containerd does not know the task, it ends the shim and takes the task
 * down. */
void forgotten_ask(struct task *t);
/* In a forked child, before anything of the journal is opened. */
void service_forget_journals(struct service *s);

#endif
