/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/sim_life.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The name is the hash of /run/c.sock/default/t1. */
#define SOCKET                                                                            \
	"/run/containerd/s/dd09ba73725b34d40390e4e5128ea3ded7e75208a7501229bab08b34dd1f73c1"
#define SPEC                                                                              \
	"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},\"process\":{\"args\":"  \
	"[\"sh\"],\"cwd\":\"/\"},\"linux\":{\"cgroupsPath\":\"/default/t1\","              \
	"\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"mount\"}]}}"
#define REQUEST                                                                           \
	"{\"stdin\":\"\",\"stdout\":\"\",\"stderr\":\"\",\"terminal\":false,\"rootfs\":[{"  \
	"\"type\":\"overlay\",\"source\":\"overlay\",\"target\":\"\",\"options\":[]}],"     \
	"\"options\":{},\"cgroups_path\":\"/default/t1\",\"pid_namespace\":\"private\","    \
	"\"rootfs_choice\":\"best-effort\"}"

/* ---- the stage ----------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void stage_open(struct stage *s)
{
	char path[SIM_PATH];
	struct sim_file *f;
	const char *fast = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	(void)snprintf(s->folder, sizeof(s->folder), "%s/sim-XXXXXX", fast);
	if (!mkdtemp(s->folder))
		abort();
	(void)snprintf(s->root, sizeof(s->root), "%s/journal", s->folder);
	(void)snprintf(s->run, sizeof(s->run), "%s/run", s->folder);
	s->place = (struct journal_place){ .root = s->root, .run = s->run };
	s->config = (struct config){ .run = (char *)(uintptr_t)"/run/urunc",
				     .runtime = (char *)(uintptr_t)"",
				     .runtime_timeout_s = 10, .history_days = 1,
				     .history_count = 10 };
	s->id = "t1";
	s->sim = sim_new();
	f = sim_make(s->sim, "/bin/runc", S_IFREG | 0755);
	(void)snprintf(path, sizeof(path), "/b/%s", s->id);
	sim_make(s->sim, path, S_IFDIR | 0711);
	(void)snprintf(path, sizeof(path), "/b/%s/config.json", s->id);
	f = sim_make(s->sim, path, S_IFREG | 0644);
	(void)snprintf(f->data, sizeof(f->data), "%s", SPEC);
	s->before = malloc(sizeof(*s->before));
	if (!s->before)
		abort();
	*s->before = *s->sim;
}

void stage_close(struct stage *s)
{
	nftw(s->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	sim_free(s->sim);
	free(s->before);
}

/* ---- start ------------------------------------------------------------------------------------ */

struct player {
	struct stage *s;
	struct sim_node node;
	struct engine engine;
	struct task_key key;
	struct journal *j;
};

static void broken(const char *what, const struct err *err)
{
	fprintf(stderr, "# %s: %s\n", what, err ? err->text : "");
	_exit(PART_BROKEN);
}

static void player(struct player *p, struct stage *s)
{
	struct err err = ERR_INIT;

	memset(p, 0, sizeof(*p));
	p->s = s;
	sim_node_init(&p->node, s->sim);
	p->engine = (struct engine){ .node = &p->node.node, .config = &s->config };
	if (task_key_make(&p->key, "/run/c.sock", "default", s->id, &err) < 0)
		broken("key", &err);
}

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
		r = journal_set_text(p->j, TASK_RUNTIME, "/bin/runc", err);
	if (r == 0)
		r = journal_set_text(p->j, TASK_RUNTIME_ROOT, "/run/containerd/runc/default", err);
	if (r == 0)
		r = journal_set_bundle(p->j, "/b/t1", dir.dev, dir.ino, err);
	return r == 0 ? journal_commit(p->j, err) : r;
}

static enum run_state driven(struct player *p, struct run *run)
{
	enum run_state s = drive(run, &p->node.node, 0, NULL, NULL);

	run_close(run);
	return s;
}

/* What `start` answers for a failure; all of its own is gone then. */
static void start_failed(struct player *p)
{
	struct err err = ERR_INIT;

	if (journal_finish(&p->j, &err) < 0)
		_exit(PART_STUCK);
	_exit(PART_FAILED);
}

static void play_start(struct player *p)
{
	struct run_options o = RUN_OPTIONS_INIT;
	struct err err = ERR_INIT;
	struct run *run = NULL;
	enum run_state s;
	int fd = -1;

	sim_play(p->s->sim, "start");
	if (journal_open(&p->j, &p->s->place, &p->key, JOURNAL_CREATE, &err) < 0)
		broken("journal", &err);
	if (describe(p, &err) < 0)
		start_failed(p);
	/* The server, which is forked next, is played by this process. */
	p->s->sim->next_pid = getpid();
	o.ret_listen_fd = &fd;
	o.serve = not_called;
	if (run_serve(&run, &p->engine, p->j, "{\"socket\":\"" SOCKET "\",\"address\":\"unix://"
		      SOCKET "\"}", &o, &err) < 0)
		broken("serve", &err);
	s = driven(p, run);
	if (fd >= 0)
		close(fd);
	if (s == RUN_UNDONE)
		start_failed(p);
	if (s != RUN_DONE)
		_exit(PART_STUCK);
}

/* ---- the shim ------------------------------------------------------------------------------------ */

static void become_shim(struct player *p)
{
	struct err err = ERR_INIT;
	struct task_row row;

	if (journal_task(p->j, &row, &err) < 0)
		broken("task", &err);
	p->j = journal_close(p->j);
	sim_dead(p->s->sim);
	sim_play_as(p->s->sim, row.shim.pid);
	task_row_clear(&row);
	if (journal_open(&p->j, &p->s->place, &p->key, JOURNAL_OWN, &err) < 0)
		broken("own", &err);
}

static void happens(struct player *p, enum life_event ev)
{
	struct run_options o = RUN_OPTIONS_INIT;
	struct err err = ERR_INIT;
	struct run *run = NULL;
	enum run_state s;

	o.request = REQUEST;
	o.signal = SIGKILL;
	if (run_open(&run, &p->engine, p->j, ev, &o, &err) < 0) {
		fprintf(stderr, "# %s: %s\n", life_event_name(ev), err.text);
		_exit(PART_FAILED);
	}
	s = drive(run, &p->node.node, 0, NULL, NULL);
	if (s == RUN_DONE) {
		run_close(run);
		return;
	}
	_exit(s == RUN_UNDONE || s == RUN_FAILED ? PART_FAILED : PART_STUCK);
}

static void init_exits(struct player *p)
{
	struct err err = ERR_INIT;
	enum life_state now;

	if (journal_set_exit(p->j, EXIT_REAPED, 137, p->node.node.wall_ns(&p->node.node),
			     &err) < 0 ||
	    engine_fire(p->j, EV_EXIT, &now, &err) < 0)
		_exit(PART_FAILED);
}

static void play_life(struct player *p)
{
	struct err err = ERR_INIT;
	int until = p->s->until;

	play_start(p);
	become_shim(p);
	if (until >= UNTIL_CREATED)
		happens(p, EV_CREATE);
	if (until >= UNTIL_STARTED)
		happens(p, EV_START);
	if (until >= UNTIL_KILLED) {
		happens(p, EV_KILL);
		init_exits(p);
	}
	if (until >= UNTIL_DELETED)
		happens(p, EV_DELETE);
	if (until < UNTIL_GONE)
		return;
	happens(p, EV_FINISH);
	if (journal_finish(&p->j, &err) < 0)
		_exit(PART_STUCK);
}

/* ---- processes of the test --------------------------------------------------------------------------- */

static enum part ended(struct stage *s, pid_t real)
{
	int status = 0;

	if (waitpid(real, &status, 0) != real)
		abort();
	sim_dead(s->sim);
	s->sim->die_at = s->sim->fail_at = 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return PART_DIED;
	return WIFEXITED(status) ? (enum part)WEXITSTATUS(status) : PART_BROKEN;
}

enum part stage_life(struct stage *s)
{
	struct player p;
	pid_t real;

	s->sim->calls = 0;
	real = fork();
	if (real == 0) {
		player(&p, s);
		play_life(&p);
		_exit(PART_OK);
	}
	return ended(s, real);
}

pid_t stage_shim(struct stage *s)
{
	struct player p;
	pid_t real;
	int fds[2];
	char c;

	s->sim->calls = 0;
	if (pipe2(fds, O_CLOEXEC) < 0)
		abort();
	real = fork();
	if (real == 0) {
		/* A test that fails does not come back to end it. */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		player(&p, s);
		play_life(&p);
		sim_find(s->sim, s->sim->me)->real = true;
		if (write(fds[1], "x", 1) != 1)
			_exit(PART_BROKEN);
		for (;;)
			pause();
	}
	close(fds[1]);
	if (read(fds[0], &c, 1) != 1)
		abort();
	close(fds[0]);
	s->sim->me = 0;
	return real;
}

void stage_end(struct stage *s, pid_t real)
{
	(void)s;
	kill(real, SIGKILL);
	(void)waitpid(real, NULL, 0);
}

static int note(void *arg, const struct recover_report *r, int at, int of)
{
	enum part *worst = arg;

	(void)at;
	(void)of;
	if (r->result == RECOVER_LEFT)
		*worst = PART_LEFT;
	else if (r->result == RECOVER_HEALTHY)
		*worst = PART_HEALTHY;
	else if (r->result == RECOVER_FAILED)
		*worst = PART_BROKEN;
	if (getenv("SIM_TALK"))
		fprintf(stderr, "# %s: %d found=%s done=%s left=%s why=%s exit=%d\n", r->key.id,
			r->result, r->found, r->done, r->left, r->why, (int)r->exit_status);
	return 0;
}

static void play_recover(struct player *p)
{
	struct recover_report report;
	struct err err = ERR_INIT;
	enum part worst = PART_OK;
	int r;

	sim_play(p->s->sim, "uruncctl");
	if (p->s->flags & RECOVER_DELETE) { /* containerd calls us, and says so much */
		p->engine.address = "/run/c.sock";
		p->engine.bundle = "/b/t1";
		r = recover_task(&p->engine, &p->s->place, &p->key, p->s->flags, 0, &report, &err);
		if (r == 0) {
			note(&worst, &report, 1, 1);
			recover_report_clear(&report);
		} else if (r != -ENOENT) {
			broken("recover", &err);
		}
	} else if (recover_all(&p->engine, &p->s->place, p->s->flags, 0, note, &worst, &err) < 0) {
		broken("recover", &err);
	}
	_exit(worst);
}

void stage_tear(struct stage *s)
{
	static const char *const tails[] = { "", "-wal", "-shm" };
	struct task_key key;
	char path[PATH_MAX];

	if (task_key_make(&key, "/run/c.sock", "default", s->id, NULL) < 0)
		abort();
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s/live/%s/default/%s.db%s", s->root, key.daemon,
			       s->id, tails[i]);
		if (i ? unlink(path) < 0 && errno != ENOENT
		      : truncate(path, 100) < 0 && errno != ENOENT)
			abort();
	}
}

enum part stage_recover(struct stage *s)
{
	struct player p;
	pid_t real;

	s->sim->calls = 0;
	real = fork();
	if (real == 0) {
		player(&p, s);
		play_recover(&p);
	}
	return ended(s, real);
}

/* ---- the promise ----------------------------------------------------------------------------------------- */

static int say_live(void *arg, const struct task_key *key, const char *file)
{
	char *buf = arg;

	(void)file;
	(void)snprintf(buf + strlen(buf), 128, "live journal %s\n", key->id);
	return 0;
}

char *stage_left(struct stage *s, char *buf, size_t size)
{
	sim_left(s->sim, s->before, buf, size - 256);
	(void)journal_list(&s->place, JOURNAL_LIVE, say_live, buf, NULL);
	return buf;
}
