/* SPDX-License-Identifier: Apache-2.0 */
#ifndef URUNC_JOURNAL_JOURNAL_H
#define URUNC_JOURNAL_JOURNAL_H

/*
 * journal.h - what this node holds on behalf of a task, written down first.
 *
 * The promise:
 *
 *   At every instant, whatever this node holds on behalf of a task is named in the
 *   journal, or does not exist, or dies with the process that made it.
 *
 * One task, one SQLite file:
 *
 *   <root>/live/<daemon>/<namespace>/<id>.db	a task that may hold something
 *   <root>/done/<daemon>/<namespace>/<id>.<finished, ms>.db	history, bounded
 *   <root>/torn/<daemon>.<namespace>.<id>.<ms>.db	damaged, set aside
 *   <run>/lock/<daemon>/<namespace>/<id>	the owner's lock, on tmpfs
 *   <run>/rescue/<daemon>/<namespace>/<id>.db	a copy, while <root> can't be written
 *
 * <root> is /var/lib/urunc/journal and <run> is /run/urunc, unless the config file
 * says otherwise. <daemon> is 12 hex digits made from containerd's address; the
 * address itself is in the task's row. All folders are 0700.
 *
 * What is in a file: one task row; runs, each a plan being carried out; steps, each
 * one effect on the host with what it wants and has; children, the processes
 * spawned for a step; the outbox, events that containerd has not accepted yet; and
 * notes, the history of the life in the order it happened. urunc-journal(5) has the
 * tables.
 *
 * Rules that everything above relies on:
 *
 * J1 A row is committed before the first system call of the effect it names
 *    (journal_intend), and its outcome before anybody is told (journal_settle).
 * J2 Every write says WHERE lease = the caller's lease. No row changed means that
 *    somebody took over: -ESTALE, and the caller stops acting at once.
 * J3 NORMAL by default: a commit survives kill -9 of every process, not a power
 *    cut. DURABLE commits (of effects that outlive a boot) survive that as well;
 *    they may block for an fsync, so never on a serving loop.
 * J4 A handle never crosses a fork: the child neither uses nor closes it.
 * J5 Readers (JOURNAL_READ) never write, never checkpoint, never take the lock.
 * J6 What is on disk is never renamed or reused: kinds, states, fields, plans.
 *
 * Threads: none. Blocking: a write waits at most JOURNAL_BUSY_MS for another
 * process and then fails with -EBUSY, which means: try again later.
 *
 * Errors every function may return, besides those it names: -ENOSPC, -EROFS, -EIO
 * (the disk), -EUCLEAN (the file is damaged), -EBUSY, -ENOMEM, -ESTALE (J2), -E2BIG
 * (a text over JOURNAL_TEXT_MAX), -EPROTO (a word of a newer version in a row). A row
 * that is asked for by number and is not there: -ENOENT.
 */

#include "journal/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define JOURNAL_BUSY_MS 50     /* milliseconds */
#define JOURNAL_ID_MAX  76     /* bytes of an id or a namespace, containerd's limit */
#define JOURNAL_DAEMON  12     /* hex digits */
#define JOURNAL_PLACE_MAX 256  /* bytes of <root>, of <run>: SQLite opens no path over 504 */
#define JOURNAL_TEXT_MAX 65536 /* bytes of one want, have or error text */

struct journal;

/* Where journals are: made by journal_place_make(), so that all names below fit. */
struct journal_place {
	char root[JOURNAL_PLACE_MAX + 1]; /* e.g. /var/lib/urunc/journal */
	char run[JOURNAL_PLACE_MAX + 1];  /* e.g. /run/urunc */
};

/* Whose task. */
struct task_key {
	char daemon[JOURNAL_DAEMON + 1];
	char ns[JOURNAL_ID_MAX + 1];
	char id[JOURNAL_ID_MAX + 1];
};

/* A process, as far as a pid namespace and a boot go (both are in the epoch). */
struct ident {
	pid_t pid;      /* 0: none                                           */
	uint64_t start; /* field 22 of /proc/PID/stat: clock ticks since boot */
};

/*
 * How the exit status was learnt. Stored as text ("reaped", ...).
 * REAPED is the truth; KILLED: we killed it, 137; UNKNOWN: it was found gone, 255.
 */
enum exit_how { EXIT_NONE_, EXIT_REAPED, EXIT_KILLED, EXIT_UNKNOWN };

/* The one row of the task. Strings are never NULL, "" is unset. */
struct task_row {
	struct task_key key;
	char *address;       /* containerd's gRPC socket                            */
	char *ttrpc_address; /* where its events go                                 */
	char *state;         /* enum life_state by name                             */
	char *epoch;         /* node->epoch() when the row was made, see node.h     */
	char *bundle;        /* absolute path                                       */
	uint64_t bundle_dev, bundle_ino;
	char *group;         /* id of the group whose shim serves this task         */
	char *socket;        /* path of the shim's socket                           */
	struct ident shim;   /* the serving process                                 */
	struct ident init;   /* the container's first process, or the monitor       */
	char *runtime;       /* path of the OCI runtime's binary                    */
	char *runtime_root;  /* its --root, namespace included                      */
	char *request;       /* JSON: what Create asked, see supervisor/engine/plan.h */
	enum exit_how exit_how;
	uint32_t exit_status; /* as wait status of a shell: code, or 128 + signal   */
	int64_t exit_at_ns;   /* since the epoch of time                            */
	int64_t created_ms;   /* wall clock                                         */
	int64_t changed_ms;   /* of the last write to this row                      */
	int64_t lease;        /* number of the owner                                */
	char *error;          /* last failure, a sentence; "" if none               */
};

void task_row_clear(struct task_row *row); /* frees the strings, zeroes the struct */

enum journal_open {
	JOURNAL_READ,   /* look only; works beside an owner                     */
	JOURNAL_LOCK,   /* take the lock, and look: journal_claim() makes it OWN */
	JOURNAL_OWN,    /* take the lock, raise the lease; the file must exist   */
	JOURNAL_CREATE, /* as OWN; the file must not exist, and is made          */
};

/* ---- a task's file ------------------------------------------------------- */

/* Both absolute, and copied. -ENAMETOOLONG: one is over JOURNAL_PLACE_MAX bytes. */
int journal_place_make(struct journal_place *ret, const char *root, const char *run,
		       struct err *err);

/* Fill @ret->daemon from containerd's address; -EINVAL if ns or id break the
 * identifier rules: 1 to 76 of [A-Za-z0-9], in runs joined by single . _ or -. */
int task_key_make(struct task_key *ret, const char *address, const char *ns, const char *id,
		  struct err *err);

/**
 * journal_open() - open, or make, the file of one task
 * @ret:	the caller's to journal_close(); set only on success
 * @ttl:	none: ownership lasts until close or death
 *
 * OWN and CREATE hold an fcntl lock on the lock file: released by death, kept over
 * exec, not inherited by fork; so never open a lock file by other means. CREATE copies
 * a prepared image (no schema is run). READ and OWN use the rescue copy if there is
 * one.
 *
 * Return: 0; -ENOENT no such task; -EEXIST (CREATE) there is one; -EAGAIN the
 * owner lives (its pid is in the text; it may be this process); -EPROTO written by a newer version, left
 * alone; -EUCLEAN damaged (see journal_set_aside()); -ENOSPC, -EROFS: see
 * journal_open_rescue().
 */
int journal_open(struct journal **ret, const struct journal_place *place,
		 const struct task_key *key, enum journal_open how, struct err *err);

/* After JOURNAL_LOCK: raise the lease. Until then nothing is written, and every write
 * is -ESTALE. */
int journal_claim(struct journal *j, struct err *err);

/* As OWN, for a <root> that can't be written: the file and its WAL are copied to
 * <run>/rescue and that copy is used. A copy already there is gone on with. */
int journal_open_rescue(struct journal **ret, const struct journal_place *place,
			const struct task_key *key, struct err *err);

/* Close the file and release the lock. The rows stay. NULL is fine. */
struct journal *journal_close(struct journal *j);

/* Drop the owner's handle in a forked child, where all its descriptors are closed
 * already and none was opened since. SQLite keeps a table of the files that it has open
 * in a process and would go on with the parent's at the next open: so this closes the
 * connection, which can't touch the file any more. Not within a transaction. NULL is
 * fine. */
void journal_forget(struct journal *j);

/* Going idle: give back what can be made again (statements, cached pages). */
void journal_rest(struct journal *j);

/* Between these two, which nest, reading takes and drops no locks for each row: what is
 * read is one state of the file, and our own writes. A write of somebody else's in
 * between makes ours -EBUSY until the last journal_let(): never return to a loop, or
 * wait, while holding. */
void journal_hold(struct journal *j);
void journal_let(struct journal *j);

/*
 * Bytes in the WAL, which grows with every write: nothing is folded into the database
 * by itself, since that flushes to the disk. A task that lives for months is folded
 * by its owner now and then, say from 16 MiB on, while it is quiet.
 */
int64_t journal_wal_size(struct journal *j);

/* Fold the WAL into the database and empty it. Blocks for two flushes; they are short
 * if a child flushed the WAL (JOB_SYNC) just before. -EBUSY: a reader is in the way. */
int journal_fold(struct journal *j, struct err *err);

/* The pid holding the lock; 0: nobody; -1: a process of another pid namespace. Never
 * blocks. */
int journal_owner(const struct journal_place *place, const struct task_key *key, pid_t *ret,
		  struct err *err);

/* Has the task a lock file? Who makes a task's file makes that before, and it goes after
 * it, below <run>, which a reboot empties: a live file without one is of an earlier boot. */
bool journal_has_lock(const struct journal_place *place, const struct task_key *key);

/* The task holds nothing any more: close clean and move the file to done/. A
 * rescue copy is removed, and the original moved, or unlinked if that fails.
 * *jp is closed and NULL, also on failure: then the file is still live, or what is left
 * is journal_sweep()'s. */
int journal_finish(struct journal **jp, struct err *err);

/* What a dead finish left of a task that is not live any more: a WAL, a copy, the lock.
 * Nothing if the task is live. -EAGAIN: somebody is just making it, or moving it. */
int journal_sweep(const struct journal_place *place, const struct task_key *key,
		  struct err *err);

/* A damaged file (with WAL) is kept in torn/, @ret_path (ERR_TEXT_MAX bytes) says where,
 * "": it had no bytes to keep, as after a power cut before the first of it was on the disk;
 * and an empty one is made in its place, *ret: owned, as by OWN, with rows that say
 * nothing, not even an epoch. So whoever dies before new rows are committed leaves a
 * file that asks to be rebuilt. A rescue copy is what is kept if there is one. -EAGAIN:
 * its owner lives; -ENOENT. */
int journal_set_aside(struct journal **ret, const struct journal_place *place,
		      const struct task_key *key, char *ret_path, struct err *err);

/* Quick check of a file: 0 whole, -EUCLEAN with the finding in @err. */
int journal_check(struct journal *j, struct err *err);

/* Remove done/ files older than @max_age_s, and the oldest over @max_count; and what
 * dead processes left: half-made files, locks and copies of tasks that are not live, and
 * an hour later what they left in torn/ and <run> while they copied. */
int journal_prune(const struct journal_place *place, int64_t max_age_s, int max_count,
		  struct err *err);

/* After a power cut, before anybody finishes a task: remove what it damaged in done/. A
 * finish is not flushed, so that is files of the last minutes before the newest. */
int journal_drop_torn(const struct journal_place *place, struct err *err);

enum journal_where { JOURNAL_LIVE, JOURNAL_DONE };

/* Visit keys; for DONE newest first with @file, the path. visit() returns 0 to go
 * on. A missing <root> is an empty list. Names that are no identifiers are passed
 * over. */
int journal_list(const struct journal_place *place, enum journal_where where,
		 int (*visit)(void *arg, const struct task_key *key, const char *file),
		 void *arg, struct err *err);

/* Open one done/ file, by the path that journal_list() gave, to read. -ENOENT; -EINVAL: it
 * has no name of a finished task; -ENAMETOOLONG. */
int journal_open_file(struct journal **ret, const char *file, struct err *err);

const char *journal_file(const struct journal *j);           /* lent; beside it the -wal */
const struct task_key *journal_key(const struct journal *j); /* lent */
int64_t journal_lease(const struct journal *j);              /* 0 for a reader */
bool journal_is_rescue(const struct journal *j);
int journal_error(const struct journal *j); /* last errno, > 0, or 0 */

/* ---- transactions ---------------------------------------------------------- */

/* Single calls commit by themselves. Between begin and commit they don't; never
 * return to a loop in between. Commit failing rolls back. */
int journal_begin(struct journal *j, struct err *err);
int journal_commit(struct journal *j, struct err *err);
void journal_rollback(struct journal *j);

/* ---- the task row ---------------------------------------------------------- */

int journal_task(struct journal *j, struct task_row *ret, struct err *err); /* caller clears */

#define TASK_TEXT_FIELDS(X)                                                        \
	X(ADDRESS, address) X(TTRPC_ADDRESS, ttrpc_address) X(EPOCH, epoch)        \
	X(BUNDLE, bundle) X(GROUP, grp) X(SOCKET, socket) X(RUNTIME, runtime)      \
	X(RUNTIME_ROOT, runtime_root) X(REQUEST, request) X(ERROR, error)
#define TASK_TEXT_ENUM_(name, column) TASK_##name,
enum task_text { TASK_TEXT_FIELDS(TASK_TEXT_ENUM_) TASK_TEXT_N };

int journal_set_text(struct journal *j, enum task_text field, const char *text,
		     struct err *err);
int journal_set_bundle(struct journal *j, const char *path, uint64_t dev, uint64_t ino,
		       struct err *err);
int journal_set_shim(struct journal *j, const struct ident *shim, struct err *err);
int journal_set_init(struct journal *j, const struct ident *init, struct err *err);

/* First exit wins: a second one changes nothing and returns 1. */
int journal_set_exit(struct journal *j, enum exit_how how, uint32_t status, int64_t at_ns,
		     struct err *err);

/* Compare and set the state, and note it. -EPROTO if the state is not @from. */
int journal_move(struct journal *j, const char *from, const char *to, const char *event,
		 struct err *err);

/* ---- runs and steps -------------------------------------------------------- */

/*
 * A step's row:
 *
 *   planned -> intent -> done  -+-> undoing -> undone
 *      |         |-----> failed-+      |
 *      |         `-----> foreign       `-----> stuck -> undoing ...
 *      `--> skipped
 *
 * planned: nothing was done. intent: may have happened, or half. done: happened.
 * failed: may have left something. foreign: something that is not ours stood under
 * the name before us; never undone. undone, skipped: nothing of it is left.
 */
enum row_state {
	ROW_NONE_,
	ROW_PLANNED,
	ROW_INTENT,
	ROW_DONE,
	ROW_FAILED,
	ROW_FOREIGN,
	ROW_UNDOING,
	ROW_UNDONE,
	ROW_STUCK,
	ROW_SKIPPED,
	ROW_N
};
const char *row_state_name(enum row_state s); /* as on disk; NULL out of range */

enum run_outcome { RUN_OPEN_ROW, RUN_DONE_ROW, RUN_FAILED_ROW };

struct run_row {
	int64_t seq;
	char *plan; /* enum plan by name */
	enum run_outcome outcome;
	int64_t opened_ms, closed_ms;
	char *error;
};

struct step_row {
	int64_t seq;  /* > 0, grows, never reused                       */
	int64_t run;  /* the run it belongs to                          */
	char *kind;   /* step_ops.kind                                  */
	enum row_state state;
	char *want;   /* JSON                                           */
	char *have;   /* JSON, "{}" at first                            */
	char *epoch;  /* node->epoch() at intent; "" before             */
	char *error;  /* "" or the last failure                         */
	int64_t lease; /* of who intended it                            */
	/* wall clock, 0: not yet; undone_ms: when it became undoing, undone or stuck */
	int64_t intent_ms, settled_ms, undone_ms;
};
void run_row_clear(struct run_row *row);
void step_row_clear(struct step_row *row);

struct planned {
	const char *kind;
	const char *want; /* JSON */
};

/* One commit: a run and its planned steps. @ret: the run's seq. */
int journal_plan(struct journal *j, const char *plan, const struct planned *steps, size_t n,
		 int64_t now_ms, int64_t *ret, struct err *err);
/* One commit: more steps for a run, after those that it has. */
int journal_plan_more(struct journal *j, int64_t run, const struct planned *steps, size_t n,
		      struct err *err);
int journal_close_run(struct journal *j, int64_t run, enum run_outcome outcome,
		      const char *error, int64_t now_ms, struct err *err);

/* Forget a run and its steps, of which nothing is left. Never the newest run, nor one
 * with the newest step: their numbers would be given away again. */
int journal_drop_run(struct journal *j, int64_t run, struct err *err);

/* Before the first system call (J1). @durable: see J3. @epoch is kept in the row. */
int journal_intend(struct journal *j, int64_t step, const char *epoch, bool durable,
		   int64_t now_ms, struct err *err);
/* What became known: identities, progress. Any state. */
int journal_have(struct journal *j, int64_t step, const char *have, struct err *err);
/* The outcome, by the drawing above; -EPROTO if the row is not where @to follows.
 * @error NULL: what the row says stays. */
int journal_settle(struct journal *j, int64_t step, enum row_state to, const char *error,
		   int64_t now_ms, struct err *err);

/* Visit rows, oldest or newest first. visit() returns 0 to go on; any other value
 * ends the visit and is returned. The row is lent, and the visitor may write and
 * visit; rows of runs and steps that it adds are not visited.
 * @run: only this run's steps; 0 for all. */
enum order { OLDEST_FIRST, NEWEST_FIRST };
int journal_each_run(struct journal *j, enum order order,
		     int (*visit)(void *arg, const struct run_row *row, struct err *err),
		     void *arg, struct err *err);
int journal_each_step(struct journal *j, int64_t run, enum order order,
		      int (*visit)(void *arg, const struct step_row *row, struct err *err),
		      void *arg, struct err *err);
int journal_step(struct journal *j, int64_t seq, struct step_row *ret, struct err *err);

/* ---- children -------------------------------------------------------------- */

/* A process spawned for a step, or (step 0) for the task. */
struct child_row {
	int64_t seq;
	int64_t step;
	struct ident ident;
	char *what;    /* for people: "runc create", "unmount ..."          */
	char *epoch;
	bool ended;
	int status;    /* wait(2) status; -1: it was gone, nobody knows     */
	int64_t since_ms, deadline_ms; /* monotonic deadline, 0: none       */
};
void child_row_clear(struct child_row *row);

/* While the child still waits at its gate. @ret: seq. Of the ended ones the last 256
 * are kept. */
int journal_child(struct journal *j, int64_t step, const struct ident *ident, const char *what,
		  const char *epoch, int64_t now_ms, int64_t deadline_ms, int64_t *ret,
		  struct err *err);
int journal_child_ended(struct journal *j, int64_t child, int status, struct err *err);
/* Oldest first; see journal_each_run() for visit(). */
int journal_each_child(struct journal *j, bool living_only,
		       int (*visit)(void *arg, const struct child_row *row, struct err *err),
		       void *arg, struct err *err);

/* ---- what must be told ----------------------------------------------------- */

struct event_row {
	int64_t seq;
	char *topic; /* /tasks/exit */
	char *type;  /* containerd.events.TaskExit */
	uint8_t *data;
	size_t len;
	int64_t at_ns;
};
void event_row_clear(struct event_row *row);

int journal_tell(struct journal *j, const char *topic, const char *type, const void *data,
		 size_t len, int64_t at_ns, struct err *err);
/* The oldest one not accepted: 1 and *ret (caller clears), or 0: none. */
int journal_untold(struct journal *j, struct event_row *ret, struct err *err);
/* Told twice is told. The row is deleted; its seq never comes back. */
int journal_told(struct journal *j, int64_t seq, struct err *err);
/* `delete`: containerd tells the rest itself. */
int journal_close_outbox(struct journal *j, struct err *err);

/* ---- history --------------------------------------------------------------- */

/* One line of the life: what happened, in words. */
int journal_note(struct journal *j, const char *what, const char *text, struct err *err);
struct note_row {
	int64_t seq, at_ms, lease;
	char *what, *text;
};
int journal_each_note(struct journal *j,
		      int (*visit)(void *arg, const struct note_row *row, struct err *err),
		      void *arg, struct err *err);

#endif
