/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls.c - our programs are struck at every system call, one after the other.
 *
 *	calls [-e | -m] [-k STRIDE] [-t SECONDS] [-s SEED] [-a ACT] [-p POINT] SHIM CTL
 *
 * Within a private node whose folder is $T (test/sweep/calls.sh): a task lives until
 * the act, the act is struck at its Nth system call, `uruncctl recover` is run and
 * killed at some call of its own, run again to its end, and then the node must hold
 * what it held before. Each act and N in three ways, see axe.h. With -e nobody dies:
 * the Nth call of those that can, fails with ENOSPC, EIO, ENOMEM, EMFILE, EINTR, EBUSY
 * or EPERM; then every answer must be a success or a clear error, the shim lives, and
 * after the end of the task the node is clean. With -m, the same when the Nth allocation
 * fails; famine.so, in the folder of SHIM, is needed for that.
 *
 *	-k	every so-many-th call, from a random one on
 *	-t	at random, for so long
 *	-a	the acts alone whose names begin so
 *	-p	this point alone, as a failure prints it: act:way:N:K
 *
 * Exit: 0 all survived; 1 not; 2 usage.
 */
#include "test/calls/round.h"

#include "journal/base/cleanup.h"
#include "proto/ttrpc/client.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define TOLD_MAX 20 /* failures, after which it is not worth going on */

static const char *const ways[AXE_WHO_N] = { "self", "cli", "all" };

struct sweep {
	struct round round;
	bool failing, starving;
	long stride, seconds;
	unsigned long seed;
	const char *only; /* how the names of the acts begin */
	unsigned short rand[3];
	struct point *points;
	size_t n_points, room;
	long recover_calls;
	size_t done, fell, nested, left, library;
	size_t act_fell[ACT_N];
	long act_calls[ACT_N];
};

static long some(struct sweep *s, long below)
{
	return below > 0 ? nrand48(s->rand) % below : 0;
}

static const char *way_name(const struct point *p)
{
	for (size_t i = 0; p->error && i < AXE_ERRORS; i++)
		if (axe_errors[i].code == p->error)
			return axe_errors[i].name;
	return ways[p->who];
}

/* ---- the points ---------------------------------------------------------------------------- */

static void add_points(struct sweep *s, struct point like, long calls)
{
	for (like.n = 1 + some(s, s->stride); like.n <= calls; like.n += s->stride) {
		if (s->n_points == s->room) {
			s->room = s->room ? 2 * s->room : 1024;
			s->points = reallocarray(s->points, s->room, sizeof(*s->points));
			if (!s->points)
				abort();
		}
		like.k = s->failing ? 0 : 1 + some(s, s->recover_calls);
		s->points[s->n_points++] = like;
	}
}

static struct axe_result count(struct sweep *s, struct point p)
{
	struct outcome o = round_run(&s->round, &p);

	if (o.why_not)
		printf("# %s, unharmed: %s", p.act->name, o.why_not);
	s->left += !o.survived;
	free(o.why_not);
	return o.hit;
}

static void plan_act(struct sweep *s, int at)
{
	struct point p = { .act = &acts[at], .error = s->failing ? ENOMEM : 0 };
	struct axe_result whole = count(s, p);

	s->act_calls[at] = whole.seen;
	for (p.who = AXE_SELF; !s->failing && p.who < AXE_WHO_N; p.who++)
		add_points(s, p, whole.seen);
	if (s->starving)
		add_points(s, p, whole.seen);
	for (size_t i = 0; s->failing && !s->starving && i < AXE_ERRORS; i++) {
		p.error = axe_errors[i].code;
		add_points(s, p, whole.each[i]);
	}
}

/* In any order, when there is no time for all. */
static void shuffle(struct sweep *s)
{
	for (size_t i = s->n_points; i > 1; i--) {
		size_t k = (size_t)some(s, (long)i);
		struct point swap = s->points[i - 1];

		s->points[i - 1] = s->points[k];
		s->points[k] = swap;
	}
}

static void plan(struct sweep *s)
{
	if (!s->failing)
		s->recover_calls = count(s, (struct point){ .act = &acts[ACT_N - 1] }).seen;
	for (int i = 0; i < ACT_N; i++)
		if (strncmp(acts[i].name, s->only, strlen(s->only)) == 0)
			plan_act(s, i);
	if (s->seconds)
		shuffle(s);
}

static bool read_point(struct sweep *s, const char *text)
{
	struct point p = { .act = NULL };
	char act[32], way[16];

	if (sscanf(text, "%31[^:]:%15[^:]:%ld:%ld", act, way, &p.n, &p.k) != 4)
		return false;
	for (int i = 0; i < ACT_N; i++)
		if (strcmp(acts[i].name, act) == 0)
			p.act = &acts[i];
	for (int i = 0; i < AXE_WHO_N; i++)
		if (strcmp(ways[i], way) == 0)
			p.who = (enum axe_who)i;
	for (size_t i = 0; i < AXE_ERRORS; i++)
		if (strcmp(axe_errors[i].name, way) == 0)
			p.error = axe_errors[i].code;
	s->points = calloc(1, sizeof(p));
	if (!s->points || !p.act)
		return false;
	s->points[s->n_points++] = p;
	s->failing = p.error != 0;
	return true;
}

/* ---- the sweep -------------------------------------------------------------------------------- */

static void do_point(struct sweep *s, const struct point *p)
{
	struct outcome o = round_run(&s->round, p);

	s->done++;
	s->fell += o.hit.fell;
	s->nested += o.nested;
	s->library += o.library;
	s->act_fell[p->act - acts] += o.hit.fell;
	if (!o.survived) {
		s->left++;
		printf("# %s:%s:%ld:%ld (system call %ld), seed %lu: %s", p->act->name, way_name(p),
		       p->n, p->k, o.hit.number, s->seed, o.why_not);
		(void)fflush(stdout);
	}
	free(o.why_not);
}

static void report(const struct sweep *s)
{
	const char *what = s->starving ? "failed allocations" :
			   s->failing  ? "failed calls" : "deaths";

	for (int i = 0; i < ACT_N; i++)
		if (s->act_calls[i])
			printf("# %s: %ld of them, %zu %s\n", acts[i].name, s->act_calls[i],
			       s->act_fell[i], what);
	printf("%s 1 - %zu %s, %zu of them with a killed recovery, %zu left (seed %lu)\n",
	       s->left ? "not ok" : "ok", s->fell, what, s->nested, s->left, s->seed);
	if (s->library)
		printf("# %zu of them are deaths of json-c, which does not look at what malloc() "
		       "says; all clean\n", s->library);
	printf("%s 2 - the axe falls\n1..2\n", s->fell ? "ok" : "not ok");
}

static void sweep(struct sweep *s)
{
	int64_t end = client_deadline((int)s->seconds * 1000);

	if (!s->n_points)
		plan(s);
	for (size_t i = 0; i < s->n_points && s->left < TOLD_MAX; i++) {
		if (s->seconds && client_deadline(0) > end)
			break;
		do_point(s, &s->points[i]);
	}
	report(s);
}

/* ---- the beginning ------------------------------------------------------------------------------- */

static int options(struct sweep *s, int argc, char **argv)
{
	const char *point = NULL;
	int c;

	s->stride = 1;
	s->only = "";
	s->seed = (unsigned long)time(NULL);
	while ((c = getopt(argc, argv, "emk:t:s:a:p:")) >= 0) {
		if (c == 'e')
			s->failing = true;
		else if (c == 'm')
			s->failing = s->starving = true;
		else if (c == 'k')
			s->stride = atol(optarg);
		else if (c == 't')
			s->seconds = atol(optarg);
		else if (c == 's')
			s->seed = strtoul(optarg, NULL, 10);
		else if (c == 'a')
			s->only = optarg;
		else if (c == 'p')
			point = optarg;
		else
			return -1;
	}
	s->rand[0] = (unsigned short)s->seed;
	s->rand[1] = (unsigned short)(s->seed >> 16);
	s->rand[2] = 0x330e;
	if (argc - optind != 2 || s->stride < 1 || (point && !read_point(s, point)))
		return -1;
	s->round.life.shim = argv[optind];
	s->round.life.ctl = argv[optind + 1];
	return 0;
}

static const char *setting(const char *name)
{
	const char *value = getenv(name);

	if (value)
		return value;
	fprintf(stderr, "calls: %s is not set: see test/sweep/calls.sh\n", name);
	exit(2);
}

static int places(struct sweep *s)
{
	struct life *l = &s->round.life;
	const char *root = setting("T");
	char except[PATH_MAX], journal[PATH_MAX], run[PATH_MAX];
	struct err err = ERR_INIT;

	l->daemon = setting("DAEMON");
	l->ns = setting("NS");
	l->rootfs = setting("ROOTFS");
	l->spec = setting("SPEC");
	l->id = "v";
	l->log = -1;
	snprintf(l->root, sizeof(l->root), "%s", root);
	snprintf(except, sizeof(except), "%s/except", root);
	if (!picture_except(&s->round.places, except)) {
		fprintf(stderr, "calls: can't use the patterns in %s\n", except);
		return -1;
	}
	snprintf(journal, sizeof(journal), "%s/journal", root);
	snprintf(run, sizeof(run), "%s/run", root);
	s->round.places.root = l->root;
	if (journal_place_make(&l->place, journal, run, &err) == 0 &&
	    task_key_make(&l->key, l->daemon, l->ns, l->id, &err) == 0)
		return 0;
	fprintf(stderr, "calls: %s\n", err.text);
	return -1;
}

/* Our programs, and not this one, get it from the environment. */
static int famine_begin(struct sweep *s)
{
	char path[PATH_MAX], library[PATH_MAX + 16];
	const char *shim = s->round.life.shim;
	auto_fd int fd = -1;
	void *page;

	snprintf(path, sizeof(path), "%s/famine", s->round.life.root);
	snprintf(library, sizeof(library), "%.*s/famine.so", (int)(strrchr(shim, '/') - shim),
		 shim);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (access(library, R_OK) < 0 || fd < 0 || ftruncate(fd, sizeof(struct famine)) < 0) {
		fprintf(stderr, "calls: can't use %s, %s: %s\n", library, path, strerror(errno));
		return -1;
	}
	page = mmap(NULL, sizeof(struct famine), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -1;
	s->round.famine = page;
	setenv(FAMINE_FILE, path, 1);
	setenv("LD_PRELOAD", library, 1);
	return 0;
}

int main(int argc, char **argv)
{
	struct sweep s = { .failing = false };

	if (options(&s, argc, argv) < 0) {
		fputs("usage: calls [-e | -m] [-k STRIDE] [-t SECONDS] [-s SEED] [-p POINT] SHIM CTL\n",
		      stderr);
		return 2;
	}
	if (places(&s) < 0)
		return 2;
	if (s.starving && famine_begin(&s) < 0)
		return 2;
	if (!round_warm(&s.round)) {
		puts("not ok 1 - a life without a blow goes well");
		return 1;
	}
	sweep(&s);
	free(s.points);
	picture_clear(&s.round.before);
	return s.left > 0 || s.fell == 0;
}
