/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/pod.h"

#include "test/lib/sim_life.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TASKS_MAX 8

/* ---- a shim ------------------------------------------------------------------------------- */

struct command {
	char op; /* 't'akes, 'd'rops, 'f'inishes */
	struct task_key key;
};

static bool same(const struct task_key *a, const struct task_key *b)
{
	return strcmp(a->daemon, b->daemon) == 0 && strcmp(a->ns, b->ns) == 0 &&
	       strcmp(a->id, b->id) == 0;
}

static int obeys(const struct journal_place *place, struct journal **all, const struct command *o)
{
	struct err err = ERR_INIT;
	int r = -ENOENT;

	for (int i = 0; i < TASKS_MAX && r == -ENOENT; i++) {
		if (o->op == 't' && !all[i])
			r = journal_open(&all[i], place, &o->key, JOURNAL_OWN, &err);
		else if (o->op == 't' || !all[i] || !same(journal_key(all[i]), &o->key))
			continue;
		else if (o->op == 'f')
			r = journal_finish(&all[i], &err);
		else
			r = (all[i] = journal_close(all[i])) ? -EIO : 0;
	}
	if (r < 0)
		fprintf(stderr, "# %c %s: %s\n", o->op, o->key.id, err.text);
	return r;
}

_Noreturn static void serve(const struct journal_place *place, int line)
{
	struct journal *all[TASKS_MAX] = { NULL };
	struct command o;
	int r;

	while (read(line, &o, sizeof(o)) == sizeof(o)) {
		r = obeys(place, all, &o);
		if (write(line, &r, sizeof(r)) != sizeof(r))
			break;
	}
	_exit(0); /* its locks go with it */
}

void shim_begin(struct pod *p, struct shim *ret)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	ret->real = stage_fork();
	if (ret->real == 0) {
		close(fds[0]);
		serve(&p->b->place, fds[1]);
	}
	close(fds[1]);
	ret->line = fds[0];
	p->sim->real_pid = ret->real;
	ret->ident = sim_proc_new(p->sim, "shim", 1)->ident;
	sim_find(p->sim, ret->real)->played_by = ret->real;
	sim_pass(p->sim, OLD_MS);
}

void shim_end(struct shim *shim)
{
	close(shim->line);
	(void)kill(shim->real, SIGKILL);
	assert_int_equal(waitpid(shim->real, NULL, 0), shim->real);
}

static void tell(struct shim *shim, char op, const struct task_key *key)
{
	struct command o = { .op = op, .key = *key };
	int r = -1;

	assert_int_equal(write(shim->line, &o, sizeof(o)), sizeof(o));
	assert_int_equal(read(shim->line, &r, sizeof(r)), sizeof(r));
	assert_int_equal(r, 0);
}

void shim_takes(struct shim *shim, const struct task_key *key)
{
	tell(shim, 't', key);
}

void shim_drops(struct shim *shim, const struct task_key *key)
{
	tell(shim, 'd', key);
}

void shim_finishes(struct shim *shim, const struct task_key *key)
{
	tell(shim, 'f', key);
}

bool shim_lives(struct pod *p, const struct shim *shim)
{
	const struct sim_proc *proc = sim_find(p->sim, shim->ident.pid);

	return proc && !proc->zombie && kill(shim->real, 0) == 0;
}

/* ---- the recovery's node -------------------------------------------------------------------- */

/* It is asked to let go; only then its file is another's to take. */
static void released(struct pod *p, struct sim_proc *job)
{
	switch (p->lets_go) {
	case NEVER_ANSWERS:
		return;
	case REFUSES:
		sim_done(p->sim, job, EBUSY, "a create of it is under way");
		return;
	case REFUSES_MUTE:
		sim_done(p->sim, job, EBUSY, "");
		return;
	case LETS_GO:
		shim_finishes(p->shim, &p->key);
		break;
	case LETS_GO_LATER:
		p->later = 'f';
		break;
	case LETS_GO_NEVER:
		break;
	}
	if (p->at_release)
		p->happens(p, AT_RELEASE);
	sim_done(p->sim, job, 0, "");
}

static int spawn_go(struct node *n, const struct ident *child, struct err *err)
{
	struct pod *p = (struct pod *)n;
	int r = p->b->node.node.spawn_go(&p->b->node.node, child, err);
	struct sim_proc *job = sim_find(p->sim, child->pid);

	if (r == 0 && job && job->job == JOB_RELEASE)
		released(p, job);
	return r;
}

static int pauses(struct node *n, struct pollfd *fds, unsigned count, int ms)
{
	struct pod *p = (struct pod *)n;

	if (p->later && ms > 0) {
		tell(p->shim, p->later, &p->key);
		p->later = '\0';
	}
	return p->b->node.node.poll(&p->b->node.node, fds, count, ms);
}

static int alive(struct node *n, const struct ident *who, struct err *err)
{
	struct pod *p = (struct pod *)n;

	if (p->at_alive && --p->at_alive == 0)
		p->happens(p, AT_ALIVE);
	return p->b->node.node.alive(&p->b->node.node, who, err);
}

static int64_t now_ms(struct node *n)
{
	struct pod *p = (struct pod *)n;

	if (p->at_clock && --p->at_clock == 0)
		p->happens(p, AT_CLOCK);
	return p->b->node.node.now_ms(&p->b->node.node);
}

/* ---- a pod ------------------------------------------------------------------------------------ */

int pod_open(void **state)
{
	struct pod *p = calloc(1, sizeof(*p));
	void *bench = NULL;
	struct err err = ERR_INIT;

	assert_non_null(p);
	assert_int_equal(bench_open(&bench), 0);
	p->b = bench;
	p->sim = p->b->sim;
	assert_int_equal(journal_finish(&p->b->j, &err), 0);
	sim_node_init(&p->node, p->sim);
	p->node.node.spawn_go = spawn_go;
	p->node.node.poll = pauses;
	p->node.node.alive = alive;
	p->node.node.now_ms = now_ms;
	p->engine = p->b->engine;
	p->engine.node = &p->node.node;
	*state = p;
	return 0;
}

int pod_close(void **state)
{
	struct pod *p = *state;
	void *bench = p->b;

	recover_report_clear(&p->report);
	free(p);
	return bench_close(&bench);
}

struct task_key pod_key(const char *id)
{
	struct task_key key;

	assert_int_equal(task_key_make(&key, "/run/c.sock", "default", id, NULL), 0);
	return key;
}

void pod_task_of(struct pod *p, const struct task_key *key, const struct ident *shim)
{
	struct bench *b = p->b;
	struct err err = ERR_INIT;
	char request[128];

	(void)snprintf(request, sizeof(request), "{\"create\":[{\"path\":\"/held_%s\"}]}", key->id);
	assert_int_equal(journal_open(&b->j, &b->place, key, JOURNAL_CREATE, &err), 0);
	assert_int_equal(journal_set_text(b->j, TASK_ADDRESS, "/run/c.sock", &err), 0);
	assert_int_equal(journal_set_text(b->j, TASK_EPOCH, p->sim->epoch, &err), 0);
	assert_int_equal(journal_set_text(b->j, TASK_SOCKET, "/run/s", &err), 0);
	assert_int_equal(journal_set_text(b->j, TASK_RUNTIME, "/bin/runc", &err), 0);
	assert_int_equal(bench_happens(b, EV_CREATE, request, NULL), RUN_DONE);
	assert_int_equal(journal_set_shim(b->j, shim, &err), 0);
	b->j = journal_close(b->j);
}

void pod_task(struct pod *p, const char *id, const struct ident *shim)
{
	struct task_key key = pod_key(id);

	pod_task_of(p, &key, shim);
}

void pod_dead(struct pod *p, const char *id)
{
	const struct ident nobody = { .pid = 77, .start = 7 };

	pod_task(p, id, &nobody);
}

void shim_serves(struct pod *p, struct shim *shim, const char *id)
{
	struct task_key key = pod_key(id);

	pod_task_of(p, &key, &shim->ident);
	shim_takes(shim, &key);
}

struct journal *pod_journal(struct pod *p, const char *id)
{
	struct task_key key = pod_key(id);
	struct journal *j = NULL;

	assert_int_equal(journal_open(&j, &p->b->place, &key, JOURNAL_OWN, NULL), 0);
	return j;
}

char *pod_file(struct pod *p, const char *id, char *buf, size_t size)
{
	struct task_key key = pod_key(id);

	(void)snprintf(buf, size, "%s/live/%s/%s/%s.db", p->b->root, key.daemon, key.ns, id);
	return buf;
}

char *pod_lock(struct pod *p, const char *id, char *buf, size_t size)
{
	struct task_key key = pod_key(id);

	(void)snprintf(buf, size, "%s/lock/%s/%s/%s", p->b->run, key.daemon, key.ns, id);
	return buf;
}

void pod_writes(const char *file, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

void pod_newer_wrote(const char *file)
{
	pod_writes(file, "UPDATE task SET exit_how='dreamt'");
}

void pod_recovers(struct pod *p, const char *id, unsigned flags, int64_t deadline_ms,
		  enum recover_result result)
{
	p->key = pod_key(id);
	p->err = (struct err)ERR_INIT;
	recover_report_clear(&p->report);
	assert_int_equal(recover_task(&p->engine, &p->b->place, &p->key, flags, deadline_ms,
				      &p->report, &p->err), 0);
	if (p->report.result != result)
		fail_msg("%s: %d, not %d: found=%s done=%s left=%s why=%s", id, p->report.result,
			 result, p->report.found, p->report.done, p->report.left, p->report.why);
}

void pod_says(const char *text, const char *part)
{
	assert_non_null(text);
	if (!strstr(text, part))
		fail_msg("not said: %s; but: %s", part, text);
}

bool pod_live(struct pod *p, const char *id)
{
	char path[PATH_MAX];

	return access(pod_file(p, id, path, sizeof(path)), F_OK) == 0;
}

bool pod_holds(struct pod *p, const char *id)
{
	char path[JOURNAL_ID_MAX + 8];

	(void)snprintf(path, sizeof(path), "/held_%s", id);
	return bench_there(p->b, path);
}
