/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/sim_call.h"
#include "test/lib/sim_player.h"

#include "supervisor/oci/runtime.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The name is the hash of /run/c.sock/default/t1. */
#define SOCKET                                                                            \
	"/run/containerd/s/dd09ba73725b34d40390e4e5128ea3ded7e75208a7501229bab08b34dd1f73c1"
#define REQUEST                                                                           \
	"{\"stdin\":\"\",\"stdout\":\"\",\"stderr\":\"\",\"terminal\":false,\"rootfs\":[{"  \
	"\"type\":\"overlay\",\"source\":\"overlay\",\"target\":\"\",\"options\":[]}],"     \
	"\"options\":{},\"cgroups_path\":\"/default/t1\",\"pid_namespace\":\"private\","    \
	"\"rootfs_choice\":\"best-effort\"}"
/* Its netns has a name, as a pod's: the tap in it does not go with the monitor. */
#define REQUEST_POD                                                                       \
	"{\"stdin\":\"\",\"stdout\":\"\",\"stderr\":\"\",\"terminal\":false,\"rootfs\":[{"  \
	"\"type\":\"overlay\",\"source\":\"overlay\",\"target\":\"\",\"options\":[]}],"     \
	"\"options\":{},\"cgroups_path\":\"/default/t1\",\"pid_namespace\":\"private\","    \
	"\"rootfs_choice\":\"best-effort\",\"path\":\"/usr/bin\",\"netns\":\"/run/netns/t1\","
#define REQUEST_NATIVE                                                                    \
	REQUEST_POD "\"unikernel\":{\"type\":\"mirage\",\"monitor\":\"hvt\",\"binary\":\"/guest\"},"      \
	"\"oci\":\"1.0.2\",\"hooks\":{\"prestart\":[{\"path\":\"/hooks/add\"}],"            \
	"\"poststart\":[{\"path\":\"/hooks/note\"}],\"poststop\":[{\"path\":\"/hooks/del\"}]}}"
#define REQUEST_LATE REQUEST_POD "\"decide\":{}}"

static enum part broken(const char *what, const struct err *err)
{
	fprintf(stderr, "# %s: %s\n", what, err->text);
	return PART_BROKEN;
}

void player_init(struct player *p, struct stage *s)
{
	struct err err = ERR_INIT;

	memset(p, 0, sizeof(*p));
	p->s = s;
	sim_node_init(&p->node, s->sim);
	sim_disk_init(s->sim, s->root);
	p->engine = (struct engine){ .node = &p->node.node, .config = &s->config };
	if (task_key_make(&p->key, "/run/c.sock", "default", s->id, &err) < 0)
		_exit(broken("key", &err));
}

/* ---- events -------------------------------------------------------------------------------- */

/* Whatever containerd does not take stays in the outbox, and what follows waits. */
static enum part drain(struct player *p)
{
	struct err err = ERR_INIT;
	struct event_row ev;
	int r;

	while ((r = journal_untold(p->j, &ev, &err)) == 1) {
		r = sim_tell(&p->node.node, ev.topic, p->life);
		if (r == 0)
			r = journal_told(p->j, ev.seq, &err);
		event_row_clear(&ev);
		if (r < 0)
			break;
	}
	return PART_OK;
}

static enum part tell(struct player *p, const char *topic)
{
	struct err err = ERR_INIT;

	if (journal_tell(p->j, topic, "t", "d", 1, 0, &err) < 0)
		return PART_FAILED;
	return drain(p);
}

/* ---- start --------------------------------------------------------------------------------- */

static int not_called(void *arg)
{
	(void)arg;
	return 0;
}

static int describe(struct player *p, struct err *err)
{
	struct path_ident dir = { 0 };
	int r = p->node.node.path(&p->node.node, "/b/t1", &dir, err);

	if (r < 0 || (r = journal_begin(p->j, err)) < 0)
		return r;
	r = journal_set_text(p->j, TASK_ADDRESS, "/run/c.sock", err);
	if (r == 0)
		r = journal_set_text(p->j, TASK_EPOCH, p->node.node.epoch(&p->node.node), err);
	if (r == 0)
		r = journal_set_text(p->j, TASK_SOCKET, SOCKET, err);
	if (r == 0)
		r = journal_set_text(p->j, TASK_RUNTIME,
				     p->s->native && !p->s->late ? RUNTIME_NATIVE_NAME : "/bin/runc",
				     err);
	if (r == 0)
		r = journal_set_text(p->j, TASK_RUNTIME_ROOT, "/run/containerd/runc/default", err);
	if (r == 0)
		r = journal_set_bundle(p->j, "/b/t1", dir.dev, dir.ino, err);
	if (r == 0)
		return journal_commit(p->j, err);
	journal_rollback(p->j);
	return r;
}

/* What `start` answers for a failure; all of its own is gone then. */
static enum part start_failed(struct player *p)
{
	struct err err = ERR_INIT;

	return journal_finish(&p->j, &err) < 0 ? PART_STUCK : PART_FAILED;
}

static void keep_report(struct player *p, const struct recover_report *r)
{
	p->s->sim->exit_how = r->exit_how;
	p->s->sim->exit_status = r->exit_status;
	if (getenv("SIM_TALK"))
		fprintf(stderr, "# %s: %d found=%s done=%s left=%s why=%s exit=%d\n", r->key.id,
			r->result, r->found, r->done, r->left, r->why, (int)r->exit_status);
}

static int note(void *arg, const struct recover_report *r, int at, int of)
{
	struct player *p = arg;

	(void)at;
	(void)of;
	if (r->result == RECOVER_LEFT)
		p->worst = PART_LEFT;
	else if (r->result == RECOVER_HEALTHY)
		p->worst = PART_HEALTHY;
	else if (r->result == RECOVER_FAILED)
		p->worst = PART_FAILED;
	keep_report(p, r);
	return 0;
}

/* As containerd's verdict: it begins anew. */
static int recover_this(struct player *p, unsigned flags, struct err *err)
{
	struct recover_report report;
	int r;

	p->engine.address = "/run/c.sock";
	p->engine.bundle = "/b/t1";
	r = recover_task(&p->engine, &p->s->place, &p->key, flags, 0, &report, err);
	if (r == 0) {
		note(p, &report, 1, 1);
		recover_report_clear(&report);
	}
	return r == -ENOENT ? 0 : r;
}

static enum part open_new(struct player *p)
{
	struct err err = ERR_INIT;
	int r = journal_open(&p->j, &p->s->place, &p->key, JOURNAL_CREATE, &err);

	if (r == -EEXIST) {
		p->worst = PART_OK;
		r = recover_this(p, RECOVER_DELETE, &err);
		if (r == 0)
			r = journal_open(&p->j, &p->s->place, &p->key, JOURNAL_CREATE, &err);
		if (r == -EEXIST)
			return PART_LEFT;
	}
	if (r == -EAGAIN)
		return PART_REFUSED;
	return r < 0 ? PART_FAILED : PART_OK;
}

/* A server that can't have its journal ends, whatever its `start` has said. */
static void become_shim(struct player *p, const struct ident *shim)
{
	struct err err = ERR_INIT;

	p->j = journal_close(p->j);
	sim_dead(p->s->sim);
	sim_play_as(p->s->sim, shim->pid);
	if (journal_open(&p->j, &p->s->place, &p->key, JOURNAL_OWN, &err) < 0)
		sim_leave(PART_FAILED);
}

static enum part served(struct player *p, enum run_state s)
{
	struct err err = ERR_INIT;
	struct task_row row;
	struct ident shim;

	if (s == RUN_UNDONE)
		return start_failed(p);
	if (s != RUN_DONE || journal_task(p->j, &row, &err) < 0)
		return PART_STUCK;
	shim = row.shim;
	task_row_clear(&row);
	become_shim(p, &shim);
	return PART_OK;
}

enum part player_serve(struct player *p)
{
	struct run_options o = RUN_OPTIONS_INIT;
	struct err err = ERR_INIT;
	struct run *run = NULL;
	enum run_state s;
	enum part r;
	int fd = -1;

	sim_play(p->s->sim, "start");
	r = open_new(p);
	if (r != PART_OK)
		return r;
	if (describe(p, &err) < 0)
		return start_failed(p);
	/* The server, which is forked next, is played by this process. */
	p->s->sim->real_pid = getpid();
	o.ret_listen_fd = &fd;
	o.serve = not_called;
	if (run_serve(&run, &p->engine, p->j, "{\"socket\":\"" SOCKET "\",\"address\":\"unix://"
		      SOCKET "\"}", &o, &err) < 0)
		return start_failed(p);
	s = drive(run, &p->node.node, 0, NULL, NULL);
	run_close(run);
	if (fd >= 0)
		close(fd);
	return served(p, s);
}

/* ---- the shim ------------------------------------------------------------------------------ */

static enum life_state life_now(struct player *p)
{
	enum life_state s = LIFE_NONE_;
	struct task_row row;

	if (p->j && journal_task(p->j, &row, NULL) == 0) {
		s = life_state_of(row.state);
		task_row_clear(&row);
	}
	return s;
}

/* What is told when the event has been carried out; NULL: nothing. */
static const char *topic_of(enum life_event ev)
{
	return ev == EV_CREATE ? "/tasks/create" : ev == EV_START ? "/tasks/start"
	     : ev == EV_DELETE ? "/tasks/delete" : NULL;
}

static enum part drive_event(struct player *p, struct run *run, enum life_event ev)
{
	enum run_state s = drive(run, &p->node.node, 0, NULL, NULL);

	if (getenv("SIM_TALK"))
		fprintf(stderr, "# %s: %d %s\n", life_event_name(ev), s, run_error(run)->text);
	run_close(run);
	if (s == RUN_UNDONE || s == RUN_FAILED)
		return PART_FAILED;
	if (s != RUN_DONE)
		return PART_STUCK;
	return topic_of(ev) ? tell(p, topic_of(ev)) : PART_OK;
}

enum part player_event(struct player *p, enum life_event ev)
{
	struct run_options o = RUN_OPTIONS_INIT;
	struct err err = ERR_INIT;
	struct run *run = NULL;
	char args[64];

	if (life_arrow(life_now(p), ev)->to == LIFE_NONE_)
		return PART_REFUSED;
	o.request = p->s->late ? REQUEST_LATE : p->s->native ? REQUEST_NATIVE : REQUEST;
	o.signal = SIGKILL;
	if (ev == EV_EXEC) {
		(void)snprintf(args, sizeof(args), "{\"exec_id\":\"e%d\"}", ++p->execs);
		o.args = args;
		o.input = "{}";
	}
	if (run_open(&run, &p->engine, p->j, ev, &o, &err) < 0) {
		if (getenv("SIM_TALK"))
			fprintf(stderr, "# %s: %s\n", life_event_name(ev), err.text);
		return PART_FAILED;
	}
	return drive_event(p, run, ev);
}

static int commit_exit(struct player *p, int status, struct err *err)
{
	enum life_state now;
	int r = journal_begin(p->j, err);

	if (r < 0)
		return r;
	r = journal_set_exit(p->j, EXIT_REAPED, WIFSIGNALED(status) ? 128u + (uint32_t)WTERMSIG(status)
			     : (uint32_t)WEXITSTATUS(status), p->node.node.wall_ns(&p->node.node),
			     err);
	if (r >= 0)
		r = engine_fire(p->j, EV_EXIT, &now, err);
	if (r >= 0)
		r = journal_tell(p->j, "/tasks/exit", "t", "d", 1, 0, err);
	if (r >= 0)
		return journal_commit(p->j, err);
	journal_rollback(p->j);
	return r;
}

static enum part init_exited(struct player *p, int status)
{
	struct err err = ERR_INIT;

	if (life_now(p) == LIFE_PAUSED)
		(void)player_event(p, EV_RESUME);
	if (commit_exit(p, status, &err) < 0)
		return PART_FAILED;
	return drain(p);
}

enum part player_notice(struct player *p)
{
	struct node *n = &p->node.node;
	enum part r = PART_OK;
	struct task_row row;
	struct ident init;

	if (!p->j || journal_task(p->j, &row, NULL) < 0)
		return PART_OK;
	init = row.init;
	task_row_clear(&row);
	for (int i = 0; i < SIM_PROCS; i++) {
		struct ident who = p->s->sim->procs[i].ident;
		int status = -1;

		if (who.pid <= 0 || !p->s->sim->procs[i].zombie ||
		    p->s->sim->procs[i].ppid != p->s->sim->me ||
		    n->reap(n, &who, &status, NULL) != 1)
			continue;
		n->forget(n, &who);
		if (who.pid == init.pid && who.start == init.start)
			r = init_exited(p, status);
	}
	return r;
}

enum part player_finish(struct player *p)
{
	struct err err = ERR_INIT;
	enum part r = player_event(p, EV_FINISH);

	if (r != PART_OK)
		return r;
	return journal_finish(&p->j, &err) < 0 ? PART_STUCK : PART_OK;
}

enum part player_shares(struct player *p)
{
	struct journal *j = NULL; /* until we die */
	struct err err = ERR_INIT;
	struct task_key key = p->key;

	(void)snprintf(key.id, sizeof(key.id), "t2");
	return journal_open(&j, &p->s->place, &key, JOURNAL_CREATE, &err) < 0 ? PART_BROKEN : PART_OK;
}

enum part player_recover(struct player *p)
{
	struct err err = ERR_INIT;
	int r;

	sim_play(p->s->sim, "uruncctl");
	p->worst = PART_OK;
	if (p->s->flags & RECOVER_DELETE)
		r = recover_this(p, p->s->flags, &err);
	else
		r = recover_all(&p->engine, &p->s->place, p->s->flags, 0, note, p, &err);
	if (r < 0 && getenv("SIM_TALK"))
		fprintf(stderr, "# recover: %s\n", err.text);
	return r < 0 ? PART_FAILED : p->worst;
}
