/* SPDX-License-Identifier: Apache-2.0 */
#include "test/lib/sim_crew.h"

#include "test/lib/sim_call.h"
#include "test/lib/sim_player.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS_MAX 60000 /* of one party for one thing           */
#define REAL_S    60    /* and what it may take of our own time */
#define TURNS_MAX 100000

struct crew {
	struct stage stage;
	struct sim *sim;
	pid_t shim; /* the process that plays it, 0: none */
	int line;   /* to it                              */
	int life;
	bool died, created, faulty;
	enum part end; /* of the last recovery */
	struct ending *ret;
};

__attribute__((format(printf, 2, 3)))
static void broken(struct crew *c, const char *fmt, ...)
{
	size_t len = strlen(c->ret->broken);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->ret->broken + len, sizeof(c->ret->broken) - len, fmt, ap);
	va_end(ap);
}

/* ---- processes of the test -------------------------------------------------------------- */

/* Who was played by a process that is gone is dead. */
static enum part buried(struct crew *c, pid_t real)
{
	int status = 0;

	if (waitpid(real, &status, 0) != real)
		abort();
	for (int i = 0; i < SIM_PROCS; i++)
		if (c->sim->procs[i].played_by == real && c->sim->procs[i].ident.pid > 0) {
			sim_play_as(c->sim, c->sim->procs[i].ident.pid);
			sim_dead(c->sim);
		}
	c->sim->me = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) != SIM_ENDLESS)
		return (enum part)WEXITSTATUS(status);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		c->died = true;
		return PART_DIED;
	}
	return WIFSIGNALED(status) && WTERMSIG(status) != SIGALRM ? PART_BROKEN : PART_ENDLESS;
}

/* A process of its own; *line, if given, is our end of a pair. 0 in the child. */
static pid_t party(struct crew *c, int *line, struct player *p)
{
	int fds[2];
	pid_t real;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	real = stage_fork();
	if (real == 0) {
		close(fds[0]);
		if (c->line > 0)
			close(c->line);
		player_init(p, &c->stage);
		*line = fds[1];
		return 0;
	}
	close(fds[1]);
	*line = fds[0];
	return real;
}

static enum part shim_does(struct player *p, char op)
{
	static const struct {
		char op;
		enum life_event ev;
	} events[] = {
		{ 'c', EV_CREATE }, { 's', EV_START }, { 'x', EV_EXEC }, { 'k', EV_KILL },
		{ 'p', EV_PAUSE }, { 'r', EV_RESUME }, { 'd', EV_DELETE },
	};
	enum part r = PART_OK;

	if (!p->j)
		r = op == 'c' ? player_serve(p) : PART_REFUSED;
	for (size_t i = 0; r == PART_OK && i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i].op == op)
			r = player_event(p, events[i].ev);
	if (r == PART_OK && op == 'd')
		return player_finish(p);
	if (r != PART_REFUSED && player_notice(p) != PART_OK && r == PART_OK)
		r = PART_FAILED;
	return r;
}

static void shim_lives(struct player *p, int line, int life)
{
	unsigned char answer;
	pid_t me = 0;
	char op;

	p->life = life;
	while (read(line, &op, 1) == 1) {
		alarm(REAL_S);
		if (me)
			p->s->sim->me = me;
		answer = (unsigned char)shim_does(p, op);
		me = p->s->sim->me;
		alarm(0);
		if (write(line, &answer, 1) != 1 || !p->j)
			break; /* its task is over, or never began: it goes */
	}
	sim_leave(PART_OK);
}

static enum part shim_is_gone(struct crew *c, bool killed)
{
	enum part r;

	if (killed)
		(void)kill(c->shim, SIGKILL);
	r = buried(c, c->shim);
	close(c->line);
	c->shim = c->line = 0;
	return r;
}

static enum part ask_shim(struct crew *c, char op)
{
	unsigned char answer;

	if (write(c->line, &op, 1) != 1 || read(c->line, &answer, 1) != 1)
		return shim_is_gone(c, false);
	c->sim->me = 0;
	return (enum part)answer;
}

static bool shim_lives_on(struct crew *c)
{
	siginfo_t info = { 0 };

	return c->shim && waitid(P_PID, (id_t)c->shim, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == 0;
}

static enum part shim_op(struct crew *c, char op)
{
	struct player p;
	enum part r;
	int line;
	bool made = !c->shim && op == 'c';

	if (made) {
		c->life++;
		c->shim = party(c, &line, &p);
		if (c->shim == 0)
			shim_lives(&p, line, c->life);
		c->line = line;
	}
	if (!c->shim)
		return PART_REFUSED;
	r = ask_shim(c, op);
	/* It goes by itself when it has nothing to serve, and answers first. */
	if (c->shim && (op == 'd' ? r == PART_OK : made && r != PART_OK && r != PART_STUCK))
		(void)shim_is_gone(c, r != PART_OK);
	return r;
}

static enum part recovery(struct crew *c, unsigned flags)
{
	struct player p;
	pid_t real;
	int line;

	c->stage.flags = flags;
	real = party(c, &line, &p);
	if (real == 0) {
		alarm(REAL_S);
		sim_leave(player_recover(&p));
	}
	close(line);
	return buried(c, real);
}

/* Two at once: after @slice calls, more or less, the other one plays. */
static enum part two_recoveries(struct crew *c, int slice)
{
	pid_t real[2] = { 0, 0 };
	int line[2], living = 2, turn = 0;
	enum part r = PART_OK, one;

	c->stage.flags = 0;
	for (int i = 0; i < 2; i++) {
		struct player p;
		char go;

		real[i] = party(c, &line[i], &p);
		if (real[i] != 0)
			continue;
		if (i)
			close(line[0]);
		p.node.conductor = line[i];
		alarm(REAL_S);
		if (read(line[i], &go, 1) != 1)
			sim_leave(PART_BROKEN);
		sim_leave(player_recover(&p));
	}
	for (int n = 0; living > 0 && n < TURNS_MAX; n++) {
		char said = 'g';
		int at = living == 2 ? turn++ % 2 : real[0] ? 0 : 1;

		c->sim->slice = 1 + (slice * 7 + n * n) % 41;
		if (write(line[at], &said, 1) == 1 && read(line[at], &said, 1) == 1)
			continue;
		one = buried(c, real[at]);
		r = one > r ? one : r;
		close(line[at]);
		real[at] = 0;
		living--;
	}
	c->sim->slice = 0;
	return r;
}

/* ---- what happens --------------------------------------------------------------------------- */

static const char *verb_of(char op)
{
	switch (op) {
	case 'c':
		return "create";
	case 's':
		return "start";
	case 'x':
		return "exec";
	case 'p':
		return "pause";
	case 'r':
		return "resume";
	default:
		return "delete";
	}
}

static void arm(struct crew *c, const struct act *a)
{
	struct sim *sim = c->sim;

	sim->calls_max = sim->calls + CALLS_MAX;
	sim->disk_counts = a->fault == 'G';
	sim->disk_full = a->fault == 'F' || a->fault == 'G';
	sim->die_at = a->fault == 'D' || a->fault == 'G' ? sim->calls + a->n : 0;
	sim->fail_at = a->fault == 'E' ? sim->calls + a->n : 0;
	sim->fail_code = EIO;
	sim->hang_at = a->fault == 'H' ? sim->spawns + a->n : 0;
	sim->containerd_silent = a->fault == 'S';
	sim->runtime_at = a->n;
	(void)snprintf(sim->runtime_fails, sizeof(sim->runtime_fails), "%s",
		       a->fault == 'X' ? verb_of(a->op) : "");
}

static enum part happens(struct crew *c, const struct act *a)
{
	switch (a->op) {
	case 'z':
		return c->shim ? shim_is_gone(c, true) : PART_REFUSED;
	case 'v':
		return recovery(c, RECOVER_DELETE);
	case 'R':
		sim_pass(c->sim, OLD_MS);
		return recovery(c, 0);
	case '2':
		sim_pass(c->sim, OLD_MS);
		return two_recoveries(c, a->n);
	case 'B':
		if (c->shim)
			(void)shim_is_gone(c, true);
		sim_reboot(c->sim);
		stage_pod(&c->stage);
		*c->stage.before = *c->sim;
		return recovery(c, RECOVER_BOOT);
	default:
		return shim_op(c, a->op);
	}
}

/* ---- rules ------------------------------------------------------------------------------------ */

static void check_failed_create(struct crew *c)
{
	static const char *const held[] = { "process init", "mount", "/sys/fs/cgroup/", "link ",
					    "/run/hooks/" };
	char left[8192];

	stage_left(&c->stage, left, sizeof(left));
	for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++)
		if (strstr(left, held[i]))
			broken(c, "a create failed, and holds:\n%s", left);
}

static bool bystands(char op)
{
	return op == 'R' || op == '2';
}

static void check(struct crew *c, const struct act *a, enum part r, bool lived, uint64_t before)
{
	bool same = sim_digest(c->sim) == before;

	if (r == PART_BROKEN || r == PART_ENDLESS)
		broken(c, "%c%c%d: %s\n", a->op, a->fault ? a->fault : ' ', a->n,
		       r == PART_ENDLESS ? "it has no end" : "it crashed");
	if (a->op == 'c' && r == PART_FAILED && !lived)
		check_failed_create(c);
	if (r == PART_REFUSED && !same)
		broken(c, "%c: it was refused, and changed something\n", a->op);
	if (bystands(a->op) && lived && (!shim_lives_on(c) || !same))
		broken(c, "%c: a healthy task was touched\n", a->op);
}

static void play(struct crew *c, const struct act *a)
{
	bool lived = shim_lives_on(c);
	int calls = c->sim->calls;
	uint64_t before;
	enum part r;

	if (c->shim && !lived) /* somebody killed it */
		(void)shim_is_gone(c, false);
	before = sim_digest(c->sim);
	arm(c, a);
	r = happens(c, a);
	c->died |= r == PART_DIED || a->op == 'z' || a->op == 'v' || a->op == 'B';
	check(c, a, r, lived, before);
	c->ret->last = r;
	c->ret->calls = c->sim->calls - calls;
}

static int rank_of(const char *topic)
{
	static const char *const order[] = { "/tasks/create", "/tasks/start", "/tasks/exit",
					     "/tasks/delete" };
	int i = 0;

	while (strcmp(order[i], topic) != 0)
		i++;
	return i;
}

static void check_told(struct crew *c)
{
	const struct sim *sim = c->sim;
	int life = 0, rank = -1;

	for (int i = 0; i < sim->ntold; i++) {
		int now = rank_of(sim->told[i].topic);

		if (sim->told[i].life != life)
			rank = -1;
		life = sim->told[i].life;
		if (now < rank)
			broken(c, "life %d: %s was told too late\n", life, sim->told[i].topic);
		if (now == rank && !c->died)
			broken(c, "life %d: %s was told twice, and nobody died\n", life,
			       sim->told[i].topic);
		rank = now;
	}
}

/* Its end: by then who created it knows how it exited, or learns it from the recovery. */
static void checksim_leave(struct crew *c, bool recovered)
{
	const struct sim *sim = c->sim;
	bool started = false, known = recovered && sim->exit_how != EXIT_NONE_;

	for (int i = 0; i < sim->ntold; i++) {
		if (sim->told[i].life != c->life)
			continue;
		started |= strcmp(sim->told[i].topic, "/tasks/start") == 0;
		known |= strcmp(sim->told[i].topic, "/tasks/exit") == 0;
	}
	if (started && recovered && !known)
		broken(c, "life %d: its exit was lost\n", c->life);
}

/* Peace: what is left now is left for ever. */
static void peace(struct crew *c)
{
	const struct act none = { .op = 'R' };
	char left[2048];
	bool live;
	enum part r;

	if (c->shim)
		(void)shim_is_gone(c, true);
	arm(c, &none);
	sim_pass(c->sim, OLD_MS);
	stage_left(&c->stage, left, sizeof(left));
	live = strstr(left, "live journal") != NULL;
	r = recovery(c, 0);
	/* What was stuck is tried again; what became unreadable by then was set aside. */
	if (r != PART_OK)
		r = recovery(c, 0);
	if (r != PART_OK)
		broken(c, "the last recovery ended %d\n", r);
	if (*stage_left(&c->stage, left, sizeof(left)))
		broken(c, "left:\n%s", left);
	check_told(c);
	checksim_leave(c, live);
}

void crew_play(const struct script *script, struct ending *ret)
{
	struct crew c = { .stage = { .native = script->native }, .ret = ret };

	*ret = (struct ending){ .last = PART_OK };
	stage_open(&c.stage);
	c.sim = c.stage.sim;
	for (int i = 0; i < script->n && !*ret->broken; i++)
		play(&c, &script->at[i]);
	peace(&c);
	stage_close(&c.stage);
}
