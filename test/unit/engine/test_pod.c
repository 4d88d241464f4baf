/* SPDX-License-Identifier: Apache-2.0 */
/* Several tasks of one living shim: when a recovery takes one, or all, and what it says. */
#include "test/lib/pod.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FILE_MAX 256

/* ---- what a test says ------------------------------------------------------------------------ */

/* A shim with the tasks a and b, of which containerd knows @known; each has a client. */
static void two_tasks(struct pod *p, struct shim *shim, const char *known)
{
	shim_begin(p, shim);
	shim_serves(p, shim, "a");
	shim_serves(p, shim, "b");
	p->shim = shim;
	p->sim->containerd_knows = false;
	(void)snprintf(p->sim->known, sizeof(p->sim->known), "%s", known);
	p->sim->peers = (int)strlen(known);
}

/* a is left as it is, for this reason; b and the shim are as well. */
static void leaves_all(struct pod *p, const struct shim *shim, unsigned flags,
		       enum recover_result result, const char *why)
{
	pod_recovers(p, "a", flags, 0, result);
	pod_says(p->report.why, why);
	assert_true(shim_lives(p, shim));
	assert_true(pod_live(p, "a") && pod_live(p, "b"));
	assert_true(pod_holds(p, "b"));
}

/* The whole shim goes, and a with it; b is next, and then nothing is left. */
static void takes_all(struct pod *p, struct shim *shim, unsigned flags)
{
	pod_recovers(p, "a", flags, 0, RECOVER_DONE);
	assert_string_equal(p->report.why, "containerd had forgotten it");
	assert_false(shim_lives(p, shim));
	assert_false(pod_live(p, "a") || pod_holds(p, "a"));
	assert_true(pod_live(p, "b"));
	pod_recovers(p, "b", flags, 0, RECOVER_DONE);
	assert_false(pod_live(p, "b") || pod_holds(p, "b"));
}

/* ---- one is forgotten -------------------------------------------------------------------------- */

static void a_member_that_is_let_go_is_taken_back_by_its_shim(void **state)
{
	struct pod *p = *state;
	struct shim shim;
	char words[64];

	two_tasks(p, &shim, "b");
	p->lets_go = LETS_GO;
	pod_recovers(p, "a", 0, 0, RECOVER_DONE);
	(void)snprintf(words, sizeof(words), "shim %d took it back, and serves its others",
		       (int)shim.ident.pid);
	assert_string_equal(p->report.done, words);
	assert_string_equal(p->report.why, "containerd had forgotten it");
	assert_false(pod_live(p, "a"));
	assert_true(pod_live(p, "b") && shim_lives(p, &shim));
	shim_end(&shim);
}

static void a_shim_that_closes_the_file_later_is_waited_for(void **state)
{
	struct pod *p = *state;
	struct shim shim;

	two_tasks(p, &shim, "b");
	p->lets_go = LETS_GO_LATER;
	pod_recovers(p, "a", 0, 0, RECOVER_DONE);
	assert_false(pod_live(p, "a"));
	assert_true(pod_live(p, "b") && shim_lives(p, &shim));
	shim_end(&shim);
}

static void a_shim_that_says_yes_and_keeps_it_has_it(void **state)
{
	struct pod *p = *state;
	struct shim shim;

	two_tasks(p, &shim, "b");
	p->lets_go = LETS_GO_NEVER;
	leaves_all(p, &shim, 0, RECOVER_LEFT, "its shim lets go of it; the next recovery looks");
	shim_end(&shim);
}

/* Who has it can't be said any more. */
static void lose_lock(struct pod *p, const char *id)
{
	char lock[FILE_MAX];

	(void)unlink(pod_lock(p, id, lock, sizeof(lock)));
	assert_int_equal(mkdir(lock, 0700), 0);
}

static void loses_lock(struct pod *p, enum moment moment)
{
	(void)moment;
	lose_lock(p, "a");
}

/* That is not: nobody has it. */
static void an_owner_that_cannot_be_asked_for_has_it_still(void **state)
{
	struct pod *p = *state;
	struct shim shim;

	two_tasks(p, &shim, "b");
	p->lets_go = LETS_GO_NEVER;
	p->happens = loses_lock;
	p->at_release = true;
	leaves_all(p, &shim, 0, RECOVER_LEFT, "its shim lets go of it; the next recovery looks");
	shim_end(&shim);
}

static void a_shim_that_refuses_is_believed(void **state)
{
	static const struct {
		enum lets_go answer;
		const char *words;
	} ways[] = {
		{ REFUSES, "to let go of it: a create of it is under way" },
		{ REFUSES_MUTE, "to let go of it: Device or resource busy" },
		{ NEVER_ANSWERS, "to let go of it: no answer in time" },
	};
	struct pod *p = *state;
	struct shim shim;

	two_tasks(p, &shim, "b");
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		p->lets_go = ways[i].answer;
		leaves_all(p, &shim, 0, RECOVER_LEFT, "lives, does not let go of it, and serves "
			   "other tasks too: ask shim ");
		pod_says(p->report.why, ways[i].words);
	}
	shim_end(&shim);
}

/* The deadline falls between any two things that it does: what is not done by then is
 * left for the next one, and nobody is harmed. */
static void a_recovery_whose_time_is_over_at_any_point_harms_nobody(void **state)
{
	struct pod *p = *state;
	struct shim shim;
	int ms = 1, late = 0;

	two_tasks(p, &shim, "b");
	p->lets_go = LETS_GO_NEVER;
	p->key = pod_key("a");
	for (; ms < 6000; ms += ms < 40 ? 1 : 397) {
		struct recover_report r;

		assert_int_equal(recover_task(&p->engine, &p->b->place, &p->key, 0,
					      p->sim->now_ms + ms, &r, &p->err), 0);
		if (r.result != RECOVER_HEALTHY)
			assert_int_equal(r.result, RECOVER_LEFT);
		late += strstr(r.why, "the time was over") != NULL;
		assert_true(r.took_ms <= ms + 3000); /* a question is not broken off */
		recover_report_clear(&r);
		assert_true(pod_live(p, "a") && pod_live(p, "b") && shim_lives(p, &shim));
	}
	assert_true(late > 1);
	shim_end(&shim);
}

/* ---- containerd's verdict ------------------------------------------------------------------------ */

static void a_verdict_on_one_member_kills_its_init_alone(void **state)
{
	struct pod *p = *state;
	struct ident init = sim_proc_new(p->sim, "init", 1)->ident;
	struct journal *j;
	struct shim shim;

	shim_begin(p, &shim);
	pod_task(p, "a", &shim.ident);
	j = pod_journal(p, "a");
	assert_int_equal(journal_set_init(j, &init, NULL), 0);
	journal_close(j);
	p->key = pod_key("a");
	shim_takes(&shim, &p->key);
	shim_serves(p, &shim, "b");
	leaves_all(p, &shim, RECOVER_DELETE, RECOVER_LEFT,
		   "lives, does not let go of it, and serves other tasks too");
	assert_null(sim_find(p->sim, init.pid));
	/* Again: there is none to kill. */
	leaves_all(p, &shim, RECOVER_DELETE, RECOVER_LEFT,
		   "lives, does not let go of it, and serves other tasks too");
	shim_end(&shim);
}

/* ---- none is known -------------------------------------------------------------------------------- */

static void a_daemon_that_knows_no_member_proves_nothing(void **state)
{
	struct pod *p = *state;
	struct shim shim;

	two_tasks(p, &shim, "");
	leaves_all(p, &shim, 0, RECOVER_HEALTHY, "containerd knows none of several living tasks");
	shim_end(&shim);
}

static void an_operators_word_takes_a_shim_that_is_forgotten_whole(void **state)
{
	struct pod *p = *state;
	struct shim shim;

	two_tasks(p, &shim, "");
	takes_all(p, &shim, RECOVER_FORGOTTEN);
	shim_end(&shim);
}

static void an_operators_word_holds_for_a_daemon_that_is_down(void **state)
{
	struct pod *p = *state;
	struct shim shim;

	two_tasks(p, &shim, "");
	p->sim->containerd_down = true;
	takes_all(p, &shim, RECOVER_FORGOTTEN);
	shim_end(&shim);
}

/* A task of another shim is known: so the daemon remembers, and both were forgotten. */
static void a_daemon_that_knows_a_task_elsewhere_has_forgotten_the_whole_shim(void **state)
{
	struct pod *p = *state;
	struct shim shim, another;

	shim_begin(p, &another);
	shim_serves(p, &another, "c");
	two_tasks(p, &shim, "c");
	p->sim->peers = 0;
	takes_all(p, &shim, 0);
	assert_true(shim_lives(p, &another) && pod_live(p, "c") && pod_holds(p, "c"));
	shim_end(&shim);
	shim_end(&another);
}

static void a_dry_run_says_so_and_touches_nothing(void **state)
{
	struct pod *p = *state;
	struct shim shim;

	two_tasks(p, &shim, "b");
	leaves_all(p, &shim, RECOVER_DRY, RECOVER_WOULD, "containerd had forgotten it");
	assert_true(pod_holds(p, "a"));
	leaves_all(p, &shim, RECOVER_DRY | RECOVER_FORGOTTEN, RECOVER_WOULD,
		   "containerd had forgotten it");
	shim_end(&shim);
}

static void a_daemon_is_asked_about_a_few_others_only(void **state)
{
	struct pod *p = *state;
	struct shim shim, another;
	char id[2] = "c";

	shim_begin(p, &another);
	for (; *id < 'j'; (*id)++)
		shim_serves(p, &another, id);
	two_tasks(p, &shim, "");
	leaves_all(p, &shim, 0, RECOVER_HEALTHY, "containerd knows none of several living tasks");
	assert_in_range(p->sim->asked, 1, 10);
	shim_end(&shim);
	shim_end(&another);
}

/* ---- a member that tells nothing --------------------------------------------------------------- */

/* a is forgotten, and by an operator's word so is all that can be asked about; but b can't:
 * so its shim is asked to let go of a alone, and is not killed. */
static void spared_for_b(struct pod *p, struct shim *shim)
{
	leaves_all(p, shim, RECOVER_FORGOTTEN, RECOVER_LEFT,
		   "does not let go of it, and serves other tasks too");
	/* Without that word nothing says that containerd remembers anything. */
	leaves_all(p, shim, 0, RECOVER_HEALTHY, "containerd knows none of several living tasks");
}

static void a_member_whose_file_is_damaged_keeps_the_shim(void **state)
{
	struct pod *p = *state;
	char file[FILE_MAX], side[FILE_MAX + 8];
	struct shim shim;

	two_tasks(p, &shim, "");
	p->lets_go = REFUSES;
	(void)snprintf(side, sizeof(side), "%s-wal", pod_file(p, "b", file, sizeof(file)));
	assert_int_equal(truncate(file, 100), 0);
	assert_int_equal(truncate(side, 0), 0);
	pod_recovers(p, "a", RECOVER_FORGOTTEN, 0, RECOVER_LEFT);
	assert_true(shim_lives(p, &shim));
	/* It does not count as one of several, as it can't be asked about. */
	pod_recovers(p, "a", 0, 0, RECOVER_LEFT);
	assert_true(shim_lives(p, &shim) && pod_live(p, "b"));
	shim_end(&shim);
}

static void a_member_of_a_newer_version_keeps_the_shim(void **state)
{
	struct pod *p = *state;
	char file[FILE_MAX];
	struct shim shim;

	two_tasks(p, &shim, "");
	p->lets_go = REFUSES;
	pod_newer_wrote(pod_file(p, "b", file, sizeof(file)));
	spared_for_b(p, &shim);
	shim_end(&shim);
}

/* The last question of all is about b. */
static void a_member_that_nobody_answers_for_keeps_the_shim(void **state)
{
	struct pod *p = *state;
	struct shim shim, another;
	int before;

	shim_begin(p, &another);
	shim_serves(p, &another, "c");
	two_tasks(p, &shim, "c");
	p->sim->peers = 0;
	p->lets_go = REFUSES;
	before = p->sim->spawns;
	leaves_all(p, &shim, RECOVER_DRY, RECOVER_WOULD, "containerd had forgotten it");
	p->sim->hang_at = p->sim->spawns + (p->sim->spawns - before);
	leaves_all(p, &shim, 0, RECOVER_LEFT, "does not let go of it, and serves other tasks too");
	shim_end(&shim);
	shim_end(&another);
}

/* A member that is known, but not of this shim: it has no connection to spare. */
static void clients_count_for_members_of_the_shim_alone(void **state)
{
	struct pod *p = *state;
	struct shim shim, another;

	shim_begin(p, &another);
	shim_serves(p, &another, "c");
	two_tasks(p, &shim, "c");
	leaves_all(p, &shim, 0, RECOVER_HEALTHY, "its shim lives and has a client");
	shim_end(&shim);
	shim_end(&another);
}

/* ---- whose task it is --------------------------------------------------------------------------- */

/* What is of another containerd, of another namespace, or nobody's, is no member. */
static void only_living_tasks_of_the_daemon_count(void **state)
{
	struct pod *p = *state;
	struct task_key other;
	struct shim shim, another;

	shim_begin(p, &shim);
	shim_begin(p, &another);
	shim_serves(p, &shim, "a");
	pod_task(p, "b", &shim.ident); /* nobody has it */
	assert_int_equal(task_key_make(&other, "/run/other.sock", "default", "z", NULL), 0);
	pod_task_of(p, &other, &shim.ident);
	shim_takes(&another, &other);
	pod_task(p, "d", &shim.ident);
	lose_lock(p, "d");
	p->sim->containerd_knows = false;
	pod_recovers(p, "a", 0, 0, RECOVER_DONE);
	assert_false(shim_lives(p, &shim) || pod_live(p, "a"));
	assert_true(pod_live(p, "b") && pod_live(p, "d") && shim_lives(p, &another));
	shim_end(&shim);
	shim_end(&another);
}

static void the_same_id_in_another_namespace_is_another_member(void **state)
{
	struct pod *p = *state;
	struct task_key other;
	struct shim shim;

	shim_begin(p, &shim);
	shim_serves(p, &shim, "a");
	assert_int_equal(task_key_make(&other, "/run/c.sock", "moby", "z", NULL), 0);
	pod_task_of(p, &other, &shim.ident);
	shim_takes(&shim, &other);
	p->shim = &shim;
	p->sim->containerd_knows = false;
	(void)snprintf(p->sim->known, sizeof(p->sim->known), "z");
	p->lets_go = LETS_GO;
	pod_recovers(p, "a", 0, 0, RECOVER_DONE);
	assert_true(shim_lives(p, &shim));
	shim_end(&shim);
}

/* ---- the boot's hook ------------------------------------------------------------------------------- */

static void the_boots_hook_asks_no_containerd(void **state)
{
	struct pod *p = *state;
	struct journal *j;
	struct shim shim;

	shim_begin(p, &shim);
	pod_task(p, "a", &shim.ident);
	j = pod_journal(p, "a");
	assert_int_equal(journal_set_text(j, TASK_EPOCH, "boot-0 1 2", NULL), 0);
	journal_close(j);
	p->key = pod_key("a");
	shim_takes(&shim, &p->key); /* a process of now that has the old shim's number */
	p->sim->containerd_knows = false;
	pod_recovers(p, "a", RECOVER_BOOT, 0, RECOVER_HEALTHY);
	assert_string_equal(p->report.why, "its shim lives");
	assert_int_equal(p->sim->asked, 0);
	assert_true(pod_live(p, "a"));
	shim_end(&shim);
}

#define T(name) cmocka_unit_test_setup_teardown(name, pod_open, pod_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_member_that_is_let_go_is_taken_back_by_its_shim),
		T(a_shim_that_closes_the_file_later_is_waited_for),
		T(a_shim_that_says_yes_and_keeps_it_has_it),
		T(an_owner_that_cannot_be_asked_for_has_it_still),
		T(a_shim_that_refuses_is_believed),
		T(a_recovery_whose_time_is_over_at_any_point_harms_nobody),
		T(a_verdict_on_one_member_kills_its_init_alone),
		T(a_daemon_that_knows_no_member_proves_nothing),
		T(an_operators_word_takes_a_shim_that_is_forgotten_whole),
		T(an_operators_word_holds_for_a_daemon_that_is_down),
		T(a_daemon_that_knows_a_task_elsewhere_has_forgotten_the_whole_shim),
		T(a_dry_run_says_so_and_touches_nothing),
		T(a_daemon_is_asked_about_a_few_others_only),
		T(a_member_whose_file_is_damaged_keeps_the_shim),
		T(a_member_of_a_newer_version_keeps_the_shim),
		T(a_member_that_nobody_answers_for_keeps_the_shim),
		T(clients_count_for_members_of_the_shim_alone),
		T(only_living_tasks_of_the_daemon_count),
		T(the_same_id_in_another_namespace_is_another_member),
		T(the_boots_hook_asks_no_containerd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
