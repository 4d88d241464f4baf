/* SPDX-License-Identifier: Apache-2.0 */
/* The recovery of one task: who has it, what can't be read, and what is said. */
#include "test/lib/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FILE_MAX 256

/* Half of its file is gone, and what was to be folded into it. */
static void tear(const char *file)
{
	char side[FILE_MAX + 8];

	(void)snprintf(side, sizeof(side), "%s-wal", file);
	assert_int_equal(truncate(file, 100), 0);
	(void)unlink(side);
}

static void torn(struct pod *p, const char *id)
{
	char file[FILE_MAX];

	tear(pod_file(p, id, file, sizeof(file)));
}

/* The task a of a shim that lives. */
static void one_task(struct pod *p, struct shim *shim)
{
	shim_begin(p, shim);
	shim_serves(p, shim, "a");
	p->shim = shim;
	p->key = pod_key("a");
}

/* ---- whose lock it is ------------------------------------------------------------------------ */

/* Its shim was killed; it can't die as long as the disk does not answer, and has its lock. */
static void stays_in_state_d(struct pod *p, const struct shim *shim)
{
	sim_find(p->sim, shim->ident.pid)->immortal = true;
	sim_find(p->sim, shim->ident.pid)->played_by = 0;
}

static void a_killed_shim_that_does_not_die_has_it(void **state)
{
	struct pod *p = *state;
	struct shim shim;

	one_task(p, &shim);
	stays_in_state_d(p, &shim);
	pod_recovers(p, "a", RECOVER_DELETE, 0, RECOVER_LEFT);
	assert_in_range(p->report.took_ms, 2000, 3000);
	pod_says(p->report.why, "is owned by process");
	pod_recovers(p, "a", RECOVER_DELETE, p->sim->now_ms + 300, RECOVER_LEFT);
	assert_in_range(p->report.took_ms, 300, 400);
	assert_true(pod_live(p, "a") && pod_holds(p, "a"));
	shim_end(&shim);
}

static void a_killed_shim_that_dies_late_is_waited_for(void **state)
{
	struct pod *p = *state;
	struct shim shim;

	one_task(p, &shim);
	p->later = 'd';
	sim_find(p->sim, shim.ident.pid)->played_by = 0;
	pod_recovers(p, "a", RECOVER_DELETE, 0, RECOVER_DONE);
	assert_false(pod_live(p, "a") || pod_holds(p, "a"));
	shim_end(&shim);
}

static int gone_already(struct node *n, const struct ident *who, int sig, struct err *err)
{
	struct pod *p = (struct pod *)n;

	shim_drops(p->shim, &p->key);
	(void)p->b->node.node.signal(&p->b->node.node, who, sig, NULL);
	n->signal = p->b->node.node.signal;
	return err_set(err, ESRCH, "process %d", (int)who->pid);
}

static void a_shim_that_ends_by_itself_meanwhile_is_as_good_as_killed(void **state)
{
	struct pod *p = *state;
	struct shim shim;

	one_task(p, &shim);
	p->node.node.signal = gone_already;
	pod_recovers(p, "a", RECOVER_DELETE, 0, RECOVER_DONE);
	assert_false(pod_live(p, "a") || pod_holds(p, "a"));
	shim_end(&shim);
}

static int not_permitted(struct node *n, const struct ident *who, int sig, struct err *err)
{
	(void)n;
	(void)sig;
	return err_set(err, EPERM, "signal process %d", (int)who->pid);
}

static void a_shim_that_cannot_be_killed_keeps_it(void **state)
{
	struct pod *p = *state;
	struct shim shim;

	one_task(p, &shim);
	p->node.node.signal = not_permitted;
	pod_recovers(p, "a", RECOVER_DELETE, 0, RECOVER_FAILED);
	pod_says(p->report.why, "signal process");
	assert_true(shim_lives(p, &shim) && pod_live(p, "a") && pod_holds(p, "a"));
	shim_end(&shim);
}

/* As another recovery is, or a shim that is just beginning with it. */
static void who_has_it_and_is_not_its_shim_is_left_alone(void **state)
{
	struct pod *p = *state;
	struct shim another;
	char words[64];

	pod_dead(p, "a");
	shim_begin(p, &another);
	p->key = pod_key("a");
	shim_takes(&another, &p->key);
	(void)snprintf(words, sizeof(words), "process %d is at it already", (int)another.real);
	pod_recovers(p, "a", 0, 0, RECOVER_HEALTHY);
	assert_string_equal(p->report.why, words);
	pod_recovers(p, "a", RECOVER_DELETE, 0, RECOVER_LEFT);
	assert_string_equal(p->report.why, words);
	assert_true(shim_lives(p, &another) && pod_live(p, "a") && pod_holds(p, "a"));
	shim_end(&another);
}

/* In a container of its own: the kernel tells no number here, as of a descriptor's lock. */
static void who_has_it_beyond_our_namespace_is_left_alone(void **state)
{
	const char *words = "a process of another pid namespace is at it already";
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct pod *p = *state;
	char file[FILE_MAX];
	int fd;

	pod_dead(p, "a");
	p->key = pod_key("a");
	fd = open(pod_lock(p, "a", file, sizeof(file)), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	pod_recovers(p, "a", 0, 0, RECOVER_HEALTHY);
	assert_string_equal(p->report.why, words);
	pod_recovers(p, "a", RECOVER_DELETE, 0, RECOVER_LEFT);
	assert_string_equal(p->report.why, words);
	assert_true(pod_live(p, "a") && pod_holds(p, "a"));
	close(fd);
}

/* A recovery that has the number of a shim that is dead. */
static void who_has_it_and_only_its_shims_number_is_left_alone(void **state)
{
	struct pod *p = *state;
	struct shim another;
	struct ident was;

	shim_begin(p, &another);
	was = (struct ident){ .pid = another.ident.pid, .start = another.ident.start + 1 };
	pod_task(p, "a", &was);
	p->key = pod_key("a");
	shim_takes(&another, &p->key);
	pod_recovers(p, "a", RECOVER_DELETE, 0, RECOVER_LEFT);
	pod_says(p->report.why, "is at it already");
	assert_true(shim_lives(p, &another) && pod_live(p, "a") && pod_holds(p, "a"));
	shim_end(&another);
}

/* Let go when it is looked at, and taken again before it is taken here. */
static void comes_and_goes(struct pod *p, enum moment moment)
{
	if (moment == AT_CLOCK) {
		shim_takes(p->shim, &p->key);
		return;
	}
	shim_drops(p->shim, &p->key);
	p->at_clock = 1; /* how old is its shim? */
}

static void who_takes_it_in_between_has_it(void **state)
{
	struct pod *p = *state;
	struct shim shim;

	one_task(p, &shim);
	p->happens = comes_and_goes;
	p->at_alive = 1;
	pod_recovers(p, "a", 0, 0, RECOVER_HEALTHY);
	pod_says(p->report.why, "is owned by process");
	assert_true(shim_lives(p, &shim) && pod_live(p, "a") && pod_holds(p, "a"));
	shim_end(&shim);
}

static void what_is_not_fenced_in_time_is_left_for_the_next(void **state)
{
	struct pod *p = *state;
	struct sim_proc *child = sim_proc_new(p->sim, "runc", 1);
	struct journal *j;
	int64_t seq;

	child->immortal = true;
	pod_dead(p, "a");
	j = pod_journal(p, "a");
	assert_int_equal(journal_child(j, 0, &child->ident, "runc create", p->sim->epoch, 1, 0, &seq,
				       NULL), 0);
	journal_close(j);
	pod_recovers(p, "a", 0, p->sim->now_ms + 200, RECOVER_LEFT);
	assert_string_equal(p->report.why, "the time was over; the next recovery goes on");
	assert_true(pod_live(p, "a") && pod_holds(p, "a"));
	child->immortal = false;
	pod_recovers(p, "a", 0, 0, RECOVER_DONE);
	assert_false(pod_live(p, "a") || pod_holds(p, "a"));
}

/* ---- what can't be read ------------------------------------------------------------------------ */

static void a_damaged_file_is_said_to_be_by_a_dry_run(void **state)
{
	struct pod *p = *state;

	pod_dead(p, "a");
	torn(p, "a");
	pod_recovers(p, "a", RECOVER_DRY, 0, RECOVER_WOULD);
	assert_non_null(p->report.why);
	assert_true(pod_live(p, "a"));
}

static void a_damaged_file_that_somebody_has_is_his(void **state)
{
	struct pod *p = *state;
	struct shim shim;

	one_task(p, &shim);
	torn(p, "a");
	pod_recovers(p, "a", 0, 0, RECOVER_FAILED);
	pod_recovers(p, "a", RECOVER_DELETE, 0, RECOVER_FAILED);
	assert_true(shim_lives(p, &shim) && pod_live(p, "a"));
	shim_end(&shim);
}

#define LONG_NAME                                                                          \
	"this-is-a-rather-long-name-so-that-a-few-of-its-kind-are-more-than-any-report-"   \
	"of-ours-has-the-room-to-hold-and-the-last-of-them-do-not-stand-in-it-any-longer"

static void written_by_another(struct pod *p, enum moment moment)
{
	char file[FILE_MAX];

	(void)moment;
	pod_newer_wrote(pod_file(p, "a", file, sizeof(file)));
}

/* The shim was newer than this recovery, and wrote until it was killed. */
static void what_a_newer_version_writes_meanwhile_is_left_alone(void **state)
{
	struct pod *p = *state;
	struct shim shim;

	one_task(p, &shim);
	p->happens = written_by_another;
	p->at_alive = 1;
	pod_recovers(p, "a", RECOVER_DELETE, 0, RECOVER_FAILED);
	pod_says(p->report.why, "unknown here, in exit_how");
	assert_true(pod_live(p, "a") && pod_holds(p, "a"));
	shim_end(&shim);
}

/* All was taken back; what containerd was to be told is not lost for that. */
static void events_that_cannot_be_closed_keep_the_file(void **state)
{
	struct pod *p = *state;
	char file[FILE_MAX];

	pod_dead(p, "a");
	pod_writes(pod_file(p, "a", file, sizeof(file)), "DROP TABLE outbox");
	pod_recovers(p, "a", RECOVER_DELETE, 0, RECOVER_LEFT);
	assert_true(pod_live(p, "a"));
	assert_false(pod_holds(p, "a"));
}

/* Its rows are lost, and so is its bundle: only what carries its name can be told of. */
static void what_only_has_the_name_is_told_and_left(void **state)
{
	struct pod *p = *state;
	char target[SIM_PATH];

	p->engine.kinds = NULL;
	p->engine.make = NULL;
	pod_dead(p, "a");
	torn(p, "a");
	for (int i = 0; i < 8; i++) {
		(void)snprintf(target, sizeof(target), "/%d%.160s/default/a", i, LONG_NAME);
		sim_mount_new(p->sim, "tmpfs", "tmpfs", target);
	}
	pod_recovers(p, "a", 0, 0, RECOVER_LEFT);
	pod_says(p->report.why, "its journal said nothing");
	pod_says(p->report.left, "mount /0");
	pod_says(p->report.left, "; mount /1");
	assert_int_equal(p->sim->mounts[SIM_MOUNTS - 1].id, 0);
}

static int denied_below_runc(struct node *n, const char *path, struct path_ident *ret,
			     struct err *err)
{
	struct pod *p = (struct pod *)n;

	return strncmp(path, "/run/runc/", strlen("/run/runc/")) == 0
		       ? err_set(err, EACCES, "%s", path)
		       : p->b->node.node.path(n, path, ret, err);
}

static void what_can_not_be_looked_at_is_told(void **state)
{
	struct pod *p = *state;

	p->engine.kinds = NULL;
	p->engine.make = NULL;
	pod_dead(p, "a");
	torn(p, "a");
	p->node.node.path = denied_below_runc;
	pod_recovers(p, "a", 0, 0, RECOVER_LEFT);
	pod_says(p->report.left, "what else has its name can't be told: /run/runc/");
	pod_says(p->report.left, "Permission denied");
}

static void no_task_is_no_task_for_a_dry_run(void **state)
{
	struct pod *p = *state;
	struct task_key key = pod_key("no-such");
	struct recover_report report;

	assert_int_equal(recover_task(&p->engine, &p->b->place, &key, RECOVER_DRY, 0, &report,
				      &p->err), -ENOENT);
	assert_int_equal(recover_task(&p->engine, &p->b->place, &key, 0, 0, &report, &p->err),
			 -ENOENT);
	assert_int_equal(recover_task(&p->engine, &p->b->place, &key, RECOVER_DELETE, 0, &report,
				      &p->err), -ENOENT);
	pod_says(p->err.text, "neither live nor in the history");
}

/* ---- the history -------------------------------------------------------------------------------- */

static void lives_and_ends(struct pod *p, const struct task_key *key, uint32_t status)
{
	const struct ident nobody = { .pid = 77, .start = 7 };
	struct journal *j = NULL;

	pod_task_of(p, key, &nobody);
	assert_int_equal(journal_open(&j, &p->b->place, key, JOURNAL_OWN, &p->err), 0);
	assert_int_equal(journal_set_exit(j, EXIT_REAPED, status, 1, &p->err), 0);
	assert_int_equal(journal_finish(&j, &p->err), 0);
	memset(sim_file(p->sim, "/held_a"), 0, sizeof(struct sim_file));
}

static void the_history_tells_the_exit_of_the_very_task(void **state)
{
	struct pod *p = *state;
	struct task_key a = pod_key("a"), key;

	lives_and_ends(p, &a, 3);
	lives_and_ends(p, &a, 7);
	assert_int_equal(task_key_make(&key, "/run/other.sock", "default", "a", NULL), 0);
	lives_and_ends(p, &key, 4);
	assert_int_equal(task_key_make(&key, "/run/c.sock", "moby", "a", NULL), 0);
	lives_and_ends(p, &key, 5);
	pod_recovers(p, "a", RECOVER_DELETE, 0, RECOVER_CLEAN);
	assert_int_equal(p->report.exit_how, EXIT_REAPED);
	assert_int_equal(p->report.exit_status, 7);
	pod_says(p->report.why, "it is in the history");
}

struct newest {
	const char *id;
	char path[FILE_MAX];
};

static int take_newest(void *arg, const struct task_key *key, const char *file)
{
	struct newest *n = arg;

	if (strcmp(key->id, n->id) != 0)
		return 0;
	(void)snprintf(n->path, sizeof(n->path), "%s", file);
	return 1;
}

/* Of the same id, as names are used again. */
static void no_older_life_answers_for_one_that_cannot_be_read(void **state)
{
	struct pod *p = *state;
	struct task_key a = pod_key("a");
	struct newest newest = { .id = "a" };

	lives_and_ends(p, &a, 3);
	lives_and_ends(p, &a, 7);
	assert_int_equal(journal_list(&p->b->place, JOURNAL_DONE, take_newest, &newest, NULL), 1);
	pod_newer_wrote(newest.path);
	pod_recovers(p, "a", RECOVER_DELETE, 0, RECOVER_CLEAN);
	assert_int_equal(p->report.exit_how, EXIT_NONE_);
	tear(newest.path);
	pod_recovers(p, "a", RECOVER_DELETE, 0, RECOVER_CLEAN);
	assert_int_equal(p->report.exit_how, EXIT_NONE_);
}

/* It may be there, or not: nobody may say that there is none. */
static void a_history_that_cannot_be_listed_is_an_error(void **state)
{
	struct pod *p = *state;
	struct task_key key = pod_key("a");
	struct recover_report report;
	char done[FILE_MAX], away[FILE_MAX];
	int r;

	(void)snprintf(done, sizeof(done), "%s/done", p->b->root);
	(void)snprintf(away, sizeof(away), "%s/away", p->b->root);
	assert_int_equal(rename(done, away), 0);
	assert_int_equal(symlink(done, done), 0);
	r = recover_task(&p->engine, &p->b->place, &key, RECOVER_DELETE, 0, &report, &p->err);
	assert_true(r < 0 && r != -ENOENT);
	pod_says(p->err.text, done);
}

#define T(name) cmocka_unit_test_setup_teardown(name, pod_open, pod_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_killed_shim_that_does_not_die_has_it),
		T(a_killed_shim_that_dies_late_is_waited_for),
		T(a_shim_that_ends_by_itself_meanwhile_is_as_good_as_killed),
		T(a_shim_that_cannot_be_killed_keeps_it),
		T(who_has_it_and_is_not_its_shim_is_left_alone),
		T(who_has_it_beyond_our_namespace_is_left_alone),
		T(who_has_it_and_only_its_shims_number_is_left_alone),
		T(who_takes_it_in_between_has_it),
		T(what_is_not_fenced_in_time_is_left_for_the_next),
		T(a_damaged_file_is_said_to_be_by_a_dry_run),
		T(a_damaged_file_that_somebody_has_is_his),
		T(what_a_newer_version_writes_meanwhile_is_left_alone),
		T(events_that_cannot_be_closed_keep_the_file),
		T(what_only_has_the_name_is_told_and_left),
		T(what_can_not_be_looked_at_is_told),
		T(no_task_is_no_task_for_a_dry_run),
		T(the_history_tells_the_exit_of_the_very_task),
		T(no_older_life_answers_for_one_that_cannot_be_read),
		T(a_history_that_cannot_be_listed_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
