/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep.c - kill at every crash point, recover, look. For a private node (node.sh) and
 * the programs of MODE=crash.
 *
 *	sweep serve|delete|start PART PARTS STRIDE
 *
 *	serve	the server dies at the Nth point of a life, for every N; `uruncctl recover`
 *		takes the task back. Then the same death again, once for each point that
 *		the recovery passed: there it is killed itself, and a second one goes on.
 *	delete	the same with containerd's `delete` in place of the first recovery
 *	start	`start` dies at each of its points; recovery, or the next start of the id
 *
 * After each of them the node must hold what it held before. This process does only
 * every PARTS-th N, beginning with PART (0 ...), so that nodes can share the work; and
 * kills a recovery at every STRIDE-th of its points, beginning with the (N mod
 * STRIDE)th, so that each has its turn. What is printed is for test/sweep/sweep.sh:
 *
 *	# what is left, and after what
 *	count NAME NUMBER		to be added up
 *
 * Needed: T, TOP, BUILD, PEERS, URUNC_CONFIG, and an event sink at $T/d.sock.ttrpc.
 * Exit: 0; 1 it could not go to its end.
 */
#include "journal/base/cleanup.h"
#include "test/lib/holding.h"
#include "test/lib/shim_rig.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE_MS 8000 /* for what children of the dead still finish */

struct sweep {
	const char *mode;
	struct shim_rig rig;
	struct holding before;
	struct holding_except except;
	long part, parts, stride;
	long deaths, recoveries, inner, left, by_op[OP_END + 1];
	char point[128], inner_point[128]; /* where the last deaths were */
};

static int recover(struct sweep *s, const struct axe *axe)
{
	const char *const argv[] = { s->rig.ctl, "recover", NULL };

	s->recoveries++;
	return rig_run(&s->rig, axe, s->rig.t, argv);
}

static bool settled(struct sweep *s, struct holding *now)
{
	int64_t end = rig_now_ms() + SETTLE_MS;

	for (long us = 500;; us = us < 50000 ? us * 2 : us) {
		rig_reap();
		holding_take(now, s->rig.t);
		if (holding_diff(&s->before, now, &s->except, NULL, NULL) == 0)
			return true;
		if (rig_now_ms() > end)
			return false;
		holding_clear(now);
		rig_pause_us(us);
	}
}

static void say_where(const struct sweep *s, const char *what)
{
	printf("# %s killed at %s%s%s%s: %s\n", s->mode, s->point,
	       s->inner_point[0] ? ", then its " : "",
	       s->inner_point[0] ? strcmp(s->mode, "delete") ? "recovery at " : "delete at " : "",
	       s->inner_point, what);
}

/* The end of each try: the node is what it was, but for the bundle. */
static void look(struct sweep *s)
{
	struct holding now;

	if (settled(s, &now)) {
		holding_clear(&now);
		rig_bundle_remove(&s->rig);
		return;
	}
	say_where(s, "left on the node");
	s->left += (long)holding_diff(&s->before, &now, &s->except, "#   ", stdout);
	(void)fflush(stdout);
	holding_clear(&now);
	/* The next death is looked at by itself. */
	(void)recover(s, NULL);
	rig_bundle_remove(&s->rig);
	(void)settled(s, &now);
	holding_clear(&s->before);
	s->before = now;
}

/* It says that all is taken back, or that nothing was to do. */
static void recover_to_end(struct sweep *s, const struct axe *axe)
{
	auto_file FILE *f = NULL;
	char line[512];
	int rc = recover(s, axe);

	if (rc <= 1)
		return;
	s->left++;
	say_where(s, "recover does not end well");
	f = fopen(s->rig.out, "re");
	printf("#   exit %d\n", rc);
	while (f && fgets(line, sizeof(line), f))
		printf("#   %s", line);
}

/* ---- what dies ------------------------------------------------------------------------------- */

/* The first help to come after a death. */
static int help(struct sweep *s, const struct axe *axe)
{
	if (strcmp(s->mode, "delete") != 0)
		return recover(s, axe);
	s->recoveries++;
	return rig_shim(&s->rig, axe, "delete");
}

static void help_to_end(struct sweep *s, const struct axe *axe)
{
	if (strcmp(s->mode, "delete") != 0) {
		recover_to_end(s, axe);
	} else if (help(s, axe) != 0) {
		s->left++;
		say_where(s, "delete does not answer");
	}
}

/* True if the life, or its start, got as far as that. */
static bool die(struct sweep *s, const char *role, long n, enum op *op)
{
	const struct axe axe = { role, n };

	rig_bundle_make(&s->rig);
	s->inner_point[0] = '\0';
	*op = rig_live(&s->rig, &axe);
	return rig_passed(&s->rig, n, s->point) >= n;
}

/* The same death, with one point of its help deadly after the other. */
static void sweep_help(struct sweep *s, const char *role, long n, long points)
{
	enum op op;

	for (long k = n % s->stride + 1; k <= points; k += s->stride) {
		const struct axe axe = { role, k };

		(void)die(s, "serve", n, &op);
		(void)help(s, &axe);
		s->inner += rig_passed(&s->rig, k, s->inner_point) >= k;
		recover_to_end(s, NULL);
		look(s);
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
		points = rig_passed(&s->rig, 0, s->inner_point);
		look(s);
		sweep_help(s, count.role, n, points);
	}
	if (op != OP_END)
		rig_stop("a life that no death ends fails at %s", rig_ops[op]);
	help_to_end(s, NULL);
	look(s);
}

static void sweep_start(struct sweep *s)
{
	enum op op;
	long n;

	for (n = s->part + 1; die(s, "start", n, &op); n += s->parts) {
		s->deaths++;
		s->by_op[op]++;
		recover_to_end(s, NULL);
		look(s);
		/* The next start of the same id stands on whatever the dead one left. */
		(void)die(s, "start", n, &op);
		op = rig_live(&s->rig, NULL);
		if (op != OP_END) {
			s->left++;
			say_where(s, "the next one does not live");
			printf("#   it fails at %s\n", rig_ops[op]);
		}
		recover_to_end(s, NULL);
		look(s);
	}
	recover_to_end(s, NULL);
	look(s);
}

/* ---- begin and end ------------------------------------------------------------------------------ */

/* What has been made for all lives stays, and is no leak. */
static void warm_up(struct sweep *s)
{
	enum op op;

	rig_bundle_make(&s->rig);
	op = rig_live(&s->rig, NULL);
	if (op != OP_END)
		rig_stop("a life without a crash fails at %s", rig_ops[op]);
	(void)rig_shim(&s->rig, NULL, "delete");
	rig_bundle_remove(&s->rig);
	holding_take(&s->before, s->rig.t);
}

static void begin(struct sweep *s)
{
	const char *top = getenv("TOP");
	char path[RIG_TEXT_MAX];

	rig_begin(&s->rig);
	(void)snprintf(path, sizeof(path), "%s/test/lib/picture.except", top ? top : ".");
	if (holding_except_read(&s->except, path) < 0)
		rig_stop("can't begin");
}

static void tell(const struct sweep *s)
{
	printf("count deaths %ld\ncount recoveries %ld\ncount inner %ld\ncount left %ld\n",
	       s->deaths, s->recoveries, s->inner, s->left);
	for (enum op op = 0; op <= OP_END; op++)
		printf("count %s %ld\n", rig_ops[op], s->by_op[op]);
}

int main(int argc, char **argv)
{
	struct sweep *s = calloc(1, sizeof(*s));

	if (!s || argc != 5)
		rig_stop("usage: sweep serve|delete|start PART PARTS STRIDE");
	s->mode = argv[1];
	s->part = strtol(argv[2], NULL, 10);
	s->parts = strtol(argv[3], NULL, 10);
	s->stride = strtol(argv[4], NULL, 10);
	if (s->parts < 1 || s->stride < 1)
		rig_stop("PARTS and STRIDE are at least 1");
	begin(s);
	warm_up(s);
	if (strcmp(s->mode, "start") == 0)
		sweep_start(s);
	else
		sweep_life(s);
	tell(s);
	holding_clear(&s->before);
	holding_except_clear(&s->except);
	free(s);
	return 0;
}
