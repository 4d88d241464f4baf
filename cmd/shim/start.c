/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start.c - write a task's first rows, leave a server behind, print its address.
 *
 * Nothing is printed before it is true and committed; nothing but the address is
 * printed at all, since containerd reads stdout and stderr from one pipe.
 */
#include "cmd/shim/shim.h"

#include "journal/base/cleanup.h"
#include "journal/base/crash.h"
#include "supervisor/engine/recover.h"
#include "supervisor/service/bootstrap.h"
#include "supervisor/service/first.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define CONFIG_JSON_MAX (16u << 20) /* bytes */
#define OLD_MS   4000               /* to take back what an older task of the id left */
#define GOING_MS 1000               /* for an older shim that is on its way out       */
#define SERVE_MS 4000
#define JOIN_MS  7000               /* for a group's shim that waits for its last events */

struct start {
	struct shim *shim;
	struct bootstrap boot;
	char bundle[PATH_MAX];
	struct path_ident dir;
	char *group;
	char socket[SOCKET_PATH_MAX + 1];
	char address[SOCKET_PATH_MAX + 8];
	char ttrpc_address[PATH_MAX];
	struct first first; /* of the above */
	struct journal *journal;
	bool clean; /* nothing is made yet, or it was taken back */
};

/* ---- what is asked --------------------------------------------------------------------- */

static int read_bundle(struct start *st, struct err *err)
{
	struct node *n = st->shim->node;
	auto_free char *path = NULL;
	auto_free char *text = NULL;
	size_t len;
	int rc;

	if (!getcwd(st->bundle, sizeof(st->bundle)))
		return err_set(err, errno, "start must be called in a bundle");
	rc = n->path(n, st->bundle, &st->dir, err);
	if (rc == 0)
		return err_say(err, ENOENT, "bundle %s is gone", st->bundle);
	if (rc > 0 && asprintf(&path, "%s/config.json", st->bundle) < 0)
		rc = err_set(err, ENOMEM, "bundle %s", st->bundle);
	if (rc > 0)
		rc = n->read_file(n, path, CONFIG_JSON_MAX, &text, &len, err);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	/* A sandbox's bundle has none: it is its own group. A task's is missed by Create. */
	if (rc < 0 || st->shim->config.group == GROUP_BY_CONTAINER) {
		st->group = strdup(st->shim->flags.id);
		return st->group ? 0 : err_set(err, ENOMEM, "bundle %s", st->bundle);
	}
	rc = bootstrap_group(&st->group, text, st->shim->flags.id, err);
	return rc < 0 ? err_wrap(err, "bundle %s", st->bundle) : 0;
}

static void find_ttrpc(struct start *st)
{
	const char *env = getenv("TTRPC_ADDRESS");
	size_t size = sizeof(st->ttrpc_address);

	if (st->boot.ttrpc_address[0])
		snprintf(st->ttrpc_address, size, "%s", st->boot.ttrpc_address);
	else if (env && env[0])
		snprintf(st->ttrpc_address, size, "%s", env);
	else
		snprintf(st->ttrpc_address, size, "%s.ttrpc", st->shim->flags.address);
}

static int read_asked(struct start *st, struct err *err)
{
	const struct flags *f = &st->shim->flags;
	auto_free char *data = NULL;
	size_t len;
	int rc = shim_read_stdin(&data, &len, BOOTSTRAP_MAX, err);

	if (rc == 0)
		rc = bootstrap_read(&st->boot, (const uint8_t *)data, len, f->ns, f->id, err);
	if (rc == 0)
		rc = read_bundle(st, err);
	if (rc == 0)
		rc = bootstrap_socket(st->socket, st->boot.socket_dir, f->address, f->ns, st->group,
				      err);
	st->shim->engine.bundle = st->bundle;
	if (rc < 0)
		return rc;
	snprintf(st->address, sizeof(st->address), "unix://%s", st->socket);
	find_ttrpc(st);
	st->first = (struct first){
		.address = f->address, .ttrpc_address = st->ttrpc_address,
		.epoch = st->shim->node->epoch(st->shim->node), .group = st->group,
		.socket = st->socket, .bundle = st->bundle, .dir = &st->dir,
	};
	return 0;
}

/* ---- older rows of the same id ------------------------------------------------------------ */

static bool is_going(const struct task_row *row)
{
	enum life_state life = life_state_of(row->state);

	return life == LIFE_DELETED || life == LIFE_FINISHING || life == LIFE_GONE;
}

static int look_at_old(struct start *st, unsigned *flags, struct err *err)
{
	struct journal *j = NULL;
	struct task_row row;
	int rc = journal_open(&j, &st->shim->place, &st->shim->key, JOURNAL_READ, err);

	if (rc < 0)
		return rc;
	rc = journal_task(j, &row, err);
	journal_close(j);
	if (rc < 0)
		return rc;
	/* Another bundle of this name, or a dead shim: containerd begins anew. */
	if (row.bundle_dev != st->dir.dev || row.bundle_ino != st->dir.ino ||
	    !shim_owner(st->shim))
		*flags = RECOVER_DELETE;
	if (is_going(&row)) /* a shim that is finishing goes by itself: let it */
		shim_let_go(st->shim, GOING_MS);
	task_row_clear(&row);
	return 0;
}

static int take_back(struct start *st, unsigned flags, struct err *err)
{
	struct shim *shim = st->shim;
	struct recover_report report = { .result = RECOVER_NONE_ };
	struct verdict v;
	int rc;

	/* A shim that serves others too is not killed for this one. */
	if (flags & RECOVER_DELETE)
		shim_release(shim, &v);
	rc = recover_task(&shim->engine, &shim->place, &shim->key, flags,
			      shim->node->now_ms(shim->node) + OLD_MS, &report, err);

	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return rc;
	if (report.result == RECOVER_HEALTHY)
		rc = err_say(err, EEXIST, "an older task of this id is alive: %s",
			     report.why ? report.why : report.found);
	else if (report.result != RECOVER_CLEAN && report.result != RECOVER_DONE)
		rc = err_say(err, EBUSY, "an older task of this id could not be taken back: %s%s%s; "
			     "see uruncctl recover", report.left ? report.left : "",
			     report.left && report.why ? ": " : "", report.why ? report.why : "");
	recover_report_clear(&report);
	return rc;
}

static int make_way(struct start *st, struct err *err)
{
	unsigned flags = 0;
	int rc = look_at_old(st, &flags, err);

	if (rc == -ENOENT) { /* it is in the history, and its shim on its last way */
		shim_let_go(st->shim, GOING_MS);
		return 0;
	}
	if (rc == -EUCLEAN) { /* containerd begins anew, whatever it held */
		flags = RECOVER_DELETE;
		rc = 0;
	}
	return rc < 0 ? rc : take_back(st, flags, err);
}

/* ---- the first rows -------------------------------------------------------------------------- */

/* The file, made by us. */
static int own_journal(struct start *st, struct err *err)
{
	for (int tries = 0;; tries++) {
		int rc = journal_open(&st->journal, &st->shim->place, &st->shim->key,
				      JOURNAL_CREATE, err);

		if ((rc != -EEXIST && rc != -EAGAIN) || tries == 3)
			return rc;
		rc = make_way(st, err);
		if (rc < 0)
			return rc;
	}
}

/* ---- the server --------------------------------------------------------------------------------- */

/* The one of containerd and one more: the kernel shall rather take the shim. The
 * server inherits it. */
static int set_oom_score(struct err *err)
{
	char path[64], text[16] = "";
	auto_fd int from = -1;
	auto_fd int to = -1;
	int score;

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)getppid());
	from = open(path, O_RDONLY | O_CLOEXEC);
	if (from < 0 || read(from, text, sizeof(text) - 1) < 0)
		return err_set(err, errno, "can't read %s", path);
	score = atoi(text);
	snprintf(text, sizeof(text), "%d", score < 1000 ? score + 1 : 1000);
	to = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if ((to < 0 || write(to, text, strlen(text)) < 0) && errno != EACCES && errno != EPERM)
		return err_set(err, errno, "can't set oom_score_adj to %s", text);
	return 0;
}

/* Processors that share a core run the one with this cookie beside its like alone. The
 * server inherits it, and its container. */
static int share_core(struct err *err)
{
	const char *wanted = getenv("SCHED_CORE");

	if (!wanted || !wanted[0] ||
	    prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, PR_SCHED_CORE_SCOPE_PROCESS_GROUP, 0) == 0)
		return 0;
	return err_set(err, errno, "SCHED_CORE is set, and core scheduling can't be enabled");
}

static int leave_server(struct start *st, struct err *err)
{
	struct shim *shim = st->shim;
	auto_free char *args = first_args(&st->first);
	struct serve serve = { .shim = shim, .journal = st->journal, .bundle = st->bundle,
			       .listen_fd = -1, .debug = shim->flags.debug || st->boot.debug };
	struct run_options options = RUN_OPTIONS_INIT;
	struct run *run = NULL;
	enum run_state state;
	int rc;

	options.ret_listen_fd = &serve.listen_fd;
	options.serve = shim_serve;
	options.serve_arg = &serve;
	if (!args)
		return err_set(err, ENOMEM, "can't start the shim");
	rc = run_serve(&run, &shim->engine, st->journal, args, &options, err);
	if (rc < 0)
		return rc;
	state = drive(run, shim->node, shim->node->now_ms(shim->node) + SERVE_MS, NULL, NULL);
	if (state != RUN_DONE)
		rc = err_say(err, run_error(run)->code ? run_error(run)->code : ETIMEDOUT, "%s",
			     run_error(run)->code ? run_error(run)->text
						  : "the shim could not be started in time");
	st->clean = state == RUN_UNDONE;
	run_close(run);
	if (serve.listen_fd >= 0)
		(void)close(serve.listen_fd);
	return rc;
}

static int begin_server(struct start *st, struct err *err)
{
	int rc = first_write(st->journal, &st->first, err);

	if (rc == 0)
		rc = set_oom_score(err);
	if (rc == 0)
		rc = shim_join_cgroup(st->shim, &st->boot, err);
	if (rc == 0)
		rc = share_core(err);
	if (rc == 0)
		rc = leave_server(st, err);
	if (rc == 0) {
		st->journal = journal_close(st->journal);
		return 0;
	}
	/* Clean, the file has no more to say; else it waits for a recovery. */
	if (st->clean)
		(void)journal_finish(&st->journal, NULL);
	st->journal = journal_close(st->journal);
	return rc;
}

static int print_address(const struct start *st, struct err *err)
{
	auto_free uint8_t *out = NULL;
	size_t len;
	int rc = bootstrap_answer(&out, &len, st->boot.params, st->address, err);

	return rc < 0 ? rc : shim_write_stdout(out, len, err);
}

/* The group's shim lives and serves our task too: 1. Else 0, and nobody serves there. */
static int join_group(struct start *st, struct err *err)
{
	struct node *n = st->shim->node;
	int64_t end = n->now_ms(n) + JOIN_MS;

	for (;;) {
		int rc = shim_join(st->shim, &st->first, err);

		if (rc == -EEXIST)
			rc = make_way(st, err);
		else if (rc != -EAGAIN)
			return rc;
		if (rc < 0 && rc != -EAGAIN)
			return rc;
		if (n->now_ms(n) >= end)
			return err_say(err, EBUSY, "the shim of group %s neither serves nor goes; "
				       "see uruncctl ps", st->group);
		shim_nap();
	}
}

static int find_server(struct start *st, struct err *err)
{
	auto_fd int lock = -1; /* closed when a server is left, or joined */
	int rc = shim_lock_group(st->shim, st->socket, &lock, err);

	if (rc == 0)
		rc = join_group(st, err);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = own_journal(st, err);
	return rc < 0 ? rc : begin_server(st, err);
}

int shim_start(struct shim *shim, struct err *err)
{
	struct start st = { .shim = shim, .clean = true };
	int rc = read_asked(&st, err);

	if (rc == 0)
		rc = find_server(&st, err);
	if (rc == 0) {
		crash_point("address");
		rc = print_address(&st, err);
		shim_take_up_later(shim);
	}
	bootstrap_clear(&st.boot);
	free(st.group);
	return rc;
}
