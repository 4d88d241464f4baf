/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/sim_call.h"
#include "test/lib/sim_player.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define SPEC                                                                              \
	"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},\"process\":{\"args\":"  \
	"[\"sh\"],\"cwd\":\"/\"},\"linux\":{\"cgroupsPath\":\"/default/t1\","              \
	"\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"mount\"}]}}"

#define SPEC_NATIVE                                                                       \
	"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},\"process\":{\"args\":"  \
	"[\"guest\"],\"cwd\":\"/\"},\"linux\":{\"cgroupsPath\":\"/default/t1\","           \
	"\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"network\","  \
	"\"path\":\"/run/netns/t1\"}]}}"

/* ---- the stage ----------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void stage_pod(struct stage *s)
{
	if (s->native)
		sim_make(s->sim, "/run/netns/t1", S_IFREG | 0444);
}

void stage_place(struct stage *s)
{
	const char *fast = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	(void)snprintf(s->folder, sizeof(s->folder), "%s/sim-XXXXXX", fast);
	if (!mkdtemp(s->folder))
		abort();
	(void)snprintf(s->root, sizeof(s->root), "%s/journal", s->folder);
	(void)snprintf(s->run, sizeof(s->run), "%s/run", s->folder);
	if (journal_place_make(&s->place, s->root, s->run, NULL) < 0)
		abort();
}

void stage_open(struct stage *s)
{
	char path[SIM_PATH];
	struct sim_file *f;

	stage_place(s);
	s->config = (struct config){ .run = (char *)(uintptr_t)"/run/urunc",
				     .runtime = (char *)(uintptr_t)"",
				     .runtime_timeout_s = 10, .history_days = 1,
				     .history_count = 10 };
	s->id = "t1";
	s->sim = sim_new();
	s->sim->unikernel = s->late;
	sim_make(s->sim, "/bin/runc", S_IFREG | 0755);
	sim_make(s->sim, "/usr/bin/solo5-hvt", S_IFREG | 0755);
	(void)snprintf(path, sizeof(path), "/b/%s", s->id);
	sim_make(s->sim, path, S_IFDIR | 0711);
	(void)snprintf(path, sizeof(path), "/b/%s/config.json", s->id);
	f = sim_make(s->sim, path, S_IFREG | 0644);
	(void)snprintf(f->data, sizeof(f->data), "%s", s->native ? SPEC_NATIVE : SPEC);
	stage_pod(s);
	s->before = malloc(sizeof(*s->before));
	if (!s->before)
		abort();
	*s->before = *s->sim;
}

void stage_remove(struct stage *s)
{
	nftw(s->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void stage_close(struct stage *s)
{
	stage_remove(s);
	sim_free(s->sim);
	free(s->before);
}

/* ---- a life ---------------------------------------------------------------------------------- */

enum part play_life(struct player *p)
{
	static const enum life_event parts[] = {
		[UNTIL_CREATED] = EV_CREATE, [UNTIL_STARTED] = EV_START, [UNTIL_KILLED] = EV_KILL,
		[UNTIL_DELETED] = EV_DELETE,
	};
	enum part r = player_serve(p);

	for (int i = UNTIL_CREATED; r == PART_OK && i <= UNTIL_DELETED && i <= p->s->until; i++) {
		r = player_event(p, parts[i]);
		if (r == PART_OK)
			r = player_notice(p);
	}
	return r == PART_OK && p->s->until >= UNTIL_GONE ? player_finish(p) : r;
}

/* ---- processes of the test --------------------------------------------------------------------------- */

enum part stage_ended(struct stage *s, pid_t real)
{
	int status = 0;

	if (waitpid(real, &status, 0) != real)
		abort();
	if (!s->keep)
		sim_dead(s->sim);
	s->sim->die_at = s->sim->fail_at = 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return PART_DIED;
	return WIFEXITED(status) ? (enum part)WEXITSTATUS(status) : PART_BROKEN;
}

pid_t stage_fork(void)
{
	pid_t real = fork();

	if (real < 0)
		abort();
	if (real == 0) {
		/* A test that fails does not come back to end it. */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* It lives for milliseconds: what it takes is given back at its end. */
		(void)mallopt(M_TOP_PAD, 1 << 20);
		(void)mallopt(M_TRIM_THRESHOLD, 1 << 26);
		/* cmocka would go on with the next test. */
		(void)signal(SIGSEGV, SIG_DFL);
		(void)signal(SIGABRT, SIG_DFL);
	}
	return real;
}

enum part stage_life(struct stage *s)
{
	struct player p;
	pid_t real;

	s->sim->calls = 0;
	real = stage_fork();
	if (real == 0) {
		player_init(&p, s);
		sim_leave(play_life(&p));
	}
	return stage_ended(s, real);
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
	real = stage_fork();
	if (real == 0) {
		player_init(&p, s);
		if (play_life(&p) != PART_OK || (s->shared && player_shares(&p) != PART_OK) ||
		    write(fds[1], "x", 1) != 1)
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
	real = stage_fork();
	if (real == 0) {
		player_init(&p, s);
		sim_leave(player_recover(&p));
	}
	return stage_ended(s, real);
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

void stage_holds_nothing(struct stage *s, const char *what, int at, int then)
{
	char left[8192];

	if (*stage_left(s, left, sizeof(left)))
		fail_msg("%s %d, %d: left:\n%s", what, at, then, left);
}

int stage_calls(int until, bool native)
{
	struct stage s = { .until = until, .native = native };
	int calls;

	stage_open(&s);
	assert_int_equal(stage_life(&s), PART_OK);
	calls = s.sim->calls;
	stage_close(&s);
	return calls;
}
