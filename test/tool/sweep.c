/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep.c - kill at every crash point, recover, look. For a private node (node.sh) and
 * the programs of MODE=crash.
 *
 *	sweep serve|delete|start|group|join PART PARTS STRIDE
 *
 *	serve	the server dies at the Nth point of a life, for every N; `uruncctl recover`
 *		takes the task back. Then the same death again, once for each point that
 *		the recovery passed: there it is killed itself, and a second one goes on.
 *	delete	the same with containerd's `delete` in place of the first recovery
 *	start	`start` dies at each of its points; recovery, or the next start of the id
 *	group	a second task comes to a shim and goes, and its `start`, its `delete`, or the
 *		child that moves its journal dies at each of its points; the first one, of
 *		which nothing may change, runs on
 *	join	the server of a task dies at every STRIDE-th of the points that it passes
 *		while a second one comes, lives and goes, and it follows; recovery takes
 *		both back, and the first one is told to have been killed
 *
 * After each of them the node must hold what it held before. This process does only
 * every PARTS-th N, beginning with PART (0 ...), so that nodes can share the work; and
 * kills a recovery at every STRIDE-th of its points, beginning with the (N mod
 * STRIDE)th, so that each has its turn. What is printed is for test/sweep/sweep.sh:
 *
 *	# what is left, and after what
 *	count NAME NUMBER		to be added up
 *
 * Needed, in the environment: T, BUILD, DAEMON, NS, SPEC, ROOTFS, and an event sink at
 * $DAEMON.ttrpc. With SANDBOX the task is a sandbox. Exit: 0; 1 it could not go to its end.
 */
#include "test/sweep/sweep.h"

#include "journal/base/cleanup.h"
#include "proto/ttrpc/client.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define VERB_MS   60000 /* then it hangs                            */
#define GOING_MS  3000  /* for a shim on its way out                */
#define SETTLE_MS 8000  /* for what children of the dead still finish */

const char *const sweep_ops[] = { "start", "Create", "Start", "Kill", "Wait", "Delete",
				  "Shutdown", "end" };

__attribute__((format(printf, 1, 2), noreturn))
static void stop(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("# sweep: ");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	exit(1);
}

/* ---- programs ------------------------------------------------------------------------ */

/* Its exit status, what it said, and on @axe what it and its children passed. */
int sweep_run(struct sweep *s, const struct axe *axe, const char *verb, struct verb *v)
{
	char at[32];

	if (axe) {
		(void)unlink(s->tally);
		(void)snprintf(at, sizeof(at), "%ld", axe->at);
		(void)setenv("URUNC_CRASH_ROLE", axe->role, 1);
		(void)setenv("URUNC_CRASH_TALLY", s->tally, 1);
		if (axe->at)
			(void)setenv("URUNC_CRASH_AT", at, 1);
	}
	if (!verb_fork(&s->life, v, verb))
		stop("can't run %s: %s", verb, strerror(errno));
	(void)unsetenv("URUNC_CRASH_ROLE");
	(void)unsetenv("URUNC_CRASH_TALLY");
	(void)unsetenv("URUNC_CRASH_AT");
	verb_go(v);
	return verb_wait(v, VERB_MS);
}

/* How many points were passed; the name of the @at-th goes to @name. */
long sweep_passed(const struct sweep *s, long at, char name[static 128])
{
	auto_file FILE *f = fopen(s->tally, "re");
	char line[160];
	long n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (++n == at && sscanf(line, "%*s %127[^\n]", name) != 1)
			name[0] = '\0';
	return n;
}

void sweep_wait_for_shim(void)
{
	int64_t end = client_deadline(GOING_MS);

	while (shim_lives() && client_deadline(0) < end)
		nap();
}

/* The call that failed, or the one after @until. */
enum op sweep_live_until(struct sweep *s, const struct axe *axe, enum op until)
{
	enum op op = OP_START_SHIM;
	struct verb v;

	if (sweep_run(s, axe, "start", &v) == 0 && sscanf(v.text, "unix://%127s", s->life.socket) == 1)
		do
			op++;
		while (op <= until && life_call(&s->life, sweep_ops[op], NULL) == 0);
	return op;
}

/* The call that failed, or OP_END; with an axe the server is dead afterwards. */
static enum op live(struct sweep *s, const struct axe *axe)
{
	enum op op = sweep_live_until(s, axe, OP_END - 1);

	sweep_wait_for_shim();
	return op;
}

/* ---- the node ---------------------------------------------------------------------------- */

void sweep_bundle_make(struct sweep *s)
{
	if (!life_prepare(&s->life))
		stop("can't make %s: %s", s->life.bundle, strerror(errno));
}

/* Its rootfs is a bind mount of what shall stay. */
void sweep_bundle_remove(struct sweep *s)
{
	char path[PATH_MAX + 16];

	(void)snprintf(path, sizeof(path), "%s/rootfs", s->life.bundle);
	while (umount2(path, UMOUNT_NOFOLLOW) == 0)
		;
	if (!life_remove(&s->life))
		stop("can't remove %s: %s", s->life.bundle, strerror(errno));
}

/* What came or went, the caller's to free; NULL: the node is what it was. */
static char *settle(struct sweep *s)
{
	int64_t end = client_deadline(SETTLE_MS);
	struct picture now = { .n = 0 };
	char *diff;

	for (;;) {
		reap();
		picture_take(&now, &s->places);
		diff = picture_diff(&s->before, &now, &s->places);
		if (!diff || client_deadline(0) > end)
			break;
		free(diff);
		nap();
	}
	picture_clear(&now);
	return diff;
}

void sweep_say(struct sweep *s, const char *what, const char *more)
{
	printf("# %s killed at %s%s%s%s: %s\n", s->mode, s->point,
	       s->inner_point[0] ? ", then its " : "",
	       !s->inner_point[0] ? "" : strcmp(s->mode, "delete") ? "recovery at " : "delete at ",
	       s->inner_point, what);
	for (; *more; more += strcspn(more, "\n"), more += *more == '\n')
		printf("#   %.*s\n", (int)strcspn(more, "\n"), more);
	(void)fflush(stdout);
	s->left++;
}

/* The end of each try: the node is what it was, but for the bundle. */
void sweep_look(struct sweep *s)
{
	auto_free char *diff = settle(s);
	struct verb v;

	if (diff) {
		sweep_say(s, "left on the node", diff);
		/* The next death is looked at by itself. */
		(void)sweep_run(s, NULL, "recover", &v);
	}
	sweep_bundle_remove(s);
	if (diff) {
		free(settle(s));
		picture_take(&s->before, &s->places);
	}
}

void sweep_recover_to_end(struct sweep *s, const struct axe *axe)
{
	struct verb v;

	s->recoveries++;
	if (sweep_run(s, axe, "recover", &v) > 1)
		sweep_say(s, "recover does not end well", v.text);
}

/* ---- what dies --------------------------------------------------------------------------- */

/* The first help to come after a death. */
static void help_to_end(struct sweep *s, const struct axe *axe)
{
	struct verb v;

	if (strcmp(s->mode, "delete") != 0)
		sweep_recover_to_end(s, axe);
	else if (sweep_run(s, axe, "delete", &v) != 0)
		sweep_say(s, "delete does not answer", v.text);
}

/* True if the life, or its start, got as far as that. */
static bool die(struct sweep *s, const char *role, long n, enum op *op)
{
	const struct axe axe = { role, n };

	sweep_bundle_make(s);
	s->inner_point[0] = '\0';
	*op = live(s, &axe);
	return sweep_passed(s, n, s->point) >= n;
}

/* The same death, with one point of its help deadly after the other. */
static void sweep_help(struct sweep *s, const char *role, long n, long points)
{
	struct verb v;
	enum op op;

	for (long k = n % s->stride + 1; k <= points; k += s->stride) {
		const struct axe axe = { role, k };

		(void)die(s, "serve", n, &op);
		(void)sweep_run(s, &axe, strcmp(s->mode, "delete") ? "recover" : "delete", &v);
		s->inner += sweep_passed(s, k, s->inner_point) >= k;
		sweep_recover_to_end(s, NULL);
		sweep_look(s);
	}
}

static void sweep_life(struct sweep *s)
{
	const struct axe count = { strcmp(s->mode, "delete") ? "recover" : "delete", 0 };
	enum op op;
	long n, points;

	for (n = s->part + 1; die(s, "serve", n, &op); n += s->parts) {
		s->deaths++;
		s->by_op[op]++;
		help_to_end(s, &count);
		points = sweep_passed(s, 0, s->inner_point);
		sweep_look(s);
		sweep_help(s, count.role, n, points);
	}
	if (op != OP_END)
		stop("a life that no death ends fails at %s", sweep_ops[op]);
	help_to_end(s, NULL);
	sweep_look(s);
}

static void sweep_start(struct sweep *s)
{
	enum op op;
	long n;

	for (n = s->part + 1; die(s, "start", n, &op); n += s->parts) {
		s->deaths++;
		s->by_op[op]++;
		sweep_recover_to_end(s, NULL);
		sweep_look(s);
		/* The next start of the same id stands on whatever the dead one left. */
		(void)die(s, "start", n, &op);
		op = live(s, NULL);
		if (op != OP_END)
			sweep_say(s, "the next one does not live, and fails at", sweep_ops[op]);
		sweep_recover_to_end(s, NULL);
		sweep_look(s);
	}
	sweep_recover_to_end(s, NULL);
	sweep_look(s);
}

/* ---- begin and end ----------------------------------------------------------------------- */

static const char *setting(const char *name)
{
	const char *value = getenv(name);

	if (!value)
		stop("%s is not set", name);
	return value;
}

/* What has been made for all lives stays, and is no leak. */
static void warm_up(struct sweep *s)
{
	int64_t end = client_deadline(SETTLE_MS);
	struct verb v;
	enum op op;

	sweep_bundle_make(s);
	op = live(s, NULL);
	if (op != OP_END)
		stop("a life without a crash fails at %s", sweep_ops[op]);
	(void)sweep_run(s, NULL, "delete", &v);
	sweep_bundle_remove(s);
	do {
		reap();
		picture_take(&s->before, &s->places);
	} while (picture_has(&s->before, "process ") && client_deadline(0) < end);
	if (picture_has(&s->before, "process "))
		stop("processes of a life without a crash do not end");
}

static void begin(struct sweep *s, char shim[static PATH_MAX], char ctl[static PATH_MAX])
{
	const char *t = setting("T"), *build = setting("BUILD");

	(void)snprintf(shim, PATH_MAX, "%s/containerd-shim-urunc-v2", build);
	(void)snprintf(ctl, PATH_MAX, "%s/uruncctl", build);
	s->life = (struct life){ .shim = shim, .ctl = ctl, .daemon = setting("DAEMON"),
				 .ns = setting("NS"), .id = "v", .rootfs = setting("ROOTFS"),
				 .spec = setting("SPEC"), .log = -1,
				 .sandbox = getenv("SANDBOX") != NULL };
	(void)snprintf(s->life.root, sizeof(s->life.root), "%s", t);
	s->places.root = s->life.root;
	(void)snprintf(s->tally, sizeof(s->tally), "%s/except", t);
	if (!picture_except(&s->places, s->tally))
		stop("can't use the patterns in %s", s->tally);
	(void)snprintf(s->tally, sizeof(s->tally), "%s/tally", t);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		stop("can't become the reaper: %s", strerror(errno));
	picture_know(&s->places);
}

static void tell(const struct sweep *s)
{
	printf("count deaths %ld\ncount recoveries %ld\ncount inner %ld\ncount left %ld\n",
	       s->deaths, s->recoveries, s->inner, s->left);
	for (enum op op = 0; op <= OP_END; op++)
		printf("count %s %ld\n", sweep_ops[op], s->by_op[op]);
}

int main(int argc, char **argv)
{
	struct sweep s = { .mode = argv[1] };
	char shim[PATH_MAX], ctl[PATH_MAX];

	if (argc != 5)
		stop("usage: sweep serve|delete|start|group|join PART PARTS STRIDE");
	s.part = strtol(argv[2], NULL, 10);
	s.parts = strtol(argv[3], NULL, 10);
	s.stride = strtol(argv[4], NULL, 10);
	if (s.parts < 1 || s.stride < 1)
		stop("PARTS and STRIDE are at least 1");
	begin(&s, shim, ctl);
	warm_up(&s);
	if (strcmp(s.mode, "start") == 0) {
		sweep_start(&s);
	} else if (strcmp(s.mode, "group") == 0) {
		sweep_second(&s, "start");
		sweep_second(&s, "delete");
	} else if (strcmp(s.mode, "join") == 0) {
		sweep_join(&s);
	} else {
		sweep_life(&s);
	}
	tell(&s);
	picture_clear(&s.before);
	return 0;
}
