/* SPDX-License-Identifier: Apache-2.0 */
/*
 * round.c - set up, strike, recover, look.
 */
#include "test/calls/round.h"

#include "journal/base/cleanup.h"
#include "proto/ttrpc/client.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>

#define VERB_MS   20000
#define SETTLE_MS 8000
#define QUIET_MS  3 /* after an answer: no call for so long, and it is done */

#define RUNNING "start,Create,Start,"
#define ADDED   RUNNING "Exec,"

const struct act acts[ACT_N] = {
	{ "start", "start", "", true, false },
	{ "Create", "Create", "start,", false, false },
	{ "Start", "Start", "start,Create,", false, false },
	{ "Exec", "Exec", RUNNING, false, false },
	{ "exec-Start", "exec Start", ADDED, false, false },
	{ "exec-Kill", "exec Kill", ADDED "exec Start,", false, false },
	{ "exec-Delete", "exec Delete", ADDED "exec Start,exec Kill,", false, false },
	{ "Kill", "Kill", RUNNING, false, false },
	{ "Delete", "Delete", RUNNING "Kill,", false, false },
	{ "Shutdown", "Shutdown", RUNNING "Kill,Delete,", false, false },
	{ "delete-living", "delete", RUNNING, true, false },
	{ "delete-dead", "delete", ADDED "exec Start,", true, true },
	{ "recover", "recover", ADDED "exec Start,", true, true },
};

/* What is to be said about a round, line by line. */
static void complain(struct outcome *o, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void complain(struct outcome *o, const char *fmt, ...)
{
	auto_free char *old = o->why_not;
	auto_free char *line = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&line, fmt, ap) < 0 ||
	    asprintf(&o->why_not, "%s%s\n", old ? old : "", line) < 0)
		abort();
	va_end(ap);
}

/* ---- before the blow ------------------------------------------------------------------------- */

/* Kill ends when the exit is known: that is what a client waits for. */
static int call(struct round *r, const char *name, struct err *err)
{
	int rc = life_call(&r->life, name, err);

	if (rc == 0 && strcmp(name, "Kill") == 0)
		return life_call(&r->life, "Wait", err);
	return rc == 0 && strcmp(name, "exec Kill") == 0 ? life_call(&r->life, "exec Wait", err) :
							   rc;
}

static bool start(struct round *r, struct outcome *o)
{
	struct verb v;

	if (!verb_fork(&r->life, &v, "start"))
		return false;
	verb_go(&v);
	if (verb_wait(&v, VERB_MS) == 0 && life_started(&r->life, &v))
		return true;
	complain(o, "before it, start: %s", v.text);
	return false;
}

static bool set_up(struct round *r, const struct act *act, struct outcome *o)
{
	struct err err = ERR_INIT;

	if (!life_prepare(&r->life)) {
		complain(o, "the bundle can't be made");
		return false;
	}
	for (const char *at = act->before; *at; at += strcspn(at, ",") + 1) {
		char name[32];

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(at, ","), at);
		if (strcmp(name, "start") == 0 ? start(r, o) : call(r, name, &err) == 0)
			continue;
		if (err.text[0])
			complain(o, "before it, %s: %s", name, err.text);
		return false;
	}
	if (!act->dead)
		return true;
	kill(r->life.server, SIGKILL);
	return gone_in(r->life.server, VERB_MS);
}

/* ---- the blow ----------------------------------------------------------------------------------- */

static struct axe *raise_at(const struct round *r, const struct point *p, pid_t target,
			    struct outcome *o)
{
	const struct axe_order order = { .target = target, .n = p->n, .who = p->who,
					 .error = p->error, .from_exec = p->act->is_program,
					 .spared = r->places.known,
					 .n_spared = r->places.n_known,
					 .famine = r->famine };
	struct axe *axe = axe_raise(&order);

	if (!axe)
		complain(o, "pid %d can't be traced", (int)target);
	return axe;
}

/* The program's status; the same words are used for recovery within a recovery. */
static int strike_program(struct round *r, const struct point *p, struct verb *v,
			  struct outcome *o)
{
	struct axe *axe;
	int status;

	if (!verb_fork(&r->life, v, p->act->what)) {
		complain(o, "%s can't be started", p->act->what);
		return -1;
	}
	axe = raise_at(r, p, v->pid, o);
	verb_go(v);
	status = verb_wait(v, VERB_MS);
	if (axe)
		o->hit = axe_lower(axe);
	return status;
}

/* The server goes on after its answer: events, and what it has put off. */
static void until_quiet(const struct axe *axe, pid_t server, bool ends)
{
	int64_t end = client_deadline(VERB_MS);
	int64_t quiet = client_deadline(QUIET_MS);
	long seen = axe_seen(axe);

	if (ends) {
		(void)gone_in(server, VERB_MS);
		return;
	}
	while (client_deadline(0) < quiet && client_deadline(0) < end) {
		nap();
		if (axe_seen(axe) != seen)
			quiet = client_deadline(QUIET_MS);
		seen = axe_seen(axe);
	}
}

/* It was killed, and nothing else is told: an exit is never made up. */
static void judge_exit(const struct round *r, bool exec, struct outcome *o)
{
	struct err err = ERR_INIT;
	uint32_t status = 0;
	int rc = life_wait(&r->life, exec, &status, &err);

	if (rc < 0 && exec)
		complain(o, "after it, %sWait: %s", exec ? "exec " : "", err.text);
	else if (rc == 0 && status != 128 + SIGKILL)
		complain(o, "after it, %sWait: the exit status is %u", exec ? "exec " : "", status);
}

static void end_exec(const struct round *r, struct outcome *o)
{
	struct err err = ERR_INIT;

	if (life_call(&r->life, "exec Kill", &err) < 0)
		complain(o, "after it, exec Kill: %s", err.text);
	judge_exit(r, true, o);
}

static void judge_call(const struct round *r, const struct point *p, int rc,
		       const struct err *err, struct outcome *o)
{
	bool ends = strcmp(p->act->what, "Shutdown") == 0;

	/* A connection that the shim has no room for is closed, and that is an answer. */
	if (rc < 0 && !ends && (rc == -ETIMEDOUT || !err->text[0]))
		complain(o, "%s is not answered: %s", p->act->what, err->text);
	if (!ends && !is_alive(r->life.server))
		complain(o, "the shim is gone after %s: %s", p->act->what, err->text);
}

static void strike_call(struct round *r, const struct point *p, struct outcome *o)
{
	bool ends = strcmp(p->act->what, "Shutdown") == 0;
	struct axe *axe = raise_at(r, p, r->life.server, o);
	struct err err = ERR_INIT;
	int rc;

	if (!axe)
		return;
	rc = call(r, p->act->what, &err);
	until_quiet(axe, r->life.server, ends && rc == 0);
	o->hit = axe_lower(axe);
	if (o->hit.fell && !p->error)
		return;
	judge_call(r, p, rc, &err, o);
	if (rc == 0 && strcmp(p->act->what, "exec Start") == 0)
		end_exec(r, o);
}

static void judge_program(const struct point *p, int status, const struct verb *v,
			  struct outcome *o)
{
	bool killed = o->hit.fell && !p->error;

	if (killed)
		return;
	if (status < 0 || status >= 128)
		complain(o, "%s ended with %d: %s", p->act->what, status, v->text);
	else if (status != 0 && !v->text[0])
		complain(o, "%s failed (%d) and said nothing", p->act->what, status);
}

static void strike(struct round *r, const struct point *p, struct outcome *o)
{
	struct verb v;
	int status;

	if (!p->act->is_program) {
		strike_call(r, p, o);
		return;
	}
	status = strike_program(r, p, &v, o);
	judge_program(p, status, &v, o);
	if (strcmp(p->act->what, "start") == 0 && status == 0)
		(void)life_started(&r->life, &v);
}

/* ---- after it --------------------------------------------------------------------------------------- */

static int run_verb(struct round *r, const char *name, struct verb *v)
{
	if (!verb_fork(&r->life, v, name))
		return -1;
	verb_go(v);
	return verb_wait(v, VERB_MS);
}

static void delete_again(struct round *r, struct outcome *o)
{
	struct verb v;
	int status = run_verb(r, "delete", &v);

	if (status != 0)
		complain(o, "delete ends with %d: %s", status, v.text);
}

/* Nobody died: the life goes to its end as a client would have it. */
static void finish_life(struct round *r, struct outcome *o)
{
	static const char *const rest[] = { "Kill", "Delete", "Shutdown" };

	for (size_t i = 0; i < ARRAY_SIZE(rest) && is_alive(r->life.server); i++) {
		int rc = call(r, rest[i], NULL);

		if (i == 0 && (rc == 0 || rc == -ENOENT))
			judge_exit(r, false, o);
	}
	if (is_alive(r->life.server))
		(void)gone_in(r->life.server, 2000);
	delete_again(r, o);
}

static void recover_killed(struct round *r, const struct point *p, struct outcome *o)
{
	const struct point inner = { .act = &acts[ACT_N - 1], .n = p->k };
	struct outcome other = { .survived = true };
	struct verb v;

	(void)strike_program(r, &inner, &v, &other);
	o->nested = other.hit.fell;
	free(other.why_not);
}

static void recover(struct round *r, struct verb *v, struct outcome *o)
{
	int64_t end = client_deadline(SETTLE_MS / 2);
	int status = run_verb(r, "recover", v);

	/* A server that may just be born is left alone; if it was not, the next one tells. */
	while (status == 0 && strstr(v->text, "all healthy") && client_deadline(0) < end) {
		(void)poll(NULL, 0, 50);
		status = run_verb(r, "recover", v);
	}
	if (status != 0 && status != 1)
		complain(o, "recover ends with %d: %s", status, v->text);
}

static bool settle(struct round *r, const struct verb *v, struct outcome *o)
{
	int64_t end = client_deadline(SETTLE_MS);
	struct picture now = { .lines = NULL };
	auto_free char *diff = NULL;

	for (;;) {
		picture_take(&now, &r->places);
		free(diff);
		diff = picture_diff(&r->before, &now, &r->places);
		if (!diff || client_deadline(0) > end)
			break;
		nap();
	}
	picture_clear(&now);
	if (diff)
		complain(o, "left on the node:\n%srecover said: %s", diff, v->text);
	return !diff;
}

/* The next round is looked at by itself. */
static void start_over(struct round *r)
{
	char path[PATH_MAX + 16];
	struct picture now = { .lines = NULL };
	struct verb v;

	(void)kill(r->life.server > 0 ? r->life.server : 0x7fffffff, SIGKILL);
	(void)run_verb(r, "recover", &v);
	snprintf(path, sizeof(path), "%s/rootfs", r->life.bundle);
	(void)umount2(path, MNT_DETACH);
	(void)life_remove(&r->life);
	picture_take(&now, &r->places);
	picture_clear(&r->before);
	r->before = now;
}

static struct outcome live(struct round *r, const struct point *p, struct verb *v)
{
	struct outcome o = { .survived = false };

	if (set_up(r, p->act, &o))
		strike(r, p, &o);
	if (!o.hit.fell || p->error)
		finish_life(r, &o);
	else if (p->act->before[0] && is_alive(r->life.server))
		delete_again(r, &o); /* a healthy task is nobody's to recover */
	if (p->k)
		recover_killed(r, p, &o);
	recover(r, v, &o);
	return o;
}

/* A line of a trace, as a name: of the function, or of the file that it is in. */
static void name_place(const struct round *r, const char *line, char *ret, size_t size)
{
	char command[PATH_MAX], file[PATH_MAX / 2];
	unsigned long offset;
	FILE *f;

	*ret = '\0';
	if (sscanf(line, "%2047[^(](+%lx)", file, &offset) != 2) {
		(void)sscanf(line, "%*[^(](%127[^+)]", ret); /* a name that it has itself */
		return;
	}
	/* A program goes by what it was called as: a verb is uruncctl. */
	snprintf(command, sizeof(command), "addr2line -fe %s 0x%lx 2>/dev/null",
		 strchr(file, '/') ? file : r->life.ctl, offset);
	f = popen(command, "re");
	if (f && fgets(ret, (int)size, f))
		ret[strcspn(ret, "\n")] = '\0';
	if (f)
		pclose(f);
}

/* json-c does not look at what malloc() answers it, and can't be told to. */
static bool is_library(const char *name)
{
	static const char *const parts[] = { "json_tokener", "json_object", "printbuf",
					     "lh_",          "array_list" };

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (strncmp(name, parts[i], strlen(parts[i])) == 0)
			return true;
	return false;
}

/* Who was denied memory: the innermost that is neither the C library nor the test. */
static void tell_trace(const struct round *r, const char *what, struct outcome *o)
{
	char path[PATH_MAX], line[PATH_MAX], name[128], text[1024] = "";
	auto_file FILE *f = NULL;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/famine.%s", r->life.root, what);
	f = fopen(path, "re");
	while (f && o->why_not && n < sizeof(text) / 2 && fgets(line, sizeof(line), f)) {
		if (strstr(line, "famine.so") || strstr(line, "libc.so"))
			continue;
		name_place(r, line, name, sizeof(name));
		o->library = o->library || (n == 0 && is_library(name));
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %s", name);
	}
	if (n)
		complain(o, "%s in%s", what, text);
	(void)unlink(path);
}

struct outcome round_run(struct round *r, const struct point *p)
{
	struct verb v;
	struct outcome o = live(r, p, &v);
	bool clean = settle(r, &v, &o);
	char log[2048];

	life_log(&r->life, log, sizeof(log));
	if (o.why_not && *log)
		complain(&o, "the shim said:\n%s", log);
	if (clean && !life_remove(&r->life))
		complain(&o, "the bundle can't be removed");
	tell_trace(r, "denied", &o);
	tell_trace(r, "crash", &o);
	if (o.why_not)
		start_over(r);
	o.library = o.library && clean;
	o.survived = !o.why_not || o.library;
	return o;
}

/* The last ones of the first life may still wait to be reaped. */
static bool picture_quiet(struct round *r)
{
	int64_t end = client_deadline(SETTLE_MS);

	for (;;) {
		picture_take(&r->before, &r->places);
		if (!picture_has(&r->before, "process "))
			return true;
		if (client_deadline(0) > end)
			break;
		nap();
	}
	puts("# processes of a life without a blow do not end");
	return false;
}

bool round_warm(struct round *r)
{
	const struct point whole = { .act = &acts[ACT_SHUTDOWN] };
	struct outcome o;
	struct verb v;

	picture_know(&r->places);
	o = live(r, &whole, &v);
	if (o.why_not || !life_remove(&r->life)) {
		printf("# a life without a blow: %s\n", o.why_not ? o.why_not : "a mount is left");
		free(o.why_not);
		return false;
	}
	return picture_quiet(r);
}
